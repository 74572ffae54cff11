//! An agency against centrals that say what they must not: every kind of response in every stage,
//! responses of the right kind with values that can't be, and any responses at all.

use std::collections::VecDeque;
use std::time::Duration;

use client::session::agency::{Agency, Pace};
use client::session::agency_session::{Action, AgencySession};
use client::session::failure::Failure;
use client::source::memory_source::MemorySource;
use proptest::prelude::*;
use wire::field::FIELDS;
use wire::{
    BatchBuilder, Bet, Checksum, ErrorCode, Field, FrameDecoder, Phase, Push, Request, Response,
    WinnersBuilder,
};

/// Bets of the agency, two in a batch, two batches under way.
const BETS: usize = 5;

fn row(index: usize) -> [Vec<u8>; FIELDS] {
    ["Ana", "Paz", &index.to_string(), "2000-01-01", "7574"].map(|field| field.as_bytes().to_vec())
}

fn agency(period: Duration) -> Agency<MemorySource> {
    let pace = Pace { max_amount: 2, window: 2, period };
    Agency::new(1, pace, MemorySource::new((0..BETS).map(row).collect()))
}

/// The checksum of the first so many bets.
fn checksum(count: usize) -> Checksum {
    let mut batch = BatchBuilder::new();
    for fields in (0..count.min(BETS)).map(row) {
        let bet = Bet::from_fields(fields.each_ref().map(Vec::as_slice));
        assert_eq!(batch.push(&bet), Ok(Push::Added));
    }
    Checksum::default().extended(batch.batch(0).encoded)
}

fn bytes(response: &Response<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    response.encode(&mut out);
    out
}

fn welcome(consumed: usize, rejected: u64, phase: Phase) -> Vec<u8> {
    let checksum = checksum(consumed);
    bytes(&Response::Welcome { consumed: consumed as u64, checksum, rejected, phase })
}

fn stored(consumed: u64) -> Vec<u8> {
    bytes(&Response::Stored { consumed })
}

fn rejected(consumed: u64, index: u16) -> Vec<u8> {
    bytes(&Response::Rejected { consumed, index, field: Field::Number, reason: "bad" })
}

fn unavailable(consumed: u64) -> Vec<u8> {
    bytes(&Response::Unavailable { consumed, reason: "full" })
}

fn finished(stored: u64, rejected: u64) -> Vec<u8> {
    bytes(&Response::Finished { stored, rejected })
}

fn winners(documents: &[&str], last: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = WinnersBuilder::new(&mut out);
    assert!(documents.iter().all(|document| frame.push(document.as_bytes())));
    frame.finish(last);
    out
}

fn error(code: ErrorCode) -> Vec<u8> {
    bytes(&Response::Error { code, reason: "because" })
}

/// Gives the agency one response.
fn respond(
    agency: &mut Agency<MemorySource>,
    frame: &[u8],
    out: &mut Vec<u8>,
) -> Result<Action, Failure> {
    let frame = FrameDecoder::default().decode(frame).expect("a frame").expect("a whole one");
    agency.on_response(&Response::decode(frame).expect("a response"), out)
}

/// A new agency that was given these responses, all of them right in their stage.
fn after(period: Duration, responses: &[Vec<u8>]) -> Agency<MemorySource> {
    let (mut agency, mut out) = (agency(period), Vec::new());
    agency.on_connect(&mut out);
    for response in responses {
        let next = respond(&mut agency, response, &mut out).expect("it fits the stage");
        if next == Action::Pause(period) {
            continue;
        }
        assert!(matches!(next, Action::AwaitResponse | Action::BackOff), "{next:?}");
    }
    agency
}

/// What a response comes to.
fn outcome(result: &Result<Action, Failure>) -> char {
    match result {
        Ok(_) => 'y',
        Err(failure) if failure.is_transient() => 'r',
        Err(Failure::Refused { .. } | Failure::RefusedUnknown { .. }) => 'f',
        Err(Failure::OutOfOrder { .. } | Failure::Violation { .. }) => '-',
        Err(other) => panic!("{other}"),
    }
}

