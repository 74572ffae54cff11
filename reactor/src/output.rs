//! Step 8 of a turn: the only place that writes to sockets, and what follows from what they took.

use std::cmp::Reverse;
use std::time::Duration;

use crate::clock::Moment;
use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::connections::Connections;
use crate::id::{ConnectionId, ListenerId};
use crate::stream::Flush;
use crate::system::{Socket, System};

/// Output moves while its peer has taken some of it within this time, or while it is as new.
const MOVING_TIME: Duration = Duration::from_millis(100);

/// Output that moves counts by a fourth when connections must go for their memory: it leaves by itself,
/// where that of a peer that takes nothing stays. Not by nothing: a peer can take a byte now and then.
const MOVING_SHARE: usize = 4;

impl<S: System> Connections<S> {
    /// Sends what waits, once for each connection, and finishes those that are closing.
    pub(crate) fn flush_all(&mut self) {
        let mut list = std::mem::take(&mut self.flush);
        for id in list.drain(..) {
            self.flush_one(id);
        }
        // Nothing was queued meanwhile: only a handler does that. Keeps the list's memory.
        self.flush = list;
    }

    fn flush_one(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(id) else { return };
        connection.unqueue_flush();
        if connection.is_closed() {
            return;
        }
        connection.pause_above(self.limits.write_buffer_high);
        match connection.flush(&mut self.shares[connection.share()].pool) {
            Flush::Failed(error) => self.mark_closed(id, CloseReason::Failed(error)),
            Flush::Sent(sent) => self.after_flush(id, sent),
        }
    }

    /// Moves the write timeout, resumes reading below the low mark, finishes what was sent.
    fn after_flush(&mut self, id: ConnectionId, sent: usize) {
        self.counters.bytes_written += sent as u64;
        let low = self.limits.write_buffer_low;
        let Some(connection) = self.table.get_mut(id) else { return };
        let resumes = connection.resume_below(low);
        let sent_all = connection.has_sent_all();
        if connection.buffers.unsent() == 0 || connection.is_attached() {
            self.deadlines.set_loop_deadline(id, &mut connection.deadlines, None);
        } else if sent > 0 || connection.deadlines.loop_deadline().is_none() {
            let due = self.clock.moment_at(self.system.now()).after(self.limits.write_timeout);
            self.deadlines.set_loop_deadline(id, &mut connection.deadlines, Some(due));
        }
        if resumes {
            self.queue_ready(id);
        }
        if sent_all {
            self.finish(id);
        }
    }

    /// Everything was sent: shuts down the sending side, and waits for its end for a limited time.
    fn finish(&mut self, id: ConnectionId) {
        let due = self.clock.moment_at(self.system.now()).after(self.limits.linger_timeout);
        let Some(connection) = self.table.get_mut(id) else { return };
        if let Some(reason) = connection.finish() {
            return self.mark_closed(id, reason);
        }
        let wants_read = connection.wants_read();
        self.set_loop_deadline(id, Some(due));
        if wants_read {
            self.queue_ready(id);
        }
    }

    /// Closes the connections that hold the most memory, and don't give it back by themselves, when all of a listener together hold nearly as
    /// much as [`Limits::max_buffered_bytes`](crate::Limits::max_buffered_bytes). Begins a little below
    /// it, so that the next turn has room to read; ends well below it, so that the next turn doesn't do
    /// it again.
    pub(crate) fn enforce_buffer_limits(&mut self) {
        for listener in self.shares.all() {
            self.enforce_buffer_limit(listener);
        }
    }

    fn enforce_buffer_limit(&mut self, listener: ListenerId) {
        let share = &mut self.shares[listener];
        let most = share.limits.max_buffered_bytes;
        if share.pool.held() <= most / 16 * 15 {
            return;
        }
        share.pool.drop_spare();
        if share.pool.held() <= most / 16 * 15 {
            return;
        }
        for id in self.holders(listener) {
            if self.shares[listener].pool.held() <= most / 8 * 7 {
                return;
            }
            let Some(connection) = self.table.get_mut(id) else { continue };
            let buffered = connection.buffers.capacity();
            connection.buffers.drop_all(&mut self.shares[listener].pool);
            self.mark_closed(id, CloseReason::BufferLimit { buffered });
        }
    }

    /// A listener's connections that hold memory, the one first that has to go first.
    fn holders(&self, listener: ListenerId) -> Vec<ConnectionId> {
        let timeout = self.limits.write_timeout;
        let latest = self.clock.moment_at(self.system.now()).after(timeout);
        let own = self.table.iter().filter(|(_, found)| found.share() == listener);
        let weighed = own.filter(|(_, found)| !found.is_attached()).map(|(id, connection)| {
            let buffered = connection.buffers.capacity();
            (if is_moving(connection, latest) { buffered / MOVING_SHARE } else { buffered }, id)
        });
        let mut holders: Vec<_> = weighed.filter(|(weight, _)| *weight > 0).collect();
        holders.sort_unstable_by_key(|(weight, _)| Reverse(*weight));
        holders.into_iter().map(|(_, id)| id).collect()
    }
}

/// Whether the peer takes the connection's output. Its deadline is moved to the `latest` moment whenever it
/// does.
fn is_moving(connection: &Connection<impl Socket>, latest: Moment) -> bool {
    let due = connection.deadlines.loop_deadline();
    connection.buffers.unsent() > 0 && due.is_some_and(|due| due.until(latest) < MOVING_TIME)
}
