//! One script for each rule. What a rule comes to is written down where it is short; that both loops
//! agree is checked for all of it.

use std::io::ErrorKind;
use std::time::Duration;

use reactor::testing::{Call, Ending};
use reactor::{Limits, ListenerLimits, RefuseReason, TimerId};

use crate::interpreter::{BIG, NEVER, SOON};
use crate::script::{
    End, Record, Seen, Step, compare, compare_both, compare_each, compare_over, patient,
    patient_apart,
};
use crate::security::Security;

use Step::{
    Accept, Advance, AtOnce, Connect, ConnectApart, Drop, Read, Reset, Shutdown, TakeAttached,
};

fn write(peer: usize, text: &str) -> Step {
    Step::Write(peer, text.as_bytes().to_vec())
}

fn soon() -> Step {
    Advance(SOON)
}

/// Runs a script over both loops.
fn run(steps: &[Step]) -> Record {
    compare(&patient(), steps)
}

impl Record {
    fn endings(&self) -> Vec<Ending> {
        let ending = |call: &Call| match call {
            Call::Close(_, ending) => Some(*ending),
            _ => None,
        };
        self.calls.iter().filter_map(ending).collect()
    }

    fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.calls.iter().filter(|call| wanted(call)).count()
    }

    /// What was read in a step, in text.
    fn read(&self, step: usize) -> (String, End) {
        let Seen::Read(bytes, end) = &self.seen[step] else { panic!("{:?}", self.seen[step]) };
        (String::from_utf8_lossy(bytes).into_owned(), *end)
    }
}

fn is_eof(call: &Call) -> bool {
    matches!(call, Call::Eof(..))
}

fn is_data(call: &Call) -> bool {
    matches!(call, Call::Data(..))
}

/// Input.
mod input {
    use super::*;

    #[test]
    fn what_comes_is_sent_back_and_the_end_is_answered() {
        let record =
            run(&[Connect, write(0, "1"), write(0, "23"), Read(0), Shutdown(0), Read(0), Drop(0)]);
        assert_eq!(record.read(3), ("123".into(), End::NoneYet));
        assert_eq!(record.read(5), (String::new(), End::Eof));
        assert_eq!(record.endings(), [Ending::PeerEnded]);
    }

    #[test]
    fn what_was_there_before_the_accept() {
        let steps = [AtOnce(vec![Connect, write(0, "1"), Shutdown(0)]), Read(0), Drop(0)];
        assert_eq!(run(&steps).read(1), ("1".into(), End::Eof));
    }

    #[test]
    fn what_is_not_consumed_comes_again_with_more_behind_it() {
        let record = run(&[Connect, write(0, "1k2"), Read(0), write(0, "34"), Read(0), Drop(0)]);
        assert_eq!(record.read(2).0, "1");
        assert_eq!(record.read(4).0, "234");
    }

    #[test]
    fn the_end_comes_with_what_was_never_consumed() {
        let record = run(&[Connect, write(0, "1k2"), Shutdown(0), Drop(0)]);
        assert_eq!(record.count(|call| matches!(call, Call::Eof(_, rest) if rest == b"k2")), 1);
    }

    #[test]
    fn too_much_left_over() {
        for (text, expected) in [("k2", &[][..]), ("k23", &[Ending::InputOverflow(3)])] {
            let limits = Limits { max_unconsumed: 2, ..patient() };
            assert_eq!(compare(&limits, &[Connect, write(0, text)]).endings(), expected);
        }
    }

    #[test]
    fn much() {
        let record = run(&[Connect, Step::Write(0, vec![b'.'; BIG]), Drop(0)]);
        let is_all = |call: &Call| matches!(call, Call::Data(_, _, count) if *count == BIG);
        assert_eq!(record.count(is_all), 1);
    }

    #[test]
    fn those_who_have_sent_much_are_read_in_turn() {
        let limits = Limits { read_budget: 10, ..patient() };
        let both = vec![write(0, &"1".repeat(25)), write(1, &"2".repeat(25))];
        let record = compare(&limits, &[Connect, Connect, AtOnce(both), Read(0), Read(1)]);
        assert_eq!(record.count(is_data), 6);
    }

    #[test]
    fn a_turn_has_a_budget_for_all_of_them() {
        let limits = Limits { read_budget: 10, turn_budget: 15, ..patient() };
        let all = (0..3).map(|peer| write(peer, &".".repeat(25))).collect();
        compare(&limits, &[Connect, Connect, Connect, AtOnce(all)]);
    }

