//! What an attack has left behind: what is checked of it, and its row of the table.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::attack::mebibytes;
use crate::honest::{self, Echoed, Latencies, Served};
use crate::operator::{ANSWER_MAX, Found, Seen};
use kit::process::TIMEOUT;

/// What an attack has left behind.
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) folder: tempfile::TempDir,
    /// Memory that it may have taken.
    pub(crate) most: usize,
    pub(crate) peak: Option<usize>,
    pub(crate) spent: Duration,
    pub(crate) processor: Option<Duration>,
    pub(crate) log_bytes: u64,
    pub(crate) honest: (io::Result<Served>, io::Result<Echoed>),
    pub(crate) operator: Seen,
    pub(crate) is_at_admin: bool,
    pub(crate) readiness: Vec<&'static str>,
    /// What was measured of its turns, and that it was too much.
    pub(crate) turns: Option<(String, Option<String>)>,
    pub(crate) status: ExitStatus,
    /// How long the server took to end.
    pub(crate) ending: Duration,
}

impl Ended {
    /// Prints the attack's row, and checks that the honest peers were served, that the server has
    /// ended in order, and that the ledger holds the honest agency's bets. `broken` names
    /// the bounds that were not kept. The server's log.
    pub(crate) fn report(self, bound: &str, measured: &str, mut broken: Vec<String>) -> String {
        let mut measured = measured.to_owned();
        if let Some((found, exceeded)) = &self.turns {
            measured = format!("{measured}; {found}");
            broken.extend(exceeded.clone());
        }
        let log = self.folder.path().join("log");
        if self.status.code() != Some(0) {
            broken.push(format!("{}: {}", self.status, last_line(&log)));
        }
        let (agency, echo) = &self.honest;
        if let Ok(served) = agency {
            broken.extend(check_ledger(&self.folder.path().join("bets.csv"), served.stored).err());
        }
        let agency =
            latencies_or_failure(agency.as_ref().map(|served| &served.latencies), &mut broken);
        if let Ok(Echoed { longest, .. }) = echo
            && self.is_at_admin
            && *longest > ANSWER_MAX
        {
            broken.push(format!("an echo took {longest:.1?} that the central is to blame for"));
        }
        let echo = latencies_or_failure(echo.as_ref().map(|echoed| &echoed.latencies), &mut broken);
        let operator = self.operator_row(&mut broken);
        if let Some(peak) = self.peak.filter(|peak| *peak > self.most) {
            broken.push(format!("{} of memory", mebibytes(peak)));
        }
        let log_bytes = usize::try_from(self.log_bytes).expect("it fits");
        print_row(&[
            self.name,
            bound,
            &measured,
            &self.peak.map_or("ended".to_owned(), mebibytes),
            &mebibytes(log_bytes),
            &format!(
                "{} of {}",
                self.processor.map_or("-".to_owned(), seconds),
                seconds(self.spent)
            ),
            &agency,
            &echo,
            &operator,
        ]);
        assert!(broken.is_empty(), "{}: {}", self.name, broken.join("; "));
        whole_log(&log)
    }

    /// How long the operator has waited. What wasn't answered in time, and that `/readyz` hasn't said
    /// what it must, are bounds that are broken.
    fn operator_row(&self, broken: &mut Vec<String>) -> String {
        let Seen { kept, fresh, readiness } = &self.operator;
        let is_expected = |line: &String| self.readiness.iter().any(|expected| expected == line);
        let wrong = readiness.iter().filter(|line| !is_expected(line));
        broken.extend(wrong.map(|line| format!("/readyz said: {line}")));
        let is_missing = |line: &&&str| !readiness.iter().any(|found| found == **line);
        let missing = self.readiness.iter().filter(is_missing);
        broken.extend(missing.map(|line| format!("/readyz never said: {line}")));
        let bounded = [Some(kept), Some(fresh).filter(|_| !self.is_at_admin)];
        for Found { longest: (longest, target), .. } in bounded.into_iter().flatten().flatten() {
            if *longest > ANSWER_MAX {
                broken
                    .push(format!("{target} took {longest:.1?} that the central is to blame for"));
            }
        }
        let mut cell = |found: &io::Result<Found>| {
            latencies_or_failure(found.as_ref().map(|found| &found.latencies), broken)
        };
        format!("{}; {}", cell(kept), cell(fresh))
    }
}

/// How long an honest peer has waited; that it wasn't served is a bound that is broken.
fn latencies_or_failure(
    latencies: Result<&Latencies, &io::Error>,
    broken: &mut Vec<String>,
) -> String {
    match latencies {
        Ok(latencies) => latencies.to_string(),
        Err(error) => {
            broken.push(format!("an honest peer: {error}"));
            "not served".to_owned()
        }
    }
}

/// The log of a server that has ended in order. Its last lines may still be in a pipe.
fn whole_log(path: &Path) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = fs::read_to_string(path).expect("text");
        if text.contains("action: close_ledger | result: success") || Instant::now() > deadline {
            return text;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or_default().to_owned()
}

/// The honest agency's rows must be there in order, and no other row of it.
fn check_ledger(path: &Path, stored: u64) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let own = format!("{},", honest::AGENCY);
    let found = text.split_terminator("\r\n").filter(|row| row.starts_with(&own));
    if found.eq(honest::rows(stored)) {
        return Ok(());
    }
    Err(format!("the ledger doesn't hold the {stored} bets that were confirmed"))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[expect(clippy::print_stderr, reason = "what was measured is what a person wants to know")]
fn print_row(cells: &[&str]) {
    let row = format!("| {} |\n", cells.join(" | "));
    eprint!("{row}");
    let Some(path) = std::env::var_os("HOSTILE_TABLE").map(PathBuf::from) else { return };
    let file = fs::File::options().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(row.as_bytes())).expect("the table takes a row");
}