/// `y`: it is taken; `-`: an error that ends the run; `f`: the central's refusal ends the run; `r`:
/// the agency calls again.
///
/// Responses, each with the values that it would have in its stage: WELCOME, STORED, REJECTED,
/// UNAVAILABLE, FINISHED, WINNERS with more to come, WINNERS with the last, ERROR that may pass, ERROR
/// that doesn't, ERROR of another version.
#[test]
fn every_response_in_every_stage() {
    let (now, then) = (Duration::ZERO, Duration::from_secs(1));
    let sent = || vec![welcome(0, 0, Phase::Open)];
    let all_stored = || [sent(), vec![stored(2), stored(4), stored(5)]].concat();
    let ended = || [all_stored(), vec![finished(5, 0)]].concat();
    let listed = || [ended(), vec![winners(&["1"], false)]].concat();
    let with = |mut responses: Vec<Vec<u8>>, one: Vec<u8>| {
        responses.push(one);
        responses
    };
    for (stage, period, responses, position, expected) in [
        ("introducing", now, vec![], 0, "y------rff"),
        ("sending", now, sent(), 2, "-yyy---rff"),
        ("set_back", now, with(sent(), unavailable(0)), 2, "---y---rff"),
        ("sending", then, with(sent(), stored(2)), 4, "-------rff"),
        ("sending", then, with(sent(), unavailable(0)), 2, "-------rff"),
        ("ending", now, all_stored(), 5, "---yy--rff"),
        ("ending", now, with(all_stored(), unavailable(5)), 5, "-------rff"),
        ("waiting_for_draw", now, ended(), 5, "---y-yyrff"),
        ("waiting_for_draw", now, with(ended(), unavailable(5)), 5, "-------rff"),
        ("reading_winners", now, listed(), 5, "-----yyrff"),
    ] {
        let held = if matches!(stage, "sending" | "set_back") { 0 } else { 5 };
        let found = [
            welcome(0, 0, Phase::Open),
            stored(position),
            rejected(position, 0),
            unavailable(held),
            finished(5, 0),
            winners(&["2"], false),
            winners(&[], true),
            error(ErrorCode::ShuttingDown),
            error(ErrorCode::UnknownAgency),
            bytes(&Response::UnknownError { code: 99, reason: "a reason of tomorrow" }),
        ]
        .map(|response| {
            let mut agency = after(period, &responses);
            assert_eq!(agency.stage(), stage);
            outcome(&respond(&mut agency, &response, &mut Vec::new()))
        });
        assert_eq!(String::from_iter(found), expected, "{stage}");
    }
}

/// After these responses, a bad one is final, and the failure says what was expected.
fn fails(responses: &[Vec<u8>], bad: &[u8], expected: &str) {
    let mut agency = after(Duration::ZERO, responses);
    let failure = respond(&mut agency, bad, &mut Vec::new()).expect_err(expected);
    assert!(!failure.is_transient(), "{failure}");
    assert!(failure.to_string().contains(expected), "{failure}");
}

