//! What happens on one connection of the admin listener.
//!
//! Bytes come in, responses and events go out; the caller owns socket and clock. Requests are answered
//! in their order, and one after the other has its response whole in the output.
//!
//! ```text
//!            GET /events
//!   Open ──────────────────> Stream ──the peer ends its side──> Closing
//!      │                                                           ^
//!      ├──a request that is none, or is too late                   │
//!      ├──the last request of a connection, HTTP/1.0               │
//!      └──the peer ends its side───────────────────────────────────┘
//! ```
//!
//! From `Stream` and `Closing` on, whatever the peer sends is thrown away.

use http1::{
    AfterResponse, Excerpt, Method, Request, RequestDecoder, RequestError, Response, StatusCode,
    begins_with_head,
};

use crate::events::{KEEP_ALIVE, RETRY};
use crate::limits::{OUTPUT_MAX, REQUESTS_MAX, RESPONSES_MAX};
use crate::routes::{Answer, EVENTS_TYPE, Resource};
use crate::shared::Shared;
use crate::view::View;

/// One connection. Kept small: most of the time it waits.
///
/// 1. [`on_data`](Self::on_data) with what has arrived, and [`on_eof`](Self::on_eof) when no more will;
/// 2. [`on_deadline`](Self::on_deadline) when the [`Deadline`] that they returned has passed;
/// 3. [`on_tick`](Self::on_tick) and [`on_keep_alive`](Self::on_keep_alive) once it is a stream;
/// 4. [`on_close`](Self::on_close) once, whatever closed it.
#[derive(Debug)]
pub struct Session {
    decoder: RequestDecoder,
    requests: u16,
    /// The beginning of a head has come, and the deadline of its rest is armed.
    is_partial: bool,
    /// It is answered how the process is, and nothing else.
    is_for_health: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Stream {
        /// An event was left out because earlier ones hadn't left.
        needs_full: bool,
    },
    Closing,
}

/// How far a session is after input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// How many bytes of the input are done with. The rest comes again at the next call, with what has
    /// arrived meanwhile behind it.
    pub consumed: usize,
    /// What to do with the connection.
    pub next: Next,
    /// Until when that may take.
    pub deadline: Deadline,
    /// Bytes of bodies that were made for it, those that HEAD leaves out among them: about what it has
    /// cost.
    pub made: usize,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Call again when more has arrived.
    Continue,
    /// The rest of the input holds more requests than are answered at once: read nothing more, and call
    /// again with the rest once the output has left.
    AwaitOutput,
    /// Close it when the output has left.
    Close,
    /// It is a stream of events from now on.
    Stream,
}

/// Which deadline a connection has after input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The one that it had.
    Unchanged,
    /// [`AdminLimits::request_timeout`](crate::limits::AdminLimits::request_timeout) from now on.
    Request,
    /// [`AdminLimits::idle_timeout`](crate::limits::AdminLimits::idle_timeout) from now on.
    Idle,
    /// None: what is sent has the caller's own.
    Never,
}

impl Session {
    /// A connection that was just accepted. It has [`Deadline::Idle`].
    pub fn new(shared: &Shared) -> Self {
        let decoder = RequestDecoder::new(shared.limits.max_head_bytes);
        Self { decoder, requests: 0, is_partial: false, is_for_health: false, state: State::Open }
    }

    /// The same for a health check that comes without the TLS that others need: it is answered `/healthz`
    /// and `/readyz`.
    pub fn for_health(shared: &Shared) -> Self {
        Self { is_for_health: true, ..Self::new(shared) }
    }

    /// Whether it is a stream of events.
    pub fn is_stream(&self) -> bool {
        matches!(self.state, State::Stream { .. })
    }

