//! Sends agencies their winners, once the draw has run.
//!
//! ```text
//!  request ──> due ──begin──> scan ──advance──> complete
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use reactor::{ConnectionId, Context};
use wire::{Agency, WinnersBuilder};

use super::timers;
use crate::lottery::winners::{Stripes, WinningRows};
use crate::store::{ReadRows, StoreError};
use crate::winners_scan::WinnersScan;

#[derive(Debug, Default)]
pub(crate) struct WinnersDelivery {
    /// Connections that are owed winners, and whose list hasn't begun.
    due: BTreeSet<ConnectionId>,
    scan: WinnersScan,
}

impl WinnersDelivery {
    /// A connection is owed its winners.
    pub(crate) fn request(&mut self, connection: ConnectionId) {
        self.due.insert(connection);
    }

    /// It is owed nothing any more.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.due.remove(&connection);
        self.scan.forget(connection);
    }

    /// Takes out the connections whose lists can begin: the draw has run.
    pub(crate) fn take_due(&mut self) -> BTreeSet<ConnectionId> {
        std::mem::take(&mut self.due)
    }

    /// Begins a list. Returns whether it is complete already: it is empty.
    pub(crate) fn begin(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        agency: Agency,
        rows: WinningRows,
    ) -> bool {
        let is_empty = rows.count == 0;
        if is_empty {
            cx.send_with(connection, |out| WinnersBuilder::new(out).finish(true));
        } else {
            self.scan.begin(connection, agency, rows);
        }
        is_empty
    }

    /// The connection's output has room again.
    pub(crate) fn resume_writing(&mut self, connection: ConnectionId) {
        self.scan.resume(connection);
    }

    /// Sends the winners in one piece of the ledger of at most `budget` bytes, to connections with
    /// at most `max_unsent` bytes of output, and asks for another turn if there is more to read.
    /// Returns the connections whose lists are complete.
    ///
    /// # Errors
    /// As of [`WinnersScan::advance`].
    pub(crate) fn advance(
        &mut self,
        cx: &mut impl Context,
        rows: &impl ReadRows,
        stripes: &Stripes,
        budget: usize,
        max_unsent: usize,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        if !self.scan.is_active() {
            return Ok(Vec::new());
        }
        let send = |to: ConnectionId, frame: &[u8]| {
            // `resume_writing` goes on from here.
            let takes_more = cx.unsent(to) <= max_unsent;
            if takes_more {
                cx.send(to, frame);
            }
            takes_more
        };
        let complete = self.scan.advance(rows, stripes, budget, send)?;
        if self.scan.is_active() {
            cx.set_timer(timers::WINNERS, Some(Duration::ZERO));
        }
        Ok(complete)
    }
}
