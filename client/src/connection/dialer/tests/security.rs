//! Connections over TLS: when they are established, and what is said of those that aren't.

use super::*;
use crate::config::TlsConfig;
use crate::test_world::{CertificateFolder, PAST, span};
use pki::testing::{Ca, CaOptions, CrlOptions, LeafOptions};
use reactor::{Handler, Signal};
use rustls::ServerConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tls::timestamp::Clock;

const TIMEOUT: Duration = Duration::from_secs(9);

/// Connects once, and keeps what comes of it.
#[derive(Debug)]
struct Calling {
    dialer: Dialer,
    secured: Vec<Secured>,
    lost: Vec<Lost>,
}

impl Handler for Calling {
    type Fatal = std::convert::Infallible;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.dialer.dial(cx).expect("an address");
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        let is_established = self.dialer.on_open(cx, connection, peer).expect("a layer");
        assert!(!is_established, "before the handshake");
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.secured.extend(self.dialer.on_handshake(cx, connection));
        cx.set_deadline(connection, None);
        cx.send(connection, b"hello");
    }

    fn on_data(&mut self, _: &mut impl Context, _: ConnectionId, input: &[u8]) -> usize {
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _: &[u8]) {
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        self.dialer.on_connect_timeout(cx, connection);
    }

    fn on_close(&mut self, _: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        self.lost.extend(self.dialer.on_close(connection, reason));
    }

    fn on_signal(&mut self, cx: &mut impl Context, _: Signal) {
        self.dialer.reload(cx);
    }
}

/// What happens to a connection.
type Event = fn(&mut World<Calling>);

fn calling_with(certificates: Certificates) -> World<Calling> {
    let dialer =
        Dialer::new(vec!["10.0.0.1:12345".into()], RETRY, TIMEOUT, 7).secured(Some(certificates));
    World::new(Calling { dialer, secured: Vec::new(), lost: Vec::new() })
}

fn calling(certificates: &CertificateFolder) -> World<Calling> {
    calling_with(certificates.load())
}

/// How the one connection was lost: how far it had come, whether it would be the same again, and why.
fn lost(world: &mut World<Calling>, certificates: &CertificateFolder) -> (Reached, bool, String) {
    let [Lost { reached, reason, is_final }] = &world.handler().lost[..] else {
        panic!("once: {:?}", world.handler().lost)
    };
    (*reached, *is_final, certificates.bare(reason))
}

#[test]
fn a_connection_is_established_when_its_handshake_is_complete() {
    let certificates = CertificateFolder::new();
    let mut world = calling(&certificates);
    world.open();
    assert_eq!(world.handler().dialer.state_name(), "securing");
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT), "that of the connection");
    let mut world = calling(&certificates);
    let serial = pki::Serial::from_bytes(&[0x4d, 0x2a]);
    world.speak_tls(certificates.server(&LeafOptions { serial, ..LeafOptions::server() }));
    world.open();
    assert_eq!(world.handler().dialer.state_name(), "open");
    assert_eq!(world.sent(), b"hello");
    let [Secured { peer, identity: Some(identity) }] = &world.handler().secured[..] else {
        panic!("once")
    };
    assert_eq!(peer.to_string(), "10.0.0.1:12345");
    let line = Line::new("connect", InProgress).with_all(identity).to_string();
    assert!(
        line.starts_with("action: connect | result: in_progress | serial: 4d2a | expires: 20"),
        "{line}"
    );
}

/// Calls such a central; the agency is otherwise configured so. It must be the end; returns why.
fn refusal(
    certificates: &CertificateFolder,
    central: Arc<ServerConfig>,
    configure: impl FnOnce(&mut TlsConfig),
) -> String {
    let mut config = certificates.config("localhost");
    configure(&mut config);
    let mut world = calling_with(Certificates::load(&config, Clock::system()).expect("good files"));
    world.speak_tls(central);
    world.open();
    let (_, is_final, text) = lost(&mut world, certificates);
    assert!(is_final, "{text}");
    text
}

fn other_authority() -> Ca {
    Ca::new(&CaOptions { name: "other CA".into(), ..CaOptions::default() })
}

