//! A lottery of several centrals as processes, and the oracle of what it must have come to.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kit::etcd::Cluster;
use kit::inputs::{expected_rows, file, rows_of};
use kit::process::wait_for_end;
use kit::programs::binary;
use kit::server::{Server, command};

use crate::export;

/// Centrals of each lottery.
pub(crate) const CENTRALS: usize = 3;

/// Every so many bets win.
const LUCKY: usize = 500;

/// Three centrals and their agencies.
pub(crate) struct Lottery {
    draw: String,
    bets: usize,
    folder: tempfile::TempDir,
    /// By index; none once it was killed.
    pub(crate) centrals: Vec<Option<Server>>,
    agencies: Vec<Child>,
}

/// The environment of a central of this draw.
pub(crate) fn settings(etcd: &Cluster, draw: &str, agencies: u32) -> Vec<(&'static str, String)> {
    let endpoints: Vec<_> = etcd.addresses().iter().map(ToString::to_string).collect();
    vec![
        ("SERVER_STORE", "etcd".to_owned()),
        ("SERVER_ETCD_ENDPOINTS", endpoints.join(",")),
        ("SERVER_DRAW", draw.to_owned()),
        ("SERVER_AGENCIES", agencies.to_string()),
    ]
}

pub(crate) fn start_central(settings: &[(&str, String)]) -> Server {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start(&settings)
}

impl Lottery {
    pub(crate) fn start(etcd: &Cluster, draw: &str, agencies: u32, bets: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for agency in 1..=agencies {
            file(folder.path(), agency, bets, LUCKY);
        }
        let settings = settings(etcd, draw, agencies);
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let central = |_| {
            let folder = tempfile::tempdir().expect("a folder");
            Some(Server::start_with_log_file(folder, command(&settings)))
        };
        let centrals: Vec<_> = (0..CENTRALS).map(central).collect();
        let mut lottery =
            Self { draw: draw.to_owned(), bets, folder, centrals, agencies: Vec::new() };
        for agency in 1..=agencies {
            let child = lottery.start_agency(agency);
            lottery.agencies.push(child);
        }
        lottery
    }

    fn start_agency(&self, agency: u32) -> Child {
        let addresses: Vec<_> = self.centrals.iter().flatten().map(Server::address).collect();
        let log = File::create(self.log_of(agency)).expect("a file");
        let mut command = Command::new(binary("client"));
        command
            .env_clear()
            .env("CLI_ID", agency.to_string())
            .env("CLI_DRAW", &self.draw)
            .env("CLI_DATA_PATH", self.input_of(agency))
            .env("CLI_SERVER_ADDRESS", addresses.join(","))
            .env("CLI_LOG_LEVEL", "DEBUG")
            .env("CLI_LOG_FORMAT", "json")
            .env("CLI_RESPONSE_TIMEOUT", "1s")
            .stdin(Stdio::null())
            .stdout(log);
        command.spawn().expect("the agency starts")
    }

    fn input_of(&self, agency: u32) -> PathBuf {
        self.folder.path().join(format!("agency-{agency}.csv"))
    }

    fn log_of(&self, agency: u32) -> PathBuf {
        self.folder.path().join(format!("agency-{agency}.log"))
    }

    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        1..=u32::try_from(self.agencies.len()).expect("few")
    }

    /// What an agency has logged so far.
    pub(crate) fn log(&self, agency: u32) -> String {
        std::fs::read_to_string(self.log_of(agency)).expect("text")
    }

    /// Waits until an agency has had so many batches confirmed.
    pub(crate) fn wait_for_batches(&self, agency: u32, count: usize) {
        kit::process::wait_until("batches are confirmed", || confirmed(&self.log(agency)) >= count);
    }

    /// Waits until an agency has a batch confirmed, or its winners.
    pub(crate) fn wait_for_progress(&self, agency: u32) {
        let before = confirmed(&self.log(agency));
        kit::process::wait_until("an agency makes progress", || {
            let log = self.log(agency);
            confirmed(&log) > before || log.contains("cant_ganadores")
        });
    }

    /// Waits for the end of all agencies, which must be in order.
    pub(crate) fn wait_for_agencies(&mut self) {
        for (index, child) in self.agencies.iter_mut().enumerate() {
            let status = wait_for_end(child);
            assert!(status.success(), "agency {}: {status}", index + 1);
        }
    }

    /// The longest time between two batches of an agency that were confirmed one after the other.
    pub(crate) fn longest_pause(&self) -> Duration {
        let pauses = self.numbers().map(|agency| {
            let times: Vec<_> = confirmed_at(&self.log(agency)).collect();
            let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
            gaps.max().unwrap_or_default()
        });
        pauses.max().unwrap_or_default()
    }

    /// Each bet is stored once, each agency's in order; each agency got its own winners; each central that
    /// is left says once that the draw was held.
    pub(crate) fn check(&mut self, etcd: &Cluster) {
        let settings = settings(etcd, &self.draw, u32::try_from(self.agencies.len()).expect("few"));
        let exported = self.folder.path().join("bets.csv");
        let said = export(&settings, &exported);
        let all = self.agencies.len() * self.bets;
        let expected =
            format!("{all} bets, {0} of {0} agencies have finished", self.agencies.len());
        assert!(said.starts_with(&expected), "{said}");
        for agency in self.numbers() {
            let sent = expected_rows(&self.input_of(agency), agency);
            assert!(rows_of(&exported, agency) == sent, "{}, agency {agency}", self.draw);
            let winners = format!("\"cant_ganadores\":\"{}\"", self.bets / LUCKY);
            assert!(self.log(agency).contains(&winners), "{}", self.log(agency));
        }
        for central in self.centrals.drain(..).flatten() {
            let log = central.stop();
            let held = log.matches("action: sorteo | result: success").count();
            assert_eq!(held, 1, "{log}");
        }
    }
}

impl Drop for Lottery {
    fn drop(&mut self) {
        for agency in &mut self.agencies {
            // It has ended already when the test went well.
            let _ = agency.kill();
            let _ = agency.wait();
        }
    }
}

/// Lines of a log that say that a batch was confirmed.
fn confirmations(log: &str) -> impl Iterator<Item = &str> {
    let is_one = |line: &&str| line.contains(r#""action":"batch_confirmado","result":"success""#);
    log.lines().filter(is_one)
}

fn confirmed(log: &str) -> usize {
    confirmations(log).count()
}

/// When they were, since midnight: `{"time":"2026-11-27T13:21:30.926281Z",...`.
fn confirmed_at(log: &str) -> impl Iterator<Item = Duration> {
    confirmations(log).filter_map(|line| {
        let time = line.split('"').nth(3)?.split_once('T')?.1.strip_suffix('Z')?;
        let mut parts = time.split(':');
        let hours: f64 = parts.next()?.parse().ok()?;
        let minutes: f64 = parts.next()?.parse().ok()?;
        let seconds: f64 = parts.next()?.parse().ok()?;
        Some(Duration::from_secs_f64((hours * 60.0 + minutes) * 60.0 + seconds))
    })
}
