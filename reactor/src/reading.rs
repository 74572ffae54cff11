//! Step 3 of a turn: reading from ready connections, and delivering what they bring.

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::connections::Connections;
use crate::handler::Handler;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::stream::Read;
use crate::system::System;
use crate::turn_hook::TurnHook;

/// Reads into one buffer that all connections share.
#[derive(Debug)]
pub(crate) struct Reader {
    /// First the input that the connection's handler has left, then what is read behind it:
    /// whatever is decoded is decoded in place.
    buffer: Box<[u8]>,
}

impl Reader {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { buffer: vec![0; limits.max_unconsumed + limits.read_budget].into_boxed_slice() }
    }

    /// Serves each ready connection once, as far as the turn's budget goes.
    ///
    /// Attached ones come first. The next turn begins with those that weren't served; those that
    /// have more left come last.
    pub(crate) fn serve<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        hook: &impl TurnHook,
    ) {
        connections.turn_budget = connections.limits.turn_budget;
        for _ in 0..connections.ready_attached.len() {
            let Some(id) = connections.ready_attached.pop_front() else { break };
            self.serve_one(connections, handler, id);
        }
        for _ in 0..connections.ready.len() {
            if hook.is_exhausted() || connections.read_room() == 0 {
                return;
            }
            let Some(id) = connections.ready.pop_front() else { return };
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
        let now = Tick::from(connections.clock.moment());
        let mut budget = connections.limits.read_budget;
        loop {
            let room = budget.min(connections.read_room());
            if room == 0 {
                break;
            }
            let Some(connection) = connections.get(id).filter(|found| found.wants_read()) else {
                return close_if_failed(connections, id);
            };
            let kept = connection.buffers.copy_input(&mut self.buffer);
            let read = connection.read(&mut self.buffer[kept..kept + room], now);
            connections.count_redelivered(kept);
            match read {
                Read::Bytes(count) => {
                    budget -= count;
                    connections.count_read(count);
                    self.deliver(connections, handler, id, kept, kept + count);
                }
                Read::Eof => deliver_eof(connections, handler, id),
                Read::WouldBlock => {}
                Read::Failed(error) => connections.mark_closed(id, CloseReason::Failed(error)),
            }
        }
        connections.queue_ready(id);
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
        let kept = connection.buffers.copy_input(&mut self.buffer);
        connections.count_redelivered(kept);
        self.deliver(connections, handler, id, kept, kept);
    }

    /// Delivers the first `length` bytes of the buffer, of which the first `kept` are kept already.
    fn deliver<H: Handler>(
        &mut self,
        connections: &mut Connections<impl System>,
        handler: &mut H,
        id: ConnectionId,
        kept: usize,
        length: usize,
    ) {
        if !connections.get(id).is_some_and(|connection| connection.is_open()) {
            return;
        }
        let input = &self.buffer[..length];
        // A handler that claims to have consumed more than there is has consumed all of it.
        let consumed = handler.on_data(connections, id, input).min(length);
        connections.keep_input(id, input, kept, consumed);
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
