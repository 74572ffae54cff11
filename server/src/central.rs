//! The central: both protocols of its port, as a handler of the event loop.
//!
//! Routes each event of the loop to who serves it. Knows no clock, no file, and of sockets only the
//! one that it hands to the loop to reach the [disk's thread](crate::disk_thread): a test drives it
//! with buffers.
//!
//! | file | what it is for |
//! |---|---|
//! | `session`, `sessions` | what is remembered of one connection, and of all |
//! | `shared` | what both protocols share: configuration, sessions, log budget |
//! | `echo`, `echo_service` | the echo protocol of one connection, and serving all |
//! | `tls_service` | what is between the first byte and the protocol when that is TLS |
//! | `trust` | what is asked of who keeps the certificates |
//! | `identity` | which agency a certificate names |
//! | `lottery_session` | the lottery protocol of one connection |
//! | `lottery_service` | serves agencies: requests in, durable replies out |
//! | [`backend`](Backend) | the seam between that and what keeps the lottery |
//! | `ledger_backend` | keeps it in files of this machine |
//! | `cluster_backend` | keeps it in etcd, beside other centrals |
//! | `lane` | one agency's requests there: judged, gathered, and replied to |
//! | `outbox` | what agencies are sent, and what is counted of it |
//! | `requests` | what a request comes to |
//! | `reply` | what a request came to, and the response that says so |
//! | `reply_queue` | replies that wait for their commit |
//! | `reply_log` | log lines of the replies that leave |
//! | `group_commit` | when what is staged is committed, and who waits for the disk |
//! | `backpressure` | agencies that aren't read until the storage has caught up |
//! | `commit_backoff` | when a commit that had no effect is followed by another |
//! | `agency_addresses` | from which addresses each agency may connect |
//! | `agency_log` | agencies' connections as log lines: introduced, ended, superseded |
//! | `agency_connections` | which connection each agency has |
//! | `known_addresses` | where agencies have called from, for when slots are few |
//! | `winners_delivery` | lists of winners on their way |
//! | `draw_progress` | when the log says what the draw waits for |
//! | `log_budget` | what a peer can have logged at will: the first as it is, the rest as counts |
//! | [`view`] | how the central is at one moment, as an operator sees it |
//! | `tally` | what has happened since the start, in numbers |
//! | `peer` | who is at the other end, as log lines name it |
//! | `connection_log`, `listener_log` | connections and the listening socket, as log lines |
//! | `protocol_config` | what can be set |
//! | `protocol_error` | why a connection of an agency is closed |
//! | `timers` | one number for each timer |

mod agency_addresses;
mod agency_connections;
mod agency_log;
mod backend;
mod backpressure;
mod cluster_backend;
mod commit_backoff;
mod connection_log;
mod draw_progress;
mod echo;
mod echo_service;
mod group_commit;
mod identity;
mod known_addresses;
mod lane;
mod ledger_backend;
mod listener_log;
mod log_budget;
mod lottery_service;
mod lottery_session;
mod outbox;
mod peer;
mod protocol_config;
mod protocol_error;
mod reply;
mod reply_log;
mod reply_queue;
mod requests;
mod session;
mod sessions;
mod shared;
mod tally;
mod timers;
mod tls_service;
mod trust;
mod view;
mod winners_delivery;

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use reactor::{
    CloseReason, ConnectionId, Context, Handler, Layer, LayerError, ListenerEvent, ListenerId,
    ShutdownCause, Signal, TimerId,
};
use runtime::log_line;
use runtime::logging::{InProgress, Level, Line, Success};

pub use self::agency_addresses::{AgencyAddresses, BadEntry};
pub use self::backend::Backend;
pub use self::cluster_backend::{ClusterBackend, ClusterConfig, VALUE_MIN};
pub use self::identity::{Identity, IdentityError, agency_of};
pub use self::ledger_backend::LedgerBackend;
pub use self::protocol_config::ProtocolConfig;
pub use self::trust::{Plaintext, Trust};
pub use self::view::CentralView;
pub(crate) use self::view::write_draw;

