//! The central: both protocols of its port, as a handler of the event loop.
//!
//! Takes bytes apart into lines and requests, lets the [`Lottery`] judge the requests, and says in
//! answers and log lines what became of them, when it is durable. Knows no clock, no file, and of
//! sockets only the one that it hands to the loop to reach [`disk_thread`]: a test drives it with
//! buffers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, info, log_enabled, warn};
use reactor::{
    CloseReason, ConnectionId, Context, Handler, ListenerEvent, ShutdownCause, Signal, TimerId,
};
use runtime::log_within;
use runtime::logging::Escaped;
use wire::{
    Agency, Batch, ErrorCode, Frame, FrameError, LineTooLong, MessageError, Position, Request,
    Response, VERSION, WinnersBuilder,
};

use crate::answers::{Answer, Answers, Waiting};
use crate::batch_log::{self, Kind};
use crate::commit_retry::{CommitRetry, Held};
use crate::disk_thread;
use crate::draw_watch::{self, DrawWatch};
use crate::healthcheck;
use crate::known_addresses::KnownAddresses;
use crate::ledger::{Ledger, LedgerError, SubmitError};
use crate::listener_log;
use crate::log_budget::{Cause, Event, LogBudget};
use crate::lottery::{AgencyStanding, Committed, Lottery, Refusal, Taken};
use crate::scan::WinnersScan;
use crate::session::{AgencySession, Intake, Protocol, Session};

/// What can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether an echo connection may send another line after the first.
    pub echo_keep_alive: bool,
    /// Most bytes of an echo line, its newline not counted.
    pub max_line: usize,
    /// How long a connection may be silent at first; `None` for ever.
    pub first_byte: Option<Duration>,
    /// How long a line or frame may take from its first byte to its last; `None` for ever.
    pub whole_frame: Option<Duration>,
    /// How long a connection that isn't an agency's may be silent later; `None` for ever.
    pub idle: Option<Duration>,
    /// Bytes staged, rows and entries, after which they are committed without waiting for the end of
    /// the turn, to be synced there.
    pub commit_max: usize,
    /// Answers waiting for the storage above which no further request is taken.
    pub max_pending_replies: usize,
    /// How long nothing more of a kind is tried after the first commit that had no effect; twice as
    /// long after the next, up to some seconds.
    pub commit_retry_delay: Duration,
    /// Output waiting for one peer above which no more winners are written for it.
    pub high_water: usize,
    /// Bytes of the ledger read in one turn for all who are told winners.
    pub winners_budget: usize,
    /// How long refusals of a kind are only counted after one was logged.
    pub report_period: Duration,
    /// How long after a line of what the draw waits for it is logged again; `None` for never.
    pub waiting_report_period: Option<Duration>,
    /// Lines of each other kind that are logged in an interval; more are counted.
    pub max_log_lines: u64,
    /// How long that interval is.
    pub log_interval: Duration,
}

/// Fires at the end of a period in which lines were counted.
const REPORT: TimerId = TimerId(0);

/// Fires at the end of an interval, when as many lines of each kind may be logged again.
const REFILL: TimerId = TimerId(1);

/// Asks for another turn while winners are read.
const SCAN: TimerId = TimerId(2);

/// Fires when a commit may be tried again after one had no effect.
const RETRY: TimerId = TimerId(3);

/// The handler.
#[derive(Debug)]
pub struct Central<L> {
    rules: Rules,
    lottery: Lottery<L>,
    answers: Answers,
    /// By the tokens' places.
    sessions: Vec<Option<Session>>,
    /// Who speaks for an agency.
    speakers: BTreeMap<Agency, ConnectionId>,
    known_addresses: KnownAddresses,
    /// Agencies that aren't read until the storage has caught up.
    held: BTreeSet<ConnectionId>,
    /// Who waits for the disk instead of the loop, until it is attached.
    disk_stream: Option<UnixStream>,
    /// The same, attached. Without one the loop waits itself.
    disk: Option<ConnectionId>,
    /// Who is owed winners, and the telling hasn't begun.
    winners_due: BTreeSet<ConnectionId>,
    scan: WinnersScan,
    draw_told: bool,
    draw_watch: DrawWatch,
    retry: CommitRetry,
    stopping: bool,
    log_budget: LogBudget,
    /// Somebody was let in, and that the listener waits for the next one hasn't been logged.
    welcomed: bool,
    fatal: Option<LedgerError>,
}

