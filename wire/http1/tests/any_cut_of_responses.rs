//! Any bytes, cut anywhere: the same responses and the same error as in one piece, no more held than has
//! a maximum. A response that was written comes back, whichever way its body ends.

use http1::limits::{CHUNK_LINE_MAX, TRAILERS_MAX};
use http1::{BodyEnd, ResponseDecoder, ResponseError, ResponseHead, ResponseLimits, ResponsePart};
use proptest::prelude::*;

const LIMITS: ResponseLimits = ResponseLimits { max_head: 300, max_body: 1000 };

/// What a stream comes to: heads and bodies, how many of them are whole, what is wrong behind them, and
/// what its end says.
#[derive(Debug, PartialEq)]
struct Outcome {
    responses: Vec<(ResponseHead, Vec<u8>)>,
    whole: usize,
    error: Option<ResponseError>,
    end: Result<bool, ResponseError>,
}

/// Decodes a stream that arrives up to each of `arrivals`, in ascending order, and then whole.
fn decode(stream: &[u8], arrivals: &[usize]) -> Outcome {
    let mut decoder = ResponseDecoder::new(LIMITS);
    let (mut responses, mut whole, mut error, mut from) = (Vec::new(), 0, None, 0);
    for &to in arrivals.iter().chain([&stream.len()]) {
        while error.is_none() {
            match decoder.decode(&stream[from..to]) {
                Ok(next) => {
                    from += next.used;
                    assert!(from <= to);
                    match next.part {
                        Some(ResponsePart::Head(head)) => responses.push((head, Vec::new())),
                        Some(ResponsePart::Body(piece)) => {
                            assert!(!piece.is_empty());
                            responses.last_mut().expect("a head").1.extend_from_slice(piece);
                        }
                        Some(ResponsePart::End) => whole += 1,
                        None => break,
                    }
                }
                Err(found) => {
                    assert_eq!(decoder.decode(&stream[from..]), Err(found.clone()), "it stays");
                    error = Some(found);
                }
            }
        }
        let held = LIMITS.max_head.max(CHUNK_LINE_MAX).max(TRAILERS_MAX);
        assert!(error.is_some() || to - from < held, "more is held than has a maximum");
    }
    let end = decoder.finish(&stream[from..]);
    Outcome { responses, whole, error, end }
}

/// Lines and pieces of lines, right and wrong: any bytes would hardly ever come to a whole head.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n", "HTTP/1.1 503 \r\nContent-Length: 3\r\n\r\nabc", "\r\n", "0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", "A: b\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n", "1;a=b\r\nx\r\n", "0\r\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Connection: close\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec![
            "\n", "\r", "\0", "HTTP/1.0 200 OK\r\n\r\n", "Content-Length: 5\r\n", " ", "ffff\r\n",
            "Transfer-Encoding: chunked\r\n", "HTTP/2", "5\nhello", "HTTP/1.1 204 \r\n\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..20),
        1 => (1_usize..1500).prop_map(|length| vec![b'x'; length]),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

fn arrivals() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..20)
}

fn sorted(arrivals: &[prop::sample::Index], length: usize) -> Vec<usize> {
    let mut sorted: Vec<_> = arrivals.iter().map(|arrival| arrival.index(length + 1)).collect();
    sorted.sort_unstable();
    sorted
}

/// A response as it is written, and what it is.
type Written = (Vec<u8>, (ResponseHead, Vec<u8>));

fn response(body_end: BodyEnd, status: u16, chunks: &[Vec<u8>], extension: &str) -> Written {
    let body = chunks.concat();
    let body_end = if let BodyEnd::Length(_) = body_end {
        BodyEnd::Length(body.len() as u64)
    } else {
        body_end
    };
    let (header, sent) = match body_end {
        BodyEnd::Length(length) => (format!("Content-Length: {length}\r\n"), body.clone()),
        BodyEnd::Close => (String::new(), body.clone()),
        BodyEnd::Chunked => {
            let mut sent = Vec::new();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                sent.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
                sent.extend_from_slice(chunk);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"0\r\nA: b\r\n\r\n");
            ("Transfer-Encoding: chunked\r\n".to_owned(), sent)
        }
    };
    let head = format!("HTTP/1.1 {status} Reason\r\nX: y\r\n{header}\r\n");
    let keeps_alive = body_end != BodyEnd::Close;
    ([head.as_bytes(), &sent].concat(), (ResponseHead { status, body_end, keeps_alive }, body))
}

fn written(body_end: impl Strategy<Value = BodyEnd>) -> impl Strategy<Value = Written> {
    let status = prop::sample::select(vec![200_u16, 400, 401, 429, 503]);
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5);
    (body_end, status, chunks, "|;a|;a=\"b;c\"").prop_map(
        |(body_end, status, chunks, extension)| response(body_end, status, &chunks, &extension),
    )
}

proptest! {
    #[test]
    fn any_cut_comes_to_the_same(stream in stream(), arrivals in arrivals()) {
        let whole = decode(&stream, &[]);
        prop_assert_eq!(&decode(&stream, &sorted(&arrivals, stream.len())), &whole);
        let each_byte: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(&decode(&stream, &each_byte), &whole);
    }

    #[test]
    fn what_was_written_comes_back(
        kept in prop::collection::vec(written(prop_oneof![Just(BodyEnd::Length(0)), Just(BodyEnd::Chunked)]), 0..4),
        last in prop::option::of(written(Just(BodyEnd::Close))),
        arrivals in arrivals(),
    ) {
        let responses: Vec<_> = kept.iter().chain(&last).cloned().collect();
        let stream = responses.iter().map(|(bytes, _)| &bytes[..]).collect::<Vec<_>>().concat();
        let outcome = decode(&stream, &sorted(&arrivals, stream.len()));
        let expected = Outcome {
            responses: responses.into_iter().map(|(_, response)| response).collect(),
            whole: kept.len(),
            error: None,
            end: Ok(last.is_some()),
        };
        prop_assert_eq!(outcome, expected);
    }

    #[test]
    fn a_response_that_is_cut_is_not_whole(
        written in written(prop_oneof![Just(BodyEnd::Length(0)), Just(BodyEnd::Chunked)]),
        cut in any::<prop::sample::Index>(),
    ) {
        let (bytes, _) = written;
        let length = 1 + cut.index(bytes.len());
        let outcome = decode(&bytes[..length], &[]);
        let is_whole = length == bytes.len();
        prop_assert_eq!(outcome.whole, usize::from(is_whole));
        prop_assert_eq!(outcome.end, if is_whole { Ok(false) } else { Err(ResponseError::Cut) });
    }
}
