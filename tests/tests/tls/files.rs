//! Files that a central doesn't start with, or warns of.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use kit::certificates::Certificates;
use kit::log::run_error;
use kit::process::output;
use kit::server::Server;
use pki::Validity;
use pki::testing::{CrlOptions, LeafOptions};

use crate::world::central;

const DAY: Duration = Duration::from_hours(24);

/// Why a central doesn't start.
fn refusal(certificates: &Certificates) -> String {
    let mut command = central(certificates, "required", &[]);
    command.env("SERVER_STORAGE_PATH", certificates.path("bets.csv"));
    let output = output(&mut command);
    let log = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(!certificates.path("bets.csv").exists(), "it was stopped before");
    run_error(&log).to_owned()
}

/// It starts, with these settings; the warnings in its log.
fn warnings(certificates: &Certificates, settings: &[(&str, &str)]) -> Vec<String> {
    let server = Server::start_command(central(certificates, "required", settings));
    let log = server.stop();
    log.lines().filter(|line| line.contains(" WARNING ")).map(str::to_owned).collect()
}

#[test]
fn a_key_with_mode_0644() {
    let certificates = Certificates::new(1);
    let key = certificates.path("server.key");
    for mode in [0o644, 0o640, 0o620, 0o602] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).expect("set");
        let error = refusal(&certificates);
        for part in ["SERVER_TLS_KEY: ", key.to_str().expect("text"), &format!("{mode:o}")] {
            assert!(error.contains(part), "no {part}: {error}");
        }
        assert!(error.contains("SERVER_TLS_ALLOW_OPEN_KEY"), "what can be done: {error}");
    }
    assert_eq!(warnings(&certificates, &[("SERVER_TLS_ALLOW_OPEN_KEY", "true")]), [""; 0]);
    for mode in [0o600, 0o400] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).expect("set");
        assert_eq!(warnings(&certificates, &[]), [""; 0], "{mode:o}");
    }
}

fn write_list(certificates: &Certificates, from: SystemTime, until: SystemTime) {
    let validity = Validity { from, until };
    let list = certificates.ca().crl(&CrlOptions { validity, ..CrlOptions::default() });
    certificates.write("crl.pem", &list.pem);
}

#[test]
fn a_revocation_list_that_has_expired() {
    let certificates = Certificates::new(1);
    let now = SystemTime::now();
    write_list(&certificates, now - 2 * DAY, now - DAY);
    let error = refusal(&certificates);
    assert!(error.contains("SERVER_TLS_CRL: ") && error.contains("expired"), "{error}");
    assert!(error.contains("SERVER_TLS_ALLOW_EXPIRED_CRL"), "what can be done: {error}");
    let warnings = warnings(&certificates, &[("SERVER_TLS_ALLOW_EXPIRED_CRL", "true")]);
    assert!(warnings.iter().any(|line| line.contains("crl.pem")), "{warnings:?}");
}

#[test]
fn a_revocation_list_that_expires_soon_is_warned_of() {
    let certificates = Certificates::new(1);
    let now = SystemTime::now();
    write_list(&certificates, now - 29 * DAY, now + DAY);
    let found = warnings(&certificates, &[]);
    assert!(matches!(&found[..], [line] if line.contains("crl.pem")), "{found:?}");
}

#[test]
fn a_certificate_that_ends_within_30_days_is_warned_of() {
    let certificates = Certificates::new(1);
    let now = SystemTime::now();
    for (days, is_warned_of) in [(29, true), (31, false)] {
        let validity = Validity { from: now - DAY, until: now + days * DAY };
        let options = LeafOptions { validity, ..LeafOptions::server() };
        certificates.ca().issue(&options).write(certificates.folder(), "server");
        let found = warnings(&certificates, &[]);
        assert_eq!(found.len(), usize::from(is_warned_of), "{days} days: {found:?}");
        assert!(found.iter().all(|line| line.contains("server.pem")), "{found:?}");
    }
}

#[test]
fn a_certificate_that_has_ended() {
    let certificates = Certificates::new(1);
    let now = SystemTime::now();
    let validity = Validity { from: now - 2 * DAY, until: now - DAY };
    let options = LeafOptions { validity, ..LeafOptions::server() };
    certificates.ca().issue(&options).write(certificates.folder(), "server");
    let found = warnings(&certificates, &[]);
    assert!(matches!(&found[..], [line] if line.contains("server.pem")), "{found:?}");
}
