//! The state machine: what is asked of etcd, and what comes of it.
//!
//! The driver of a [`Client`]
//!
//! 1. brings input: [`submit`](Client::submit), [`cancel`](Client::cancel), [`watch`](Client::watch);
//!    [`on_connected`](Client::on_connected), [`on_data`](Client::on_data),
//!    [`on_closed`](Client::on_closed); [`on_time`](Client::on_time), no later than shortly after
//!    [`next_deadline`](Client::next_deadline);
//! 2. and after each of them takes what came of it, all of it: [`poll_action`](Client::poll_action),
//!    [`poll_event`](Client::poll_event). Then both queues hold only what one input can cause.
//!
//! A request of which nothing is known after a try (time-out, connection lost, no leader) is sent again,
//! its body byte for byte the same, on a new connection to the next member that may respond, until it is
//! completed or cancelled. A transaction that is then refused is sent again too, for an earlier try may be
//! done yet. So it must be one that does no harm when it is done twice, or late: its comparisons see to
//! that.

pub mod actions;
pub(crate) mod completion;
pub mod connections;
pub mod counters;
pub(crate) mod dispatch;
pub mod events;
pub(crate) mod heads;
pub mod members;
pub mod requests;
pub(crate) mod token;
pub(crate) mod watch_state;
pub(crate) mod watching;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use self::actions::{Action, ConnectionNumber, Queued};
use self::connections::{Connections, End, Stage, Work};
use self::counters::Counters;
use self::events::Event;
use self::heads::{Heads, Resource};
use self::members::Members;
use self::requests::{Requests, SubmitError, Ticket};
use self::token::Token;
use self::watch_state::Watching;
use crate::config::{Config, ConfigError};
use crate::outcome::Kind;
use crate::request::{Request, write_authenticate};

/// A client of one cluster.
pub struct Client {
    config: Config,
    members: Members,
    /// Of each member.
    heads: Vec<Heads>,
    connections: Connections,
    requests: Requests,
    token: Token,
    /// Counts the tokens, from 1 on.
    token_number: u64,
    /// The body that asks for one; empty without credentials.
    authenticate: Vec<u8>,
    watching: Watching,
    /// The cluster of the first response.
    cluster_id: Option<u64>,
    raft_term: u64,
    is_stopped: bool,
    /// When something that waits can go on, if nothing else happens.
    wakes_at: Option<Instant>,
    actions: VecDeque<Queued>,
    events: VecDeque<Event>,
    counters: Counters,
    /// The head that was polled last.
    head: Vec<u8>,
}

