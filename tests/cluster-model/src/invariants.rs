//! What must hold, in every state and in the end.
//!
//! It must not know how a state came about.
//!
//! A backup that is restored takes back what was promised since: only what the store says of itself
//! must hold afterwards.

use stateright::Property;

use crate::agency::{Bet, Phase};
use crate::central::{Central, Service};
use crate::lottery::Lottery;
use crate::request::Purpose;
use crate::state::State;
use crate::store::{Account, AgencyId};
use crate::world::SESSIONS_MAX;

/// Bets that were confirmed to an agency are in the store.
pub const CONFIRMED_IS_STORED: &str = "what was confirmed is stored";
/// An agency's bets are in the store once each, and in order.
pub const ONCE_AND_IN_ORDER: &str = "bets are stored once and in order";
/// Every account says what is stored of its agency.
pub const ACCOUNTS_EQUAL_BETS: &str = "accounts equal what is stored";
/// Nothing is put once the draw was held.
pub const NOTHING_AFTER_CLOSED: &str = "nothing is stored after the draw";
/// `closed` is put once.
pub const ONE_DRAW: &str = "the draw is held once";
/// `closed` is put when all agencies have finished.
pub const ALL_HAVE_FINISHED: &str = "the draw is held when all agencies have finished";
/// All centrals announce the same draw.
pub const SAME_DRAW: &str = "every central announces the same draw";
/// An agency gets its own winners, and all of them.
pub const WINNERS: &str = "winners are complete and the agency's own";
/// A central whose session is the account's knows the account; so no agency was told that something
/// isn't stored that is, or may be yet.
pub const FENCE: &str = "who has the session knows what is stored";
/// No HELLO is tried again without end.
pub const HELLO_ENDS: &str = "every HELLO comes to an end";
/// No agency is told what can't be.
pub const NO_CONTRADICTION: &str = "no agency is told what can't be";
/// Nothing is put below the prefix of a deleted draw.
pub const STAYS_DELETED: &str = "a deleted draw stays deleted";
/// Every run ends with all agencies having their winners.
pub const EVERYBODY_FINISHES: &str = "every agency gets its winners";
/// Every run ends so, or with all centrals having noticed that the draw was deleted.
pub const DELETION_IS_NOTICED: &str = "every agency gets its winners, or all centrals stop";
/// There is a run in which all faults happen and all agencies get their winners.
pub const DRAW_DESPITE_FAULTS: &str = "the draw is held after all faults";
/// There is a run in which the draw is deleted and all centrals notice.
pub const ALL_STOP: &str = "all centrals stop";

/// A central that counted before a backup was restored closes after it.
pub const EARLY_DRAW: &str = "a restored backup lets the draw come before all have finished";

/// What must hold of `lottery`.
pub fn of(lottery: &Lottery) -> Vec<Property<Lottery>> {
    let mut properties = vec![
        Property::always(ONCE_AND_IN_ORDER, is_once_and_in_order),
        Property::always(ACCOUNTS_EQUAL_BETS, do_accounts_equal_bets),
        Property::always(NOTHING_AFTER_CLOSED, |_, state: &State| !state.witness.has_late_put),
    ];
    if lottery.world.is_restored {
        // Why the operator is told to stop all centrals before a backup is restored.
        properties.push(Property::sometimes(EARLY_DRAW, |lottery, state| {
            !have_all_finished(lottery, state)
        }));
        return properties;
    }
    properties.extend([
        Property::always(CONFIRMED_IS_STORED, is_confirmed_stored),
        Property::always(ONE_DRAW, |_, state: &State| state.witness.closes <= 1),
        Property::always(ALL_HAVE_FINISHED, have_all_finished),
        Property::always(SAME_DRAW, |_, state: &State| !state.witness.has_other_draw),
        Property::always(WINNERS, are_winners_right),
        Property::always(FENCE, do_sessions_know),
        Property::always(HELLO_ENDS, |_, state: &State| {
            state.sessions.iter().all(|sessions| *sessions < SESSIONS_MAX)
        }),
        Property::always(NO_CONTRADICTION, |_, state: &State| !has_failed(state)),
    ]);
    if lottery.world.is_deleted {
        properties.extend([
            Property::always(STAYS_DELETED, |_, state: &State| {
                !state.was_deleted || state.store.is_empty()
            }),
            Property::eventually(DELETION_IS_NOTICED, |_, state: &State| {
                is_over(state) || is_dead(state)
            }),
            Property::sometimes(ALL_STOP, |_, state: &State| is_dead(state)),
        ]);
    } else {
        properties.extend([
            Property::eventually(EVERYBODY_FINISHES, |_, state: &State| is_over(state)),
            Property::sometimes(DRAW_DESPITE_FAULTS, |_, state: &State| {
                state.faults_left == 0 && is_over(state)
            }),
        ]);
    }
    properties
}

