//! An agency's winners, page by page, after the draw.
//!
//! Nothing is written after it, so pages that are read one after another are of the same winners. That they
//! are all of them is checked against the account.

use std::time::Instant;

use etcd::{KeyValue, TxnResponse};

use super::ClusterStore;
use super::submitting::PAGES_UNDER_WAY;
use crate::agencies::{Pages, Stage};
use crate::error::Error;
use crate::event::{Documents, Event};
use crate::found;
use crate::tickets::Purpose;
use crate::transactions;

/// What stands for documents in a message: they are people's.
const NOT_SHOWN: &[u8] = b"(not shown)";

impl ClusterStore {
    /// Whether a page could be asked for.
    pub(super) fn submit_page(&mut self, now: Instant) -> bool {
        let is_time = self.drawn.is_some() && self.tickets.pages() < PAGES_UNDER_WAY;
        if !is_time || !self.has_room_for(0) {
            return false;
        }
        let Some(agency) = self.agencies.first_page() else { return false };
        let Some(Stage::Finished { pages, .. }) = self.stage(agency) else { return false };
        let (last, limit) = (pages.last.clone(), self.winners_page);
        let Some((draw, mut submitter)) = self.draw_and_submitter(now) else { return false };
        let winners = draw.keys.winners_of(agency);
        let winners = match last {
            Some(last) => winners.behind(&last),
            None => winners,
        };
        let ticket = transactions::read_winners(draw, &winners, limit, |request| {
            submitter.submit(request, Purpose::Page(agency))
        });
        let Ok(ticket) = ticket else { return false };
        self.agencies.submitted(agency, ticket, now);
        true
    }

    pub(super) fn on_page(&mut self, agency: u32, txn: &TxnResponse) -> Result<(), Error> {
        if !txn.succeeded {
            return Err(Error::Deleted);
        }
        let Some(Stage::Finished { account, pages }) = self.stage(agency) else { return Ok(()) };
        let (account, before) = (*account, pages.documents);
        let page = found::range(txn, 0)?;
        let (documents, count) = documents(&page.kvs)?;
        let (found, is_last) = (before + count, !page.more);
        if is_last && found != account.winners {
            return Err(Error::Winners { agency, expected: account.winners, found });
        }
        let pages = if is_last {
            Pages::default()
        } else {
            let last = page.kvs.last().map(|kv| kv.key.clone());
            let last = last.ok_or(Error::Response { expected: "a page with keys" })?;
            Pages { last: Some(last), documents: found }
        };
        self.agencies.rests(agency, Stage::Finished { account, pages });
        self.events.push_back(Event::Winners { agency, documents, is_last });
        Ok(())
    }
}

/// The documents of these keys, and how many they are.
fn documents(kvs: &[KeyValue]) -> Result<(Documents, u64), Error> {
    let (mut documents, mut count) = (Vec::new(), 0);
    for kv in kvs {
        if kv.value.last() != Some(&b'\n') {
            let expected = "documents, each with a line feed behind it";
            return Err(Error::corrupt(&kv.key, expected, NOT_SHOWN));
        }
        count += kv.value.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        documents.extend_from_slice(&kv.value);
    }
    Ok((Documents(documents), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(value: &[u8]) -> KeyValue {
        KeyValue { key: b"win".to_vec(), value: value.to_vec(), ..KeyValue::default() }
    }

    #[test]
    fn documents_are_counted_by_their_line_feeds() {
        let (found, count) = documents(&[kv(b"1\n22\n"), kv(b"3\n")]).expect("documents");
        assert_eq!((&found.0[..], count), (&b"1\n22\n3\n"[..], 3));
    }

    #[test]
    fn a_torn_document_is_an_error_that_does_not_show_it() {
        for value in ["", "30904465", "1\n30904465"] {
            let error = documents(&[kv(value.as_bytes())]).expect_err("torn").to_string();
            assert!(error.contains("key win") && !error.contains("30904465"), "{error}");
        }
    }
}
