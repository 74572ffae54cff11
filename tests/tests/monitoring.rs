//! A real Prometheus, with the configuration and the alarms of `docker/prometheus`, beside a real
//! central: what it scrapes is what was sent, every figure that an alarm asks for is there, and alarms
//! fire.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kit::certificates::Certificates;
use kit::client::Client;
use kit::etcd::Cluster;
use kit::inputs::file;
use kit::process::{TIMEOUT, finish, free_port};
use kit::programs::binary;
use kit::server::Server;
use pki::Validity;
use pki::testing::LeafOptions;
use serde_json::Value;

const BETS: u16 = 300;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_path_buf()
}

fn shipped(name: &str) -> String {
    fs::read_to_string(repository().join("docker/prometheus").join(name)).expect("a shipped file")
}

/// A program of Prometheus', by the name: installed, or where `.ci/setup` unpacks it.
fn program(name: &str) -> Command {
    let unpacked = repository().join("target/prometheus/usr/bin").join(name);
    Command::new(if unpacked.exists() { unpacked } else { PathBuf::from(name) })
}

/// A Prometheus that looks at a central several times a second. Killed when it is dropped.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// The shipped configuration, but for the address, the pace and where the rules are.
    fn start(central: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = repository().join("docker/prometheus/loteria.rules.yaml");
        let configuration = shipped("prometheus.yaml")
            .replace("server:8080", &format!("127.0.0.1:{central}"))
            .replace("loteria.rules.yaml", &rules.display().to_string())
            .replace("interval: 5s", "interval: 200ms")
            .replace("timeout: 4s", "timeout: 200ms");
        let path = folder.path().join("prometheus.yaml");
        fs::write(&path, configuration).expect("written");
        let port = free_port();
        let mut command = program("prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdin(Stdio::null());
        let log = fs::File::create(folder.path().join("log")).expect("made");
        let child = command.stderr(log).spawn().expect("Prometheus starts: see .ci/setup test");
        Self { child, port, _folder: folder }
    }

    /// What it answers, once it answers.
    fn ask(&self, resource: &str) -> Value {
        let answer = get(self.port, resource).unwrap_or_default();
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// The value of an expression that has one.
    fn value(&self, expression: &str) -> Option<f64> {
        let escaped = expression.bytes().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "%{byte:02x}");
            text
        });
        let answer = self.ask(&format!("/api/v1/query?query={escaped}"));
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// The state of an alarm, if it isn't silent.
    fn alarm(&self, name: &str) -> Option<String> {
        let answer = self.ask("/api/v1/alerts");
        let alarms = answer["data"]["alerts"].as_array()?;
        let alarm = alarms.iter().find(|alarm| alarm["labels"]["alertname"] == name)?;
        alarm["state"].as_str().map(str::to_owned)
    }

    /// Asks again and again until it is so.
    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: {}", self.ask("/api/v1/targets"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer with code 200.
fn get(port: u16, resource: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let request =
        format!("GET {resource} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}

/// Names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_name(c));
    words.filter(|word| ["loteria_", "process_"].iter().any(|own| word.starts_with(own))).collect()
}

/// A central over TLS whose certificate has three days left, with its admin listener at a port.
fn central(certificates: &Certificates, admin: u16) -> Server {
    let path = |name| certificates.path(name).display().to_string();
    let options = LeafOptions { validity: Validity::days(3), ..LeafOptions::server() };
    certificates.ca().issue(&options).write(certificates.folder(), "server");
    Server::start(&[
        ("SERVER_AGENCIES", "1"),
        ("SERVER_ADMIN_ADDRESS", &format!("127.0.0.1:{admin}")),
        ("SERVER_TLS", "optional"),
        ("SERVER_TLS_CERT", &path("server.pem")),
        ("SERVER_TLS_KEY", &path("server.key")),
        ("SERVER_TLS_CLIENT_CA", &path("ca.pem")),
        ("SERVER_TLS_CRL", &path("crl.pem")),
    ])
}

#[test]
fn a_prometheus_sees_what_was_sent_and_raises_alarms() {
    let certificates = Certificates::new(1);
    let admin = free_port();
    let central = central(&certificates, admin);
    let prometheus = Prometheus::start(admin);

    prometheus.wait_until("the central is up", |it| it.value("loteria_ready") == Some(1.0));
    let name = "LoteriaCertificateEnding";
    prometheus.wait_until(name, |it| it.alarm(name).as_deref() == Some("firing"));
    assert_eq!(prometheus.alarm("LoteriaCentralDown"), None);

    hold_lottery(&central.address(), "");
    let expected = Some(f64::from(BETS));
    prometheus.wait_until("all bets", |it| it.value("loteria_bets_stored_total") == expected);
    prometheus.wait_until("the draw", |it| it.value("loteria_draw_done") == Some(1.0));

    drop(central);
    let name = "LoteriaCentralDown";
    prometheus.wait_until(name, |it| it.alarm(name).as_deref() == Some("pending"));
}

/// A lottery of one agency, to its end: all that a central has figures of.
fn hold_lottery(address: &str, draw: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let bets = file(folder.path(), 1, BETS.into(), 2);
    let mut command = Command::new(binary("client"));
    command.env_clear().env("CLI_ID", "1").env("CLI_SERVER_ADDRESS", address);
    command.env("CLI_DRAW", draw).env("CLI_DATA_PATH", bets);
    let (code, log) = Client::start(command).end();
    assert_eq!(code, Some(0), "{log}");
}

/// What a central that keeps the lottery in etcd exposes, after the draw.
fn figures_with_etcd() -> String {
    let (etcd, admin) = (Cluster::start(1), free_port());
    let central = Server::start(&[
        ("SERVER_AGENCIES", "1"),
        ("SERVER_ADMIN_ADDRESS", &format!("127.0.0.1:{admin}")),
        ("SERVER_STORE", "etcd"),
        ("SERVER_DRAW", "hoy"),
        ("SERVER_ETCD_ENDPOINTS", &etcd.address(0).to_string()),
    ]);
    hold_lottery(&central.address(), "hoy");
    get(admin, "/metrics").expect("an answer")
}

/// Whether Prometheus' own tool has nothing to say of it.
fn check_metrics(text: &str) {
    let mut check = program("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    check.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let ended = finish(check);
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && complaints.is_empty(), "{complaints}");
}

#[test]
fn the_figures_are_as_prometheus_wants_them_and_those_of_every_alarm_are_there() {
    let certificates = Certificates::new(1);
    let admin = free_port();
    let central = central(&certificates, admin);
    hold_lottery(&central.address(), "");
    let texts = [get(admin, "/metrics").expect("an answer"), figures_with_etcd()];
    let rules = shipped("loteria.rules.yaml");
    let found = texts.iter().flat_map(|text| metrics(text)).collect();
    let missing: Vec<_> = metrics(&rules).difference(&found).copied().collect();
    assert!(missing.is_empty(), "alarms ask for {missing:?}: {texts:?}");
    for text in &texts {
        check_metrics(text);
    }
}
