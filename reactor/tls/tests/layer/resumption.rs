//! No session is resumed, and nothing is replayed: each connection is checked anew.

use pki::testing::CrlOptions;
use reactor::Layer as _;
use rustls::client::Resumption;
use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use tls::TlsError;

use crate::credentials::{Credentials, server_name};
use crate::end::End;
use crate::pair;

/// A client as rustls has it, at the layer's server.
fn connect(server: &mut End, client: &mut ClientConnection) -> Result<usize, TlsError> {
    let mut bytes_after_handshake = 0;
    loop {
        let mut up = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        if up.is_empty() {
            return Ok(bytes_after_handshake);
        }
        server.receive(&up);
        if let Some(failure) = server.failure.take() {
            return Err(failure);
        }
        let down = server.write();
        bytes_after_handshake += if client.is_handshaking() { 0 } else { down.len() };
        let mut down = &down[..];
        while !down.is_empty() {
            client.read_tls(&mut down).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

/// A client that would resume a session, and would send data before the server has answered.
#[test]
fn no_ticket_is_sent_and_every_handshake_is_a_full_one() {
    let credentials = Credentials::new();
    let (server, client) = (
        credentials.server(),
        credentials.client_with(|config| {
            config.resumption = Resumption::in_memory_sessions(16);
            config.enable_early_data = true;
        }),
    );
    for _ in 0..3 {
        let mut server = pair::server(&server);
        let mut client = ClientConnection::new(client.clone(), server_name()).unwrap();
        assert!(client.early_data().is_none(), "it has no session");
        let bytes_after_handshake = connect(&mut server, &mut client).unwrap();
        assert_eq!((client.tls13_tickets_received(), bytes_after_handshake), (0, 0));
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(server.layer.peer_certificates(), credentials.agency.chain);
    }
}

/// A server that isn't ours has given it a session.
#[test]
fn a_session_of_elsewhere_is_no_use() {
    let credentials = Credentials::new();
    let client = credentials.client_with(|config| {
        config.resumption = Resumption::in_memory_sessions(16);
    });
    let mut elsewhere = rustls::ServerConfig::clone(&credentials.server());
    elsewhere.send_tls13_tickets = 4;
    elsewhere.session_storage = rustls::server::ServerSessionMemoryCache::new(16);
    let mut issuing = ServerConnection::new(elsewhere.into()).unwrap();
    let mut first = ClientConnection::new(client.clone(), server_name()).unwrap();
    while first.wants_write() || issuing.wants_write() {
        pass(&mut first, &mut issuing);
        pass(&mut issuing, &mut first);
    }
    assert_eq!(first.tls13_tickets_received(), 4);

    let mut server = pair::server(&credentials.server());
    let mut second = ClientConnection::new(client, server_name()).unwrap();
    connect(&mut server, &mut second).unwrap();
    assert_eq!(second.handshake_kind(), Some(HandshakeKind::Full));
}

fn pass<S, T>(
    from: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<S>>,
    to: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<T>>,
) {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut wire = &wire[..];
    while !wire.is_empty() {
        to.read_tls(&mut wire).unwrap();
        to.process_new_packets().unwrap();
    }
}

#[test]
fn a_certificate_that_was_revoked_meanwhile_is_refused() {
    let mut credentials = Credentials::new();
    let client = credentials.client_with(|config| {
        config.resumption = Resumption::in_memory_sessions(16);
    });
    credentials.revoke(&CrlOptions::default());
    let good = credentials.server();
    let mut first = ClientConnection::new(client.clone(), server_name()).unwrap();
    connect(&mut pair::server(&good), &mut first).unwrap();
    let revoked = vec![credentials.agency.serial.clone()];
    credentials.revoke(&CrlOptions { number: 2, revoked, ..CrlOptions::default() });
    let mut second = ClientConnection::new(client, server_name()).unwrap();
    let failure = connect(&mut pair::server(&credentials.server()), &mut second).unwrap_err();
    assert!(
        matches!(failure, TlsError::Certificate(rustls::CertificateError::Revoked)),
        "{failure}"
    );
}

/// All that a client has sent is sent again by who has listened.
#[test]
fn a_recorded_client_is_nobody() {
    let credentials = Credentials::new();
    let (config, mut client) = (credentials.server(), pair::client(&credentials.client()));
    let mut server = pair::server(&config);
    let mut recorded = client.write();
    server.receive(&recorded);
    client.receive(&server.write());
    assert_eq!(client.send(b"money"), 5);
    let rest = client.write();
    server.receive(&rest);
    assert_eq!(server.received, b"money");
    recorded.extend(rest);

    for piece in [recorded.len(), 100] {
        let mut replayed = pair::server(&config);
        for wire in recorded.chunks(piece) {
            if replayed.failure.is_none() {
                replayed.receive(wire);
            }
        }
        assert_eq!(replayed.received, b"");
        let failure = replayed.failure.unwrap();
        assert!(matches!(failure, TlsError::Protocol(rustls::Error::DecryptError)), "{failure}");
    }
}
