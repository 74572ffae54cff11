//! What a reload takes, and what it doesn't: then all stays as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use pki::testing::{Ca, CaOptions, CrlOptions, LeafOptions};
use tls::expiry::Ending;
use tls::timestamp::{Clock, Timestamp};
use tls::{ServerTls, TrustFiles};

use crate::world::{DAY, World, handshake, validity};

fn numbered(number: u64) -> CrlOptions {
    CrlOptions { number, validity: validity(DAY, 30 * DAY), ..CrlOptions::default() }
}

fn refusal(world: &World, server: &ServerTls) -> String {
    world.reload(server).expect_err("the old stays")
}

#[test]
fn new_files_are_taken() {
    let world = World::with_list(&numbered(1));
    let old = world.load_server().unwrap();
    let client = world.load_client().unwrap();
    world.ca.issue(&LeafOptions::server()).write(world.folder.path(), "server");
    world.write_list(&CrlOptions { revoked: vec![world.agency.serial.clone()], ..numbered(2) });
    let new = world.reload(&old).unwrap();
    assert_ne!(new.certificate().serial(), old.certificate().serial());
    assert_eq!(new.revocation_lists()[0].version().number.as_ref().unwrap().to_string(), "2");
    // Whoever has the old one goes on with it.
    handshake(&old, &client).unwrap();
    handshake(&new, &client).unwrap_err();
}

#[test]
fn the_same_files_are_taken_again() {
    let world = World::with_list(&numbered(1));
    let old = world.load_server().unwrap();
    world.reload(&world.reload(&old).unwrap()).unwrap();
    let client = world.load_client().unwrap();
    client.reload().unwrap();
}

#[test]
fn a_broken_file_is_not_taken() {
    for name in ["server.pem", "server.key", "ca.pem", "crl.pem"] {
        let world = World::with_list(&numbered(1));
        let old = world.load_server().unwrap();
        world.write(name, "");
        assert!(refusal(&world, &old).starts_with(name), "{name}");
    }
    let world = World::new();
    let old = world.load_server().unwrap();
    let other = world.ca.issue(&LeafOptions::server());
    world.write("server.pem", other.chain_pem);
    assert!(refusal(&world, &old).starts_with("server.key: expected the key of the first"));
}

#[test]
fn an_older_list_is_not_taken() {
    let world = World::with_list(&numbered(5));
    let old = world.load_server().unwrap();
    let ago = |days| validity(days * DAY, 30 * DAY);
    for (number, validity, is_taken) in [
        (5, ago(1), true),
        (6, ago(1), true),
        (5, ago(0), true),
        (4, ago(0), false),
        (6, ago(2), false),
        (4, ago(2), false),
    ] {
        world.write_list(&CrlOptions { number, validity, ..CrlOptions::default() });
        match world.reload(&old) {
            Ok(_) => assert!(is_taken, "{number}"),
            Err(text) => {
                assert!(!is_taken, "{number}: {text}");
                assert!(
                    text.starts_with(
                        "crl.pem: expected a revocation list of \"CN=test CA\" that isn't older than \
                         the one in force, number 5 of "
                    ),
                    "{text}"
                );
                assert!(text.contains(&format!("found number {number} of ")), "{text}");
            }
        }
    }
}

#[test]
fn a_list_goes_with_its_authority_alone() {
    let world = World::with_list(&numbered(1));
    let [root, middle] =
        ["other CA", "middle"].map(|name| CaOptions { name: name.into(), ..CaOptions::default() });
    let other = Ca::new(&root);
    let middle = other.intermediate(&middle);
    let list = |ca: &Ca| ca.crl(&numbered(1)).pem;
    let both = world.ca.pem() + &other.pem();
    world.write("ca.pem", &both);
    world.write("crl.pem", [&world.ca, &other, &middle].map(list).concat());
    let old = world.load_server().unwrap();
    world.write("crl.pem", [&world.ca, &other].map(list).concat());
    assert_eq!(
        refusal(&world, &old),
        "crl.pem: expected a revocation list of \"CN=middle\", of which one is in force, found none"
    );
    world.write("ca.pem", world.ca.pem());
    world.write("crl.pem", [&world.ca, &middle].map(list).concat());
    world.reload(&old).unwrap();
}

#[test]
fn a_certificate_that_is_not_valid_takes_no_place_of_a_valid_one() {
    let world = World::new();
    let old = world.load_server().unwrap();
    let hour = Duration::from_hours(1);
    let expired = LeafOptions {
        validity: pki::Validity { from: SystemTime::now() - DAY, until: SystemTime::now() - hour },
        ..LeafOptions::server()
    };
    world.ca.issue(&expired).write(world.folder.path(), "server");
    let text = refusal(&world, &old);
    assert!(
        text.starts_with("server.pem: expected a certificate that is valid now, as the one"),
        "{text}"
    );
    // With nothing better in force it is taken: lists may have to be reloaded.
    let expired = world.load_server().unwrap();
    world.reload(&expired).unwrap();
}

