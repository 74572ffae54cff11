//! An agency's session, and what it is told. It changes nothing of what the session does.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use client::log_budget::LogBudget;
use client::session::agency::Agency;
use client::session::agency_session::{Action, AgencySession, Prepared};
use client::session::failure::Failure;
use client::source::memory_source::MemorySource;
use wire::{ErrorCode, Position, Response};

use crate::counts::Counts;

/// What a process of an agency was told, on all its connections.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Kinds of responses since this was last looked at.
    pub(crate) responses: Counts,
    /// The most bets that were said to be consumed.
    pub(crate) consumed: Position,
    /// The list of winners so far, on this connection.
    documents: Vec<Vec<u8>>,
    /// A refusal that no agency deserves.
    pub(crate) refusal: Option<String>,
    /// The list, once it was whole.
    pub(crate) winners: Option<Vec<Vec<u8>>>,
    /// What is heard on this connection is of an etcd that isn't there any more.
    is_outdated: bool,
    /// The process was started before a backup was restored: it may notice, and end.
    pub(crate) is_before_restore: bool,
}

/// The session.
#[derive(Debug)]
pub(crate) struct Recorded {
    session: Agency<MemorySource>,
    told: Rc<RefCell<Told>>,
}

impl Recorded {
    pub(crate) fn new(session: Agency<MemorySource>, told: Rc<RefCell<Told>>) -> Self {
        Self { session, told }
    }
}

impl Told {
    /// All that was heard is of an etcd that isn't there any more, and so is what comes on this connection.
    pub(crate) fn forget(&mut self) {
        (self.consumed, self.winners) = (0, None);
        (self.is_outdated, self.is_before_restore) = (true, true);
    }

    fn add(&mut self, response: &Response<'_>) {
        if self.is_outdated {
            return;
        }
        match name(response) {
            Some(name) => self.responses.add(name),
            None => self.refusal = Some(format!("{response:?}")),
        }
        match response {
            Response::Welcome { consumed, .. }
            | Response::Stored { consumed }
            | Response::Rejected { consumed, .. } => self.consumed = self.consumed.max(*consumed),
            Response::Winners(winners) => {
                self.documents.extend(winners.documents().map(<[u8]>::to_vec));
                if winners.last {
                    self.winners = Some(std::mem::take(&mut self.documents));
                }
            }
            _ => {}
        }
    }
}

/// For counting; `None` if no agency deserves it.
fn name(response: &Response<'_>) -> Option<&'static str> {
    Some(match response {
        Response::Welcome { .. } => "welcome",
        Response::Stored { .. } => "stored",
        Response::Rejected { .. } => "rejected",
        Response::Unavailable { .. } => "unavailable",
        Response::Finished { .. } => "finished",
        Response::Winners(_) => "winners",
        Response::Error { code: ErrorCode::Superseded, .. } => "superseded",
        Response::Error { code: ErrorCode::StoreUnreachable, .. } => "store unreachable",
        Response::Error { code: ErrorCode::Timeout, .. } => "too slow",
        Response::Error { .. } | Response::UnknownError { .. } => return None,
    })
}

impl AgencySession for Recorded {
    fn prepare(&mut self) -> Result<Prepared, Failure> {
        self.session.prepare()
    }

    fn on_connect(&mut self, out: &mut Vec<u8>) {
        let mut told = self.told.borrow_mut();
        told.documents.clear();
        told.is_outdated = false;
        drop(told);
        self.session.on_connect(out);
    }

    fn on_response(
        &mut self,
        response: &Response<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Action, Failure> {
        self.told.borrow_mut().add(response);
        self.session.on_response(response, out)
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> Result<Action, Failure> {
        self.session.resume(out)
    }

    fn waits_for_draw(&self) -> bool {
        self.session.waits_for_draw()
    }

    fn expected_response(&self) -> Option<Cow<'static, str>> {
        self.session.expected_response()
    }

    fn acknowledged(&self) -> u64 {
        self.session.acknowledged()
    }

    fn log_budget(&mut self) -> &mut LogBudget {
        self.session.log_budget()
    }

    fn is_complete(&self) -> bool {
        self.session.is_complete()
    }

    fn announce(&self) {
        self.session.announce();
    }

    fn close(self) {
        self.session.close();
    }
}
