//! Every way in which a connection is closed: what the peer gets, and what the handler gets.
//!
//! That `on_close` comes exactly once, and nothing about the connection after it, is checked by the
//! support for every connection of every test.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;

use reactor::Limits;

use loop_tests::{
    Call, Ending, Event, HUGE, NEVER, SOON, Script, echo, fill, listening, pattern, peer, read_all,
    read_exactly, reset, run, spawn,
};

/// Replies to the first bytes and closes, whatever else has arrived.
fn reply_and_close() -> Script {
    Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, b"answer");
            cx.close(id);
        }
    })
}

#[test]
fn a_half_closed_peer_gets_its_replies() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"hola").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let finished = run(event_loop, Script::echo().stops_after(1));
    assert_eq!(read_all(&peer), b"hola");
    assert_eq!(finished.endings(), [Ending::Done]);
}

/// Closing a socket with unread input resets the connection, and the peer loses its reply. Here
/// the input is as much as the sockets hold.
#[test]
fn closing_with_unread_input_still_delivers_the_reply() {
    let limits = Limits { read_budget: 100, linger_timeout: NEVER, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let peer = peer(address);
    let unread = fill(&peer);
    let running = spawn(event_loop, reply_and_close().stops_after(1));
    assert_eq!(read_all(&peer), b"answer");
    drop(peer);
    let finished = running.join();
    assert_eq!(finished.endings(), [Ending::Done]);
    assert_eq!(finished.count(|event| matches!(event, Event::Data(..))), 1);
    assert_eq!(finished.counters.bytes_read, unread as u64);
}

#[test]
fn what_was_sent_before_close_leaves_and_what_is_sent_after_does_not() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let script = Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(10_000));
            cx.close(id);
            cx.send(id, b"after");
            cx.send_with(id, &mut |_| panic!("called for a closed connection"));
        }
    });
    run(event_loop, script.stops_after(1));
    assert_eq!(read_all(&peer), pattern(10_000));
}

#[test]
fn lingering_ends_with_the_end_of_the_peer() {
    let (event_loop, address) = listening(Limits { linger_timeout: NEVER, ..Limits::default() });
    let running = spawn(event_loop, reply_and_close().stops_after(1));
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(read_all(&peer), b"answer");
    peer.write_all(&pattern(100_000)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let finished = running.join();
    assert_eq!(finished.endings(), [Ending::Done]);
    assert_eq!(finished.counters.bytes_read, 100_001);
}

#[test]
fn lingering_ends_at_its_limit() {
    let (event_loop, address) = listening(Limits { linger_timeout: SOON, ..Limits::default() });
    let running = spawn(event_loop, reply_and_close().stops_after(1));
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    assert_eq!(read_all(&peer), b"answer");
    assert_eq!(running.join().endings(), [Ending::Done]);
}

/// Neither bytes nor silence of the peer extend it.
#[test]
fn lingering_ends_at_its_limit_even_when_the_peer_goes_on_sending() {
    let limits = Limits { linger_timeout: SOON, read_budget: 100, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let running = spawn(event_loop, reply_and_close().stops_after(1));
    let mut peer = peer(address);
    while peer.write_all(&[0; 1000]).is_ok() {}
    assert_eq!(running.join().endings(), [Ending::Done]);
}

#[test]
fn a_handler_that_closes_at_once_and_sends_nothing() {
    let (event_loop, address) = listening(Limits { linger_timeout: NEVER, ..Limits::default() });
    let script = Script::new(|cx, call| {
        if let Call::Open(id) = call {
            cx.close(id);
        }
    });
    let running = spawn(event_loop, script.stops_after(1));
    let peer = peer(address);
    assert_eq!(read_all(&peer), b"");
    drop(peer);
    assert_eq!(running.join().endings(), [Ending::Done]);
}

#[test]
fn an_aborted_connection_loses_what_was_queued() {
    let (event_loop, address) = listening(Limits::default());
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    let script = Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, b"answer");
            cx.abort(id);
        }
    });
    let finished = run(event_loop, script.stops_after(1));
    assert_eq!(finished.endings(), [Ending::Aborted]);
    assert_eq!(finished.counters.bytes_written, 0);
    assert_eq!(read_all(&peer), b"");
}

#[test]
fn a_reset_is_reported_as_a_failure() {
    let (event_loop, address) = listening(Limits::default());
    let mut running = spawn(event_loop, Script::echo().stops_after(1));
    let peer = peer(address);
    running.wait_for_open();
    reset(peer);
    assert_eq!(running.join().endings(), [Ending::Failed(ErrorKind::ConnectionReset)]);
}

#[test]
fn a_reset_before_the_connection_was_accepted() {
    let (event_loop, address) = listening(Limits::default());
    reset(peer(address));
    let mut survivor = peer(address);
    survivor.write_all(b"hola").unwrap();
    let mut running = spawn(event_loop, Script::echo().stops_after(2));
    assert_eq!(read_exactly(&survivor, 4), b"hola");
    running.wait_for_close();
    drop(survivor);
    running.join();
}

/// No read would return it any more: the event itself has to report it.
#[test]
fn a_reset_after_the_end_of_the_peer() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|_, _| {});
    let mut running = spawn(event_loop, script.stops_after(1));
    let peer = peer(address);
    peer.shutdown(Shutdown::Write).unwrap();
    running.wait_for(|event| matches!(event, Event::Eof(..)).then_some(()));
    reset(peer);
    let endings = running.join().endings();
    assert!(matches!(endings[..], [Ending::Failed(_)]), "{endings:?}");
}

