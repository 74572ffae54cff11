//! What each resource is, and what is refused: by its status code, and without harm to the next request.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use kit::certificates::Certificates;
use kit::http::{get, receive, receive_head};
use kit::server::{Server, command};
use kit::tls_client::{TlsClient, client_config};

use crate::world::Central;

#[test]
fn each_resource_has_its_type_and_may_load_nothing_else() {
    let central = Central::start(3, &[]);
    for (target, content_type, beginning) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/?lang=en", "text/html; charset=utf-8", "<!doctype html>"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP loteria_"),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", "text/plain; charset=utf-8", "ready\n"),
        ("/status.json", "application/json", "{\"time\":"),
    ] {
        let response = central.get(target);
        assert_eq!(response.status, 200, "{target}");
        let begins = response.body.get(..beginning.len()).unwrap_or_default();
        assert!(begins.eq_ignore_ascii_case(beginning), "{target}: {begins}");
        let header = |name: &str| response.headers.get(name).map_or("", String::as_str);
        assert_eq!(header("content-type"), content_type, "{target}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{target}");
        assert_eq!(header("cache-control"), "no-store", "{target}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{target}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{target}: {policy}");
    }
    let (spanish, english) = (central.get("/").body, central.get("/?lang=en").body);
    assert!(spanish.contains("lang=\"es\"") || spanish.contains("lang=es"));
    assert!(english.contains("lang=\"en\"") || english.contains("lang=en"));
    assert_ne!(spanish, english);
}

#[test]
fn a_head_is_that_of_the_resource_and_has_no_body() {
    let central = Central::start(1, &[]);
    for target in ["/", "/metrics", "/healthz", "/readyz", "/status.json", "/nothing"] {
        let mut stream = central.connect();
        let request = get(target).replacen("GET", "HEAD", 1) + &get("/healthz");
        stream.write_all(request.as_bytes()).expect("sent");
        let head = receive_head(&mut stream).expect("a head");
        assert!(head.contains("\r\nContent-Length: "), "{target}: {head}");
        // What follows is the next response, not a body.
        assert_eq!(receive(&mut stream).expect("the next one").body, "ok\n", "{target}");
    }
}

/// The status code, and whether the connection takes another request.
fn outcome(central: &Central, request: &str) -> (u16, bool) {
    let mut stream = central.connect();
    stream.write_all(request.as_bytes()).expect("sent");
    let response = receive(&mut stream).unwrap_or_else(|error| panic!("{request:?}: {error}"));
    let closes = response.headers.get("connection").map(String::as_str) == Some("close");
    if closes {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the end");
        assert_eq!(rest, b"", "{request:?}");
    } else {
        stream.write_all(get("/healthz").as_bytes()).expect("sent");
        assert_eq!(receive(&mut stream).expect("another").body, "ok\n", "{request:?}");
    }
    (response.status, !closes)
}

#[test]
fn what_is_no_request_for_a_resource_is_refused() {
    let central = Central::start(1, &[("SERVER_ADMIN_HOSTS", "loteria.example")]);
    let with =
        |header: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n");
    let of_host = |host: &str| format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let cases = [
        (get("/nothing"), 404, true),
        (get("/../etc/passwd"), 404, true),
        (get("/%2e%2e/metrics"), 404, true),
        (get("/metrics/"), 404, true),
        (get("http://localhost/healthz"), 200, true),
        (get("http://evil.example/healthz"), 421, true),
        (of_host("evil.example"), 421, true),
        (of_host("loteria.example:80"), 200, true),
        (of_host("[::1]:80"), 200, true),
        (get("/").replacen("GET", "POST", 1), 405, false),
        (get("/").replacen("GET", "DELETE", 1), 405, false),
        (get("/").replacen("GET", "OPTIONS", 1), 405, false),
        (with("Transfer-Encoding: chunked"), 400, false),
        (with("Content-Length: 5"), 400, false),
        (with("Content-Length: 0\r\nContent-Length: 5"), 400, false),
        (with("Host: localhost"), 400, false),
        (with("Expect: something"), 417, false),
        (with(" folded: x"), 400, false),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), 400, false),
        ("GET /healthz HTTP/1.1\nHost: localhost\n\n".to_owned(), 400, false),
        ("GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n".to_owned(), 505, false),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), 200, false),
        (get(&format!("/{}", "a".repeat(3000))), 414, false),
        (with(&format!("X: {}", "a".repeat(20_000))), 431, false),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".to_owned(), 400, false),
        ("hola\r\n\r\n".to_owned(), 400, false),
    ];
    for (request, status, stays) in cases {
        let shown: String = request.chars().take(80).collect();
        assert_eq!(outcome(&central, &request), (status, stays), "{shown:?}");
    }
    let refused = central.ask(&get("/").replacen("GET", "POST", 1));
    assert_eq!(refused.headers["allow"], "GET, HEAD");
    let metrics = central.metrics();
    assert_eq!(metrics["loteria_admin_requests_total{code=\"4xx\"}"], "22");
    central.server.stop();
}

#[test]
fn over_https_the_same_is_served_and_plain_text_is_told_so() {
    let certificates = Certificates::new(1);
    let mut command = command(&[
        ("SERVER_AGENCIES", "1"),
        ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0"),
        ("SERVER_ADMIN_TLS", "true"),
    ]);
    command.envs(certificates.server_settings("required"));
    let central = Central::of(Server::start_command(command));
    let own = certificates.agency(1);
    let config = Arc::new(client_config(certificates.ca(), Some(own)));
    for target in ["/healthz", "/metrics", "/"] {
        let mut stream = TlsClient::connect(central.connect(), &config).expect("a handshake");
        stream.write_all(get(target).as_bytes()).and_then(|()| stream.flush()).expect("sent");
        assert_eq!(receive(&mut stream).expect("a response").status, 200, "{target}");
    }
    let response = central.get("/healthz");
    assert_eq!(response.status, 400);
    assert!(response.body.contains("expected HTTPS, found HTTP"), "{}", response.body);
    central.server.stop();
}
