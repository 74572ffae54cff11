//! What the store reports, and what it means to the agency that it is about.

use std::rc::Rc;
use std::time::Instant;

use cluster::{Event, Phase};
use reactor::Context;
use runtime::log_line;
use runtime::logging::{Level, Line, Success};
use wire::{Agency, Checksum, ErrorCode};

use super::ClusterBackend;
use crate::central::commit_backoff::Suspended;
use crate::central::lane::Lane;
use crate::central::lottery_service::superseded_by;
use crate::central::protocol_error::ProtocolError;
use crate::lottery::{Account, Refusal};

impl ClusterBackend {
    pub(super) fn on_event(&mut self, cx: &mut impl Context, event: Event, now: Instant) {
        match event {
            Event::Ready => {
                self.heard = Some(now);
                let line = Line::new("open_lottery", Success).with("agencies", self.terms.agencies);
                log_line!(Level::Info, line.with_some("draw", self.terms.draw));
            }
            Event::Opened { agency, account, phase } => {
                self.on_opened(agency, &account, phase, now);
            }
            Event::Committed { agency, account } | Event::Ended { agency, account } => {
                self.on_done(agency, &account, now);
            }
            Event::Superseded { agency } => {
                self.outcomes.superseded += 1;
                self.refuse(agency, superseded_by(agency));
            }
            Event::Closed { agency, account } => {
                self.outcomes.closed += 1;
                self.picture.see_read(agency, account_of(&account), account.winners, now);
                let refusal = self.named(Refusal::Drawn);
                self.refuse(agency, refusal.into());
            }
            Event::Unavailable { agency, account, reason } => {
                self.on_unavailable(agency, &account, reason);
            }
            Event::Drawn { by } => self.on_drawn(&by),
            Event::Winners { agency, documents, is_last } => {
                self.lists.on_page(cx, agency, &documents.0, is_last);
            }
            Event::Accounts(accounts) => {
                for (agency, account) in accounts {
                    self.picture.see_read(agency, account_of(&account), account.winners, now);
                }
            }
            Event::Finished(count) => {
                self.heard = Some(now);
                self.picture.see_finished(count);
            }
            Event::Stopped(error) => {
                self.fatal.get_or_insert(error);
            }
        }
    }

    fn on_opened(
        &mut self,
        agency: Agency,
        account: &cluster::Account,
        phase: Phase,
        now: Instant,
    ) {
        self.picture.see_read(agency, account_of(account), account.winners, now);
        if let Some(lane) = self.lanes.get_mut(&agency) {
            lane.open(account_of(account), phase == Phase::Drawn);
            self.note_change(agency);
        }
    }

    fn on_done(&mut self, agency: Agency, account: &cluster::Account, now: Instant) {
        self.heard = Some(now);
        self.outcomes.stored += 1;
        self.backoff.on_success(true);
        if std::mem::take(&mut self.failure_logged) {
            log_line!(Level::Info, Line::new("commit", Success));
        }
        self.picture.see(agency, account_of(account), account.winners);
        if let Some(began) = self.lanes.get_mut(&agency).and_then(Lane::done) {
            self.outcomes.observe(now.saturating_duration_since(began));
        }
        self.note_change(agency);
        self.write(now);
    }

    fn on_unavailable(&mut self, agency: Agency, account: &cluster::Account, reason: &str) {
        self.outcomes.unavailable += 1;
        let reason = Rc::<str>::from(reason);
        self.backoff.on_failure(Suspended::All, &reason);
        self.failure = Some(reason.clone());
        let Some(lane) = self.lanes.get_mut(&agency) else { return };
        if !lane.is_open() {
            // It wasn't let in, and comes back.
            let error = ProtocolError::new(ErrorCode::StoreUnreachable, &*reason);
            return self.refuse(agency, error);
        }
        if lane.unavailable(account_of(account), &reason) {
            self.unavailable.push(lane.to);
        }
        self.note_change(agency);
    }

    fn on_drawn(&mut self, by: &str) {
        self.picture.draw();
        for lane in self.lanes.values_mut() {
            lane.draw();
        }
        log_line!(Level::Debug, Line::new("close_draw", Success).with("by", by));
        // All agencies have finished: one that hasn't here has done so at another central.
        let overtaken = self.lanes.iter().filter(|(_, lane)| lane.is_overtaken());
        for agency in overtaken.map(|(agency, _)| *agency).collect::<Vec<_>>() {
            self.refuse(agency, superseded_by(agency));
        }
    }
}

/// An account as the lottery judges by it.
fn account_of(account: &cluster::Account) -> Account {
    Account {
        consumed: account.consumed,
        stored: account.stored,
        rejected: account.rejected,
        checksum: Checksum(account.checksum),
        finished: account.is_finished,
    }
}