use self::listener_log::ListenerLog;
use self::log_budget::Cause;
use self::lottery_service::LotteryService;
use self::protocol_error::ProtocolError;
use self::session::{Deadline, Protocol, Session};
use self::shared::Shared;
use wire::ErrorCode;

use crate::healthcheck;
use crate::lottery::{Lottery, State};
use crate::observable::{Observable, ViewContext};
use crate::service_status::ServiceStatus;
use crate::store::Store;

/// The handler.
#[derive(Debug)]
pub struct Central<B> {
    shared: Shared,
    lottery: LotteryService<B>,
    listener_log: ListenerLog,
    /// None: without TLS.
    trust: Option<Box<dyn Trust>>,
}

/// Over a store of this machine.
impl<S: Store> Central<LedgerBackend<S>> {
    /// A central without connections.
    pub fn new(lottery: Lottery, store: S, config: ProtocolConfig) -> Self {
        Self::over(LedgerBackend::new(lottery, store, &config), config)
    }

    /// One that leaves waiting for the disk to the thread at the other end, see
    /// [`disk_thread`](crate::disk_thread).
    #[must_use]
    pub fn with_disk_thread(mut self, stream: UnixStream) -> Self {
        self.lottery.backend_mut().use_disk_thread(stream);
        self
    }

    /// The lottery.
    pub fn lottery(&self) -> &Lottery {
        self.backend().lottery()
    }

    /// The store.
    pub fn store(&self) -> &S {
        self.backend().store()
    }

    /// The store, to be closed, and the state that all commits led to.
    pub fn into_store(self) -> (S, State) {
        self.lottery.into_backend().into_store()
    }
}

impl<B: Backend> Central<B> {
    /// A central without connections, whose lottery this keeps.
    pub fn over(backend: B, config: ProtocolConfig) -> Self {
        Self {
            lottery: LotteryService::new(backend, &config),
            shared: Shared::new(config),
            listener_log: ListenerLog::default(),
            trust: None,
        }
    }

    /// What keeps the lottery.
    pub fn backend(&self) -> &B {
        self.lottery.backend()
    }

    /// One that takes TLS.
    #[must_use]
    pub fn with_trust(mut self, trust: impl Trust + 'static) -> Self {
        self.trust = Some(Box::new(trust));
        self
    }

    /// Logs what was counted and not logged. For the end, when no timer fires any more.
    pub fn report_log(&mut self) {
        self.shared.log.report();
    }

    /// Takes as many lines or frames out of `input` as are whole; returns how many bytes they were.
    fn consume(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let max_line = self.shared.config.max_line_size;
        let Some(session) = self.shared.sessions.get(connection) else { return input.len() };
        let Some(&first) = input.first() else { return 0 };
        let was = session.protocol();
        session.identify(first, max_line);
        let protocol = session.protocol();
        if protocol != was {
            self.admit(cx, connection, was);
        }
        let Some(session) = self.shared.sessions.get(connection) else { return input.len() };
        match session.protocol() {
            Protocol::Echo => echo_service::on_data(cx, &mut self.shared, connection, input),
            Protocol::Lottery => self.lottery.on_data(cx, &mut self.shared, connection, input),
            // What has come is the layer's.
            Protocol::Tls => 0,
            Protocol::Unknown | Protocol::Secured | Protocol::Refused | Protocol::Closing => {
                input.len()
            }
        }
    }

    /// A connection has begun a protocol: goes on with TLS, or refuses what isn't taken.
    fn admit(&mut self, cx: &mut impl Context, connection: ConnectionId, was: Protocol) {
        let (shared, trust) = (&mut self.shared, self.trust.as_deref());
        let Some(session) = shared.sessions.get(connection) else { return };
        if session.protocol() == Protocol::Tls {
            return tls_service::begin(cx, shared, trust, connection);
        }
        let is_lottery = session.protocol() == Protocol::Lottery;
        match tls_service::refusal(shared, trust, connection, was) {
            Some(error) if is_lottery => {
                self.lottery.close_with_error(cx, shared, connection, error);
            }
            Some(_) => tls_service::refuse(cx, shared, connection, Cause::Plaintext),
            None => {}
        }
    }

