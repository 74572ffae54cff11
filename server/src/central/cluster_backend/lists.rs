//! Lists of winners on their way from etcd: a page is asked for when its agency takes more output.
//!
//! ```text
//!  request ──> Due ──take_next──> Asked ──on_page──> Due, or complete
//! ```

use std::collections::BTreeMap;

use reactor::{ConnectionId, Context};
use wire::{Agency, WinnersBuilder};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The next page is to be asked for.
    Due,
    /// It was.
    Asked,
}

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// By agency: to which connection.
    by_agency: BTreeMap<Agency, (ConnectionId, Stage)>,
    complete: Vec<ConnectionId>,
    /// A frame on its way.
    frame: Vec<u8>,
}

impl Lists {
    /// A connection is owed its agency's winners.
    pub(super) fn request(&mut self, to: ConnectionId, agency: Agency) {
        self.by_agency.insert(agency, (to, Stage::Due));
    }

    /// It is owed nothing any more.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.by_agency.retain(|_, (to, _)| *to != connection);
    }

    /// Agencies whose next page is to be asked for: those with at most `max_unsent` bytes of output.
    pub(super) fn take_next(
        &mut self,
        max_unsent: usize,
        unsent: impl Fn(ConnectionId) -> usize,
    ) -> Vec<Agency> {
        let mut next = Vec::new();
        for (agency, (to, stage)) in &mut self.by_agency {
            if *stage == Stage::Due && unsent(*to) <= max_unsent {
                *stage = Stage::Asked;
                next.push(*agency);
            }
        }
        next
    }

    /// Sends a page: documents, each with a line feed behind it.
    pub(super) fn on_page(
        &mut self,
        cx: &mut impl Context,
        agency: Agency,
        documents: &[u8],
        is_last: bool,
    ) {
        let Some((to, stage)) = self.by_agency.get_mut(&agency) else { return };
        let to = *to;
        *stage = Stage::Due;
        let mut documents = lines(documents).peekable();
        while documents.peek().is_some() || is_last {
            self.frame.clear();
            let mut builder = WinnersBuilder::new(&mut self.frame);
            while let Some(document) = documents.peek()
                && builder.push(document)
            {
                documents.next();
            }
            let is_end = is_last && documents.peek().is_none();
            builder.finish(is_end);
            cx.send(to, &self.frame);
            if is_end {
                self.by_agency.remove(&agency);
                self.complete.push(to);
                return;
            }
        }
    }

    /// Takes out the connections whose lists are complete.
    pub(super) fn take_complete(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.complete)
    }
}

fn lines(documents: &[u8]) -> impl Iterator<Item = &[u8]> {
    documents.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}
