//! Deadlines and timers: those that are due fire, once, in order of time. No test looks at a clock
//! from outside: order alone is asserted, and that nothing fires too early.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc::channel;
use std::time::Duration;

use reactor::{Limits, TimerId};

use loop_tests::{
    Call, Ending, Event, HUGE, NEVER, PATIENCE, SOON, Script, echo, listening, pattern, peer,
    read_all, read_exactly, read_some, run, spawn,
};

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn fired(events: &[Event]) -> Vec<u32> {
    let number = |event: &Event| match event {
        Event::Timer(TimerId(number)) => Some(*number),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

#[test]
fn timers_fire_in_order_and_can_be_moved_and_cleared() {
    let (event_loop, _) = listening(Limits::default());
    let mut began = None;
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            began = Some(cx.now());
            for (number, after) in [(1, 30), (2, 10), (3, 20), (4, 15), (5, 40)] {
                cx.set_timer(TimerId(number), Some(millis(after)));
            }
            cx.set_timer(TimerId(1), Some(millis(5)));
            cx.set_timer(TimerId(2), Some(millis(25)));
            cx.set_timer(TimerId(4), None);
        }
        Call::Timer(TimerId(number)) => {
            let due = [(1, 5), (2, 25), (3, 20), (5, 40)].iter().find(|due| due.0 == number);
            let passed = cx.now().duration_since(began.unwrap());
            assert!(passed >= Duration::from_millis(due.unwrap().1), "{number} after {passed:?}");
            if number == 5 {
                cx.shutdown();
            }
        }
        _ => {}
    });
    assert_eq!(fired(&run(event_loop, script).events), [1, 3, 2, 5]);
}

#[test]
fn deadlines_expire_in_order_and_can_be_moved_and_cleared() {
    let (event_loop, address) = listening(Limits::default());
    let mut open = Vec::new();
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => {
            open.push(id);
            if let [moved, taken_back, early, late] = open[..] {
                for (id, after) in [(moved, 1), (taken_back, 1), (early, 10), (late, 30)] {
                    cx.set_deadline(id, Some(millis(after)));
                }
                cx.set_deadline(moved, Some(millis(20)));
                cx.set_deadline(taken_back, None);
            }
        }
        Call::Deadline(id) if id == open[3] => {
            cx.send(open[3], b"late");
            cx.shutdown();
        }
        Call::Deadline(_) => {}
        call => echo(cx, &call),
    });
    let peers = [(); 4].map(|()| peer(address));
    let running = spawn(event_loop, script);
    read_exactly(&peers[3], 4);
    drop(peers);
    let events = running.join().events;
    let ids: Vec<_> = events.iter().filter_map(Event::opened).collect();
    let expired = |event: &Event| match event {
        Event::Deadline(id) => Some(*id),
        _ => None,
    };
    let expired: Vec<_> = events.iter().filter_map(expired).collect();
    assert_eq!(expired, [ids[2], ids[0], ids[3]]);
}

/// What is set while timers fire is due in a later turn, even with no delay: the turn ends.
#[test]
fn a_timer_without_delay_that_sets_itself_again() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| match call {
        Call::Start => cx.set_timer(TimerId(1), Some(Duration::ZERO)),
        Call::Timer(timer) => cx.set_timer(timer, Some(Duration::ZERO)),
        Call::Open(id) | Call::Deadline(id) => {
            cx.set_deadline(id, Some(Duration::ZERO));
        }
        call => echo(cx, &call),
    });
    let running = spawn(event_loop, script.stops_after(1));
    let mut peer = peer(address);
    for _ in 0..200 {
        peer.write_all(b"x").unwrap();
        assert_eq!(read_exactly(&peer, 1), b"x");
    }
    drop(peer);
    let finished = running.join();
    for turn in finished.turns() {
        assert!(fired(turn).len() <= 1);
        assert!(turn.iter().filter(|event| matches!(event, Event::Deadline(_))).count() <= 1);
    }
}

