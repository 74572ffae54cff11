//! New keys on the way.

use reactor::Layer as _;
use rustls::{ClientConnection, Error, PeerMisbehaved};
use std::io::{Read as _, Write as _};
use tls::TlsError;

use crate::credentials::{Credentials, server_name};
use crate::end::End;
use crate::forger::{Forger, HANDSHAKE};
use crate::pair;

/// A client as rustls has it, and the layer's server.
struct World {
    server: End,
    client: ClientConnection,
}

impl World {
    fn new() -> Self {
        let credentials = Credentials::new();
        let client = ClientConnection::new(credentials.client(), server_name()).unwrap();
        let mut world = Self { server: pair::server(&credentials.server()), client };
        while world.client.is_handshaking() || world.client.wants_write() {
            world.pass();
        }
        world
    }

    /// Everything arrives, here and there.
    fn pass(&mut self) {
        let mut up = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut up).unwrap();
        }
        if !up.is_empty() {
            self.server.receive(&up);
        }
        let down = self.server.write();
        let mut down = &down[..];
        while !down.is_empty() {
            self.client.read_tls(&mut down).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }

    fn read(&mut self) -> Vec<u8> {
        let mut plain = vec![0; 100];
        let length = self.client.reader().read(&mut plain).unwrap();
        plain.truncate(length);
        plain
    }
}

#[test]
fn both_directions_go_on_with_new_keys() {
    let mut world = World::new();
    for round in 0..100_u8 {
        world.client.refresh_traffic_keys().unwrap();
        world.client.writer().write_all(&[round]).unwrap();
        world.pass();
        assert!(world.server.failure.is_none(), "round {round}: {:?}", world.server.failure);
        assert_eq!(world.server.send(&[round, round]), 2);
        world.pass();
        assert_eq!(world.read(), [round, round]);
    }
    assert_eq!(world.server.received, (0..100).collect::<Vec<u8>>());
}

/// The answer waits until something else is sent: nothing is to be written, and nothing spins.
#[test]
fn an_update_alone_wants_nothing() {
    let mut world = World::new();
    for _ in 0..3 {
        world.client.refresh_traffic_keys().unwrap();
        world.pass();
        assert_eq!(world.server.layer.unsent(), 0);
    }
    assert_eq!(world.server.send(b"1"), 1);
    assert!(world.server.layer.unsent() > 24, "the answer comes before it");
    world.pass();
    assert_eq!(world.read(), b"1");
    // And before the end.
    world.client.refresh_traffic_keys().unwrap();
    world.pass();
    world.server.close();
    world.pass();
    assert_eq!(world.client.reader().read(&mut [0]).unwrap(), 0);
}

#[test]
fn too_many_without_a_byte_between_them() {
    let mut world = World::new();
    for round in 0..32 {
        world.client.refresh_traffic_keys().unwrap();
        world.pass();
        assert!(world.server.failure.is_none(), "round {round}");
    }
    world.client.refresh_traffic_keys().unwrap();
    let mut wire = Vec::new();
    world.client.write_tls(&mut wire).unwrap();
    world.server.receive(&wire);
    let many = Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests);
    assert!(matches!(&world.server.failure, Some(TlsError::Protocol(error)) if *error == many));
}

/// Of an unknown kind, too long, or with something behind it.
#[test]
fn updates_that_are_none() {
    for message in
        [&[24, 0, 0, 1, 2][..], &[24, 0, 0, 0], &[24, 0, 0, 2, 0, 0], &[24, 0, 0, 1, 0, 24]]
    {
        let (mut server, mut forger) = Forger::connect(&Credentials::new());
        server.receive(&forger.record(HANDSHAKE, message));
        assert!(server.failure.is_some(), "{message:?}");
        assert!(!server.write().is_empty());
    }
}
