//! Step 3 of a turn: reading from ready connections, and delivering what they bring.

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::connections::Connections;
use crate::handler::Handler;
use crate::id::{ConnectionId, ListenerId};
use crate::layer::KEPT_MAX;
use crate::limits::Limits;
use crate::stream::Read;
use crate::system::System;
use crate::turn_hook::TurnHook;

/// Reads into one buffer that all connections share.
#[derive(Debug)]
pub(crate) struct Reader {
    /// First the input that the connection's handler has left, then what is read behind it, or comes
    /// out of its layer: whatever is decoded is decoded in place.
    buffer: Box<[u8]>,
    /// What is read for a layer; empty until there is one.
    wire: Box<[u8]>,
}

impl Reader {
    pub(crate) fn new(limits: &Limits) -> Self {
        let size = limits.max_unconsumed + limits.read_budget + KEPT_MAX;
        Self { buffer: vec![0; size].into_boxed_slice(), wire: Box::default() }
    }

    /// Serves each ready connection once, as far as the turn's budget of its listener goes.
    ///
    /// Attached ones come first; those of further listeners are next, because they are few and their
    /// budgets are small. The next turn begins with those that weren't served; those that have more
    /// left come last.
    pub(crate) fn serve<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        hook: &impl TurnHook,
    ) {
        connections.shares.begin_turn();
        for _ in 0..connections.ready_attached.len() {
            let Some(id) = connections.ready_attached.pop_front() else { break };
            self.serve_one(connections, handler, id);
        }
        for listener in connections.shares.apart() {
            self.serve_share(connections, handler, listener, || false);
        }
        self.serve_handshakes(connections, handler, hook);
        self.serve_share(connections, handler, ListenerId::MAIN, || hook.is_exhausted());
    }

    /// Serves the connections of a listener, until what they may cost in a turn is used up.
    fn serve_share<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        listener: ListenerId,
        is_exhausted: impl Fn() -> bool,
    ) {
        for _ in 0..connections.shares[listener].ready.len() {
            let share = &mut connections.shares[listener];
            if is_exhausted() || share.read_room() == 0 {
                return;
            }
            let Some(id) = share.ready.pop_front() else { return };
            self.serve_one(connections, handler, id);
        }
    }

    /// They come before the others of the main listener, which may use up what a turn may read. Those
    /// of all listeners take turns; one that may read nothing now is passed over.
    fn serve_handshakes<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        hook: &impl TurnHook,
    ) {
        let mut budget = connections.limits.handshake_budget;
        for _ in 0..connections.ready_handshakes.len() {
            if budget == 0 || hook.is_exhausted() {
                return;
            }
            let Some(id) = connections.ready_handshakes.pop_front() else { return };
            let Some(connection) = connections.table.get(id) else { continue };
            if connections.shares[connection.share()].read_room() == 0 {
                connections.ready_handshakes.push_back(id);
                continue;
            }
            // Those that were closed meanwhile cost nothing.
            budget -= usize::from(connection.is_handshaking());
            self.serve_one(connections, handler, id);
        }
    }

    fn serve_one<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        id: ConnectionId,
    ) {
        let Some(connection) = connections.get(id) else { return };
        connection.unqueue_ready();
        if connection.take_resumed_output() {
            handler.on_writable(connections, id);
        }
        handler.before_read(connections, id);
        self.redeliver(connections, handler, id);
        let Some(connection) = connections.table.get(id) else { return };
        let share = connection.share();
        if connection.has_layer() {
            self.serve_layered(connections, handler, id, share);
        } else {
            self.serve_plain(connections, handler, id, share);
        }
    }

    fn serve_plain<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        id: ConnectionId,
        share: ListenerId,
    ) {
        let now = Tick::from(connections.clock.moment());
        let mut budget = connections.limits.read_budget;
        loop {
            let room = budget.min(connections.shares[share].read_room());
            if room == 0 {
                break;
            }
            // A layer that was started meanwhile has the rest, in the next turn.
            let reads = |found: &&mut Connection<_>| found.wants_read() && !found.has_layer();
            let Some(connection) = connections.get(id).filter(reads) else {
                return close_if_failed(connections, id);
            };
            let kept = connection.buffers.copy_input(&mut self.buffer);
            let read = connection.read(&mut self.buffer[kept..kept + room], now);
            connections.count_redelivered(share, kept);
            match read {
                Read::Bytes(count) => {
                    budget -= count;
                    connections.count_read(share, count);
                    deliver(&self.buffer[..kept + count], kept, connections, handler, id);
                }
                Read::Eof => deliver_eof(connections, handler, id),
                Read::WouldBlock => {}
                Read::Failed(error) => connections.mark_closed(id, CloseReason::Failed(error)),
            }
        }
        connections.queue_ready(id);
    }

    fn serve_layered<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        id: ConnectionId,
        share: ListenerId,
    ) {
        let now = Tick::from(connections.clock.moment());
        let mut budget = connections.limits.read_budget;
        self.wire_buffer(budget);
        let Self { buffer, wire } = self;
        if let Some(input) = connections.take_layer_input(id) {
            pass(&input, buffer, connections, handler, id);
        }
        loop {
            deliver_layer_end(connections, handler, id);
            let room = budget.min(connections.shares[share].read_room());
            if room == 0 {
                break;
            }
            let Some(connection) = connections.get(id).filter(|found| found.wants_read()) else {
                return close_if_failed(connections, id);
            };
            match connection.read(&mut wire[..room], now) {
                Read::Bytes(count) => {
                    budget -= count;
                    connections.count_read(share, count);
                    pass(&wire[..count], buffer, connections, handler, id);
                }
                Read::Eof => {
                    connections.finish_layer(id);
                    deliver_eof(connections, handler, id);
                }
                Read::WouldBlock => {}
                Read::Failed(error) => connections.mark_closed(id, CloseReason::Failed(error)),
            }
        }
        connections.queue_ready(id);
    }

    fn wire_buffer(&mut self, size: usize) {
        if self.wire.is_empty() {
            self.wire = vec![0; size].into_boxed_slice();
        }
    }

    /// Delivers what was kept while reading was paused.
    fn redeliver<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        id: ConnectionId,
    ) {
        let Some(connection) = connections.get(id) else { return };
        if !connection.take_resumed_intake() {
            return;
        }
        let (kept, share) = (connection.buffers.copy_input(&mut self.buffer), connection.share());
        connections.count_redelivered(share, kept);
        deliver(&self.buffer[..kept], kept, connections, handler, id);
    }
}

