//! Any bytes, cut anywhere: the same requests and the same error as in one piece, nothing taken from
//! behind a request, no more held than a head may have. What is decoded can be written again.

use http1::{Method, Request, RequestDecoder, RequestError};
use proptest::prelude::*;

const MAX_HEAD: usize = 300;

/// What a stream comes to: its requests written again, where each ends, and what is wrong behind them.
#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<(Vec<u8>, usize)>,
    error: Option<RequestError>,
}

/// The shortest head that asks for the same.
fn written(request: &Request<'_>) -> Vec<u8> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let host = request.host.map(|host| format!("Host: {host}\r\n")).unwrap_or_default();
    let version = if request.host.is_some() { "HTTP/1.1" } else { "HTTP/1.0" };
    let close = if request.keeps_alive { "" } else { "Connection: close\r\n" };
    format!("{method} {}{query} {version}\r\n{host}{close}\r\n", request.path).into_bytes()
}

/// Decodes a stream that arrives up to each of `arrivals`, in ascending order, and then whole.
fn decode(stream: &[u8], arrivals: &[usize]) -> Outcome {
    let mut heads = RequestDecoder::new(MAX_HEAD);
    let (mut outcome, mut from) = (Outcome { requests: Vec::new(), error: None }, 0);
    for &to in arrivals.iter().chain([&stream.len()]) {
        loop {
            match heads.decode(&stream[from..to]) {
                Ok(Some(decoded)) => {
                    assert!((1..=to - from).contains(&decoded.used) && decoded.used <= MAX_HEAD);
                    from += decoded.used;
                    outcome.requests.push((written(&decoded.request), from));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(heads.decode(&stream[from..]), Err(error.clone()), "it stays");
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
        assert!(to - from < MAX_HEAD, "more is held than a head may have");
    }
    outcome
}

/// Lines and pieces of lines, right and wrong: any bytes would hardly ever come to a whole head.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "HEAD /a?b HTTP/1.1\r\n", "GET /a HTTP/1.0\r\n", "Host: a\r\n",
            "Host: a\r\n\r\n", "\r\n", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Connection: close\r\n", "Content-Length: 0\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec![
            "\n", "\r", "\0", "POST / HTTP/1.1\r\n", "Content-Length: 5\r\n\r\nhello", "\u{16}", " ",
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..20),
        1 => (1_usize..400).prop_map(|length| vec![b'x'; length]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

/// A head that is a request, and the head that asks for the same.
fn valid() -> impl Strategy<Value = (String, Vec<u8>)> {
    let header = "[A-Za-z][A-Za-z-]{0,8}x: [ -~]{0,12}\r\n";
    let headers = prop::collection::vec(header, 0..4).prop_map(|lines| lines.concat());
    let parts =
        ("GET|HEAD", "/[a-z/%.]{0,9}", prop::option::of("[a-z=&?]{0,9}"), "[a-z.:0-9]{0,9}");
    (parts, headers, any::<bool>(), any::<bool>()).prop_map(|(parts, headers, is_first, closes)| {
        let (method, path, query, host) = parts;
        let target = path + &query.map(|query| format!("?{query}")).unwrap_or_default();
        let close = if closes { "Connection: close\r\n" } else { "" };
        let (line, host) = (format!("{method} {target} HTTP/1.1\r\n"), format!("Host: {host}\r\n"));
        let shortest = format!("{line}{host}{close}\r\n").into_bytes();
        let lines = if is_first { host + &headers } else { headers + &host };
        (format!("{line}{lines}{close}\r\n"), shortest)
    })
}

proptest! {
    #[test]
    fn any_cut_comes_to_the_same(
        stream in stream(),
        arrivals in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let whole = decode(&stream, &[]);
        let mut arrivals: Vec<_> =
            arrivals.iter().map(|arrival| arrival.index(stream.len() + 1)).collect();
        arrivals.sort_unstable();
        prop_assert_eq!(&decode(&stream, &arrivals), &whole);
        let each_byte: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(&decode(&stream, &each_byte), &whole);
    }

    #[test]
    fn what_is_decoded_decodes_to_the_same_again(stream in stream()) {
        for (head, _) in decode(&stream, &[]).requests {
            let again = decode(&head, &[]);
            prop_assert_eq!(again.requests, vec![(head.clone(), head.len())]);
            prop_assert_eq!(again.error, None);
        }
    }

    #[test]
    fn what_is_valid_is_understood((head, shortest) in valid()) {
        let outcome = decode(head.as_bytes(), &[]);
        prop_assert_eq!(outcome, Outcome { requests: vec![(shortest, head.len())], error: None });
    }

    #[test]
    fn what_follows_a_request_changes_nothing_of_it((head, _) in valid(), rest in stream()) {
        let alone = decode(head.as_bytes(), &[]);
        let followed = decode(&[head.as_bytes(), &rest].concat(), &[]);
        prop_assert_eq!(&followed.requests[..1], &alone.requests[..]);
    }
}
