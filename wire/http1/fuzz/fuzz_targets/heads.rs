//! Any bytes are requests or an error, the same ones wherever the stream is cut; what was decoded, and
//! written again, decodes to the same.

#![no_main]

use http1::{Method, Request, RequestDecoder, RequestError};
use libfuzzer_sys::fuzz_target;

const MAX_HEAD: usize = 512;

/// Where each request ends, and what is wrong behind the last.
type Outcome = (Vec<usize>, Option<RequestError>);

fuzz_target!(|input: &[u8]| {
    let Some((&step, stream)) = input.split_first() else { return };
    let cut = decode(stream, usize::from(step).max(1));
    assert_eq!(cut, decode(stream, stream.len().max(1)));
});

/// Decodes a stream that arrives `step` bytes at a time.
fn decode(stream: &[u8], step: usize) -> Outcome {
    let mut decoder = RequestDecoder::new(MAX_HEAD);
    let (mut ends, mut from, mut to) = (Vec::new(), 0, 0);
    while to < stream.len() {
        to = stream.len().min(to + step);
        loop {
            match decoder.decode(&stream[from..to]) {
                // The error stays the same, however much follows.
                Err(error) => {
                    assert_eq!(decoder.decode(&stream[from..]), Err(error.clone()));
                    assert!(error.to_string().len() < 512);
                    return (ends, Some(error));
                }
                Ok(None) => break,
                Ok(Some(decoded)) => {
                    assert!(decoded.used <= to - from);
                    check_written(&decoded.request);
                    from += decoded.used;
                    ends.push(from);
                }
            }
        }
        assert!(to - from < MAX_HEAD, "more is held than a head may have");
    }
    (ends, None)
}

/// The shortest head that asks for the same comes to the same request.
fn check_written(request: &Request<'_>) {
    let method = if request.method == Method::Get { "GET" } else { "HEAD" };
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let host = request.host.map(|host| format!("Host: {host}\r\n")).unwrap_or_default();
    let version = if request.host.is_some() { "HTTP/1.1" } else { "HTTP/1.0" };
    let close = if request.keeps_alive { "" } else { "Connection: close\r\n" };
    let head = format!("{method} {}{query} {version}\r\n{host}{close}\r\n", request.path);
    let mut decoder = RequestDecoder::new(2 * MAX_HEAD);
    let again = decoder.decode(head.as_bytes()).expect("a request").expect("a whole head");
    assert_eq!((again.request, again.used), (*request, head.len()));
}