    #[test]
    fn a_paused_connection_is_not_read_and_goes_on_where_it_was() {
        let record = run(&[
            Connect,
            Connect,
            write(0, "p12"),
            write(0, "34"),
            Read(0),
            write(1, "r"),
            Read(0),
            Drop(0),
        ]);
        assert_eq!(record.read(4).0, "");
        assert_eq!(record.read(6).0, "1234");
    }

    #[test]
    fn the_end_of_a_paused_connection_waits() {
        for text in ["", "12"] {
            let steps = [Connect, Connect, write(0, "p"), write(0, text), Shutdown(0)];
            let record = run(&steps);
            assert_eq!(record.count(is_eof), 0);
            let record = run(&[&steps[..], &[write(1, "r"), Read(0), Drop(0)]].concat());
            assert_eq!((record.count(is_eof), record.read(6).0), (1, text.into()));
        }
    }
}

/// Ways to end.
mod endings {
    use super::*;

    #[test]
    fn what_was_sent_leaves_before_the_end_and_what_still_comes_is_thrown_away() {
        let record = run(&[Connect, write(0, "sc1"), Read(0), write(0, "more"), Drop(0)]);
        assert_eq!(record.read(2), (".".repeat(100), End::Eof));
        assert_eq!(record.endings(), [Ending::Done]);
        assert_eq!(record.count(is_data), 1);
    }

    #[test]
    fn much_leaves_before_the_end() {
        let record = run(&[Connect, write(0, "Sc"), Read(0), Drop(0)]);
        assert_eq!((record.read(2).0.len(), record.read(2).1), (BIG, End::Eof));
        assert_eq!(record.endings(), [Ending::Done]);
    }

    #[test]
    fn a_peer_that_does_not_go_is_waited_for_so_long() {
        let limits = Limits { linger_timeout: SOON, ..patient() };
        let record = compare(&limits, &[Connect, write(0, "c"), soon(), Read(0), Drop(0)]);
        assert_eq!(record.endings(), [Ending::Done]);
    }

    #[test]
    fn a_peer_that_goes_on_after_its_lingering_is_over_is_reset() {
        let limits = Limits { linger_timeout: SOON, ..patient() };
        let record = compare(
            &limits,
            &[Connect, write(0, "c"), soon(), Read(0), write(0, "1"), write(0, "2"), Drop(0)],
        );
        assert_eq!(record.seen[5], Seen::Written(0, Some(ErrorKind::BrokenPipe)));
    }

    #[test]
    fn the_handler_aborts() {
        let record = run(&[Connect, write(0, "sa"), Read(0), Drop(0)]);
        assert_eq!(record.read(2), (String::new(), End::Eof), "nothing of it has left");
        assert_eq!(record.endings(), [Ending::Aborted]);
    }

    #[test]
    fn the_handler_aborts_what_it_has_not_read() {
        let steps =
            [Connect, Connect, write(0, "p"), write(0, "1"), write(1, "B"), Read(0), Read(0)];
        let record = run(&steps);
        assert_eq!(record.read(5).1, End::Error(ErrorKind::ConnectionReset));
        assert_eq!(record.read(6).1, End::Eof, "an error is returned once");
    }

    #[test]
    fn the_peer_resets() {
        let failed = [Ending::Failed(ErrorKind::ConnectionReset)];
        assert_eq!(run(&[Connect, write(0, "1"), Read(0), Reset(0)]).endings(), failed);
        assert_eq!(run(&[Connect, write(0, "Sc"), Reset(0)]).endings(), failed);
        assert_eq!(run(&[Connect, write(0, "p"), Reset(0)]).endings(), failed, "at once");
        assert_eq!(run(&[Connect, write(0, "p1"), write(0, "2"), Reset(0)]).endings(), failed);
    }

    #[test]
    fn the_peer_resets_behind_what_it_has_sent() {
        let record = run(&[Connect, AtOnce(vec![write(0, "1"), Reset(0)])]);
        assert_eq!(record.count(is_data), 1);
    }

    /// With a layer it hasn't begun.
    #[test]
    fn the_peer_goes_before_it_is_accepted() {
        for steps in [
            vec![Connect, Reset(0)],
            vec![Connect, write(0, "1"), Reset(0)],
            vec![Connect, write(0, "1"), Drop(0)],
            vec![Connect, write(0, "c1"), Shutdown(0), Reset(0)],
        ] {
            compare_each(&patient(), &patient_apart(), &[AtOnce(steps)]);
        }
    }

