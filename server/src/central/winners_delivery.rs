//! Sends agencies their winners, once the draw has run.
//!
//! ```text
//!  request ──> due ──begin──> scan ──advance──> complete
//! ```

use std::collections::BTreeMap;
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
    due: BTreeMap<ConnectionId, Agency>,
    scan: WinnersScan,
}

impl WinnersDelivery {
    /// A connection is owed its agency's winners.
    pub(crate) fn request(&mut self, connection: ConnectionId, agency: Agency) {
        self.due.insert(connection, agency);
    }

    /// It is owed nothing any more.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.due.remove(&connection);
        self.scan.forget(connection);
    }

    /// The draw was held: begins all lists that are owed, of these rows of each agency. Returns the
    /// connections whose lists are complete already: they are empty.
    pub(crate) fn begin_due(
        &mut self,
        cx: &mut impl Context,
        rows_of: impl Fn(Agency) -> WinningRows,
    ) -> Vec<ConnectionId> {
        let mut complete = Vec::new();
        for (connection, agency) in std::mem::take(&mut self.due) {
            let rows = rows_of(agency);
            if rows.count == 0 {
                cx.send_with(connection, |out| WinnersBuilder::new(out).finish(true));
                complete.push(connection);
            } else {
                self.scan.begin(connection, agency, rows);
            }
        }
        complete
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
