//! The admin listener over TLS: clients that aren't ours, a stream, and clients that misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use kit::certificates::Certificates;
use kit::http::ask;
use kit::process::output;
use kit::server::{Server, command};
use kit::tls_client::{ClientConfig, TlsClient, client_config};

use crate::events::Stream;
use crate::world::{Central, finish, send, wait_until};

/// A central with HTTPS, whose agencies come without TLS.
struct Secured {
    central: Central,
    certificates: Certificates,
    config: Arc<ClientConfig>,
}

impl Secured {
    fn start(settings: &[(&str, &str)]) -> Self {
        let certificates = Certificates::new(1);
        let own = [
            ("SERVER_AGENCIES", "1"),
            ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0"),
            ("SERVER_ADMIN_TLS", "true"),
        ];
        let mut command = command(&[&own, settings].concat());
        command.envs(certificates.server_settings("optional"));
        let central = Central::of(Server::start_command(command));
        let config = Arc::new(client_config(certificates.ca(), None));
        Self { central, certificates, config }
    }

    fn connect(&self) -> TlsClient {
        TlsClient::connect(self.central.connect(), &self.config).expect("a handshake")
    }

    /// The status code of a resource.
    fn status(&self, target: &str) -> u16 {
        let mut stream = self.connect();
        ask(&mut stream, target).expect("a response").status
    }

    fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.central.port)
    }

    fn curl(&self) -> Command {
        let mut curl = Command::new("curl");
        // It listens at one address of this name alone.
        curl.args(["--ipv4", "--silent", "--show-error", "--cacert"]);
        curl.arg(self.certificates.path("ca.pem"));
        curl
    }
}

#[test]
fn a_stream_begins_with_everything_and_has_the_draw() {
    let secured = Secured::start(&[]);
    let mut stream = Stream::open_on(secured.connect());
    assert_eq!(stream.event().expect("an event").0, "status");
    let mut agency = secured.central.agency(1);
    send(&mut agency, 0, 10, 2);
    finish(&mut agency, 10);
    let mut events = std::iter::from_fn(|| stream.event());
    let drawn = events.find(|(_, status)| status["lottery"]["stage"] == "drawn");
    assert_eq!(drawn.expect("the draw").1["lottery"]["winners"], 2);
    secured.central.server.stop();
}

#[test]
fn curl_trusts_the_authority_and_nothing_else() {
    let secured = Secured::start(&[]);
    let mut asking = secured.curl();
    asking.args(["--write-out", "%{http_code} %{num_connects} %{ssl_verify_result}\\n"]);
    for target in ["/readyz", "/metrics", "/nothing"] {
        asking.args(["--output", "/dev/null", &secured.url(target)]);
    }
    let found = output(&mut asking);
    let complaint = String::from_utf8_lossy(&found.stderr);
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "200 1 0\n200 0 0\n404 0 0\n",
        "{complaint}"
    );

    let mut streaming = secured.curl();
    streaming.args(["--no-buffer", &secured.url("/events")]).stdout(Stdio::piped());
    let mut child = streaming.spawn().expect("`.ci/setup test` sees to curl");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let event = lines.map_while(Result::ok).find(|line| line.starts_with("event: "));
    assert_eq!(event.as_deref(), Some("event: status"));
    child.kill().and_then(|()| child.wait()).expect("it is ours");

    let mut distrusting = Command::new("curl");
    distrusting.args(["--ipv4", "--silent", "--show-error", &secured.url("/readyz")]);
    let refused = output(&mut distrusting);
    assert_eq!(refused.status.code(), Some(60), "curl's code for a certificate that isn't trusted");
    secured.central.server.stop();
}

const PYTHON: &str = "
import http.client, json, ssl, sys
trust = ssl.create_default_context(cafile=sys.argv[2])
connection = http.client.HTTPSConnection('127.0.0.1', int(sys.argv[1]), timeout=20, context=trust)
for target in ['/healthz', '/status.json', '/metrics', '/']:
    connection.request('GET', target)
    response = connection.getresponse()
    body = response.read()
    if target == '/status.json':
        json.loads(body)
    assert len(body) == int(response.getheader('Content-Length'))
    print(response.status, connection.sock.version())
";

#[test]
fn pythons_ssl_makes_all_requests_on_one_connection() {
    let secured = Secured::start(&[]);
    let mut python = Command::new("python3");
    python.args(["-c", PYTHON, &secured.central.port.to_string()]);
    let ended = output(python.arg(secured.certificates.path("ca.pem")));
    let complaint = String::from_utf8_lossy(&ended.stderr);
    let said = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(said, "200 TLSv1.3\n".repeat(4), "{complaint}");
    secured.central.server.stop();
}

/// Handshakes that are begun and left, one after the other, and bytes that are no TLS: each is bounded,
/// and who comes then is served.
#[test]
fn half_handshakes_and_plain_bytes_end_and_hold_nobody_up() {
    let secured = Secured::start(&[("SERVER_ADMIN_HEAD_TIMEOUT", "200ms")]);
    let hello = TlsClient::new(secured.central.connect(), &secured.config).take_unsent();
    let half = |bytes: &[u8]| {
        let mut stream = secured.central.connect();
        stream.write_all(bytes).expect("sent");
        stream
    };
    let begun: Vec<TcpStream> = [&hello[..], &hello[..hello.len() / 2], &hello[..1]]
        .into_iter()
        .cycle()
        .take(60)
        .map(half)
        .collect();
    assert_eq!(secured.status("/readyz"), 200, "beside them");
    for mut stream in begun {
        // What the central has answered comes first; it says nothing more, and ends.
        stream.read_to_end(&mut Vec::new()).expect("the end");
    }
    for bytes in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"\xbe\x01\0\x08", b"hola\n"] {
        let mut answer = String::new();
        half(bytes).read_to_string(&mut answer).expect("the end");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("expected HTTPS, found HTTP"), "{answer}");
    }
    // A record of TLS that is none inside.
    let mut broken = half(b"\x16\x03\x01\x00\x05hola\n");
    broken.read_to_end(&mut Vec::new()).expect("the end");
    assert_eq!(secured.status("/readyz"), 200);
    wait_until("nothing left of them", || {
        let mut stream = secured.connect();
        let response = ask(&mut stream, "/status.json").expect("a response");
        let status: serde_json::Value = serde_json::from_str(&response.body).expect("JSON");
        status["connections"]["admin"].as_u64().is_some_and(|count| count <= 2)
    });
    secured.central.server.stop();
}

/// Handshakes of a flood, each on a connection of its own.
const HANDSHAKES: usize = 600;

#[test]
fn a_lottery_is_held_beside_a_flood_of_handshakes() {
    let secured = Secured::start(&[]);
    let mut watching = Stream::open_on(secured.connect());
    let left = AtomicUsize::new(HANDSHAKES);
    let take = || left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while take() {
                    drop(secured.connect());
                }
            });
        }
        let mut agency = secured.central.agency(1);
        let mut position = 0;
        // At least as long as the flood.
        while position == 0 || left.load(Relaxed) > 0 {
            send(&mut agency, position, 10, 1);
            position += 10;
            assert_eq!(secured.status("/readyz"), 200);
        }
        finish(&mut agency, position);
    });
    let mut events = std::iter::from_fn(|| watching.event());
    assert!(events.any(|(_, status)| status["lottery"]["stage"] == "drawn"), "a stream goes on");
    secured.central.server.stop();
}