    /// Answers the requests in `input`, which is everything that wasn't consumed so far, the oldest
    /// byte first. Appends to `out` at most [`RESPONSES_MAX`] responses, and none once their bodies have
    /// [`OUTPUT_MAX`] bytes; those that HEAD leaves out count too, because they were made.
    ///
    /// Leaves less than
    /// [`AdminLimits::max_head_bytes`](crate::limits::AdminLimits::max_head_bytes) of the input, unless
    /// it returns [`Next::AwaitOutput`].
    pub fn on_data(
        &mut self,
        input: &[u8],
        shared: &mut Shared,
        view: &dyn View,
        out: &mut Vec<u8>,
    ) -> Progress {
        let (mut consumed, mut responses, mut made) = (0, 0, 0);
        while self.state == State::Open && consumed < input.len() {
            if responses == RESPONSES_MAX || made >= OUTPUT_MAX {
                self.is_partial = false;
                let (next, deadline) = (Next::AwaitOutput, Deadline::Never);
                return Progress { consumed, next, deadline, made };
            }
            let rest = &input[consumed..];
            match self.decoder.decode(rest) {
                Ok(None) => break,
                Ok(Some(decoded)) => {
                    consumed += decoded.used;
                    made += self.respond(&decoded.request, shared, view, out);
                }
                Err(error) => self.refuse(&error, rest, shared, out),
            }
            responses += 1;
        }
        Progress { made, ..self.progress(input.len(), consumed, responses > 0) }
    }

    fn progress(&mut self, arrived: usize, consumed: usize, has_responded: bool) -> Progress {
        let next = match self.state {
            State::Open => Next::Continue,
            State::Stream { .. } => Next::Stream,
            State::Closing => Next::Close,
        };
        if next != Next::Continue {
            return Progress { consumed: arrived, next, deadline: Deadline::Never, made: 0 };
        }
        let was_partial = std::mem::replace(&mut self.is_partial, consumed < arrived);
        let deadline = match (self.is_partial, was_partial) {
            (true, true) if !has_responded => Deadline::Unchanged,
            (true, _) => Deadline::Request,
            (false, _) if has_responded => Deadline::Idle,
            (false, _) => Deadline::Unchanged,
        };
        Progress { consumed, next, deadline, made: 0 }
    }

    /// The peer sends nothing more; `rest` is the input that was never consumed. Answers what is whole
    /// of it, as far as [`on_data`](Self::on_data) does at once; then the connection closes, a stream
    /// too.
    pub fn on_eof(
        &mut self,
        rest: &[u8],
        shared: &mut Shared,
        view: &dyn View,
        out: &mut Vec<u8>,
    ) -> Progress {
        let Progress { made, .. } = self.on_data(rest, shared, view, out);
        self.close(shared);
        Progress { made, ..self.progress(rest.len(), rest.len(), false) }
    }

    /// The deadline has passed: the connection closes when the output has left. A request that isn't
    /// whole is told so.
    pub fn on_deadline(&mut self, shared: &mut Shared, out: &mut Vec<u8>) {
        if self.state == State::Open && self.is_partial {
            let text = "expected a whole request in time, found only its beginning";
            let answer = Answer::text(StatusCode::RequestTimeout, text);
            write(&answer, Method::Get, AfterResponse::Close, shared, out);
        }
        self.close(shared);
    }

    /// Sends a stream the event of a [tick](crate::events::Events::tick), or all that it has missed.
    /// `has_left` says whether everything that it was sent before has left: if not, it gets nothing now
    /// and all of it later. Nothing happens to what is no stream.
    pub fn on_tick(
        &mut self,
        event: Option<&[u8]>,
        has_left: bool,
        shared: &mut Shared,
        view: &dyn View,
        out: &mut Vec<u8>,
    ) {
        let State::Stream { needs_full } = &mut self.state else { return };
        if !has_left {
            *needs_full |= event.is_some();
        } else if std::mem::take(needs_full) {
            out.extend_from_slice(&shared.events.full(|| view.status()));
        } else if let Some(event) = event {
            out.extend_from_slice(event);
        }
    }

    /// Sends a stream an event without news, to be called every
    /// [`KEEP_ALIVE_INTERVAL`](crate::events::KEEP_ALIVE_INTERVAL); `has_left` as in
    /// [`on_tick`](Self::on_tick).
    pub fn on_keep_alive(&self, has_left: bool, out: &mut Vec<u8>) {
        if self.is_stream() && has_left {
            out.extend_from_slice(KEEP_ALIVE);
        }
    }

