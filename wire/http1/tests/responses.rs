//! Which bytes are responses, and what is said of those that aren't: above all those that two readers
//! could take for different responses.

use http1::limits::{INTERIM_MAX, TRAILERS_MAX};
use http1::{BodyEnd, ResponseDecoder, ResponseError, ResponseHead, ResponseLimits, ResponsePart};

const LIMITS: ResponseLimits = ResponseLimits { max_head: 1024, max_body: 100 };

/// Head, body, bytes used, and whether its end is known without the connection's.
type Decoded = (ResponseHead, Vec<u8>, usize, bool);

fn decode(input: &[u8]) -> Result<Option<Decoded>, ResponseError> {
    let mut decoder = ResponseDecoder::new(LIMITS);
    let (mut head, mut body, mut from) = (None, Vec::new(), 0);
    loop {
        let next = decoder.decode(&input[from..])?;
        from += next.used;
        match next.part {
            Some(ResponsePart::Head(found)) => head = Some(found),
            Some(ResponsePart::Body(piece)) => body.extend_from_slice(piece),
            Some(ResponsePart::End) => return Ok(head.map(|head| (head, body, from, true))),
            None => return Ok(head.map(|head| (head, body, from, false))),
        }
    }
}

fn response(input: &str) -> Decoded {
    decode(input.as_bytes()).expect(input).expect("a whole head")
}

fn refused(input: &[u8]) -> String {
    decode(input).expect_err(&input.escape_ascii().to_string()).to_string()
}

#[test]
fn what_etcd_answers_is_understood() {
    // 3.4: an error, in one chunk with a trailer.
    let (head, body, ..) = response(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nTrailer: Grpc-Trailer-Content-Type\r\n\
         Date: Thu, 26 Nov 2026 08:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n\
         b\r\n{\"code\": 3}\r\n0\r\nGrpc-Trailer-Content-Type: application/grpc\r\n\r\n",
    );
    let expected = ResponseHead { status: 400, body_end: BodyEnd::Chunked, keeps_alive: true };
    assert_eq!((head, &body[..]), (expected, &b"{\"code\": 3}"[..]));
    // A response, and nothing of what follows it.
    let text =
        "HTTP/1.1 200 OK\r\nGrpc-Metadata-Content-Type: a\r\nContent-Length: 2\r\n\r\n{}HTTP";
    let (head, body, used, is_whole) = response(text);
    let expected = ResponseHead { status: 200, body_end: BodyEnd::Length(2), keeps_alive: true };
    assert_eq!((head, &body[..], used, is_whole), (expected, &b"{}"[..], text.len() - 4, true));
}

#[test]
fn a_body_ends_as_its_head_says() {
    let end = |headers: &str| response(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).0.body_end;
    assert_eq!(end(""), BodyEnd::Close);
    assert_eq!(end("content-LENGTH:\t007 \r\n"), BodyEnd::Length(7));
    assert_eq!(end("Transfer-Encoding: Chunked\r\n"), BodyEnd::Chunked);
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
        let (head, _, used, is_whole) = response(&text);
        assert_eq!((head.body_end, used, is_whole), (BodyEnd::Length(0), text.len(), true));
    }
}

#[test]
fn a_connection_is_kept_where_nothing_speaks_against_it() {
    let kept = |text: &str| response(text).0.keeps_alive;
    assert!(kept("HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: foo , CLOSE\r\n\r\n"));
    assert!(!kept("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200 OK\r\n\r\n"));
}

#[test]
fn interim_responses_are_skipped_but_not_for_ever() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let text = format!("{interim}{last}");
    assert_eq!(response(&text).2, text.len());
    let half = usize::from(INTERIM_MAX / 2);
    assert_eq!(response(&format!("{}{last}", interim.repeat(half))).0.status, 200);
    let error = refused(format!("{}{last}", interim.repeat(half + 1)).as_bytes());
    assert_eq!(error, "expected at most 8 interim responses, found more");
}