/// A central that isn't trusted, each for another reason: it is told why, and so is the agency's
/// operator, with what to look at.
#[test]
fn a_central_that_is_not_trusted_is_called_once() {
    let certificates = CertificateFolder::new();
    certificates.write_authority("other.pem", &other_authority());
    let revoked = pki::Serial::from_bytes(&[0x4d, 0x2a]);
    let list =
        CrlOptions { revoked: revoked.clone().into_iter().collect(), ..CrlOptions::default() };
    certificates.write_list(&list);
    let good = LeafOptions::server();
    let clock =
        "; look at the clock of this machine, and at the central's certificate (SERVER_TLS_CERT)";
    for (central, reason, remedy) in [
        (
            certificates.server(&LeafOptions {
                dns: vec!["central.example".into()],
                addresses: vec![[10, 0, 0, 1].into()],
                ..good.clone()
            }),
            "it is for central.example, 10.0.0.1, and not for localhost",
            "; set CLI_TLS_SERVER_NAME to one of its names, if it is the right central (without it the \
             host of CLI_SERVER_ADDRESS counts)",
        ),
        (
            certificates.server(&LeafOptions { validity: span(PAST), ..good.clone() }),
            "it expired at ",
            clock,
        ),
        (
            certificates.server(&LeafOptions { validity: span(1..2), ..good.clone() }),
            "it is valid from ",
            clock,
        ),
        (
            certificates.server(&LeafOptions { serial: revoked, ..good.clone() }),
            "it is revoked",
            "; CLI_TLS_CRL is crl.pem: if that is the newest list, the central needs another certificate",
        ),
        (
            certificates.impostor(),
            "it is for another purpose: a client's isn't a server's",
            "; look at the central's certificate (SERVER_TLS_CERT)",
        ),
    ] {
        let text = refusal(&certificates, central, |_| {});
        let start = format!("the central's certificate isn't trusted: {reason}");
        assert!(text.starts_with(&start) && text.ends_with(remedy), "{text}");
    }
    let text = refusal(&certificates, certificates.server(&good), |config| {
        config.options.servers.authorities = certificates.path("other.pem");
        config.options.servers.revocations = None;
    });
    assert_eq!(
        text,
        "the central's certificate isn't trusted: it is of another certificate authority; CLI_TLS_CA is \
         other.pem: it must hold the certificate of the authority that the central's is of"
    );
}

/// A certificate that is good for one address isn't for another.
#[test]
fn each_of_several_centrals_must_be_who_its_own_address_says() {
    let certificates = CertificateFolder::new();
    for (index, expected) in [(0, None), (1, Some("and not for central.example"))] {
        let mut config = certificates.config("localhost");
        config.names.push(tls::Name::parse("central.example").unwrap());
        let certificates_in_force =
            Certificates::load(&config, Clock::system()).expect("good files");
        let addresses = ["10.0.0.1:12345", "10.0.0.2:12345"].map(str::to_owned);
        let dialer = Dialer::new(addresses.into(), RETRY, TIMEOUT, 7);
        let mut dialer = dialer.secured(Some(certificates_in_force));
        for _ in 0..index {
            dialer.centrals.advance();
        }
        let mut world = World::new(Calling { dialer, secured: Vec::new(), lost: Vec::new() });
        world.speak_tls(certificates.server(&LeafOptions::server()));
        world.open();
        match expected {
            None => assert_eq!(world.handler().secured.len(), 1),
            Some(expected) => {
                let (_, is_final, text) = lost(&mut world, &certificates);
                assert!(is_final && text.contains(expected), "{text}");
            }
        }
    }
}

