//! Agencies over TLS, as their operators see them: what ends one at once and in which words, what is
//! tried again, and what SIGHUP does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use kit::client::Client;
use kit::inputs::file;
use kit::programs::binary;
use kit::server::Server;
use pki::Validity;
use pki::testing::{Ca, CaOptions, Certified, CrlOptions, LeafOptions};
use rustix::process::Signal;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_hours(1);

/// Settings, by name.
type Settings = Vec<(&'static str, String)>;

/// The folder of a lottery's operator.
struct World {
    folder: TempDir,
    ca: Ca,
    /// Agency 1's.
    agency: Certified,
}

impl World {
    /// Everything is good: nothing is revoked, nothing ends soon.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = Ca::default();
        let agency = ca.issue(&LeafOptions::agency(1));
        let world = Self { folder, ca, agency };
        world.write("ca.pem", &world.ca.pem());
        world.write_list(&CrlOptions::default());
        world.issue("central", &LeafOptions::server());
        world.agency.write(world.folder.path(), "agency");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text_of(&self, name: &str) -> String {
        self.path(name).to_str().expect("a plain name").to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("written");
    }

    fn write_list(&self, list: &CrlOptions) {
        self.write("crl.pem", &self.ca.crl(list).pem);
    }

    fn issue(&self, name: &str, options: &LeafOptions) -> Certified {
        let issued = self.ca.issue(options);
        issued.write(self.folder.path(), name);
        issued
    }

    /// A central that takes nothing but TLS, or is configured otherwise.
    fn server(&self, changes: &[(&str, &str)]) -> Server {
        let mut command =
            kit::server::command(&[("SERVER_AGENCIES", "1"), ("SERVER_TLS", "required")]);
        command.envs([
            ("SERVER_TLS_CERT", self.path("central.pem")),
            ("SERVER_TLS_KEY", self.path("central.key")),
            ("SERVER_TLS_CLIENT_CA", self.path("ca.pem")),
        ]);
        command.envs(changes.iter().copied());
        Server::start_command(command)
    }

    /// An agency in one of the modes, over TLS or configured otherwise.
    fn agency(&self, mode: &str, address: &str, changes: &Settings) -> Client {
        let mut command = Command::new(binary("client"));
        command.env_clear().stdin(Stdio::null());
        command.envs([("CLI_ID", "1"), ("CLI_MODE", mode), ("CLI_SERVER_ADDRESS", address)]);
        command.env("CLI_DATA_PATH", file(self.folder.path(), 1, 10, 1));
        let bet = ["Ana", "Paz", "12345678", "2000-01-01", "7"];
        command
            .envs(["NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"].into_iter().zip(bet));
        command.envs([("CLI_LOOP_AMOUNT", "2"), ("CLI_LOG_LEVEL", "DEBUG"), ("CLI_TLS", "on")]);
        command.envs([("CLI_RETRY_MIN_DELAY", "1ms"), ("CLI_RETRY_MAX_DELAY", "2ms")]);
        command.env("CLI_RETRY_MAX_ATTEMPTS", "4");
        for (name, path) in [
            ("CLI_TLS_CA", "ca.pem"),
            ("CLI_TLS_CERT", "agency.pem"),
            ("CLI_TLS_KEY", "agency.key"),
            ("CLI_TLS_CRL", "crl.pem"),
        ] {
            command.env(name, self.path(path));
        }
        command.envs(changes.iter().map(|(name, value)| (name, value)));
        Client::start(command)
    }

    /// Runs one to its end, which must be that of a failure after no more than one call; returns its log,
    /// with the names of files as they are in the folder.
    fn failure(&self, mode: &str, address: &str, changes: &Settings) -> String {
        let (code, log) = self.agency(mode, address, changes).end();
        assert_eq!(code, Some(1), "{log}");
        assert!(!log.contains("retry_in"), "{log}");
        log.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn past() -> Validity {
    let now = SystemTime::now();
    Validity { from: now - 2 * HOUR, until: now - HOUR }
}

#[test]
fn each_mode_does_over_tls_what_it_does_without() {
    let world = World::new();
    let central = world.issue("central", &LeafOptions::server());
    let server = world.server(&[]);
    for (mode, result) in [
        ("apuesta", "action: apuesta_enviada | result: success"),
        ("echo", "action: loop_finished | result: success"),
    ] {
        let (code, log) = world.agency(mode, &server.address(), &vec![]).end();
        assert!(code == Some(0) && log.contains(result), "{log}");
    }
    let server = world.server(&[]);
    let (code, log) = world.agency("loteria", &server.address(), &vec![]).end();
    let result = "action: consulta_ganadores | result: success | cant_ganadores: 10\n";
    assert!(code == Some(0) && log.contains(result), "{log}");
    let connected = format!(" | serial: {} | expires: 20", central.serial);
    assert!(log.contains(&connected), "{log}");
}

/// Without a file the agency calls nobody, and the setting is named.
#[test]
fn files_that_cannot_be_used_are_named_before_the_first_call() {
    let world = World::new();
    let other = world.issue("other", &LeafOptions::agency(1));
    fs::set_permissions(world.path("other.key"), fs::Permissions::from_mode(0o644))
        .expect("its own");
    drop(other);
    for (setting, name, expected) in [
        ("CLI_TLS_CA", "none.pem", "CLI_TLS_CA: none.pem: "),
        (
            "CLI_TLS_CERT",
            "crl.pem",
            "CLI_TLS_CERT: crl.pem: expected a certificate in PEM, found X509 CRL",
        ),
        (
            "CLI_TLS_KEY",
            "central.key",
            "CLI_TLS_KEY: central.key: expected the key of the first certificate",
        ),
        (
            "CLI_TLS_KEY",
            "other.key",
            "CLI_TLS_KEY: other.key: expected a key that only its owner can read",
        ),
        ("CLI_TLS_CRL", "central.pem", "CLI_TLS_CRL: central.pem: expected a revocation list"),
    ] {
        let log = world.failure("loteria", "127.0.0.1:1", &vec![(setting, world.text_of(name))]);
        let line = format!("action: run | result: fail | error: {expected}");
        assert!(log.contains(&line), "{line}: {log}");
    }
}

/// Each for another reason: one call, and a line that says what to look at.
#[test]
fn a_central_that_is_not_trusted_ends_an_agency() {
    let world = World::new();
    let other = Ca::new(&CaOptions { name: "other CA".into(), ..CaOptions::default() });
    world.write("other.pem", &other.pem());
    world.write("other-crl.pem", &other.crl(&CrlOptions::default()).pem);
    let address = world.server(&[]);
    let address = &address.address();
    for mode in ["loteria", "apuesta", "echo"] {
        let changes = vec![
            ("CLI_TLS_CA", world.text_of("other.pem")),
            ("CLI_TLS_CRL", world.text_of("other-crl.pem")),
        ];
        let log = world.failure(mode, address, &changes);
        let expected = "error: the central's certificate isn't trusted: it is of another certificate \
                        authority; CLI_TLS_CA is other.pem: ";
        assert!(log.contains(expected), "{log}");
        let log =
            world.failure(mode, address, &vec![("CLI_TLS_SERVER_NAME", "central.example".into())]);
        let expected = "error: the central's certificate isn't trusted: it is for localhost, 127.0.0.1, \
                        ::1, and not for central.example; set CLI_TLS_SERVER_NAME to one of its names";
        assert!(log.contains(expected), "{log}");
    }
    world.issue("central", &LeafOptions { validity: past(), ..LeafOptions::server() });
    let server = world.server(&[]);
    let log = world.failure("loteria", &server.address(), &vec![]);
    let expected = "error: the central's certificate isn't trusted: it expired at 20";
    assert!(log.contains(expected), "{log}");
    let central = world.issue("central", &LeafOptions::server());
    let revoked = vec![central.serial];
    world.write_list(&CrlOptions { number: 2, revoked, ..CrlOptions::default() });
    let server = world.server(&[]);
    let log = world.failure("loteria", &server.address(), &vec![]);
    let expected =
        "error: the central's certificate isn't trusted: it is revoked; CLI_TLS_CRL is crl.pem: ";
    assert!(log.contains(expected), "{log}");
}

/// What the agency shows isn't good: the central says so after the agency's part of the handshake.
#[test]
fn a_central_that_does_not_trust_it_ends_an_agency() {
    let world = World::new();
    let own = format!("; CLI_TLS_CERT is agency.pem, with serial {}, ", world.agency.serial);
    let other = Ca::new(&CaOptions { name: "other CA".into(), ..CaOptions::default() });
    world.write("other.pem", &other.pem());
    // It has the same name.
    world.write("namesake.pem", &Ca::default().pem());
    let revoked = vec![world.agency.serial.clone()];
    world.write("revoked.pem", &world.ca.crl(&CrlOptions { revoked, ..CrlOptions::default() }).pem);
    for (setting, name, expected) in [
        (
            "SERVER_TLS_CRL",
            "revoked.pem",
            "the certificate that it was shown is revoked (TLS alert ",
        ),
        (
            "SERVER_TLS_CLIENT_CA",
            "other.pem",
            "the certificate that it was shown is of a certificate ",
        ),
        (
            "SERVER_TLS_CLIENT_CA",
            "namesake.pem",
            "a signature that it was sent doesn't hold, as when the certificate is of another authority ",
        ),
    ] {
        let server = world.server(&[(setting, &world.text_of(name))]);
        for mode in ["loteria", "echo"] {
            let log = world.failure(mode, &server.address(), &vec![]);
            assert!(log.contains(&format!("the central refuses: {expected}")), "{log}");
            assert!(log.contains(&own), "{log}");
        }
    }
}

/// The handshake is good, and HELLO isn't.
#[test]
fn a_certificate_that_is_not_this_agencys_ends_it() {
    let world = World::new();
    world.issue("other", &LeafOptions::agency(2));
    let server = world.server(&[]);
    let others = ["CERT", "KEY"].into_iter().zip(["other.pem", "other.key"]);
    let changes = others.map(|(kind, name)| {
        let setting = if kind == "CERT" { "CLI_TLS_CERT" } else { "CLI_TLS_KEY" };
        (setting, world.text_of(name))
    });
    let log = world.failure("loteria", &server.address(), &changes.collect());
    assert!(log.contains("error: the central refuses, code 20: "), "{log}");
    let remedy =
        "; CLI_ID is 1, and the certificate in CLI_TLS_CERT was made for agency 2: set both";
    assert!(log.contains(remedy), "{log}");
}

#[test]
fn plaintext_that_meets_tls_and_the_other_way_round_say_what_to_set() {
    let world = World::new();
    let server = world.server(&[]);
    let off = vec![("CLI_TLS", "off".to_owned())];
    for (mode, expected) in [
        ("loteria", "error: the central refuses, code 17: "),
        ("apuesta", "error: the central refuses, code 17: "),
        ("echo", "error: another answer than expected: error: "),
    ] {
        let log = world.failure(mode, &server.address(), &off);
        assert!(log.contains(expected) && log.contains("; set CLI_TLS=on"), "{log}");
    }
    let server = world.server(&[("SERVER_TLS", "off")]);
    for mode in ["loteria", "apuesta", "echo"] {
        let log = world.failure(mode, &server.address(), &vec![]);
        let expected = format!(
            "error: {}: the central answers in plaintext; does it take TLS (SERVER_TLS)? It says: error: \
             this central takes no TLS (SERVER_TLS=off)\n",
            server.address()
        );
        assert!(log.contains(&expected), "{log}");
    }
}

/// What a central does with an agency's first message.
type Script = fn(TcpStream);

/// A central that is about to start, to end, or to be replaced looks like these.
#[test]
fn a_handshake_that_comes_to_nothing_is_tried_again() {
    let scripts: [(Script, &str, &str); 3] = [
        (
            |mut stream| drop(stream.read(&mut [0; 1 << 14])),
            "60s",
            "the central ended the connection during the TLS handshake",
        ),
        (
            |mut stream| {
                let _ = stream.read(&mut [0; 1 << 14]);
                // internal_error
                let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x50");
            },
            "60s",
            "the central refuses: it failed by itself (TLS alert InternalError)",
        ),
        (
            |mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())),
            "50ms",
            "no TLS handshake within 50ms",
        ),
    ];
    let world = World::new();
    for (script, timeout, expected) in scripts {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || listener.incoming().flatten().for_each(script));
        for mode in ["loteria", "echo"] {
            let changes = vec![("CLI_RESPONSE_TIMEOUT", timeout.to_owned())];
            let (code, log) = world.agency(mode, &address, &changes).end();
            assert_eq!(
                (code, log.matches(&format!("error: {expected}\n")).count()),
                (Some(1), 4),
                "{log}"
            );
            assert!(log.contains(" | attempts: 4 | "), "{log}");
        }
    }
}