    #[test]
    fn the_peer_goes_with_something_unread() {
        let record = run(&[Connect, write(0, "s"), Drop(0)]);
        assert_eq!(record.endings(), [Ending::Failed(ErrorKind::ConnectionReset)]);
    }

    #[test]
    fn the_peer_resets_after_its_end() {
        for text in ["y", "yp", "yS"] {
            run(&[Connect, write(0, text), Shutdown(0), Reset(0)]);
        }
    }

    #[test]
    fn answers_reach_a_peer_that_has_ended() {
        let record = run(&[Connect, write(0, "yd"), Shutdown(0), soon(), Read(0)]);
        assert_eq!(record.read(4), ("late".into(), End::NoneYet));
    }

    #[test]
    fn answers_to_a_peer_that_is_gone() {
        let record = run(&[Connect, write(0, "yd"), Shutdown(0), Drop(0), soon()]);
        assert_eq!(record.endings(), [Ending::Failed(ErrorKind::BrokenPipe)]);
    }

    #[test]
    fn much_to_a_peer_that_is_gone() {
        for text in ["S", "Sp", "Sy"] {
            let record = run(&[Connect, AtOnce(vec![write(0, text), Drop(0)])]);
            assert_eq!(record.endings(), [Ending::Failed(ErrorKind::BrokenPipe)], "{text}");
        }
    }

    #[test]
    fn one_ends_others_that_were_ready_too() {
        for text in ["C", "B"] {
            let all = vec![write(0, text), write(1, "1"), Shutdown(2)];
            let record = run(&[Connect, Connect, Connect, AtOnce(all), Drop(1), Drop(2), Drop(0)]);
            assert_eq!(record.count(is_data), 1, "nothing more is delivered");
        }
    }
}

/// Output, and when it is too much.
mod output {
    use super::*;

    fn narrow() -> Limits {
        Limits { write_buffer_high: 1000, write_buffer_low: 100, ..patient() }
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_read() {
        let record = compare(&narrow(), &[Connect, write(0, "S"), write(0, "1"), Read(0)]);
        assert_eq!(record.read(3).0.len(), BIG + 1);
        let [.., Call::Writable(_), Call::Data(..)] = &record.calls[..] else {
            panic!("{:?}", record.calls)
        };
    }

    #[test]
    fn a_peer_that_reads_at_once_is_reported_too() {
        let steps = [Connect, write(0, &"s".repeat(11)), Read(0)];
        let record = compare(&narrow(), &steps);
        assert_eq!(record.count(|call| matches!(call, Call::Writable(_))), 1);
    }

    #[test]
    fn a_peer_that_takes_nothing() {
        let limits = Limits { write_timeout: SOON, ..patient() };
        for text in ["S", "Sc"] {
            let record = compare(&limits, &[Connect, write(0, text), soon(), Drop(0)]);
            assert_eq!(record.endings(), [Ending::WriteStalled(0)]);
        }
    }

    #[test]
    fn all_of_them_hold_too_much() {
        let limits = Limits { max_buffered_bytes: 1024 * 1024, ..patient() };
        let record = compare(&limits, &[Connect, Connect, write(0, "1"), write(1, "S"), Drop(1)]);
        assert!(matches!(record.endings()[..], [Ending::BufferLimit(_)]));
    }

    #[test]
    fn the_handler_fails_and_nothing_leaves() {
        let record = run(&[Connect, write(0, "s!"), Read(0)]);
        assert!(record.failure.is_some());
        assert_eq!(record.read(2), (String::new(), End::NoneYet));
    }
}

/// Deadlines and timers.
mod timers {
    use super::*;

    #[test]
    fn deadlines() {
        for (text, expected) in
            [("d", "late"), ("dn", ""), ("dD", ""), ("Dd", "late"), ("dc", ""), ("dd", "late")]
        {
            let record = run(&[Connect, write(0, text), soon(), Read(0), Drop(0)]);
            assert_eq!(record.read(3).0, expected, "{text}");
        }
    }

    #[test]
    fn timers() {
        for (text, expected) in [("t", 1), ("tN", 0), ("tT", 0), ("Tt", 1), ("tt", 1), ("tc", 1)] {
            let record = run(&[Connect, write(0, text), soon(), Drop(0)]);
            let fired = record.count(|call| *call == Call::Timer(TimerId(1)));
            assert_eq!(fired, expected, "{text}");
        }
    }

