//! The central's state as metrics.
//!
//! Names and labels are an interface, which `docs/monitoring.md` documents. Counters begin at 0 with the
//! process; what the ledger knows is a gauge. Labels are closed sets, but for the agency, of which only
//! the first so many have metrics of their own.

use std::time::Duration;

use admin::exposition::Exposition;
use admin::status::{Phase, Status};
use admin::view::View as _;
use reactor::{Counters, Histogram};
use runtime::logging;
use tls::expiry::Ending;

use super::CentralView;
use super::cause_names::CAUSE_NAMES;
use crate::central::backend::Backend;
use crate::central::lottery_session::Intake;
use crate::central::session::{Activity, Protocol};
use crate::central::tally::Batches;

pub(super) fn write<B: Backend>(view: &CentralView<'_, B>, out: &mut Exposition) {
    let status = view.status();
    bets(view, out);
    lottery(&status, out);
    agencies(view, &status, out);
    ledger(view, &status, out);
    connections(view, &status, out);
    event_loop(view, out);
    trust(view, out);
    log(view, out);
}

fn bets<B: Backend>(view: &CentralView<'_, B>, out: &mut Exposition) {
    let tally = view.central.lottery.tally();
    out.counter("loteria_bets_stored_total", "Bets stored since the start.").value(tally.stored);
    out.counter("loteria_bets_rejected_total", "Bets in rejected batches since the start.")
        .value(tally.rejected);
    let Batches { stored, rejected, duplicate, unavailable } = tally.batches;
    out.counter("loteria_batches_total", "Batches since the start, by what they came to.")
        .labelled("outcome", "stored", stored)
        .labelled("outcome", "rejected", rejected)
        .labelled("outcome", "duplicate", duplicate)
        .labelled("outcome", "unavailable", unavailable);
    let mut refusals = out.counter(
        "loteria_refusals_total",
        "What peers were refused or cut off for, and waits, since the start, by cause.",
    );
    for (cause, name) in CAUSE_NAMES {
        refusals.labelled("cause", name, view.central.shared.log.total(cause));
    }
}

fn lottery(status: &Status, out: &mut Exposition) {
    let lottery = &status.lottery;
    out.gauge("loteria_ledger_bets", "Bets in the ledger.").value(lottery.stored);
    out.gauge("loteria_ledger_rejected_bets", "Bets in rejected batches, as the ledger knows.")
        .value(lottery.rejected);
    out.gauge("loteria_agencies", "Agencies that take part.").value(lottery.agencies);
    write_draw(lottery.draw.as_deref(), out);
    out.gauge("loteria_draw_done", "Whether the draw was held.").value(lottery.winners.is_some());
    if let Some(drawn) = lottery.drawn {
        out.gauge("loteria_draw_timestamp_seconds", "When this process held the draw.")
            .value(drawn);
    }
    if let Some(winners) = lottery.winners {
        out.gauge("loteria_winners", "Winning bets of all agencies.").value(winners);
    }
}

/// Which draw it is: known also while the ledger is read.
pub(crate) fn write_draw(name: Option<&str>, out: &mut Exposition) {
    out.gauge("loteria_draw_info", "Always 1; the label is the draw's name, empty without one.")
        .labelled("draw", name.unwrap_or_default(), true);
}

fn agencies<B: Backend>(view: &CentralView<'_, B>, status: &Status, out: &mut Exposition) {
    let in_phase = |phase| status.agencies.iter().filter(|agency| agency.phase == phase).count();
    out.gauge("loteria_agencies_by_phase", "Agencies by how far they are.")
        .labelled("phase", "waiting", in_phase(Phase::Waiting))
        .labelled("phase", "sending", in_phase(Phase::Sending))
        .labelled("phase", "finished", in_phase(Phase::Finished))
        .labelled("phase", "drawn", in_phase(Phase::Drawn));
    let shown = status.agencies.iter().take(view.metrics_agencies as usize);
    let mut bets = out.gauge("loteria_agency_bets", "Bets of an agency in the ledger.");
    for agency in shown.clone() {
        bets.labelled("agency", agency.agency, agency.stored);
    }
    let mut rejected = out.gauge(
        "loteria_agency_rejected_bets",
        "Bets of an agency in rejected batches, as the ledger knows.",
    );
    for agency in shown.clone() {
        rejected.labelled("agency", agency.agency, agency.rejected);
    }
    let mut finished =
        out.gauge("loteria_agency_finished", "Whether an agency has sent everything.");
    for agency in shown.clone() {
        let is_finished = matches!(agency.phase, Phase::Finished | Phase::Drawn);
        finished.labelled("agency", agency.agency, is_finished);
    }
    let mut progress = out.gauge(
        "loteria_agency_last_progress_timestamp_seconds",
        "When an agency came further last, if it has since the start.",
    );
    for agency in shown {
        if let Some(at) = agency.last_progress {
            progress.labelled("agency", agency.agency, at);
        }
    }
}

fn ledger<B: Backend>(view: &CentralView<'_, B>, status: &Status, out: &mut Exposition) {
    let backend = view.central.backend();
    out.gauge("loteria_ledger_bytes", "Bytes of bets in the ledger.").value(status.ledger.bytes);
    if let Some(limit) = status.ledger.limit {
        out.gauge("loteria_ledger_bytes_limit", "Bytes of bets that there may be.").value(limit);
    }
    if let Some(position) = backend.wal_position() {
        out.gauge("loteria_wal_position", "Number of the newest durable commit.").value(position);
    }
    histogram(
        out,
        "loteria_commit_duration_seconds",
        "From handing a commit to the disk until it was durable.",
        backend.commit_durations(),
    );
    out.counter("loteria_commit_failures_total", "Commits that the disk didn't take.")
        .value(backend.commit_failures());
    backend.write_metrics(out);
}

