//! Serves the admin listener's connections: passes bytes between the loop and the sessions of the
//! [`admin`] crate, and ticks its streams.
//!
//! Knows no lottery: what there is to see comes as a [`View`].

use std::time::{SystemTime, UNIX_EPOCH};

use admin::events::{Events, INTERVAL, KEEP_ALIVE_INTERVAL};
use admin::limits::AdminLimits;
use admin::session::{Deadline, Next, Progress, Session};
use admin::shared::{Responses, Shared};
use admin::view::View;
use http1::{AfterResponse, Method, Response, StatusCode};
use reactor::{ConnectionId, Context, Layer, LayerError, ListenerId, ListenerLimits, TimerId};
use runtime::logging::{Fail, Level, Line, Success};
use runtime::{EventLoop, log_line};
use tls::HANDSHAKE;

use crate::config::AdminConfig;
use crate::server_error::ServerError;

/// Sends streams what has changed. The central's timers have smaller numbers.
pub(crate) const TICK: TimerId = TimerId(32);

/// Keeps streams alive on which nothing happens.
pub(crate) const KEEP_ALIVE: TimerId = TimerId(33);

/// Times in a turn that a connection's requests are looked at. Each may bring as much as a session
/// answers at once, and HEAD has it made for nothing: without this, all connections together could keep
/// those of agencies waiting.
const CALLS_MAX: usize = 8;

/// Clients that wait to be accepted.
const BACKLOG: u32 = 128;

/// What a client hears that speaks HTTP to a listener of HTTPS.
const PLAINTEXT_REFUSAL: &[u8] = b"expected HTTPS, found HTTP: SERVER_ADMIN_TLS is true here\n";

/// Who makes TLS for a connection.
pub(crate) type MakeLayer<'a> = &'a dyn Fn() -> Result<Box<dyn Layer>, LayerError>;

/// All connections of the admin listener.
#[derive(Debug)]
pub struct AdminService {
    listener: ListenerId,
    /// Whether connections are to begin with TLS.
    is_tls: bool,
    shared: Shared,
    /// By the slots of their ids.
    connections: Vec<Option<Connection>>,
    /// Go on in the next turn: others have taken what this one had for them.
    refused: Vec<ConnectionId>,
    /// Go on behind those: they have been sent much.
    paused: Vec<ConnectionId>,
    /// Calls of this turn that may still bring responses.
    calls_left: usize,
    ticks: bool,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    /// TLS is still to begin.
    awaits_tls: bool,
    session: Session,
}

/// Listens where an operator looks, and logs where that is.
///
/// # Errors
/// The address can't be had.
pub fn listen(
    event_loop: &mut EventLoop,
    config: &AdminConfig,
) -> Result<AdminService, ServerError> {
    let AdminConfig { address, tls, hosts, limits, .. } = config;
    let listener_limits =
        ListenerLimits { max_connections: limits.connections, ..ListenerLimits::default() };
    let bound = event_loop.bind(*address);
    let listening =
        bound.and_then(|bound| event_loop.listen_apart(bound, BACKLOG, listener_limits));
    let (listener, listening) =
        listening.map_err(|source| ServerError::ListenAdmin { address: *address, source })?;
    let line = Line::new("listen_admin", Success).with("ip", listening.ip());
    log_line!(Level::Info, line.with("port", listening.port()));
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    let shared = Shared::new(limits.clone(), hosts.clone(), Events::new(epoch));
    Ok(AdminService::new(listener, *tls, shared))
}

impl AdminService {
    /// Serves the connections of this listener, with HTTPS if `is_tls`.
    pub fn new(listener: ListenerId, is_tls: bool, shared: Shared) -> Self {
        Self {
            listener,
            is_tls,
            shared,
            connections: Vec::new(),
            refused: Vec::new(),
            paused: Vec::new(),
            calls_left: CALLS_MAX,
            ticks: false,
        }
    }