    #[test]
    fn several_at_the_same_time() {
        let all = vec![write(0, "d"), write(1, "t"), write(2, "d")];
        run(&[Connect, Connect, Connect, AtOnce(all), soon(), Read(0), Read(2)]);
    }

    #[test]
    fn the_deadline_of_a_paused_connection() {
        let record = run(&[Connect, write(0, "dp1"), soon(), Read(0)]);
        assert_eq!(record.read(3).0, "late");
    }
}

/// Connections that the handler asks for.
mod connecting {
    use super::*;

    #[test]
    fn one_that_is_established() {
        let record = run(&[
            Connect,
            write(0, "o"),
            Accept,
            write(1, "1"),
            Read(1),
            Shutdown(1),
            Read(1),
            Drop(1),
        ]);
        assert_eq!((record.read(4).0, record.read(6).1), ("1".into(), End::Eof));
        assert_eq!(record.endings(), [Ending::PeerEnded]);
    }

    #[test]
    fn one_that_is_refused() {
        let record = run(&[Connect, write(0, "O"), write(0, "OO")]);
        assert_eq!(record.endings(), [Ending::NotConnected(ErrorKind::ConnectionRefused); 3]);
    }

    #[test]
    fn one_that_is_reset() {
        run(&[Connect, write(0, "o"), Accept, Reset(1), write(0, "o"), Accept, Drop(2)]);
    }

    #[test]
    fn none_is_begun_when_the_loop_ends() {
        let record = run(&[Connect, write(0, "hx"), write(0, "O"), write(0, "c"), Drop(0)]);
        assert!(matches!(record.endings()[0], Ending::NotConnected(_)));
    }

    #[test]
    fn a_pair() {
        let record = run(&[
            Connect,
            write(0, "A"),
            TakeAttached,
            write(1, "1"),
            Read(1),
            Shutdown(1),
            Read(1),
            Drop(1),
        ]);
        assert_eq!((record.read(4).0, record.read(6).1), ("1".into(), End::Eof));
        assert_eq!(record.count(|call| matches!(call, Call::Open(_))), 1, "of the peer alone");
    }

    #[test]
    fn the_other_end_of_a_pair_goes_away() {
        let reset = Ending::Failed(ErrorKind::ConnectionReset);
        for (text, expected) in [
            (".", Some(Ending::PeerEnded)),
            ("y", None),
            ("yd", Some(Ending::Failed(ErrorKind::BrokenPipe))),
            ("p", Some(reset)),
            // What the loop had sent was never read.
            ("s", Some(reset)),
        ] {
            let steps = [Connect, write(0, "A"), TakeAttached, write(1, text), Drop(1), soon()];
            assert_eq!(run(&steps).endings(), Vec::from_iter(expected), "{text}");
        }
    }

    #[test]
    fn the_other_end_of_a_pair_goes_away_while_it_is_served() {
        let limits = Limits { read_budget: 2, ..patient() };
        for (text, expected) in [("12", ErrorKind::BrokenPipe), (".c", ErrorKind::ConnectionReset)]
        {
            let gone = AtOnce(vec![write(1, text), Drop(1)]);
            let steps = [Connect, write(0, "A"), TakeAttached, write(1, "s"), gone];
            assert_eq!(compare(&limits, &steps).endings(), [Ending::Failed(expected)], "{text}");
        }
    }

    #[test]
    fn much_through_a_pair() {
        let record = run(&[
            Connect,
            write(0, "A"),
            TakeAttached,
            write(1, "S"),
            Read(1),
            Step::Write(1, vec![b'.'; 1024 * 1024]),
            write(1, "Sc"),
            Read(1),
            Drop(1),
        ]);
        assert_eq!(record.read(7).0.len(), BIG);
    }

    #[test]
    fn a_pair_is_served_first() {
        let steps = [Connect, write(0, "A"), TakeAttached];
        let both = AtOnce(vec![write(0, "1"), write(1, "2")]);
        let record = run(&[&steps[..], &[both, Read(0), Read(1)]].concat());
        let [.., Call::Data(first, ..), Call::Data(second, ..)] = &record.calls[..] else {
            panic!("{:?}", record.calls)
        };
        assert!(first > second, "it was made later: {:?}", record.calls);
    }
}

/// The limits of accepting.
mod accepting {
    use super::*;

