//! Any bytes are responses or an error, the same ones wherever the stream is cut; a response that is
//! written again, its body with its length before it, decodes to the same.

#![no_main]

use http1::limits::{CHUNK_LINE_MAX, TRAILERS_MAX};
use http1::{BodyEnd, ResponseDecoder, ResponseError, ResponseHead, ResponseLimits, ResponsePart};
use libfuzzer_sys::fuzz_target;

const LIMITS: ResponseLimits = ResponseLimits { max_head: 512, max_body: 4096 };

/// Heads and bodies, how many of them are whole, and how it ends.
type Outcome = (Vec<(ResponseHead, Vec<u8>)>, usize, Result<bool, ResponseError>);

fuzz_target!(|input: &[u8]| {
    let Some((&step, stream)) = input.split_first() else { return };
    let cut = decode(stream, usize::from(step).max(1));
    assert_eq!(cut, decode(stream, stream.len().max(1)));
    for (head, body) in &cut.0[..cut.1] {
        check_written(*head, body);
    }
});

/// Decodes a stream that arrives `step` bytes at a time.
fn decode(stream: &[u8], step: usize) -> Outcome {
    let mut decoder = ResponseDecoder::new(LIMITS);
    let (mut responses, mut whole, mut from, mut to) = (Vec::new(), 0, 0, 0);
    while to < stream.len() {
        to = stream.len().min(to + step);
        loop {
            let next = match decoder.decode(&stream[from..to]) {
                Ok(next) => next,
                // The error stays the same, however much follows.
                Err(error) => {
                    assert_eq!(decoder.decode(&stream[from..]), Err(error.clone()));
                    assert!(error.to_string().len() < 512);
                    return (responses, whole, Err(error));
                }
            };
            from += next.used;
            match next.part {
                Some(ResponsePart::Head(head)) => responses.push((head, Vec::new())),
                Some(ResponsePart::Body(piece)) => {
                    let (_, body) = responses.last_mut().expect("a head comes first");
                    body.extend_from_slice(piece);
                    assert!(body.len() as u64 <= LIMITS.max_body);
                }
                Some(ResponsePart::End) => whole += 1,
                None => break,
            }
        }
        let held = LIMITS.max_head.max(CHUNK_LINE_MAX).max(TRAILERS_MAX);
        assert!(to - from < held, "more is held than has a maximum");
    }
    let end = decoder.finish(&stream[from..]);
    (responses, whole, end)
}

fn check_written(head: ResponseHead, body: &[u8]) {
    let length = body.len();
    let text = format!("HTTP/1.1 {} A\r\nContent-Length: {length}\r\n\r\n", head.status);
    let (responses, whole, end) = decode(&[text.as_bytes(), body].concat(), usize::MAX / 2);
    let body_end = BodyEnd::Length(length as u64);
    let expected = ResponseHead { status: head.status, body_end, keeps_alive: true };
    assert_eq!((whole, end), (1, Ok(false)));
    assert_eq!(responses, [(expected, body.to_vec())]);
}
