//! Serves the admin listener's connections: passes bytes between the loop and the sessions of the
//! [`admin`] crate, and ticks its streams.
//!
//! Knows no lottery: what there is to see comes as a [`View`].

use std::time::{Duration, SystemTime};

use admin::events::{INTERVAL, KEEP_ALIVE_INTERVAL};
use admin::exposition::Exposition;
use admin::limits::AdminLimits;
use admin::process::Process;
use admin::session::{Deadline, Next, Progress, Session};
use admin::shared::{Responses, Shared};
use admin::status::Status;
use admin::view::{NotReady, View};
use http1::{AfterResponse, Method, Response, StatusCode};
use reactor::{
    CloseReason, ConnectionId, Context, Gauges, Layer, LayerError, ListenerEvent, ListenerId,
    TimerId,
};
use runtime::log_line;
use runtime::logging::{Fail, Level, Line};
use tls::HANDSHAKE;

/// Sends streams what has changed. The central's timers have smaller numbers.
pub(crate) const TICK: TimerId = TimerId(32);

/// Keeps streams alive on which nothing happens.
pub(crate) const KEEP_ALIVE: TimerId = TimerId(33);

/// Bytes of bodies that are made in a turn; further requests are looked at in the next one. What isn't
/// sent counts too: HEAD has a page made for nothing, and without this all connections together could
/// keep those of agencies waiting.
const MADE_MAX: usize = 256 * 1024;

/// Bytes of events that streams are sent at a time; the others are sent all that they have missed later.
/// A lottery of thousands of agencies may change as a whole between two events.
const EVENTS_MAX: usize = 4 * 1024 * 1024;

/// Most time for a head while more than half of the connections are taken. A slow one counts as active with
/// each byte, and so isn't closed to let another one in: without this, as many as there may be would
/// keep everybody out for as long as a head may take.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);

/// What a client hears that speaks HTTP to a listener of HTTPS.
const PLAINTEXT_REFUSAL: &[u8] = b"expected HTTPS, found HTTP: SERVER_ADMIN_TLS is true here\n";

/// A view with what is known of each process that is looked at, whatever it is.
struct ProcessView<'a> {
    view: &'a dyn View,
    figures: Figures,
    process: &'a Process,
}

/// What the listener itself has to say.
#[derive(Debug, Clone, Copy)]
struct Figures {
    responses: Responses,
    streams: usize,
    crowding: Crowding,
    gauges: Gauges,
}

impl Figures {
    fn present<'a>(self, process: &'a Process, view: &'a dyn View) -> ProcessView<'a> {
        ProcessView { view, figures: self, process }
    }
}

/// How often there was no room for all who wanted to look, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Crowding {
    /// Connections that were closed for others.
    evicted: u64,
    /// Clients that were refused as they came: their address had its share, or the last connections are
    /// kept for the health check.
    refused: u64,
    /// Times that clients had to wait outside.
    pauses: u64,
}

impl View for ProcessView<'_> {
    fn status(&self) -> Status {
        self.view.status()
    }

    fn readiness(&self) -> Result<(), NotReady> {
        self.view.readiness()
    }

    fn metrics(&self, out: &mut Exposition) {
        out.gauge("loteria_build_info", "The central's version; always 1.").labelled(
            "version",
            env!("CARGO_PKG_VERSION"),
            true,
        );
        out.gauge("loteria_ready", "Whether the central takes bets.")
            .value(self.readiness().is_ok());
        self.view.metrics(out);
        self.write_listener(out);
        self.process.write(out);
    }
}

