//! The figures that the documentation shows, in `docs/benchmarks/results.csv`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Folder of the results and of the charts drawn from them.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks");

/// The figures of one contender under one load: medians, as far as they were measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Name of the load.
    pub(crate) load: String,
    /// Name of the contender.
    pub(crate) contender: String,
    /// Processor time of the server for each message or bet, in nanoseconds.
    pub(crate) cpu_ns: Option<f64>,
    /// Messages or bets a second.
    pub(crate) per_second: Option<f64>,
    /// Mean latency, in microseconds.
    pub(crate) mean_us: Option<f64>,
    /// Latency that half of the responses had at most, in microseconds.
    pub(crate) p50_us: Option<f64>,
    /// Latency that 99 in 100 responses had at most, in microseconds.
    pub(crate) p99_us: Option<f64>,
}

/// All rows; those of one load follow each other.
#[derive(Debug)]
pub(crate) struct Results {
    rows: Vec<Row>,
}

impl Results {
    /// What is kept beside the charts.
    pub(crate) fn read() -> Self {
        let mut reader = csv::Reader::from_path(path("results.csv")).expect("the kept results");
        Self { rows: reader.deserialize().map(|row| row.expect("a row of figures")).collect() }
    }

    /// Rows of the loads whose names begin so, one group for each load.
    pub(crate) fn loads(&self, prefix: &str) -> impl Iterator<Item = &[Row]> {
        let groups = self.rows.chunk_by(|one, next| one.load == next.load);
        groups.filter(move |rows| rows[0].load.starts_with(prefix))
    }

    /// Takes new figures of one load, in place of the old ones.
    pub(crate) fn replace(&mut self, new: Vec<Row>) {
        let load = &new.first().expect("there are contenders").load;
        let index = self.rows.iter().position(|row| row.load == *load);
        let index = index.unwrap_or(self.rows.len());
        self.rows.retain(|row| row.load != *load);
        self.rows.splice(index..index, new);
    }

    /// Keeps them.
    pub(crate) fn write(&self) {
        let mut writer = csv::Writer::from_path(path("results.csv")).expect("a file");
        for row in &self.rows {
            writer.serialize(row).expect("written");
        }
        writer.flush().expect("written");
    }
}

/// A file of the documentation's benchmarks.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