    #[test]
    fn no_more_than_so_many() {
        let limits = Limits { max_connections: 1, ..patient() };
        let record = compare(
            &limits,
            &[Connect, Connect, write(0, "1"), Read(0), Drop(0), write(1, "2"), Read(1)],
        );
        assert_eq!(record.count(|call| *call == Call::Paused(1, None)), 2);
        assert_eq!(record.read(6).0, "2");
    }

    #[test]
    fn no_more_of_one_address() {
        let connections = Limits { max_connections_per_address: 1, ..patient() };
        let connects = Limits { max_connects_per_address: 1, ..patient() };
        for (limits, reason) in [
            (connections, RefuseReason::AddressConnections),
            (connects, RefuseReason::AddressConnects),
        ] {
            let record = compare(&limits, &[Connect, Connect, Read(1), write(0, "1"), Read(0)]);
            assert_eq!(record.read(2).1, End::Eof);
            assert_eq!(record.count(|call| *call == Call::Refused(reason)), 1);
        }
    }

    #[test]
    fn the_last_are_for_those_who_are_trusted() {
        let limits = Limits { max_connections: 4, reserved_connections: 1, ..patient() };
        let record = compare(&limits, &[Connect, Connect, Connect, Connect, Read(3)]);
        assert_eq!(record.count(|call| *call == Call::Refused(RefuseReason::Reserved)), 1);
    }

    #[test]
    fn a_silent_connection_makes_room() {
        // Longer than both connect, however busy the machine is.
        const SILENCE: Duration = Duration::from_millis(500);
        let limits = Limits {
            max_connections: 1,
            eviction_delay: SILENCE,
            accept_retry_delay: SILENCE / 10,
            ..patient()
        };
        // In the end the one that has come could make room too, and none waits.
        let (first, second) = (Advance(2 * SILENCE), Advance(2 * SILENCE));
        let record = compare(&limits, &[Connect, Connect, first, second, Read(0)]);
        assert_eq!(record.endings(), [Ending::Evicted]);
        let steps = [Connect, write(0, "P"), Connect, Advance(2 * SILENCE), write(0, "1"), Read(0)];
        assert_eq!(compare(&limits, &steps).endings(), []);
    }

    #[test]
    fn few_at_a_time() {
        let limits = Limits { accept_budget: 2, ..patient() };
        let record = compare(&limits, &[AtOnce(vec![Connect; 5]), write(4, "1"), Read(4)]);
        assert_eq!(record.count(|call| matches!(call, Call::Open(_))), 5);
    }
}

/// A listener with limits of its own.
mod apart {
    use super::*;

    /// The calls about the second listener, by what they would be at the main one.
    fn is_apart(call: &Call, wanted: &Call) -> bool {
        matches!(call, Call::Apart(_, call) if **call == *wanted)
    }

    /// In which order connections have got their input, by their letters.
    fn served(record: &Record) -> String {
        let input = |call: &Call| match call {
            Call::Data(_, input, _) => Some(String::from_utf8_lossy(input).into_owned()),
            _ => None,
        };
        record.calls.iter().filter_map(input).collect()
    }

    #[test]
    fn a_connection_knows_which_has_accepted_it() {
        let record = run(&[
            Connect,
            ConnectApart,
            write(0, "L"),
            write(1, "L"),
            Read(0),
            Read(1),
            write(0, "A"),
            TakeAttached,
            write(2, "L"),
            Read(2),
        ]);
        let letters = [4, 5, 9].map(|step| record.read(step).0);
        assert_eq!(letters, ["m", "a", "-"]);
    }

    #[test]
    fn neither_takes_the_connections_of_the_other() {
        let limits = Limits { max_connections: 1, ..patient() };
        let apart = ListenerLimits { max_connections: 1, ..patient_apart() };
        let steps = [
            Connect,
            ConnectApart,
            Connect,
            ConnectApart,
            write(0, "1"),
            write(1, "2"),
            Read(0),
            Read(1),
            Drop(0),
            write(2, "3"),
            Read(2),
            Drop(1),
            write(3, "4"),
            Read(3),
        ];
        // Who waits for its turn to connect has begun no handshake.
        let record = compare_each(&limits, &apart, &steps);
        let read = [6, 7, 10, 13].map(|step| record.read(step).0);
        assert_eq!(read, ["1", "2", "3", "4"]);
        let paused = Call::Paused(1, None);
        assert_eq!(record.count(|call| *call == paused), 2);
        assert_eq!(record.count(|call| is_apart(call, &paused)), 2);
    }

