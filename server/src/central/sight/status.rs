//! The central's state as the status that the page shows.

use admin::status::{
    Agency, Commits, Connections, Lottery, Phase, Problem, Stage, Status, Usage, seconds,
};
use admin::view::{NotReady, View as _};

use super::Sight;
use crate::lottery::Account;
use crate::store::Store;

pub(super) fn of<S: Store>(sight: &Sight<'_, S>) -> Status {
    let agencies = agencies(sight);
    Status {
        time: seconds(sight.times.time),
        started: seconds(sight.times.started),
        version: env!("CARGO_PKG_VERSION"),
        ready: sight.readiness().is_ok(),
        problems: problems(sight),
        lottery: lottery(sight, &agencies),
        commits: commits(sight),
        connections: connections(sight),
        buffers: Usage {
            bytes: sight.gauges.buffered_bytes as u64,
            limit: Some(sight.gauges.buffered_bytes_limit as u64),
        },
        ledger: Usage {
            bytes: sight.central.store().rows_len(),
            limit: sight.central.store().max_len(),
        },
        agencies,
    }
}

fn problems<S: Store>(sight: &Sight<'_, S>) -> Vec<Problem> {
    let central = sight.central;
    let (expiries, now) = (sight.expiries(), sight.times.time.into());
    let expired = expiries.iter().any(|expiry| expiry.is_over(now));
    let expiring = expiries.iter().any(|expiry| expiry.is_near(now) && !expiry.is_over(now));
    let not_ready = sight.readiness().err();
    [
        (central.shared.shutting_down, Problem::Stopping),
        (not_ready == Some(NotReady::LedgerFull), Problem::LedgerFull),
        (not_ready == Some(NotReady::StorageFailing), Problem::StorageFailing),
        (central.listener_log.is_paused(), Problem::ConnectionsFull),
        (expired, Problem::CertificateExpired),
        (expiring, Problem::CertificateExpiring),
        (sight.loses_lines, Problem::LogDropped),
    ]
    .into_iter()
    .filter_map(|(is_so, problem)| is_so.then_some(problem))
    .collect()
}

/// Each agency of the lottery: what is durable of it.
fn agencies<S: Store>(sight: &Sight<'_, S>) -> Vec<Agency> {
    let (service, lottery) = (&sight.central.lottery, sight.central.lottery());
    let mut connected: Vec<_> = service.connected().collect();
    connected.sort_unstable();
    (1..=lottery.agencies())
        .map(|agency| {
            let account = lottery.committed().account(agency);
            Agency {
                agency,
                phase: phase(&account, lottery.is_drawn()),
                connected: connected.binary_search(&agency).is_ok(),
                stored: account.stored,
                rejected: account.rejected,
                last_progress: service.tally().last_progress(agency).map(|at| sight.times.unix(at)),
                winners: lottery.is_drawn().then(|| lottery.winning_rows(agency).count),
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

fn lottery<S: Store>(sight: &Sight<'_, S>, agencies: &[Agency]) -> Lottery {
    let lottery = sight.central.lottery();
    let sum = |of: fn(&Agency) -> u64| agencies.iter().map(of).sum();
    Lottery {
        stage: match lottery.agencies() {
            0 => Stage::Echo,
            _ if lottery.is_drawn() => Stage::Drawn,
            _ => Stage::Open,
        },
        agencies: lottery.agencies(),
        finished: count(agencies, |phase| matches!(phase, Phase::Finished | Phase::Drawn)),
        stored: sum(|agency| agency.stored),
        rejected: sum(|agency| agency.rejected),
        winners: lottery.is_drawn().then(|| sum(|agency| agency.winners.unwrap_or_default())),
        drawn: sight.central.lottery.tally().drawn.map(|at| sight.times.unix(at)),
        draw: lottery.draw().map(|name| name.to_string()),
    }
}

fn count(agencies: &[Agency], is_so: impl Fn(Phase) -> bool) -> u32 {
    let found = agencies.iter().filter(|agency| is_so(agency.phase));
    found.count().try_into().unwrap_or(u32::MAX)
}

fn commits<S: Store>(sight: &Sight<'_, S>) -> Commits {
    let durations = sight.central.lottery.commit_durations();
    let quantile = |part| durations.quantile(part).map(|duration| duration.as_secs_f64());
    Commits { count: durations.count(), p50: quantile(0.5), p99: quantile(0.99) }
}

fn connections<S: Store>(sight: &Sight<'_, S>) -> Connections {
    Connections {
        open: sight.gauges.connections as u64,
        limit: sight.gauges.connections_limit as u64,
        agencies: sight.central.lottery.connected().count() as u64,
        admin: sight.lookers as u64,
    }
}