fn is_over(state: &State) -> bool {
    state.agencies.iter().all(|agency| agency.phase == Phase::Done)
}

fn is_dead(state: &State) -> bool {
    state.centrals.iter().all(|central| central.is_stopped)
}

fn has_failed(state: &State) -> bool {
    state.agencies.iter().any(|agency| agency.phase == Phase::Failed)
}

fn agencies(state: &State) -> std::ops::Range<AgencyId> {
    0..state.agencies.len()
}

fn is_once_and_in_order(_: &Lottery, state: &State) -> bool {
    agencies(state).all(|agency| state.store.bets(agency).is_sorted_by(|one, next| one < next))
}

fn do_accounts_equal_bets(lottery: &Lottery, state: &State) -> bool {
    agencies(state).all(|agency| {
        let account = state.store.account(agency).unwrap_or_default();
        let bets = lottery.positions(agency, account.consumed, |bet| bet != Bet::Invalid);
        let winners = lottery.positions(agency, account.consumed, |bet| bet == Bet::Wins);
        let counts = [account.stored, account.rejected, account.winners].map(usize::from);
        let consumed = usize::from(account.consumed);
        counts == [bets.len(), consumed - bets.len(), winners.len()]
            && state.store.bets(agency) == bets
            && state.store.winners(agency) == winners
    })
}

fn is_confirmed_stored(lottery: &Lottery, state: &State) -> bool {
    state.was_deleted
        || agencies(state).all(|agency| {
            let confirmed = state.agencies[agency].confirmed;
            let expected = lottery.positions(agency, confirmed, |bet| bet != Bet::Invalid);
            state.store.bets(agency).starts_with(&expected)
        })
}

fn have_all_finished(_: &Lottery, state: &State) -> bool {
    state.store.closed().is_none() || state.store.count_finished() == state.agencies.len()
}

fn are_winners_right(lottery: &Lottery, state: &State) -> bool {
    agencies(state).all(|id| {
        let expected = lottery.positions(id, lottery.total(id), |bet| bet == Bet::Wins);
        state.agencies[id].winners.as_ref().is_none_or(|winners| *winners == expected)
    })
}

fn do_sessions_know(_: &Lottery, state: &State) -> bool {
    state.centrals.iter().all(|central| {
        agencies(state).all(|agency| {
            let stored = state.store.account(agency);
            stored.is_none_or(|stored| knows(central, agency, stored))
        })
    })
}

fn knows(central: &Central, agency: AgencyId, stored: Account) -> bool {
    let Some(Service { known, request, .. }) = &central.services[agency] else { return true };
    if request.as_ref().is_some_and(|request| request.purpose == Purpose::Hello) {
        return true;
    }
    let wanted = request.as_ref().map(|request| request.wanted);
    let has_session = known.account.is_some_and(|account| account.session == stored.session);
    !has_session || known.account == Some(stored) || wanted == Some(stored)
}
