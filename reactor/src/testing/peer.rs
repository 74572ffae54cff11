//! The test's end of a connection to a loop.

use std::io::{self, ErrorKind};

use crate::testing::link::Side;
use crate::testing::state::{LinkId, Shared};

/// A socket in the test's hands. Dropping it closes it.
#[derive(Debug)]
pub struct Peer {
    shared: Shared,
    link: LinkId,
    side: Side,
}

impl Peer {
    pub(super) fn new(shared: Shared, link: LinkId, side: Side) -> Self {
        Self { shared, link, side }
    }

    /// The connection that it is an end of.
    pub fn link(&self) -> LinkId {
        self.link
    }

    fn unread(&self) -> usize {
        let state = self.shared.get();
        state.links.get(&self.link).map_or(0, |placed| placed.link.unread(self.side))
    }

    /// Sends as many of the bytes as there is room for; returns how many.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.shared.get().write(self.link, self.side, bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Sends all of it.
    ///
    /// # Panics
    /// When there is no room for it, or the connection is broken.
    pub fn write_all(&self, bytes: &[u8]) {
        let count = self.write(bytes).expect("the connection is open");
        assert_eq!(count, bytes.len(), "there is room for all of it");
    }

    /// Reads once, at most `most` bytes: none if nothing has arrived, and `None` at the end.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn read(&self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; most.min(self.unread().max(1))];
        match self.shared.get().read(self.link, self.side, &mut bytes) {
            Ok(0) => Ok(None),
            Ok(count) => {
                bytes.truncate(count);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// Everything that has arrived.
    ///
    /// # Panics
    /// When the connection is broken.
    pub fn read_arrived(&self) -> Vec<u8> {
        self.read(usize::MAX).expect("the connection is open").unwrap_or_default()
    }

    /// Says that nothing follows.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn shutdown(&self) -> io::Result<()> {
        let result = self.shared.get().change(self.link, |link| link.shutdown(self.side));
        result.unwrap_or(Err(ErrorKind::NotConnected)).map_err(io::Error::from)
    }

    /// Closes it without an orderly end, as TCP can.
    pub fn reset(self) {
        self.shared.get().change(self.link, |link| link.reset(self.side));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.close(self.link, self.side);
    }
}
