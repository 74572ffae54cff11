//! What a connection does with its layer: the only place that passes bytes through it.

use std::io::{self, IoSlice};

use super::{Connection, State};
use crate::buffer::Pool;
use crate::layer::{Layer, LayerError, Layered, Received};
use crate::stream::Flush;
use crate::system::Socket;

impl<S: Socket> Connection<S> {
    pub(crate) fn has_layer(&self) -> bool {
        self.buffers.layered().is_some()
    }

    pub(crate) fn layer(&self) -> Option<&dyn Layer> {
        self.buffers.layered().map(|layered| &*layered.layer)
    }

    /// Passes everything through a layer from now on, beginning with the input that is kept. Returns
    /// whether it does: a connection has one layer at most.
    pub(crate) fn start_layer(&mut self, pool: &mut Pool, layer: Box<dyn Layer>) -> bool {
        let starts = self.is_open() && !self.has_layer() && !self.peer_ended;
        if starts {
            self.buffers.set_layer(pool, Layered::new(layer));
        }
        starts
    }

    /// Whether its layer's handshake isn't complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.buffers.layered().is_some_and(|layered| layered.is_handshaking)
    }

    /// Waits no longer for its layer's handshake, and drops what waited for it. Returns whether it did.
    pub(crate) fn give_handshake_up(&mut self, pool: &mut Pool) -> bool {
        let gives_up = self.is_handshaking();
        if let Some(layered) = self.buffers.layered_mut().filter(|_| gives_up) {
            layered.is_handshaking = false;
            self.buffers.drop_output(pool);
        }
        gives_up
    }

    /// Whether its layer's handshake has just been completed.
    pub(crate) fn take_established(&mut self) -> bool {
        self.is_open() && self.buffers.layered_mut().is_some_and(Layered::take_established)
    }

    /// Whether the input that is kept is its layer's, which hasn't got it yet.
    pub(crate) fn has_layer_input(&self) -> bool {
        self.buffers.layered().is_some_and(|layered| layered.awaits_first_input)
    }

    /// The input that was kept when the layer was started, once.
    pub(crate) fn take_layer_input(&mut self, pool: &mut Pool) -> Option<Vec<u8>> {
        if !self.takes_input() {
            return None;
        }
        let layered = self.buffers.layered_mut()?;
        if !std::mem::take(&mut layered.awaits_first_input) {
            return None;
        }
        Some(self.buffers.take_input(pool))
    }

    /// Passes bytes that have arrived through the layer.
    pub(crate) fn receive(
        &mut self,
        pool: &mut Pool,
        wire: &[u8],
        plain: &mut [u8],
    ) -> Option<Received> {
        let received = self.buffers.layered_mut()?.layer.receive(wire, plain);
        self.buffers.count_layer(pool);
        Some(received)
    }

    /// Tells the layer that nothing more arrives.
    pub(crate) fn finish_layer(&mut self) -> Result<(), LayerError> {
        self.buffers.layered_mut().map_or(Ok(()), |layered| layered.layer.finish())
    }

    /// Whether the peer's end has arrived within the layer, and is to be delivered now: then it is as
    /// if the socket had ended.
    pub(crate) fn take_layer_end(&mut self) -> bool {
        let ended = self.layer().is_some_and(Layer::has_peer_ended);
        let takes = ended && self.takes_input() && !self.peer_ended;
        self.peer_ended |= takes;
        takes
    }

    /// Open or closing to closing, because the layer can't go on: only what it has to say still leaves.
    pub(crate) fn fail_layer(&mut self, pool: &mut Pool, error: LayerError) {
        self.close(pool);
        if self.state != State::Closing {
            return;
        }
        self.buffers.drop_output(pool);
        if let Some(layered) = self.buffers.layered_mut() {
            layered.failure = Some(error);
        }
    }

    /// Why the layer couldn't go on, if that is why the connection is closed.
    pub(crate) fn take_layer_failure(&mut self) -> Option<LayerError> {
        self.buffers.layered_mut()?.failure.take()
    }

    /// Sends what waits, through the layer, until the socket takes no more.
    pub(super) fn flush_layered(&mut self, pool: &mut Pool) -> Flush {
        let mut sent = 0;
        loop {
            let left = self.pass_output(pool);
            let flushed = self.write_layer();
            self.buffers.count_layer(pool);
            match flushed {
                Ok(0) if left > 0 && self.refuses_output() => {
                    return Flush::Failed(io::Error::other("its layer takes nothing more"));
                }
                Ok(0) => return Flush::Sent(sent),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.writable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Flush::Failed(error),
            }
        }
    }

    /// Returns how much output is left.
    fn pass_output(&mut self, pool: &mut Pool) -> usize {
        let left = self.buffers.pass_output(pool);
        let closes = self.state == State::Closing && left == 0;
        if let Some(layered) = self.buffers.layered_mut().filter(|_| closes)
            && layered.failure.is_none()
        {
            layered.close();
        }
        left
    }

    /// Whether the layer takes no output though it has room: nothing would ever leave, and nothing would
    /// end the connection.
    fn refuses_output(&self) -> bool {
        self.layer().is_some_and(|layer| !layer.is_handshaking() && layer.unsent() == 0)
    }

    /// Bytes of the layer that the socket took; none when there are none, or it is full.
    fn write_layer(&mut self) -> io::Result<usize> {
        let Some(layered) = self.buffers.layered_mut() else { return Ok(0) };
        if !self.readiness.writable || layered.layer.unsent() == 0 {
            return Ok(0);
        }
        let mut socket = Offered { socket: &mut self.socket, offered: 0 };
        let count = layered.layer.write_to(&mut socket)?;
        // As without a layer: the call that would return `WouldBlock` is saved.
        self.readiness.writable = count == socket.offered;
        if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
    }
}

/// A socket that remembers how much it was offered.
struct Offered<'s, S> {
    socket: &'s mut S,
    offered: usize,
}

impl<S: io::Write> io::Write for Offered<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.offered = bytes.len();
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.offered = slices.iter().map(|slice| slice.len()).sum();
        self.socket.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
