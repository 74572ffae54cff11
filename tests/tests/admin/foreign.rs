//! Clients that aren't ours: what they make of the responses.

use std::process::Command;

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
