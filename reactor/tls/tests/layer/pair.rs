//! A server's side and a client's, and the bytes between them.

use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};
use tls::TlsLayer;

use crate::credentials::{Credentials, server_name};
use crate::end::End;

pub(crate) struct Pair {
    pub(crate) server: End,
    pub(crate) client: End,
}

pub(crate) fn server(config: &Arc<ServerConfig>) -> End {
    End::new(TlsLayer::server(config).unwrap())
}

pub(crate) fn client(config: &Arc<ClientConfig>) -> End {
    End::new(TlsLayer::client(config, server_name()).unwrap())
}

impl Pair {
    pub(crate) fn new(
        server_config: &Arc<ServerConfig>,
        client_config: &Arc<ClientConfig>,
    ) -> Self {
        Self { server: server(server_config), client: client(client_config) }
    }

    /// With the handshake behind it.
    pub(crate) fn established(credentials: &Credentials) -> Self {
        let mut pair = Self::new(&credentials.server(), &credentials.client());
        pair.run();
        assert!(!pair.is_handshaking());
        pair
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        use reactor::Layer as _;
        self.server.layer.is_handshaking() || self.client.layer.is_handshaking()
    }

    /// Everything arrives, until nothing more is said, or a side has failed.
    pub(crate) fn run(&mut self) {
        loop {
            let (up, down) = (self.client.write(), self.server.write());
            if up.is_empty() && down.is_empty() {
                return;
            }
            for (to, wire) in [(&mut self.server, up), (&mut self.client, down)] {
                if !wire.is_empty() && to.failure.is_none() {
                    to.receive(&wire);
                }
            }
        }
    }
}
