//! A lottery to watch: eight agencies of different speed, one of which is killed and comes back, and one
//! whose file has a bad bet. What they send, how fast, and what befalls them when.
//!
//! Knows no process and no clock; the `lottery` binary plays it.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use wire::Agency;

use crate::dataset::{self, Plan};
use crate::verify::{self, Line};

/// How many agencies take part.
pub const AGENCIES: Agency = 8;

/// The one that is killed, and comes back.
pub const KILLED: Agency = 4;

/// The one whose file has a bad bet, which the central is to find.
pub const BAD: Agency = 7;

/// A date that doesn't exist.
const BAD_DATE: &str = "1999-02-30";

/// What one agency does.
struct Part {
    bets: u32,
    /// Bets in a batch; few enough that a frame holds them.
    batch: u32,
    /// For how much of the demonstration it sends, in hundredths.
    share: u32,
}

/// Each has its own speed, its own size, and its own end.
const PARTS: [Part; AGENCIES as usize] = [
    Part { bets: 4_000, batch: 50, share: 35 },
    Part { bets: 2_500, batch: 25, share: 55 },
    Part { bets: 6_000, batch: 60, share: 80 },
    Part { bets: 3_600, batch: 40, share: 60 },
    Part { bets: 900, batch: 10, share: 100 },
    Part { bets: 8_000, batch: 80, share: 45 },
    Part { bets: 2_400, batch: 40, share: 70 },
    Part { bets: 1_200, batch: 20, share: 90 },
];

/// When the agency is killed and when it comes back, in hundredths of the demonstration.
const SCRIPT: [(u32, Step); 2] = [(25, Step::Kill), (42, Step::Return)];

/// Something that befalls [`KILLED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its process is killed with SIGKILL.
    Kill,
    /// It is started again.
    Return,
}

/// A demonstration of some length.
#[derive(Debug, Clone)]
pub struct Demo {
    length: Duration,
    /// How many steps of the script were taken.
    taken: usize,
}

impl Demo {
    /// One in which the last agency sends for about so long.
    pub fn new(length: Duration) -> Self {
        Self { length, taken: 0 }
    }

    /// Settings of an agency's program: its speed, and with a bad file that it doesn't check it first.
    ///
    /// # Panics
    /// For an agency that doesn't take part.
    pub fn settings(&self, agency: Agency) -> Vec<(&'static str, String)> {
        let part = part(agency);
        let pause = self.share(part.share) / part.bets.div_ceil(part.batch);
        let period = humantime::format_duration(pause).to_string().replace(' ', "");
        let mut settings =
            vec![("CLI_BATCH_MAXAMOUNT", part.batch.to_string()), ("CLI_LOOP_PERIOD", period)];
        if agency == BAD {
            settings.push(("CLI_DATA_CHECK", "off".to_owned()));
        }
        settings
    }

    /// How long it is until the next step; `None` when there is none any more.
    pub fn next_in(&self, elapsed: Duration) -> Option<Duration> {
        let (at, _) = SCRIPT.get(self.taken)?;
        Some(self.share(*at).saturating_sub(elapsed))
    }

    /// Takes the next step, if its time has come.
    pub fn take(&mut self, elapsed: Duration) -> Option<Step> {
        let (_, step) = SCRIPT.get(self.taken).filter(|(at, _)| self.share(*at) <= elapsed)?;
        self.taken += 1;
        Some(*step)
    }

    /// Whether an agency was killed and hasn't been started again.
    pub fn is_away(&self, agency: Agency) -> bool {
        let last = self.taken.checked_sub(1).map(|last| SCRIPT[last].1);
        agency == KILLED && last == Some(Step::Kill)
    }

    fn share(&self, hundredths: u32) -> Duration {
        self.length / 100 * hundredths
    }
}

fn part(agency: Agency) -> &'static Part {
    &PARTS[agency as usize - 1]
}

/// Writes the agencies' files into a folder, and returns what must come of them.
///
/// # Errors
/// When a file can't be written.
pub fn write_files(folder: &Path) -> io::Result<Vec<Line>> {
    (1..=AGENCIES).map(|agency| write_file(folder, agency)).collect()
}

