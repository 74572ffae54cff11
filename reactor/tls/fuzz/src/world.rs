//! Both sides, step by step, and what must hold after each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use reactor::testing::{MemoryLoop, MemoryNetwork, Side};
use reactor::{Context as _, Limits};
use tls::HELD_MAX;

use crate::credentials::Role;
use crate::handler::{Echo, Phase};
use crate::input::Input;
use crate::peer::Remote;

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7000);

/// What the loop may hold beside the layer: input that is left, output up to its mark and what one call
/// adds, and spare chunks.
const BUFFERS_MAX: usize = 160 * 1024;

/// More turns than any step needs to come to rest.
const TURNS_MAX: usize = 100_000;

const MOMENT: Duration = Duration::from_millis(300);

/// See the [module](self).
pub struct World {
    network: MemoryNetwork,
    event_loop: MemoryLoop<Echo>,
    remote: Remote,
    /// The peer has ended before it had said everything, or in the middle of the handshake.
    cut: bool,
    steps: u64,
}

impl World {
    /// A connection that has just been made, in a world whose details the input decides.
    pub fn new(input: &mut Input<'_>) -> Self {
        let role = if input.bit() { Role::Client } else { Role::Server };
        let waits_for_first_byte = input.bit() && role == Role::Server;
        let echo = Echo::new(role, waits_for_first_byte, input.one_of([0, 1, 5, 50]));
        let network = MemoryNetwork::new();
        network.set_capacity(input.one_of([10, 100, 5000, 100_000]));
        let limits = Limits {
            read_budget: input.one_of([10, 100, 4096, 65536]),
            max_unconsumed: 100,
            write_buffer_high: 20_000,
            write_buffer_low: 5000,
            ..Limits::default()
        };
        let mut event_loop = MemoryLoop::new(&network, limits, echo);
        event_loop.listen(ADDRESS).expect("nobody else listens");
        let Ok(()) = event_loop.start();
        let socket = network.connect(ADDRESS).expect("the loop listens");
        let Ok(()) = event_loop.run_until_quiescent();
        let remote = Remote::new(role.other(), socket);
        Self { network, event_loop, remote, cut: false, steps: 0 }
    }

    /// Completes the handshake.
    ///
    /// # Panics
    /// When it can't be completed.
    pub fn shake_hands(&mut self) {
        for _ in 0..TURNS_MAX {
            if self.event_loop.handler.phase == Phase::Secured && !self.remote.is_handshaking() {
                self.network.deliver_by_hand();
                return;
            }
            self.remote.pass(0);
            self.run();
            self.remote.read(usize::MAX);
        }
        panic!("the handshake doesn't end");
    }

    /// Does what the input says, to its end, and lets the peer go.
    ///
    /// # Panics
    /// When something doesn't hold.
    pub fn play(mut self, input: &mut Input<'_>) {
        self.network.deliver_by_hand();
        while !input.is_empty() {
            self.steps += 1;
            self.step(input);
            self.check();
        }
        self.end(false);
        self.remote.socket = None;
        self.deliver(usize::MAX, usize::MAX);
        for _ in 0..3 {
            self.resume();
            self.run();
            self.network.advance(Limits::default().write_timeout);
        }
        self.run();
        self.check();
        assert_eq!(self.event_loop.handler.phase, Phase::Closed, "the peer is gone");
        let counters = self.event_loop.counters();
        // A read that gets as much as it may leaves open whether there is more.
        let allowed = 20 + 3 * self.steps + counters.bytes_read + counters.bytes_written;
        assert!(counters.idle_turns <= allowed, "it does nothing for long: {counters:?}");
        let honest = !self.remote.tampered && !self.cut;
        assert!(!(honest && self.event_loop.handler.layer_failed), "it had no reason to fail");
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 20 {
            0 => self.remote.send(input.amount()),
            1 | 2 => self.remote.pass(input.amount()),
            3 => self.inject(input),
            4 => self.flip(input),
            5 => self.lose(input.amount()),
            6 => self.repeat(input.amount()),
            7 | 8 => self.deliver(input.amount(), 0),
            9 => self.deliver(0, input.amount()),
            10 => self.remote.read(input.amount()),
            11 => self.turn(),
            12 => self.run(),
            13 => self.flow(input.bit()),
            14 => self.send(input.amount()),
            15 => self.close(),
            16 => self.close_remote(),
            17 => self.end(input.bit()),
            18 => self.network.advance(MOMENT),
            _ => self.exchange(),
        }
    }
}

