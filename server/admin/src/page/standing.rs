//! What a status means to a person: how each agency stands, what is wrong, what the draw waits for.
//!
//! Knows the lottery's rules no better than [`Status`] tells, and nothing of HTML. `page.js` judges by
//! the same rules.

use std::cmp::Reverse;

use super::words::{self, Words};
use crate::status::{Agency, Phase, Problem, Stage, Status, Usage};

/// How long an agency may send nothing before it is said.
const QUIET_SECONDS: u64 = 60;

/// Of 100 parts of the ledger's limit, from how many on it is nearly full.
const LEDGER_FILLING: u128 = 90;

/// How an agency stands, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It has sent a part, and isn't connected.
    Cut,
    /// It is connected, has sent a part, and nothing came for long.
    Quiet,
    /// Nothing of it is here.
    Waiting,
    /// It is connected and has sent nothing.
    Here,
    /// It sends.
    Sending,
    /// It has sent everything.
    Finished,
    /// The draw was held.
    Drawn,
}

impl State {
    fn of(agency: &Agency, time: f64) -> Self {
        match (agency.phase, agency.connected) {
            (Phase::Drawn, _) => Self::Drawn,
            (Phase::Finished, _) => Self::Finished,
            (Phase::Waiting, true) => Self::Here,
            (Phase::Waiting, false) => Self::Waiting,
            (Phase::Sending, false) => Self::Cut,
            (Phase::Sending, true) if is_quiet(agency, time) => Self::Quiet,
            (Phase::Sending, true) => Self::Sending,
        }
    }

    /// Its name in classes and texts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Quiet => "quiet",
            Self::Waiting => "wait",
            Self::Here => "here",
            Self::Sending => "send",
            Self::Finished => "done",
            Self::Drawn => "won",
        }
    }

    pub(super) fn is_missing(self) -> bool {
        self < Self::Finished
    }
}

fn is_quiet(agency: &Agency, time: f64) -> bool {
    agency.last_progress.is_some_and(|last| words::seconds_between(last, time) > QUIET_SECONDS)
}

/// Whether a person should look at an agency.
pub(super) fn needs_review(agency: &Agency, state: State) -> bool {
    state <= State::Quiet || agency.rejected > 0
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Nothing is wrong.
    Good,
    /// It will be, or is for one agency.
    Warning,
    /// Bets aren't taken.
    Bad,
}

impl Level {
    /// Its name in the document.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// Something that is wrong: how bad, the key of its text, and the agencies that it is about.
struct Issue {
    level: Level,
    key: &'static str,
    agencies: Vec<u32>,
}

impl Issue {
    fn new(level: Level, key: &'static str) -> Self {
        Self { level, key, agencies: Vec::new() }
    }

    fn say(&self, words: &Words) -> String {
        if self.agencies.is_empty() {
            words.say(self.key).to_owned()
        } else {
            words.of_agencies(self.key, &self.agencies)
        }
    }
}

/// A status, judged.
pub(super) struct Standing<'a> {
    pub(super) status: &'a Status,
    states: Vec<State>,
    issues: Vec<Issue>,
}

impl<'a> Standing<'a> {
    pub(super) fn of(status: &'a Status) -> Self {
        let mut standing = Self {
            status,
            states: status.agencies.iter().map(|agency| State::of(agency, status.time)).collect(),
            issues: Vec::new(),
        };
        standing.issues = standing.find_issues();
        standing
    }

    pub(super) fn by_number(&self) -> impl Iterator<Item = (&'a Agency, State)> {
        self.status.agencies.iter().zip(self.states.iter().copied())
    }

    /// The agencies, those that a person should look at first.
    pub(super) fn by_urgency(&self) -> Vec<(&'a Agency, State)> {
        let mut agencies: Vec<_> = self.by_number().collect();
        agencies
            .sort_by_key(|(agency, state)| (!needs_review(agency, *state), *state, agency.agency));
        agencies
    }