    #[test]
    fn the_limits_of_each_address_are_those_of_the_main_listener() {
        let limits =
            Limits { max_connections_per_address: 1, max_connects_per_address: 1, ..patient() };
        let steps = [Connect, ConnectApart, ConnectApart, write(2, "1"), Read(2), Drop(2)];
        let record = compare(&limits, &steps);
        assert_eq!(record.read(4).0, "1");
        assert_eq!(record.count(|call| matches!(call, Call::Refused(_))), 0);
    }

    #[test]
    fn it_is_served_first() {
        let both = AtOnce(vec![write(0, "1"), write(1, "2")]);
        let record = run(&[Connect, ConnectApart, both, Read(0), Read(1)]);
        assert_eq!(served(&record), "21");
    }

    #[test]
    fn its_budget_bounds_how_long_the_others_wait() {
        let apart = ListenerLimits { turn_budget: 2, ..patient_apart() };
        let all = AtOnce(vec![write(0, "1"), write(1, "22222"), write(2, "33333")]);
        let steps = [Connect, ConnectApart, ConnectApart, all];
        // In which order those behind a layer are ready depends on how the kernel cuts their handshakes.
        let record = compare_over(Security::Plain, &patient(), &apart, &steps);
        assert_eq!(served(&record), "22133223323");
    }

    #[test]
    fn it_is_served_whatever_the_main_listener_may_still_read() {
        let limits = Limits { turn_budget: 1, read_budget: 1, ..patient() };
        let both = AtOnce(vec![write(0, "1111"), write(1, "22")]);
        let record = compare_each(&limits, &patient_apart(), &[Connect, ConnectApart, both]);
        assert_eq!(served(&record), "212111");
    }

    #[test]
    fn the_most_silent_of_its_own_makes_room() {
        // Longer than all connect, however busy the machine is.
        const SILENCE: Duration = Duration::from_millis(500);
        let limits = Limits { accept_retry_delay: SILENCE / 10, ..patient() };
        let apart =
            ListenerLimits { max_connections: 1, eviction_delay: SILENCE, ..patient_apart() };
        let wait = || Advance(2 * SILENCE);
        let steps = [Connect, ConnectApart, ConnectApart, wait(), wait(), Read(1), write(0, "1")];
        let record = compare_both(&limits, &apart, &[&steps[..], &[Read(0)]].concat());
        assert_eq!((record.endings(), record.read(7).0), (vec![Ending::Evicted], "1".into()));
        let steps = [ConnectApart, write(0, "P"), ConnectApart, wait(), write(0, "1"), Read(0)];
        assert_eq!(compare_both(&limits, &apart, &steps).endings(), [], "it is protected");
    }

    #[test]
    fn it_is_served_while_the_others_use_up_their_memory() {
        let limits = Limits { max_buffered_bytes: 1024 * 1024, ..patient() };
        let all = AtOnce(vec![write(0, "S"), write(1, "S"), write(2, "1")]);
        let steps = [Connect, Connect, ConnectApart, all, Read(2)];
        for security in [Security::Plain, Security::Toy, Security::Tls] {
            let record = compare_over(security, &limits, &patient_apart(), &steps);
            assert_eq!(record.read(4).0, "1", "over {security:?}");
            assert_eq!(record.endings(), [Ending::BufferLimit(0); 2], "over {security:?}");
        }
    }

    /// It holds more than the main listener may.
    #[test]
    fn it_takes_no_memory_of_the_others() {
        let limits = Limits { max_buffered_bytes: 1024 * 1024, ..patient() };
        let steps = [Connect, ConnectApart, write(1, "S"), write(0, "1"), Read(0), Read(1)];
        let record = compare(&limits, &steps);
        assert_eq!((record.read(4).0, record.read(5).0.len()), ("1".into(), BIG));
        assert_eq!(record.endings(), []);
    }

    #[test]
    fn it_has_a_limit_of_memory() {
        let apart = ListenerLimits { max_buffered_bytes: 1024 * 1024, ..patient_apart() };
        let steps = [Connect, ConnectApart, write(0, "S"), write(1, "S"), Read(0)];
        let record = compare_both(&patient(), &apart, &steps);
        assert_eq!((record.endings(), record.read(4).0.len()), (vec![Ending::BufferLimit(0)], BIG));
    }

