//! A lottery of several centrals as processes, and the oracle of what it must have come to.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kit::inputs::{expected_rows, file, rows_of};
use kit::process::{wait_for_end, wait_until};
use kit::programs::binary;
use kit::server::{Server, command};

use crate::export;
use crate::site::{CENTRALS, Site};

/// Every so many bets win.
const LUCKY: usize = 500;

/// What an agency logs when a central lets it in.
const INTRODUCED: &str = r#""action":"introduce","result":"success""#;

/// What it logs when it is connected to one.
const CONNECTED: &str = r#""action":"connect","result":"success""#;

/// What it logs when it has its winners.
const HAS_WINNERS: &str = r#""action":"consulta_ganadores","result":"success""#;

/// What a central logs when the draw was held.
const DRAWN: &str = "action: sorteo | result: success";

/// Three centrals and their agencies.
pub(crate) struct Lottery {
    draw: String,
    bets: usize,
    folder: tempfile::TempDir,
    /// By index; none once it was killed.
    pub(crate) centrals: Vec<Option<Server>>,
    /// Where agencies reach them, with commas between them.
    addresses: String,
    /// Those that were started, from agency 1 on.
    agencies: Vec<Child>,
    /// How many there are to be.
    count: u32,
}

/// The environment of a central of this draw.
pub(crate) fn settings(site: &Site, draw: &str, agencies: u32) -> Vec<(&'static str, String)> {
    let endpoints: Vec<_> = site.etcd.addresses().iter().map(ToString::to_string).collect();
    let own = [
        ("SERVER_STORE", "etcd".to_owned()),
        ("SERVER_ETCD_ENDPOINTS", endpoints.join(",")),
        ("SERVER_DRAW", draw.to_owned()),
        ("SERVER_AGENCIES", agencies.to_string()),
    ];
    own.into_iter().chain(site.settings.iter().cloned()).collect()
}

pub(crate) fn start_central(settings: &[(&str, String)]) -> Server {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start(&settings)
}

impl Lottery {
    pub(crate) fn start(site: &Site, draw: &str, agencies: u32, bets: usize) -> Self {
        let mut lottery = Self::open(site, draw, agencies, bets);
        for _ in 0..agencies {
            lottery.start_agency(site);
        }
        lottery
    }

    /// Centrals, and no agency yet.
    pub(crate) fn open(site: &Site, draw: &str, agencies: u32, bets: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for agency in 1..=agencies {
            file(folder.path(), agency, bets, LUCKY);
        }
        let settings = settings(site, draw, agencies);
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let central = |index| {
            let folder = tempfile::tempdir().expect("a folder");
            let mut command = command(&settings);
            command.env("SERVER_STORAGE_PATH", folder.path().join("bets.csv"));
            Server::start_with_log_file(folder, site.central(index, command))
        };
        let centrals: Vec<_> = (0..CENTRALS).map(central).collect();
        let addresses: Vec<_> =
            centrals.iter().enumerate().map(|(at, it)| site.address(at, it)).collect();
        Self {
            draw: draw.to_owned(),
            bets,
            folder,
            addresses: addresses.join(","),
            centrals: centrals.into_iter().map(Some).collect(),
            agencies: Vec::new(),
            count: agencies,
        }
    }

    /// Starts the next agency.
    pub(crate) fn start_agency(&mut self, site: &Site) {
        let agency = u32::try_from(self.agencies.len()).expect("few") + 1;
        let log = File::create(self.log_of(agency)).expect("a file");
        let mut command = Command::new(binary("client"));
        command
            .env_clear()
            .env("CLI_ID", agency.to_string())
            .env("CLI_DRAW", &self.draw)
            .env("CLI_DATA_PATH", self.input_of(agency))
            .env("CLI_SERVER_ADDRESS", &self.addresses)
            .env("CLI_LOG_LEVEL", "DEBUG")
            .env("CLI_LOG_FORMAT", "json")
            .env("CLI_RESPONSE_TIMEOUT", "1s")
            // Of one that was done before its central was lost.
            .env("CLI_DRAW_WAIT", "5s");
        let mut command = site.agency(command);
        let child = command.stdin(Stdio::null()).stdout(log).spawn().expect("the agency starts");
        self.agencies.push(child);
    }

    fn input_of(&self, agency: u32) -> PathBuf {
        self.folder.path().join(format!("agency-{agency}.csv"))
    }

    fn log_of(&self, agency: u32) -> PathBuf {
        self.folder.path().join(format!("agency-{agency}.log"))
    }

    fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.count
    }

    /// What an agency has logged so far.
    pub(crate) fn log(&self, agency: u32) -> String {
        std::fs::read_to_string(self.log_of(agency)).expect("text")
    }

    /// Waits until an agency has had so many batches confirmed.
    pub(crate) fn wait_for_batches(&self, agency: u32, count: usize) {
        wait_until("batches are confirmed", || confirmed(&self.log(agency)) >= count);
    }

    /// Waits until an agency has a batch confirmed, or its winners.
    pub(crate) fn wait_for_progress(&self, agency: u32) {
        self.wait_for_more(agency, 1);
    }

    /// Waits until an agency of each central has had so many more batches confirmed, or its winners.
    pub(crate) fn wait_for_more_batches(&self, count: usize) {
        self.numbers().take(CENTRALS).for_each(|agency| self.wait_for_more(agency, count));
    }

    fn wait_for_more(&self, agency: u32, count: usize) {
        let before = confirmed(&self.log(agency));
        wait_until("an agency makes progress", || {
            let log = self.log(agency);
            confirmed(&log) >= before + count || log.contains(HAS_WINNERS)
        });
    }

    /// Index of the central that an agency was connected to last.
    pub(crate) fn central_of(&self, agency: u32) -> usize {
        let log = self.log(agency);
        let connected = log.lines().rev().find(|line| line.contains(CONNECTED));
        let connected = connected.expect("it was connected");
        let mut addresses = self.addresses.split(',');
        let central = addresses.position(|one| connected.contains(&format!("\"{one}\"")));
        central.expect("one of its centrals")
    }

    /// Waits until a central lets an agency in once more, which must be another one; or until it has its
    /// winners, if it had gone elsewhere before.
    pub(crate) fn wait_until_elsewhere(&self, agency: u32) {
        let before = self.log(agency).matches(INTRODUCED).count();
        wait_until("an agency goes elsewhere", || {
            let log = self.log(agency);
            log.matches(INTRODUCED).count() > before || log.contains(HAS_WINNERS)
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
    /// is left says once that the draw was held; it is stored once, and nothing behind it.
    pub(crate) fn check(&mut self, site: &Site) {
        let settings = settings(site, &self.draw, self.count);
        let exported = self.folder.path().join("bets.csv");
        let said = export(site, &settings, &exported);
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
        self.check_draw(site);
        for central in self.centrals.drain(..).flatten() {
            wait_until("a central says that the draw was held", || central.log().contains(DRAWN));
            let log = central.stop();
            assert_eq!(log.matches(DRAWN).count(), 1, "{log}");
        }
    }

    fn check_draw(&self, site: &Site) {
        let prefix = format!("/loteria/{}/", self.draw);
        let mut keys = site.etcd.keys(0, &prefix);
        keys.sort_by_key(|key| key.modified);
        let last = keys.last().expect("there are keys");
        assert_eq!(last.name, format!("{prefix}closed"), "{}: the last to be put", self.draw);
        assert_eq!(last.created, last.modified, "{}: put once", self.draw);
        let alone = keys.iter().filter(|key| key.modified == last.modified).count();
        assert_eq!(alone, 1, "{}: and alone", self.draw);
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
