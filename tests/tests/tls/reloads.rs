//! SIGHUP: what it takes, what it leaves in force, and whom it ends.

use std::fs;
use std::time::{Duration, SystemTime};

use kit::conversation::Conversation;
use kit::frames::{batch, end, hello};
use kit::tls_client::TlsClient;
use pki::Validity;
use pki::testing::{CrlOptions, LeafOptions};
use wire::Request;

use crate::world::World;

/// SIGHUP, until the log says that it was taken.
fn reload(world: &mut World) {
    world.reload();
    world.server.wait_for("action: reload | result: success");
}

/// SIGHUP that must leave what is in force, and say why.
fn refused_reload(world: &mut World, reason: &str) {
    world.reload();
    world.server.wait_for("action: reload | result: fail");
    world.goes_on();
    assert!(world.server.log_so_far().contains(reason), "{}", world.server.log_so_far());
}

fn revoke(world: &mut World, agency: u32) {
    let serial = world.certificates.agency(agency).serial.clone();
    world.certificates.revoke(&[&serial]);
}

fn server_certificate(world: &World) -> Vec<u8> {
    world.connect(None).server_certificate().expect("it shows one").to_vec()
}

#[test]
fn revoked() {
    let mut world = World::new();
    revoke(&mut world, 2);
    reload(&mut world);
    let second = world.certificates.agency(2).clone();
    assert_eq!(world.claim(2, Some(&second)), ["alert CertificateRevoked"]);
    world.end_with_line(&["close_connection | result: fail | ip: 127.0.0.1 | ", "it is revoked"]);
}

#[test]
fn revoked_before_the_start() {
    let mut certificates = kit::certificates::Certificates::new(crate::world::AGENCIES);
    let serial = certificates.agency(2).serial.clone();
    certificates.revoke(&[&serial]);
    let world = World::of(certificates, "required", &[]);
    let second = world.certificates.agency(2).clone();
    assert_eq!(world.claim(2, Some(&second)), ["alert CertificateRevoked"]);
    world.end_with_line(&["it is revoked"]);
}

#[test]
fn revoked_while_connected() {
    let mut world = World::new();
    let (mut second, _) = world.introduce(2);
    let (mut third, _) = world.introduce(3);
    // One whose question waits for the draw, and one that does nothing.
    second.send(&[end(0), kit::frames::bytes(&Request::Winners)].concat());
    assert_eq!(second.receive(), "finished 0 0");
    revoke(&mut world, 2);
    reload(&mut world);
    assert_eq!(second.outcome(), ["error CertificateRevoked", "end"]);
    assert_eq!(third.ask(&end(0)), "finished 0 0", "another's connection stays");
    world.goes_on();
    world.end_with_line(&["| code: 19 |", "the certificate is revoked"]);
}

#[test]
fn revoked_while_its_echo_waits() {
    let mut world = World::new();
    let client = world.connect(Some(world.certificates.agency(2)));
    let mut half = client;
    std::io::Write::write_all(&mut half, b"half a li").expect("sent");
    // It has been read once the handshake of the next one is complete.
    world.goes_on();
    revoke(&mut world, 2);
    reload(&mut world);
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut half, &mut answer).expect("an end in order");
    assert_eq!(answer, "error: the certificate is revoked\n");
    world.end();
}

#[test]
fn revoked_during_its_handshake() {
    let mut world = World::new();
    let config = world.config(Some(world.certificates.agency(2)));
    let mut late = TlsClient::new(world.server.connect(), &config);
    let hello_of_tls = late.take_unsent();
    late.send_raw(&hello_of_tls).expect("sent");
    // The server has begun, with the list in force, and answered.
    late.socket().peek(&mut [0]).expect("its answer");
    revoke(&mut world, 2);
    reload(&mut world);
    let mut late = Conversation(late.finish().expect("a handshake"));
    let _ = std::io::Write::write_all(&mut late.0, &[hello(2), batch(0, &[("99", "7")])].concat());
    let mut answer = String::new();
    let _ = std::io::Read::read_to_string(&mut late.0, &mut answer);
    assert!(["", "error: the certificate is revoked\n"].contains(&&answer[..]), "{answer}");
    world.goes_on();
    world.end();
}