    pub(crate) fn listener(&self) -> ListenerId {
        self.listener
    }

    /// What requests came to.
    pub(crate) fn responses(&self) -> Responses {
        self.shared.responses
    }

    /// Pages that are kept up to date.
    pub(crate) fn streams(&self) -> usize {
        self.shared.streams()
    }

    /// Whether this is one of its connections.
    pub(crate) fn has(&self, id: ConnectionId) -> bool {
        let found = self.connections.get(id.slot()).and_then(Option::as_ref);
        found.is_some_and(|connection| connection.id == id)
    }

    /// All of them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.iter().flatten().map(|connection| connection.id)
    }

    pub(crate) fn on_open(&mut self, cx: &mut impl Context, id: ConnectionId) {
        if self.connections.len() <= id.slot() {
            self.connections.resize_with(id.slot() + 1, || None);
        }
        let session = Session::new(&self.shared);
        self.connections[id.slot()] = Some(Connection { id, awaits_tls: self.is_tls, session });
        self.arm(cx, id, Deadline::Idle);
    }

    /// TLS is established.
    pub(crate) fn on_handshake(&mut self, cx: &mut impl Context, id: ConnectionId) {
        self.arm(cx, id, Deadline::Idle);
    }

    /// Returns how many bytes of `input` are done with.
    pub(crate) fn on_data(
        &mut self,
        cx: &mut impl Context,
        id: ConnectionId,
        input: &[u8],
        view: &dyn View,
        make_layer: MakeLayer<'_>,
    ) -> usize {
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::as_mut) else {
            return input.len();
        };
        if connection.awaits_tls {
            return self.begin_tls(cx, id, input, make_layer);
        }
        // What a stream still sends is thrown away.
        if !connection.session.is_stream() {
            if self.calls_left == 0 {
                cx.pause_reading(id);
                self.refused.push(id);
                return 0;
            }
            self.calls_left -= 1;
        }
        let mut out = Vec::new();
        let progress = connection.session.on_data(input, &mut self.shared, view, &mut out);
        self.proceed(cx, id, &out, progress)
    }

    pub(crate) fn on_eof(
        &mut self,
        cx: &mut impl Context,
        id: ConnectionId,
        rest: &[u8],
        view: &dyn View,
    ) {
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::as_mut) else {
            return;
        };
        if connection.awaits_tls {
            return cx.close(id);
        }
        let mut out = Vec::new();
        let progress = connection.session.on_eof(rest, &mut self.shared, view, &mut out);
        self.proceed(cx, id, &out, progress);
    }

    fn proceed(
        &mut self,
        cx: &mut impl Context,
        id: ConnectionId,
        out: &[u8],
        Progress { consumed, next, deadline }: Progress,
    ) -> usize {
        if !out.is_empty() {
            cx.send(id, out);
        }
        self.arm(cx, id, deadline);
        match next {
            Next::Continue => {}
            // The loop itself reads no more while much of the output hasn't left.
            Next::AwaitOutput => {
                cx.pause_reading(id);
                self.paused.push(id);
            }
            Next::Close => cx.close(id),
            Next::Stream => self.begin_stream(cx, id),
        }
        consumed
    }

    fn begin_stream(&mut self, cx: &mut impl Context, id: ConnectionId) {
        cx.protect(id);
        if !std::mem::replace(&mut self.ticks, true) {
            cx.set_timer(TICK, Some(INTERVAL));
            cx.set_timer(KEEP_ALIVE, Some(KEEP_ALIVE_INTERVAL));
        }
    }

    fn arm(&self, cx: &mut impl Context, id: ConnectionId, deadline: Deadline) {
        let AdminLimits { request_timeout, idle_timeout, .. } = self.shared.limits;
        let after = match deadline {
            Deadline::Unchanged => return,
            Deadline::Request => Some(request_timeout),
            Deadline::Idle => Some(idle_timeout),
            Deadline::Never => None,
        };
        cx.set_deadline(id, after);
    }

    pub(crate) fn on_deadline(&mut self, cx: &mut impl Context, id: ConnectionId) {
        // It is the central that waits.
        if self.refused.contains(&id) {
            return self.arm(cx, id, Deadline::Request);
        }
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::as_mut) else {
            return;
        };
        let mut out = Vec::new();
        if !connection.awaits_tls {
            connection.session.on_deadline(&mut self.shared, &mut out);
        }
        cx.send(id, &out);
        cx.close(id);
    }

    /// One of its timers has fired.
    pub(crate) fn on_timer(&mut self, cx: &mut impl Context, timer: TimerId, view: &dyn View) {
        if self.shared.streams() == 0 {
            self.ticks = false;
            cx.set_timer(TICK, None);
            cx.set_timer(KEEP_ALIVE, None);
        } else if timer == TICK {
            self.tick(cx, view);
            cx.set_timer(TICK, Some(INTERVAL));
        } else {
            self.send_to_streams(cx, |session, _, has_left, out| {
                session.on_keep_alive(has_left, out);
            });
            cx.set_timer(KEEP_ALIVE, Some(KEEP_ALIVE_INTERVAL));
        }
    }

    /// Sends all streams what has changed since the last time.
    pub(crate) fn tick(&mut self, cx: &mut impl Context, view: &dyn View) {
        if self.shared.streams() == 0 {
            return;
        }
        let event = self.shared.events.tick(view.status());
        self.send_to_streams(cx, |session, shared, has_left, out| {
            session.on_tick(event.as_deref(), has_left, shared, view, out);
        });
    }

    fn send_to_streams(
        &mut self,
        cx: &mut impl Context,
        mut write: impl FnMut(&mut Session, &mut Shared, bool, &mut Vec<u8>),
    ) {
        let mut out = Vec::new();
        for connection in self.connections.iter_mut().flatten() {
            if !connection.session.is_stream() {
                continue;
            }
            let has_left = cx.unsent(connection.id) == 0;
            out.clear();
            write(&mut connection.session, &mut self.shared, has_left, &mut out);
            if !out.is_empty() {
                cx.send(connection.id, &out);
            }
        }
    }

    pub(crate) fn on_close(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::take) else {
            return;
        };
        connection.session.on_close(&mut self.shared);
        self.refused.retain(|refused| *refused != id);
        self.paused.retain(|paused| *paused != id);
    }

    /// The turn's output is about to leave: what waited goes on in the next one.
    pub(crate) fn before_flush(&mut self, cx: &mut impl Context) {
        self.calls_left = CALLS_MAX;
        for id in self.refused.drain(..).chain(self.paused.drain(..)) {
            cx.resume_reading(id);
        }
    }

    /// The first byte of a connection says whether it is TLS.
    fn begin_tls(
        &mut self,
        cx: &mut impl Context,
        id: ConnectionId,
        input: &[u8],
        make_layer: MakeLayer<'_>,
    ) -> usize {
        if input.first() != Some(&HANDSHAKE) {
            self.refuse_plaintext(cx, id);
            return input.len();
        }
        match make_layer() {
            Ok(layer) => {
                self.arm(cx, id, Deadline::Request);
                cx.start_layer(id, layer);
            }
            Err(error) => {
                log_line!(Level::Debug, Line::new("accept_admin", Fail).with("error", error));
                cx.abort(id);
            }
        }
        if let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::as_mut) {
            connection.awaits_tls = false;
        }
        0
    }

    fn refuse_plaintext(&mut self, cx: &mut impl Context, id: ConnectionId) {
        let response = Response::text(StatusCode::BadRequest);
        cx.send_with(id, |out| {
            response.write(Method::Get, AfterResponse::Close, PLAINTEXT_REFUSAL, out);
        });
        self.shared.responses.refused += 1;
        cx.close(id);
    }
}
