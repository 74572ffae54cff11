//! Drives a client over real connections.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use etcd::{Action, Client, Completion, Config, ConnectionNumber, Event, Request, Ticket};
use kit::process::TIMEOUT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A client and its connections.
pub(crate) struct Driver {
    pub(crate) client: Client,
    addresses: Vec<SocketAddr>,
    streams: BTreeMap<ConnectionNumber, Stream>,
    events: VecDeque<Event>,
    tickets: u64,
}

struct Stream {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What an action asks for, without the client's borrow.
enum Step {
    Connect(ConnectionNumber, usize),
    Sent,
    Close(ConnectionNumber),
}

/// A configuration for members at these addresses.
pub(crate) fn config(addresses: &[SocketAddr]) -> Config {
    Config::new(addresses.iter().map(ToString::to_string).collect())
}

impl Driver {
    pub(crate) fn new(addresses: &[SocketAddr], config: Config) -> Self {
        let client = Client::new(config).expect("a configuration");
        let (streams, events) = (BTreeMap::new(), VecDeque::new());
        Self { client, addresses: addresses.to_vec(), streams, events, tickets: 0 }
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
        let ready = self.ready(wait + Duration::from_micros(1));
        for number in ready {
            self.serve(number);
            self.act();
        }
        self.client.on_time(Instant::now());
        self.act();
    }

    fn ready(&self, wait: Duration) -> Vec<ConnectionNumber> {
        let interest = |stream: &Stream| {
            if stream.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
        };
        let polled = self.streams.values().map(|one| PollFd::new(&one.socket, interest(one)));
        let mut polled: Vec<_> = polled.collect();
        poll(&mut polled, Some(&Timespec::try_from(wait).expect("short"))).expect("a poll");
        let pairs = self.streams.keys().zip(&polled);
        pairs
            .filter(|(_, polled)| !polled.revents().is_empty())
            .map(|(number, _)| *number)
            .collect()
    }

    fn serve(&mut self, number: ConnectionNumber) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let mut buffer = [0; 16 * 1024];
        let read = stream.flush().and_then(|()| stream.socket.read(&mut buffer));
        match read {
            Ok(count) if count > 0 => {
                stream.input.extend_from_slice(&buffer[..count]);
                let used = self.client.on_data(number, &stream.input, Instant::now());
                stream.input.drain(..used);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => {
                self.streams.remove(&number);
                self.client.on_closed(number, Instant::now());
            }
        }
    }

    /// Does what the client asks for.
    fn act(&mut self) {
        while let Some(step) = self.next_step() {
            match step {
                Step::Connect(number, endpoint) => self.connect(number, endpoint),
                Step::Close(number) => drop(self.streams.remove(&number)),
                Step::Sent => {}
            }
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn next_step(&mut self) -> Option<Step> {
        Some(match self.client.poll_action()? {
            Action::Connect { connection, endpoint } => Step::Connect(connection, endpoint),
            Action::Close { connection } => Step::Close(connection),
            Action::Send { connection, head, body } => {
                if let Some(stream) = self.streams.get_mut(&connection) {
                    stream.output.extend_from_slice(head);
                    stream.output.extend_from_slice(body);
                    // What isn't written now, or fails, comes up when it is polled.
                    let _ = stream.flush();
                }
                Step::Sent
            }
        })
    }

    fn connect(&mut self, number: ConnectionNumber, endpoint: usize) {
        match TcpStream::connect(self.addresses[endpoint]) {
            Ok(socket) => {
                socket.set_nonblocking(true).expect("a socket");
                socket.set_nodelay(true).expect("a socket");
                self.streams
                    .insert(number, Stream { socket, input: Vec::new(), output: Vec::new() });
                self.client.on_connected(number, Instant::now());
            }
            Err(_) => self.client.on_closed(number, Instant::now()),
        }
    }
}

impl Stream {
    fn flush(&mut self) -> std::io::Result<()> {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
