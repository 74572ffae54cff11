//! Which heads are requests, and what is said of those that aren't: above all those that two readers
//! could take for different requests.

use http1::{Decoded, Method, Request, RequestDecoder, RequestError, StatusCode};

fn decode(input: &[u8]) -> Result<Option<Decoded<'_>>, RequestError> {
    RequestDecoder::new(16 * 1024).decode(input)
}

fn request(input: &str) -> Request<'_> {
    let decoded = decode(input.as_bytes()).expect(input).expect("a whole head");
    assert_eq!(decoded.used, input.len(), "{input}");
    decoded.request
}

/// Status code and text of the error.
fn refused(input: &[u8]) -> (u16, String) {
    let error = decode(input).expect_err(&input.escape_ascii().to_string());
    (error.status_code().number(), error.to_string())
}

#[test]
fn what_browsers_and_tools_send_is_understood() {
    let curl = request("GET /metrics?a=b HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n\r\n");
    let expected = Request {
        method: Method::Get,
        path: "/metrics",
        query: Some("a=b"),
        host: Some("localhost:8080"),
        keeps_alive: true,
    };
    assert_eq!(curl, expected);
    let head = request("HEAD / HTTP/1.1\r\nhOST:\ta \r\nConnection: foo , CLOSE\r\n\r\n");
    assert_eq!((head.method, head.host, head.keeps_alive), (Method::Head, Some("a"), false));
    let absolute = request("GET http://b:1/c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((absolute.host, absolute.path), (Some("b:1"), "/c"));
    request("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-Continue\r\n\r\n");
    request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nX: \u{f1}\r\nEmpty:\r\n\r\n");
    assert_eq!(request("GET / HTTP/1.1\r\nHost:\r\n\r\n").host, Some(""));
}

#[test]
fn http_1_0_needs_no_host_and_closes() {
    let old = request("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.host, old.keeps_alive), (None, false));
    let old = request("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((old.host, old.keeps_alive), (Some("a"), false));
}

#[test]
fn attempts_at_smuggling_are_refused() {
    const BODY: &str = "expected a request without a body, found ";
    const HEADER: &str = "expected NAME: VALUE in each line behind the first";
    const LINE: &str = "expected METHOD TARGET HTTP/1.1 as the first line, found ";
    let cases: &[(&[u8], &str)] = &[
        (b"Host: a\r\nContent-Length: 5\r\n", BODY),
        (b"Host: a\r\nContent-Length: 00\r\n", BODY),
        (b"Host: a\r\nContent-Length: +0\r\n", BODY),
        (b"Host: a\r\nContent-Length: 0x0\r\n", BODY),
        (b"Host: a\r\nContent-Length: 0, 0\r\n", BODY),
        (b"Host: a\r\nContent-Length: -1\r\n", BODY),
        (b"Host: a\r\nContent-Length:\r\n", BODY),
        (b"Host: a\r\nContent-Length: 99999999999999999999\r\n", BODY),
        (b"Host: a\r\nTransfer-Encoding: chunked\r\n", BODY),
        (b"Host: a\r\nTransfer-Encoding: identity\r\n", BODY),
        (b"Host: a\r\nTransfer-Encoding:\r\n", BODY),
        (b"Host: a\r\ntRANSFER-eNCODING: xchunked\r\nContent-Length: 0\r\n", BODY),
        (b"Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n", "expected at most one Content"),
        (b"Host: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n", "expected at most one Content"),
        (b"Host: a\r\nHost: a\r\n", "expected one Host header, found 2"),
        (b"Host: a\r\nhost: b\r\nHOST: c\r\n", "expected one Host header, found 3"),
        (b"X: a\r\n", "expected one Host header, found none"),
        (b"Host: a/b\r\n", "expected HOST or HOST:PORT"),
        (b"Host: u@a\r\n", "expected HOST or HOST:PORT"),
        (b"Host: a b\r\n", "expected HOST or HOST:PORT"),
        (b"Host: \xff\r\n", "expected HOST or HOST:PORT"),
        (b"Host: a\r\nContent-Length : 5\r\n", HEADER),
        (b"Host: a\r\nTransfer-Encoding\t: chunked\r\n", HEADER),
        (b"Host: a\r\n Content-Length: 5\r\n", HEADER),
        (b"Host: a\r\nX: a\r\n folded\r\n", HEADER),
        (b"Host: a\r\n: value\r\n", HEADER),
        (b"Host: a\r\nX\r\n", HEADER),
        (b"Host: a\r\nX: a\x00b\r\n", HEADER),
        (b"Host: a\r\nX: a\rb\r\n", HEADER),
        (b"Host: a\r\nX: a\rContent-Length: 5\r\n", HEADER),
        (b"Host: a\r\nX: a\r\r\n", HEADER),
        (b"Host: a\r\nX\xc3\xb1: b\r\n", HEADER),
        (b"Host: a\nX: b\r\n", "expected CR LF at the end of each line, found LF alone at byte 23"),
        (b"Host: a\r\nX: b\n\r\n", "expected CR LF"),
    ];
    for (headers, text) in cases {
        let found = refused(&[b"GET / HTTP/1.1\r\n", *headers, b"\r\n"].concat());
        assert!(
            found.0 == 400 && found.1.starts_with(text),
            "{}: {found:?}",
            headers.escape_ascii()
        );
    }
    let cases: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\n\n", "expected CR LF"),
        (b"GET /\r\n\r\n", LINE),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET / a HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HEADER),
        (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET / XTTP/1.1\r\nHost: a\r\n\r\n", LINE),
        (b"GET /\xc3\xb1 HTTP/1.1\r\nHost: a\r\n\r\n", "expected /PATH"),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "expected /PATH"),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "expected /PATH"),
        (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "expected /PATH"),
        (b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", "expected /PATH"),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", "expected one Host header, found none"),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "expected at most one empty line"),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "expected CR LF"),
    ];
    for (head, text) in cases {
        let found = refused(head);
        assert!(found.0 == 400 && found.1.starts_with(text), "{}: {found:?}", head.escape_ascii());
    }
}

