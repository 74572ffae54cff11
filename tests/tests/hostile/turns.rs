//! How much a central does in a turn, seen from outside.
//!
//! A request of the operator on the connection that is kept is answered in the turn that finds it: the
//! admin listener's connections are served first. So what the loop's thread has worked meanwhile is the
//! work of two turns at most, of the one that was under way and of the one that answered. It is processor
//! time: what else the machine does counts little.
//!
//! How much work the budgets of a turn allow is known from the same run: what all of it has cost, which
//! part of all bytes a turn may move, and which part of all replies a turn may release that have waited
//! for the disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kit::http::{ask, metrics};
use kit::process::processor_time;

use crate::conversation::{HONEST, connect_to};
use crate::operator::RESOURCES;

/// Bytes that a turn may move, where its work is looked at: little, so that a turn without a bound would
/// stand out.
const BUDGET: u32 = 1 << 20;
pub(crate) const SETTING: (&str, &str) = ("SERVER_TURN_BUDGET", "1MiB");

/// Default of `SERVER_MAX_PENDING_REPLIES`: as many leave at once when the disk has caught up.
const PENDING_MAX: f64 = 65_536.0;

/// Turns that an operator's request may see.
const TURNS: f64 = 2.0;

/// How many times more some bytes may cost than all do on average.
const FACTOR: f64 = 4.0;

/// What a central has done so far.
#[derive(Debug)]
struct Done {
    /// Bytes read and written.
    moved: f64,
    /// Replies to batches.
    replies: f64,
    worked: Duration,
    /// The longest turn is no longer than this, in seconds, as the metrics have it.
    longest_turn: String,
}

/// A central whose turns are looked at.
#[derive(Debug)]
pub(crate) struct Turns {
    pid: u32,
    admin: SocketAddr,
    /// What looking at each resource once costs without an attack.
    alone: Duration,
    before: Done,
}

impl Turns {
    /// Of a central that isn't attacked yet.
    pub(crate) fn start(pid: u32, admin: SocketAddr) -> Self {
        let before = done(pid, admin);
        for target in RESOURCES {
            look(admin, target);
        }
        let now = done(pid, admin);
        Self { pid, admin, alone: now.worked.saturating_sub(before.worked), before: now }
    }

    /// What the attack has made of it, of which the operator has seen so much at a time: in words, and
    /// whether it is more than the budget allows.
    pub(crate) fn end(&self, most_work: Duration) -> (String, Option<String>) {
        let now = done(self.pid, self.admin);
        let worked = now.worked.saturating_sub(self.before.worked);
        let share = f64::from(BUDGET) / (now.moved - self.before.moved).max(1.0);
        let replies = now.replies - self.before.replies;
        // An honest agency alone never has as many waiting.
        let released = if replies > PENDING_MAX { PENDING_MAX / replies } else { 0.0 };
        let allowed = self.alone + worked.mul_f64(TURNS * (share + released).min(1.0));
        let exceeded = most_work > allowed.mul_f64(FACTOR);
        let measured = format!(
            "turns of at most {} s; {most_work:.1?} of work in two, of {allowed:.1?}",
            now.longest_turn
        );
        (measured, exceeded.then(|| format!("{most_work:.1?} of work in two turns")))
    }
}

fn look(admin: SocketAddr, target: &str) -> String {
    let mut stream = connect_to(admin, HONEST, |_| Ok(())).expect("it listens");
    ask(&mut stream, target).expect("an answer").body
}

/// The metrics of a central, by their names with labels.
pub(crate) fn look_at_metrics(admin: SocketAddr) -> BTreeMap<String, String> {
    metrics(&look(admin, "/metrics"))
}

fn done(pid: u32, admin: SocketAddr) -> Done {
    let worked = processor_time(pid).expect("it runs");
    let metrics = look_at_metrics(admin);
    let bytes = ["loteria_received_bytes_total", "loteria_sent_bytes_total"];
    let moved = bytes.iter().map(|name| number(&metrics[*name])).sum();
    let batches = metrics.iter().filter(|(name, _)| name.starts_with("loteria_batches_total{"));
    let replies = batches.map(|(_, count)| number(count)).sum();
    Done { moved, replies, worked, longest_turn: longest_turn(&metrics) }
}

fn number(value: &str) -> f64 {
    value.parse().expect("a number")
}

/// The bound of the first bucket that has all turns.
fn longest_turn(metrics: &BTreeMap<String, String>) -> String {
    let all = number(&metrics["loteria_turn_duration_seconds_count"]);
    let buckets = metrics.iter().filter_map(|(name, count)| {
        let bound = name.strip_prefix("loteria_turn_duration_seconds_bucket{le=\"")?;
        Some((bound.strip_suffix("\"}")?, number(count)))
    });
    let holding_all = buckets.filter(|(_, count)| *count >= all).map(|(bound, _)| bound);
    let shortest = holding_all.min_by(|one, other| bound(one).total_cmp(&bound(other)));
    shortest.expect("the last one has all").to_owned()
}

fn bound(text: &str) -> f64 {
    if text == "+Inf" { f64::INFINITY } else { number(text) }
}
