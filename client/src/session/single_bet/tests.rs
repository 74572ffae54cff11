//! The session of a single bet, response by response.

use super::*;
use wire::{Field, FrameDecoder, Phase};

fn single_bet() -> SingleBet {
    SingleBet::new(1, ["Ana", "Paz", "12345678", "2000-01-01", "7574"].map(Into::into))
}

fn welcome(consumed: Position, checksum: Checksum) -> Response<'static> {
    rejecting(consumed, checksum, 0)
}

fn rejecting(consumed: Position, checksum: Checksum, rejected: u64) -> Response<'static> {
    Response::Welcome { consumed, checksum, rejected, phase: Phase::Open }
}

fn sent_at(out: &[u8]) -> Position {
    let frame = FrameDecoder::default().decode(out).unwrap().unwrap();
    let Ok(Request::Bet(batch)) = Request::decode(frame) else { panic!("no bet: {frame:?}") };
    batch.position
}

#[test]
fn a_bet_goes_behind_those_that_were_sent_before() {
    for consumed in [0, 1, 41] {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let next = session.on_response(&welcome(consumed, Checksum(99)), &mut out).unwrap();
        assert_eq!((next, sent_at(&out)), (Action::AwaitResponse, consumed));
        let next = session.on_response(&Response::Stored { consumed: consumed + 1 }, &mut out);
        assert_eq!(next.unwrap(), Action::Done);
        assert!(session.is_complete());
    }
}

/// As in a file; the central would accept it.
#[test]
fn a_byte_order_mark_in_a_name_is_refused_before_connecting() {
    let mark = "\u{feff}";
    for (names, is_good) in [
        ([format!("{mark}Ana"), "Paz".into()], false),
        (["Ana".into(), format!("Pa{mark}z")], false),
        ([mark.into(), "Paz".into()], false),
        (["Ana".into(), "Paz".into()], true),
    ] {
        let [first, last] = names;
        let fields = [first, last, "1".into(), "2000-01-01".into(), "7".into()];
        let prepared = SingleBet::new(1, fields).checking_first().prepare();
        assert_eq!(prepared.is_ok(), is_good, "{prepared:?}");
    }
}

#[test]
fn a_lost_answer_does_not_store_it_twice() {
    // Bets of the agency that were rejected before don't matter, one more does.
    for (before, after, stored) in [(0, 0, true), (3, 3, true), (0, 1, false), (3, 4, false)] {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let checksum = Checksum(99);
        let _ = session.on_response(&rejecting(5, checksum, before), &mut out).unwrap();
        let checksum = checksum.extended(session.batch.batch(5).encoded);
        out.clear();
        session.on_connect(&mut Vec::new());
        let next = session.on_response(&rejecting(6, checksum, after), &mut out).unwrap();
        assert_eq!((next, out.len()), (Action::Done, 0));
        assert_eq!(session.is_complete(), stored);
    }
}

#[test]
fn a_lost_request_is_sent_again() {
    let (mut session, mut out) = (single_bet(), Vec::new());
    let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
    out.clear();
    session.on_connect(&mut Vec::new());
    let next = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
    assert_eq!((next, sent_at(&out)), (Action::AwaitResponse, 5));
}

#[test]
fn it_is_not_sent_again_when_it_is_in_doubt() {
    let (mut session, mut out) = (single_bet(), Vec::new());
    let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
    out.clear();
    session.on_connect(&mut Vec::new());
    for (consumed, checksum) in [(6, Checksum(1)), (7, Checksum(2))] {
        let failure = session.on_response(&welcome(consumed, checksum), &mut out).unwrap_err();
        assert!(matches!(failure, Failure::InDoubt { position: 5, .. }), "{failure}");
        assert!(out.is_empty() && !session.is_complete());
    }
}

#[test]
fn an_unavailable_storage_is_asked_again() {
    let (mut session, mut out) = (single_bet(), Vec::new());
    let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
    out.clear();
    let full = Response::Unavailable { consumed: 5, reason: "full" };
    assert_eq!(session.on_response(&full, &mut out).unwrap(), Action::BackOff);
    assert_eq!((session.resume(&mut out).unwrap(), sent_at(&out)), (Action::AwaitResponse, 5));
}

#[test]
fn an_answer_to_nothing_is_out_of_order() {
    let failure = single_bet().on_response(&Response::Stored { consumed: 1 }, &mut Vec::new());
    assert!(matches!(failure, Err(Failure::OutOfOrder { .. })));
    // Nor is one owed between UNAVAILABLE and the next attempt, or WELCOME at any time but first.
    let (full, reason) = (Response::Unavailable { consumed: 5, reason: "full" }, "bad");
    let rejected = Response::Rejected { consumed: 6, index: 0, field: Field::Number, reason };
    for (before, then) in [
        (Some(&full), Response::Stored { consumed: 6 }),
        (Some(&full), rejected),
        (Some(&full), full),
        (None, welcome(5, Checksum(99))),
        (None, Response::Finished { stored: 6, rejected: 0 }),
    ] {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        if let Some(before) = before {
            assert_eq!(session.on_response(before, &mut out).unwrap(), Action::BackOff);
        }
        let failure = session.on_response(&then, &mut out).unwrap_err();
        assert!(matches!(failure, Failure::OutOfOrder { .. }), "{failure}");
        assert_eq!(session.acknowledged(), 0);
    }
}

#[test]
fn an_answer_to_another_bet_is_an_error() {
    let reason = "bad";
    for bad in [
        Response::Stored { consumed: 5 },
        Response::Stored { consumed: u64::MAX },
        Response::Rejected { consumed: 5, index: 0, field: Field::Number, reason },
        Response::Rejected { consumed: 6, index: 1, field: Field::Number, reason },
        Response::Unavailable { consumed: 6, reason },
    ] {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
        let failure = session.on_response(&bad, &mut out).unwrap_err();
        assert!(!failure.is_transient() && !session.is_complete(), "{failure}");
    }
}

#[test]
fn a_welcome_that_cannot_be_is_an_error_and_nothing_is_sent() {
    for (consumed, rejected) in [(u64::MAX, 0), (3, 4), (0, u64::MAX)] {
        let (mut session, mut out) = (single_bet(), Vec::new());
        let welcome = rejecting(consumed, Checksum(99), rejected);
        let failure = session.on_response(&welcome, &mut out).unwrap_err();
        assert!(matches!(failure, Failure::Violation { .. }) && out.is_empty(), "{failure}");
    }
    let (mut session, mut out) = (single_bet(), Vec::new());
    let _ = session.on_response(&welcome(5, Checksum(99)), &mut out).unwrap();
    session.on_connect(&mut Vec::new());
    let failure = session.on_response(&welcome(4, Checksum(98)), &mut out).unwrap_err();
    assert!(matches!(failure, Failure::LostBets { acknowledged: 5, consumed: 4 }), "{failure}");
}

#[test]
fn the_same_first_bet_of_a_second_run_is_confirmed_again() {
    let (mut session, mut out) = (single_bet(), Vec::new());
    let after = Checksum::default().extended(session.batch.batch(0).encoded);
    assert_eq!(session.on_response(&welcome(1, after), &mut out).unwrap(), Action::Done);
    assert!(out.is_empty() && session.is_complete());
}