impl ProcessView<'_> {
    fn write_listener(&self, out: &mut Exposition) {
        let Figures { responses, streams, crowding, gauges } = self.figures;
        let Responses { answered, refused, failed } = responses;
        out.counter("loteria_admin_requests_total", "Responses of this listener, by kind of code.")
            .labelled("code", "2xx", answered)
            .labelled("code", "4xx", refused)
            .labelled("code", "5xx", failed);
        out.gauge("loteria_admin_streams", "Pages that are kept up to date.").value(streams);
        let Gauges { connections_limit, buffered_bytes, buffered_bytes_limit, .. } = gauges;
        out.gauge("loteria_admin_connections_limit", "Connections that this listener may have.")
            .value(connections_limit);
        out.gauge("loteria_admin_buffered_bytes", "Bytes in buffers of this listener.")
            .value(buffered_bytes);
        out.gauge("loteria_admin_buffered_bytes_limit", "Bytes that these buffers may have.")
            .value(buffered_bytes_limit);
        let Crowding { evicted, refused, pauses } = crowding;
        for (name, help, value) in [
            (
                "loteria_admin_evictions_total",
                "Connections of this listener that were closed for others.",
                evicted,
            ),
            (
                "loteria_admin_connections_refused_total",
                "Clients of this listener that were refused as they came.",
                refused,
            ),
            (
                "loteria_admin_accept_pauses_total",
                "Times that clients of this listener had to wait outside.",
                pauses,
            ),
        ] {
            out.counter(name, help).value(value);
        }
    }
}

/// Who makes TLS for a connection.
pub(crate) type MakeLayer<'a> = &'a dyn Fn() -> Result<Box<dyn Layer>, LayerError>;

/// All connections of the admin listener.
#[derive(Debug)]
pub struct AdminService {
    listener: ListenerId,
    /// Whether connections are to begin with TLS.
    is_tls: bool,
    shared: Shared,
    process: Process,
    /// By the slots of their ids.
    connections: Vec<Option<Connection>>,
    /// Go on in the next turn: others have taken what this one had for them.
    deferred: Vec<ConnectionId>,
    /// Go on behind those: they have been sent much.
    paused: Vec<ConnectionId>,
    /// Bytes of bodies that were made in this turn.
    body_bytes_made: usize,
    /// Slot of the stream that is first the next time.
    first_stream: usize,
    /// Whether its timers are set.
    is_ticking: bool,
    crowding: Crowding,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    /// TLS is still to begin.
    awaits_tls: bool,
    /// It is the health check's, which has no certificate to check the central's by: it may do without TLS.
    is_probe: bool,
    session: Session,
}

impl AdminService {
    /// Serves the connections of this listener, with HTTPS if `is_tls`.
    pub fn new(listener: ListenerId, is_tls: bool, shared: Shared) -> Self {
        Self {
            listener,
            is_tls,
            shared,
            process: Process::this(),
            connections: Vec::new(),
            deferred: Vec::new(),
            paused: Vec::new(),
            body_bytes_made: 0,
            first_stream: 0,
            is_ticking: false,
            crowding: Crowding::default(),
        }
    }

    pub(crate) fn listener(&self) -> ListenerId {
        self.listener
    }

    /// What time it is.
    pub(crate) fn set_time(&mut self, time: SystemTime) {
        self.shared.set_time(time);
    }

    fn figures(&self, cx: &impl Context) -> Figures {
        Figures {
            responses: self.shared.responses,
            streams: self.shared.streams(),
            crowding: self.crowding,
            gauges: cx.gauges(self.listener),
        }
    }

    /// Counts what any client of the listener can bring about at will: metrics say how often.
    pub(crate) fn on_listener_event(&mut self, event: &ListenerEvent) {
        match event {
            ListenerEvent::Paused { .. } => self.crowding.pauses += 1,
            ListenerEvent::Refused { .. } => self.crowding.refused += 1,
            _ => {}
        }
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

    pub(crate) fn on_open(&mut self, cx: &mut impl Context, id: ConnectionId, is_probe: bool) {
        if self.connections.len() <= id.slot() {
            self.connections.resize_with(id.slot() + 1, || None);
        }
        let session = Session::new(&self.shared);
        let connection = Connection { id, awaits_tls: self.is_tls, is_probe, session };
        self.connections[id.slot()] = Some(connection);
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
        let figures = self.figures(cx);
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::as_mut) else {
            return input.len();
        };
        if connection.awaits_tls && connection.is_probe && input.first() != Some(&HANDSHAKE) {
            connection.awaits_tls = false;
            connection.session = Session::for_health(&self.shared);
        }
        if connection.awaits_tls {
            return self.begin_tls(cx, id, input, make_layer);
        }
        if self.body_bytes_made >= MADE_MAX {
            cx.pause_reading(id);
            self.deferred.push(id);
            return 0;
        }
        let mut out = Vec::new();
        let view = figures.present(&self.process, view);
        let progress = connection.session.on_data(input, &mut self.shared, &view, &mut out);
        self.proceed(cx, id, &out, progress)
    }