fn connections<B: Backend>(view: &CentralView<'_, B>, status: &Status, out: &mut Exposition) {
    let mut counts = [0_u64; ACTIVITIES.len()];
    for activity in view.central.shared.sessions.activities() {
        counts[index_of(activity)] += 1;
    }
    let mut connections =
        out.gauge("loteria_connections", "Open connections by what they speak and do.");
    for ((protocol, state), count) in ACTIVITIES.into_iter().zip(counts) {
        connections.labels(&[("protocol", &protocol), ("state", &state)], count);
    }
    connections.labels(&[("protocol", &"admin"), ("state", &"open")], status.connections.admin);
    out.gauge("loteria_connections_limit", "Connections there may be, admin's apart.")
        .value(status.connections.limit);
    out.gauge("loteria_agencies_connected", "Agencies that have introduced themselves.")
        .value(status.connections.agencies);
    let Counters { accepted, refused, closed, bytes_read, bytes_written, .. } = view.counters;
    for (name, help, value) in [
        (
            "loteria_connections_accepted_total",
            "Connections accepted, admin's among them.",
            accepted,
        ),
        (
            "loteria_connections_refused_total",
            "Peers refused as they came, admin's among them.",
            refused,
        ),
        ("loteria_connections_closed_total", "Connections closed, admin's among them.", closed),
        (
            "loteria_accept_pauses_total",
            "Times that clients had to wait outside, admin's apart.",
            view.central.listener_log.pauses(),
        ),
        ("loteria_received_bytes_total", "Bytes read from sockets.", bytes_read),
        ("loteria_sent_bytes_total", "Bytes written to sockets.", bytes_written),
    ] {
        out.counter(name, help).value(value);
    }
    out.gauge("loteria_buffered_bytes", "Bytes in buffers of all connections, admin's apart.")
        .value(status.buffers.bytes);
    if let Some(limit) = status.buffers.limit {
        out.gauge("loteria_buffered_bytes_limit", "Bytes that all buffers together may have.")
            .value(limit);
    }
}

/// Protocols and states of connections, by [`index_of`]. One that closes has no protocol any more.
const ACTIVITIES: [(&str, &str); 7] = [
    ("unknown", "open"),
    ("unknown", "handshake"),
    ("unknown", "closing"),
    ("echo", "open"),
    ("lottery", "open"),
    ("lottery", "awaiting_storage"),
    ("lottery", "awaiting_winners"),
];

fn index_of(activity: Activity) -> usize {
    match (activity.protocol, activity.intake) {
        (Protocol::Unknown | Protocol::Secured, _) => 0,
        (Protocol::Tls, _) => 1,
        (Protocol::Refused | Protocol::Closing, _) => 2,
        (Protocol::Echo, _) => 3,
        (Protocol::Lottery, Intake::Open) => 4,
        (Protocol::Lottery, Intake::AwaitsStorage) => 5,
        (Protocol::Lottery, Intake::AwaitsWinners) => 6,
    }
}

fn event_loop<B: Backend>(view: &CentralView<'_, B>, out: &mut Exposition) {
    out.counter("loteria_turns_total", "Turns of the loop.").value(view.counters.turns);
    out.counter("loteria_idle_turns_total", "Turns in which nothing happened.")
        .value(view.counters.idle_turns);
    histogram(
        out,
        "loteria_turn_duration_seconds",
        "How long turns took, from the events until the next wait.",
        &view.turn_durations,
    );
}

fn histogram<const N: usize>(
    out: &mut Exposition,
    name: &'static str,
    help: &str,
    histogram: &Histogram<N>,
) {
    let buckets = histogram.cumulative().map(|(bound, count)| (seconds(bound), count));
    out.histogram(name, help).observed(buckets, histogram.count(), histogram.sum().as_secs_f64());
}

/// Exactly what the bound was written as: a sum of whole seconds and a rest isn't.
fn seconds(bound: Duration) -> f64 {
    f64::from(u32::try_from(bound.as_micros()).unwrap_or(u32::MAX)) / 1e6
}

fn trust<B: Backend>(view: &CentralView<'_, B>, out: &mut Exposition) {
    let mut ends = out.gauge(
        "loteria_certificate_expiry_timestamp_seconds",
        "When the first certificate, and the first revocation list, ends.",
    );
    let expiries = view.expiries();
    let of_certificates = |what: &Ending| matches!(what, Ending::Certificate(_));
    for (kind, is_certificate) in [("certificate", true), ("revocation_list", false)] {
        let of_kind = expiries.iter().filter(|end| of_certificates(&end.what) == is_certificate);
        if let Some(first) = of_kind.map(|end| end.at).min() {
            ends.labelled("kind", kind, u64::try_from(first.unix()).unwrap_or_default());
        }
    }
}

fn log<B: Backend>(view: &CentralView<'_, B>, out: &mut Exposition) {
    out.counter(
        "loteria_log_lines_dropped_total",
        "Log lines that were lost: the output took none.",
    )
    .value(logging::dropped_lines());
    out.counter("loteria_log_lines_counted_total", "Log lines that were counted, not logged.")
        .value(view.central.shared.log.counted());
}
