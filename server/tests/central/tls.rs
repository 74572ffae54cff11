//! TLS on the port: which connections are taken, who they are, and what becomes of revoked ones.

use kit::frames::{batch, bytes, end, hello};
use pki::testing::{Certified, LeafOptions};
use reactor::ConnectionId;
use server::central::Plaintext;
use server::healthcheck::PROBE;
use wire::Request;

use crate::tls_peer::{Authority, TlsPeer};
use crate::world::World;

fn world(authority: &Authority, plaintext: Plaintext) -> World {
    World::new(4).trusting(authority.certificates(plaintext))
}

/// An agency that has introduced itself with a certificate.
fn agency(
    world: &mut World,
    authority: &Authority,
    number: wire::Agency,
    certified: &Certified,
) -> (ConnectionId, TlsPeer) {
    let (id, mut peer) = (world.open(), authority.peer(Some(certified)));
    peer.send(world, id, &hello(number));
    (id, peer)
}

#[test]
fn a_whole_lottery_goes_through_tls() {
    let authority = Authority::new();
    let mut world = World::new(1).trusting(authority.certificates(Plaintext::Refused));
    let own = authority.issue(&LeafOptions::agency(1));
    let (id, mut peer) = agency(&mut world, &authority, 1, &own);
    let requests = [batch(0, &[("1", "7574")]), end(1), bytes(&Request::Winners)].concat();
    peer.send(&mut world, id, &requests);
    let expected = ["welcome 0 rejected 0 Open", "stored 1", "finished 1 0", "winners true 1"];
    assert_eq!(peer.responses(), expected);
}

#[test]
fn echo_needs_no_certificate_and_the_lottery_does() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let (id, mut peer) = (world.open(), authority.peer(None));
    peer.send(&mut world, id, b"hola\n");
    assert_eq!(peer.take_received(), b"hola\n");
    assert!(peer.has_ended(), "the line was the only one");
    let (id, mut peer) = (world.open(), authority.peer(None));
    peer.send(&mut world, id, &hello(1));
    assert_eq!(peer.responses(), ["error CertificateRequired"]);
    assert!(peer.has_ended() && world.is_closed(id));
}

#[test]
fn a_certificate_speaks_for_its_agency_alone() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let third = authority.issue(&LeafOptions::agency(3));
    let fourth = authority.issue(&LeafOptions::agency(4));
    let (_, mut honest) = agency(&mut world, &authority, 4, &fourth);
    assert_eq!(honest.responses(), ["welcome 0 rejected 0 Open"]);
    let (_, mut thief) = agency(&mut world, &authority, 4, &third);
    assert_eq!(thief.responses(), ["error WrongAgency"]);
    assert!(!honest.has_ended(), "it wasn't superseded");
    let two = LeafOptions {
        uris: ["spiffe://loteria/agencia/3", "spiffe://loteria/agencia/4"].map(Into::into).into(),
        ..LeafOptions::agency(3)
    };
    let two = authority.issue(&two);
    for number in [3, 4] {
        let (_, mut peer) = agency(&mut world, &authority, number, &two);
        assert_eq!(peer.responses(), ["error WrongAgency"]);
    }
    let (_, mut again) = agency(&mut world, &authority, 4, &fourth);
    assert_eq!(again.responses(), ["welcome 0 rejected 0 Open"]);
    assert!(!honest.has_ended(), "it hears of it with the next exchange");
}

#[test]
fn plaintext_is_refused_in_words_where_tls_is_required() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let echo = world.open();
    world.send(echo, b"hola\n");
    assert_eq!(
        String::from_utf8(world.take_output(echo)).unwrap(),
        "error: this central takes connections over TLS alone (SERVER_TLS=required)\n"
    );
    let lottery = world.open();
    world.send(lottery, &hello(1));
    assert_eq!(world.responses(lottery), ["error TlsRequired"]);
    assert!(world.is_closed(echo) && world.is_closed(lottery));
}

/// Any program on the central's machine may call from the health check's address.
#[test]
fn the_health_check_has_echo_in_plaintext_and_no_lottery() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let echo = world.open_from(PROBE.into());
    world.send(echo, b"hola\n");
    assert_eq!(world.take_output(echo), b"hola\n");
    let lottery = world.open_from(PROBE.into());
    world.send(lottery, &hello(1));
    assert_eq!(world.responses(lottery), ["error TlsRequired"]);
}

#[test]
fn who_has_shown_a_certificate_is_not_superseded_by_a_claim() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Taken);
    let plain = world.agency(3);
    assert_eq!(world.responses(plain), ["welcome 0 rejected 0 Open"], "nobody has shown one");
    let third = authority.issue(&LeafOptions::agency(3));
    let (id, mut peer) = agency(&mut world, &authority, 3, &third);
    assert_eq!(peer.responses(), ["welcome 0 rejected 0 Open"]);
    assert_eq!(world.responses(plain), ["error Superseded"]);
    let again = world.agency(3);
    assert_eq!(world.responses(again), ["error CertificateRequired"]);
    peer.send(&mut world, id, &batch(0, &[("1", "5")]));
    assert_eq!(peer.responses(), ["stored 1"]);
    let other = world.agency(2);
    assert_eq!(world.responses(other), ["welcome 0 rejected 0 Open"]);
}

#[test]
fn a_connection_ends_when_its_certificate_is_revoked() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let [third, fourth] = [3, 4].map(|number| authority.issue(&LeafOptions::agency(number)));
    let (third_id, mut revoked) = agency(&mut world, &authority, 3, &third);
    let (fourth_id, mut other) = agency(&mut world, &authority, 4, &fourth);
    let authority = authority.revoking(&[&third]);
    world.reload();
    revoked.exchange(&mut world, third_id);
    assert_eq!(revoked.responses(), ["welcome 0 rejected 0 Open", "error CertificateRevoked"]);
    assert!(revoked.has_ended());
    other.send(&mut world, fourth_id, &batch(0, &[("1", "5")]));
    assert_eq!(other.responses(), ["welcome 0 rejected 0 Open", "stored 1"]);
    let (id, mut again) = (world.open(), authority.peer(Some(&third)));
    again.exchange(&mut world, id);
    let failure = again.failure.expect("it is refused");
    assert!(failure.contains("revoked"), "{failure}");
}

#[test]
fn a_handshake_that_began_before_the_revocation_ends_with_it() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let third = authority.issue(&LeafOptions::agency(3));
    let (id, mut peer) = (world.open(), authority.peer(Some(&third)));
    let hello = peer.take_wire();
    world.send(id, &hello);
    let authority = authority.revoking(&[&third]);
    world.reload();
    peer.exchange(&mut world, id);
    let received = String::from_utf8(peer.take_received()).unwrap();
    assert_eq!(received, "error: the certificate is revoked\n");
    assert!(peer.has_ended());
    drop(authority);
}

#[test]
fn half_a_handshake_has_its_time_and_bytes_do_not_extend_it() {
    let authority = Authority::new();
    let mut world = world(&authority, Plaintext::Refused);
    let (id, mut peer) = (world.open(), authority.peer(None));
    let hello = peer.take_wire();
    world.send(id, &hello[..1]);
    let first = world.deadline(id);
    for byte in &hello[1..100] {
        world.send(id, &[*byte]);
    }
    assert_eq!(world.deadline(id), first);
    world.expire(id);
    assert!(world.is_closed(id));
}
