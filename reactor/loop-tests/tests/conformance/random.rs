//! Any scripts at all: whatever peers do, and whatever they make the handler do, both loops do the
//! same.

use proptest::prelude::*;
use proptest::sample::Index;
use reactor::{Limits, ListenerLimits};

use crate::interpreter::{SOON, commands};
use crate::script::{Step, compare_both, compare_each, patient, patient_apart};

/// Peers that there are at most.
const PEERS_MAX: usize = 6;

/// What happens next; an index picks one of the peers that are there.
#[derive(Debug, Clone)]
enum Op {
    /// To the main listener, or to the other one.
    Connect(Step),
    Write(Index, Vec<u8>),
    /// Two peers write before the loop does anything.
    WriteBoth(Index, Vec<u8>, Index, Vec<u8>),
    /// A peer writes, and goes before the loop does anything.
    WriteAndGo(Index, Vec<u8>, Going),
    Read(Index),
    Shutdown(Index),
    Go(Index, Going),
    Dial(Index),
    Attach(Index),
}

/// How a peer goes.
#[derive(Debug, Clone, Copy)]
enum Going {
    Drop,
    Reset,
}

/// Input that makes the handler do something, and some that doesn't.
///
/// A script has either much output or aborts and alarms: how much had left when, of much, is the
/// kernel's own business.
fn input(much: bool) -> impl Strategy<Value = Vec<u8>> {
    let rare = if much {
        vec![commands::BIG, commands::FAR_DEADLINE, commands::FAR_TIMER]
    } else {
        vec![commands::ABORT, commands::ABORT_ALL, commands::DEADLINE, commands::TIMER]
    };
    let byte = prop_oneof![
        8 => prop::sample::select(b"123.".to_vec()),
        4 => Just(commands::SEND),
        2 => prop::sample::select(vec![commands::PAUSE, commands::RESUME, commands::KEEP]),
        1 => prop::sample::select(vec![commands::NO_DEADLINE, commands::NO_TIMER]),
        1 => prop::sample::select(vec![commands::STAY, commands::PROTECT, commands::HOLD_SHUTDOWN]),
        1 => prop::sample::select(vec![commands::CLOSE, commands::CLOSE_ALL]),
        2 => prop::sample::select(rare),
    ];
    prop::collection::vec(byte, 1..6)
}

/// The same without alarms: of two that are set at the same time, the kernel decides which is first.
fn input_without_alarms(much: bool) -> impl Strategy<Value = Vec<u8>> {
    input(much).prop_map(|bytes| {
        bytes
            .into_iter()
            .filter(|byte| ![commands::DEADLINE, commands::TIMER].contains(byte))
            .collect()
    })
}