fn write_file(folder: &Path, agency: Agency) -> io::Result<Line> {
    let Part { bets, batch, .. } = *part(agency);
    let plan = Plan { bets: bets..=bets, winners: 2..=6, seed: 1 };
    let path = folder.join(format!("agency-{agency}.csv"));
    dataset::write(&plan, agency, File::create(&path)?)?;
    let rejected = if agency == BAD { spoil(&path, bets / 2, batch)? } else { 0 };
    let (bets, expected_winners) = verify::count_file(&path)?;
    Ok(Line { agency, bets, expected_winners, rejected, ..Line::default() })
}

/// Makes one bet of a file bad, and those that are rejected with it losing ones, so that it is known
/// how many win. Returns how many are rejected.
fn spoil(path: &Path, bad: u32, batch: u32) -> io::Result<u64> {
    let rejected = bad / batch * batch..(bad / batch + 1) * batch;
    let text = fs::read(path)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&text[..]);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_path(path)?;
    for (index, row) in (0..).zip(reader.records()) {
        let mut row: Vec<_> = row?.iter().map(str::to_owned).collect();
        if index == bad {
            BAD_DATE.clone_into(&mut row[3]);
        }
        if rejected.contains(&index) {
            "0".clone_into(&mut row[4]);
        }
        writer.write_record(&row)?;
    }
    writer.flush()?;
    Ok(u64::from(batch))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(100);

    #[test]
    fn an_agency_is_killed_and_comes_back_while_it_sends() {
        let mut demo = Demo::new(LENGTH);
        let mut elapsed = Duration::ZERO;
        assert_eq!(demo.take(elapsed), None);
        let mut steps = Vec::new();
        while let Some(wait) = demo.next_in(elapsed) {
            assert_eq!(demo.take(elapsed + wait / 2), None);
            elapsed += wait;
            steps.extend(demo.take(elapsed));
            assert_eq!(demo.is_away(KILLED), steps.len() == 1);
            assert!(!demo.is_away(BAD));
        }
        assert_eq!(steps, [Step::Kill, Step::Return]);
        assert_eq!(elapsed, LENGTH / 100 * 42);
        assert!(elapsed < LENGTH / 100 * part(KILLED).share, "it hasn't sent everything by then");
    }

    #[test]
    fn a_late_look_takes_every_step() {
        let mut demo = Demo::new(LENGTH);
        assert_eq!(demo.take(LENGTH), Some(Step::Kill));
        assert_eq!(demo.next_in(LENGTH), Some(Duration::ZERO));
        assert_eq!(demo.take(LENGTH), Some(Step::Return));
        assert_eq!(demo.take(LENGTH), None);
    }

    #[test]
    fn all_have_their_own_speed_and_the_last_one_sends_for_the_whole_time() {
        let demo = Demo::new(LENGTH);
        let mut times = Vec::new();
        for agency in 1..=AGENCIES {
            let settings = demo.settings(agency);
            let value = |name| settings.iter().find(|(key, _)| *key == name).map(|(_, text)| text);
            let batch: u32 = value("CLI_BATCH_MAXAMOUNT").unwrap().parse().unwrap();
            let pause = humantime::parse_duration(value("CLI_LOOP_PERIOD").unwrap()).unwrap();
            times.push(pause * part(agency).bets.div_ceil(batch));
            assert_eq!(value("CLI_DATA_CHECK").is_some(), agency == BAD);
        }
        let longest = times.iter().max().unwrap();
        assert!(longest.abs_diff(LENGTH) < LENGTH / 100, "{longest:?}");
        times.sort();
        times.dedup();
        assert_eq!(times.len(), AGENCIES as usize);
    }

    #[test]
    fn one_file_has_a_bad_bet_and_no_winner_in_the_batch_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let lines = write_files(folder.path()).unwrap();
        for line in &lines {
            let path = folder.path().join(format!("agency-{}.csv", line.agency));
            let text = fs::read_to_string(path).unwrap();
            assert_eq!(line.bets, u64::from(part(line.agency).bets));
            assert!(line.expected_winners > 0);
            assert_eq!(text.matches(BAD_DATE).count(), usize::from(line.agency == BAD));
            assert_eq!(line.rejected, if line.agency == BAD { 40 } else { 0 });
            let rows: Vec<_> = text.lines().collect();
            let bad = rows.iter().position(|row| row.contains(BAD_DATE));
            if let Some(bad) = bad {
                let first = bad / 40 * 40;
                assert!(rows[first..first + 40].iter().all(|row| row.ends_with(",0")));
            }
        }
    }
}
