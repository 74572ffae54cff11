//! How output leaves: not before the flush, in order, and no faster than the peer reads.

use std::io::{ErrorKind, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use reactor::{Limits, RunError, TimerId};

use loop_tests::{
    Call, Event, HUGE, Refused, Script, echo, listening, pattern, peer, read_all, read_exactly,
    run, spawn,
};

/// Bytes that have reached a peer and that it has not read.
fn arrived(peer: &TcpStream) -> usize {
    let mut bytes = [0; 16 * 1024];
    peer.set_nonblocking(true).unwrap();
    let count = match peer.peek(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        result => result.unwrap(),
    };
    peer.set_nonblocking(false).unwrap();
    count
}

#[test]
fn nothing_leaves_before_the_flush() {
    let (event_loop, address) = listening(Limits { read_budget: 100, ..Limits::default() });
    let mut peer = peer(address);
    peer.write_all(&pattern(2000)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let eyes = peer.try_clone().unwrap();
    let (mut connection, mut sent, mut released) = (None, 0, 0);
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => connection = Some(id),
        Call::Data(id, input, _) => {
            // Also between the calls of one turn.
            cx.send(id, &input[..1]);
            cx.send(id, &input[1..]);
            sent += input.len();
            assert!(arrived(&eyes) <= released, "an answer left in the middle of a turn");
        }
        Call::BeforeFlush(_) => {
            if let Some(id) = connection.filter(|_| sent < 5000) {
                cx.send(id, b"!");
                sent += 1;
            }
            assert!(arrived(&eyes) <= released, "an answer left before the turn had ended");
            released = sent;
        }
        call => echo(cx, &call),
    });
    run(event_loop, script.stops_after(1));
    let received: Vec<u8> = read_all(&peer).into_iter().filter(|&byte| byte != b'!').collect();
    let expected: Vec<u8> = pattern(2000).into_iter().filter(|&byte| byte != b'!').collect();
    assert_eq!(received, expected);
}

#[test]
fn after_a_fatal_error_nothing_of_the_turn_leaves() {
    let (event_loop, address) = listening(Limits::default());
    let mut fatal = false;
    let script = Script::new(move |cx, call| match call {
        Call::Data(id, input, _) => {
            cx.send(id, input);
            fatal = input == b"dos";
        }
        Call::BeforeFlush(result) if fatal => *result = Err(Refused),
        _ => {}
    });
    let running = spawn(event_loop, script);
    let mut peer = peer(address);
    peer.write_all(b"uno").unwrap();
    assert_eq!(read_exactly(&peer, 3), b"uno");
    peer.write_all(b"dos").unwrap();
    assert_eq!(read_all(&peer), b"");
    assert!(matches!(running.join().result, Err(RunError::Handler(Refused))));
}

#[test]
fn a_fatal_error_in_the_first_turn_ends_the_loop_before_it_waits() {
    let (event_loop, _) = listening(Limits::default());
    let script = Script::new(|_, call| {
        if let Call::BeforeFlush(result) = call {
            *result = Err(Refused);
        }
    });
    let finished = run(event_loop, script);
    assert!(matches!(finished.result, Err(RunError::Handler(Refused))));
    assert_eq!(finished.counters.turns, 0);
}

#[test]
fn what_is_sent_leaves_whatever_the_call_it_was_sent_in() {
    let (event_loop, address) = listening(Limits::default());
    let mut first = None;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) if first.is_none() => {
            first = Some(id);
            cx.send(id, b"opened ");
            cx.set_deadline(id, Some(Duration::ZERO));
        }
        Call::Deadline(id) => {
            cx.send(id, b"expired ");
            cx.set_timer(TimerId(1), Some(Duration::ZERO));
        }
        Call::Timer(_) => cx.send(first.unwrap(), b"fired "),
        Call::Data(id, ..) => cx.send(id, b"received "),
        // Of the second connection, which opens and closes.
        Call::Close(id) if Some(id) != first => cx.send(first.unwrap(), b"closed "),
        Call::Eof(id, _) if Some(id) == first => {
            cx.send(id, b"ended ");
            cx.shutdown();
        }
        Call::Eof(id, _) => cx.close(id),
        Call::Shutdown => cx.send(first.unwrap(), b"stopping"),
        _ => {}
    });
    let running = spawn(event_loop, script);
    let mut first = peer(address);
    assert_eq!(read_exactly(&first, 21), b"opened expired fired ");
    first.write_all(b"x").unwrap();
    assert_eq!(read_exactly(&first, 9), b"received ");
    drop(peer(address));
    assert_eq!(read_exactly(&first, 7), b"closed ");
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&first), b"ended stopping");
    running.join();
}