impl<L: Ledger> Central<L> {
    /// A central that nobody is connected to.
    pub fn new(lottery: Lottery<L>, rules: Rules) -> Self {
        Self {
            draw_told: lottery.is_drawn(),
            retry: CommitRetry::new(rules.commit_retry_delay),
            log_budget: LogBudget::new(rules.max_log_lines),
            draw_watch: DrawWatch::new(rules.waiting_report_period),
            rules,
            lottery,
            answers: Answers::default(),
            sessions: Vec::new(),
            speakers: BTreeMap::new(),
            known_addresses: KnownAddresses::default(),
            held: BTreeSet::new(),
            disk_stream: None,
            disk: None,
            winners_due: BTreeSet::new(),
            scan: WinnersScan::default(),
            stopping: false,
            welcomed: true,
            fatal: None,
        }
    }

    /// One that leaves waiting for the disk to the thread at the other end, see [`disk_thread`].
    #[must_use]
    pub fn with_disk_thread(self, stream: UnixStream) -> Self {
        Self { disk_stream: Some(stream), ..self }
    }

    /// The ledger.
    pub fn ledger(&self) -> &L {
        self.lottery.ledger()
    }

    /// The ledger, to be closed.
    pub fn into_ledger(self) -> L {
        self.lottery.into_ledger()
    }

    fn session(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        let session = self.sessions.get_mut(connection.index())?.as_mut();
        session.filter(|session| session.is_named(connection))
    }

    fn agency_session(&mut self, connection: ConnectionId) -> Option<&mut AgencySession> {
        self.session(connection)?.lottery()
    }

    /// Connections that are owed nothing any more, and aren't closing yet.
    fn unanswered(&mut self) -> Vec<ConnectionId> {
        let sessions = self.sessions.iter().enumerate();
        let open = sessions.filter_map(|(place, session)| session.as_ref()?.name_if_open(place));
        open.collect()
    }

    /// Takes as many lines or frames out of `input` as are whole; says how many bytes they were.
    fn consume(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let (max_line, keep_alive) = (self.rules.max_line, self.rules.echo_keep_alive);
        let only_counted = self.log_budget.is_exhausted(Event::Echoed);
        let Some(session) = self.session(connection) else { return input.len() };
        let Some(&first) = input.first() else { return 0 };
        session.identify(first, max_line);
        let is_logged = log_enabled!(session.log_level()) && !only_counted;
        match session.protocol {
            Protocol::Echo(_) if keep_alive && !is_logged => self.echo_all(cx, connection, input),
            Protocol::Echo(_) => self.echo(cx, connection, input, End::NotYet),
            Protocol::Lottery(_) => self.requests(cx, connection, input),
            Protocol::Unknown | Protocol::Refused | Protocol::Over => input.len(),
        }
    }

    /// Sets the clock that fits: for the rest of what has begun, or for what comes next.
    fn watch(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        consumed: usize,
        rest: usize,
    ) {
        let (whole_frame, idle) = (self.rules.whole_frame, self.rules.idle);
        let Some(session) = self.session(connection) else { return };
        // What a paused connection leaves has arrived; it is the central that waits.
        let rest = if session.is_paused() { 0 } else { rest };
        let was_partial = std::mem::replace(&mut session.partial, rest > 0);
        if rest == 0 {
            // An agency may think, and wait for the draw, for as long as it likes: TCP's keepalive
            // notices when it is gone.
            let idle = if session.agency().is_some() { None } else { idle };
            cx.set_deadline(connection, idle);
        } else if consumed > 0 || !was_partial {
            cx.set_deadline(connection, whole_frame);
        }
    }

    fn echo(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        input: &[u8],
        end: End,
    ) -> usize {
        let keep_alive = self.rules.echo_keep_alive;
        let mut used = 0;
        loop {
            let Some(session) = self.session(connection) else { return input.len() };
            let (ip, level) = (session.ip, session.log_level());
            let Protocol::Echo(decoder) = &mut session.protocol else { return input.len() };
            let found = match end {
                End::NotYet => decoder.decode(&input[used..]),
                End::Reached => decoder.decode_eof(&input[used..]),
            };
            let line = match found {
                Ok(Some(line)) => line,
                Ok(None) => return used,
                Err(error) => {
                    self.refuse_line(cx, connection, error);
                    return input.len();
                }
            };
            used += line.used;
            log_within!(
                self.log_budget,
                Event::Echoed,
                level,
                "action: receive_message | result: success | ip: {ip} | msg: {}",
                Escaped(line.bytes)
            );
            cx.send_with(connection, |out| {
                out.extend_from_slice(line.bytes);
                out.push(b'\n');
            });
            if !keep_alive {
                self.finish(cx, connection);
            }
        }
    }