    /// The connection is closed.
    pub fn on_close(mut self, shared: &mut Shared) {
        self.close(shared);
    }

    fn close(&mut self, shared: &mut Shared) {
        if self.is_stream() {
            shared.close_stream();
        }
        self.state = State::Closing;
    }

    /// Returns the bytes of the body, whether or not the method leaves it out.
    fn respond(
        &mut self,
        request: &Request<'_>,
        shared: &mut Shared,
        view: &dyn View,
        out: &mut Vec<u8>,
    ) -> usize {
        self.requests += 1;
        let method = request.method;
        let found = find(request, shared).and_then(|resource| self.admit(resource));
        let resource = match found {
            Ok(Resource::Events) if method == Method::Head || shared.may_stream() => {
                return self.stream(method, shared, view, out);
            }
            resource => resource,
        };
        let after = if request.keeps_alive && self.requests < REQUESTS_MAX {
            AfterResponse::KeepAlive
        } else {
            self.state = State::Closing;
            AfterResponse::Close
        };
        let answer = match resource {
            Ok(resource) => resource.answer(view),
            Err(answer) => answer,
        };
        write(&answer, method, after, shared, out);
        answer.body.len()
    }

    fn admit(&self, resource: Resource) -> Result<Resource, Answer> {
        if !self.is_for_health || matches!(resource, Resource::Health | Resource::Readiness) {
            return Ok(resource);
        }
        let text = "expected HTTPS for all but /healthz and /readyz, found HTTP";
        Err(Answer::text(StatusCode::MisdirectedRequest, text))
    }

    /// Begins a stream, or says only how it would begin.
    fn stream(
        &mut self,
        method: Method,
        shared: &mut Shared,
        view: &dyn View,
        out: &mut Vec<u8>,
    ) -> usize {
        shared.count(StatusCode::Ok);
        shared.dated(Response::new(StatusCode::Ok, EVENTS_TYPE)).write_stream_head(out);
        if method == Method::Head {
            self.state = State::Closing;
            return 0;
        }
        self.state = State::Stream { needs_full: false };
        shared.open_stream();
        out.extend_from_slice(RETRY);
        let full = shared.events.full(|| view.status());
        out.extend_from_slice(&full);
        full.len()
    }

    /// Where the next request begins can't be trusted: the connection closes.
    fn refuse(
        &mut self,
        error: &RequestError,
        input: &[u8],
        shared: &mut Shared,
        out: &mut Vec<u8>,
    ) {
        self.state = State::Closing;
        let method = if begins_with_head(input) { Method::Head } else { Method::Get };
        let answer = Answer::text(error.status_code(), &error.to_string());
        write(&answer, method, AfterResponse::Close, shared, out);
    }
}

/// The resource that a request is for, or why it gets none.
fn find(request: &Request<'_>, shared: &Shared) -> Result<Resource, Answer> {
    if !shared.hosts.admit(request.host) {
        let found = Excerpt::new(request.host.unwrap_or_default().as_bytes());
        let text = format!(
            "expected an address, localhost or a name of SERVER_ADMIN_HOSTS as the host, found \"{found}\""
        );
        return Err(Answer::text(StatusCode::MisdirectedRequest, &text));
    }
    Resource::find(request.path, request.query).ok_or_else(|| {
        let found = Excerpt::new(request.path.as_bytes());
        let text = format!(
            "expected /, /metrics, /healthz, /readyz, /status.json or /events, found \"{found}\""
        );
        Answer::text(StatusCode::NotFound, &text)
    })
}

fn write(
    answer: &Answer,
    method: Method,
    after: AfterResponse,
    shared: &mut Shared,
    out: &mut Vec<u8>,
) {
    shared.count(answer.response.status_code());
    shared.dated(answer.response).write(method, after, &answer.body, out);
}
