//! HELLO, commit and END: what comes of them.

use std::time::Instant;

use etcd::TxnResponse;

use super::ClusterStore;
use crate::account::Account;
use crate::agencies::{Fence, Pages, Stage, Write};
use crate::error::Error;
use crate::event::{Event, Phase};
use crate::found::{self, Found};
use crate::outcome::{self, HelloOutcome, WriteOutcome};

/// Why nothing was written, when etcd has no space.
const NO_SPACE: &str = "etcd has no space left";

/// Why nothing was written, when the account isn't what this central knew, and is its session's.
const DIFFERS: &str = "etcd holds another state of this session than expected";

/// Where the count of agencies that have finished is among the operations of END.
const COUNT_OF_END: usize = 2;

impl ClusterStore {
    /// The response to what is under way for an agency.
    pub(super) fn on_agency_response(
        &mut self,
        agency: u32,
        txn: &TxnResponse,
        now: Instant,
    ) -> Result<(), Error> {
        match self.stage(agency) {
            Some(Stage::Reading) => self.on_account_read(agency, txn),
            Some(Stage::Fencing(fence)) => {
                let fence = *fence;
                self.on_fence(agency, &fence, txn)
            }
            Some(Stage::Writing(write)) => {
                let write = *write;
                self.on_write(agency, &write, txn, now)
            }
            Some(Stage::Open(_) | Stage::Finished { .. }) | None => Ok(()),
        }
    }

    fn on_account_read(&mut self, agency: u32, txn: &TxnResponse) -> Result<(), Error> {
        if !txn.succeeded {
            return Err(Error::Deleted);
        }
        let account = found::account(&self.keys, agency, found::range(txn, 0)?)?;
        let closed = found::closed(&self.keys, found::range(txn, 1)?)?;
        self.greet(agency, account, closed);
        Ok(())
    }

    /// An agency that can't write any more is answered at once; any other by a new session: the fence.
    fn greet(&mut self, agency: u32, known: Option<Account>, closed: Option<String>) {
        let account = known.unwrap_or_default();
        let phase = match closed {
            Some(_) => Phase::Drawn,
            None if account.is_finished => Phase::Finished,
            None => {
                let wanted = Account { session: (self.random)(), ..account };
                return self.agencies.fences(agency, Fence { known, wanted });
            }
        };
        self.agencies.rests(agency, Stage::Finished { account, pages: Pages::default() });
        self.events.push_back(Event::Opened { agency, account, phase });
        if let Some(by) = closed {
            self.on_drawn(by);
        }
    }

    fn on_fence(&mut self, agency: u32, fence: &Fence, txn: &TxnResponse) -> Result<(), Error> {
        if txn.succeeded {
            self.opened(agency, fence.wanted);
            return Ok(());
        }
        let found = self.read_found(agency, txn)?;
        match outcome::of_hello(&found, fence.known.as_ref(), &fence.wanted) {
            HelloOutcome::Done => self.opened(agency, fence.wanted),
            HelloOutcome::Again => self.greet(agency, found.account, found.closed),
            HelloOutcome::Deleted => return Err(Error::Deleted),
            HelloOutcome::AccountGone => return Err(Error::AccountGone { agency }),
            HelloOutcome::Superseded => self.dismiss(Event::Superseded { agency }),
        }
        Ok(())
    }

    fn opened(&mut self, agency: u32, account: Account) {
        self.agencies.rests(agency, Stage::Open(account));
        self.events.push_back(Event::Opened { agency, account, phase: Phase::Open });
    }

    fn on_write(
        &mut self,
        agency: u32,
        write: &Write,
        txn: &TxnResponse,
        now: Instant,
    ) -> Result<(), Error> {
        if txn.succeeded {
            self.written(agency, write);
            if write.is_end() {
                self.on_finished(found::range(txn, COUNT_OF_END)?.count, now)?;
            }
            return Ok(());
        }
        let found = self.read_found(agency, txn)?;
        match outcome::of_write(&found, &write.wanted) {
            WriteOutcome::Done => {
                self.written(agency, write);
                // An earlier try has counted, and its count is lost.
                if write.is_end() {
                    self.poll_at_once(now);
                }
            }
            WriteOutcome::Deleted => return Err(Error::Deleted),
            WriteOutcome::AccountGone => return Err(Error::AccountGone { agency }),
            WriteOutcome::Superseded => self.dismiss(Event::Superseded { agency }),
            WriteOutcome::Closed(account) => self.dismiss(Event::Closed { agency, account }),
            WriteOutcome::Differs(account) => self.unavailable(agency, account, DIFFERS),
        }
        if let Some(by) = found.closed {
            self.on_drawn(by);
        }
        Ok(())
    }

    fn written(&mut self, agency: u32, write: &Write) {
        let account = write.wanted;
        self.agencies.rests(agency, Stage::of(account));
        self.events.push_back(if write.is_end() {
            Event::Ended { agency, account }
        } else {
            Event::Committed { agency, account }
        });
    }

    /// The agency isn't served any more.
    fn dismiss(&mut self, event: Event) {
        if let Some(agency) = event.agency() {
            self.agencies.remove(agency);
        }
        self.events.push_back(event);
    }

    fn unavailable(&mut self, agency: u32, account: Account, reason: &'static str) {
        self.agencies.rests(agency, Stage::of(account));
        self.events.push_back(Event::Unavailable { agency, account, reason });
    }

    /// etcd had no space for what was under way.
    pub(super) fn on_not_written(&mut self, agency: u32) {
        match self.stage(agency) {
            Some(Stage::Writing(write)) => {
                let account = write.known;
                self.unavailable(agency, account, NO_SPACE);
            }
            Some(Stage::Fencing(fence)) => {
                let account = fence.known.unwrap_or_default();
                self.dismiss(Event::Unavailable { agency, account, reason: NO_SPACE });
            }
            Some(Stage::Reading | Stage::Open(_) | Stage::Finished { .. }) | None => {}
        }
    }

    fn read_found(&self, agency: u32, txn: &TxnResponse) -> Result<Found, Error> {
        Found::read(txn, &self.keys, agency, self.meta())
    }
}
