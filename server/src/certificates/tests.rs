//! Which setting is named, who is identified, and what stays in force.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pki::Validity;
use pki::testing::{Ca, CrlOptions, LeafOptions, Usage};
use runtime::regular_file::OpenError;
use tempfile::TempDir;
use tls::problem::{LoadError, Problem, Role};
use tls::{KeyFiles, ServerOptions, TrustFiles};

use super::*;

const DAY: Duration = Duration::from_hours(24);

struct World {
    folder: TempDir,
    ca: Ca,
    config: TlsConfig,
}

impl World {
    fn new() -> Self {
        let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::default());
        let (certificate, key) = ca.issue(&LeafOptions::server()).write(folder.path(), "server");
        let path = |name: &str| folder.path().join(name);
        let options = ServerOptions {
            own: KeyFiles { certificate, key, allow_open_key: false },
            clients: TrustFiles {
                authorities: path("ca.pem"),
                revocations: Some(path("crl.pem")),
                allow_expired_lists: false,
            },
            allow_anonymous: true,
        };
        fs::write(path("ca.pem"), ca.pem()).unwrap();
        let config =
            TlsConfig { plaintext: Plaintext::Refused, options, trust_domain: "loteria".into() };
        let world = Self { folder, ca, config };
        world.write_list(1, &[]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_list(&self, number: u64, revoked: &[pki::Serial]) {
        self.write_list_until(number, revoked, 30 * DAY);
    }

    fn write_list_until(&self, number: u64, revoked: &[pki::Serial], span: Duration) {
        let now = SystemTime::now();
        let validity = Validity { from: now - DAY, until: now + span };
        let list = CrlOptions { number, validity, revoked: revoked.to_vec() };
        fs::write(self.path("crl.pem"), self.ca.crl(&list).pem).unwrap();
    }

    fn load(&self) -> Result<Certificates, String> {
        self.load_at(Clock::system())
    }

    fn load_at(&self, clock: Clock) -> Result<Certificates, String> {
        let folder = format!("{}/", self.folder.path().display());
        let loaded = Certificates::load(&self.config, clock);
        loaded.map_err(|error| error.to_string().replace(&folder, ""))
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn chain(chain: &[Vec<u8>]) -> Vec<&[u8]> {
    chain.iter().map(Vec::as_slice).collect()
}

#[test]
fn a_bad_file_is_named_with_its_setting() {
    for (name, setting) in [
        ("server.pem", "SERVER_TLS_CERT"),
        ("server.key", "SERVER_TLS_KEY"),
        ("ca.pem", "SERVER_TLS_CLIENT_CA"),
        ("crl.pem", "SERVER_TLS_CRL"),
    ] {
        let world = World::new();
        fs::write(world.path(name), "").unwrap();
        let text = world.load().unwrap_err();
        assert!(text.starts_with(&format!("{setting}: {name}: expected ")), "{text}");
        fs::remove_file(world.path(name)).unwrap();
        let text = world.load().unwrap_err();
        let missing = "can't be read: No such file or directory (os error 2)";
        assert_eq!(text, format!("{setting}: {name}: {missing}"));
    }
}

/// A change of the configuration that names one file twice.
type Mistake = fn(&mut TlsConfig, &World);

#[test]
fn a_file_that_two_settings_name_is_wrong_for_the_one_that_is() {
    let mistakes: [(Mistake, &str); 3] = [
        (
            |config, world| config.options.clients.authorities = world.path("server.pem"),
            "SERVER_TLS_CLIENT_CA: server.pem: line 1: expected the certificate of an authority",
        ),
        (
            |config, world| config.options.clients.revocations = Some(world.path("ca.pem")),
            "SERVER_TLS_CRL: ca.pem: expected a revocation list",
        ),
        (
            |config, world| config.options.own.key = world.path("server.pem"),
            "SERVER_TLS_KEY: server.pem: expected a private key",
        ),
    ];
    for (mistake, expected) in mistakes {
        let mut world = World::new();
        let mut config = world.config.clone();
        mistake(&mut config, &world);
        world.config = config;
        let text = world.load().unwrap_err();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn the_authority_itself_is_no_server() {
    let world = World::new();
    fs::copy(world.path("ca.pem"), world.path("server.pem")).unwrap();
    let text = world.load().unwrap_err();
    let expected = "SERVER_TLS_CERT: server.pem: expected a certificate for TLS servers, found that of the authority";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn what_a_setting_can_allow_is_said() {
    let mut world = World::new();
    set_mode(&world.path("server.key"), 0o644);
    assert_eq!(
        world.load().unwrap_err(),
        "SERVER_TLS_KEY: server.key: expected a key that only its owner can read and write (mode 0600 \
         or 0400), found mode 0644: chmod 600 it, or set SERVER_TLS_ALLOW_OPEN_KEY to true"
    );
    world.config.options.own.allow_open_key = true;
    world.load().unwrap();
    let late = SystemTime::now() + 31 * DAY;
    let late = Clock::new(move || late);
    let text = world.load_at(late.clone()).unwrap_err();
    assert!(text.starts_with("SERVER_TLS_CRL: crl.pem: expected a revocation list that is in"));
    assert!(text.ends_with(": get a new one, or set SERVER_TLS_ALLOW_EXPIRED_CRL to true"));
    world.config.options.clients.allow_expired_lists = true;
    world.load_at(late).unwrap();
}

#[test]
fn a_file_of_another_user_says_who_reads_it() {
    let denied = OpenError::Io(std::io::ErrorKind::PermissionDenied.into());
    let error =
        LoadError { path: "a".into(), role: Role::Key, problem: Box::new(Problem::Open(denied)) };
    let text = SettingError::new(&SETTINGS, error).to_string();
    let user = rustix::process::geteuid().as_raw();
    let end = format!(": the server runs as user {user}, who must be able to read it");
    assert!(text.ends_with(&end), "{text}");
}

#[test]
fn a_key_in_the_file_of_its_certificate_is_named_as_key() {
    let mut world = World::new();
    let both = ["server.pem", "server.key"].map(|name| fs::read(world.path(name)).unwrap());
    let path = world.path("both.pem");
    fs::write(&path, both.concat()).unwrap();
    set_mode(&path, 0o640);
    world.config.options.own.certificate.clone_from(&path);
    world.config.options.own.key = path;
    assert!(world.load().unwrap_err().starts_with("SERVER_TLS_KEY: both.pem: expected a key that"));
}

#[test]
fn a_certificate_says_who_somebody_is() {
    let world = World::new();
    let certificates = world.load().unwrap();
    let agency = world.ca.issue(&LeafOptions::agency(3));
    let identity = certificates.identify(&chain(&agency.chain));
    assert_eq!(identity, Identity { serial: agency.serial.to_string(), agency: Ok(3) });
    let nobody =
        world.ca.issue(&LeafOptions { usages: vec![Usage::Client], ..LeafOptions::new("nobody") });
    let identity = certificates.identify(&chain(&nobody.chain));
    assert!(matches!(identity.agency, Err(IdentityError::Count { found: 0, .. })), "{identity:?}");
    let identity = certificates.identify(&[b"x"]);
    assert!(matches!(identity.agency, Err(IdentityError::Unreadable { .. })), "{identity:?}");
}

#[test]
fn a_reload_counts_if_it_is_good() {
    let world = World::new();
    let mut certificates = world.load().unwrap();
    let agency = world.ca.issue(&LeafOptions::agency(3));
    assert!(!certificates.is_revoked(&chain(&agency.chain)));
    world.write_list(2, std::slice::from_ref(&agency.serial));
    certificates.reload();
    assert_eq!(certificates.generation(), 1);
    assert!(certificates.is_revoked(&chain(&agency.chain)));
    // An older list; a broken one.
    world.write_list(1, &[]);
    certificates.reload();
    fs::write(world.path("crl.pem"), "").unwrap();
    certificates.reload();
    assert_eq!(certificates.generation(), 1);
    assert!(certificates.is_revoked(&chain(&agency.chain)));
}

#[test]
fn the_log_says_what_is_in_force() {
    let mut world = World::new();
    let line = |certificates: &Certificates| {
        let line = Line::new("load_certificates", Success);
        line.with_all(&certificates.tls.in_force()).to_string()
    };
    let serial = world.ca.issue(&LeafOptions::agency(3)).serial;
    world.write_list(4, &[serial]);
    let certificates = world.load().unwrap();
    let own = certificates.tls.certificate();
    let list = certificates.tls.revocation_lists()[0].version().this_update;
    assert_eq!(
        line(&certificates),
        format!(
            "action: load_certificates | result: success | name: CN=localhost | serial: {} | expires: \
             {} | authorities: 1 | lists: CN=test CA number 4 of {list}, 1 revoked",
            own.serial(),
            own.not_after()
        )
    );
    world.config.options.clients.revocations = None;
    let text = line(&world.load().unwrap());
    assert!(text.ends_with(" | lists: none, revoked certificates are taken"), "{text}");
}

/// A list of five days is warned of in the last day and a quarter.
#[test]
fn the_next_look_is_when_something_ends() {
    let world = World::new();
    assert_eq!(world.load().unwrap().warn_of_expiry(), DAY);
    world.write_list_until(1, &[], 4 * DAY);
    let start = SystemTime::now();
    let at = |span: Duration| Clock::new(move || start + span);
    let two_days = 2 * DAY;
    let certificates = world.load_at(at(two_days + Duration::from_hours(12))).unwrap();
    let after = certificates.warn_of_expiry();
    let expected = Duration::from_hours(6);
    assert!(after <= expected && after + Duration::from_mins(1) > expected, "{after:?}");
}