/// Right kinds in their stages, with values that can't be: each an error that says what was expected.
#[test]
fn values_that_cannot_be() {
    let sent = || vec![welcome(0, 0, Phase::Open)];
    let all_stored = || [sent(), vec![stored(2), stored(4), stored(5)]].concat();
    let all_but_two = || [sent(), vec![stored(2), rejected(4, 1), stored(5)]].concat();
    for (responses, bad, expected) in [
        (vec![], welcome(0, 1, Phase::Open), "expected at most 0 rejected bets"),
        (
            vec![],
            welcome(6, 0, Phase::Open),
            "has consumed 6 bets of this agency, the input has only 5",
        ),
        (
            vec![],
            welcome(0, 0, Phase::Drawn),
            "the lottery has been drawn, and takes no more bets: the central has 0",
        ),
        (sent(), stored(0), "STORED: expected 2 bets consumed, found 0"),
        (sent(), stored(4), "STORED: expected 2 bets consumed, found 4"),
        (sent(), stored(u64::MAX), "STORED: expected 2 bets consumed, found 18446744073709551615"),
        (sent(), rejected(4, 0), "REJECTED: expected 2 bets consumed, found 4"),
        (
            sent(),
            rejected(2, 2),
            "REJECTED: expected the index of one of the batch's 2 bets, from 0, found 2",
        ),
        (sent(), unavailable(2), "UNAVAILABLE: expected 0 bets consumed, found 2"),
        (sent(), unavailable(99), "UNAVAILABLE: expected 0 bets consumed, found 99"),
        (all_stored(), unavailable(4), "UNAVAILABLE: expected 5 bets consumed, found 4"),
        (
            all_stored(),
            finished(4, 1),
            "FINISHED: expected 5 bets stored and 0 rejected, as it has acknowledged one by one, found 4 and 1",
        ),
        (all_stored(), finished(6, 0), "FINISHED: expected 5 bets stored and 0 rejected"),
        (all_but_two(), finished(5, 0), "FINISHED: expected 3 bets stored and 2 rejected"),
    ] {
        fails(&responses, &bad, expected);
    }
}

/// Lists of winners that can't be.
#[test]
fn winners_that_cannot_be() {
    let stored = vec![welcome(0, 0, Phase::Open), stored(2), stored(4), stored(5)];
    let ended = [stored, vec![finished(5, 0)]].concat();
    let many = vec!["1"; BETS + 1];
    for (bad, expected) in [
        (winners(&many, false), "WINNERS: expected at most 5 winners, as many as bets are stored"),
        (winners(&many, true), "WINNERS: expected at most 5 winners"),
        (winners(&[], false), "WINNERS: expected a document, or the end of the list"),
        (winners(&["1e5"], true), "WINNERS: expected documents of 1 to 20 digits, found \"1e5\""),
        (winners(&[""], true), "WINNERS: expected documents of 1 to 20 digits, found \"\""),
    ] {
        fails(&ended, &bad, expected);
    }
}

