//! The central's state as the status that the page shows.

use std::time::Duration;

use admin::status::{
    Agency, Commits, Connections, Lottery, Phase, Problem, Stage, Status, Usage, seconds,
};
use admin::view::{NotReady, View as _};

use super::CentralView;
use crate::central::backend::Backend;
use crate::lottery::Account;
use crate::store::Terms;

/// How long an agency counts as connected after it was seen to come further at another central, which alone
/// knows whether it is: as long as the page takes silence for nothing special.
const CONNECTED_ELSEWHERE: Duration = Duration::from_mins(1);

pub(super) fn of<B: Backend>(view: &CentralView<'_, B>) -> Status {
    let agencies = agencies(view);
    let (bytes, limit) = view.central.backend().usage();
    Status {
        time: seconds(view.times.time),
        started: seconds(view.times.started),
        version: env!("CARGO_PKG_VERSION"),
        ready: view.readiness().is_ok(),
        problems: problems(view),
        lottery: lottery(view, &agencies),
        commits: commits(view),
        connections: connections(view),
        buffers: Usage {
            bytes: view.gauges.buffered_bytes as u64,
            limit: Some(view.gauges.buffered_bytes_limit as u64),
        },
        ledger: Usage { bytes, limit },
        agencies,
    }
}

fn problems<B: Backend>(view: &CentralView<'_, B>) -> Vec<Problem> {
    let central = view.central;
    let (expiries, now) = (view.expiries(), view.times.time.into());
    let expired = expiries.iter().any(|expiry| expiry.is_over(now));
    let expiring = expiries.iter().any(|expiry| expiry.is_near(now) && !expiry.is_over(now));
    let not_ready = view.readiness().err();
    [
        (central.shared.shutting_down, Problem::Stopping),
        (not_ready == Some(NotReady::LedgerFull), Problem::LedgerFull),
        (not_ready == Some(NotReady::StorageFailing), Problem::StorageFailing),
        (central.listener_log.is_paused(), Problem::ConnectionsFull),
        (expired, Problem::CertificateExpired),
        (expiring, Problem::CertificateExpiring),
        (view.loses_lines, Problem::LogDropped),
    ]
    .into_iter()
    .filter_map(|(is_so, problem)| is_so.then_some(problem))
    .collect()
}

/// Each agency of the lottery: what is durable of it.
fn agencies<B: Backend>(view: &CentralView<'_, B>) -> Vec<Agency> {
    let (service, backend) = (&view.central.lottery, view.central.backend());
    let mut connected: Vec<_> = service.connected().collect();
    connected.sort_unstable();
    (1..=backend.terms().agencies)
        .map(|agency| {
            let account = backend.account(agency);
            let elsewhere = backend.progress_elsewhere(agency);
            let is_elsewhere = elsewhere.is_some_and(|at| {
                view.times.moment.saturating_duration_since(at) < CONNECTED_ELSEWHERE
            });
            // Of an agency that came here from another central, the newer of the two.
            let last_progress = service.tally().last_progress(agency).max(elsewhere);
            Agency {
                agency,
                phase: phase(&account, backend.is_drawn()),
                connected: is_elsewhere || connected.binary_search(&agency).is_ok(),
                stored: account.stored,
                rejected: account.rejected,
                last_progress: last_progress.map(|at| view.times.unix(at)),
                winners: backend.winners(agency),
            }
        })
        .collect()
}

fn phase(account: &Account, drawn: bool) -> Phase {
    match account {
        _ if drawn => Phase::Drawn,
        account if account.finished => Phase::Finished,
        account if account.consumed > 0 => Phase::Sending,
        _ => Phase::Waiting,
    }
}

fn lottery<B: Backend>(view: &CentralView<'_, B>, agencies: &[Agency]) -> Lottery {
    let backend = view.central.backend();
    let Terms { agencies: expected, draw } = backend.terms();
    let sum = |of: fn(&Agency) -> u64| agencies.iter().map(of).sum();
    Lottery {
        stage: match expected {
            0 => Stage::Echo,
            _ if backend.is_drawn() => Stage::Drawn,
            _ => Stage::Open,
        },
        agencies: expected,
        finished: count(agencies, |phase| matches!(phase, Phase::Finished | Phase::Drawn)),
        stored: sum(|agency| agency.stored),
        rejected: sum(|agency| agency.rejected),
        winners: backend.is_drawn().then(|| sum(|agency| agency.winners.unwrap_or_default())),
        drawn: view.central.lottery.tally().drawn.map(|at| view.times.unix(at)),
        draw: draw.map(|name| name.to_string()),
    }
}

fn count(agencies: &[Agency], is_so: impl Fn(Phase) -> bool) -> u32 {
    let found = agencies.iter().filter(|agency| is_so(agency.phase));
    found.count().try_into().unwrap_or(u32::MAX)
}

fn commits<B: Backend>(view: &CentralView<'_, B>) -> Commits {
    let durations = view.central.backend().commit_durations();
    let quantile = |part| durations.quantile(part).map(|duration| duration.as_secs_f64());
    Commits { count: durations.count(), p50: quantile(0.5), p99: quantile(0.99) }
}

fn connections<B: Backend>(view: &CentralView<'_, B>) -> Connections {
    Connections {
        open: view.gauges.connections as u64,
        limit: view.gauges.connections_limit as u64,
        agencies: view.central.lottery.connected().count() as u64,
        admin: view.admin_connections as u64,
    }
}
