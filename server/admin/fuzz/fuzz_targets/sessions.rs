//! Any bytes to the admin listener, cut anywhere: the same responses as in one piece, a bounded output
//! at once, little held of the input; and once a connection closes, or is a stream, nothing more comes
//! of its input. Then what else may happen to a connection, in any order: ticks, signs of life, a deadline
//! that passes, its end. Only a stream is sent events, and whatever comes last leaves nothing behind.

#![no_main]

use admin::events::{Events, KEEP_ALIVE};
use admin::exposition::Exposition;
use admin::host::Hosts;
use admin::limits::{AdminLimits, OUTPUT_MAX, RESPONSES_MAX};
use admin::session::{Next, Session};
use admin::shared::{Responses, Shared};
use admin::status::Status;
use admin::view::{NotReady, View};
use libfuzzer_sys::fuzz_target;

const MAX_HEAD: usize = 512;

/// More than one response has here.
const RESPONSE_MAX: usize = 128 * 1024;

struct Central;

impl View for Central {
    fn status(&self) -> Status {
        Status::unknown("0.1.0", 1000.0, 1000.5)
    }

    fn readiness(&self) -> Result<(), NotReady> {
        Err(NotReady::Recovering)
    }

    fn metrics(&self, out: &mut Exposition) {
        out.gauge("loteria_agencies", "Agencies.").value(0_u64);
    }
}

/// What a connection comes to.
#[derive(Debug, PartialEq)]
struct Outcome {
    out: Vec<u8>,
    responses: Responses,
    streams: usize,
    next: Next,
}

/// The first two bytes are the step and what happens after the input, two bits each.
fuzz_target!(|input: &[u8]| {
    let [step, then, stream @ ..] = input else { return };
    let happens = [0, 2, 4, 6].map(|shift| then >> shift & 3);
    let cut = answer(stream, usize::from(*step).max(1), happens);
    assert_eq!(cut, answer(stream, stream.len().max(1), happens));
});

/// What happens to a connection that isn't input.
fn happen(what: u8, session: &mut Session, rest: &[u8], shared: &mut Shared, out: &mut Vec<u8>) {
    let (before, was_stream) = (out.len(), session.is_stream());
    match what {
        0 => {
            let event = shared.events.tick(Central.status());
            session.on_tick(event.as_deref(), true, shared, &Central, out);
            assert!(was_stream || out.len() == before, "events are for streams");
        }
        1 => {
            // What hasn't left is owed: all of it comes at the next tick.
            session.on_tick(Some(b"an event"), false, shared, &Central, out);
            assert_eq!(out.len(), before, "nothing while the last hasn't left");
            session.on_keep_alive(true, out);
            let sent: &[u8] = if was_stream { KEEP_ALIVE } else { b"" };
            assert_eq!(&out[before..], sent);
        }
        2 => session.on_deadline(shared, out),
        _ => {
            let progress = session.on_eof(rest, shared, &Central, out);
            assert_eq!((progress.consumed, progress.next), (rest.len(), Next::Close));
        }
    }
    if what >= 2 {
        assert!(!session.is_stream() && shared.streams() == 0, "it closes");
    }
}

/// Answers a stream that arrives `step` bytes at a time, and goes on with what happens then.
fn answer(stream: &[u8], step: usize, happens: [u8; 4]) -> Outcome {
    let limits = AdminLimits { max_head_bytes: MAX_HEAD, ..AdminLimits::default() };
    let mut shared = Shared::new(limits, Hosts::default(), Events::new(7));
    let (mut session, mut out) = (Session::new(&shared), Vec::new());
    let (mut from, mut to, mut next) = (0, 0, Next::Continue);
    while to < stream.len() {
        to = stream.len().min(to + step);
        loop {
            let (before, had_ended) = (out.len(), matches!(next, Next::Close | Next::Stream));
            let had = total(shared.responses);
            let progress = session.on_data(&stream[from..to], &mut shared, &Central, &mut out);
            assert!(progress.consumed <= to - from);
            assert!(out.len() - before < OUTPUT_MAX + RESPONSE_MAX);
            assert!(total(shared.responses) - had <= RESPONSES_MAX as u64);
            if had_ended {
                assert_eq!((out.len(), progress.next), (before, next), "nothing more comes of it");
            }
            from += progress.consumed;
            next = progress.next;
            if next != Next::AwaitOutput {
                break;
            }
            assert!(progress.consumed > 0, "it goes on");
        }
        assert!(to - from < MAX_HEAD, "more is held than a head may have");
    }
    for what in happens {
        happen(what, &mut session, &stream[from..], &mut shared, &mut out);
    }
    let outcome = Outcome { out, responses: shared.responses, streams: shared.streams(), next };
    session.on_close(&mut shared);
    assert_eq!(shared.streams(), 0);
    outcome
}

fn total(responses: Responses) -> u64 {
    responses.answered + responses.refused + responses.failed
}