/// What was acknowledged on one connection can't be taken back on the next.
#[test]
fn nothing_goes_back_behind_what_was_acknowledged() {
    let sent = || vec![welcome(0, 0, Phase::Open)];
    let one_rejected = || [sent(), vec![stored(2), rejected(4, 0)]].concat();
    let ended = || [sent(), vec![stored(2), stored(4), stored(5), finished(5, 0)]].concat();
    let one_winner = || [ended(), vec![winners(&["1"], false)]].concat();
    for (responses, next, expected) in [
        (one_rejected(), welcome(4, 2, Phase::Open), None),
        (one_rejected(), welcome(5, 2, Phase::Open), None),
        (
            one_rejected(),
            welcome(2, 0, Phase::Open),
            Some(
                "acknowledged 4 bets of this agency and says now that it has consumed 2: it has lost bets",
            ),
        ),
        (
            one_rejected(),
            welcome(0, 0, Phase::Open),
            Some("it has lost bets, or has another ledger"),
        ),
        (
            one_rejected(),
            welcome(4, 0, Phase::Open),
            Some("expected at least 2 stored and 2 rejected bets"),
        ),
        (
            one_rejected(),
            welcome(5, 4, Phase::Open),
            Some("expected at least 2 stored and 2 rejected bets"),
        ),
        (ended(), welcome(5, 0, Phase::Finished), None),
        (ended(), welcome(5, 0, Phase::Drawn), None),
        (
            ended(),
            welcome(5, 0, Phase::Open),
            Some("expected phase Finished or later, as before, found Open"),
        ),
        (
            one_winner(),
            welcome(5, 0, Phase::Finished),
            Some("expected phase Drawn or later, as before, found Finished"),
        ),
    ] {
        let (mut agency, mut out) = (after(Duration::ZERO, &responses), Vec::new());
        let before = agency.acknowledged();
        agency.on_connect(&mut out);
        match (respond(&mut agency, &next, &mut out), expected) {
            (Ok(_), None) => {}
            (Err(failure), Some(expected)) => {
                assert!(!failure.is_transient(), "{failure}");
                assert!(failure.to_string().contains(expected), "{failure}");
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
        assert!(agency.acknowledged() >= before);
    }
}

/// One response of a central that follows no rule, near enough to what may come to be accepted often.
fn any_response() -> impl Strategy<Value = Vec<u8>> {
    let position = 0..=BETS as u64 + 1;
    let phase =
        prop_oneof![4 => Just(Phase::Open), 1 => Just(Phase::Finished), 1 => Just(Phase::Drawn)];
    let document = prop_oneof![9 => "[0-9]{1,9}", 1 => any::<String>()];
    prop_oneof![
        3 => (0..=BETS + 1, 0..3_u64, phase).prop_map(|(at, lost, phase)| welcome(at, lost, phase)),
        9 => position.clone().prop_map(stored),
        3 => (position.clone(), 0..3_u16).prop_map(|(at, index)| rejected(at, index)),
        3 => position.clone().prop_map(unavailable),
        3 => (position, 0..3_u64).prop_map(|(stored, lost)| finished(stored, lost)),
        3 => (prop::collection::vec(document, 0..3), any::<bool>()).prop_map(|(documents, last)| {
            let fit = documents.iter().filter(|document| document.len() < 256);
            winners(&fit.map(String::as_str).collect::<Vec<_>>(), last)
        }),
        1 => any::<u8>().prop_map(|code| {
            let code = ErrorCode::try_from(code % 24).unwrap_or(ErrorCode::Gap);
            error(code)
        }),
    ]
}

/// What a central does next.
#[derive(Debug, Clone)]
enum Step {
    /// It takes what it was sent last and hasn't answered.
    Take,
    /// It rejects it.
    Reject,
    /// It can't store.
    Hold,
    /// It says anything.
    Respond(Vec<u8>),
    /// It says nothing until the agency has waited long enough.
    Wait,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => Just(Step::Take),
        2 => Just(Step::Reject),
        2 => Just(Step::Hold),
        4 => any_response().prop_map(Step::Respond),
        4 => Just(Step::Wait),
    ]
}

/// A central as it should be, as long as its steps are.
#[derive(Debug, Default)]
struct Model {
    consumed: u64,
    rejected: u64,
    ended: bool,
    /// Requests that aren't answered: their kind, and of a batch where it begins and ends.
    owed: VecDeque<(u8, u64, u64)>,
}

impl Model {
    fn sent(&mut self, mut requests: &[u8]) {
        while let Some(frame) = FrameDecoder::default().decode(requests).expect("frames") {
            requests = &requests[frame.used()..];
            let (begin, end) = match Request::decode(frame).expect("a request") {
                Request::Batch(batch) => (batch.position, batch.end().expect("a few bets")),
                Request::End { total } => {
                    assert_eq!(total, BETS as u64, "the end before all is sent");
                    (total, total)
                }
                _ => (0, 0),
            };
            self.owed.push_back((frame.kind, begin, end));
        }
    }

    /// What it says in this step, if there is anything to say.
    fn respond_to(&self, step: &Step) -> Option<Vec<u8>> {
        let phase = if self.ended { Phase::Finished } else { Phase::Open };
        let consumed = usize::try_from(self.consumed).expect("small");
        match (step, self.owed.front()?) {
            (Step::Respond(response), _) => Some(response.clone()),
            (Step::Wait, _) => None,
            (_, (0x01, ..)) => Some(welcome(consumed, self.rejected, phase)),
            (Step::Hold, _) => Some(unavailable(self.consumed)),
            (_, (0x03, begin, _)) if *begin != self.consumed => Some(unavailable(self.consumed)),
            (Step::Reject, (0x03, _, end)) => Some(rejected(*end, 0)),
            (_, (0x03, _, end)) => Some(stored(*end)),
            (_, (0x04, ..)) => Some(finished(self.consumed - self.rejected, self.rejected)),
            _ => Some(winners(&["1"], self.consumed > self.rejected)),
        }
    }

    /// The agency has taken this response: it must be one to the oldest request that has none.
    fn taken(&mut self, response: &[u8]) {
        let frame =
            FrameDecoder::default().decode(response).expect("a frame").expect("a whole one");
        let (kind, begin, end) = *self.owed.front().expect("a response to nothing was accepted");
        match (Response::decode(frame).expect("a response"), kind) {
            (Response::Welcome { consumed, rejected, phase, .. }, 0x01) => {
                // It may have been made up, as long as nothing is taken back.
                assert!(consumed >= self.consumed && rejected >= self.rejected);
                assert!(!self.ended || phase != Phase::Open);
                (self.consumed, self.rejected) = (consumed, rejected);
                self.ended |= phase != Phase::Open;
            }
            (Response::Stored { consumed }, 0x03) => {
                assert_eq!((self.consumed, consumed), (begin, end));
                self.consumed = end;
            }
            (Response::Rejected { consumed, index, .. }, 0x03) => {
                assert_eq!((self.consumed, consumed), (begin, end));
                assert!(u64::from(index) < end - begin);
                self.consumed = end;
                self.rejected += end - begin;
            }
            (Response::Unavailable { consumed, .. }, 0x03..=0x05) => {
                assert_eq!(consumed, self.consumed);
            }
            (Response::Finished { stored, rejected }, 0x04) => {
                assert_eq!((stored + rejected, rejected), (self.consumed, self.rejected));
                self.ended = true;
            }
            (Response::Winners(list), 0x05) if !list.last => {
                assert!(list.count() > 0, "a list without end");
                return;
            }
            (Response::Winners(_), 0x05) => {}
            (found, kind) => panic!("request {kind} was answered with {found:?}"),
        }
        self.owed.pop_front();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Whatever a central says, over however many connections: only what it was asked is taken as a
    /// response, nothing that was acknowledged is taken back, and an agency that thinks that all is well
    /// had each bet acknowledged.
    #[test]
    fn any_central_at_all(
        connections in prop::collection::vec(prop::collection::vec(any_step(), 0..24), 1..6),
    ) {
        let (mut agency, mut model) = (agency(Duration::ZERO), Model::default());
        for steps in connections {
            let (mut out, mut listed, mut waits) = (Vec::new(), 0, false);
            agency.on_connect(&mut out);
            model.owed.clear();
            for step in steps {
                model.sent(&std::mem::take(&mut out));
                let acknowledged = agency.acknowledged();
                let response = match (&step, model.respond_to(&step)) {
                    (Step::Respond(response), None) => response.clone(),
                    (_, Some(response)) => response,
                    (_, None) if waits => {
                        let next = agency.resume(&mut out).expect("nothing was said");
                        waits = matches!(next, Action::Yield | Action::BackOff);
                        continue;
                    }
                    (_, None) => continue,
                };
                let Ok(next) = respond(&mut agency, &response, &mut out) else {
                    prop_assert!(!agency.is_complete());
                    break;
                };
                model.taken(&response);
                listed = if response[1] == 0x86 { listed + 1 } else { 0 };
                prop_assert!(listed <= BETS + 1, "a list without end");
                prop_assert!(agency.acknowledged() >= acknowledged);
                waits = matches!(next, Action::Yield | Action::BackOff);
                if next == Action::Done {
                    prop_assert_eq!(agency.acknowledged(), BETS as u64 + 2);
                    prop_assert_eq!(model.consumed, BETS as u64);
                    prop_assert!(agency.winners() <= model.consumed - model.rejected);
                    prop_assert_eq!(agency.is_complete(), model.rejected == 0);
                    return Ok(());
                }
            }
        }
    }
}