/// Delivers `input`, of which the first `kept` bytes are kept already.
fn deliver<H: Handler>(
    input: &[u8],
    kept: usize,
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
) {
    if !connections.get(id).is_some_and(|connection| connection.is_open()) {
        return;
    }
    // A handler that claims to have consumed more than there is has consumed all of it.
    let consumed = handler.on_data(connections, id, input).min(input.len());
    connections.keep_input(id, input, kept, consumed);
}

/// Passes bytes that have arrived through the layer, and delivers what comes out.
fn pass<H: Handler>(
    wire: &[u8],
    buffer: &mut [u8],
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
) {
    let Some(connection) = connections.get(id) else { return };
    let kept = connection.buffers.unconsumed();
    let Some(received) = connections.receive(id, wire, &mut buffer[kept..]) else { return };
    if connections.take_established(id) {
        handler.on_handshake(connections, id);
    }
    if received.length > 0 {
        deliver_received(&mut buffer[..kept + received.length], kept, connections, handler, id);
    }
    if let Some(error) = received.failure {
        connections.fail_layer(id, error);
    }
}

/// Delivers what has come out of a layer behind the input that is kept, for which there is room at the
/// beginning of `input`.
fn deliver_received<H: Handler>(
    input: &mut [u8],
    kept: usize,
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
) {
    let Some(connection) = connections.get(id) else { return };
    connection.buffers.copy_input(input);
    let share = connection.share();
    connections.count_redelivered(share, kept);
    if connections.get(id).is_some_and(|found| found.is_intake_paused()) {
        // By the handler, when the handshake was completed.
        return connections.keep_input(id, input, kept, 0);
    }
    deliver(input, kept, connections, handler, id);
}

/// Delivers the peer's end if it has come within the layer.
fn deliver_layer_end<H: Handler>(
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
) {
    if connections.get(id).is_some_and(Connection::take_layer_end) {
        deliver_eof(connections, handler, id);
    }
}

fn deliver_eof<H: Handler>(
    connections: &mut Connections<impl System>,
    handler: &mut H,
    id: ConnectionId,
) {
    let Some(connection) = connections.get(id) else { return };
    if connection.is_open() {
        let rest = connections.take_input(id);
        handler.on_eof(connections, id, &rest);
    } else if connection.is_lingering() {
        let reason = connection.close_reason();
        connections.mark_closed(id, reason);
    }
}

fn close_if_failed(connections: &mut Connections<impl System>, id: ConnectionId) {
    if let Some(error) = connections.get(id).and_then(|found| found.failure_while_paused()) {
        connections.mark_closed(id, CloseReason::Failed(error));
    }
}
