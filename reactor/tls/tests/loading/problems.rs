//! What is said of files that can't be used.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use pki::testing::{Ca, CaOptions, CrlOptions, LeafOptions, Usage};
use rustix::fs::{CWD, Mode, mkfifoat};
use tls::Name;

use crate::world::{DAY, World, clock_in, set_mode, validity};

fn server_error(world: &World) -> String {
    world.load_server().expect_err("it can't be loaded")
}

fn client_error(world: &World) -> String {
    world.load_client().expect_err("it can't be loaded")
}

/// What is said when one of the server's files has that content.
fn error_with(name: &str, content: &str) -> String {
    let world = World::with_list(&CrlOptions::default());
    world.write(name, content);
    server_error(&world)
}

#[test]
fn a_file_that_is_not_one_is_named_and_never_waited_for() {
    for name in ["server.pem", "server.key", "ca.pem", "crl.pem"] {
        let world = World::with_list(&CrlOptions::default());
        fs::remove_file(world.path(name)).unwrap();
        let missing = format!("{name}: can't be read: No such file or directory (os error 2)");
        assert_eq!(server_error(&world), missing);
        mkfifoat(CWD, world.path(name), Mode::from_raw_mode(0o600)).unwrap();
        let pipe = format!("{name}: can't be read: must be a regular file, found a pipe");
        assert_eq!(server_error(&world), pipe);
        fs::remove_file(world.path(name)).unwrap();
        fs::create_dir(world.path(name)).unwrap();
        let folder = format!("{name}: can't be read: must be a regular file, found a directory");
        assert_eq!(server_error(&world), folder);
    }
}

#[test]
fn a_file_has_a_limit() {
    let blanks = " ".repeat(1 << 20);
    for name in ["server.pem", "server.key", "ca.pem", "crl.pem"] {
        let world = World::with_list(&CrlOptions::default());
        let content = fs::read_to_string(world.path(name)).unwrap();
        let padding = &blanks[content.len()..];
        world.write(name, format!("{content}{padding}"));
        world.load_server().unwrap();
        world.write(name, format!("{content}{padding} "));
        let expected = format!("{name}: expected at most 1048576 bytes, found more");
        assert_eq!(server_error(&world), expected);
    }
}

#[test]
fn a_file_with_something_else_says_what_there_is() {
    let key = Ca::default().issue(&LeafOptions::server()).key_pem;
    let expected = "expected a certificate in PEM, found";
    for name in ["server.pem", "ca.pem"] {
        assert_eq!(error_with(name, ""), format!("{name}: {expected} nothing in PEM"));
        assert_eq!(error_with(name, "\u{30}\u{82}"), format!("{name}: {expected} nothing in PEM"));
        assert_eq!(error_with(name, &key), format!("{name}: {expected} PRIVATE KEY"));
    }
    let strange =
        "-----BEGIN a\u{1b}b-----\n-----BEGIN 1-----\n-----BEGIN 2-----\n-----BEGIN 3-----";
    assert_eq!(
        error_with("crl.pem", strange),
        "crl.pem: expected a revocation list (X509 CRL) in PEM, found a\\x1bb, 1, 2 and others"
    );
    let certificate = Ca::default().pem();
    assert_eq!(
        error_with("server.key", &certificate),
        "server.key: expected a private key in PEM, found CERTIFICATE"
    );
}

#[test]
fn what_cannot_be_decoded_is_named_by_its_line() {
    let good = Ca::default().pem();
    let cut = good.replace("-----END CERTIFICATE-----", "");
    assert_eq!(
        error_with("ca.pem", &format!("{good}{cut}{good}")),
        format!(
            "ca.pem: line {}: CERTIFICATE: expected its last line, -----END and the same name, found \
             the end of the section",
            good.lines().count() + 1
        )
    );
    let no_der = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    let text = error_with("server.pem", no_der);
    assert!(
        text.starts_with("server.pem: line 1: expected a certificate in DER, found bytes that"),
        "{text}"
    );
    let no_list = "-----BEGIN X509 CRL-----\nAQID\n-----END X509 CRL-----\n";
    let text = error_with("crl.pem", no_list);
    assert!(text.starts_with("crl.pem: line 1: expected a whole revocation list"), "{text}");
}

#[test]
fn a_key_is_its_owners_alone() {
    let mut world = World::new();
    let key = world.path("server.key");
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&key, mode);
        world.load_server().unwrap();
    }
    for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o4666] {
        set_mode(&key, mode);
        assert_eq!(
            server_error(&world),
            format!(
                "server.key: expected a key that only its owner can read and write (mode 0600 or \
                 0400), found mode {mode:04o}: chmod 600 it"
            )
        );
        world.server.own.allow_open_key = true;
        world.load_server().unwrap();
        world.server.own.allow_open_key = false;
    }
    set_mode(&world.path("agency.key"), 0o644);
    assert!(client_error(&world).starts_with("agency.key: expected a key that only its owner"));
}

/// The permissions are those of the file, not of a link to it.
#[test]
fn a_key_behind_a_link_is_its_owners_alone() {
    let mut world = World::new();
    symlink("server.key", world.path("link")).unwrap();
    world.server.own.key = world.path("link");
    world.load_server().unwrap();
    set_mode(&world.path("server.key"), 0o640);
    assert!(server_error(&world).starts_with("link: expected a key that only its owner"));
}

