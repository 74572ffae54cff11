//! The other side, and its bytes on their way, which may be changed.

use std::collections::VecDeque;
use std::io::IoSlice;

use reactor::Layer as _;
use reactor::layer::KEPT_MAX;
use reactor::testing::Peer;
use tls::{HELD_MAX, TlsLayer};

use crate::credentials::Role;

/// Most of its bytes that are on their way.
const ON_THE_WAY_MAX: usize = 256 * 1024;

/// See the [module](self).
pub(crate) struct Remote {
    layer: TlsLayer,
    failed: bool,
    closed: bool,
    /// What it has written, and what was changed of it, and hasn't been sent.
    pub(crate) wire: VecDeque<u8>,
    /// Plain bytes that it has sent.
    pub(crate) sent: Vec<u8>,
    pub(crate) tampered: bool,
    /// Its socket, until it is gone.
    pub(crate) socket: Option<Peer>,
}

impl Remote {
    pub(crate) fn new(role: Role, socket: Peer) -> Self {
        let mut remote = Self {
            layer: role.layer(),
            failed: false,
            closed: false,
            wire: VecDeque::new(),
            sent: Vec::new(),
            tampered: false,
            socket: Some(socket),
        };
        remote.write();
        remote
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.layer.is_handshaking()
    }

    /// Whether something of what it has said hasn't been sent, or it says that it has failed.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.failed || !self.wire.is_empty()
    }

    fn write(&mut self) {
        while self.layer.unsent() > 0 {
            self.layer.write_to(&mut self.wire).expect("memory takes all");
        }
        assert!(self.layer.held() <= HELD_MAX, "{}", self.layer.held());
    }

    /// Sends so many plain bytes.
    pub(crate) fn send(&mut self, count: usize) {
        if self.failed || self.closed || self.wire.len() > ON_THE_WAY_MAX {
            return;
        }
        let text: Vec<u8> = (0..count).map(|index| (self.sent.len() + index) as u8).collect();
        if !text.is_empty() {
            let taken = self.layer.send(&[IoSlice::new(&text)]);
            self.sent.extend_from_slice(&text[..taken]);
            self.write();
        }
    }

    /// Says that nothing follows.
    pub(crate) fn close(&mut self) {
        if !self.failed && !std::mem::replace(&mut self.closed, true) {
            self.layer.close();
            self.write();
        }
    }

    /// Sends so many of the bytes on their way, or all of them if it is none.
    pub(crate) fn pass(&mut self, count: usize) {
        let Some(socket) = &self.socket else { return };
        let count = if count == 0 { self.wire.len() } else { count.min(self.wire.len()) };
        let bytes: Vec<u8> = self.wire.iter().copied().take(count).collect();
        // A socket that is full takes less, and one that is broken nothing more.
        let taken = socket.write(&bytes).unwrap_or(0);
        self.wire.drain(..taken);
    }

    /// Reads so many of the bytes that have arrived.
    pub(crate) fn read(&mut self, count: usize) {
        let Some(socket) = &self.socket else { return };
        let Ok(Some(bytes)) = socket.read(count.max(1)) else { return };
        // After its close, as the loop does, it discards.
        if self.failed || self.closed || bytes.is_empty() {
            return;
        }
        let mut plain = vec![0; bytes.len() + KEPT_MAX];
        self.failed = self.layer.receive(&bytes, &mut plain).failure.is_some();
        self.write();
    }
}