/// What happens to the peer's bytes.
impl World {
    fn inject(&mut self, input: &mut Input<'_>) {
        let count = input.amount();
        for byte in input.bytes(count).iter().rev() {
            self.remote.wire.push_front(*byte);
            self.remote.tampered = true;
        }
    }

    fn flip(&mut self, input: &mut Input<'_>) {
        let (at, mask) = (input.amount(), input.byte());
        if let Some(byte) = self.remote.wire.get_mut(at) {
            *byte ^= mask;
            self.remote.tampered = true;
        }
    }

    fn lose(&mut self, count: usize) {
        let count = count.min(self.remote.wire.len());
        self.remote.wire.drain(..count);
        self.remote.tampered |= count > 0;
    }

    fn repeat(&mut self, count: usize) {
        let again: Vec<u8> = self.remote.wire.iter().copied().take(count).collect();
        self.remote.tampered |= !again.is_empty();
        for byte in again.into_iter().rev() {
            self.remote.wire.push_front(byte);
        }
    }

    fn deliver(&mut self, from_peer: usize, to_peer: usize) {
        for (link, side) in self.network.in_flight() {
            let count = if side == Side::Caller { from_peer } else { to_peer };
            if count > 0 {
                self.network.deliver(link, side, count);
            }
        }
    }

    /// All that is on its way arrives, here and there.
    fn exchange(&mut self) {
        self.remote.pass(0);
        self.deliver(usize::MAX, usize::MAX);
        self.run();
        self.deliver(usize::MAX, usize::MAX);
        self.remote.read(usize::MAX);
    }

    fn close_remote(&mut self) {
        self.cut |= self.is_handshaking();
        self.remote.close();
    }

    fn end(&mut self, resets: bool) {
        self.cut |= resets || self.is_handshaking() || self.remote.is_unfinished();
        match &self.remote.socket {
            Some(socket) if !resets => drop(socket.shutdown()),
            _ => drop(self.remote.socket.take().map(|socket| socket.reset())),
        }
    }
}

/// What the loop and its handler do.
impl World {
    fn turn(&mut self) {
        let Ok(()) = self.event_loop.turn();
    }

    fn run(&mut self) {
        for _ in 0..TURNS_MAX {
            if self.event_loop.is_quiescent() {
                return;
            }
            self.turn();
        }
        panic!("it spins: {:?}", self.event_loop.counters());
    }

    fn flow(&mut self, pauses: bool) {
        let Some(connection) = self.event_loop.handler.connection else { return };
        if pauses {
            self.event_loop.context().pause_reading(connection);
        } else {
            self.event_loop.context().resume_reading(connection);
        }
    }

    fn resume(&mut self) {
        self.flow(false);
    }

    fn send(&mut self, count: usize) {
        let Some(connection) = self.event_loop.handler.connection else { return };
        let cx = self.event_loop.context();
        if cx.unsent(connection) <= 20_000 {
            cx.send(connection, &vec![b'.'; count]);
        }
    }

    fn close(&mut self) {
        let Some(connection) = self.event_loop.handler.connection else { return };
        self.event_loop.context().close(connection);
    }
}

/// What must hold.
impl World {
    fn check(&self) {
        let held = self.event_loop.held();
        assert!(held <= HELD_MAX + BUFFERS_MAX, "{held} bytes are held");
        let received = &self.event_loop.handler.received;
        assert!(self.remote.sent.starts_with(received), "something that the peer hasn't sent");
    }

    fn is_handshaking(&self) -> bool {
        self.remote.is_handshaking() || self.event_loop.handler.phase < Phase::Secured
    }
}
