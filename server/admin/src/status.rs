//! How the lottery stands, as `/status.json`, the page and its events show it.
//!
//! The fields are an interface: `docs/monitoring.md` documents them, none is renamed or removed. Times
//! are seconds since 1970-01-01 UTC, durations are seconds. No name, no document and no address of an
//! agency is in it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// How the lottery stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// When it was so.
    pub time: f64,
    /// Since when the central runs.
    pub started: f64,
    /// The central's version.
    pub version: &'static str,
    /// Whether it takes bets, as `/readyz` says.
    pub ready: bool,
    /// What is wrong, the worst first; empty when nothing is.
    pub problems: Vec<Problem>,
    /// The lottery as a whole.
    pub lottery: Lottery,
    /// Commits to the ledger.
    pub commits: Commits,
    /// Who is connected.
    pub connections: Connections,
    /// Buffers of all connections together.
    pub buffers: Usage,
    /// Bytes of bets in the ledger.
    pub ledger: Usage,
    /// Each agency of the lottery, by number.
    pub agencies: Vec<Agency>,
}

impl Status {
    /// As JSON, in one line.
    pub fn to_json(&self) -> Vec<u8> {
        // Numbers, texts, lists and names of fields: there is nothing in it that JSON hasn't.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Status {
    /// One of which nothing is known but when it was so: a central that isn't ready, without agencies.
    pub fn unknown(version: &'static str, started: f64, time: f64) -> Self {
        Self {
            time,
            started,
            version,
            ready: false,
            problems: Vec::new(),
            lottery: Lottery {
                stage: Stage::Open,
                agencies: 0,
                finished: 0,
                stored: 0,
                rejected: 0,
                winners: None,
                drawn: None,
                draw: None,
            },
            commits: Commits { count: 0, p50: None, p99: None },
            connections: Connections { open: 0, limit: 0, agencies: 0, admin: 0 },
            buffers: Usage { bytes: 0, limit: None },
            ledger: Usage { bytes: 0, limit: None },
            agencies: Vec::new(),
        }
    }
}

/// Seconds since 1970, as all times of a [`Status`] are; 0 before.
pub fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// How far the lottery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has no agencies: lines are echoed.
    Echo,
    /// Agencies send bets.
    Open,
    /// The draw was held.
    Drawn,
}

/// The lottery as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lottery {
    /// How far it is.
    pub stage: Stage,
    /// Agencies that take part.
    pub agencies: u32,
    /// Of these, those that have sent everything.
    pub finished: u32,
    /// Bets in the ledger.
    pub stored: u64,
    /// Bets in rejected batches.
    pub rejected: u64,
    /// Winning bets of all agencies; none before the draw.
    pub winners: Option<u64>,
    /// When the draw was held, if this process held it.
    pub drawn: Option<f64>,
    /// What the draw is called; none without a name.
    pub draw: Option<String>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The process ends.
    Stopping,
    /// The ledger is still being read: nothing is known of the lottery yet.
    Recovering,
    /// The disk takes nothing: commits fail and are tried again.
    StorageFailing,
    /// The ledger is as large as it may be: no more bets are stored.
    LedgerFull,
    /// No more connections are taken: the limit is reached, or descriptors have run out.
    ConnectionsFull,
    /// A certificate or a revocation list has expired.
    CertificateExpired,
    /// A certificate or a revocation list expires soon.
    CertificateExpiring,
    /// Log lines were dropped because nobody takes them.
    LogDropped,
}

/// Commits to the ledger since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Commits {
    /// How many.
    pub count: u64,
    /// Half of them took no longer than this; none before the first.
    pub p50: Option<f64>,
    /// 99 of 100 took no longer than this.
    pub p99: Option<f64>,
}

/// Connections at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// All but those of the admin listener.
    pub open: u64,
    /// How many there may be.
    pub limit: u64,
    /// Of these, agencies that have introduced themselves.
    pub agencies: u64,
    /// Connections of the admin listener.
    pub admin: u64,
}

/// How much of something is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes taken.
    pub bytes: u64,
    /// Bytes there may be; none without a limit.
    pub limit: Option<u64>,
}

/// How far an agency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing of it is in the ledger.
    Waiting,
    /// It has bets in the ledger, and will send more.
    Sending,
    /// It has sent everything, and waits for the draw.
    Finished,
    /// The draw was held.
    Drawn,
}

/// An agency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agency {
    /// Its number.
    pub agency: u32,
    /// How far it is.
    pub phase: Phase,
    /// Whether it is connected now.
    pub connected: bool,
    /// Its bets in the ledger.
    pub stored: u64,
    /// Its bets in rejected batches.
    pub rejected: u64,
    /// When something of it was stored, or it ended, last; none in this process.
    pub last_progress: Option<f64>,
    /// Its winning bets; none before the draw.
    pub winners: Option<u64>,
}