/// Nobody says any more whether the central's certificate is revoked.
#[test]
fn a_list_that_expires_meanwhile_is_final_too() {
    let certificates = CertificateFolder::new();
    certificates.write_list(&CrlOptions { validity: span(-1..1), ..CrlOptions::default() });
    let ahead = Arc::new(AtomicU64::new(0));
    let hours = Arc::clone(&ahead);
    let now = move || SystemTime::now() + Duration::from_hours(hours.load(Ordering::Relaxed));
    let config = certificates.config("localhost");
    let loaded = Certificates::load(&config, Clock::new(now)).expect("good files");
    let mut world = calling_with(loaded);
    world.speak_tls(certificates.server(&LeafOptions::server()));
    ahead.store(2, Ordering::Relaxed);
    world.open();
    let (reached, is_final, text) = lost(&mut world, &certificates);
    assert_eq!((reached, is_final), (Reached::Peer, true), "{text}");
    assert!(text.contains("the revocation list that would say whether it is revoked expired at "));
    let remedy = "; CLI_TLS_CRL is crl.pem: get the operator's newest list";
    assert!(text.ends_with(remedy), "{text}");
}

/// The agency's own certificate isn't good: of that it learns only when it takes the connection for
/// established.
#[test]
fn an_agency_that_is_not_trusted_learns_why_after_its_handshake() {
    let certificates = CertificateFolder::new();
    certificates.write_authority("other.pem", &other_authority());
    let revoked = vec![certificates.agency.serial.clone()];
    certificates.write_list(&CrlOptions { revoked, ..CrlOptions::default() });
    let good = LeafOptions::server();
    let serial = certificates.agency.serial.to_string();
    let own = format!("; CLI_TLS_CERT is agency-7.pem, with serial {serial}, valid from 20");
    for (central, reason) in [
        (
            certificates.server_with(&good, "other.pem", None),
            "the certificate that it was shown is of a certificate authority that it doesn't trust (TLS \
             alert UnknownCA)",
        ),
        (
            certificates.server_with(&good, "ca.pem", Some("crl.pem")),
            "the certificate that it was shown is revoked (TLS alert CertificateRevoked)",
        ),
    ] {
        let text =
            refusal(&certificates, central, |config| config.options.servers.revocations = None);
        let start = format!("the central refuses: {reason}{own}");
        assert!(text.starts_with(&start), "{text}");
    }
    let text =
        refusal(&certificates, certificates.server(&good), |config| config.options.own = None);
    assert_eq!(
        text,
        "the central refuses: it requires a certificate, and was shown none (TLS alert \
         CertificateRequired); set CLI_TLS_CERT and CLI_TLS_KEY to this agency's certificate and its key"
    );
    certificates.write_agency(
        &certificates.ca.issue(&LeafOptions { validity: span(PAST), ..LeafOptions::agency(7) }),
    );
    let mut world = calling(&certificates);
    world.speak_tls(certificates.server(&good));
    world.open();
    let (reached, is_final, text) = lost(&mut world, &certificates);
    assert_eq!((reached, is_final), (Reached::Central, true), "it had sent its first request");
    assert!(text.contains("has expired, or isn't valid yet, by its clock"), "{text}");
}

#[test]
fn what_answers_in_plaintext_is_final() {
    let certificates = CertificateFolder::new();
    for (said, expected) in [
        (
            &b"error: this central takes no TLS (SERVER_TLS=off)\n"[..],
            "10.0.0.1:12345: the central answers in plaintext; does it take TLS (SERVER_TLS)? It says: \
             error: this central takes no TLS (SERVER_TLS=off)",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            "10.0.0.1:12345: another service, not a central of the lottery, answers there (it looks like \
             HTTP): check CLI_SERVER_ADDRESS (server.address); it says: HTTP/1.1 400 Bad Request\\r\\n",
        ),
    ] {
        let mut world = calling(&certificates);
        world.open();
        world.receive(said);
        assert_eq!(lost(&mut world, &certificates), (Reached::Peer, true, expected.to_owned()));
    }
}