    pub(crate) fn on_eof(
        &mut self,
        cx: &mut impl Context,
        id: ConnectionId,
        rest: &[u8],
        view: &dyn View,
    ) {
        let figures = self.figures(cx);
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::as_mut) else {
            return;
        };
        if connection.awaits_tls {
            return cx.close(id);
        }
        let mut out = Vec::new();
        let view = figures.present(&self.process, view);
        let progress = connection.session.on_eof(rest, &mut self.shared, &view, &mut out);
        self.proceed(cx, id, &out, progress);
    }

    fn proceed(
        &mut self,
        cx: &mut impl Context,
        id: ConnectionId,
        out: &[u8],
        Progress { consumed, next, deadline, made }: Progress,
    ) -> usize {
        self.body_bytes_made += made;
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
        if !std::mem::replace(&mut self.is_ticking, true) {
            cx.set_timer(TICK, Some(INTERVAL));
            cx.set_timer(KEEP_ALIVE, Some(KEEP_ALIVE_INTERVAL));
        }
    }

    fn is_crowded(&self, cx: &impl Context) -> bool {
        let gauges = cx.gauges(self.listener);
        gauges.connections > gauges.connections_limit / 2
    }

    fn arm(&self, cx: &mut impl Context, id: ConnectionId, deadline: Deadline) {
        let AdminLimits { request_timeout, idle_timeout, .. } = self.shared.limits;
        let after = match deadline {
            Deadline::Unchanged => return,
            Deadline::Request if self.is_crowded(cx) => Some(request_timeout.min(CROWDED_TIMEOUT)),
            Deadline::Request => Some(request_timeout),
            Deadline::Idle => Some(idle_timeout),
            Deadline::Never => None,
        };
        cx.set_deadline(id, after);
    }

    pub(crate) fn on_deadline(&mut self, cx: &mut impl Context, id: ConnectionId) {
        // It is the central that waits.
        if self.deferred.contains(&id) {
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
            self.is_ticking = false;
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
        let (mut out, mut left) = (Vec::new(), EVENTS_MAX);
        let count = self.connections.len();
        let first = self.first_stream;
        for slot in (0..count).map(|step| (first + step) % count) {
            let Some(connection) = &mut self.connections[slot] else { continue };
            if !connection.session.is_stream() {
                continue;
            }
            let has_left = left > 0 && cx.unsent(connection.id) == 0;
            out.clear();
            write(&mut connection.session, &mut self.shared, has_left, &mut out);
            if !out.is_empty() {
                cx.send(connection.id, &out);
                left = left.saturating_sub(out.len());
                self.first_stream = slot + 1;
            }
        }
    }

    pub(crate) fn on_close(&mut self, id: ConnectionId, reason: &CloseReason) {
        self.crowding.evicted += u64::from(matches!(reason, CloseReason::Evicted { .. }));
        let Some(connection) = self.connections.get_mut(id.slot()).and_then(Option::take) else {
            return;
        };
        connection.session.on_close(&mut self.shared);
        self.deferred.retain(|deferred| *deferred != id);
        self.paused.retain(|paused| *paused != id);
    }

    /// The turn's output is about to leave: what waited goes on in the next one.
    pub(crate) fn before_flush(&mut self, cx: &mut impl Context) {
        self.body_bytes_made = 0;
        for id in self.deferred.drain(..).chain(self.paused.drain(..)) {
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
        let response = self.shared.dated(Response::text(StatusCode::BadRequest));
        cx.send_with(id, |out| {
            response.write(Method::Get, AfterResponse::Close, PLAINTEXT_REFUSAL, out);
        });
        self.shared.responses.refused += 1;
        cx.close(id);
    }
}
