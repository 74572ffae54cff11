//! From what etcd's client reports to whom it concerns.

use std::time::{Duration, Instant};

use etcd::{Change, Completion, Event as ClientEvent, Response};

use super::{Beginning, ClusterStore};
use crate::error::Error;
use crate::found;
use crate::tickets::Purpose;

/// How long is waited, after etcd had no space, with what must be written nevertheless.
pub(super) const NO_SPACE_DELAY: Duration = Duration::from_secs(1);

impl ClusterStore {
    /// Takes what the client reports, all of it.
    pub(super) fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            if let Beginning::Stopped = self.beginning {
                continue;
            }
            if let Err(error) = self.take_event(event, now) {
                self.stop(error, now);
            }
        }
    }

    fn take_event(&mut self, event: ClientEvent, now: Instant) -> Result<(), Error> {
        match event {
            ClientEvent::Completed { ticket, completion } => {
                let header = match &completion {
                    Completion::Done(response) => Some(response.header()),
                    _ => None,
                };
                match self.tickets.complete(ticket, header)? {
                    Some(purpose) => self.take_completion(purpose, completion, now),
                    None => Ok(()),
                }
            }
            // A change before this was perhaps not reported.
            ClientEvent::WatchStarted(_) => {
                self.poll_at_once(now);
                Ok(())
            }
            ClientEvent::Changed(_, changes) => self.take_changes(changes, now),
            ClientEvent::OtherCluster { expected, found, endpoint } => {
                Err(Error::OtherCluster { expected, found, endpoint })
            }
        }
    }

    /// `closed` is all that is watched.
    fn take_changes(&mut self, changes: Vec<Change>, now: Instant) -> Result<(), Error> {
        for change in changes {
            match change.value {
                Some(value) => {
                    let by = found::closed_by(&self.keys, &value)?;
                    self.on_drawn(by);
                }
                // Whoever has deleted it has probably deleted the draw.
                None => self.poll_at_once(now),
            }
        }
        Ok(())
    }

    fn take_completion(
        &mut self,
        purpose: Purpose,
        completion: Completion,
        now: Instant,
    ) -> Result<(), Error> {
        match completion {
            Completion::Done(response) => self.take_response(purpose, response, now),
            Completion::NoSpace => {
                self.on_no_space(purpose, now);
                Ok(())
            }
            Completion::TooLarge => self.on_too_large(purpose, now),
            Completion::Unauthorized(refusal) => Err(Error::Unauthorized(refusal)),
            Completion::Misused(refusal) => Err(Error::Misused(refusal)),
        }
    }

    fn take_response(
        &mut self,
        purpose: Purpose,
        response: Response,
        now: Instant,
    ) -> Result<(), Error> {
        let txn = found::txn(response)?;
        match purpose {
            Purpose::ReadMeta => self.on_meta_read(&txn, now),
            Purpose::CreateMeta => self.on_meta_created(&txn, now),
            Purpose::Poll => self.on_polled(&txn, now),
            Purpose::Close => self.on_close(&txn, now),
            Purpose::Agency(agency) => self.on_agency_response(agency, &txn, now),
            Purpose::Page(agency) => self.on_page(agency, &txn),
        }
    }

    /// Nothing was written, and nothing will be.
    fn on_no_space(&mut self, purpose: Purpose, now: Instant) {
        match purpose {
            Purpose::ReadMeta | Purpose::CreateMeta => {
                self.beginning = Beginning::Reading(now + NO_SPACE_DELAY);
            }
            Purpose::Close => self.close_at = Some(now + NO_SPACE_DELAY),
            Purpose::Agency(agency) => self.on_not_written(agency),
            // A read needs none.
            Purpose::Poll | Purpose::Page(_) => {}
        }
    }

    /// What is read in pages is read in smaller ones.
    fn on_too_large(&mut self, purpose: Purpose, now: Instant) -> Result<(), Error> {
        let max = self.config.etcd.max_response_bytes;
        match purpose {
            Purpose::Poll if self.poll.page > 1 => {
                self.poll.page /= 2;
                self.poll_at_once(now);
                Ok(())
            }
            Purpose::Page(agency) if self.winners_page > 1 => {
                self.winners_page /= 2;
                self.agencies.repeat_page(agency);
                Ok(())
            }
            _ => Err(Error::ResponseTooLarge { max }),
        }
    }
}
