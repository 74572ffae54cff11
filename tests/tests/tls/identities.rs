//! Who isn't who it says: certificates that are bad, or another's.

use std::time::{Duration, SystemTime};

use kit::frames::{batch, end, hello};
use pki::Validity;
use pki::testing::{Ca, CaOptions, Certified, LeafOptions, Usage};

use crate::world::{World, read_all};

const HOUR: Duration = Duration::from_hours(1);

/// The attack must come to this, for this reason in the log.
fn refused(world: World, agency: u32, own: Option<&Certified>, outcome: &[&str], reason: &str) {
    assert_eq!(world.claim(agency, own), outcome);
    world.end_with_line(&["result: fail | ip: 127.0.0.1 | ", reason]);
}

/// Agency 2 with a certificate that is made otherwise.
fn refused_with(change: impl FnOnce(&mut LeafOptions), outcome: &[&str], reason: &str) {
    let world = World::new();
    let mut options = LeafOptions::agency(2);
    change(&mut options);
    let certified = world.certificates.ca().issue(&options);
    refused(world, 2, Some(&certified), outcome, reason);
}

#[test]
fn no_certificate() {
    let mut world = World::new();
    assert_eq!(world.claim(2, None), ["error CertificateRequired", "end"]);
    world.goes_on();
    world.end_with_line(&["result: fail | ", "| code: 18 |", "CLI_TLS_CERT"]);
}

#[test]
fn no_certificate_where_echo_needs_one_too() {
    let world = World::with("required", &[("SERVER_TLS_ANONYMOUS_ECHO", "false")]);
    let reason = "the peer shows no certificate, and one is required";
    refused(world, 2, None, &["alert CertificateRequired"], reason);
}

#[test]
fn a_certificate_of_another_authority() {
    let world = World::new();
    // Of the same name: the signature alone tells them apart.
    let certified = Ca::default().issue(&LeafOptions::agency(2));
    refused(world, 2, Some(&certified), &["alert DecryptError"], "its signature doesn't hold");
}

#[test]
fn a_certificate_of_another_authority_of_another_name() {
    let world = World::new();
    let other = Ca::new(&CaOptions { name: "other CA".to_owned(), ..CaOptions::default() });
    let certified = other.issue(&LeafOptions::agency(2));
    let reason = "it is of another certificate authority";
    refused(world, 2, Some(&certified), &["alert UnknownCA"], reason);
}

#[test]
fn a_certificate_that_has_expired() {
    let now = SystemTime::now();
    refused_with(
        |options| options.validity = Validity { from: now - 2 * HOUR, until: now - HOUR },
        &["alert CertificateExpired"],
        "the peer's certificate isn't trusted: it expired at ",
    );
}

#[test]
fn a_certificate_that_is_not_valid_yet() {
    let now = SystemTime::now();
    refused_with(
        |options| options.validity = Validity { from: now + HOUR, until: now + 2 * HOUR },
        &["alert CertificateExpired"],
        "the peer's certificate isn't trusted: it is valid from ",
    );
}

#[test]
fn one_fault_hides_no_other_in_the_log() {
    let world = World::new();
    let now = SystemTime::now();
    let other = Ca::new(&CaOptions { name: "other CA".to_owned(), ..CaOptions::default() });
    let expired = LeafOptions {
        validity: Validity { from: now - 2 * HOUR, until: now - HOUR },
        ..LeafOptions::agency(2)
    };
    for _ in 0..3 {
        for certified in [
            other.issue(&LeafOptions::agency(2)),
            world.certificates.ca().issue(&expired),
            world.certificates.server().clone(),
        ] {
            world.claim(2, Some(&certified));
        }
    }
    let log = world.end();
    for (reason, counted) in [
        ("it is of another certificate authority", "a certificate of another authority"),
        ("it expired at ", "a certificate that has expired or isn't valid yet"),
        ("it is for another purpose", "a certificate that is broken or for another purpose"),
    ] {
        assert_eq!(log.matches(reason).count(), 1, "{reason}: {log}");
        let counted = format!("error: TLS failed: {counted} | more: 2 | total: 3");
        assert!(log.contains(&counted), "{counted}: {log}");
    }
}

#[test]
fn a_certificate_with_two_uris() {
    refused_with(
        |options| options.uris.push("spiffe://loteria/agencia/3".to_owned()),
        &["error WrongAgency", "end"],
        "the certificate has 2 URIs among its names",
    );
}

