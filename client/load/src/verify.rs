//! What the lottery on one machine is judged by: the files that went in, the ledger that came out,
//! and the winners that the agencies received. Logic alone; processes are in the `lottery` binary.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitStatus;

use reactor::is_in_mask;
use runtime::logging::{Level, LineResult, LogLine};
use rustix::process::{Pid, Signal};
use wire::Agency;

/// The number that wins, as the exercise has it.
const WINNING_NUMBER: &str = "7574";

/// What the final table's columns are.
pub const LEGEND: &str = "bets and expected: rows and winning bets (number 7574) in the agency's \
    file; stored: its rows in the ledger; winners: as it received them after the draw";

/// One agency's line of the final table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// Which agency.
    pub agency: Agency,
    /// Bets in its file.
    pub bets: u64,
    /// Winning bets in its file.
    pub expected_winners: u64,
    /// Bets that the central is to reject; with any its process ends with exit code 1.
    pub rejected: u64,
    /// Its rows in the ledger.
    pub stored: u64,
    /// Winners that it received; `None` when the draw didn't come.
    pub winners: Option<u64>,
    /// How its process ended.
    pub exit_code: Option<i32>,
}

impl Line {
    /// Whether everything is as it must be.
    pub fn is_good(&self) -> bool {
        self.exit_code == Some(i32::from(self.rejected > 0))
            && self.stored + self.rejected == self.bets
            && self.winners == Some(self.expected_winners)
    }
}

/// Bets in an agency's file, and the winning ones among them.
///
/// # Errors
/// When it can't be read, or isn't a regular file. What is wrong in it the agency logs.
pub fn count_file(path: &Path) -> io::Result<(u64, u64)> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it isn't a regular file"));
    }
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).from_path(path)?;
    let (mut bets, mut winners) = (0, 0);
    for row in reader.byte_records() {
        bets += 1;
        winners += u64::from(row?.get(4) == Some(WINNING_NUMBER.as_bytes()));
    }
    Ok((bets, winners))
}

/// Counts the ledger's rows into the lines of their agencies.
///
/// # Errors
/// When it can't be read.
pub fn count_ledger(path: &Path, lines: &mut [Line]) -> io::Result<()> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path)?;
    for row in reader.byte_records() {
        let row = row?;
        let agency = row.get(0).and_then(|field| std::str::from_utf8(field).ok()?.parse().ok());
        if let Some(line) = lines.iter_mut().find(|line| Some(line.agency) == agency) {
            line.stored += 1;
        }
    }
    Ok(())
}

/// The winners that an agency logs.
pub fn winners_in(line: &str) -> Option<u64> {
    let line = LogLine::parse(line)?;
    line.value("cant_ganadores").filter(|_| line.is("consulta_ganadores", LineResult::Success))
}

/// The port that the server logs once it listens.
pub fn port_in(line: &str) -> Option<u16> {
    let line = LogLine::parse(line)?;
    line.value("port").filter(|_| line.is("listen", LineResult::Success))
}

/// Where the server's page is, which it logs once it listens there.
pub fn page_in(line: &str) -> Option<String> {
    let line = LogLine::parse(line).filter(|line| line.is("listen_admin", LineResult::Success))?;
    let (ip, port) = (line.value::<IpAddr>("ip")?, line.value("port")?);
    let scheme = if line.value("tls") == Some(true) { "https" } else { "http" };
    Some(format!("{scheme}://{}/", SocketAddr::new(ip, port)))
}

/// Whether a line says that a batch was stored, as thousands do.
pub fn is_of_stored_batch(line: &str) -> bool {
    LogLine::parse(line).is_some_and(|line| line.is("apuesta_recibida", LineResult::Success))
}

/// The error in a line of a process: one of its log, or one on standard error.
pub fn error_in(line: &str) -> Option<&str> {
    if line.starts_with("error: ") {
        return Some(line);
    }
    LogLine::parse(line).filter(|line| line.level == Level::Error).map(|line| line.message)
}

