//! What ends a central because etcd isn't what it was any more, and with which words: over real etcd, of one
//! member.

use std::io::Read as _;
use std::net::TcpStream;

use cluster::DELETED;
use kit::etcd::Cluster;
use kit::frames::{ask, hello_of};
use kit::process::output;
use kit::server::{Server, command};

use crate::processes::{settings, start_central};
use crate::site::Site;

const DRAW: &str = "ended";

/// A central that waits for one agency more, and an agency that it serves.
fn central_with_agency(site: &Site) -> (Server, TcpStream) {
    let central = start_central(&settings(site, DRAW, 2));
    let agency = introduce(&central);
    (central, agency)
}

fn introduce(central: &Server) -> TcpStream {
    let mut agency = central.connect();
    let response = ask(&mut agency, &hello_of(1, DRAW));
    assert!(response.starts_with("welcome"), "{response}");
    agency
}

/// The central ends by itself, with 1 and these words, and its agency learns of it.
fn assert_ends((mut central, mut agency): (Server, TcpStream), expected: [&str; 2]) {
    let (status, log) = central.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(expected.iter().all(|words| log.contains(words)), "{expected:?}: {log}");
    let mut rest = Vec::new();
    // Lost or ended: there is no response to wait for.
    let _ = agency.read_to_end(&mut rest);
    assert_eq!(rest, [0_u8; 0]);
}

#[test]
fn a_draw_that_is_deleted_ends_its_centrals_and_begins_no_more() {
    let site = Site::loopback(Cluster::start(1));
    let running = central_with_agency(&site);
    let prefix = format!("/loteria/{DRAW}/");
    site.etcd.put(0, &format!("{prefix}meta"), DELETED);
    for part in ["acct/", "bets/", "win/", "fin/"] {
        site.etcd.delete(0, &format!("{prefix}{part}"));
    }
    let words = "the draw was deleted: use another name for the next one";
    assert_ends(running, [words, "result: fail"]);
    let settings = settings(&site, DRAW, 2);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let again = output(&mut command(&settings));
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stdout).contains(words), "{again:?}");
    let left: Vec<_> = site.etcd.keys(0, &prefix).into_iter().map(|key| key.name).collect();
    assert_eq!(left, [format!("{prefix}meta")], "nothing begins it anew");
}

#[test]
fn another_cluster_at_the_same_address_ends_a_central() {
    let mut site = Site::loopback(Cluster::start(1));
    let running = central_with_agency(&site);
    site.etcd.replace();
    let words =
        ["endpoint 0: expected etcd's cluster ", "a backup was restored, or the endpoint is wrong"];
    assert_ends(running, words);
}

#[test]
fn a_backup_that_is_restored_under_a_central_ends_it() {
    let mut site = Site::loopback(Cluster::start(1));
    let central = start_central(&settings(&site, DRAW, 2));
    drop(introduce(&central));
    let backup = site.etcd.back_up();
    // That is a change that the backup doesn't have.
    let agency = introduce(&central);
    site.etcd.restore(&backup);
    assert_ends(
        (central, agency),
        ["expected a revision of etcd from ", ": a backup was restored"],
    );
}