#[test]
fn a_new_certificate_is_shown_to_new_connections() {
    let mut world = World::new();
    let old = server_certificate(&world);
    let (mut second, _) = world.introduce(2);
    let new = world.certificates.ca().issue(&LeafOptions::server());
    new.write(world.certificates.folder(), "server");
    assert_eq!(server_certificate(&world), old, "before SIGHUP");
    reload(&mut world);
    assert_eq!(server_certificate(&world), new.chain[0]);
    assert_eq!(second.ask(&end(0)), "finished 0 0", "connections in place stay");
    world.end();
}

#[test]
fn a_broken_file_leaves_the_old_in_force() {
    // At the same time: a central reads its files once in a second.
    std::thread::scope(|scope| {
        for name in ["server.pem", "server.key", "ca.pem", "crl.pem"] {
            scope.spawn(move || broken_file(name));
        }
    });
}

fn broken_file(name: &str) {
    let mut world = World::new();
    let old = server_certificate(&world);
    for content in ["", "no PEM\n", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        let good = fs::read_to_string(world.certificates.path(name)).expect("text");
        overwrite(&world, name, content);
        refused_reload(&mut world, name);
        assert_eq!(server_certificate(&world), old);
        overwrite(&world, name, &good);
    }
    fs::remove_file(world.certificates.path(name)).expect("removed");
    refused_reload(&mut world, name);
    world.end();
}

/// Leaves its mode as it is.
fn overwrite(world: &World, name: &str, content: &str) {
    fs::write(world.certificates.path(name), content).expect("written");
}

#[test]
fn a_key_that_does_not_fit_leaves_the_old_in_force() {
    let mut world = World::new();
    let old = server_certificate(&world);
    let other = world.certificates.ca().issue(&LeafOptions::server());
    overwrite(&world, "server.key", &other.key_pem);
    refused_reload(&mut world, "server.key");
    assert_eq!(server_certificate(&world), old);
    // With its certificate, it fits.
    overwrite(&world, "server.pem", &other.chain_pem);
    reload(&mut world);
    assert_eq!(server_certificate(&world), other.chain[0]);
    world.end();
}

#[test]
fn an_older_revocation_list_leaves_the_new_one_in_force() {
    let mut world = World::new();
    let old = fs::read_to_string(world.certificates.path("crl.pem")).expect("text");
    revoke(&mut world, 2);
    reload(&mut world);
    overwrite(&world, "crl.pem", &old);
    refused_reload(&mut world, "crl.pem");
    let second = world.certificates.agency(2).clone();
    assert_eq!(world.claim(2, Some(&second)), ["alert CertificateRevoked"]);
    world.end();
}

#[test]
fn an_expired_revocation_list_leaves_the_old_one_in_force() {
    let mut world = World::new();
    let now = SystemTime::now();
    let day = Duration::from_hours(24);
    let list = world.certificates.ca().crl(&CrlOptions {
        number: 100,
        validity: Validity { from: now - day / 2, until: now - day / 4 },
        ..CrlOptions::default()
    });
    overwrite(&world, "crl.pem", &list.pem);
    refused_reload(&mut world, "crl.pem");
    world.end();
}

#[test]
fn reloads_during_handshakes() {
    let mut world = World::new();
    for round in 0..3 {
        let config = world.config(Some(world.certificates.agency(2)));
        let begun: Vec<_> = (0..10)
            .map(|_| {
                let mut client = TlsClient::new(world.server.connect(), &config);
                let hello = client.take_unsent();
                client.send_raw(&hello).expect("sent");
                client
            })
            .collect();
        let new = world.certificates.ca().issue(&LeafOptions::server());
        new.write(world.certificates.folder(), "server");
        reload(&mut world);
        for client in begun {
            let client = client.finish().expect("a handshake that had begun is completed");
            let (_, welcome) = Conversation::introduced(client, 2);
            assert_eq!(welcome, "welcome 0 rejected 0 Open", "round {round}");
        }
        assert_eq!(server_certificate(&world), new.chain[0]);
        world.goes_on();
    }
    world.end();
}

#[test]
fn an_authority_that_is_gone_is_trusted_no_more() {
    let mut world = World::new();
    let other = pki::testing::Ca::default();
    overwrite(&world, "ca.pem", &other.pem());
    overwrite(&world, "crl.pem", &other.crl(&CrlOptions::default()).pem);
    reload(&mut world);
    let second = world.certificates.agency(2).clone();
    let outcome = world.claim(2, Some(&second));
    assert!(outcome[0].starts_with("alert "), "{outcome:?}");
    let new = other.issue(&LeafOptions::agency(2));
    let (_, welcome) = Conversation::introduced(world.connect(Some(&new)), 2);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
    world.end();
}
