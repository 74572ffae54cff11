//! The agency's state machine against a model of the central, over a network that loses things.

use std::collections::VecDeque;
use std::time::Duration;

use client::session::agency::{Agency, Pace};
use client::session::agency_session::{Action, AgencySession};
use client::session::failure::Failure;
use client::source::memory_source::MemorySource;
use proptest::prelude::*;
use wire::field::FIELDS;
use wire::{
    Batch, Checksum, Field, FrameDecoder, Phase, Position, Request, Response, WinnersBuilder,
};

type Row = [Vec<u8>; FIELDS];

/// A central that stores in memory and rejects batches with a bet on the number 666.
#[derive(Debug, Default)]
struct Central {
    checksum: Checksum,
    /// Documents in the order in which they were consumed, and whether they were stored.
    consumed: Vec<(Vec<u8>, bool)>,
    winners: Vec<Vec<u8>>,
    finished: bool,
    /// The storage takes nothing.
    full: bool,
    /// A request of this connection had no effect.
    set_back: bool,
}

impl Central {
    fn position(&self) -> Position {
        self.consumed.len() as Position
    }

    fn rejected(&self) -> u64 {
        self.consumed.iter().filter(|(_, stored)| !stored).count() as u64
    }

    fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        let consumed = self.position();
        let unavailable = Response::Unavailable { consumed, reason: "full" };
        match request {
            Request::Hello { .. } => {
                self.set_back = false;
                let phase = if self.finished { Phase::Drawn } else { Phase::Open };
                let (checksum, rejected) = (self.checksum, self.rejected());
                Response::Welcome { consumed, checksum, rejected, phase }.encode(out);
            }
            Request::Batch(batch) if batch.end() <= Some(consumed) => {
                Response::Stored { consumed: batch.end().expect("small") }.encode(out);
            }
            Request::Batch(batch) if batch.position == consumed && !self.full => {
                self.set_back = false;
                self.take(batch, out);
            }
            Request::End { total } if *total == consumed && !self.full => {
                self.finished = true;
                let rejected = self.rejected();
                Response::Finished { stored: consumed - rejected, rejected }.encode(out);
            }
            Request::Batch(_) | Request::End { .. } => {
                assert!(self.full || self.set_back, "out of its order: {request:?}");
                self.set_back = true;
                unavailable.encode(out);
            }
            Request::Winners => {
                assert!(self.finished, "no winner is sent before the draw");
                self.send_winners(out);
            }
            Request::Bet(_) => unreachable!("this mode sends none"),
        }
    }

    fn take(&mut self, batch: &Batch<'_>, out: &mut Vec<u8>) {
        assert!(!self.finished, "nothing follows the end");
        let bets: Vec<_> = batch.bets().map(|bet| bet.expect("whole bets")).collect();
        let bad = bets.iter().position(|bet| bet.number == b"666");
        for bet in &bets {
            self.consumed.push((bet.document.to_vec(), bad.is_none()));
            if bad.is_none() && bet.number == b"7574" {
                self.winners.push(bet.document.to_vec());
            }
        }
        self.checksum = self.checksum.extended(batch.encoded);
        let consumed = self.position();
        match bad {
            None => Response::Stored { consumed }.encode(out),
            Some(index) => {
                let index = u16::try_from(index).expect("small");
                Response::Rejected { consumed, index, field: Field::Number, reason: "bad" }
                    .encode(out);
            }
        }
    }

    /// Two documents a frame, so that lists span frames.
    fn send_winners(&self, out: &mut Vec<u8>) {
        let mut chunks = self.winners.chunks(2).peekable();
        loop {
            let mut frame = WinnersBuilder::new(out);
            for document in chunks.next().unwrap_or_default() {
                assert!(frame.push(document));
            }
            let last = chunks.peek().is_none();
            frame.finish(last);
            if last {
                return;
            }
        }
    }
}

/// Both ends and everything between them.
struct World {
    rows: Vec<Row>,
    agency: Agency<MemorySource>,
    central: Central,
    /// Frames on their way.
    requests: VecDeque<Vec<u8>>,
    responses: VecDeque<Vec<u8>>,
    next: Action,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(usize),
    Answer(usize),
    GoOn,
    Cut,
    Restart(Pace),
    Full(bool),
}

fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut input, mut frames) = (bytes, Vec::new());
    while let Some(frame) = FrameDecoder::default().decode(input).expect("frames") {
        let (one, rest) = input.split_at(frame.used());
        frames.push(one.to_vec());
        input = rest;
    }
    assert!(input.is_empty(), "whole frames");
    frames
}