#[test]
fn what_has_two_ends_is_refused() {
    const HEADER: &str = "expected NAME: VALUE in each line behind the first";
    const LENGTH: &str = "expected digits as the Content-Length, found ";
    const CODING: &str = "expected chunked, of HTTP/1.1, as the Transfer-Encoding, found ";
    let cases: &[(&[u8], &str)] = &[
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "expected Content-Length or"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "expected Content-Length or"),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", "expected at most one Content-Length"),
        (b"Content-Length: 5\r\ncontent-length: 6\r\n", "expected at most one Content-Length"),
        (b"Content-Length: 5, 5\r\n", LENGTH),
        (b"Content-Length: +5\r\n", LENGTH),
        (b"Content-Length: -5\r\n", LENGTH),
        (b"Content-Length: 0x5\r\n", LENGTH),
        (b"Content-Length: 5 5\r\n", LENGTH),
        (b"Content-Length:\r\n", LENGTH),
        (b"Content-Length: 18446744073709551616\r\n", LENGTH),
        (b"Transfer-Encoding: identity\r\n", CODING),
        (b"Transfer-Encoding: xchunked\r\n", CODING),
        (b"Transfer-Encoding: gzip, chunked\r\n", CODING),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CODING),
        (b"Transfer-Encoding:\r\n", CODING),
        (b"Content-Length : 5\r\n", HEADER),
        (b"X: a\r\n Content-Length: 5\r\n", HEADER),
        (b"X: a\rb\r\n", HEADER),
        (b"X: a\0b\r\n", HEADER),
        (b": a\r\n", HEADER),
        (b"X: a\nContent-Length: 5\r\n", "expected CR LF at the end of each line"),
        (b"X: a\n\n", "expected CR LF at the end of each line"),
        (b"Content-Length: 101\r\n", "expected a body of at most 100 bytes, found more"),
    ];
    for (headers, text) in cases {
        let found = refused(&[b"HTTP/1.1 200 OK\r\n", *headers, b"\r\n"].concat());
        assert!(found.starts_with(text), "{}: {found}", headers.escape_ascii());
    }
    let old = refused(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(old, format!("{CODING}\"chunked\""));
}

#[test]
fn what_is_no_response_is_refused_as_soon_as_that_is_known() {
    const LINE: &str = "expected HTTP/1.1 STATUS REASON as the first line, found ";
    let cases: &[(&[u8], &str)] = &[
        (b"\x15\x03", "expected a response that begins with HTTP/1., found the byte 0x15 at 0"),
        (b"HTTP/2", "expected a response that begins with HTTP/1., found the byte 0x32 at 5"),
        (b"\r\nHTTP/1.1 200", "expected a response that begins with HTTP/1., found the byte 0x0d"),
        (b"HTTP/1.1 200 OK\n", "expected CR LF at the end of each line"),
        (b"HTTP/1.2 200 OK\r\n\r\n", LINE),
        (b"HTTP/1.1 20 OK\r\n\r\n", LINE),
        (b"HTTP/1.1 2000 OK\r\n\r\n", LINE),
        (b"HTTP/1.1  200 OK\r\n\r\n", LINE),
        (
            b"HTTP/1.1 101 Switching\r\n\r\n",
            "expected a status from 100 to 599 that isn't 101, found",
        ),
        (b"HTTP/1.1 099 A\r\n\r\n", "expected a status from 100 to 599"),
        (b"HTTP/1.1 600 A\r\n\r\n", "expected a status from 100 to 599"),
    ];
    for (input, text) in cases {
        let found = refused(input);
        assert!(found.starts_with(text), "{}: {found}", input.escape_ascii());
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(refused(many.as_bytes()), "expected at most 100 headers, found more");
}

#[test]
fn chunks_are_what_they_say() {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let text = chunked("5;a=b\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n000\r\nX: y\r\n\r\n");
    assert_eq!(response(&text).1, b"hello 0123456789");
    let cases = [
        ("5\r\nhello!\r\n", "expected CR LF at the end of a chunk, found the byte 0x21"),
        ("5\r\nhello\r!", "expected CR LF at the end of a chunk, found the byte 0x21"),
        ("5\r\nhello\n", "expected CR LF at the end of a chunk, found the byte 0x0a"),
        ("5\nhello", "expected CR LF at the end of each line"),
        ("g\r\n", "expected a chunk's length in hexadecimal digits, found \"g\""),
        ("0\r\nX\r\n\r\n", "expected NAME: VALUE"),
        ("0\r\n\n", "expected CR LF at the end of each line"),
        ("0\r\nX: y\n\r\n", "expected CR LF at the end of each line"),
        ("65\r\n", "expected a body of at most 100 bytes, found more"),
        ("ffffffffffffffff\r\n", "expected a body of at most 100 bytes, found more"),
    ];
    for (body, text) in cases {
        let found = refused(chunked(body).as_bytes());
        assert!(found.starts_with(text), "{body:?}: {found}");
    }
}

#[test]
fn each_size_has_the_maximum_and_no_byte_more() {
    let head = |length: usize| {
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(length - 24)).into_bytes()
    };
    assert!(decode(&head(LIMITS.max_head)).is_ok_and(|found| found.is_some()));
    let error = Err(ResponseError::HeadTooLarge { max: LIMITS.max_head });
    assert_eq!(decode(&head(LIMITS.max_head + 1)), error);
    assert_eq!(decode(&head(2000)[..LIMITS.max_head]), error, "no need to wait for more");
    let by = |length: usize, end: &str, last: &str| {
        let body = "x".repeat(length);
        decode(format!("HTTP/1.1 200 OK\r\n{end}\r\n{body}{last}").as_bytes())
    };
    let length = |found: Result<Option<Decoded>, _>| found.map(|found| found.map(|it| it.1.len()));
    let error = Err(ResponseError::BodyTooLarge { max: 100 });
    assert_eq!(length(by(100, "", "")), Ok(Some(100)));
    assert_eq!(length(by(101, "", "")), error);
    assert_eq!(length(by(100, "Content-Length: 100\r\n", "")), Ok(Some(100)));
    let chunked = "Transfer-Encoding: chunked\r\n\r\n32\r\n";
    let next = format!("\r\n32\r\n{}\r\n", "x".repeat(50));
    let two = chunked.to_owned() + &"x".repeat(48);
    assert_eq!(length(by(0, &two, &format!("{next}0\r\n\r\n"))), Ok(Some(100)));
    assert_eq!(length(by(0, &two, &format!("{next}1\r\n"))), error);
    let trailers = |length: usize| {
        let trailer = format!("X: {}\r\n\r\n", "a".repeat(length - 7));
        by(0, "Transfer-Encoding: chunked\r\n\r\n0", &trailer)
    };
    assert!(trailers(TRAILERS_MAX).is_ok_and(|found| found.is_some_and(|it| it.3)));
    assert_eq!(trailers(TRAILERS_MAX + 1), Err(ResponseError::TrailersTooLarge));
}