impl Client {
    /// A client that has asked nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        check(&config)?;
        let heads =
            config.endpoints.iter().map(|endpoint| heads(endpoint)).collect::<Result<_, _>>()?;
        let mut authenticate = Vec::new();
        if let Some(credentials) = &config.credentials {
            write_authenticate(&credentials.user, &credentials.password, &mut authenticate);
        }
        let token =
            if config.credentials.is_some() { Token::Missing(None) } else { Token::Unneeded };
        Ok(Self {
            members: Members::new(
                config.endpoints.len(),
                config.first_endpoint,
                config.retry_delay,
            ),
            heads,
            connections: Connections::new(config.max_response_bytes),
            requests: Requests::new(config.max_requests, config.max_request_bytes),
            token,
            token_number: 0,
            authenticate,
            watching: Watching::default(),
            cluster_id: None,
            raft_term: 0,
            is_stopped: false,
            wakes_at: None,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            head: Vec::new(),
            config,
        })
    }

    /// Asks for something. [`Event::Completed`] with this ticket follows, never within this call; no other
    /// open request may have the same ticket.
    ///
    /// # Errors
    /// [`SubmitError`]: it wasn't taken, and nothing follows.
    pub fn submit(
        &mut self,
        request: &Request<'_>,
        ticket: Ticket,
        now: Instant,
    ) -> Result<(), SubmitError> {
        if self.is_stopped {
            return Err(SubmitError::Stopped);
        }
        self.requests.submit(request, ticket)?;
        self.dispatch(now);
        Ok(())
    }

    /// Doesn't try a request again; no event with its ticket follows. What was sent of it may be done,
    /// or be done yet. Ignored when there is no such request.
    pub fn cancel(&mut self, ticket: Ticket, now: Instant) {
        self.events.retain(
            |event| !matches!(event, Event::Completed { ticket: completed, .. } if *completed == ticket),
        );
        let Some(slot) = self.requests.find(ticket) else { return };
        if let Some(number) = self.connections.busy_with(Work::Request(slot))
            && let Some(connection) = self.connections.get_mut(number)
        {
            let sends = self.actions.len();
            self.actions.retain(|action| *action != Queued::Send(number));
            if self.actions.len() < sends {
                // Nothing of it was sent: the next request can be.
                connection.stage = Stage::Idle;
                connection.deadline = None;
            } else {
                connection.stage = Stage::Busy(Work::Cancelled);
            }
        }
        self.requests.remove(slot);
        self.counters.cancelled += 1;
        self.close_useless();
        self.dispatch(now);
    }

    /// A connection is established.
    pub fn on_connected(&mut self, connection: ConnectionNumber, now: Instant) {
        if let Some(found) = self.connections.get_mut(connection)
            && found.stage == Stage::Connecting
        {
            found.stage = Stage::Idle;
            found.deadline = None;
            if found.is_watch {
                self.begin(connection, Work::Watch, now);
            }
            self.close_useless();
            self.dispatch(now);
        }
    }

    /// Bytes have arrived: `input` is everything that wasn't consumed so far, the oldest byte first.
    /// Returns how many are consumed now; at most [`MAX_HEAD`](connections::MAX_HEAD) are left. The rest
    /// comes again when more has arrived behind it.
    pub fn on_data(&mut self, connection: ConnectionNumber, input: &[u8], now: Instant) -> usize {
        let consumed = self.decode(connection, input, now);
        self.dispatch(now);
        consumed
    }

    /// The peer has ended or lost a connection, or it couldn't be established. The driver closes
    /// it; no action does.
    pub fn on_closed(&mut self, connection: ConnectionNumber, now: Instant) {
        self.lose(connection, End::OfConnection, now);
        self.dispatch(now);
    }

    /// It is `now`.
    pub fn on_time(&mut self, now: Instant) {
        while let Some(connection) = self.connections.overdue(now) {
            self.counters.timeouts += 1;
            self.give_up(connection, now);
        }
        self.dispatch(now);
    }

    /// When [`on_time`](Self::on_time) has something to do, if nothing else comes before.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.connections.next_deadline(), self.wakes_at].into_iter().flatten().min()
    }

    /// The next thing to be done with a connection.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        let (connection, work) = loop {
            match self.actions.pop_front()? {
                Queued::Connect { connection, endpoint } => {
                    return Some(Action::Connect { connection, endpoint });
                }
                Queued::Close(connection) => return Some(Action::Close { connection }),
                Queued::Send(connection) => match self.connections.stage(connection) {
                    Some(Stage::Busy(work)) => break (connection, work),
                    Some(Stage::Connecting | Stage::Idle) | None => {}
                },
            }
        };
        let member = self.connections.get(connection)?.member;
        let (resource, body) = match work {
            Work::Request(slot) => {
                let pending = self.requests.get(slot)?;
                (resource_of(pending.kind), &pending.body[..])
            }
            Work::Token => (Resource::Authenticate, &self.authenticate[..]),
            Work::Watch => (Resource::Watch, self.watching.body()),
            Work::Cancelled => return None,
        };
        self.head.clear();
        self.heads[member].write(resource, body.len(), &mut self.head);
        Some(Action::Send { connection, head: &self.head, body })
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many requests are waiting or under way.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// How many bytes their bodies have.
    pub fn request_bytes(&self) -> usize {
        self.requests.bytes()
    }

    /// Index of the endpoint that is asked.
    pub fn current_endpoint(&self) -> usize {
        self.members.current()
    }

    /// Whether that endpoint has failed and not responded since.
    pub fn is_current_suspect(&self) -> bool {
        self.members.is_suspect(self.members.current())
    }

    /// The cluster, once it has responded.
    pub fn cluster_id(&self) -> Option<u64> {
        self.cluster_id
    }
}

fn resource_of(kind: Kind) -> Resource {
    match kind {
        Kind::Txn => Resource::Txn,
        Kind::Range => Resource::Range,
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let count = config.endpoints.len();
    if count == 0 {
        return Err(ConfigError::NoEndpoint);
    }
    if config.first_endpoint >= count {
        return Err(ConfigError::FirstEndpoint { count, found: config.first_endpoint });
    }
    let zeros = [
        ("request_timeout", config.request_timeout.is_zero()),
        ("connect_timeout", config.connect_timeout.is_zero()),
        ("token_timeout", config.token_timeout.is_zero()),
        ("retry_delay", config.retry_delay.is_zero()),
        ("max_requests", config.max_requests == 0),
        ("max_request_bytes", config.max_request_bytes == 0),
        ("max_response_bytes", config.max_response_bytes == 0),
        ("connections_per_member", config.connections_per_member == 0),
    ];
    match zeros.into_iter().find(|(_, is_zero)| *is_zero) {
        Some((name, _)) => Err(ConfigError::Zero { name }),
        None => Ok(()),
    }
}

fn heads(endpoint: &str) -> Result<Heads, ConfigError> {
    Heads::new(endpoint, None).map_err(|source| {
        let endpoint = endpoint.escape_default().to_string();
        ConfigError::Endpoint { endpoint, source }
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("members", &self.members)
            .field("requests", &self.requests.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
