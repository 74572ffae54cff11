//! An authority in a folder: what it writes, what a verifier says to it, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use pki::{Authority, CRL_DAYS, Error, KeyKind, Leaf, Options, serial_of};
use rustls::CertificateError::{
    Expired, ExpiredRevocationList, InvalidPurpose, NotValidForName, NotValidYet, Revoked,
    UnknownIssuer,
};
use tempfile::TempDir;

use crate::verify::{Trust, central, chain, check_key};

const DAY: Duration = Duration::from_hours(24);

fn created() -> (TempDir, PathBuf, Authority) {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("pki");
    let authority = Authority::create(&folder, &Options::default()).expect("an authority");
    (temporary, folder, authority)
}

fn trust(folder: &Path) -> Trust {
    Trust::read(&folder.join("ca.pem"), &folder.join("crl.pem"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[track_caller]
fn assert_refused(result: Result<(), rustls::Error>, expected: &rustls::CertificateError) {
    match result {
        Err(rustls::Error::InvalidCertificate(error)) => {
            // Errors with a context are other variants.
            let text = format!("{error:?}");
            assert!(text.starts_with(&format!("{expected:?}")), "{text}");
        }
        other => panic!("{other:?} instead of {expected:?}"),
    }
}

#[test]
fn both_ends_accept_what_was_issued() {
    for key in [KeyKind::P256, KeyKind::Ed25519] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let authority = Authority::create(folder, &Options { key, ..Options::default() }).unwrap();
        let leaf = Leaf { key, ..Leaf::default() };
        let names = ["server", "*.loteria.example", "127.0.0.1", "::1"];
        authority.issue_server(&names, &leaf).unwrap();
        authority.issue_agency(3, &leaf).unwrap();
        let (trust, server) = (trust(folder), chain(&folder.join("server.pem")));
        for name in ["server", "a.loteria.example", "127.0.0.1", "::1"] {
            trust.server(&server, name).unwrap();
        }
        assert_refused(trust.server(&server, "other"), &NotValidForName);
        let agency = chain(&folder.join("agency-3.pem"));
        trust.client(&agency).unwrap();
        check_key(&server, &folder.join("server.key")).unwrap();
        check_key(&agency, &folder.join("agency-3.key")).unwrap();
        check_key(&agency, &folder.join("server.key")).unwrap_err();
    }
}

#[test]
fn a_certificate_is_for_one_end_alone() {
    let (_temporary, folder, authority) = created();
    authority.issue_server(&["localhost"], &Leaf::default()).unwrap();
    authority.issue_agency(1, &Leaf::default()).unwrap();
    let trust = trust(&folder);
    assert_refused(trust.client(&chain(&folder.join("server.pem"))), &InvalidPurpose);
    let agency = chain(&folder.join("agency-1.pem"));
    assert_refused(trust.server(&agency, "localhost"), &InvalidPurpose);
}

#[test]
fn validity_begins_before_now_and_ends_as_asked() {
    let (_temporary, folder, authority) = created();
    let leaf = Leaf { days: 10, ..Leaf::default() };
    let issued = authority.issue_agency(1, &leaf).unwrap();
    let agency = chain(&issued.certificate);
    let mut trust = trust(&folder);
    let now = SystemTime::now();
    for (at, expected) in [
        (now - 2 * pki::BACKDATED, Err(NotValidYet)),
        (now - pki::BACKDATED / 2, Ok(())),
        (now + 9 * DAY, Ok(())),
        (now + 11 * DAY, Err(Expired)),
    ] {
        trust.now = at;
        match expected {
            Ok(()) => trust.client(&agency).unwrap(),
            Err(error) => assert_refused(trust.client(&agency), &error),
        }
    }
}

#[test]
fn a_revoked_certificate_is_on_the_next_list() {
    let (_temporary, folder, authority) = created();
    let issued = authority.issue_agencies(&[1, 2], &Leaf::default()).unwrap();
    let [first, second] = [1, 2].map(|agency| chain(&folder.join(format!("agency-{agency}.pem"))));
    trust(&folder).client(&first).unwrap();
    assert_eq!(authority.revocation_list().unwrap().number, 1);
    let serial = serial_of(&issued[0].certificate).unwrap();
    assert_eq!(serial, issued[0].serial);

    let revocation = authority.revoke(&[serial], CRL_DAYS).unwrap();
    assert_eq!(revocation.list, authority.revocation_list().unwrap());
    assert_eq!(revocation.list.number, 2);
    assert_refused(trust(&folder).client(&first), &Revoked);
    trust(&folder).client(&second).unwrap();

    // Whoever opens the folder later keeps it revoked, since the same time.
    let again = Authority::open(&folder).unwrap();
    let since = again.entries().unwrap()[0].revoked;
    assert!(since.is_some());
    let revocation = again.revoke(&[issued[0].serial.clone()], CRL_DAYS).unwrap();
    assert_eq!(revocation.revoked[0].revoked, since);
    assert_refused(trust(&folder).client(&first), &Revoked);
}

#[test]
fn a_list_expires_unless_it_is_reissued() {
    let (_temporary, folder, authority) = created();
    authority.issue_agency(1, &Leaf::default()).unwrap();
    let agency = chain(&folder.join("agency-1.pem"));
    let later = SystemTime::now() + 31 * DAY;
    let expired = Trust { now: later, ..trust(&folder) };
    assert_refused(expired.client(&agency), &ExpiredRevocationList);
    let list = authority.reissue_crl(40).unwrap();
    assert_eq!(list.number, 2);
    Trust { now: later, ..trust(&folder) }.client(&agency).unwrap();
}

#[test]
fn another_authority_of_the_same_domain_is_another() {
    let (_temporary, folder, authority) = created();
    let (_other_temporary, other, _) = created();
    authority.issue_agency(1, &Leaf::default()).unwrap();
    let agency = chain(&folder.join("agency-1.pem"));
    assert_refused(trust(&other).client(&agency), &UnknownIssuer);
    // Their lists aren't mixed up where both are trusted.
    let mut both = trust(&folder);
    let other = trust(&other);
    both.roots.roots.extend(other.roots.roots);
    both.lists.splice(0..0, other.lists);
    both.client(&agency).unwrap();
}

#[test]
fn a_new_authority_and_the_old_one_are_trusted_from_the_same_files() {
    let (_temporary, old, authority) = created();
    let (_new_temporary, new, successor) = created();
    successor.issue_server(&["localhost"], &Leaf::default()).unwrap();
    let of_old = authority.issue_agencies(&[1, 2], &Leaf::default()).unwrap();
    let of_new = successor.issue_agencies(&[1, 2], &Leaf::default()).unwrap();
    authority.revoke(&[of_old[1].serial.clone()], CRL_DAYS).unwrap();
    successor.revoke(&[of_new[1].serial.clone()], CRL_DAYS).unwrap();
    let [authorities, lists] = ["ca.pem", "crl.pem"].map(|name| {
        let path = new.join(format!("both-{name}"));
        let text = [&old, &new].map(|folder| fs::read_to_string(folder.join(name)).unwrap());
        fs::write(&path, text.concat()).unwrap();
        path
    });
    let central = central(&new, &authorities, &lists);
    for issued in [of_old, of_new] {
        let [good, revoked] = [0, 1].map(|at: usize| chain(&issued[at].certificate));
        assert!(!central.is_revoked(&[&good[0]]));
        assert!(central.is_revoked(&[&revoked[0]]));
    }
}

#[test]
fn keys_are_their_owners_alone() {
    let (_temporary, folder, authority) = created();
    authority.issue_server(&["localhost"], &Leaf::default()).unwrap();
    authority.issue_agency(1, &Leaf::default()).unwrap();
    assert_eq!(mode(&folder.join("private")), 0o700);
    for key in ["private/ca.key", "server.key", "agency-1.key"] {
        assert_eq!(mode(&folder.join(key)), 0o600, "{key}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let (_temporary, folder, authority) = created();
    fs::write(folder.join("agency-2.key"), "mine").unwrap();
    let before = authority.entries().unwrap();
    let error = authority.issue_agencies(&[1, 2, 3], &Leaf::default()).unwrap_err();
    assert!(matches!(&error, Error::Exists(paths) if paths == &[folder.join("agency-2.key")]));
    assert!(!folder.join("agency-1.pem").exists());
    assert_eq!(fs::read(folder.join("agency-2.key")).unwrap(), b"mine");
    assert_eq!(authority.entries().unwrap(), before);
    let ca = fs::read(folder.join("ca.pem")).unwrap();
    let error = Authority::create(&folder, &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Exists(paths) if paths.len() == 5), "{error}");
    assert_eq!(fs::read(folder.join("ca.pem")).unwrap(), ca);
    // Not even a link to nowhere.
    std::os::unix::fs::symlink("nowhere", folder.join("server.key")).unwrap();
    authority.issue_server(&["localhost"], &Leaf::default()).unwrap_err();
    assert!(!folder.join("nowhere").exists());
}

#[test]
fn runs_at_the_same_time_lose_nothing() {
    let (_temporary, folder, _) = created();
    thread::scope(|scope| {
        for agency in 1..=8 {
            let folder = &folder;
            scope.spawn(move || {
                let authority = Authority::open(folder).unwrap();
                let issued = authority.issue_agency(agency, &Leaf::default()).unwrap();
                authority.revoke(&[issued.serial], CRL_DAYS).unwrap();
            });
        }
    });
    let authority = Authority::open(&folder).unwrap();
    let entries = authority.entries().unwrap();
    assert_eq!(entries.len(), 8);
    assert!(entries.iter().all(|entry| entry.revoked.is_some()));
    assert_eq!(authority.revocation_list().unwrap().number, 9);
    for agency in 1..=8 {
        let agency = chain(&folder.join(format!("agency-{agency}.pem")));
        assert_refused(trust(&folder).client(&agency), &Revoked);
    }
}
