//! Streams of events: a client that applies what it is sent has what the central has, whichever events
//! it was too slow for.

use std::collections::BTreeMap;

use admin::events::Events;
use admin::limits::AdminLimits;
use admin::session::Session;
use admin::shared::Shared;
use admin::status::{Phase, Problem, Status};
use proptest::prelude::*;
use serde_json::Value;

use crate::central::{self, Central};

/// A page: what it has been told, and the id of the last event.
#[derive(Default)]
struct Client {
    status: Value,
    agencies: BTreeMap<u64, Value>,
    id: String,
    events: usize,
}

impl Client {
    /// Applies whole events.
    fn take(&mut self, sent: &[u8]) {
        let text = std::str::from_utf8(sent).expect("text");
        assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
        for event in text.split_terminator("\n\n") {
            let fields: BTreeMap<_, _> =
                event.lines().map(|line| line.split_once(": ").expect("a field")).collect();
            if let Some(data) = fields.get("data") {
                self.apply(fields["event"], serde_json::from_str(data).expect("JSON"));
                assert_ne!(self.id, fields["id"], "an event is sent twice");
                fields["id"].clone_into(&mut self.id);
                self.events += 1;
            }
        }
    }

    fn apply(&mut self, event: &str, mut status: Value) {
        let Value::Array(agencies) = status["agencies"].take() else { panic!("no agencies") };
        match event {
            "status" => self.agencies.clear(),
            "change" => {}
            _ => panic!("no event: {event}"),
        }
        for agency in agencies {
            let number = agency["agency"].as_u64().expect("a number");
            let is_new = self.agencies.insert(number, agency.clone()) != Some(agency);
            assert!(is_new || event == "change", "a change holds what has changed");
        }
        self.status = status;
    }

    /// Whether it has what the central has.
    fn has(&self, status: &Status) -> bool {
        let mut whole: Value = serde_json::from_slice(&status.to_json()).expect("JSON");
        let agencies = whole["agencies"].take();
        let own: Vec<_> = self.agencies.values().cloned().collect();
        self.status == whole && agencies == Value::Array(own)
    }
}

/// A stream, and the page at its other end.
struct Stream {
    session: Session,
    client: Client,
}

impl Stream {
    fn open(shared: &mut Shared, central: &Central) -> Self {
        let (mut session, mut out) = (Session::new(shared), Vec::new());
        let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let _ = session.on_data(request, shared, central, &mut out);
        assert!(session.is_stream());
        let head = out.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
        let mut client = Client::default();
        client.take(&out[head..]);
        Self { session, client }
    }

    fn tick(
        &mut self,
        event: Option<&[u8]>,
        has_left: bool,
        shared: &mut Shared,
        central: &Central,
    ) {
        let mut out = Vec::new();
        self.session.on_tick(event, has_left, shared, central, &mut out);
        assert!(has_left || out.is_empty(), "it waits for what it was sent before");
        self.client.take(&out);
    }
}

/// What happens between two ticks, or at one.
#[derive(Debug, Clone)]
enum Step {
    Store {
        agency: usize,
        bets: u64,
    },
    Connect {
        agency: usize,
    },
    Draw,
    Problem(bool),
    Agencies(u32),
    TimePasses,
    Open,
    Close(usize),
    /// Which streams have sent everything.
    Tick(Vec<bool>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_usize, 0..3_u64).prop_map(|(agency, bets)| Step::Store { agency, bets }),
        4 => (0..8_usize).prop_map(|agency| Step::Connect { agency }),
        1 => Just(Step::Draw),
        1 => any::<bool>().prop_map(Step::Problem),
        1 => (1..9_u32).prop_map(Step::Agencies),
        2 => Just(Step::TimePasses),
        3 => Just(Step::Open),
        1 => (0..8_usize).prop_map(Step::Close),
        8 => prop::collection::vec(prop::bool::weighted(0.7), 8).prop_map(Step::Tick),
    ]
}

fn change(status: &mut Status, step: &Step) {
    let count = status.agencies.len();
    match *step {
        Step::Store { agency, bets } => {
            let agency = &mut status.agencies[agency % count];
            agency.stored += bets;
            agency.phase = Phase::Sending;
            agency.last_progress = Some(status.time);
            status.lottery.stored += bets;
        }
        Step::Connect { agency } => status.agencies[agency % count].connected ^= true,
        Step::Draw => status.agencies.iter_mut().for_each(|agency| agency.winners = Some(1)),
        Step::Problem(is_there) => {
            status.problems =
                Some(Problem::StorageFailing).filter(|_| is_there).into_iter().collect();
        }
        Step::Agencies(count) => status.agencies = (1..=count).map(central::agency).collect(),
        Step::TimePasses => status.time += 0.25,
        Step::Open | Step::Close(_) | Step::Tick(_) => {}
    }
}