#[test]
fn a_timer_fires_once_for_each_time_that_it_was_set() {
    let (event_loop, _) = listening(Limits::default());
    let mut again = 3;
    let script = Script::new(move |cx, call| match call {
        Call::Start => {
            cx.set_timer(TimerId(1), Some(millis(1)));
            cx.set_timer(TimerId(2), Some(millis(1)));
        }
        Call::Timer(TimerId(1)) if again > 0 => {
            again -= 1;
            cx.set_timer(TimerId(1), Some(millis(1)));
        }
        Call::Timer(TimerId(1)) => cx.set_timer(TimerId(3), Some(millis(10))),
        Call::Timer(TimerId(3)) => cx.shutdown(),
        _ => {}
    });
    let mut numbers = fired(&run(event_loop, script).events);
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 1, 1, 1, 2, 3]);
}

#[test]
fn delays_too_long_for_any_clock() {
    let (event_loop, address) = listening(Limits {
        linger_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        shutdown_timeout: Duration::MAX,
        ..Limits::default()
    });
    let script = Script::new(|cx, call| {
        if let Call::Open(id) = call {
            cx.set_deadline(id, Some(Duration::MAX));
            cx.set_timer(TimerId(1), Some(Duration::MAX));
        }
        echo(cx, &call);
    });
    let running = spawn(event_loop, script.stops_after(1));
    let mut peer = peer(address);
    peer.write_all(b"hola").unwrap();
    assert_eq!(read_exactly(&peer, 4), b"hola");
    drop(peer);
    assert_eq!(running.join().counters.timers_fired, 0);
}

/// The loop's own deadline for a stalled write and the handler's share one alarm.
#[test]
fn a_deadline_beside_a_stalled_write() {
    for (deadline, write_stall) in [(SOON, NEVER), (NEVER, SOON)] {
        let (event_loop, address) =
            listening(Limits { write_timeout: write_stall, ..Limits::default() });
        let _peer = peer(address);
        let script = Script::new(move |cx, call| match call {
            Call::Open(id) => {
                cx.set_deadline(id, Some(deadline));
                cx.send(id, &pattern(HUGE));
            }
            Call::Deadline(id) => cx.abort(id),
            _ => {}
        });
        let finished = run(event_loop, script.stops_after(1));
        let aborted = finished.endings() == [Ending::Aborted];
        assert_eq!(aborted, deadline == SOON, "deadline {deadline:?}: {:?}", finished.endings());
    }
}

/// A turn takes long, as when the disk is slow. What arrives meanwhile arrives in time.
#[test]
fn input_that_came_during_a_long_turn_comes_before_the_deadline() {
    let (event_loop, address) = listening(Limits::default());
    let peer = peer(address);
    let mut eager = peer.try_clone().unwrap();
    let mut first = true;
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => cx.set_deadline(id, Some(SOON)),
        Call::BeforeFlush(_) if std::mem::take(&mut first) => {
            eager.write_all(b"in time").unwrap();
            std::thread::sleep(2 * SOON);
        }
        Call::Data(id, ..) => cx.close(id),
        _ => {}
    });
    let running = spawn(event_loop, script.stops_after(1));
    assert_eq!(read_all(&peer), b"");
    peer.shutdown(Shutdown::Write).unwrap();
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Data(..))), 1);
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 0);
}

/// The write timeout begins when output is offered, and a peer that has taken some during a long turn
/// is not stalled. The handler's timer makes a turn at once after each long one;
/// in the last the handler aborts, unless the loop has closed the connection by then.
#[test]
fn a_long_turn_is_not_the_peers_fault() {
    const STALL: Duration = Duration::from_millis(400);
    for long_turn in [0, 1] {
        let (event_loop, address) = listening(Limits { write_timeout: STALL, ..Limits::default() });
        let mut peer = peer(address);
        peer.set_nonblocking(true).unwrap();
        let (mut turn, mut connection) = (0, None);
        let output = pattern(HUGE);
        let script = Script::new(move |cx, call| match call {
            Call::Open(id) => {
                connection = Some(id);
                cx.send(id, &output);
            }
            Call::BeforeFlush(_) => {
                cx.set_timer(TimerId(1), Some(Duration::ZERO));
                if turn == long_turn {
                    let mut room = vec![0; HUGE];
                    while turn > 0 && peer.read(&mut room).is_ok() {}
                    std::thread::sleep(STALL);
                } else if let Some(id) = connection.filter(|_| turn > long_turn) {
                    cx.abort(id);
                }
                turn += 1;
            }
            _ => {}
        });
        let finished = run(event_loop, script.stops_after(1));
        assert_eq!(finished.endings(), [Ending::Aborted], "turn {long_turn} was long");
    }
}

