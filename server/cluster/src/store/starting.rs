//! The beginning: what the draw is, read from `meta`, which the first central creates.

use std::time::Instant;

use etcd::TxnResponse;

use super::{Beginning, ClusterStore};
use crate::error::Error;
use crate::event::Event;
use crate::found;
use crate::meta;
use crate::tickets::Purpose;
use crate::transactions::{self, Draw};

impl ClusterStore {
    /// Reads or creates `meta`, if that is to be done now.
    pub(super) fn submit_beginning(&mut self, now: Instant) {
        let keys = self.keys.clone();
        match &self.beginning {
            Beginning::Reading(at) if *at <= now && !self.tickets.has(Purpose::ReadMeta) => {
                let mut submitter = self.submitter(now);
                let ticket = transactions::read_meta(&keys, |request| {
                    submitter.submit(request, Purpose::ReadMeta)
                });
                debug_assert!(ticket.is_ok(), "there is room before anything was asked");
            }
            Beginning::Creating(bytes) if !self.tickets.has(Purpose::CreateMeta) => {
                let bytes = bytes.clone();
                let mut submitter = self.submitter(now);
                let draw = Draw { keys: &keys, meta: &bytes };
                let ticket = transactions::create_meta(draw, |request| {
                    submitter.submit(request, Purpose::CreateMeta)
                });
                debug_assert!(ticket.is_ok(), "there is room before anything was asked");
            }
            _ => {}
        }
    }

    pub(super) fn on_meta_read(&mut self, txn: &TxnResponse, now: Instant) -> Result<(), Error> {
        if let Some(bytes) = found::value(found::range(txn, 0)?) {
            return self.begin(bytes.to_vec(), now);
        }
        let id = (self.random)();
        self.beginning = Beginning::Creating(meta::encode(self.config.agencies, id));
        Ok(())
    }

    /// `meta` was created, by this try, by an earlier one, or by another central.
    pub(super) fn on_meta_created(&mut self, txn: &TxnResponse, now: Instant) -> Result<(), Error> {
        let Beginning::Creating(wanted) = &self.beginning else { return Ok(()) };
        if txn.succeeded {
            return self.begin(wanted.clone(), now);
        }
        let found = found::value(found::range(txn, 0)?);
        let bytes = found.ok_or(Error::Response { expected: "the meta that it found" })?.to_vec();
        self.begin(bytes, now)
    }

    /// The bytes of `meta`, once it is known.
    pub(super) fn meta(&self) -> &[u8] {
        match &self.beginning {
            Beginning::Begun(meta) => meta,
            _ => &[],
        }
    }

    fn begin(&mut self, bytes: Vec<u8>, now: Instant) -> Result<(), Error> {
        meta::check(&self.keys.meta(), &bytes, self.config.agencies)?;
        self.beginning = Beginning::Begun(bytes);
        self.events.push_back(Event::Ready);
        self.client.watch(&self.keys.closed(), b"", now);
        self.poll_at_once(now);
        Ok(())
    }
}