proptest! {
    #[test]
    fn clients_have_what_the_central_has(steps in prop::collection::vec(step(), 0..60)) {
        let (mut shared, mut central) = (central::shared(AdminLimits::default()), Central::new(5));
        let mut streams: Vec<Stream> = Vec::new();
        for step in steps.iter().chain([&Step::Tick(vec![true; 100])]) {
            change(&mut central.status, step);
            match step {
                Step::Open => streams.push(Stream::open(&mut shared, &central)),
                Step::Close(index) if *index < streams.len() => {
                    streams.remove(*index).session.on_close(&mut shared);
                }
                Step::Tick(left) => {
                    let event = shared.events.tick(central.status.clone());
                    let has_changed = event.is_some();
                    for (stream, &has_left) in streams.iter_mut().zip(left.iter().cycle()) {
                        stream.tick(event.as_deref(), has_left, &mut shared, &central);
                        if has_left && has_changed {
                            prop_assert!(stream.client.has(&central.status));
                        }
                    }
                }
                _ => {}
            }
            prop_assert_eq!(shared.streams(), streams.len());
        }
        for stream in &mut streams {
            // The last tick may have found nothing changed but the time.
            stream.client.status["time"] = central.status.time.into();
            prop_assert!(stream.client.has(&central.status));
        }
    }
}

#[test]
fn nothing_is_sent_when_only_the_time_has_changed() {
    let (mut shared, mut central) = (central::shared(AdminLimits::default()), Central::new(5));
    let mut stream = Stream::open(&mut shared, &central);
    central.status.time += 100.0;
    assert_eq!(shared.events.tick(central.status.clone()), None);
    stream.tick(None, true, &mut shared, &central);
    assert_eq!(stream.client.events, 1);
    // A stream that begins now is told the time of the last tick.
    let late = Stream::open(&mut shared, &central);
    assert!(late.client.has(&central.status));
    assert_eq!(late.client.id, "7-1");
}

#[test]
fn a_change_holds_the_agencies_that_have_changed() {
    let mut central = Central::new(1000);
    let mut events = Events::new(7);
    let full = events.full(|| central.status.clone());
    central.status.agencies[41].stored = 5;
    central.status.lottery.stored = 5;
    let event = events.tick(central.status.clone()).expect("a change");
    let text = std::str::from_utf8(&event).expect("text");
    assert!(text.starts_with("event: change\nid: 7-2\ndata: {\"time\":1000.5,"), "{text}");
    assert!(text.contains("\"agencies\":[{\"agency\":42,\"phase\":\"waiting\","), "{text}");
    assert!(text.contains("\"stored\":5") && text.ends_with("}]}\n\n"), "{text}");
    assert_eq!(text.matches("\"agency\":").count(), 1);
    assert!(event.len() < 1024 && full.len() > 100_000);
}

#[test]
fn without_streams_nothing_is_encoded_and_the_first_one_gets_what_there_is_then() {
    let (mut shared, mut central) = (central::shared(AdminLimits::default()), Central::new(5));
    assert_eq!(shared.events.tick(central.status.clone()), None);
    let first = Stream::open(&mut shared, &central);
    assert_eq!(first.client.id, "7-1");
    first.session.on_close(&mut shared);
    central.status.agencies[0].stored = 9;
    assert_eq!(shared.events.tick(central.status.clone()), None);
    let second = Stream::open(&mut shared, &central);
    assert!(second.client.has(&central.status));
    assert_eq!(second.client.id, "7-2");
}

#[test]
fn streams_that_begin_between_two_ticks_share_one_event() {
    let mut events = Events::new(7);
    let central = Central::new(5);
    let first = events.full(|| central.status.clone());
    let second = events.full(|| unreachable!("there was one"));
    assert!(std::rc::Rc::ptr_eq(&first, &second));
}

#[test]
fn agencies_that_are_gone_are_told_by_a_whole_status() {
    let (mut shared, mut central) = (central::shared(AdminLimits::default()), Central::new(5));
    let mut stream = Stream::open(&mut shared, &central);
    central.status.agencies.remove(2);
    let event = shared.events.tick(central.status.clone()).expect("a change");
    assert!(event.starts_with(b"event: status\n"));
    stream.tick(Some(&event), true, &mut shared, &central);
    assert!(stream.client.has(&central.status));
}

#[test]
fn a_slow_stream_is_owed_all_of_it_also_when_nothing_more_changes() {
    let (mut shared, mut central) = (central::shared(AdminLimits::default()), Central::new(5));
    let mut stream = Stream::open(&mut shared, &central);
    for bets in 1..100 {
        central.status.agencies[1].stored = bets;
        let event = shared.events.tick(central.status.clone());
        stream.tick(event.as_deref(), false, &mut shared, &central);
    }
    assert_eq!(shared.events.tick(central.status.clone()), None);
    stream.tick(None, true, &mut shared, &central);
    assert!(stream.client.has(&central.status));
    assert_eq!(stream.client.events, 2);
}