fn op(much: bool) -> impl Strategy<Value = Op> {
    let (input, calm) = (|| input(much), || input_without_alarms(much));
    let peer = any::<Index>;
    let going = || prop_oneof![Just(Going::Drop), Just(Going::Reset)];
    // A command to dial may wait behind much output: whether the call is answered before the last of it
    // has left is the kernel's own business too.
    let dial = move |peer| if much { Op::Attach(peer) } else { Op::Dial(peer) };
    prop_oneof![
        3 => Just(Op::Connect(Step::Connect)),
        2 => Just(Op::Connect(Step::ConnectApart)),
        10 => (peer(), input()).prop_map(|(peer, bytes)| Op::Write(peer, bytes)),
        3 => (peer(), calm(), peer(), calm())
            .prop_map(|(one, bytes, other, more)| Op::WriteBoth(one, bytes, other, more)),
        2 => (peer(), input(), going())
            .prop_map(|(peer, bytes, going)| Op::WriteAndGo(peer, bytes, going)),
        6 => peer().prop_map(Op::Read),
        2 => peer().prop_map(Op::Shutdown),
        2 => (peer(), going()).prop_map(|(peer, going)| Op::Go(peer, going)),
        1 => peer().prop_map(dial),
        1 => peer().prop_map(Op::Attach),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    any::<bool>().prop_flat_map(|much| prop::collection::vec(op(much), 1..25))
}

/// Limits that are reached.
fn limits() -> impl Strategy<Value = (Limits, ListenerLimits)> {
    let few = || prop_oneof![3 => Just(usize::MAX), 1 => Just(2_usize)];
    (few(), few(), any::<bool>(), any::<bool>()).prop_map(|(connections, apart, narrow, slow)| {
        let mut limits = patient();
        limits.max_connections = limits.max_connections.min(connections);
        if narrow {
            (limits.write_buffer_high, limits.write_buffer_low) = (150, 50);
        }
        if slow {
            (limits.read_budget, limits.max_unconsumed) = (2, 3);
        }
        (limits, ListenerLimits { max_connections: apart, ..patient_apart() })
    })
}

/// A script of what is possible: who is gone does nothing.
#[derive(Default)]
struct Writer {
    steps: Vec<Step>,
    /// Whether a peer of this number is there, and whether it has said that nothing follows.
    peers: Vec<Option<bool>>,
}

impl Writer {
    fn pick(&self, index: Index) -> Option<usize> {
        let there: Vec<_> =
            (0..self.peers.len()).filter(|&peer| self.peers[peer].is_some()).collect();
        (!there.is_empty()).then(|| there[index.index(there.len())])
    }

    /// One that may still write.
    fn pick_writer(&self, index: Index) -> Option<usize> {
        self.pick(index).filter(|&peer| self.peers[peer] == Some(false))
    }

    /// Adds a step, and lets pass what was set in it.
    fn add(&mut self, step: Step) {
        self.steps.extend([step, Step::Advance(SOON)]);
    }

    fn go(&mut self, peer: usize, going: Going) -> Step {
        self.peers[peer] = None;
        match going {
            Going::Drop => Step::Drop(peer),
            Going::Reset => Step::Reset(peer),
        }
    }

    fn has_room(&self) -> bool {
        self.peers.iter().flatten().count() < PEERS_MAX
    }

    fn op(&mut self, op: Op) -> Option<()> {
        match op {
            Op::Connect(connect) if self.has_room() => {
                self.peers.push(Some(false));
                self.add(connect);
            }
            Op::Write(peer, bytes) => {
                let peer = self.pick_writer(peer)?;
                self.add(Step::Write(peer, bytes));
            }
            Op::WriteBoth(one, bytes, other, more) => {
                let (one, other) = (self.pick_writer(one)?, self.pick_writer(other)?);
                let both = vec![Step::Write(one, bytes), Step::Write(other, more)];
                self.add(Step::AtOnce(both));
            }
            Op::WriteAndGo(peer, bytes, going) => {
                let peer = self.pick_writer(peer)?;
                let gone = self.go(peer, going);
                self.add(Step::AtOnce(vec![Step::Write(peer, bytes), gone]));
            }
            Op::Read(peer) => {
                let peer = self.pick(peer)?;
                self.add(Step::Read(peer));
            }
            Op::Shutdown(peer) => {
                let peer = self.pick_writer(peer)?;
                self.peers[peer] = Some(true);
                self.add(Step::Shutdown(peer));
            }
            Op::Go(peer, going) => {
                let peer = self.pick(peer)?;
                let gone = self.go(peer, going);
                self.add(gone);
            }
            Op::Dial(peer) => self.command(peer, commands::CONNECT, Step::Accept)?,
            Op::Attach(peer) => self.command(peer, commands::ATTACH, Step::TakeAttached)?,
            Op::Connect(_) => {}
        }
        Some(())
    }

    /// A peer makes the handler do something that brings another peer, maybe.
    fn command(&mut self, peer: Index, command: u8, take: Step) -> Option<()> {
        let peer = self.pick_writer(peer).filter(|_| self.has_room())?;
        self.add(Step::Write(peer, vec![command]));
        self.add(take);
        self.peers.push(Some(false));
        Some(())
    }

    /// All peers go, and another one comes.
    fn finish(mut self) -> Vec<Step> {
        for peer in 0..self.peers.len() {
            if self.peers[peer].take().is_some() {
                self.add(Step::Drop(peer));
            }
        }
        self.add(Step::Connect);
        self.steps
    }
}

/// Scripts of a test run.
fn cases() -> u32 {
    let cases = std::env::var("PROPTEST_CASES").ok();
    cases.map_or(60, |cases| cases.parse().expect("a number of cases"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn any_script_comes_to_the_same((limits, apart) in limits(), ops in ops()) {
        let mut writer = Writer::default();
        for op in ops {
            writer.op(op);
        }
        let steps = writer.finish();
        // Who waits for its turn to connect has begun no handshake. Of what follows a close less is read
        // if less is read at a time.
        let Limits { max_connections, read_budget, .. } = patient();
        let all_connect = limits.max_connections == max_connections && apart.max_connections > PEERS_MAX;
        if all_connect && limits.read_budget == read_budget {
            compare_both(&limits, &apart, &steps);
        } else {
            compare_each(&limits, &apart, &steps);
        }
    }
}