/// Once the handler has closed it, a deadline that passes while it lingers isn't reported.
#[test]
fn a_closed_connection_has_no_deadline() {
    let (event_loop, address) = listening(Limits { linger_timeout: NEVER, ..Limits::default() });
    let script = Script::new(|cx, call| match call {
        Call::Open(id) => {
            cx.set_deadline(id, Some(millis(1)));
            cx.close(id);
            cx.set_deadline(id, Some(millis(1)));
            cx.set_timer(TimerId(1), Some(millis(10)));
        }
        Call::Timer(_) => cx.shutdown(),
        _ => {}
    });
    let mut running = spawn(event_loop, script);
    let peer = peer(address);
    running.wait_for(|event| matches!(event, Event::Timer(_)).then_some(()));
    drop(peer);
    let finished = running.join();
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 0);
}

#[test]
fn time_stands_still_within_a_turn() {
    let (event_loop, address) = listening(Limits { read_budget: 10, ..Limits::default() });
    let mut peer = peer(address);
    peer.write_all(&pattern(1000)).unwrap();
    drop(peer);
    let (mut now, mut turn_began) = (None, true);
    let script = Script::new(move |cx, call| {
        let time = cx.now();
        let expected = *now.get_or_insert(time);
        // What is closed after the flush still belongs to the turn.
        if turn_began && !matches!(call, Call::Close(_)) {
            assert!(time >= expected);
            now = Some(time);
        } else {
            assert_eq!(time, expected);
        }
        turn_began = matches!(call, Call::BeforeFlush(_) | Call::Close(_));
        echo(cx, &call);
    });
    run(event_loop, script.stops_after(1));
}

/// Hundreds that do nothing cost nothing, each with a deadline that never comes.
#[test]
fn idle_connections_cause_no_turns() {
    const IDLE: usize = 300;
    const ROUNDS: u64 = 500;
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| {
        if let Call::Open(id) | Call::Data(id, ..) = call {
            cx.set_deadline(id, Some(NEVER));
        }
        echo(cx, &call);
    });
    let mut running = spawn(event_loop, script.stops_after(IDLE + 1));
    let idle: Vec<_> = (0..IDLE).map(|_| peer(address)).collect();
    for _ in &idle {
        running.wait_for_open();
    }
    let mut active = peer(address);
    for _ in 0..ROUNDS {
        active.write_all(b"x").unwrap();
        read_exactly(&active, 1);
    }
    drop((idle, active));
    let counters = running.join().counters;
    // A turn for each message, and at most three for each connection that opens and closes.
    let needed = ROUNDS + 3 * IDLE as u64;
    assert!(counters.turns <= needed + 20, "{counters:?}");
}

/// Peers that send while a turn takes longer than their deadline: more of them than one poll of
/// default size returns.
#[test]
fn input_in_time_is_delivered_however_many_peers_and_however_long_the_turn() {
    const PEERS: usize = 3_000;
    let (event_loop, address) = listening(Limits::default());
    let (begins, begun) = channel();
    let (speak, spoken) = channel();
    let mut open = Vec::new();
    let script = Script::new(move |cx, call| match call {
        Call::Open(id) => open.push(id),
        Call::Data(_, b"!", _) => {
            for id in &open {
                cx.set_deadline(*id, Some(SOON));
            }
            begins.send(()).unwrap();
            spoken.recv_timeout(PATIENCE).unwrap();
            std::thread::sleep(SOON);
        }
        Call::Data(id, ..) => {
            cx.set_deadline(id, None);
            cx.send(id, b"x");
        }
        call => echo(cx, &call),
    });
    let mut running = spawn(event_loop, script.stops_after(PEERS + 1));
    let peers: Vec<_> = (0..PEERS).map(|_| peer(address)).collect();
    let mut other = peer(address);
    for _ in 0..=PEERS {
        running.wait_for_open();
    }
    other.write_all(b"!").unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    for mut peer in &peers {
        peer.write_all(b"x").unwrap();
    }
    speak.send(()).unwrap();
    for peer in &peers {
        assert_eq!(read_exactly(peer, 1), b"x");
    }
    // The other one has sent nothing in time.
    running.wait_for(|event| matches!(event, Event::Deadline(_)).then_some(()));
    drop((peers, other));
    assert_eq!(running.join().count(|event| matches!(event, Event::Deadline(_))), 1);
}