    /// Echoes lines that nobody logs, or that are only counted: all that are whole at once, out of the buffer they came in.
    fn echo_all(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let Some(session) = self.session(connection) else { return input.len() };
            let Protocol::Echo(decoder) = &mut session.protocol else { return input.len() };
            match decoder.decode_all(&input[used..]) {
                Ok(0) => return used,
                Ok(lines) => {
                    let lines = &input[used..used + lines];
                    if self.log_budget.is_exhausted(Event::Echoed) {
                        let count = memchr::memchr_iter(b'\n', lines).count();
                        self.log_budget.add(Event::Echoed, count as u64);
                    }
                    cx.send(connection, lines);
                    used += lines.len();
                }
                Err(error) => {
                    self.refuse_line(cx, connection, error);
                    return input.len();
                }
            }
        }
    }

    fn refuse_line(&mut self, cx: &mut impl Context, connection: ConnectionId, error: LineTooLong) {
        let Some(session) = self.session(connection) else { return };
        let ip = session.ip;
        if self.log_budget.allows(Cause::LongLine) {
            warn!("action: receive_message | result: fail | ip: {ip} | error: {error}");
        }
        cx.send(connection, format!("error: {error}\n").as_bytes());
        self.finish(cx, connection);
    }

    /// Tells what was counted and not told. For the end, when no timer fires any more.
    pub fn report_log(&mut self) {
        self.log_budget.report();
    }

    /// Begins the spans of time that were begun by a line.
    fn set_log_timers(&mut self, cx: &mut impl Context) {
        let begun = self.log_budget.take_begun();
        if begun.period {
            cx.set_timer(REPORT, Some(self.rules.report_period));
        }
        if begun.interval {
            cx.set_timer(REFILL, Some(self.rules.log_interval));
        }
    }

    /// Nothing more is taken from this connection; it ends when its output has left.
    fn finish(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if let Some(session) = self.session(connection) {
            session.protocol = Protocol::Over;
        }
        cx.close(connection);
    }

    fn requests(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let mut used = 0;
        // A refusal ends the session as an agency's: what follows it isn't looked at.
        loop {
            let full = self.is_full();
            let Some(session) = self.agency_session(connection) else { return input.len() };
            if session.intake != Intake::Open {
                return used;
            }
            match session.decoder.decode(&input[used..]) {
                Ok(Some(_)) if full => {
                    self.hold(cx, connection);
                    return used;
                }
                Ok(Some(frame)) => {
                    used += frame.used();
                    self.request(cx, connection, frame);
                }
                Ok(None) => return used,
                Err(error) => {
                    let code = frame_error_code(&error);
                    self.refuse(cx, connection, code, error.to_string());
                }
            }
        }
    }

    /// Whether so much waits for the storage that nothing more may be taken.
    fn is_full(&self) -> bool {
        (self.lottery.has_staged() && self.lottery.staged_len() >= self.rules.commit_max)
            || self.answers.len() >= self.rules.max_pending_replies
    }

    /// Takes no further request of this agency until the storage has caught up.
    fn hold(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.agency_session(connection) else { return };
        if session.intake != Intake::Open {
            return;
        }
        session.intake = Intake::Held;
        self.held.insert(connection);
        cx.pause_reading(connection);
        // The rest of its frame may have come: it is the central that waits, and the clock begins
        // anew when it is read again.
        if let Some(session) = self.session(connection) {
            session.partial = false;
        }
        cx.set_deadline(connection, None);
    }

    fn resume_held(&mut self, cx: &mut impl Context) {
        if self.held.is_empty() || self.is_full() {
            return;
        }
        for connection in std::mem::take(&mut self.held) {
            self.resume(cx, connection);
        }
    }

    /// Takes requests of this agency again.
    fn resume(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.agency_session(connection) else { return };
        session.intake = Intake::Open;
        cx.resume_reading(connection);
    }

    fn request(&mut self, cx: &mut impl Context, connection: ConnectionId, frame: Frame<'_>) {
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(error) => {
                let code = message_error_code(&error);
                return self.refuse(cx, connection, code, error.to_string());
            }
        };
        if let Request::Hello { version, agency } = request {
            return self.introduce(cx, connection, version, agency);
        }
        let Some(agency) = self.agency_session(connection).and_then(|session| session.agency)
        else {
            let text = "an agency introduces itself before anything else".to_owned();
            return self.refuse(cx, connection, ErrorCode::NotIntroduced, text);
        };
        if let Request::Bet(batch) | Request::Batch(batch) = &request {
            log_within!(
                self.log_budget,
                Event::BatchReceived,
                Level::Debug,
                "action: receive_batch | result: success | agency: {agency} | posicion: {} | \
                 cantidad: {} | bytes: {}",
                batch.position,
                batch.count,
                frame.used()
            );
        }
        match request {
            Request::Bet(batch) => self.batch(cx, connection, agency, &batch, Kind::Single),
            Request::Batch(batch) => self.batch(cx, connection, agency, &batch, Kind::Batch),
            Request::End { total } => self.end(cx, connection, agency, total),
            Request::Winners => self.ask_winners(cx, connection, agency),
            Request::Hello { .. } => unreachable!("taken care of above"),
        }
    }

    fn introduce(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        version: u8,
        agency: Agency,
    ) {
        if version != VERSION {
            let text = format!("this central speaks version {VERSION}, found {version}");
            return self.refuse(cx, connection, ErrorCode::Version, text);
        }
        if let Err(refusal) = self.lottery.admit(agency) {
            return self.refuse(cx, connection, refusal.code(), refusal.to_string());
        }
        let Some(session) = self.agency_session(connection) else { return };
        if let Some(known) = session.agency {
            let text = format!("this connection has introduced itself as agency {known} before");
            return self.refuse(cx, connection, ErrorCode::AlreadyIntroduced, text);
        }
        session.agency = Some(agency);
        cx.protect(connection);
        if let Some(ip) = self.session(connection).map(|session| session.ip) {
            self.known_addresses.learn(agency, ip);
        }
        if let Some(old) = self.speakers.insert(agency, connection) {
            let text = format!(
                "another connection has introduced itself as agency {agency}: if two programs run as \
                 this agency (CLI_ID), end one"
            );
            self.refuse(cx, old, ErrorCode::Superseded, text);
        }
        let welcome = Answer::Welcome(self.lottery.agency_standing(agency));
        self.queue_answer(connection, agency, welcome);
    }

    fn end(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        agency: Agency,
        total: Position,
    ) {
        let held = self.retry.holds(Held::Everything);
        let outcome = match (held, self.lottery.is_first_end(agency, total)) {
            (Some(reason), Ok(true)) => {
                let consumed = self.lottery.agency_standing(agency).consumed;
                Ok(Answer::Unavailable { consumed, text: reason })
            }
            _ => self.lottery.end(agency, total).map(|()| {
                let AgencyStanding { stored, rejected, .. } = self.lottery.agency_standing(agency);
                Answer::Finished { stored, rejected }
            }),
        };
        self.answer(cx, connection, agency, outcome);
        self.commit_if_large(cx);
    }

    fn batch(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        agency: Agency,
        batch: &Batch<'_>,
        kind: Kind,
    ) {
        if let Some(reason) = self.retry.holds(Held::Rows)
            && self.lottery.is_next(agency, batch) == Ok(true)
        {
            let consumed = self.lottery.agency_standing(agency).consumed;
            let unavailable = Answer::Unavailable { consumed, text: reason };
            return self.answer(cx, connection, agency, Ok(unavailable));
        }
        let consumed = batch.end().unwrap_or(Position::MAX);
        let outcome = self.lottery.take(agency, batch).map(|taken| match taken {
            Taken::Duplicate => Answer::Duplicate { consumed },
            Taken::Stored => Answer::Stored { consumed, log: kind.log(batch) },
            Taken::Rejected(invalid) => Answer::Rejected {
                consumed,
                position: batch.position + u64::from(invalid.index),
                index: invalid.index,
                field: invalid.field,
                text: invalid.to_string(),
                log: kind.log(batch),
            },
        });
        self.answer(cx, connection, agency, outcome);
        self.commit_if_large(cx);
    }

    /// Must follow whatever stages something: at most one request more than `commit_max` bytes are
    /// staged at any time, so a commit always fits into the wal.
    fn commit_if_large(&mut self, cx: &mut impl Context) {
        if self.lottery.staged_len() >= self.rules.commit_max {
            self.commit(cx);
        }
    }

    /// Nothing more is taken from an agency before it has its winners: what follows the request
    /// waits with it, so responses keep the order of requests, and asking again costs nothing.
    fn ask_winners(&mut self, cx: &mut impl Context, connection: ConnectionId, agency: Agency) {
        let outcome = self.lottery.may_ask_winners(agency).map(|()| Answer::Winners);
        let asked = outcome.is_ok();
        self.answer(cx, connection, agency, outcome);
        if let Some(session) = self.agency_session(connection).filter(|_| asked) {
            session.intake = Intake::AwaitsWinners;
            cx.pause_reading(connection);
        }
    }

    /// Queues what a request came to. One that was sent before its agency knew that an earlier one
    /// had no effect has none either, and isn't held against it.
    fn answer(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        agency: Agency,
        outcome: Result<Answer, Refusal>,
    ) {
        let consumed = self.lottery.agency_standing(agency).consumed;
        let Some(session) = self.agency_session(connection) else { return };
        let answer = match outcome {
            Ok(answer) => {
                match answer {
                    Answer::Unavailable { .. } => session.unavailable = true,
                    Answer::Duplicate { .. } => {}
                    _ => session.unavailable = false,
                }
                answer
            }
            Err(Refusal::Gap { .. } | Refusal::WrongTotal { .. } | Refusal::NotFinished { .. })
                if session.unavailable =>
            {
                Answer::Unavailable { consumed, text: "an earlier request had no effect".into() }
            }
            Err(refusal) => {
                return self.refuse(cx, connection, refusal.code(), refusal.to_string());
            }
        };
        self.queue_answer(connection, agency, answer);
    }

    fn queue_answer(&mut self, connection: ConnectionId, agency: Agency, answer: Answer) {
        if let Some(session) = self.agency_session(connection) {
            session.owed += 1;
        }
        self.answers.push(connection, agency, answer);
    }

    /// Ends a connection behind the answers that it is still owed.
    fn refuse(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        code: ErrorCode,
        text: String,
    ) {
        let Some(session) = self.session(connection) else { return };
        let (agency, ip) = (session.agency(), session.ip);
        let owed = session.lottery().map_or(0, |session| session.owed);
        session.protocol = if owed == 0 { Protocol::Over } else { Protocol::Refused };
        self.held.remove(&connection);
        self.winners_due.remove(&connection);
        if let Some(agency) = agency
            && self.speakers.get(&agency) == Some(&connection)
        {
            self.lose_speaker(agency, ip, &text);
        }
        let (Some(agency), true) = (agency, owed > 0) else {
            return self.tell_refused(cx, connection, agency, code, &text);
        };
        self.answers.push(connection, agency, Answer::Refused { code, text });
    }

    /// Nobody speaks for this agency any more, for this reason.
    fn lose_speaker(&mut self, agency: Agency, ip: IpAddr, reason: &impl Display) {
        self.speakers.remove(&agency);
        if self.stopping || !self.lottery.awaits_draw() || self.lottery.has_finished(agency) {
            return;
        }
        let consumed = self.lottery.agency_standing(agency).consumed;
        draw_watch::log_lost(&mut self.log_budget, agency, ip, consumed, reason);
    }

    /// Logs what the draw waits for, when that is due.
    fn watch_draw(&mut self, cx: &mut impl Context) {
        if self.stopping || !self.lottery.awaits_draw() {
            return;
        }
        let somebody_waits = self.lottery.has_begun() || !self.speakers.is_empty();
        if self.draw_watch.take_due(self.lottery.finished(), somebody_waits) {
            let connected = self.speakers.keys().copied();
            let connected = connected.filter(|agency| !self.lottery.has_finished(*agency));
            draw_watch::log_missing(&self.lottery.standing_ahead(), &connected.collect());
        }
        for (timer, after) in self.draw_watch.take_timers() {
            cx.set_timer(timer, Some(after));
        }
    }

    fn commit(&mut self, cx: &mut impl Context) {
        // A turn may commit more than once, but nothing after a failure that only a restart mends:
        // a second record would stand where the first may be half written.
        if self.fatal.is_some() {
            return;
        }
        // Nothing is staged then; only a draw may be due.
        if self.retry.holds(Held::Everything).is_some() {
            return self.answers.submitted(self.lottery.submitted());
        }
        let with_rows = self.lottery.stages_rows();
        match self.lottery.commit() {
            Ok(Committed::Submitted(number)) => {
                if with_rows {
                    self.retry.succeeded();
                }
                self.answers.submitted(number);
            }
            Ok(Committed::Busy) => {}
            Ok(Committed::Unavailable(number, error)) => {
                let reason = Rc::from(error.to_string());
                let rows_alone = with_rows && error.is_full();
                let held = if rows_alone { Held::Rows } else { Held::Everything };
                self.retry.failed(held, &reason);
                if self.log_budget.allows(Cause::CommitFailed) {
                    let error = Escaped(reason.as_bytes());
                    warn!("action: commit | result: in_progress | error: {error}");
                }
                // At once: what comes behind it in this very turn has no effect either.
                let standing = |agency| self.lottery.agency_standing(agency);
                for connection in self.answers.unavailable(number, &reason, standing) {
                    self.note_unavailable(cx, connection);
                }
            }
            Err(error) => self.fatal = Some(error),
        }
    }

    /// A central without its ledger isn't healthy, though it may still echo.
    fn verify_ledger(&mut self) {
        if let Err(SubmitError::Fatal(error)) = self.lottery.ledger().verify() {
            self.fatal.get_or_insert(error);
        }
    }

    fn note_unavailable(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.agency_session(connection) else { return };
        session.unavailable = true;
        if session.intake == Intake::AwaitsWinners {
            self.resume(cx, connection);
        }
    }

    /// Fails when the process must not go on.
    fn check(&mut self) -> Result<(), LedgerError> {
        self.fatal.take().map_or(Ok(()), Err)
    }

    /// Whether the turn's end hands over what is staged. While a sync is under way little is left to
    /// gather: it would wait for the next sync all the same, and one record costs less than many.
    fn commits_now(&self) -> bool {
        !self.lottery.is_syncing()
            || !self.lottery.has_staged()
            || self.lottery.staged_len() >= self.rules.commit_max
    }

    /// Lets the disk begin with what was handed over; waits for it only when nobody else does.
    fn sync(&mut self, cx: &mut impl Context) -> Result<(), LedgerError> {
        if self.stopping && !self.lottery.has_staged() {
            self.lottery.begin_close();
        }
        if let Some(disk) = self.disk {
            if let Some(target) = self.lottery.begin_sync()? {
                cx.send(disk, &disk_thread::request(target));
            }
            return Ok(());
        }
        self.lottery.sync()?;
        if self.lottery.has_staged() {
            // The log had to go on in its other half first.
            self.commit(cx);
            self.lottery.sync()?;
        }
        Ok(())
    }

    /// Takes what the disk's thread says; returns how many bytes that was.
    fn sync_ended(&mut self, input: &[u8]) -> usize {
        let (answers, rest) = input.as_chunks();
        for answer in answers {
            if let Err(error) = self.lottery.end_sync(disk_thread::outcome(*answer)) {
                self.fatal.get_or_insert(error);
            }
        }
        input.len() - rest.len()
    }

    fn disk_thread_lost(&mut self) {
        let lost = io::Error::other("the thread that waits for the disk has ended");
        if let Err(error) = self.lottery.end_sync(Err(lost)) {
            self.fatal.get_or_insert(error);
        }
    }

    /// Lets every answer go whose commit is durable.
    fn release(&mut self, cx: &mut impl Context) {
        while let Some(waiting) = self.answers.release(self.lottery.committed()) {
            if let Some(session) = self.agency_session(waiting.to) {
                session.owed -= 1;
            }
            self.tell(cx, waiting);
        }
        self.resume_held(cx);
        let settled = self.lottery.committed() >= self.lottery.submitted();
        if !(settled && self.lottery.is_drawn()) {
            return;
        }
        if !std::mem::replace(&mut self.draw_told, true) {
            info!("action: sorteo | result: success");
        }
        for connection in std::mem::take(&mut self.winners_due) {
            self.begin_winners(cx, connection);
        }
    }

    fn tell(&mut self, cx: &mut impl Context, Waiting { to, agency, answer }: Waiting) {
        match answer {
            Answer::Welcome(AgencyStanding { consumed, checksum, rejected, phase, .. }) => {
                log_within!(
                    self.log_budget,
                    Event::Introduced,
                    Level::Debug,
                    "action: introduce | result: success | agency: {agency} | posicion: {consumed}"
                );
                respond(cx, to, &Response::Welcome { consumed, checksum, rejected, phase });
            }
            Answer::Stored { consumed, log } => {
                batch_log::log_judged(&mut self.log_budget, true, &log);
                respond(cx, to, &Response::Stored { consumed });
            }
            Answer::Duplicate { consumed } => respond(cx, to, &Response::Stored { consumed }),
            Answer::Rejected { consumed, position, index, field, text, log } => {
                batch_log::log_judged(&mut self.log_budget, false, &log);
                log_within!(
                    self.log_budget,
                    Event::BetInvalid,
                    Level::Warn,
                    "action: validate_bet | result: fail | agency: {agency} | index: {index} | \
                     code: {} | error: {} | posicion: {position} | field: {field}",
                    field as u8,
                    Escaped(text.as_bytes())
                );
                let reason = &text;
                respond(cx, to, &Response::Rejected { consumed, index, field, reason });
            }
            Answer::Unavailable { consumed, text } => {
                respond(cx, to, &Response::Unavailable { consumed, reason: &text });
            }
            Answer::Finished { stored, rejected } => {
                log_within!(
                    self.log_budget,
                    Event::Finished,
                    Level::Debug,
                    "action: finish | result: success | agency: {agency} | stored: {stored}"
                );
                respond(cx, to, &Response::Finished { stored, rejected });
            }
            Answer::Winners => {
                if self.agency_session(to).is_some() {
                    self.winners_due.insert(to);
                }
            }
            Answer::Refused { code, text } => self.tell_refused(cx, to, Some(agency), code, &text),
            Answer::NothingFollows => cx.close(to),
        }
    }

    fn tell_refused(
        &mut self,
        cx: &mut impl Context,
        to: ConnectionId,
        agency: Option<Agency>,
        code: ErrorCode,
        text: &str,
    ) {
        let ip = self.session(to).map(|session| session.ip);
        if let Some(ip) = ip
            && self.log_budget.allows(Cause::Agency(code))
        {
            // The agency comes back after these: nothing has finally failed.
            let passing = matches!(code, ErrorCode::ShuttingDown | ErrorCode::Superseded);
            let result = if passing { "in_progress" } else { "fail" };
            let agency = agency.map_or(String::new(), |agency| format!(" | agency: {agency}"));
            warn!(
                "action: refuse_connection | result: {result} | ip: {ip}{agency} | code: {} | \
                 error: {text}",
                code as u8
            );
        }
        self.scan.forget(to);
        respond(cx, to, &Response::Error { code, reason: text });
        cx.close(to);
    }

    /// Begins a list that a connection is owed.
    fn begin_winners(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let session = self.agency_session(connection);
        let Some(agency) = session.and_then(|session| session.agency) else { return };
        let rows = self.lottery.winning_rows(agency);
        if rows.count > 0 {
            return self.scan.begin(connection, agency, rows);
        }
        cx.send_with(connection, |out| WinnersBuilder::new(out).finish(true));
        self.winners_told(cx, connection);
    }

    /// Tells one piece's winners, and asks for another turn if there is more to read.
    fn scan_winners(&mut self, cx: &mut impl Context) -> Result<(), LedgerError> {
        if !self.scan.is_active() {
            return Ok(());
        }
        let high_water = self.rules.high_water;
        let send = |to: ConnectionId, frame: &[u8]| {
            // `on_writable` goes on from here.
            let takes_more = cx.unsent(to) <= high_water;
            if takes_more {
                cx.send(to, frame);
            }
            takes_more
        };
        let (ledger, stripes) = (self.lottery.ledger(), self.lottery.winner_stripes());
        let told = self.scan.advance(ledger, stripes, self.rules.winners_budget, send)?;
        for connection in told {
            self.winners_told(cx, connection);
        }
        if self.scan.is_active() {
            cx.set_timer(SCAN, Some(Duration::ZERO));
        }
        Ok(())
    }

    /// A list is complete: what was asked behind it is next.
    fn winners_told(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.resume(cx, connection);
    }
}