    pub(super) fn count(&self, counts: impl Fn(&Agency, State) -> bool) -> u64 {
        self.by_number().map(|(agency, state)| u64::from(counts(agency, state))).sum()
    }

    fn numbers(&self, counts: impl Fn(State) -> bool) -> Vec<u32> {
        self.by_number()
            .filter(|(_, state)| counts(*state))
            .map(|(agency, _)| agency.agency)
            .collect()
    }

    /// Everything that is wrong, the worst first.
    fn find_issues(&self) -> Vec<Issue> {
        let status = self.status;
        let mut issues: Vec<Issue> =
            status.problems.iter().map(|problem| issue_of(*problem)).collect();
        if is_filling(&status.ledger) && !status.problems.contains(&Problem::LedgerFull) {
            issues.push(Issue::new(Level::Warning, "ledger_filling"));
        }
        if !status.ready
            && issues.iter().all(|issue| issue.level < Level::Bad && !is_why(issue.key))
        {
            issues.push(Issue::new(Level::Bad, "not_ready"));
        }
        for (key, state) in [("cut", State::Cut), ("quiet", State::Quiet)] {
            let agencies = self.numbers(|of| of == state);
            if !agencies.is_empty() {
                issues.push(Issue { agencies, ..Issue::new(Level::Warning, key) });
            }
        }
        issues.sort_by_key(|issue| Reverse(issue.level));
        issues
    }

    pub(super) fn level(&self) -> Level {
        self.issues.first().map_or(Level::Good, |issue| issue.level)
    }

    /// The verdict: the worst that is wrong, or that all is well.
    pub(super) fn headline(&self, words: &Words) -> String {
        self.issues.first().map_or_else(|| words.say("good").to_owned(), |issue| issue.say(words))
    }

    /// What else is wrong.
    pub(super) fn also(&self, words: &Words) -> String {
        let others: Vec<String> =
            self.issues.iter().skip(1).map(|issue| issue.say(words)).collect();
        others.join(" ")
    }

    /// What the draw waits for.
    pub(super) fn waits(&self, words: &Words) -> String {
        let lottery = &self.status.lottery;
        match (lottery.stage, lottery.drawn) {
            (Stage::Echo, _) => words.say("echo").to_owned(),
            (Stage::Drawn, None) => words.say("drawn").to_owned(),
            (Stage::Drawn, Some(time)) => words.with("drawn_at", &[("clock", &words::clock(time))]),
            // Nothing is known of it yet.
            (Stage::Open, _) if lottery.agencies == 0 => String::new(),
            (Stage::Open, _) => missing(&self.numbers(State::is_missing), words),
        }
    }
}

fn missing(agencies: &[u32], words: &Words) -> String {
    if agencies.is_empty() {
        return words.say("missing_none").to_owned();
    }
    words.of_agencies("missing", agencies)
}

fn issue_of(problem: Problem) -> Issue {
    match problem {
        Problem::Stopping => Issue::new(Level::Warning, "stopping"),
        Problem::Recovering => Issue::new(Level::Warning, "recovering"),
        Problem::StorageFailing => Issue::new(Level::Bad, "storage_failing"),
        Problem::LedgerFull => Issue::new(Level::Bad, "ledger_full"),
        Problem::ConnectionsFull => Issue::new(Level::Bad, "connections_full"),
        Problem::CertificateExpired => Issue::new(Level::Bad, "certificate_expired"),
        Problem::CertificateExpiring => Issue::new(Level::Warning, "certificate_expiring"),
        Problem::LogDropped => Issue::new(Level::Warning, "log_dropped"),
    }
}

/// Whether this alone is why no bets are taken.
fn is_why(key: &str) -> bool {
    matches!(key, "stopping" | "recovering")
}

/// Whether a ledger with a limit has little room left.
fn is_filling(ledger: &Usage) -> bool {
    let Some(limit) = ledger.limit else { return false };
    u128::from(ledger.bytes) * 100 >= u128::from(limit) * LEDGER_FILLING
}