/// One peer asks for more than the sockets hold and doesn't read; what it sends then isn't read
/// either. Another peer asks how much of it was read: the reply to `?` is that count.
#[test]
fn a_peer_that_does_not_read_is_not_read_until_it_does() {
    let limits = Limits::default();
    let low = limits.write_buffer_low;
    let (event_loop, address) = listening(limits);
    let mut asked = 0;
    let script = Script::new(move |cx, call| match call {
        Call::Data(id, b"?", _) => cx.send(id, &[asked]),
        Call::Data(id, input, _) => {
            if asked == 0 {
                cx.send(id, &pattern(HUGE));
            }
            asked += u8::try_from(input.len()).unwrap();
        }
        Call::Writable(id) => assert!(cx.unsent(id) <= low),
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(2));
    let (mut slow, mut other) = (peer(address), peer(address));
    let mut read_of_slow = || {
        other.write_all(b"?").unwrap();
        read_exactly(&other, 1)[0]
    };
    slow.write_all(b"x").unwrap();
    running.wait_for(|event| matches!(event, Event::Data(..)).then_some(()));
    slow.write_all(b"abcd").unwrap();
    for _ in 0..20 {
        assert_eq!(read_of_slow(), 1);
    }
    assert!(read_exactly(&slow, HUGE) == pattern(HUGE), "the output arrives whole and in order");
    running
        .wait_for(|event| matches!(event, Event::Data(_, input) if input == b"abcd").then_some(()));
    assert_eq!(read_of_slow(), 5);
    drop((slow, other));
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Writable(_))), 1);
}

/// A handler with much to send sends it piece by piece: it resumes at each `on_writable`, and unsent
/// output stays below the high mark and one piece.
#[test]
fn a_handler_resumes_whenever_it_is_writable() {
    const PIECE: usize = 1024 * 1024;
    const PIECES: usize = 24;
    let limits = Limits::default();
    let most = limits.write_buffer_low + PIECE;
    let (event_loop, address) = listening(limits);
    let mut left = PIECES;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) | Call::Writable(id) if left > 0 => {
            left -= 1;
            cx.send(id, &pattern(PIECE));
            assert!(cx.unsent(id) <= most);
        }
        Call::Writable(id) => cx.close(id),
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(1));
    let peer = peer(address);
    assert!(read_all(&peer) == pattern(PIECE).repeat(PIECES));
    drop(peer);
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Writable(_))), PIECES);
}

/// The high mark counts what was queued, whether the socket takes it at once or not.
#[test]
fn writable_follows_output_above_the_high_mark_and_not_at_it() {
    const MARK: usize = 1000;
    for (output, times) in [(MARK, 0), (MARK + 1, 1)] {
        let limits =
            Limits { write_buffer_high: MARK, write_buffer_low: MARK / 2, ..Limits::default() };
        let (event_loop, address) = listening(limits);
        let mut peer = peer(address);
        peer.write_all(b"x").unwrap();
        let script = Script::new(move |cx, call| match call {
            Call::Data(id, b"x", _) => cx.send(id, &pattern(output)),
            call => echo(cx, &call),
        });
        let mut running = spawn(event_loop, script.stops_after(1));
        assert_eq!(read_exactly(&peer, output), pattern(output));
        // One more round trip, for a call that comes late.
        peer.write_all(b"y").unwrap();
        assert_eq!(read_exactly(&peer, 1), b"y");
        drop(peer);
        running.wait_for_close();
        let resumed = running.join().count(|event| matches!(event, Event::Writable(_)));
        assert_eq!(resumed, times, "{output} bytes");
    }
}

/// A peer that has ended before its replies were sent: it gets them all the same.
#[test]
fn a_half_closed_peer_gets_more_than_the_sockets_hold() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let script = Script::new(|cx, call| match call {
        Call::Eof(id, _) => cx.send(id, &pattern(HUGE)),
        Call::Writable(id) => {
            cx.send(id, b"end");
            cx.close(id);
        }
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(1));
    let received = read_all(&peer);
    assert!(received[..HUGE] == pattern(HUGE));
    assert_eq!(received[HUGE..], *b"end");
    running.join();
}

#[test]
fn nothing_sent_is_nothing() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"hola").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let script = Script::new(|cx, call| {
        if let Call::Open(id) | Call::Data(id, ..) = call {
            cx.send(id, b"");
            cx.send_with(id, &mut |_| {});
            assert_eq!(cx.unsent(id), 0);
        }
        echo(cx, &call);
    });
    let finished = run(event_loop, script.stops_after(1));
    assert_eq!(read_all(&peer), b"hola");
    assert_eq!(finished.counters.bytes_written, 4);
}