/// What may pass: the next attempt may meet a central that is up again.
#[test]
fn a_handshake_that_comes_to_nothing_is_tried_again() {
    let certificates = CertificateFolder::new();
    let events: [(Event, &str); 6] = [
        (World::end, "the central ended the connection during the TLS handshake"),
        (
            World::reset,
            "reset by the peer: it ended, or dropped the connection (during the TLS handshake)",
        ),
        (World::expire, "no TLS handshake within 9s"),
        // A fatal alert: internal_error, protocol_version.
        (
            |world| world.receive(b"\x15\x03\x03\x00\x02\x02\x50"),
            "the central refuses: it failed by itself (TLS alert InternalError)",
        ),
        (
            |world| world.receive(b"\x15\x03\x03\x00\x02\x02\x46"),
            "the central refuses: it speaks no TLS 1.3 (TLS alert ProtocolVersion)",
        ),
        // A record of 2 bytes of which one comes.
        (
            |world| {
                world.receive(b"\x15\x03\x03\x00\x02\x02");
                world.end();
            },
            "the central ended the connection during the TLS handshake",
        ),
    ];
    for (event, expected) in events {
        let mut world = calling(&certificates);
        world.open();
        assert!(!world.sent().is_empty(), "the client begins");
        event(&mut world);
        assert_eq!(lost(&mut world, &certificates), (Reached::Peer, false, expected.to_owned()));
    }
}

#[test]
fn an_established_connection_that_is_cut_is_lost() {
    let certificates = CertificateFolder::new();
    let events: [(Event, &str); 4] = [
        (World::end, "closed by the peer"),
        (World::cut, "closed by the peer"),
        (
            |world| world.receive_cut(b"welcome", 10),
            "the connection ended in the middle of a TLS record, after 10 bytes of it",
        ),
        (World::reset, "reset by the peer: it ended, or dropped the connection"),
    ];
    for (event, expected) in events {
        let mut world = calling(&certificates);
        world.speak_tls(certificates.server(&LeafOptions::server()));
        world.open();
        event(&mut world);
        assert_eq!(lost(&mut world, &certificates), (Reached::Central, false, expected.to_owned()));
    }
}

#[test]
fn a_reload_ends_a_handshake_that_began_before_it() {
    let certificates = CertificateFolder::new();
    let mut world = calling(&certificates);
    world.open();
    world.signal(Signal::Hangup);
    let reason = "its TLS handshake had begun with what was read before".to_owned();
    assert_eq!(lost(&mut world, &certificates), (Reached::Peer, false, reason));
    let mut world = calling(&certificates);
    world.open();
    certificates.write("ca.pem", "");
    world.signal(Signal::Hangup);
    assert!(world.handler().lost.is_empty(), "what was read before is still in force");
}

#[test]
fn a_reload_ends_a_connection_to_a_central_that_is_revoked_now_and_no_other() {
    let certificates = CertificateFolder::new();
    let serial = pki::Serial::from_bytes(&[0x4d, 0x2a]);
    let central = LeafOptions { serial: serial.clone(), ..LeafOptions::server() };
    let mut world = calling(&certificates);
    world.speak_tls(certificates.server(&central));
    world.open();
    world.signal(Signal::Hangup);
    world.pass(Duration::from_secs(1));
    assert!(world.handler().lost.is_empty(), "nothing has changed");
    let list =
        CrlOptions { number: 2, revoked: serial.into_iter().collect(), ..CrlOptions::default() };
    certificates.write_list(&list);
    world.signal(Signal::Hangup);
    let reason = "the central's certificate is revoked".to_owned();
    assert_eq!(lost(&mut world, &certificates), (Reached::Central, false, reason));
}

/// The old list, key and authority stay in force.
#[test]
fn a_reload_of_bad_files_changes_nothing() {
    let certificates = CertificateFolder::new();
    let newer = CrlOptions { number: 2, ..CrlOptions::default() };
    certificates.write_list(&newer);
    let mut world = calling(&certificates);
    world.speak_tls(certificates.server(&LeafOptions::server()));
    let other = certificates.ca.issue(&LeafOptions::agency(7));
    let spoil: [(&str, &str); 4] = [
        ("agency-7.key", &other.key_pem),
        ("agency-7.pem", "no certificate"),
        ("ca.pem", ""),
        ("crl.pem", &certificates.ca.crl(&CrlOptions::default()).pem),
    ];
    for (name, content) in spoil {
        let good = std::fs::read_to_string(certificates.path(name)).expect("text");
        certificates.write(name, content);
        world.signal(Signal::Hangup);
        world.pass(Duration::from_secs(1));
        certificates.write(name, &good);
    }
    world.open();
    assert_eq!(world.handler().secured.len(), 1);
    assert!(world.handler().lost.is_empty());
}