    #[test]
    fn the_end_of_the_loop_closes_both() {
        let steps = [Connect, ConnectApart, write(1, "s"), write(0, "x"), Read(1), Read(0)];
        let record = run(&[&steps[..], &[Drop(0), Drop(1)]].concat());
        assert_eq!(record.read(4), (".".repeat(100), End::Eof));
        assert_eq!(record.count(|call| *call == Call::ListenerClosed), 1);
        assert_eq!(record.count(|call| is_apart(call, &Call::ListenerClosed)), 1);
        assert_eq!((record.endings(), record.is_over), (vec![Ending::Done; 2], true));
    }
}

/// What a layer changes.
mod layers {
    use super::*;

    fn over(security: Security, steps: &[Step]) -> Record {
        compare_over(security, &patient(), &patient_apart(), steps)
    }

    #[test]
    fn an_end_is_told_from_a_cut() {
        for security in Security::LAYERED {
            for (text, expected) in [("sc", End::Eof), ("sx", End::Eof), ("sa", End::Cut)] {
                let record = over(security, &[Connect, write(0, text), Read(0), Drop(0)]);
                assert_eq!(record.read(2).1, expected, "{text} over {security:?}");
            }
        }
    }

    #[test]
    fn each_side_shakes_hands_once() {
        for security in Security::LAYERED {
            let record = over(
                security,
                &[Connect, write(0, "o"), Accept, write(1, "1"), Read(1), write(0, "2"), Read(0)],
            );
            assert_eq!((record.read(4).0, record.read(6).0), ("1".into(), "2".into()));
            assert_eq!(record.count(|call| matches!(call, Call::Handshake(_))), 2);
        }
    }

    #[test]
    fn one_that_goes_before_its_handshake_is_complete() {
        let reset = Ending::Failed(ErrorKind::ConnectionReset);
        for (gone, expected) in [(Drop(0), Ending::Layer), (Reset(0), reset)] {
            let record = over(Security::Tls, &[AtOnce(vec![Connect, gone])]);
            assert_eq!(record.endings(), [expected]);
        }
    }
}

/// The end of the loop.
mod shutdown {
    use super::*;

    #[test]
    fn all_of_them_are_closed_in_order() {
        let steps = [Connect, Connect, write(1, "S"), write(0, "1x2"), Read(0), Drop(0), Read(1)];
        let record = run(&[&steps[..], &[Drop(1)]].concat());
        assert_eq!(record.read(4), ("12".into(), End::Eof));
        assert_eq!(record.endings(), [Ending::Done; 2]);
        assert!(record.is_over);
    }

    #[test]
    fn what_is_under_way_goes_on() {
        let record = run(&[
            Connect,
            Connect,
            write(0, "h"),
            write(1, "x"),
            write(0, "1"),
            Read(0),
            write(0, "c"),
            Drop(0),
            Read(1),
            Drop(1),
        ]);
        assert_eq!(record.read(5), ("1".into(), End::NoneYet));
        assert_eq!(record.read(8).1, End::Eof);
        assert!(record.is_over);
    }

    #[test]
    fn who_does_not_go_is_not_waited_for() {
        let limits = Limits { shutdown_timeout: SOON, ..patient() };
        let steps = [Connect, Connect, write(0, "S"), write(1, "x"), soon()];
        let record = compare(&limits, &steps);
        assert_eq!(record.endings(), [Ending::ShutdownTimeout(0), Ending::Done]);
        assert!(record.is_over);
    }

    #[test]
    fn a_pair_is_not_waited_for() {
        let record = run(&[Connect, write(0, "A"), TakeAttached, write(0, "x"), Drop(0)]);
        assert!(record.is_over);
    }

    #[test]
    fn timers_go_on() {
        let record = run(&[Connect, write(0, "tdx"), soon(), Read(0), Drop(0)]);
        assert_eq!(record.count(|call| *call == Call::Timer(TimerId(1))), 1);
        assert_eq!(record.count(|call| matches!(call, Call::Deadline(_))), 0);
    }

    #[test]
    fn nothing_listens_there() {
        let limits = Limits { shutdown_timeout: NEVER, ..patient() };
        let record = compare(&limits, &[Connect, write(0, "xa")]);
        assert!(record.is_over);
    }
}
