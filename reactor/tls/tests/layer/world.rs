//! A server that echoes, a client, and what is between them.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use reactor::testing::{Call, Ending, MemoryLoop, MemoryNetwork, Recorder, Side};
use reactor::{CloseReason, ConnectionId, Context, Handler, Limits};
use rustls::{ClientConfig, ServerConfig};
use tls::{HANDSHAKE, TlsLayer};

use crate::credentials::{Credentials, server_name};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7000);

/// Sends back what comes.
pub(crate) struct Server {
    config: Arc<ServerConfig>,
    secured: bool,
}

impl Handler for Server {
    type Fatal = Infallible;

    fn on_open(&mut self, _: &mut impl Context, _: ConnectionId, _: SocketAddr) {}

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        assert_eq!(cx.peer_certificates(connection).len(), 1);
        self.secured = true;
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        if !self.secured {
            assert_eq!(input[0], HANDSHAKE);
            let layer = TlsLayer::server(&self.config).expect("a configuration");
            cx.start_layer(connection, Box::new(layer));
            return 0;
        }
        cx.send(connection, input);
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, rest: &[u8]) {
        assert_eq!(rest, b"");
        cx.close(connection);
    }

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}
}

/// Sends what it is told, and gathers what comes.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    connection: Option<ConnectionId>,
    received: Vec<u8>,
}

impl Handler for Client {
    type Fatal = Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.connection = Some(cx.connect(ADDRESS));
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        let layer = TlsLayer::client(&self.config, server_name()).expect("a configuration");
        cx.start_layer(connection, Box::new(layer));
    }

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        self.received.extend_from_slice(input);
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _: &[u8]) {
        cx.close(connection);
    }

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}
}

pub(crate) struct World {
    pub(crate) network: MemoryNetwork,
    server: MemoryLoop<Recorder<Server>>,
    client: MemoryLoop<Recorder<Client>>,
}

impl World {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let network = MemoryNetwork::new();
        let server = Server { config: credentials.server(), secured: false };
        let mut server = MemoryLoop::new(&network, Limits::default(), Recorder::new(server));
        server.listen(ADDRESS).expect("nobody else listens");
        let Ok(()) = server.start();
        let config = credentials.client();
        let client = Client { config, connection: None, received: Vec::new() };
        let mut client = MemoryLoop::new(&network, Limits::default(), Recorder::new(client));
        let Ok(()) = client.start();
        // The client's connection is established before it can send.
        let Ok(()) = client.turn();
        Self { network, server, client }
    }

    fn connection(&self) -> ConnectionId {
        self.client.handler.handler.connection.expect("it has started")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let connection = self.connection();
        self.client.context().send(connection, bytes);
    }

    pub(crate) fn close_client(&mut self) {
        let connection = self.connection();
        self.client.context().close(connection);
    }

    /// The client is gone after so many more bytes of what `side` has sent have arrived.
    pub(crate) fn cut_off_client(&mut self, side: Side, kept: usize) {
        let (link, _) = self.client.link(self.connection()).expect("it is connected");
        self.network.truncate_in_flight(link, side, kept);
        let connection = self.connection();
        self.client.context().abort(connection);
    }

    pub(crate) fn turn(&mut self) {
        let Ok(()) = self.client.turn();
        let Ok(()) = self.server.turn();
    }

    pub(crate) fn run(&mut self) {
        while !(self.client.is_quiescent() && self.server.is_quiescent()) {
            self.turn();
        }
    }

    /// The same with bytes that arrive in pieces.
    pub(crate) fn run_cut(&mut self, mut piece: impl FnMut() -> usize) {
        loop {
            self.run();
            let moving = self.network.in_flight();
            if moving.is_empty() {
                return;
            }
            for (link, side) in moving {
                self.network.deliver(link, side, piece());
            }
        }
    }

    pub(crate) fn received(&self) -> &[u8] {
        &self.client.handler.handler.received
    }

    pub(crate) fn server_handshakes(&self) -> usize {
        let calls = &self.server.handler.calls;
        calls.iter().filter(|call| matches!(call, Call::Handshake(_))).count()
    }

    /// The server's, then the client's.
    pub(crate) fn endings(&self) -> Vec<Ending> {
        let calls = self.server.handler.calls.iter().chain(&self.client.handler.calls);
        let ending = |call: &Call| match call {
            Call::Close(_, ending) => Some(*ending),
            _ => None,
        };
        calls.filter_map(ending).collect()
    }
}
