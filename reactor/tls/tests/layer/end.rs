//! One side without a loop. It treats its layer as the loop does, and no better: no more room than is
//! promised, nothing after a failure, one close.

use std::io::{self, ErrorKind, IoSlice, Write};

use reactor::Layer as _;
use reactor::layer::KEPT_MAX;
use tls::{TlsError, TlsLayer};

/// See the [module](self).
pub(crate) struct End {
    pub(crate) layer: TlsLayer,
    /// What has come out of it.
    pub(crate) received: Vec<u8>,
    pub(crate) failure: Option<TlsError>,
    closed: bool,
    was_handshaking: bool,
}

impl End {
    pub(crate) fn new(layer: TlsLayer) -> Self {
        let was_handshaking = layer.is_handshaking();
        Self { layer, received: Vec::new(), failure: None, closed: false, was_handshaking }
    }

    /// These bytes arrive at once.
    pub(crate) fn receive(&mut self, wire: &[u8]) {
        assert!(self.failure.is_none(), "nothing more after {:?}", self.failure);
        let mut plain = vec![0; wire.len() + KEPT_MAX];
        let received = self.layer.receive(wire, &mut plain);
        self.received.extend_from_slice(&plain[..received.length]);
        self.failure = received.failure.map(|error| *error.downcast().unwrap());
        assert!(self.was_handshaking || !self.layer.is_handshaking(), "it is complete once");
        self.was_handshaking = self.layer.is_handshaking();
        assert!(received.length == 0 || !self.was_handshaking, "nothing before it is complete");
    }

    /// No more bytes arrive.
    pub(crate) fn finish(&mut self) {
        assert!(self.failure.is_none(), "nothing more after {:?}", self.failure);
        self.failure = self.layer.finish().err().map(|error| *error.downcast().unwrap());
    }

    /// Sends as much of it as it takes.
    pub(crate) fn send(&mut self, plain: &[u8]) -> usize {
        assert!(!self.closed && self.failure.is_none(), "it may send");
        // In chunks, as output waits in the loop.
        let slices: Vec<_> = plain.chunks(8 * 1024).map(IoSlice::new).collect();
        if slices.is_empty() { 0 } else { self.layer.send(&slices[..slices.len().min(16)]) }
    }

    /// Says that nothing follows.
    pub(crate) fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) && self.failure.is_none() {
            self.layer.close();
        }
    }

    /// Writes once to a socket that has so much room; `None` if it takes nothing.
    pub(crate) fn write_once(&mut self, room: usize) -> Option<Vec<u8>> {
        if self.layer.unsent() == 0 {
            return None;
        }
        let unsent = self.layer.unsent();
        let mut socket = Socket { taken: Vec::new(), room };
        match self.layer.write_to(&mut socket) {
            Ok(count) => {
                assert_eq!(count, socket.taken.len());
                // After a failure it doesn't know how long its alert is.
                assert!(self.failure.is_some() || self.layer.unsent() == unsent - count);
                Some(socket.taken)
            }
            Err(error) => {
                assert_eq!((error.kind(), room), (ErrorKind::WouldBlock, 0));
                assert_eq!(self.layer.unsent(), unsent);
                None
            }
        }
    }

    /// Writes everything that it has.
    pub(crate) fn write(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while let Some(bytes) = self.write_once(usize::MAX) {
            wire.extend(bytes);
        }
        wire
    }
}

/// Takes so many bytes at a time.
struct Socket {
    taken: Vec<u8>,
    room: usize,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(self.taken.is_empty(), "it writes once");
        assert!(slices.iter().any(|slice| !slice.is_empty()), "it writes something");
        for slice in slices {
            let now = slice.len().min(self.room - self.taken.len());
            self.taken.extend_from_slice(&slice[..now]);
        }
        if self.taken.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(self.taken.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
