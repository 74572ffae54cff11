//! A peer's end of a connection, with or without a layer. To the script it is the same.

use std::io::{self, ErrorKind, IoSlice, Write};

use reactor::Layer;
use reactor::layer::KEPT_MAX;

use crate::driver::Wire;

/// See the [module](self).
pub(crate) struct Secured<W> {
    wire: W,
    layer: Option<Box<dyn Layer>>,
    /// What the script has written before the handshake was complete: a socket would have taken it.
    early: Vec<u8>,
    /// What has come out of the layer before the script has read.
    received: Vec<u8>,
    /// The script has said that nothing follows.
    ends: bool,
    /// The layer was told, and the socket.
    ended: bool,
}

impl<W: Wire> Secured<W> {
    pub(crate) fn new(wire: W, layer: Option<Box<dyn Layer>>) -> Self {
        let (early, received) = (Vec::new(), Vec::new());
        Self { wire, layer, early, received, ends: false, ended: false }
    }

    /// Does what a peer's program does by itself: its handshake, and sending what waits. Returns
    /// whether something moved.
    pub(crate) fn pump(&mut self) -> bool {
        let shakes_hands = self.layer.as_ref().is_some_and(|layer| layer.is_handshaking());
        let mut moved = false;
        if shakes_hands && let Ok(Some(bytes)) = self.wire.read() {
            moved = !bytes.is_empty();
            // Whatever is wrong is noticed by the script when it reads.
            let _ = self.receive(&bytes);
        }
        self.flush().unwrap_or(false) || moved
    }

    /// Passes bytes that have arrived through the layer.
    fn receive(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(layer) = &mut self.layer else {
            self.received.extend_from_slice(bytes);
            return Ok(());
        };
        if bytes.is_empty() {
            return Ok(());
        }
        let mut plain = vec![0; bytes.len() + KEPT_MAX];
        let received = layer.receive(bytes, &mut plain);
        self.received.extend_from_slice(&plain[..received.length]);
        match received.failure {
            None => Ok(()),
            Some(failure) => Err(io::Error::other(failure)),
        }
    }

    /// Sends what the layer has, and the end if nothing else is left. Returns whether something moved.
    fn flush(&mut self) -> io::Result<bool> {
        let Some(layer) = &mut self.layer else { return Ok(false) };
        let mut moved = false;
        loop {
            if !layer.is_handshaking() && !self.early.is_empty() {
                let taken = layer.send(&[IoSlice::new(&self.early)]);
                self.early.drain(..taken);
            }
            if self.ends && !self.ended && self.early.is_empty() && !layer.is_handshaking() {
                self.ended = true;
                layer.close();
            }
            if layer.unsent() == 0 {
                break;
            }
            match layer.write_to(&mut Socket(&mut self.wire)) {
                Ok(_) => moved = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(moved),
                Err(error) => return Err(error),
            }
        }
        if self.ended && std::mem::take(&mut self.ends) {
            self.wire.shutdown()?;
            moved = true;
        }
        Ok(moved)
    }

    /// Writes some of the bytes, maybe none.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let Some(layer) = &mut self.layer else { return self.wire.write(bytes) };
        if layer.is_handshaking() {
            self.early.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        // No more than its socket takes: what is left is the script's to write again.
        let taken = if layer.unsent() > 0 || bytes.is_empty() {
            0
        } else {
            layer.send(&[IoSlice::new(bytes)])
        };
        self.flush()?;
        Ok(taken)
    }

    /// Reads some bytes, maybe none; `None` at the end of the socket.
    pub(crate) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        // What arrives may be the layer's own, and hold nothing for the script.
        while self.received.is_empty() {
            match self.wire.read()? {
                None => return Ok(None),
                Some(bytes) if bytes.is_empty() => break,
                Some(bytes) => self.receive(&bytes)?,
            }
        }
        Ok(Some(std::mem::take(&mut self.received)))
    }

    /// Whether the other side has said that nothing follows: without a layer the end says so.
    pub(crate) fn has_ended_in_order(&self) -> bool {
        self.layer.as_ref().is_none_or(|layer| layer.has_peer_ended())
    }

    /// Says that nothing follows, when everything before has left.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if self.layer.is_none() {
            return self.wire.shutdown();
        }
        self.ends = true;
        self.flush().map(drop)
    }

    pub(crate) fn reset(self) {
        self.wire.reset();
    }
}

/// What a layer writes to.
struct Socket<'w, W>(&'w mut W);

impl<W: Wire> Write for Socket<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
