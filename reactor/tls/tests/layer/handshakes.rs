//! From the first byte to the last of the handshake.

use reactor::Layer as _;
use rustls::AlertDescription;
use tls::TlsError;

use crate::credentials::Credentials;
use crate::memory::assert_holds;
use crate::pair::{self, Pair};

/// A hello of TLS 1.2, without the extension that offers 1.3.
pub(crate) fn hello_of_tls_1_2() -> Vec<u8> {
    let extensions: &[&[u8]] = &[
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23],     // groups: X25519, P-256
        &[0, 11, 0, 2, 1, 0],                   // uncompressed points
        &[0, 13, 0, 8, 0, 6, 8, 7, 4, 3, 8, 4], // signatures: Ed25519, ECDSA, RSA-PSS
    ];
    let extensions = extensions.concat();
    let body = [
        &[3, 3][..],
        &[7; 32],                        // random
        &[0],                            // no session
        &[0, 4, 0xc0, 0x2b, 0xc0, 0x2f], // ECDHE with AES-128-GCM
        &[1, 0],                         // no compression
        &length(extensions.len()),
        &extensions,
    ]
    .concat();
    let message = [&[1, 0][..], &length(body.len()), &body].concat();
    [&[22, 3, 1][..], &length(message.len()), &message].concat()
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

/// The only bytes that a side which has failed still says.
fn alert(description: AlertDescription) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description.into()]
}

#[test]
fn both_know_each_other_when_it_is_complete() {
    let credentials = Credentials::new();
    let mut pair = Pair::new(&credentials.server(), &credentials.client());
    assert_eq!(pair.client.send(b"early"), 0);
    let hello = pair.client.write();
    assert_eq!(hello[0], tls::HANDSHAKE);
    pair.server.receive(&hello);
    assert_eq!(pair.server.send(b"early"), 0, "not before it knows the client");
    assert!(pair.server.layer.peer_certificates().is_empty());
    pair.run();
    assert_eq!(pair.server.layer.peer_certificates(), credentials.agency.chain);
    assert_eq!(pair.client.layer.peer_certificates().len(), 1);
    assert_eq!((pair.server.layer.unsent(), pair.client.layer.unsent()), (0, 0));
}

/// Who the peer is is known when all of the handshake holds, and not before.
#[test]
fn nobody_is_known_before_the_last_byte() {
    let credentials = Credentials::new();
    // The last message is longer than a record.
    let config = credentials.client_with(|config| config.max_fragment_size = Some(32));
    let mut pair = Pair::new(&credentials.server(), &config);
    pair.server.receive(&pair.client.write());
    pair.client.receive(&pair.server.write());
    let flight = pair.client.write();
    for (index, byte) in flight.iter().enumerate() {
        assert!(pair.server.layer.peer_certificates().is_empty(), "byte {index}");
        pair.server.receive(&[*byte]);
    }
    assert_eq!(pair.server.layer.peer_certificates(), credentials.agency.chain);
}

/// It waits, holds no more than has come, and the end of the bytes is an error.
#[test]
fn half_a_hello() {
    let credentials = Credentials::new();
    let hello = pair::client(&credentials.client()).write();
    for cut in 0..hello.len() {
        let mut server = pair::server(&credentials.server());
        let before = server.layer.held();
        server.receive(&hello[..cut]);
        assert_eq!(server.layer.unsent(), 0);
        assert_holds(&server.layer, before, cut);
        assert!(server.layer.is_handshaking());
        server.finish();
        assert!(matches!(server.failure, Some(TlsError::EndedInHandshake)), "cut at {cut}");
    }
}

/// The end of the bytes in each part of the handshake, for both sides.
#[test]
fn the_bytes_end_in_the_handshake() {
    let credentials = Credentials::new();
    let mut pair = Pair::new(&credentials.server(), &credentials.client());
    pair.server.receive(&pair.client.write());
    let flight = pair.server.write();
    pair.server.finish();
    assert!(matches!(pair.server.failure, Some(TlsError::EndedInHandshake)));
    pair.client.receive(&flight[..flight.len() - 1]);
    pair.client.finish();
    assert!(matches!(pair.client.failure, Some(TlsError::EndedInHandshake)));
}

