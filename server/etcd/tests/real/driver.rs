//! Drives a client over real connections.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd::{Action, Client, Completion, Config, ConnectionNumber, Event, Request, Ticket};
use kit::process::TIMEOUT;
use kit::sockets::{Served, Sockets};

/// A client and its connections.
pub(crate) struct Driver {
    pub(crate) client: Client,
    addresses: Vec<SocketAddr>,
    sockets: Sockets,
    events: VecDeque<Event>,
    tickets: u64,
}

/// A configuration for members at these addresses.
pub(crate) fn config(addresses: &[SocketAddr]) -> Config {
    Config::new(addresses.iter().map(ToString::to_string).collect())
}

impl Driver {
    pub(crate) fn new(addresses: &[SocketAddr], config: Config) -> Self {
        let client = Client::new(config).expect("a configuration");
        let (sockets, events) = (Sockets::default(), VecDeque::new());
        Self { client, addresses: addresses.to_vec(), sockets, events, tickets: 0 }
    }

    /// Asks for something; how it ended.
    pub(crate) fn call(&mut self, request: Request<'_>) -> Completion {
        let ticket = self.submit(request);
        self.wait(|event| match event {
            Event::Completed { ticket: found, completion, .. } if *found == ticket => {
                Some(completion.clone())
            }
            _ => None,
        })
    }

    pub(crate) fn submit(&mut self, request: Request<'_>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.client.submit(&request, ticket, Instant::now()).expect("room");
        ticket
    }

    /// Goes on until an event comes to something; events before it are dropped.
    pub(crate) fn wait<T>(&mut self, mut found: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            self.act();
            while let Some(event) = self.events.pop_front() {
                if let Some(found) = found(&event) {
                    return found;
                }
            }
            assert!(Instant::now() < deadline, "it doesn't come: {:?}", self.client);
            self.turn();
        }
    }

    /// Waits once for whatever is ready, and passes it on.
    fn turn(&mut self) {
        let now = Instant::now();
        let wait =
            self.client.next_deadline().map_or(TIMEOUT, |at| at.saturating_duration_since(now));
        for number in self.sockets.wait(wait + Duration::from_micros(1)) {
            self.serve(number);
            self.act();
        }
        self.client.on_time(Instant::now());
        self.act();
    }

    fn serve(&mut self, number: u64) {
        let (connection, now) = (ConnectionNumber(number), Instant::now());
        match self.sockets.serve(number) {
            Served::Read => {
                let client = &mut self.client;
                self.sockets.consume(number, |input| client.on_data(connection, input, now));
            }
            Served::Ended => self.client.on_closed(connection, now),
            Served::Nothing => {}
        }
    }

    /// Does what the client asks for.
    fn act(&mut self) {
        while let Some(action) = self.client.poll_action() {
            match action {
                Action::Connect { connection, endpoint } => {
                    if self.sockets.connect(connection.0, self.addresses[endpoint]) {
                        self.client.on_connected(connection, Instant::now());
                    } else {
                        self.client.on_closed(connection, Instant::now());
                    }
                }
                Action::Close { connection } => self.sockets.close(connection.0),
                Action::Send { connection, head, body } => {
                    self.sockets.send(connection.0, [head, body]);
                }
            }
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }
}
