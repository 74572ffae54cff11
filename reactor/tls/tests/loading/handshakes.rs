//! What the loaded configurations accept and refuse.

use std::time::Duration;

use pki::testing::{Ca, CaOptions, CrlOptions, LeafOptions};
use rustls::CertificateError;
use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tls::TlsError;
use tls::certificate::Certificate;

use crate::world::{DAY, Refusal, World, clock_in, handshake, handshake_with, validity};

#[test]
fn both_sides_speak_tls_1_3_and_the_server_knows_the_client() {
    let world = World::with_list(&CrlOptions::default());
    let (server, client) = (world.load_server().unwrap(), world.load_client().unwrap());
    let sides = handshake(&server, &client).unwrap();
    assert_eq!(sides.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = sides.server.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    let shown = sides.server.peer_certificates().unwrap();
    let certificate = Certificate::from_der(&shown[0]).unwrap();
    assert_eq!(certificate.uris(), ["spiffe://loteria/agencia/3"]);
    assert_eq!(certificate.serial().to_string(), world.agency.serial.to_string());
    assert_eq!(client.certificate(), Some(&certificate));
    assert_eq!(server.certificate().subject(), "CN=localhost");
    assert_eq!(server.authorities()[0].subject(), "CN=test CA");
    let [list] = server.revocation_lists() else { panic!("one list") };
    assert_eq!((list.issuer(), list.revoked()), ("CN=test CA", 0));
}

#[test]
fn no_session_is_resumed() {
    let world = World::new();
    let (server, client) = (world.load_server().unwrap(), world.load_client().unwrap());
    for _ in 0..2 {
        let sides = handshake(&server, &client).unwrap();
        assert_eq!(sides.client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(sides.client.tls13_tickets_received(), 0);
    }
    let config = server.config();
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.ticketer.enabled() && !config.session_storage.can_cache());
    assert!(!client.config().enable_early_data && config.alpn_protocols.is_empty());
}

#[test]
fn a_server_is_checked_by_name_or_address() {
    let world = World::new();
    let (server, client) = (world.load_server().unwrap(), world.load_client().unwrap());
    for name in ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "::1", "[::1]"] {
        handshake_with(&server, &client, name).unwrap();
    }
    for name in ["server", "127.0.0.2", "::2"] {
        let error = handshake_with(&server, &client, name).unwrap_err();
        let is_name = matches!(
            &error,
            Refusal::ByClient(InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
        );
        assert!(is_name, "{name}: {error:?}");
    }
}

#[test]
fn an_anonymous_client_is_let_in_if_so_configured() {
    let mut world = World::new();
    world.client.own = None;
    let client = world.load_client().unwrap();
    let refusal = handshake(&world.load_server().unwrap(), &client).unwrap_err();
    assert_eq!(refusal, Refusal::ByServer(NoCertificatesPresented));
    world.server.allow_anonymous = true;
    let sides = handshake(&world.load_server().unwrap(), &client).unwrap();
    assert_eq!(sides.server.peer_certificates(), None);
}

/// Also where a client needn't show any.
#[test]
fn a_client_with_a_bad_certificate_is_refused() {
    let mut world = World::new();
    let other = Ca::new(&CaOptions { name: "other CA".into(), ..CaOptions::default() });
    let hour = Duration::from_hours(1);
    let leaf =
        |from, until| LeafOptions { validity: validity(from, until), ..LeafOptions::agency(3) };
    for (certified, expected) in [
        (other.issue(&LeafOptions::agency(3)), "UnknownIssuer"),
        (Ca::default().issue(&LeafOptions::agency(3)), "BadSignature"),
        (world.ca.issue(&leaf(DAY, Duration::ZERO)), "Expired"),
    ] {
        certified.write(world.folder.path(), "agency");
        let client = world.load_client().unwrap();
        for allow_anonymous in [false, true] {
            world.server.allow_anonymous = allow_anonymous;
            let server = world.load_server_at(clock_in(hour)).unwrap();
            match handshake(&server, &client).unwrap_err() {
                Refusal::ByServer(InvalidCertificate(error)) => {
                    let text = format!("{error:?}");
                    assert!(text.starts_with(expected), "{text}, expected {expected}");
                }
                other => panic!("{other:?}, expected {expected}"),
            }
        }
    }
}

#[test]
fn a_revoked_client_is_refused() {
    let world = World::with_list(&CrlOptions::default());
    let client = world.load_client().unwrap();
    handshake(&world.load_server().unwrap(), &client).unwrap();
    let revoked = vec![world.agency.serial.clone()];
    world.write_list(&CrlOptions { number: 2, revoked, ..CrlOptions::default() });
    let refusal = handshake(&world.load_server().unwrap(), &client).unwrap_err();
    assert_eq!(refusal, Refusal::ByServer(InvalidCertificate(CertificateError::Revoked)));
}

#[test]
fn a_revoked_server_is_refused() {
    let mut world = World::new();
    world.client.servers.revocations = Some(world.path("crl.pem"));
    let server = world.ca.issue(&LeafOptions::server());
    server.write(world.folder.path(), "server");
    world.write_list(&CrlOptions { revoked: vec![server.serial], ..CrlOptions::default() });
    let refusal =
        handshake(&world.load_server().unwrap(), &world.load_client().unwrap()).unwrap_err();
    assert_eq!(refusal, Refusal::ByClient(InvalidCertificate(CertificateError::Revoked)));
}

/// The list was good when it was loaded.
#[test]
fn nobody_is_let_in_by_an_expired_list_unless_so_configured() {
    let list = CrlOptions { validity: validity(DAY, DAY), ..CrlOptions::default() };
    let mut world = World::with_list(&list);
    let client = world.load_client().unwrap();
    let server = world.load_server_at(clock_in(Duration::ZERO)).unwrap();
    handshake(&server, &client).unwrap();
    // Its clock is at another time at each handshake.
    let start = std::time::SystemTime::now();
    let later = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let clock = {
        let later = std::sync::Arc::clone(&later);
        tls::timestamp::Clock::new(move || {
            let seconds = later.load(std::sync::atomic::Ordering::Relaxed);
            start + Duration::from_secs(seconds)
        })
    };
    let server = world.load_server_at(clock.clone()).unwrap();
    later.store(2 * DAY.as_secs(), std::sync::atomic::Ordering::Relaxed);
    let refusal = handshake(&server, &client).unwrap_err();
    let reason = reason_of(refusal);
    assert!(
        reason.contains("the revocation list that would say whether it is revoked"),
        "{reason}"
    );
    world.server.clients.allow_expired_lists = true;
    handshake(&world.load_server_at(clock).unwrap(), &client).unwrap();
}

fn reason_of(refusal: Refusal) -> String {
    let (Refusal::ByServer(error) | Refusal::ByClient(error)) = refusal;
    TlsError::from(error).to_string()
}

/// Anybody can send certificates, and have a way looked for among them, before a key is proved.
#[test]
fn no_more_certificates_are_looked_at_than_anybody_needs() {
    let mut world = World::new();
    let mut authorities = vec![world.ca.intermediate(&CaOptions::default())];
    for number in 1..5 {
        let name = format!("authority {number}");
        let below = authorities[number - 1].intermediate(&CaOptions { name, ..Default::default() });
        authorities.push(below);
    }
    let [.., fourth, fifth] = &authorities[..] else { panic!("five") };
    fourth.issue(&LeafOptions::agency(3)).write(world.folder.path(), "agency");
    handshake(&world.load_server().unwrap(), &world.load_client().unwrap()).unwrap();
    let too_many = "expected at most 4 certificates between it and its authority, found 5";
    let written = fifth.issue(&LeafOptions::server()).write(world.folder.path(), "long");
    world.server.own.certificate = written.0;
    world.server.own.key = written.1;
    let refusal = handshake(&world.load_server().unwrap(), &world.load_client().unwrap());
    let reason = reason_of(refusal.unwrap_err());
    assert_eq!(reason, format!("the peer's certificate isn't trusted: {too_many}"));
    let mut world = World::new();
    let authority = (0..5).fold(None, |above: Option<Ca>, number| {
        let options = CaOptions { name: format!("authority {number}"), ..Default::default() };
        Some(above.as_ref().unwrap_or(&world.ca).intermediate(&options))
    });
    let agency = authority.expect("five").issue(&LeafOptions::agency(3));
    agency.write(world.folder.path(), "agency");
    world.server.clients.revocations = None;
    let refusal = handshake(&world.load_server().unwrap(), &world.load_client().unwrap());
    let reason = reason_of(refusal.unwrap_err());
    assert_eq!(reason, format!("the peer's certificate isn't trusted: {too_many}"));
}

/// Of an intermediate authority there must be a list too.
#[test]
fn a_chain_with_an_intermediate_authority_needs_both_lists() {
    let mut world = World::with_list(&CrlOptions::default());
    let middle = world.ca.intermediate(&CaOptions { name: "middle".into(), ..Default::default() });
    let agency = middle.issue(&LeafOptions::agency(3));
    agency.write(world.folder.path(), "agency");
    let client = world.load_client().unwrap();
    let refusal = handshake(&world.load_server().unwrap(), &client).unwrap_err();
    let reason = reason_of(refusal);
    assert!(reason.contains("no revocation list of its certificate authority"), "{reason}");

    let root = world.ca.crl(&CrlOptions::default()).pem;
    world.write("crl.pem", root.clone() + &middle.crl(&CrlOptions::default()).pem);
    handshake(&world.load_server().unwrap(), &client).unwrap();

    let revoked = vec![agency.serial.clone()];
    let list = middle.crl(&CrlOptions { number: 2, revoked, ..CrlOptions::default() });
    world.write("crl.pem", root + &list.pem);
    let server = world.load_server().unwrap();
    let refusal = handshake(&server, &client).unwrap_err();
    assert_eq!(refusal, Refusal::ByServer(InvalidCertificate(CertificateError::Revoked)));
    world.server.clients.revocations = None;
    handshake(&world.load_server().unwrap(), &client).unwrap();
}