#[test]
fn a_client_of_tls_1_2_is_refused_with_an_alert() {
    let credentials = Credentials::new();
    let mut server = pair::server(&credentials.server());
    server.receive(&hello_of_tls_1_2());
    assert_eq!(server.write(), alert(AlertDescription::ProtocolVersion));
    let said = server.failure.unwrap().to_string();
    assert_eq!(said, "the peer speaks no TLS 1.3");
}

/// Every byte but those that TLS may begin with is another protocol.
#[test]
fn what_is_not_tls_is_told_apart_by_its_first_byte() {
    let credentials = Credentials::new();
    for first in 0..=u8::MAX {
        let mut server = pair::server(&credentials.server());
        server.receive(&[first]);
        let is_tls = matches!(first, 0x15 | 0x16);
        match &server.failure {
            None => assert!(is_tls, "{first:#x}"),
            Some(TlsError::NotTls { said }) => assert_eq!((said, is_tls), (&vec![first], false)),
            Some(other) => panic!("{first:#x}: {other}"),
        }
        assert_eq!(server.layer.unsent(), 0, "it would not be understood");
    }
}

#[test]
fn a_client_hears_what_a_server_without_tls_says() {
    let credentials = Credentials::new();
    let mut client = pair::client(&credentials.client());
    let hello = client.write();
    assert!(!hello.is_empty());
    client.receive(format!("error: this port takes no TLS\n{}", "x".repeat(100)).as_bytes());
    let Some(TlsError::NotTls { said }) = &client.failure else { panic!("{:?}", client.failure) };
    assert!(said.starts_with(b"error: this port takes no TLS\n") && said.len() == 64);
    assert_eq!(client.write(), b"");
}

/// Something that begins like TLS, and isn't.
#[test]
fn nonsense_is_refused() {
    let credentials = Credentials::new();
    for wire in [
        &[22; 5][..],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0, 4, 1, 0, 0, 0],
        &[22, 3, 1, 0, 4, 14, 0, 0, 0],
        &[22, 3, 1, 0x7f, 0xff],
        &[21, 3, 1, 0, 2, 2, 80],
        &[21, 3, 1, 0, 1, 2],
        &[22, 9, 9, 0, 1, 1],
        b"\x16GET / HTTP/1.1\r\n",
    ] {
        let mut server = pair::server(&credentials.server());
        server.receive(wire);
        let failure = server.failure.as_ref().map(ToString::to_string);
        assert!(failure.is_some(), "{wire:?}");
        let said = server.write();
        assert!(said.is_empty() || (said.len() == 7 && said[0] == 21), "{wire:?}: {said:?}");
    }
}

/// Each side, before it knows the other.
#[test]
fn a_side_that_closes_in_the_handshake() {
    let credentials = Credentials::new();
    // A server that hasn't answered: to the client it looks as if it was cut off.
    let mut pair = Pair::new(&credentials.server(), &credentials.client());
    pair.server.close();
    let said = pair.server.write();
    assert_eq!(said, [21, 3, 3, 0, 2, 1, 0]);
    pair.client.receive(&said);
    pair.client.finish();
    assert!(matches!(pair.client.failure, Some(TlsError::EndedInHandshake)));
    // One that has: the client knows it already, and it has ended in order.
    let mut pair = Pair::new(&credentials.server(), &credentials.client());
    pair.server.receive(&pair.client.write());
    pair.server.close();
    pair.client.receive(&pair.server.write());
    assert!(pair.client.failure.is_none());
    assert!(!pair.client.layer.is_handshaking() && pair.client.layer.has_peer_ended());
    // A client.
    let mut pair = Pair::new(&credentials.server(), &credentials.client());
    let hello = pair.client.write();
    pair.client.close();
    pair.server.receive(&[hello, pair.client.write()].concat());
    assert!(matches!(pair.server.failure, Some(TlsError::EndedInHandshake)));
}

#[test]
fn a_client_learns_why_it_is_refused() {
    let credentials = Credentials::new();
    let mut pair = Pair::new(&credentials.server(), &credentials.anonymous_client());
    pair.run();
    assert!(matches!(pair.server.failure, Some(TlsError::NoCertificate)));
    let Some(TlsError::Alert(alert)) = pair.client.failure else { panic!("it isn't told") };
    assert_eq!(alert, AlertDescription::CertificateRequired);
    assert_eq!(pair.server.received, b"");
}
