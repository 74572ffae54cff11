//! Clients that aren't ours: what they make of the responses.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use kit::process::output;

use crate::world::Central;

const PYTHON: &str = "
import http.client, json, sys
connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=20)
for target in ['/healthz', '/readyz', '/status.json', '/metrics', '/', '/nothing', '/healthz']:
    connection.request('GET', target)
    response = connection.getresponse()
    body = response.read()
    if target == '/status.json':
        json.loads(body)
    assert len(body) == int(response.getheader('Content-Length'))
    print(response.status, response.getheader('Content-Type').split(';')[0])
connection.request('POST', '/healthz', body=b'hola')
print(connection.getresponse().status)
";

#[test]
fn pythons_client_makes_all_requests_on_one_connection() {
    let central = Central::start(2, &[]);
    let output = output(Command::new("python3").args(["-c", PYTHON, &central.port.to_string()]));
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = [
        "200 text/plain",
        "200 text/plain",
        "200 application/json",
        "200 text/plain",
        "200 text/html",
        "404 text/plain",
        "200 text/plain",
        "405",
    ];
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{complaint}");
    // The scrape of this test is one more, and so is its connection.
    assert_eq!(central.metrics()["loteria_admin_requests_total{code=\"4xx\"}"], "2");
    central.server.stop();
}

/// The status code of each, and whether it took a connection of its own.
const CURL_FORMAT: &str = "%{http_code} %{num_connects}\\n";

#[test]
fn curl_makes_its_requests_on_one_connection_and_follows_a_stream() {
    let central = Central::start(2, &[]);
    let url = |target: &str| format!("http://127.0.0.1:{}{target}", central.port);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--path-as-is", "--write-out", CURL_FORMAT]);
    for target in ["/healthz", "/metrics", "/?lang=en", "/../etc/passwd"] {
        curl.args(["--output", "/dev/null", &url(target)]);
    }
    let output = output(&mut curl);
    let [said, complaint] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    assert_eq!(said, "200 1\n200 0\n200 0\n404 0\n", "{complaint}");

    let mut streaming = Command::new("curl");
    streaming.args(["--silent", "--no-buffer", &url("/events")]).stdout(Stdio::piped());
    let mut curl = streaming.spawn().expect("`.ci/setup test` sees to curl");
    let lines = BufReader::new(curl.stdout.take().expect("piped")).lines();
    let events = lines.map_while(Result::ok).find(|line| line.starts_with("event: "));
    assert_eq!(events.as_deref(), Some("event: status"));
    curl.kill().expect("it runs");
    curl.wait().expect("it ends");
    central.server.stop();
}
