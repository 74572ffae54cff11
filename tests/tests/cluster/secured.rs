//! TLS and users towards etcd: a lottery that has both, and what a central says that lacks one of them.

use std::fs::{self, Permissions};
use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kit::etcd::{Cluster, TlsFiles};
use kit::process::{output, wait_until};
use kit::reads;
use kit::server::command;
use pki::testing::{Ca, LeafOptions, Usage};

use crate::processes::{Lottery, settings, start_central};
use crate::site::{CENTRALS, MEMBERS, Site};

const DRAW: &str = "secured";
const USER: &str = "central-of-secured";
const PASSWORD: &str = "p \"ñ";

/// Settings by name.
type Settings = Vec<(&'static str, String)>;

/// Certificates and passwords in a folder.
struct Files(tempfile::TempDir);

impl Files {
    /// An authority, a certificate for etcd's members, one for centrals, and the user's password. Of members
    /// the certificate is for both sides, for their gateways are clients of theirs. None has a common name:
    /// etcd's gateway would take it for another user's, and refuse.
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        let folder = files.0.path();
        let ca = Ca::default();
        fs::write(folder.join("ca.pem"), ca.pem()).expect("written");
        fs::write(folder.join("other-ca.pem"), Ca::default().pem()).expect("written");
        let both = vec![Usage::Server, Usage::Client];
        let member = LeafOptions { name: String::new(), usages: both, ..LeafOptions::server() };
        ca.issue(&member).write(folder, "etcd");
        for (name, file) in [("", "central"), ("central", "named")] {
            let usages = vec![Usage::Client];
            ca.issue(&LeafOptions { usages, ..LeafOptions::new(name) }).write(folder, file);
        }
        files.write_secret("password", &format!("{PASSWORD}\n"));
        files.write_secret("wrong-password", "wrong\n");
        // What signs tokens.
        files.write_secret("tokens", "a secret of etcd's members");
        files
    }

    fn write_secret(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// etcd that wants certificates and users, and whose tokens are valid for a second.
    fn start_etcd(&self, members: usize) -> Cluster {
        let [ca, certificate, key] = ["ca.pem", "etcd.pem", "etcd.key"].map(|name| self.path(name));
        let files = TlsFiles { ca: ca.into(), certificate: certificate.into(), key: key.into() };
        let tokens = format!("jwt,sign-method=HS256,priv-key={},ttl=1s", self.path("tokens"));
        let arguments = ["--auth-token", &tokens, "--bcrypt-cost", "4"];
        let mut etcd = Cluster::secured(members, &files, &arguments);
        etcd.ask_for_users("of root", [USER, PASSWORD], &format!("/loteria/{DRAW}/"));
        etcd
    }

    /// What a central needs to be let in.
    fn settings(&self) -> Settings {
        vec![
            ("SERVER_ETCD_CA", self.path("ca.pem")),
            ("SERVER_ETCD_CERT", self.path("central.pem")),
            ("SERVER_ETCD_KEY", self.path("central.key")),
            ("SERVER_ETCD_USER", USER.to_owned()),
            ("SERVER_ETCD_PASSWORD_FILE", self.path("password")),
        ]
    }
}

/// How many tokens members have given.
fn tokens(site: &Site) -> u64 {
    let given = (0..MEMBERS).map(|member| {
        let metrics = site.etcd.metrics(member);
        let is_of_tokens = |line: &&str| {
            line.starts_with("grpc_server_handled_total{grpc_code=\"OK\"")
                && line.contains("grpc_method=\"Authenticate\"")
        };
        let lines = metrics.lines().filter(is_of_tokens);
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum::<u64>()
    });
    given.sum()
}

#[test]
fn a_lottery_over_tls_is_held_by_a_user_of_its_draw_alone_whose_tokens_end() {
    let files = Files::new();
    let mut site = Site::loopback(files.start_etcd(MEMBERS));
    site.settings = files.settings();
    let before = tokens(&site);
    let mut lottery = Lottery::open(&site, DRAW, 2, 1_000);
    lottery.start_agency(&site);
    // Each central needs one to begin with, and another whenever that has ended.
    let wanted = before + 4 * u64::try_from(CENTRALS).expect("few");
    wait_until("tokens are renewed", || tokens(&site) >= wanted);
    lottery.start_agency(&site);
    lottery.wait_for_agencies();
    lottery.check(&site);
}

/// Settings with another value of one of them.
fn with(mut settings: Settings, name: &'static str, value: String) -> Settings {
    settings.retain(|(found, _)| *found != name);
    settings.push((name, value));
    settings
}

/// Settings without some of them.
fn without(mut settings: Settings, names: [&str; 2]) -> Settings {
    settings.retain(|(found, _)| !names.contains(found));
    settings
}

#[test]
fn a_central_whose_user_is_not_let_in_ends_and_says_why() {
    let files = Files::new();
    let mut site = Site::loopback(files.start_etcd(1));
    site.settings = files.settings();
    let with_password =
        |name: &str| with(settings(&site, DRAW, 1), "SERVER_ETCD_PASSWORD_FILE", files.path(name));
    files.write_secret("empty", "\n");
    files.write_secret("open", PASSWORD);
    let open = Path::new(&files.path("open")).to_owned();
    fs::set_permissions(open, Permissions::from_mode(0o644)).expect("it is ours");
    let user = ["SERVER_ETCD_USER", "SERVER_ETCD_PASSWORD_FILE"];
    let named = with(settings(&site, DRAW, 1), "SERVER_ETCD_CERT", files.path("named.pem"));
    let named = with(named, "SERVER_ETCD_KEY", files.path("named.key"));
    let cases = [
        (
            with_password("wrong-password"),
            "etcd doesn't accept the user: status 400, \"etcdserver: authentication failed",
        ),
        (
            without(settings(&site, DRAW, 1), user),
            "etcd refuses a request: status 403, \"etcdserver: permission denied",
        ),
        (
            settings(&site, "another", 1),
            "etcd refuses a request: status 403, \"etcdserver: permission denied",
        ),
        (named, "status 400, \"CommonName of client sending a request against gateway"),
        (with_password("missing"), "missing: expected a file with a password: No such file"),
        (with_password("empty"), "empty: expected a file with a password: its first line is empty"),
        (with_password("open"), "found mode 0644: chmod 600 it"),
    ];
    for (settings, expected) in cases {
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ended = output(&mut command(&settings));
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let log = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn a_central_without_trust_goes_on_asking_and_says_why() {
    let files = Files::new();
    let mut site = Site::loopback(files.start_etcd(1));
    site.settings = files.settings();
    let right = || settings(&site, DRAW, 1);
    let cases = [
        (
            with(right(), "SERVER_ETCD_CA", files.path("other-ca.pem")),
            "the peer's certificate isn't trusted",
        ),
        (
            without(right(), ["SERVER_ETCD_CERT", "SERVER_ETCD_KEY"]),
            "the peer refuses: it doesn't take the certificate that it was shown",
        ),
    ];
    for (settings, expected) in cases {
        let mut central = start_central(&settings);
        central.wait_for("action: reach_store | result: in_progress | ");
        let line = central.log_so_far().lines().last().expect("a line").to_owned();
        assert!(line.contains(&format!("reason: {expected}")), "{expected}: {line}");
        let log = central.stop();
        assert!(!log.contains("action: open_lottery"), "{log}");
    }
}

#[test]
fn an_export_that_does_not_reach_etcd_says_why() {
    let files = Files::new();
    let mut site = Site::loopback(files.start_etcd(1));
    site.settings = files.settings();
    let settings = with(settings(&site, DRAW, 1), "SERVER_ETCD_CA", files.path("other-ca.pem"));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let export = command(&settings);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" export - 2>&1"]).arg(export.get_program()).env_clear();
    shell.envs(export.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut export = shell.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = reads::lines(export.stdout.take().expect("it is piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let expected =
        "a member of etcd isn't reached, asking on: the peer's certificate isn't trusted";
    assert!(line.starts_with(expected), "{line}");
    export.kill().expect("it goes on asking");
    export.wait().expect("it ends");
}