#[test]
fn a_hangup_reads_the_files_again_and_ends_nothing() {
    let world = World::new();
    let server = world.server(&[("SERVER_AGENCIES", "2")]);
    let mut agency = world.agency("loteria", &server.address(), &vec![]);
    agency.wait_for("action: finish | result: success");
    let renewed = world.issue("agency", &LeafOptions::agency(1));
    agency.signal(Signal::HUP);
    let expected = format!(
        "action: reload | result: success | cause: SIGHUP | name: CN=agency-1 | serial: {} | ",
        renewed.serial
    );
    agency.wait_for(&expected);
    agency.signal(Signal::USR1);
    agency.wait_for(" | connection: open | stage: waiting_for_draw | ");
    agency.signal(Signal::TERM);
    agency.ends_because_of("SIGTERM");
}

#[test]
fn what_cannot_be_used_leaves_the_old_in_force() {
    let world = World::new();
    let ledger = world.text_of("bets.csv");
    let settings = [("SERVER_AGENCIES", "2"), ("SERVER_STORAGE_PATH", &ledger)];
    let server = world.server(&settings);
    let patient = vec![("CLI_RETRY_MAX_ATTEMPTS", "0".to_owned())];
    let mut agency = world.agency("loteria", &server.address(), &patient);
    agency.wait_for("action: finish | result: success");
    world.write("agency.pem", &world.ca.issue(&LeafOptions::agency(1)).chain_pem);
    agency.signal(Signal::HUP);
    agency.wait_for("action: reload | result: fail | cause: SIGHUP | error: CLI_TLS_KEY: ");
    // The connection is lost, and the next one is secured as the first was.
    let port = server.address().rsplit_once(':').expect("a port").1.to_owned();
    drop(server);
    agency.wait_for("retry_in");
    let _server = world.server(&[&settings[..], &[("SERVER_PORT", &port)]].concat());
    agency.wait_for("action: introduce | result: success");
    agency.signal(Signal::TERM);
    agency.ends_because_of("SIGTERM");
}

#[test]
fn what_ends_soon_is_warned_of_at_the_start() {
    let world = World::new();
    let now = SystemTime::now();
    let validity = Validity { from: now - HOUR, until: now + 10 * 24 * HOUR + HOUR };
    let soon = world.issue("agency", &LeafOptions { validity, ..LeafOptions::agency(1) });
    let server = world.server(&[]);
    let (code, log) = world.agency("echo", &server.address(), &vec![]).end();
    assert_eq!(code, Some(0), "{log}");
    let warnings: Vec<_> =
        log.lines().filter(|line| line.contains("action: check_expiry")).collect();
    let [warning] = warnings[..] else { panic!("one: {log}") };
    for piece in [
        "WARNING  ",
        &format!(" | file: {} | ", world.text_of("agency.pem")),
        &format!(" | serial: {} | ", soon.serial),
        " | warning: it expires in 10 days",
    ] {
        assert!(warning.contains(piece), "{piece}: {warning}");
    }
}