#[test]
fn a_certificate_with_the_same_uri_twice() {
    refused_with(
        |options| options.uris.push(options.uris[0].clone()),
        &["error WrongAgency", "end"],
        "the certificate has 2 URIs among its names",
    );
}

#[test]
fn a_certificate_without_a_uri() {
    refused_with(
        |options| options.uris.clear(),
        &["error WrongAgency", "end"],
        "the certificate has 0 URIs among its names",
    );
}

#[test]
fn a_certificate_of_another_trust_domain() {
    refused_with(
        |options| options.uris = vec!["spiffe://otra/agencia/2".to_owned()],
        &["error WrongAgency", "end"],
        "the certificate names spiffe://otra/agencia/2",
    );
}

#[test]
fn a_servers_certificate_as_a_clients() {
    let world = World::new();
    let certified = world.certificates.server().clone();
    let reason = "it is for another purpose";
    refused(world, 2, Some(&certified), &["alert UnsupportedCertificate"], reason);
}

#[test]
fn a_servers_certificate_that_names_an_agency() {
    refused_with(
        |options| options.usages = vec![Usage::Server],
        &["alert UnsupportedCertificate"],
        "it is for another purpose",
    );
}

#[test]
fn a_certificate_that_an_agency_has_issued_with_its_own() {
    let world = World::new();
    // Agency 3's key signs a certificate for agency 2, and its chain ends at the real authority.
    let impostor = world.certificates.ca().impostor(&LeafOptions::agency(3));
    let forged = impostor.issue(&LeafOptions::agency(2));
    let reason = "the peer's certificate isn't trusted";
    refused(world, 2, Some(&forged), &["alert CertificateUnknown"], reason);
}

#[test]
fn hello_as_another_agency() {
    let world = World::new();
    let certified = world.certificates.agency(3).clone();
    let reason = "the certificate is agency 3's, not agency 4's";
    refused(world, 4, Some(&certified), &["error WrongAgency", "end"], reason);
}

#[test]
fn an_agency_does_not_supersede_another() {
    let world = World::new();
    let (mut fourth, welcome) = world.introduce(4);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
    let third = world.certificates.agency(3);
    assert_eq!(world.claim(4, Some(third)), ["error WrongAgency", "end"]);
    assert_eq!(fourth.ask(&end(0)), "finished 0 0", "its connection is still its own");
    // Its own second connection does.
    let (_, welcome) = world.introduce(4);
    assert_eq!(welcome, "welcome 0 rejected 0 Finished");
    assert_eq!(fourth.outcome(), ["error Superseded", "end"]);
    world.end();
}

#[test]
fn a_plaintext_hello_does_not_supersede_an_agency_that_has_shown_its_certificate() {
    let mut world = World::with("optional", &[]);
    let refused = ["error CertificateRequired", "end"];
    assert_eq!(world.claim_in_plaintext(1), refused);
    assert_eq!(world.claim(1, None), refused, "nor one inside TLS");
    world.goes_on();
    // Nor when its connection is gone.
    let (mut second, _) = world.introduce(2);
    assert_eq!(second.ask(&end(0)), "finished 0 0");
    drop(second);
    assert_eq!(world.claim_in_plaintext(2), refused);
    world.end_with_line(&["| code: 18 |", "agency 1 has shown a certificate before"]);
}

#[test]
fn plaintext_is_refused_in_words_where_tls_is_required() {
    let mut world = World::new();
    assert_eq!(world.claim_in_plaintext(2), ["error TlsRequired", "end"]);
    let mut echo = world.server.connect();
    std::io::Write::write_all(&mut echo, b"hola\n").expect("sent");
    assert_eq!(
        String::from_utf8_lossy(&read_all(&echo)),
        "error: this central takes connections over TLS alone (SERVER_TLS=required)\n"
    );
    world.goes_on();
    let log = world.end();
    for part in ["| code: 17 |", "| error: this central takes connections over TLS alone"] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn what_an_agency_sends_behind_a_refused_hello_has_no_effect() {
    let world = World::new();
    let mut wrong =
        kit::conversation::Conversation(world.connect(Some(world.certificates.agency(3))));
    let bets = batch(0, &[("99", "7574")]);
    wrong.send(&[hello(4), bets.clone(), hello(3), bets, end(1)].concat());
    assert_eq!(wrong.outcome(), ["error WrongAgency", "end"]);
    let (_, welcome) = world.introduce(3);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
    world.end();
}