/// How a process ended, in words.
pub fn end(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

/// Whether a process has come so far that SIGTERM ends it in order, or is gone.
pub fn takes_signals(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    status.map_or(true, |status| is_over_or_catches(&status))
}

fn is_over_or_catches(status: &str) -> bool {
    status.contains("\nState:\tZ") || is_in_mask(status, "SigCgt:", Signal::TERM)
}

/// The final table.
#[derive(Debug)]
pub struct Table<'l>(pub &'l [Line]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "agency      bets    stored   winners  expected  exit code")?;
        for line in self.0 {
            let winners = line.winners.map_or("-".to_owned(), |winners| winners.to_string());
            let exit = line.exit_code.map_or("signal".to_owned(), |code| code.to_string());
            let remark = match (line.is_good(), line.exit_code, line.winners) {
                (true, ..) if line.rejected > 0 => "  <- a batch was rejected, as it must be",
                (true, ..) => "",
                (false, Some(0), None) => "  <- stopped before the draw",
                _ => "  <- MISMATCH",
            };
            writeln!(
                f,
                "{:6} {:9} {:9} {winners:>9} {:9} {exit:>10}{remark}",
                line.agency, line.bets, line.stored, line.expected_winners
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Line = Line {
        agency: 1,
        bets: 3,
        expected_winners: 1,
        rejected: 0,
        stored: 3,
        winners: Some(1),
        exit_code: Some(0),
    };

    #[test]
    fn log_lines_are_understood() {
        let line = "2024-01-01 00:00:00 INFO     action: consulta_ganadores | result: success | cant_ganadores: 12\n";
        assert_eq!(winners_in(line), Some(12));
        assert_eq!(winners_in("action: sorteo | result: success"), None);
        let line = "2024-01-01 00:00:00 INFO     action: listen | result: success | ip: 127.0.0.1 | port: 4711\n";
        assert_eq!(port_in(line), Some(4711));
        assert_eq!(port_in("port: 1"), None);
        let line = line.replace("listen", "listen_admin");
        assert_eq!(page_in(&line), Some("http://127.0.0.1:4711/".to_owned()));
        let line = line.replace("127.0.0.1", "::1").replace('\n', " | tls: true\n");
        assert_eq!(page_in(&line), Some("https://[::1]:4711/".to_owned()));
        assert_eq!((port_in(&line), page_in("port: 1")), (None, None));
        let line =
            "2024-01-01 00:00:00 INFO     action: apuesta_recibida | result: success | cantidad: 9";
        assert!(is_of_stored_batch(line) && !is_of_stored_batch(&line.replace("success", "fail")));
    }

    #[test]
    fn errors_are_found_in_a_log_and_on_standard_error() {
        let line = "2024-01-01 00:00:00 ERROR    action: run | result: fail | error: x";
        assert_eq!(error_in(line), Some("action: run | result: fail | error: x"));
        assert_eq!(error_in("error: CLI_ID is missing"), Some("error: CLI_ID is missing"));
        let line = "2024-01-01 00:00:00 WARNING  action: x | value: an ERROR of theirs";
        assert_eq!(error_in(line), None);
    }

    #[test]
    fn a_process_takes_signals_when_it_has_a_handler_or_is_over() {
        let status = |state, caught| format!("Name:\tx\nState:\t{state}\nSigCgt:\t{caught}\n");
        assert!(is_over_or_catches(&status("S (sleeping)", "0000000000004000")));
        assert!(!is_over_or_catches(&status("S (sleeping)", "0000000000002000")));
        assert!(is_over_or_catches(&status("Z (zombie)", "0000000000000000")));
        let unused = Pid::from_raw(i32::MAX).unwrap();
        assert!(takes_signals(unused), "there is no such process");
    }

    #[test]
    fn what_is_no_file_is_refused_and_bad_rows_are_the_agencys_to_report() {
        let folder = tempfile::tempdir().unwrap();
        assert!(count_file(folder.path()).unwrap_err().to_string().contains("regular file"));
        let file = folder.path().join("agency-1.csv");
        std::fs::write(&file, "a,b,1,2000-01-01,7574\nc\n").unwrap();
        assert_eq!(count_file(&file).unwrap(), (2, 1));
    }

    #[test]
    fn files_and_ledger_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agency-1.csv");
        std::fs::write(&file, "\"a, b\",c,1,2000-01-01,7574\r\nd,e,2,2000-01-01,75\r\n").unwrap();
        assert_eq!(count_file(&file).unwrap(), (2, 1));
        let ledger = folder.path().join("bets.csv");
        std::fs::write(&ledger, "1,a,b,1,x,1\r\n2,a,b,1,x,1\r\n1,a,b,1,x,1\r\n").unwrap();
        let mut lines = [1, 2].map(|agency| Line { agency, ..Line::default() });
        count_ledger(&ledger, &mut lines).unwrap();
        assert_eq!(lines.map(|line| line.stored), [2, 1]);
    }

    #[test]
    fn what_is_not_as_it_must_be_is_marked() {
        assert!(GOOD.is_good());
        for bad in [
            Line { stored: 2, ..GOOD },
            Line { winners: Some(2), ..GOOD },
            Line { exit_code: Some(1), ..GOOD },
            Line { exit_code: None, ..GOOD },
        ] {
            assert!(!bad.is_good());
            assert!(Table(&[bad]).to_string().contains("<- MISMATCH"));
        }
        let rejected = Line { stored: 1, rejected: 2, exit_code: Some(1), ..GOOD };
        assert!(rejected.is_good());
        assert!(Table(std::slice::from_ref(&rejected)).to_string().contains("as it must be"));
        for bad in [
            Line { stored: 3, ..rejected.clone() },
            Line { exit_code: Some(0), ..rejected.clone() },
        ] {
            assert!(Table(&[bad]).to_string().contains("<- MISMATCH"));
        }
        let stopped = Line { winners: None, ..GOOD };
        assert!(!stopped.is_good());
        assert!(Table(&[stopped]).to_string().contains("<- stopped before the draw"));
        assert!(!Table(&[GOOD]).to_string().contains("<-"));
    }
}
