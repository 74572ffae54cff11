//! One agency's requests, and an etcd that is played by the test.

use wire::{BatchBuilder, Bet, Push};

use super::*;

const TO: ConnectionId = ConnectionId::new(1, 1);

/// A lane whose WELCOME has left, of an agency with nothing stored.
fn open() -> Lane {
    let mut lane = Lane::new(1, TO);
    lane.open(Account::default(), false);
    assert!(matches!(pop(&mut lane)[..], [Reply::Welcome(_)]));
    lane
}

fn pop(lane: &mut Lane) -> Vec<Reply> {
    std::iter::from_fn(|| lane.pop_reply()).map(|pending| pending.reply).collect()
}

fn take_bet(lane: &mut Lane, position: Position) {
    let mut builder = BatchBuilder::new();
    let fields = ["Ana", "Paz", "1", "2000-01-01", "7574"].map(str::as_bytes);
    assert_eq!(builder.push(&Bet::from_fields(fields)), Ok(Push::Added));
    let outcome = lane.take(1, &builder.batch(position));
    assert!(matches!(outcome, Ok(BatchOutcome::Stored)), "{outcome:?}");
    queue(lane, Reply::Duplicate { consumed: position + 1 });
}

fn queue(lane: &mut Lane, reply: Reply) {
    lane.queue(PendingReply { to: TO, agency: 1, reply });
}

fn unavailable(consumed: Position) -> Reply {
    Reply::Unavailable { consumed, reason: "full".into(), is_batch: true }
}

#[test]
fn an_unavailable_behind_a_commit_without_effect_says_the_same_position() {
    let mut lane = open();
    take_bet(&mut lane, 0);
    lane.begin(Next::Commit, Instant::now());
    // Another agency's commit has failed meanwhile, and nothing more is tried.
    queue(&mut lane, unavailable(1));
    assert_eq!(pop(&mut lane), []);
    assert!(lane.unavailable(Account::default(), &"full".into()));
    assert_eq!(pop(&mut lane), [unavailable(0), unavailable(0)]);
}

#[test]
fn an_unavailable_behind_a_durable_commit_stays_as_it_is() {
    let mut lane = open();
    take_bet(&mut lane, 0);
    lane.begin(Next::Commit, Instant::now());
    queue(&mut lane, unavailable(1));
    assert!(lane.done().is_some());
    assert_eq!(pop(&mut lane), [Reply::Duplicate { consumed: 1 }, unavailable(1)]);
}

#[test]
fn an_agency_that_has_not_finished_at_the_draw_has_done_so_elsewhere() {
    let (mut lane, mut finished, mut unknown) = (open(), open(), Lane::new(1, TO));
    assert_eq!(finished.end(1, 0), Ok(()));
    assert!(!lane.is_overtaken(), "there is no draw yet");
    for lane in [&mut lane, &mut finished, &mut unknown] {
        lane.draw();
    }
    assert!(lane.is_overtaken());
    assert!(!finished.is_overtaken() && !unknown.is_overtaken());
}