/// Everything arrived in time, but each turn reads only a little of it.
#[test]
fn a_deadline_waits_for_the_input_that_one_turn_does_not_read() {
    let (event_loop, address) = listening(Limits { read_budget: 10, ..Limits::default() });
    let mut peer = peer(address);
    peer.write_all(&pattern(200)).unwrap();
    let script = Script::new(|cx, call| match call {
        Call::Open(id) => cx.set_deadline(id, Some(millis(1))),
        Call::Data(..) => std::thread::sleep(millis(2)),
        Call::Deadline(id) => cx.abort(id),
        _ => {}
    });
    let finished = run(event_loop, script.stops_after(1));
    assert_eq!(finished.counters.bytes_read, 200);
    assert_eq!(finished.count(|event| matches!(event, Event::Deadline(_))), 1);
    let last = finished
        .events
        .iter()
        .rev()
        .find(|event| matches!(event, Event::Deadline(_) | Event::Data(..)));
    assert!(matches!(last, Some(Event::Deadline(_))), "{last:?}");
}

/// A reply leaves at the end of a turn that took longer than the peer's deadline to send again.
#[test]
fn no_deadline_runs_during_a_long_turn() {
    const TIME: Duration = millis(200);
    let (event_loop, address) = listening(Limits::default());
    let mut long = false;
    let script = Script::new(move |cx, call| {
        match &call {
            Call::Data(id, input, _) => {
                long = *input == b"1";
                cx.set_deadline(*id, Some(TIME));
            }
            Call::Deadline(id) => cx.abort(*id),
            Call::BeforeFlush(_) if std::mem::take(&mut long) => std::thread::sleep(2 * TIME),
            _ => {}
        }
        echo(cx, &call);
    });
    let running = spawn(event_loop, script.stops_after(1));
    let mut peer = peer(address);
    for word in [b"1", b"2", b"1", b"2"] {
        peer.write_all(word).unwrap();
        assert_eq!(read_exactly(&peer, 1), word);
    }
    assert_eq!(read_all(&peer), b"", "its time comes all the same");
    assert_eq!(running.join().count(|event| matches!(event, Event::Deadline(_))), 1);
}

/// A part of each turn counts: long turns don't stop time. The peer gets a reply after each long turn,
/// and sends again.
#[test]
fn timers_fire_though_every_turn_is_long() {
    let (event_loop, address) = listening(Limits::default());
    let script = Script::new(|cx, call| {
        match &call {
            Call::Open(_) => cx.set_timer(TimerId(1), Some(millis(250))),
            Call::Data(..) => std::thread::sleep(millis(120)),
            Call::Timer(_) => cx.shutdown(),
            _ => {}
        }
        echo(cx, &call);
    });
    let running = spawn(event_loop, script);
    let mut peer = peer(address);
    for _ in 0..30 {
        if peer.write_all(b"x").is_err() || !matches!(read_some(&peer, &mut [0]), Ok(1)) {
            break;
        }
    }
    drop(peer);
    let events = running.join().events;
    let before = events.iter().take_while(|event| !matches!(event, Event::Timer(_)));
    let long = before.filter(|event| matches!(event, Event::Data(..))).count();
    assert!(long < 30, "it waited for an end of the long turns");
}
