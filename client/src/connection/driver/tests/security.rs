//! Sessions over TLS, whole and broken.

use super::*;
use crate::connection::certificates::EXPIRY;
use crate::test_world::{CertificateFolder, PAST, span};
use pki::testing::{CrlOptions, LeafOptions};
use reactor::Signal;
use tls::expiry::WARNING_INTERVAL;

/// An agency that calls `localhost`, and a central that requires its certificate.
fn driving_over_tls(certificates: &CertificateFolder) -> Driving {
    let driver = driving().into_handler().secured(Some(certificates.load()));
    let mut world = World::new(driver);
    assert_eq!(world.take_timer(EXPIRY), Some(WARNING_INTERVAL));
    world.speak_tls(certificates.server(&LeafOptions::server()));
    world
}

#[test]
fn a_whole_session_is_the_same_over_tls() {
    let certificates = CertificateFolder::new();
    let mut world = driving_over_tls(&certificates);
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT), "of the handshake too");
    world.open();
    assert_eq!(requests(&mut world), ["hello 7"]);
    world.receive(&welcome(0));
    world.receive(&[stored(2), stored(4), stored(5)].concat());
    assert_eq!(requests(&mut world), ["batch 0+2", "batch 2+2", "batch 4+1", "end 5"]);
    world.receive(&bytes(&Response::Finished { stored: 5, rejected: 0 }));
    assert_eq!(requests(&mut world), ["winners?"]);
    assert_eq!(world.deadline(world.id()), None, "the draw may take for ever");
    world.receive(&[winners(false), winners(true)].concat());
    assert!(world.is_stopping());
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn the_session_begins_when_the_handshake_is_complete() {
    let certificates = CertificateFolder::new();
    let driver = driving().into_handler().secured(Some(certificates.load()));
    let mut world = World::new(driver);
    world.open();
    assert!(world.sent().starts_with(b"\x16\x03"), "nothing but the handshake");
    assert_eq!(world.handler().session.stage(), "introducing");
    assert!(!world.handler().dialer.is_connected());
    assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
    world.take_timer(EXPIRY);
    world.expire();
    redial(&mut world);
    assert!(world.sent().starts_with(b"\x16\x03"), "another attempt");
}

/// Wherever the stream ends, it is taken up on another connection.
#[test]
fn a_stream_that_ends_early_is_taken_up_where_the_central_stands() {
    let half = || stored(2)[..3].to_vec();
    let ends: [fn(&mut Driving, &[u8]); 5] = [
        // With close_notify, between frames and in the middle of one.
        |world, _| world.end(),
        |world, half| {
            world.receive(half);
            world.end();
        },
        // Without, between records and in the middle of one.
        |world, _| world.cut(),
        |world, half| {
            world.receive(half);
            world.cut();
        },
        |world, half| world.receive_cut(half, 7),
    ];
    for end in ends {
        let certificates = CertificateFolder::new();
        let mut world = driving_over_tls(&certificates);
        world.open();
        world.receive(&welcome(0));
        end(&mut world, &half());
        redial(&mut world);
        assert_eq!(requests(&mut world), ["hello 7"]);
        world.receive(&welcome(4));
        assert_eq!(requests(&mut world), ["batch 4+1"]);
    }
}

/// Of a central that isn't trusted, and of one that doesn't trust the agency: the latter is known only
/// after HELLO was sent.
#[test]
fn a_certificate_that_is_not_trusted_ends_it_at_once() {
    let good = LeafOptions::server();
    let bad = LeafOptions { validity: span(PAST), ..good.clone() };
    let expired = LeafOptions { validity: span(PAST), ..LeafOptions::agency(7) };
    for (central, agency, is_established) in
        [(bad, LeafOptions::agency(7), false), (good, expired, true)]
    {
        let certificates = CertificateFolder::new();
        certificates.write_agency(&certificates.ca.issue(&agency));
        let mut world = driving_over_tls(&certificates);
        world.speak_tls(certificates.server(&central));
        world.open();
        assert!(world.is_stopping() && world.timers().is_empty() && world.ids().is_empty());
        assert_eq!(world.handshakes(), usize::from(is_established));
        assert_eq!(world.into_handler().close(), End::Failed);
    }
}

