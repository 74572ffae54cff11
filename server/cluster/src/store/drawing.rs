//! How far the lottery is, and the draw: all have finished, one central closes, every central learns it.
//!
//! *Finished* never goes back, so who has counted all may close; several at once: one wins. The watch says
//! at once that the draw was held; the poll says it too, for a watch whose member hangs says nothing, and
//! closes if the central that should have is gone.

use std::time::Instant;

use etcd::TxnResponse;

use super::ClusterStore;
use super::completions::NO_SPACE_DELAY;
use crate::error::Error;
use crate::event::Event;
use crate::found;
use crate::tickets::Purpose;
use crate::transactions;

impl ClusterStore {
    /// Reads how far the lottery is, if it is time for that.
    pub(super) fn submit_poll(&mut self, now: Instant) {
        let is_due = self.poll.at.is_some_and(|at| at <= now);
        if !is_due || self.tickets.has(Purpose::Poll) {
            return;
        }
        self.poll.at = Some(now + self.config.poll_interval);
        let (page, last) = (self.poll.page, self.poll.last.clone());
        let Some((draw, mut submitter)) = self.draw_and_submitter(now) else { return };
        let accounts = draw.keys.accounts();
        let accounts = match last {
            Some(last) => accounts.behind(&last),
            None => accounts,
        };
        let ticket = transactions::poll(draw, &accounts, page, |request| {
            submitter.submit(request, Purpose::Poll)
        });
        debug_assert!(ticket.is_ok(), "room is kept for it");
    }

    pub(super) fn poll_at_once(&mut self, now: Instant) {
        self.poll.at = Some(now);
    }

    pub(super) fn on_polled(&mut self, txn: &TxnResponse, now: Instant) -> Result<(), Error> {
        if !txn.succeeded {
            return Err(Error::Deleted);
        }
        let page = found::range(txn, 2)?;
        let accounts = found::accounts(&self.keys, page)?;
        self.poll.last = page.kvs.last().filter(|_| page.more).map(|kv| kv.key.clone());
        if !accounts.is_empty() {
            self.events.push_back(Event::Accounts(accounts));
        }
        let finished = self.on_finished(found::range(txn, 1)?.count, now)?;
        self.events.push_back(Event::Finished(finished));
        if let Some(by) = found::closed(&self.keys, found::range(txn, 0)?)? {
            self.on_drawn(by);
        }
        Ok(())
    }

    /// So many agencies have finished, as etcd counts.
    pub(super) fn on_finished(&mut self, count: i64, now: Instant) -> Result<u32, Error> {
        let expected = self.config.agencies;
        let finished = u32::try_from(count).ok().filter(|count| *count <= expected);
        let finished = finished.ok_or(Error::Finished { expected, found: count })?;
        if finished == expected && self.drawn.is_none() {
            self.close_at.get_or_insert(now);
        }
        Ok(finished)
    }

    /// Holds the draw, if it is to be held now.
    pub(super) fn submit_close(&mut self, now: Instant) {
        let is_due = self.close_at.is_some_and(|at| at <= now);
        if !is_due || self.tickets.has(Purpose::Close) {
            return;
        }
        let central = self.config.central.clone();
        let Some((draw, mut submitter)) = self.draw_and_submitter(now) else { return };
        let ticket = transactions::close(draw, &central, |request| {
            submitter.submit(request, Purpose::Close)
        });
        debug_assert!(ticket.is_ok(), "room is kept for it");
    }

    pub(super) fn on_close(&mut self, txn: &TxnResponse, now: Instant) -> Result<(), Error> {
        if txn.succeeded {
            self.on_drawn(self.config.central.clone());
            return Ok(());
        }
        match found::closed(&self.keys, found::range(txn, 0)?)? {
            Some(by) => self.on_drawn(by),
            // Neither the draw nor another `meta`: no store says so; it is asked again.
            None if found::value(found::range(txn, 1)?) == Some(self.meta()) => {
                self.close_at = Some(now + NO_SPACE_DELAY);
            }
            None => return Err(Error::Deleted),
        }
        Ok(())
    }

    /// The draw was held: reported once.
    pub(super) fn on_drawn(&mut self, by: String) {
        self.close_at = None;
        if self.drawn.is_none() {
            self.drawn = Some(by.clone());
            self.events.push_back(Event::Drawn { by });
            self.client.unwatch();
        }
    }
}