impl World {
    fn new(rows: Vec<Row>, pace: Pace) -> Self {
        let agency = Agency::new(1, pace, MemorySource::new(rows.clone()));
        let mut world = Self {
            rows,
            agency,
            central: Central::default(),
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            next: Action::AwaitResponse,
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        let mut out = Vec::new();
        self.agency.on_connect(&mut out);
        self.follow(&out, Ok(Action::AwaitResponse));
    }

    fn follow(&mut self, out: &[u8], next: Result<Action, Failure>) {
        self.requests.extend(frames(out));
        self.next = next.expect("nothing here is final");
    }

    fn cut(&mut self) {
        self.requests.clear();
        self.responses.clear();
        self.connect();
    }

    fn deliver(&mut self) {
        let Some(bytes) = self.requests.pop_front() else { return };
        let frame = FrameDecoder::default().decode(&bytes).expect("a frame").expect("whole");
        let mut out = Vec::new();
        self.central.answer(&Request::decode(frame).expect("a request"), &mut out);
        self.responses.extend(frames(&out));
    }

    fn answer(&mut self) {
        let Some(bytes) = self.responses.pop_front() else { return };
        let frame = FrameDecoder::default().decode(&bytes).expect("a frame").expect("whole");
        let mut out = Vec::new();
        let response = Response::decode(frame).expect("a response");
        let next = self.agency.on_response(&response, &mut out);
        self.follow(&out, next);
    }

    fn resume(&mut self) {
        if matches!(self.next, Action::Yield | Action::Pause(_) | Action::BackOff) {
            let mut out = Vec::new();
            let next = self.agency.resume(&mut out);
            self.follow(&out, next);
        }
    }

    fn step(&mut self, step: Step) {
        if self.next == Action::Done {
            return;
        }
        match step {
            Step::Deliver(count) => (0..count).for_each(|_| self.deliver()),
            Step::Answer(count) => (0..count).for_each(|_| self.answer()),
            Step::GoOn => self.resume(),
            Step::Cut => self.cut(),
            Step::Restart(pace) => {
                self.agency = Agency::new(1, pace, MemorySource::new(self.rows.clone()));
                self.cut();
            }
            Step::Full(full) => self.central.full = full,
        }
    }

    /// Nothing goes wrong any more: it must come to its end.
    fn finish(&mut self) {
        self.central.full = false;
        for _ in 0..10_000 {
            if self.next == Action::Done {
                return;
            }
            self.deliver();
            self.answer();
            self.resume();
        }
        panic!("it never ends");
    }
}

fn row(document: usize, number: &str) -> Row {
    ["Ana", "Paz", &document.to_string(), "2000-01-01", number]
        .map(|field| field.as_bytes().to_vec())
}

fn paces() -> impl Strategy<Value = Pace> {
    (1..20_u16, 1..6_usize, prop_oneof![Just(0), Just(1)]).prop_map(
        |(max_amount, window, millis)| Pace {
            max_amount,
            window,
            period: Duration::from_millis(millis),
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1..4_usize).prop_map(Step::Deliver),
        8 => (1..4_usize).prop_map(Step::Answer),
        6 => Just(Step::GoOn),
        1 => Just(Step::Cut),
        1 => paces().prop_map(Step::Restart),
        1 => any::<bool>().prop_map(Step::Full),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is cut, lost, refused for a while or started anew: each bet is consumed once, in
    /// order, and the agency learns the winners and what was rejected.
    #[test]
    fn every_bet_is_consumed_once_and_in_order(
        numbers in prop::collection::vec(
            prop_oneof![6 => Just("1"), 2 => Just("7574"), 1 => Just("666")], 0..80,
        ),
        pace in paces(),
        steps in steps(),
    ) {
        let rows: Vec<_> = (0..).zip(&numbers).map(|(index, number)| row(index, number)).collect();
        let mut world = World::new(rows.clone(), pace);
        for step in steps {
            world.step(step);
        }
        world.finish();
        let consumed: Vec<_> = world.central.consumed.iter().map(|(document, _)| document).collect();
        let sent: Vec<_> = rows.iter().map(|row| &row[2]).collect();
        prop_assert_eq!(consumed, sent);
        prop_assert_eq!(world.agency.winners(), world.central.winners.len() as u64);
        prop_assert_eq!(world.agency.is_complete(), world.central.rejected() == 0);
    }

    /// An input that isn't the one sent before is noticed, and nothing of it is sent.
    #[test]
    fn another_input_is_noticed(
        edited in any::<prop::sample::Index>(),
        kept in 0..50_usize,
        edit in any::<bool>(),
        pace in paces(),
    ) {
        let rows: Vec<_> = (0..50).map(|index| row(index, "1")).collect();
        let mut world = World::new(rows, pace);
        world.finish();
        let mut other: Vec<_> = world.rows.clone();
        if edit {
            let edited = edited.index(other.len());
            other[edited][0] = b"Eva".to_vec();
        } else {
            other.truncate(kept);
        }
        let mut agency = Agency::new(1, pace, MemorySource::new(other));
        let (consumed, checksum) = (50, world.central.checksum);
        let welcome = Response::Welcome { consumed, checksum, rejected: 0, phase: Phase::Open };
        let mut out = Vec::new();
        agency.on_connect(&mut out);
        out.clear();
        let failure = agency.on_response(&welcome, &mut out).expect_err("it isn't the same");
        let noticed = matches!(failure, Failure::OtherInput { .. } | Failure::ShortInput { .. });
        prop_assert!(noticed, "{}", failure);
        prop_assert!(out.is_empty(), "nothing is sent");
    }
}

#[test]
fn an_input_that_goes_on_after_the_end_is_noticed() {
    let pace = Pace { max_amount: 9, window: 2, period: Duration::ZERO };
    let mut agency = Agency::new(1, pace, MemorySource::new(vec![row(0, "1")]));
    let (consumed, checksum) = (0, Checksum::default());
    let welcome = Response::Welcome { consumed, checksum, rejected: 0, phase: Phase::Finished };
    let mut out = Vec::new();
    agency.on_connect(&mut out);
    let failure = agency.on_response(&welcome, &mut out).expect_err("there is more");
    assert!(matches!(failure, Failure::LongInput { consumed: 0 }), "{failure}");
}