#[test]
fn a_central_in_plaintext_ends_it_at_once() {
    let certificates = CertificateFolder::new();
    let driver = driving().into_handler().secured(Some(certificates.load()));
    let mut world = World::new(driver);
    world.take_timer(EXPIRY);
    world.open();
    world.receive(b"error: this central takes no TLS (SERVER_TLS=off)\n");
    assert!(world.is_stopping() && world.timers().is_empty());
    assert_eq!(world.into_handler().close(), End::Failed);
}

#[test]
fn a_refusal_for_want_of_trust_is_final() {
    for code in [
        ErrorCode::CertificateRequired,
        ErrorCode::CertificateRevoked,
        ErrorCode::WrongAgency,
        ErrorCode::WrongAddress,
        ErrorCode::WrongDraw,
    ] {
        let certificates = CertificateFolder::new();
        let mut world = driving_over_tls(&certificates);
        world.open();
        world.receive(&error(code));
        assert!(world.is_stopping() && world.timers().is_empty(), "{code:?}");
        assert_eq!(world.into_handler().close(), End::Failed);
    }
}

/// The central has got another certificate because its old one was revoked: the agency, which is told
/// of both, goes on.
#[test]
fn a_reload_leaves_a_revoked_central_for_its_successor() {
    let certificates = CertificateFolder::new();
    let serial = pki::Serial::from_bytes(&[0x4d, 0x2a]);
    let central = LeafOptions { serial: serial.clone(), ..LeafOptions::server() };
    let mut world = driving_over_tls(&certificates);
    world.speak_tls(certificates.server(&central));
    world.open();
    world.receive(&welcome(0));
    let revoked = serial.into_iter().collect();
    certificates.write_list(&CrlOptions { number: 2, revoked, ..CrlOptions::default() });
    world.signal(Signal::Hangup);
    assert!(world.ids().is_empty() && !world.is_stopping());
    assert_eq!(
        world.take_timer(EXPIRY),
        Some(WARNING_INTERVAL),
        "what was read may end another day"
    );
    world.speak_tls(certificates.server(&LeafOptions::server()));
    redial(&mut world);
    assert_eq!(requests(&mut world), ["hello 7"]);
    world.speak_tls(certificates.server(&central));
    world.reset();
    redial(&mut world);
    assert!(world.is_stopping(), "the one that is revoked isn't called again");
    assert_eq!(world.into_handler().close(), End::Failed);
}

#[test]
fn what_ends_soon_is_looked_for_every_day_and_never_without_tls() {
    assert!(driving().timers().is_empty());
    let certificates = CertificateFolder::new();
    let driver = driving().into_handler().secured(Some(certificates.load()));
    let mut world = World::new(driver);
    world.speak_tls(certificates.server(&LeafOptions::server()));
    world.open();
    let finished = bytes(&Response::Finished { stored: 5, rejected: 0 });
    world.receive(&[welcome(BETS), finished].concat());
    for _ in 0..3 {
        assert_eq!(
            world.timers(),
            [(EXPIRY, WARNING_INTERVAL)].into(),
            "while it waits for the draw"
        );
        world.pass(WARNING_INTERVAL);
    }
}

#[test]
fn a_handshake_that_comes_to_nothing_is_followed_by_the_next_address() {
    let certificates = CertificateFolder::new();
    let mut driver = driving().into_handler();
    let dialer = Dialer::new(vec!["central:12345".into()], config(0).retry, TIMEOUT, 1);
    driver.dialer = dialer
        .secured(Some(certificates.load()))
        .resolving(|_| Ok(vec![([10, 0, 0, 1], 12345).into(), ([10, 0, 0, 2], 12345).into()]));
    let mut world = World::new(driver);
    world.resolve();
    world.open();
    world.end();
    assert_eq!(world.address(world.id()), "10.0.0.2:12345", "without a pause");
    world.speak_tls(certificates.server(&LeafOptions::server()));
    world.open();
    assert_eq!(requests(&mut world), ["hello 7"]);
}
