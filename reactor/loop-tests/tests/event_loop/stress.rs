//! Random peers under random limits: every byte of a peer that stays comes back in order, whatever
//! the others do, and in the end every connection is closed.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};

use proptest::prelude::*;
use reactor::Limits;

use loop_tests::{
    Call, Ending, Script, echo, listening, narrow_peer, pattern, peer, read_some, reset, spawn,
};

/// More bytes than the handler waits for before it replies.
const UNIT: usize = 200;

/// How a peer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// Ends its side, and reads to the end.
    InOrder,
    /// Closes, maybe with replies unread.
    Close,
    Reset,
}

/// What one peer does.
#[derive(Debug, Clone)]
struct Plan {
    /// Bytes of each of its writes.
    writes: Vec<usize>,
    /// Bytes that it reads at a time.
    read: usize,
    /// Its receive buffer is small.
    narrow: bool,
    leave: Leave,
}

impl Plan {
    fn any() -> impl Strategy<Value = Self> {
        let leave = prop_oneof![
            3 => Just(Leave::InOrder),
            1 => Just(Leave::Close),
            1 => Just(Leave::Reset),
        ];
        let write = prop_oneof![4 => 1..100_usize, 2 => 1..5000_usize, 1 => 1..200_000_usize];
        (prop::collection::vec(write, 0..20), 1..3000_usize, any::<bool>(), leave)
            .prop_map(|(writes, read, narrow, leave)| Self { writes, read, narrow, leave })
    }

    /// Writes and reads at the same time: a peer that only writes is not read in the end.
    fn follow(&self, address: SocketAddr) {
        let peer = if self.narrow { narrow_peer(address) } else { peer(address) };
        let output = pattern(self.writes.iter().sum());
        let input = std::thread::scope(|scope| {
            scope.spawn(|| self.write(&peer, &output));
            self.read_all(&peer, output.len())
        });
        match self.leave {
            Leave::InOrder => assert!(input == output, "{self:?}"),
            Leave::Close => drop(peer),
            Leave::Reset => reset(peer),
        }
    }

    fn write(&self, mut peer: &TcpStream, mut output: &[u8]) {
        for count in &self.writes {
            let (now, later) = output.split_at(*count);
            peer.write_all(now).unwrap();
            output = later;
        }
        if self.leave == Leave::InOrder {
            peer.shutdown(Shutdown::Write).unwrap();
        }
    }

    /// Reads until the end comes; a peer that leaves earlier, half of what surely comes without it.
    fn read_all(&self, peer: &TcpStream, asked: usize) -> Vec<u8> {
        let wanted =
            if self.leave == Leave::InOrder { usize::MAX } else { asked.saturating_sub(UNIT) / 2 };
        let mut input = Vec::new();
        let mut piece = vec![0; self.read];
        while input.len() < wanted {
            match read_some(peer, &mut piece).unwrap() {
                0 => break,
                count => input.extend_from_slice(&piece[..count]),
            }
        }
        input
    }
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1..10_usize, 1..4_usize, 32..3000_usize, 0..10_000_usize, 0..10_000_usize).prop_map(
        |(connections, accept_budget, read_budget, high, low)| Limits {
            max_connections: connections,
            accept_budget,
            read_budget,
            write_buffer_high: high,
            write_buffer_low: low.min(high),
            ..Limits::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The handler consumes whole units and leaves the rest, like one that decodes frames.
    #[test]
    fn random_peers(
        plans in prop::collection::vec(Plan::any(), 1..16),
        limits in any_limits(),
        unit in 1..UNIT,
    ) {
        let (event_loop, address) = listening(limits);
        let script = Script::new(move |cx, call| match call {
            Call::Data(id, input, consumed) => {
                *consumed = input.len() / unit * unit;
                cx.send(id, &input[..*consumed]);
            }
            Call::Eof(id, rest) => {
                cx.send(id, rest);
                cx.close(id);
            }
            call => echo(cx, &call),
        });
        let running = spawn(event_loop, script.stops_after(plans.len()));
        std::thread::scope(|scope| {
            for plan in &plans {
                drop(scope.spawn(|| plan.follow(address)));
            }
        });
        let finished = running.join();
        prop_assert_eq!(finished.counters.accepted, plans.len() as u64);
        prop_assert_eq!(finished.counters.closed, plans.len() as u64);
        let in_order = plans.iter().filter(|plan| plan.leave == Leave::InOrder).count();
        let done = finished.endings().iter().filter(|ending| **ending == Ending::Done).count();
        prop_assert!(done >= in_order, "{:?}", finished.endings());
    }
}