impl<L: Ledger> Handler for Central<L> {
    type Fatal = LedgerError;

    fn on_start(&mut self, cx: &mut impl Context) {
        let Some(stream) = self.disk_stream.take() else { return };
        match cx.attach(stream) {
            Ok(disk) => self.disk = Some(disk),
            Err(error) => warn!(
                "action: attach_disk | result: in_progress | error: {error} | \
                 warning: the loop waits for the disk itself"
            ),
        }
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        let session = Session::new(connection, peer.ip());
        let level = session.log_level();
        log_within!(
            self.log_budget,
            Event::Accepted,
            level,
            "action: accept_connections | result: success | ip: {}",
            session.ip
        );
        self.welcomed |= level == Level::Info;
        if session.is_probe() {
            self.verify_ledger();
        }
        if self.sessions.len() <= connection.index() {
            self.sessions.resize_with(connection.index() + 1, || None);
        }
        self.sessions[connection.index()] = Some(session);
        cx.set_deadline(connection, self.rules.first_byte);
    }

    fn before_read(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.is_full() {
            self.hold(cx, connection);
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.disk == Some(connection) {
            return self.sync_ended(input);
        }
        let consumed = self.consume(cx, connection, input);
        self.watch(cx, connection, consumed, input.len() - consumed);
        consumed
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.disk == Some(connection) {
            return self.disk_thread_lost();
        }
        cx.set_deadline(connection, None);
        let Some(session) = self.session(connection) else { return };
        match &mut session.protocol {
            Protocol::Unknown | Protocol::Over => cx.close(connection),
            // What it is owed comes first, and the refusal closes it.
            Protocol::Refused => {}
            Protocol::Echo(_) => {
                self.echo(cx, connection, rest, End::Reached);
                self.finish(cx, connection);
            }
            Protocol::Lottery(agency_session) => match agency_session.decoder.finish(rest) {
                Ok(()) if agency_session.owed == 0 => cx.close(connection),
                Ok(()) => {
                    let agency = agency_session.agency.unwrap_or_default();
                    self.queue_answer(connection, agency, Answer::NothingFollows);
                }
                Err(error) => {
                    self.refuse(cx, connection, ErrorCode::Malformed, error.to_string());
                }
            },
        }
    }

    fn on_writable(&mut self, _: &mut impl Context, connection: ConnectionId) {
        self.scan.resume(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.session(connection) else { return };
        let what = if session.partial { "a whole line or frame" } else { "a line or frame" };
        if session.lottery().is_some() {
            let text = format!("waited too long for {what}");
            return self.refuse(cx, connection, ErrorCode::Timeout, text);
        }
        let (ip, partial) = (session.ip, session.partial);
        if self.log_budget.allows(Cause::Silence) {
            info!(
                "action: receive_message | result: fail | ip: {ip} | error: waited too long for {what}"
            );
        }
        if partial {
            cx.send(connection, format!("error: waited too long for {what}\n").as_bytes());
        }
        self.finish(cx, connection);
    }

    fn on_timer(&mut self, _: &mut impl Context, timer: TimerId) {
        match timer {
            REPORT => self.log_budget.report(),
            REFILL => self.log_budget.refill(),
            RETRY => self.retry.passed(),
            _ if self.draw_watch.fired(timer) => {}
            // For the scan, which goes on at the end of every turn.
            _ => {}
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.disk == Some(connection) {
            return self.disk_thread_lost();
        }
        self.held.remove(&connection);
        self.winners_due.remove(&connection);
        let Some(place) = self.sessions.get_mut(connection.index()) else { return };
        let Some(session) = place.take_if(|session| session.is_named(connection)) else { return };
        self.scan.forget(connection);
        if let Some(agency) = session.agency()
            && self.speakers.get(&agency) == Some(&connection)
        {
            self.lose_speaker(agency, session.ip, reason);
        }
        if let Some(cause) = Cause::of(reason)
            && self.log_budget.allows(cause)
        {
            warn!(
                "action: close_connection | result: fail | ip: {} | reason: {reason}",
                session.ip
            );
        } else {
            let level = if self.stopping { session.log_level() } else { Level::Debug };
            log_within!(
                self.log_budget,
                Event::Closed,
                level,
                "action: close_connection | result: success | ip: {} | reason: {reason}",
                session.ip
            );
        }
        // The turn has ended already, and the next one may be far away.
        self.set_log_timers(cx);
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        ip == healthcheck::PROBE || self.known_addresses.contains(ip)
    }

    fn on_listener_event(&mut self, _: &mut impl Context, event: &ListenerEvent) {
        let waiting = matches!(event, ListenerEvent::Waiting);
        let somebody_came = waiting && std::mem::take(&mut self.welcomed);
        listener_log::log_event(&mut self.log_budget, event, somebody_came);
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::Hangup => {
                info!("action: reload | result: success | cause: SIGHUP | reloaded: nothing");
            }
            Signal::User1 => {
                let (standing, connections) = (self.lottery.standing(), self.sessions.iter());
                let connections = connections.flatten().count();
                let rejected = standing.rejected();
                info!(
                    "action: status | result: success | {standing} | connections: {connections} | \
                     rejected: {rejected}"
                );
            }
            Signal::User2 => info!("action: count | result: success | {}", cx.counters()),
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.stopping = true;
        self.log_budget.report();
        let cause = match cause {
            ShutdownCause::Signal(name) => name,
            ShutdownCause::Asked => "asked",
        };
        info!("action: shutdown | result: in_progress | cause: {cause}");
        let speakers: Vec<_> = self.speakers.values().copied().collect();
        for connection in speakers {
            let text = "the central is shutting down".to_owned();
            self.refuse(cx, connection, ErrorCode::ShuttingDown, text);
        }
        for connection in self.unanswered() {
            self.finish(cx, connection);
        }
    }

    fn is_idle(&self) -> bool {
        self.answers.is_empty() && self.lottery.is_closed()
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), LedgerError> {
        if self.commits_now() {
            self.commit(cx);
        }
        self.check()?;
        self.sync(cx)?;
        self.check()?;
        self.release(cx);
        self.scan_winners(cx)?;
        self.watch_draw(cx);
        self.set_log_timers(cx);
        if let Some(delay) = self.retry.take_timer() {
            cx.set_timer(RETRY, Some(delay));
        }
        Ok(())
    }
}

/// Whether the peer's stream has ended.
#[derive(Debug, Clone, Copy)]
enum End {
    NotYet,
    Reached,
}

fn respond(cx: &mut impl Context, to: ConnectionId, response: &Response<'_>) {
    cx.send_with(to, |out| response.encode(out));
}

fn frame_error_code(error: &FrameError) -> ErrorCode {
    match error {
        FrameError::Oversized { .. } => ErrorCode::Oversized,
        FrameError::Magic { .. } | FrameError::Undersized { .. } | FrameError::Truncated { .. } => {
            ErrorCode::Malformed
        }
    }
}

fn message_error_code(error: &MessageError) -> ErrorCode {
    match error {
        MessageError::UnknownKind { .. } => ErrorCode::UnknownKind,
        _ => ErrorCode::Malformed,
    }
}
