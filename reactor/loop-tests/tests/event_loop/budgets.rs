//! The budget of a turn, and the limit of memory of all connections together.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use reactor::{ConnectionId, Limits};

use loop_tests::{
    Call, Ending, Event, NEVER, Running, Script, listening, narrow_peer, pattern, peer,
    read_exactly, read_some, run, spawn,
};

/// Connections served in each turn, and with how many bytes.
fn served(turn: &[Event]) -> Vec<(ConnectionId, usize)> {
    let input = |event: &Event| match event {
        Event::Data(id, input) => Some((*id, input.len())),
        _ => None,
    };
    turn.iter().filter_map(input).collect()
}

/// Each has sent all of it before the loop begins.
#[test]
fn the_turn_budget_bounds_what_is_read_and_goes_round() {
    const PEERS: usize = 7;
    const EACH: usize = 3000;
    let limits = Limits { read_budget: 100, turn_budget: 250, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let peers = [(); PEERS].map(|()| peer(address));
    for mut peer in &peers {
        peer.write_all(&pattern(EACH)).unwrap();
    }
    let mut left = PEERS * EACH;
    let script = Script::new(move |cx, call| {
        if let Call::Data(_, input, _) = call {
            left -= input.len();
            if left == 0 {
                cx.shutdown();
            }
        }
    });
    let finished = run(event_loop, script);
    let mut times = BTreeMap::new();
    let mut bytes = BTreeMap::new();
    for turn in finished.turns() {
        let served = served(turn);
        assert!(served.iter().map(|(_, count)| count).sum::<usize>() <= 250, "{served:?}");
        for (id, count) in served {
            *times.entry(id).or_insert(0) += 1;
            *bytes.entry(id).or_insert(0) += count;
        }
        let unfinished = || times.iter().filter(|(id, _)| bytes[*id] < EACH);
        let most = unfinished().map(|(_, times)| *times).max().unwrap_or(0);
        let least = unfinished().map(|(_, times)| *times).min().unwrap_or(0);
        assert!(most - least <= 1 || times.len() < PEERS, "{times:?}");
    }
    assert_eq!(bytes.into_values().collect::<Vec<_>>(), [EACH; PEERS]);
}

/// One byte asks for a thousand.
#[test]
fn output_counts_towards_the_turn_budget() {
    const PEERS: usize = 50;
    const ANSWER: usize = 1000;
    let (event_loop, address) = listening(Limits { turn_budget: 5000, ..Limits::default() });
    let peers = [(); PEERS].map(|()| peer(address));
    for mut peer in &peers {
        peer.write_all(b"?").unwrap();
    }
    let script = Script::new(move |cx, call| match call {
        Call::Data(id, ..) => cx.send(id, &pattern(ANSWER)),
        Call::Eof(id, _) => cx.close(id),
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(PEERS));
    for peer in &peers {
        assert_eq!(read_exactly(peer, ANSWER), pattern(ANSWER));
    }
    drop(peers);
    for turn in running.join().turns() {
        assert!(served(turn).len() <= 5, "{turn:?}");
    }
}

/// One byte brings a whole half line again: it costs as much as if all of it had been read.
#[test]
fn redelivered_input_counts_towards_the_turn_budget() {
    const PEERS: usize = 30;
    const HALF_LINE: usize = 2000;
    const TURN: usize = 10_000;
    let (event_loop, address) = listening(Limits { turn_budget: TURN, ..Limits::default() });
    let mut peers = [(); PEERS].map(|()| peer(address));
    for peer in &mut peers {
        peer.write_all(&pattern(HALF_LINE)).unwrap();
    }
    let (mut whole, mut again) = (0, 0);
    let script = Script::new(move |cx, call| match call {
        Call::Data(_, input, consumed) => {
            *consumed = 0;
            whole += usize::from(input.len() == HALF_LINE);
            again += usize::from(input.len() > HALF_LINE);
            if again == PEERS {
                cx.shutdown();
            }
        }
        // All of them send before the next turn.
        Call::BeforeFlush(_) if whole == PEERS => {
            whole = 0;
            for peer in &mut peers {
                peer.write_all(b"x").unwrap();
            }
        }
        _ => {}
    });
    let finished = run(event_loop, script);
    for turn in finished.turns() {
        let delivered: usize = served(turn).iter().map(|(_, count)| count).sum();
        assert!(delivered <= TURN + HALF_LINE, "{:?}", served(turn));
    }
    assert_eq!(finished.counters.bytes_read, (PEERS * (HALF_LINE + 1)) as u64);
}

/// Consumes only whole lines, and replies to each with its last byte.
fn lines() -> Script {
    Script::new(|cx, call| match call {
        Call::Data(id, input, consumed) => match input.strip_suffix(b"\n") {
            Some(line) => cx.send(id, &line[line.len() - 1..]),
            None => *consumed = 0,
        },
        Call::Eof(id, _) => cx.close(id),
        _ => {}
    })
}

/// Waits until so many have been closed, and returns what they held.
fn closed_for_memory(running: &mut Running, count: usize) -> Vec<usize> {
    let held = |(_, ending)| match ending {
        Ending::BufferLimit(held) => held,
        other => panic!("{other:?}"),
    };
    (0..count).map(|_| held(running.wait_for_close())).collect()
}

fn is_closed_for_memory(peer: &TcpStream) -> bool {
    match read_some(peer, &mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Half lines of all sizes, more than the memory holds: the longest are closed, and no more than
/// necessary. The others are served.
#[test]
fn at_the_buffer_limit_the_largest_inputs_are_closed() {
    const BOUND: usize = 1024 * 1024;
    const LARGE: usize = 60_001;
    const SMALL: usize = 5_000;
    let limits = Limits { max_buffered_bytes: BOUND, ..Limits::default() };
    let (event_loop, address) = listening(limits);
    let large = [(); 20].map(|()| peer(address));
    let small = [(); 20].map(|()| peer(address));
    for (peers, length) in [(&large, LARGE), (&small, SMALL)] {
        for mut peer in peers {
            peer.write_all(&pattern(length)).unwrap();
        }
    }
    let mut running = spawn(event_loop, lines().stops_after(40));
    let surplus = 20 * (LARGE + SMALL) - BOUND;
    let cut = closed_for_memory(&mut running, surplus.div_ceil(LARGE));
    assert!(cut.iter().all(|held| *held > SMALL), "{cut:?}");
    for mut peer in &small {
        peer.write_all(b"x\n").unwrap();
        assert_eq!(read_exactly(peer, 1), b"x");
    }
    let mut survivors = 0;
    for mut peer in &large {
        let sent = peer.write_all(b"y\n");
        survivors += usize::from(sent.is_ok() && !is_closed_for_memory(peer));
    }
    assert!((BOUND / LARGE / 2..BOUND / LARGE).contains(&survivors), "{survivors} are left");
    drop((large, small));
    running.join();
}

/// Replies that no peer reads, more than the memory holds.
#[test]
fn at_the_buffer_limit_the_largest_outputs_are_closed() {
    const BOUND: usize = 4 * 1024 * 1024;
    const ANSWER: usize = 1024 * 1024;
    const PEERS: usize = 10;
    let limits = Limits {
        max_buffered_bytes: BOUND,
        socket_buffer_size: 16 * 1024,
        write_timeout: NEVER,
        ..Limits::default()
    };
    let (event_loop, address) = listening(limits);
    let script = Script::new(|cx, call| match call {
        Call::Data(id, ..) => cx.send(id, &pattern(ANSWER)),
        Call::Eof(id, _) => cx.close(id),
        _ => {}
    });
    let mut running = spawn(event_loop, script.stops_after(PEERS));
    let peers = [(); PEERS].map(|()| narrow_peer(address));
    for mut peer in &peers {
        peer.write_all(b"?").unwrap();
    }
    let cut = closed_for_memory(&mut running, PEERS - BOUND / ANSWER);
    assert!(cut.iter().all(|held| *held >= ANSWER / 2), "{cut:?}");
    let mut answered = 0;
    for mut peer in &peers {
        let mut answer = Vec::new();
        peer.shutdown(std::net::Shutdown::Write).ok();
        let _ = peer.read_to_end(&mut answer);
        assert!(answer[..] == pattern(ANSWER)[..answer.len()]);
        answered += usize::from(answer.len() == ANSWER);
    }
    assert!((1..=BOUND / ANSWER).contains(&answered), "{answered} got their answer");
    drop(peers);
    running.join();
}
