//! The central's end of a connection: plain, or over TLS.

use std::io::{self, IoSlice};
use std::sync::Arc;

use reactor::Layer as _;
use reactor::testing::Peer;
use rustls::ServerConfig;
use tls::TlsLayer;

/// More than comes out of what is read at once.
const PLAIN_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Central {
    peer: Peer,
    tls: Option<TlsLayer>,
}

impl Central {
    pub(super) fn new(peer: Peer, tls: Option<&Arc<ServerConfig>>) -> Self {
        let tls = tls.map(|config| TlsLayer::server(config).expect("a configuration"));
        Self { peer, tls }
    }

    /// All that has arrived; `None` after its end, and when TLS fails: then it has said so and gone.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut received = Vec::new();
        loop {
            match self.peer.read(usize::MAX)? {
                None if received.is_empty() => return Ok(None),
                Some(wire) if !wire.is_empty() => match self.decode(wire) {
                    Some(plain) => received.extend(plain),
                    None => return Ok(None),
                },
                _ => return Ok(Some(received)),
            }
        }
    }

    fn decode(&mut self, wire: Vec<u8>) -> Option<Vec<u8>> {
        let Some(tls) = &mut self.tls else { return Some(wire) };
        let mut plain = vec![0; PLAIN_MAX];
        let received = tls.receive(&wire, &mut plain);
        self.flush();
        plain.truncate(received.length);
        received.failure.is_none().then_some(plain)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        let wire = self.encode(bytes);
        self.peer.write_all(&wire);
    }

    pub(super) fn send_cut(&mut self, bytes: &[u8], kept: usize) {
        let wire = self.encode(bytes);
        assert!(kept < wire.len(), "all {} bytes", wire.len());
        self.peer.write_all(&wire[..kept]);
        self.shutdown();
    }

    pub(super) fn shutdown(&self) {
        self.peer.shutdown().expect("the connection is open");
    }

    pub(super) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
            self.flush();
        }
        self.shutdown();
    }

    fn encode(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(tls) = &mut self.tls else { return bytes.to_vec() };
        assert_eq!(tls.send(&[IoSlice::new(bytes)]), bytes.len(), "the handshake is complete");
        unsent(tls)
    }

    fn flush(&mut self) {
        let wire = self.tls.as_mut().map(unsent).unwrap_or_default();
        // The agency may be gone.
        let _ = self.peer.write(&wire);
    }
}

fn unsent(tls: &mut TlsLayer) -> Vec<u8> {
    let mut wire = Vec::new();
    while tls.unsent() > 0 {
        tls.write_to(&mut wire).expect("memory");
    }
    wire
}