    /// Reads the certificates again, and ends connections whose certificate is revoked now.
    fn reload(&mut self, cx: &mut impl Context) {
        let Some(trust) = &mut self.trust else {
            let line = Line::new("reload", Success).with("cause", "SIGHUP");
            return log_line!(Level::Info, line.with("reloaded", "nothing"));
        };
        trust.reload();
        for connection in tls_service::revoked(cx, &self.shared, &**trust) {
            self.close_revoked(cx, connection);
        }
        self.warn_of_expiry(cx);
    }

    fn close_revoked(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.shared.sessions.get(connection) else { return };
        if session.protocol() != Protocol::Lottery {
            return tls_service::refuse(cx, &mut self.shared, connection, Cause::Revoked);
        }
        let error = ProtocolError::new(ErrorCode::CertificateRevoked, Cause::Revoked.to_string());
        self.lottery.close_with_error(cx, &mut self.shared, connection, error);
    }

    fn warn_of_expiry(&self, cx: &mut impl Context) {
        if let Some(trust) = &self.trust {
            let after = trust.warn_of_expiry();
            cx.set_timer(timers::EXPIRY, Some(after));
        }
    }

    /// Arms the deadline that fits: for the rest of what has begun, or for what comes next.
    fn arm_deadline(
        &mut self,
        cx: &mut impl Context,
        connection: ConnectionId,
        consumed: usize,
        rest: usize,
    ) {
        let Shared { config, sessions, .. } = &mut self.shared;
        let Some(session) = sessions.get(connection) else { return };
        let after = match session.note_input(consumed, rest) {
            Deadline::Unchanged => return,
            Deadline::Frame => config.frame_timeout,
            Deadline::Handshake => config.handshake_timeout,
            Deadline::Idle => config.idle_timeout,
            Deadline::Never => None,
        };
        cx.set_deadline(connection, after);
    }
}

impl<B: Backend> Observable for Central<B> {
    type View<'a>
        = CentralView<'a, B>
    where
        B: 'a;

    fn view(
        &self,
        cx: &impl Context,
        view_context: ViewContext,
        admin_connections: usize,
    ) -> CentralView<'_, B> {
        CentralView::new(self, cx, view_context, admin_connections)
    }

    fn service_status(&self) -> Option<ServiceStatus> {
        let backend = self.backend();
        let agencies = backend.terms().agencies;
        Some(match backend.not_ready() {
            _ if backend.is_drawn() => ServiceStatus::Drawn,
            Some(reason) => ServiceStatus::NotReady(reason),
            None if agencies == 0 => ServiceStatus::Echo,
            None => {
                let missing = agencies.saturating_sub(backend.finished());
                ServiceStatus::Open { missing, agencies }
            }
        })
    }

    fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        !chain.is_empty() && self.trust.as_deref().is_some_and(|trust| trust.is_revoked(chain))
    }

    /// Ends the process if the ledger's files aren't there any more.
    fn on_probe(&mut self) {
        self.lottery.backend_mut().verify();
    }

    fn make_layer(&self) -> Result<Box<dyn Layer>, LayerError> {
        self.trust.as_deref().ok_or("there is no certificate")?.layer()
    }
}

impl<B: Backend> Handler for Central<B> {
    type Fatal = B::Fatal;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.lottery.backend_mut().on_start(cx);
        self.warn_of_expiry(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        if self.backend().owns(connection) {
            return self.lottery.backend_mut().on_open(cx, connection);
        }
        let session = Session::new(connection, peer.ip());
        connection_log::log_accepted(&mut self.shared.log, &session);
        self.listener_log.note_accepted(session.log_level());
        if session.is_probe() {
            self.lottery.backend_mut().verify();
        }
        self.shared.sessions.insert(connection, session);
        cx.set_deadline(connection, self.shared.config.first_byte_timeout);
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if self.backend().owns(connection) {
            return self.lottery.backend_mut().on_handshake(cx, connection);
        }
        let Some(trust) = self.trust.as_deref() else { return };
        tls_service::on_handshake(cx, &mut self.shared, trust, connection);
    }

