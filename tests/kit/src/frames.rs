//! Frames in short, and responses in words.

use std::io::Write as _;
use std::net::TcpStream;

use wire::{BatchBuilder, Bet, FrameDecoder, HEADER_LEN, Position, Push, Request, Response};

use crate::reads;

/// The responses in these bytes, in words, and what follows the last whole one.
pub fn responses(bytes: &[u8]) -> (Vec<String>, &[u8]) {
    let (mut input, mut decoded) = (bytes, Vec::new());
    while let Some(frame) = FrameDecoder::default().decode(input).expect("frames") {
        decoded.push(words(&Response::decode(frame).expect("a response")));
        input = &input[frame.used()..];
    }
    (decoded, input)
}

/// Sends a request, and gives the one response in words.
pub fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).expect("it takes input");
    let mut input = Vec::new();
    loop {
        let (mut decoded, _) = responses(&input);
        if let Some(response) = decoded.pop() {
            return response;
        }
        let mut bytes = [0; 1024];
        let count = reads::read(stream, &mut bytes).expect("it answers");
        assert!(count > 0, "it has ended");
        input.extend_from_slice(&bytes[..count]);
    }
}

fn words(response: &Response<'_>) -> String {
    match response {
        Response::Welcome { consumed, rejected, phase, .. } => {
            format!("welcome {consumed} rejected {rejected} {phase:?}")
        }
        Response::Stored { consumed } => format!("stored {consumed}"),
        Response::Rejected { consumed, index, field, .. } => {
            format!("rejected {consumed} index {index} {field:?}")
        }
        Response::Unavailable { consumed, .. } => format!("unavailable {consumed}"),
        Response::Finished { stored, rejected } => format!("finished {stored} {rejected}"),
        Response::Winners(winners) => {
            let documents =
                winners.documents().map(|one| String::from_utf8_lossy(one).into_owned());
            format!("winners {} {}", winners.last, documents.collect::<Vec<_>>().join(","))
        }
        Response::Error { code, .. } => format!("error {code:?}"),
        Response::UnknownError { code, .. } => format!("unknown error {code}"),
    }
}

/// The frame of a request.
pub fn bytes(request: &Request<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut out);
    out
}

/// HELLO of an agency of the unnamed draw, as a frame.
pub fn hello(agency: wire::Agency) -> Vec<u8> {
    bytes(&Request::Hello { agency, draw: None })
}

/// HELLO of an agency of a draw with this name, as a frame.
///
/// # Panics
/// When it is none.
pub fn hello_of(agency: wire::Agency, draw: &str) -> Vec<u8> {
    bytes(&Request::Hello { agency, draw: Some(draw.parse().expect("a draw's name")) })
}

/// HELLO of a version that names no draw but isn't known, as a frame.
pub fn hello_of_version(version: u8, agency: wire::Agency) -> Vec<u8> {
    let mut frame = hello(agency);
    frame[HEADER_LEN] = version;
    frame
}

/// END after so many bets, as a frame.
pub fn end(total: Position) -> Vec<u8> {
    bytes(&Request::End { total })
}

/// A batch of bets with these documents and numbers.
pub fn batch(position: Position, bets: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for (document, number) in bets {
        let fields = ["Ana", "Paz", document, "2000-01-01", number].map(str::as_bytes);
        assert_eq!(builder.push(&Bet::from_fields(fields)), Ok(Push::Added));
    }
    bytes(&Request::Batch(builder.batch(position)))
}