/// Its input isn't read, so the reset is noticed by writing.
#[test]
fn a_reset_of_a_peer_that_is_not_read() {
    let (event_loop, address) = listening(Limits { write_timeout: NEVER, ..Limits::default() });
    let script = Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(HUGE));
        }
    });
    let mut running = spawn(event_loop, script.stops_after(1));
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    read_exactly(&peer, 1);
    reset(peer);
    let (_, ending) = running.wait_for_close();
    assert!(matches!(ending, Ending::Failed(_)), "{ending:?}");
    running.join();
}

#[test]
fn a_reset_while_closing() {
    let (event_loop, address) = listening(Limits { write_timeout: NEVER, ..Limits::default() });
    let script = Script::new(|cx, call| {
        if let Call::Data(id, ..) = call {
            cx.send(id, &pattern(HUGE));
            cx.close(id);
        }
    });
    let running = spawn(event_loop, script.stops_after(1));
    let mut peer = peer(address);
    peer.write_all(b"x").unwrap();
    read_exactly(&peer, 1);
    reset(peer);
    let endings = running.join().endings();
    assert!(matches!(endings[..], [Ending::Failed(_)]), "{endings:?}");
}

#[test]
fn a_peer_that_reads_nothing_is_closed() {
    for closes in [false, true] {
        let (event_loop, address) = listening(Limits { write_timeout: SOON, ..Limits::default() });
        let mut peer = peer(address);
        peer.write_all(b"x").unwrap();
        let script = Script::new(move |cx, call| {
            if let Call::Data(id, ..) = call {
                cx.send(id, &pattern(HUGE));
                if closes {
                    cx.close(id);
                }
            }
        });
        let finished = run(event_loop, script.stops_after(1));
        let [Ending::WriteStalled(backlog)] = finished.endings()[..] else {
            panic!("closes: {closes}, {:?}", finished.endings());
        };
        assert_eq!(backlog as u64, HUGE as u64 - finished.counters.bytes_written);
    }
}

/// The handler sends again and again to a peer that reads nothing: that doesn't move the timeout.
#[test]
fn sending_more_does_not_save_a_stalled_peer() {
    let (event_loop, address) = listening(Limits { write_timeout: SOON, ..Limits::default() });
    let mut stalled = None;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) if stalled.is_none() => {
            stalled = Some(id);
            cx.send(id, &pattern(HUGE));
        }
        Call::Data(id, input, _) => {
            if let Some(stalled) = stalled {
                cx.send(stalled, b"more");
            }
            cx.send(id, input);
        }
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(2));
    let _stalled = peer(address);
    running.wait_for_open();
    let mut talking = peer(address);
    let mut ending = None;
    while ending.is_none() {
        talking.write_all(b"x").unwrap();
        ending = running.wait_for(|event| match event {
            Event::Close(_, ending) => Some(Some(*ending)),
            Event::Data(..) => Some(None),
            _ => None,
        });
    }
    assert!(matches!(ending, Some(Ending::WriteStalled(_))), "{ending:?}");
    drop(talking);
    running.join();
}

#[test]
fn unconsumed_input_is_kept_up_to_its_limit() {
    const REST: usize = 1000;
    let limits = Limits { max_unconsumed: REST, ..Limits::default() };
    for (length, expected) in [(REST, Ending::Done), (REST + 1, Ending::InputOverflow(REST + 1))] {
        let (event_loop, address) = listening(limits.clone());
        let mut peer = peer(address);
        peer.write_all(&pattern(length)).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let script = Script::new(|cx, call| match call {
            Call::Data(_, _, consumed) => *consumed = 0,
            Call::Eof(id, rest) => {
                assert_eq!(rest, pattern(REST));
                cx.close(id);
            }
            _ => {}
        });
        assert_eq!(run(event_loop, script.stops_after(1)).endings(), [expected], "{length} bytes");
    }
}

/// The limit is for what is left unconsumed, not for what arrives at once.
#[test]
fn consumed_input_has_no_limit() {
    let limits = Limits { max_unconsumed: 10, read_budget: 1000, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let mut peer = peer(address);
    peer.write_all(&pattern(5000)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let script = Script::new(|cx, call| match call {
        Call::Data(id, input, consumed) => {
            *consumed = input.len() - 10;
            cx.send(id, &input[..*consumed]);
        }
        call => echo(cx, &call),
    });
    let finished = run(event_loop, script.stops_after(1));
    assert_eq!(finished.endings(), [Ending::Done]);
    assert_eq!(read_all(&peer), pattern(4990));
}

/// Many at once, each in another way, and the others go on.
#[test]
fn connections_end_independently() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| match call {
        Call::Data(id, b"abort", _) => cx.abort(id),
        Call::Data(id, b"close", _) => cx.close(id),
        Call::Data(_, b"leave", consumed) => *consumed = 0,
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(6));
    let mut steady = peer(address);
    let mut expect = |expected: &dyn Fn(Ending) -> bool| {
        let (_, ending) = running.wait_for_close();
        assert!(expected(ending), "{ending:?}");
        steady.write_all(b"hola").unwrap();
        assert_eq!(read_exactly(&steady, 4), b"hola");
    };
    for word in [b"abort", b"close", b"leave"] {
        let mut peer = peer(address);
        peer.write_all(word).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        read_all(&peer);
        drop(peer);
        expect(&|ending| ending == if word == b"abort" { Ending::Aborted } else { Ending::Done });
    }
    reset(peer(address));
    expect(&|ending| matches!(ending, Ending::Failed(_)));
    drop(peer(address));
    expect(&|ending| ending == Ending::Done);
    drop(steady);
    running.join();
}
