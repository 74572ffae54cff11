//! Certificates of the simulation's central and agencies.
//!
//! TLS isn't simulated: both sides run the real layer, with keys and nonces of their own in each run,
//! and yet a seed does the same each time. All that the scheduler sees of a connection is how many
//! bytes wait, and with Ed25519 no length depends on chance: neither of a signature, nor of a key
//! exchange, nor of a certificate, which are made of fixed keys, serials and dates. The time that
//! certificates are compared with stands still.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use client::config::TlsConfig as ClientConfig;
use client::connection::certificates::Certificates as OfAgency;
use pki::testing::{Ca, CaOptions, CrlOptions, KeySource, LeafOptions};
use pki::{Serial, Validity};
use server::central::Plaintext;
use server::certificates::Certificates as OfCentral;
use server::config::TlsConfig as ServerConfig;
use tempfile::TempDir;
use tls::timestamp::Clock;
use tls::{ClientOptions, KeyFiles, Name, ServerOptions, TrustFiles};
use wire::Agency;

/// Most agencies that a world has.
const AGENCIES: Agency = 3;

/// Seconds after 1970, in the middle of everything's validity.
const NOW: u64 = 1_800_000_000;

/// What the central has loaded.
pub(crate) fn of_central() -> OfCentral {
    let folder = folder();
    let options = ServerOptions {
        own: own(folder, "server"),
        clients: TrustFiles { revocations: Some(folder.join("crl.pem")), ..trust(folder) },
        allow_anonymous: true,
    };
    let config =
        ServerConfig { plaintext: Plaintext::Refused, options, trust_domain: "loteria".into() };
    OfCentral::load(&config, clock()).expect("good files")
}

/// What an agency has loaded.
pub(crate) fn of_agency(agency: Agency) -> OfAgency {
    let folder = folder();
    let own = Some(own(folder, &name(agency)));
    let options = ClientOptions { servers: trust(folder), own };
    let config = ClientConfig { options, names: vec![Name::parse("localhost").expect("a name")] };
    OfAgency::load(&config, clock()).expect("good files")
}

fn name(agency: Agency) -> String {
    format!("agency-{agency}")
}

fn clock() -> Clock {
    Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
}

fn own(folder: &Path, name: &str) -> KeyFiles {
    let [certificate, key] = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
    KeyFiles { certificate, key, allow_open_key: false }
}

fn trust(folder: &Path) -> TrustFiles {
    let authorities: PathBuf = folder.join("ca.pem");
    TrustFiles { authorities, revocations: None, allow_expired_lists: false }
}

/// Made once in a process.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = TempDir::new().expect("a folder");
            fill(folder.path());
            folder
        })
        .path()
}

fn fill(folder: &Path) {
    let validity = validity();
    let key = |number| KeySource::Ed25519([number; 32]);
    let serial = |number| Serial::from_bytes(&[number; 16]);
    let ca =
        Ca::new(&CaOptions { key: key(1), validity, serial: serial(1), ..CaOptions::default() });
    fs::write(folder.join("ca.pem"), ca.pem()).expect("it is written");
    let list = ca.crl(&CrlOptions { validity, ..CrlOptions::default() });
    fs::write(folder.join("crl.pem"), list.pem).expect("it is written");
    let leaves = [("server".to_owned(), LeafOptions::server())].into_iter();
    let agencies = (1..=AGENCIES).map(|agency| (name(agency), LeafOptions::agency(agency)));
    for (number, (name, options)) in (2..).zip(leaves.chain(agencies)) {
        let options = LeafOptions { key: key(number), serial: serial(number), validity, ..options };
        ca.issue(&options).write(folder, &name);
    }
}

fn validity() -> Validity {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Validity { from: at(NOW - 100_000), until: at(NOW + 100_000_000) }
}