#[test]
fn the_status_of_a_response_whose_body_is_too_large_is_known() {
    let text = b"HTTP/1.1 503 A\r\nContent-Length: 101\r\n\r\n";
    let mut decoder = ResponseDecoder::new(LIMITS);
    let first = decoder.decode(text).expect("a head");
    let body_end = BodyEnd::Length(101);
    let head = ResponseHead { status: 503, body_end, keeps_alive: true };
    assert_eq!((first.part, first.used), (Some(ResponsePart::Head(head)), text.len()));
    let error = ResponseError::BodyTooLarge { max: 100 };
    assert_eq!(decoder.decode(b""), Err(error.clone()));
    assert_eq!(decoder.finish(b""), Err(error));
}

#[test]
fn a_connection_may_end_between_responses_or_with_a_body_that_ends_so() {
    let finished = |input: &[u8]| {
        let (mut decoder, mut from) = (ResponseDecoder::new(LIMITS), 0);
        loop {
            let next = decoder.decode(&input[from..]).expect("no error");
            from += next.used;
            if next.part.is_none() {
                break;
            }
        }
        let is_between = decoder.is_between_responses() && from == input.len();
        (is_between, decoder.finish(&input[from..]))
    };
    assert_eq!(finished(b""), (true, Ok(false)));
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(finished(whole), (true, Ok(false)));
    assert_eq!(finished(b"HTTP/1.1 200 OK\r\n\r\na"), (false, Ok(true)));
    assert_eq!(finished(b"HTTP/1.1 200 OK\r\n\r\n"), (false, Ok(true)));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for rest in ["", "5", "5\r\nhe", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nX: y\r\n"] {
        let input = format!("{chunked}{rest}");
        assert_eq!(finished(input.as_bytes()), (false, Err(ResponseError::Cut)), "{rest:?}");
    }
    for input in ["H", "HTTP/1.1 100 Continue\r\n\r\n"] {
        assert_eq!(finished(input.as_bytes()), (false, Err(ResponseError::Cut)), "{input:?}");
    }
    assert_eq!(finished(&whole[..whole.len() - 1]), (false, Err(ResponseError::Cut)));
}
