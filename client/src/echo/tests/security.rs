//! Messages over TLS.

use super::*;
use crate::test_world::{CertificateFolder, PAST, span};
use pki::testing::{CrlOptions, LeafOptions};

fn echoing_over_tls(certificates: &CertificateFolder, loop_amount: u32) -> World<EchoLoop> {
    let mut echo = echoing(loop_amount, 0).into_handler().secured(Some(certificates.load()));
    echo.number = 0;
    let mut world = World::new(echo);
    world.take_timer(EXPIRY);
    world.speak_tls(certificates.server(&LeafOptions::server()));
    world
}

#[test]
fn each_message_has_a_handshake_of_its_own() {
    let certificates = CertificateFolder::new();
    let mut world = echoing_over_tls(&certificates, 2);
    for number in 1..=2 {
        assert_eq!(world.deadline(world.id()), Some(TIMEOUT));
        world.open();
        assert_eq!(world.sent(), message(number).as_bytes());
        world.receive(message(number).as_bytes());
        assert!(world.ids().is_empty(), "closed after its answer");
        if number < 2 {
            assert_eq!(world.fire(), PERIOD);
        }
    }
    assert_eq!(world.handshakes(), 2);
    assert_eq!(world.into_handler().close(), End::Complete);
}

#[test]
fn a_handshake_that_comes_to_nothing_is_tried_again() {
    let certificates = CertificateFolder::new();
    let mut world = echoing_over_tls(&certificates, 1);
    let failures: [fn(&mut World<EchoLoop>); 2] = [World::expire, World::end];
    for failure in failures {
        world.speak_no_tls();
        world.open();
        assert!(world.sent().starts_with(b"\x16\x03"));
        failure(&mut world);
        world.fire();
    }
    world.speak_tls(certificates.server(&LeafOptions::server()));
    world.open();
    assert_eq!(world.sent(), message(1).as_bytes(), "still the first message");
}

#[test]
fn a_certificate_that_is_not_trusted_ends_it_at_once() {
    let good = LeafOptions::server();
    let bad = LeafOptions { validity: span(PAST), ..good.clone() };
    let expired = LeafOptions { validity: span(PAST), ..LeafOptions::agency(7) };
    for (central, agency) in [(bad, LeafOptions::agency(7)), (good, expired)] {
        let certificates = CertificateFolder::new();
        certificates.write_agency(&certificates.ca.issue(&agency));
        let mut world = echoing_over_tls(&certificates, 2);
        world.speak_tls(certificates.server(&central));
        world.open();
        assert!(world.is_stopping() && world.timers().is_empty());
        assert_eq!(world.into_handler().close(), End::Failed);
    }
}

/// There is no other connection for the same message.
#[test]
fn a_reload_that_revokes_the_central_ends_it_while_an_answer_is_awaited() {
    let certificates = CertificateFolder::new();
    let serial = pki::Serial::from_bytes(&[0x4d, 0x2a]);
    let central = LeafOptions { serial: serial.clone(), ..LeafOptions::server() };
    let mut world = echoing_over_tls(&certificates, 2);
    world.speak_tls(certificates.server(&central));
    world.open();
    let revoked = serial.into_iter().collect();
    certificates.write_list(&CrlOptions { number: 2, revoked, ..CrlOptions::default() });
    world.signal(Signal::Hangup);
    assert!(world.is_stopping());
    assert_eq!(world.into_handler().close(), End::Failed);
}