#[test]
fn chains_of_open_connections_are_looked_up() {
    let world = World::with_list(&numbered(1));
    let middle = world.ca.intermediate(&CaOptions { name: "middle".into(), ..Default::default() });
    let [agency, expired] = [DAY, Duration::ZERO].map(|ahead| {
        let validity = validity(2 * DAY, ahead);
        middle.issue(&LeafOptions { validity, ..LeafOptions::agency(3) })
    });
    assert_eq!(agency.chain.len(), 2);
    let is_revoked = |tls: &ServerTls, chain: &[Vec<u8>]| {
        let chain: Vec<_> = chain.iter().map(Vec::as_slice).collect();
        tls.is_revoked(&chain)
    };
    let lists = |number, revoked: Vec<pki::Serial>, middle_revoked: Vec<pki::Serial>| {
        let root = world.ca.crl(&CrlOptions { revoked, ..numbered(number) });
        root.pem + &middle.crl(&CrlOptions { revoked: middle_revoked, ..numbered(number) }).pem
    };
    world.write("crl.pem", lists(1, Vec::new(), Vec::new()));
    let first = world.load_server().unwrap();
    assert!(!is_revoked(&first, &agency.chain) && !is_revoked(&first, &[]));
    assert!(is_revoked(&first, &[vec![1, 2, 3]]), "nothing is known of it");

    // The leaf; another authority's certificate with the same serial isn't meant.
    let serials = vec![agency.serial.clone(), expired.serial.clone()];
    world.write("crl.pem", lists(2, Vec::new(), serials.clone()));
    let second = world.reload(&first).unwrap();
    assert!(is_revoked(&second, &agency.chain) && is_revoked(&second, &expired.chain));
    let same = world
        .ca
        .issue(&LeafOptions { serial: Some(agency.serial.clone()), ..LeafOptions::agency(4) });
    assert!(!is_revoked(&second, &same.chain));

    // The intermediate authority.
    let certificate = tls::certificate::Certificate::from_der(middle.der()).unwrap();
    let serial: pki::Serial = certificate.serial().to_string().parse().unwrap();
    world.write("crl.pem", lists(3, vec![serial], Vec::new()));
    let third = world.reload(&first).unwrap();
    assert!(is_revoked(&third, &agency.chain) && !is_revoked(&third, &agency.chain[..1]));
}

/// As Kubernetes does it: `..data` is a link to the folder of one generation.
#[test]
fn files_of_one_generation_are_read_together() {
    let mut world = World::new();
    let [old, new] = ["..1", "..2"].map(|name| {
        let folder = world.path(name);
        fs::create_dir(&folder).unwrap();
        let certified = world.ca.issue(&LeafOptions::server());
        certified.write(&folder, "server");
        certified.serial.to_string()
    });
    let folder = world.folder.path().to_owned();
    let turn = |target: &str| {
        symlink(target, folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    };
    turn("..1");
    for name in ["tls.pem", "tls.key"] {
        let target = name.replace("tls", "..data/server");
        symlink(target, world.path(name)).unwrap();
    }
    world.server.own.certificate = world.path("tls.pem");
    world.server.own.key = world.path("tls.key");
    let loaded = world.load_server().unwrap();
    assert_eq!(loaded.certificate().serial().to_string(), old);
    turn("..2");
    assert_eq!(world.reload(&loaded).unwrap().certificate().serial().to_string(), new);
}

#[test]
fn everything_that_ends_says_when() {
    let mut world = World::with_list(&CrlOptions {
        validity: validity(4 * DAY, 4 * DAY),
        ..CrlOptions::default()
    });
    let TrustFiles { authorities, .. } = &world.server.clients;
    let authorities = authorities.clone();
    world.server.allow_anonymous = true;
    let server = world.load_server().unwrap();
    let expiries = server.expiries();
    let paths: Vec<_> = expiries.iter().map(|expiry| expiry.path.clone()).collect();
    assert_eq!(paths, [world.path("server.pem"), authorities.clone(), world.path("crl.pem")]);
    let [own, ca, list] = &expiries[..] else { panic!("three") };
    assert_eq!(own.what, Ending::Certificate(server.certificate().serial().clone()));
    assert_eq!((own.name.as_str(), ca.name.as_str()), ("CN=localhost", "CN=test CA"));
    assert_eq!(own.at.since(own.warn_from), 30 * DAY);
    // A quarter of its eight days.
    assert_eq!(list.at.since(list.warn_from), 2 * DAY);
    assert!(matches!(&list.what, Ending::RevocationList(version) if version.number.is_some()));
    let now = Timestamp::from(SystemTime::now());
    assert!(!list.is_near(now) && !list.is_over(now));
    let later = |days: u32| Timestamp::from(SystemTime::now() + days * DAY);
    assert!(list.is_near(later(3)) && !list.is_over(later(3)) && list.is_over(later(5)));

    let client = world.load_client().unwrap();
    let paths: Vec<_> = client.expiries().into_iter().map(|expiry| expiry.path).collect();
    assert_eq!(paths, [world.path("agency.pem"), authorities]);
}

#[test]
fn a_list_of_a_year_is_warned_of_as_late_as_a_certificate() {
    let world = World::with_list(&CrlOptions {
        validity: validity(DAY, 365 * DAY),
        ..CrlOptions::default()
    });
    let server = world.load_server_at(Clock::system()).unwrap();
    let list = server.expiries().pop().unwrap();
    assert_eq!(list.at.since(list.warn_from), 30 * DAY);
}
