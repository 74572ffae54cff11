//! Agency files out of a seed: the same seed gives the same files on every machine.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use fastrand::Rng;
use wire::Agency;

/// First names; what is awkward in CSV or in ASCII is here on purpose.
const FIRST_NAMES: [&str; 24] = [
    "Ana",
    "Benjamín",
    "Camila",
    "Dante",
    "Emilia",
    "Facundo",
    "Guadalupe",
    "Hernán",
    "Íñigo",
    "Julieta",
    "Karina",
    "Lautaro",
    "Mía",
    "Nahuel",
    "Olivia",
    "Pía",
    "Ramiro",
    "Sofía",
    "Tomás",
    "Úrsula",
    "Valentín",
    "Ximena",
    "Yamila",
    "Zoe",
];

/// Second names, or what people write in their place.
const SECOND_NAMES: [&str; 8] =
    ["", "", "", " Agustina", " Belén", " Martín", ", hija", " \"Tito\""];

/// Last names.
const LAST_NAMES: [&str; 24] = [
    "Acuña",
    "Benítez",
    "Castro",
    "D'Angelo",
    "Escudero",
    "Fernández",
    "Güiraldes",
    "Herrera",
    "Ibáñez",
    "Juárez",
    "Kirschbaum",
    "López",
    "Muñoz",
    "Núñez",
    "Ortiz",
    "Peña",
    "Quiroga",
    "Rodríguez",
    "Suárez",
    "Toledo",
    "Urquiza",
    "Vázquez",
    "Yáñez",
    "Zúñiga",
];

/// The number that wins, as the exercise has it.
const WINNING_NUMBER: u32 = 7574;

/// Numbers that can be bet on: 0 up to this one.
const NUMBER_MAX: u32 = 9999;

/// What the files are to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Bets of each agency; drawn from the range.
    pub bets: RangeInclusive<u32>,
    /// Winning bets of each agency, as far as it has so many: exactly these have the number 7574.
    pub winners: RangeInclusive<u32>,
    /// Where all chance comes from.
    pub seed: u64,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bets in it.
    pub bets: u32,
    /// Winning bets among them.
    pub winners: u32,
}

/// Writes an agency's file: five fields a row, CRLF, no heading.
///
/// # Errors
/// Those of `out`.
pub fn write(plan: &Plan, agency: Agency, out: impl Write) -> io::Result<Written> {
    // Each agency's file depends on the seed and on itself, not on how many others there are.
    let mut random =
        Rng::with_seed(plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(agency));
    let bets = random.u32(plan.bets.clone());
    let winners = random.u32(plan.winners.clone()).min(bets);
    let mut lucky: Vec<_> = random.choose_multiple(0..bets, winners as usize);
    lucky.sort_unstable();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    for index in 0..bets {
        let number = match lucky.binary_search(&index) {
            Ok(_) => WINNING_NUMBER,
            Err(_) => losing_number(&mut random),
        };
        let first =
            format!("{}{}", pick(&mut random, &FIRST_NAMES), pick(&mut random, &SECOND_NAMES));
        // Seven or eight digits, as documents have.
        let document = random.u32(5_000_000..60_000_000).to_string();
        let last = pick(&mut random, &LAST_NAMES);
        writer.write_record([&first, last, &document, &date(&mut random), &number.to_string()])?;
    }
    writer.flush()?;
    Ok(Written { bets, winners })
}

fn pick<'a>(random: &mut Rng, list: &[&'a str]) -> &'a str {
    list[random.usize(..list.len())]
}

fn losing_number(random: &mut Rng) -> u32 {
    let number = random.u32(0..NUMBER_MAX);
    if number < WINNING_NUMBER { number } else { number + 1 }
}

/// A day that every month has.
fn date(random: &mut Rng) -> String {
    format!("{}-{:02}-{:02}", random.u32(1930..=2006), random.u32(1..=12), random.u32(1..=28))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(bets: RangeInclusive<u32>, seed: u64) -> Plan {
        Plan { bets, winners: 1..=4, seed }
    }

    fn rows(plan: &Plan, agency: Agency) -> (Written, Vec<Vec<String>>) {
        let mut bytes = Vec::new();
        let written = write(plan, agency, &mut bytes).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
        let row =
            |row: Result<csv::StringRecord, _>| row.unwrap().iter().map(str::to_owned).collect();
        (written, reader.records().map(row).collect())
    }

    #[test]
    fn a_file_holds_what_was_planned() {
        for agency in 1..20 {
            let (written, rows) = rows(&plan(50..=900, 7), agency);
            assert_eq!(rows.len(), written.bets as usize);
            assert!((50..=900).contains(&written.bets) && (1..=4).contains(&written.winners));
            let winners = rows.iter().filter(|row| row[4] == "7574").count();
            assert_eq!(winners, written.winners as usize);
            assert!(rows.iter().all(|row| row.len() == 5 && row[3].len() == 10));
        }
    }

    #[test]
    fn names_have_accents_quotes_and_commas_among_them() {
        let text: String =
            rows(&plan(500..=500, 1), 1).1.iter().map(|row| row[0].clone()).collect();
        assert!(text.contains('"') && text.contains(',') && !text.is_ascii());
    }

    #[test]
    fn a_seed_is_a_file_and_another_seed_another() {
        let plans = [plan(100..=100, 1), plan(100..=100, 1), plan(100..=100, 2)];
        let [one, same, other] = plans.map(|plan| rows(&plan, 3));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(one, rows(&plan(100..=100, 1), 4));
    }

    #[test]
    fn fewer_bets_than_winners_all_win() {
        let (written, _) = rows(&Plan { bets: 2..=2, winners: 9..=9, seed: 1 }, 1);
        assert_eq!(written, Written { bets: 2, winners: 2 });
        assert_eq!(rows(&plan(0..=0, 1), 1).0, Written { bets: 0, winners: 0 });
    }
}