    fn before_read(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.lottery.before_read(cx, &mut self.shared, connection);
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if self.backend().owns(connection) {
            return self.lottery.backend_mut().on_data(cx, connection, input);
        }
        let consumed = self.consume(cx, connection, input);
        self.arm_deadline(cx, connection, consumed, input.len() - consumed);
        consumed
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        if self.backend().owns(connection) {
            return self.lottery.backend_mut().on_lost(cx, connection, None);
        }
        cx.set_deadline(connection, None);
        let Some(session) = self.shared.sessions.get(connection) else { return };
        match session.protocol() {
            Protocol::Unknown | Protocol::Tls | Protocol::Secured | Protocol::Closing => {
                cx.close(connection);
            }
            // What it is owed comes first, and the refusal closes it.
            Protocol::Refused => {}
            Protocol::Echo => echo_service::on_eof(cx, &mut self.shared, connection, rest),
            Protocol::Lottery => self.lottery.on_eof(cx, &mut self.shared, connection, rest),
        }
    }

    fn on_writable(&mut self, _: &mut impl Context, connection: ConnectionId) {
        self.lottery.on_writable(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        let Some(session) = self.shared.sessions.get(connection) else { return };
        match session.protocol() {
            Protocol::Lottery => self.lottery.on_deadline(cx, &mut self.shared, connection),
            // It is the central that waits, for the storage: what the connection is owed comes first.
            Protocol::Refused => {}
            Protocol::Unknown
            | Protocol::Tls
            | Protocol::Secured
            | Protocol::Echo
            | Protocol::Closing => {
                echo_service::on_deadline(cx, &mut self.shared, connection);
            }
        }
    }

    fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId) {
        match timer {
            timers::LOG_REPORT => self.shared.log.report(),
            timers::LOG_REFILL => self.shared.log.refill(),
            timers::EXPIRY => self.warn_of_expiry(cx),
            _ => self.lottery.on_timer(cx, timer),
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if self.backend().owns(connection) {
            return self.lottery.backend_mut().on_lost(cx, connection, Some(reason));
        }
        let Some(session) = self.shared.sessions.remove(connection) else { return };
        self.lottery.on_close(cx, &mut self.shared, connection, &session.peer(), reason);
        let Shared { log, shutting_down, .. } = &mut self.shared;
        connection_log::log_closed(log, &session, reason, *shutting_down);
        // The turn has ended already, and the next one may be far away.
        self.shared.set_log_timers(cx);
    }

    fn is_trusted(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        healthcheck::is_probe(ip) || self.lottery.knows(ip)
    }

    fn on_listener_event(&mut self, _: &mut impl Context, _: ListenerId, event: &ListenerEvent) {
        self.listener_log.log(&mut self.shared.log, event);
    }

    fn on_signal(&mut self, cx: &mut impl Context, signal: Signal) {
        match signal {
            Signal::Hangup => self.reload(cx),
            Signal::User1 => {
                draw_progress::log_status(self.backend(), self.shared.sessions.count());
            }
            Signal::User2 => {
                log_line!(Level::Info, Line::new("count", Success).with_all(&cx.counters()));
            }
        }
    }

    fn on_shutdown(&mut self, cx: &mut impl Context, cause: ShutdownCause) {
        self.shared.shutting_down = true;
        self.shared.log.report();
        let cause = match cause {
            ShutdownCause::Signal(name) => name,
            ShutdownCause::Requested => "asked",
        };
        log_line!(Level::Info, Line::new("shutdown", InProgress).with("cause", cause));
        self.lottery.on_shutdown(cx, &mut self.shared);
        for connection in self.shared.sessions.open() {
            self.shared.close(cx, connection);
        }
    }

    fn is_idle(&self) -> bool {
        self.lottery.is_idle()
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), B::Fatal> {
        self.lottery.before_flush(cx, &mut self.shared)?;
        self.shared.set_log_timers(cx);
        Ok(())
    }
}