#[test]
fn a_key_that_cannot_be_used_is_refused() {
    let key = Ca::default().issue(&LeafOptions::server()).key_pem;
    assert_eq!(
        error_with("server.key", &key.repeat(2)),
        "server.key: expected one private key, found 2"
    );
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert!(
        error_with("server.key", &encrypted)
            .starts_with("server.key: line 1: expected a private key without a passphrase")
    );
    let no_key = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";
    let text = error_with("server.key", no_key);
    assert!(
        text.starts_with("server.key: expected a private key of RSA, ECDSA or Ed25519"),
        "{text}"
    );
}

#[test]
fn a_key_fits_its_certificate() {
    let world = World::new();
    let server = world.load_server().unwrap();
    fs::copy(world.path("agency.key"), world.path("server.key")).unwrap();
    let serial = server.certificate().serial();
    assert!(server_error(&world).ends_with(&format!(
        "server.pem, of \"CN=localhost\" with serial {serial}, found another"
    )));
    assert!(server_error(&world).starts_with("server.key: expected the key of the first"));
}

#[test]
fn one_file_may_have_certificate_and_key() {
    let mut world = World::new();
    let both =
        ["server.pem", "server.key"].map(|name| fs::read_to_string(world.path(name)).unwrap());
    world.write("both.pem", both.concat());
    set_mode(&world.path("both.pem"), 0o600);
    world.server.own.certificate = world.path("both.pem");
    world.server.own.key = world.path("both.pem");
    world.load_server().unwrap();
}

#[test]
fn a_certificate_is_for_its_own_side() {
    let mut world = World::new();
    let (agency, server) = (world.client.own.clone().unwrap(), world.server.own.clone());
    world.server.own = agency;
    assert_eq!(
        server_error(&world),
        "agency.pem: expected a certificate for TLS servers (extendedKeyUsage), found that of \
         \"CN=agency-3\", which isn't for them"
    );
    world.client.own = Some(server);
    assert!(client_error(&world).starts_with("server.pem: expected a certificate for TLS clients"));
    for usages in [vec![Usage::Client, Usage::Server], Vec::new()] {
        let both = LeafOptions { usages, ..LeafOptions::server() };
        world.ca.issue(&both).write(world.folder.path(), "server");
        world.load_client().unwrap();
        world.server.own = world.client.own.clone().unwrap();
        world.load_server().unwrap();
    }
}

#[test]
fn only_an_authority_can_be_trusted() {
    let world = World::new();
    fs::copy(world.path("server.pem"), world.path("ca.pem")).unwrap();
    let expected = "ca.pem: line 1: expected the certificate of an authority, found that of \
                    \"CN=localhost\", which may not issue any";
    assert_eq!(server_error(&world), expected);
    assert_eq!(client_error(&world), expected);
}

#[test]
fn each_authority_needs_a_list_of_its_own() {
    let world = World::with_list(&CrlOptions::default());
    let other = Ca::new(&CaOptions { name: "other CA".into(), ..CaOptions::default() });
    let list = |ca: &Ca| ca.crl(&CrlOptions::default()).pem;
    world.write("ca.pem", world.ca.pem() + &other.pem());
    assert!(
        server_error(&world).starts_with("crl.pem: expected a revocation list of each authority")
    );
    assert!(server_error(&world).ends_with("ca.pem, found none of \"CN=other CA\""));
    world.write("crl.pem", list(&world.ca) + &list(&other));
    world.load_server().unwrap();
    // Its name and another key.
    let forged = Ca::new(&CaOptions { name: "other CA".into(), ..CaOptions::default() });
    world.write("crl.pem", list(&world.ca) + &list(&forged));
    let text = server_error(&world);
    assert!(
        text.starts_with("crl.pem: expected a revocation list signed by \"CN=other CA\" in"),
        "{text}"
    );
    world.write("crl.pem", list(&world.ca) + &list(&other) + &list(&other));
    let second = "crl.pem: expected one revocation list of \"CN=other CA\", found two";
    assert_eq!(server_error(&world), second);
}

#[test]
fn an_expired_list_is_refused_at_the_start_unless_so_configured() {
    let list = CrlOptions { validity: validity(2 * DAY, DAY), ..CrlOptions::default() };
    let mut world = World::with_list(&list);
    world.load_server_at(clock_in(Duration::from_hours(23))).unwrap();
    let late = clock_in(DAY + Duration::from_mins(1));
    let text = world.load_server_at(late.clone()).unwrap_err();
    let until = tls::timestamp::Timestamp::from(list.validity.until);
    assert_eq!(
        text,
        format!(
            "crl.pem: expected a revocation list that is in date, found that of \"CN=test CA\", which \
             expired at {until}"
        )
    );
    world.server.clients.allow_expired_lists = true;
    world.load_server_at(late).unwrap();
}

#[test]
fn a_server_name_is_a_host_or_an_address() {
    for good in ["server", "central.example.", "a_b", "10.0.0.1", "::1", "[::1]", "[fe80::1%eth0]"]
    {
        assert!(Name::parse(good).is_ok(), "{good}");
    }
    for bad in ["", ".", "a b", "server:1", "lotería", "a..b", "[server]", "10.0.0.256\n"] {
        let error = Name::parse(bad).unwrap_err().to_string();
        let expected = bad.escape_debug();
        assert_eq!(error, format!("expected a host's name or an IP address, found \"{expected}\""));
    }
}