#[test]
fn what_is_no_http_1_is_told_so() {
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").0, 505);
    let (code, text) = refused(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n");
    assert_eq!((code, &text[..]), (505, "expected HTTP/1.1 or HTTP/1.0, found \"HTTP/1.2\""));
    let (code, text) = refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(code, 400);
    assert!(text.ends_with("found the beginning of TLS, which isn't spoken here"), "{text}");
    assert_eq!(
        refused(b"\x01\x00\x00"),
        (400, "expected a request of HTTP/1.1, found the byte 0x01".into())
    );
}

#[test]
fn other_methods_are_not_allowed_whatever_they_bring() {
    for method in
        ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "GETX", "M-SEARCH"]
    {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        let text = format!("expected GET or HEAD, found \"{method}\"");
        assert_eq!(refused(head.as_bytes()), (405, text));
    }
    assert_eq!(refused(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n").0, 405);
    assert_eq!(refused(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").0, 405);
}

#[test]
fn an_expectation_is_not_met() {
    let found = refused(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n");
    let text = "expected no Expect header but 100-continue, found \"the-unexpected\"";
    assert_eq!(found, (417, text.to_owned()));
}

#[test]
fn targets_and_headers_have_a_maximum() {
    let with_target =
        |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    assert_eq!(request(&with_target(2048)).path.len(), 2048);
    let (code, text) = refused(with_target(2049).as_bytes());
    assert_eq!((code, &text[..]), (414, "expected a target of at most 2048 bytes, found 2049"));
    assert_eq!(refused(with_target(20_000).as_bytes()).0, 414);

    let with_headers =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    request(&with_headers(100));
    assert_eq!(
        refused(with_headers(101).as_bytes()),
        (431, "expected at most 100 headers, found more".into())
    );

    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(16 * 1024));
    let (code, text) = refused(large.as_bytes());
    let expected = "expected a head of at most 16384 bytes, found more than that without its end";
    assert_eq!((code, &text[..]), (431, expected));
}

#[test]
fn texts_are_short_whatever_was_found() {
    let long = "\u{1}".repeat(2000);
    for head in [
        format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "X".repeat(9000)),
        format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2000)),
        format!("GET / HTTP/{}\r\nHost: a\r\n\r\n", "9".repeat(9000)),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "/".repeat(9000)),
        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", "1".repeat(9000)),
        format!("GET / HTTP/1.1\r\nHost: a\r\nExpect: {}\r\n\r\n", "\u{80}".repeat(4000)),
    ] {
        let (_, text) = refused(head.as_bytes());
        assert!(text.len() < 400, "{text}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{text}");
    }
}

#[test]
fn status_codes_are_the_numbers_of_the_standard() {
    let codes = [
        (StatusCode::Ok, 200),
        (StatusCode::BadRequest, 400),
        (StatusCode::NotFound, 404),
        (StatusCode::MethodNotAllowed, 405),
        (StatusCode::RequestTimeout, 408),
        (StatusCode::UriTooLong, 414),
        (StatusCode::ExpectationFailed, 417),
        (StatusCode::MisdirectedRequest, 421),
        (StatusCode::HeadTooLarge, 431),
        (StatusCode::ServiceUnavailable, 503),
        (StatusCode::VersionNotSupported, 505),
    ];
    for (code, number) in codes {
        assert_eq!(code.number(), number, "{}", code.phrase());
    }
}
