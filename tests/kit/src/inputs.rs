//! Agencies' files, what the ledger must hold of them, and what it holds.

use std::path::{Path, PathBuf};

/// An agency's file of so many bets; every `lucky`-th of them wins.
pub fn file(folder: &Path, agency: u32, bets: usize, lucky: usize) -> PathBuf {
    let path = folder.join(format!("agency-{agency}.csv"));
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_path(&path)
        .expect("a file");
    for index in 0..bets {
        let name = ["Ana", "Íñigo, \"el Ñato\"", "O'Higgins", " Luz "][index % 4];
        let document = format!("{:08}", index * 10 + agency as usize);
        let number = if index % lucky == lucky - 1 { "7574" } else { "0075" };
        writer.write_record([name, "Paz", &document, "2000-02-29", number]).expect("written");
    }
    writer.flush().expect("written");
    path
}

/// What the ledger must hold of an agency: its rows with the agency before them and the number as
/// a plain integer.
pub fn expected_rows(path: &Path, agency: u32) -> Vec<Vec<String>> {
    read(path)
        .into_iter()
        .map(|mut row| {
            row[4] = row[4].parse::<u32>().expect("a number").to_string();
            row.insert(0, agency.to_string());
            row
        })
        .collect()
}

/// The rows of a CSV file.
pub fn read(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).expect("a file");
    let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect());
    rows.collect()
}

/// What a ledger holds of an agency.
pub fn rows_of(ledger: &Path, agency: u32) -> Vec<Vec<String>> {
    let mut rows = read(ledger);
    rows.retain(|row| row[0] == agency.to_string());
    rows
}
