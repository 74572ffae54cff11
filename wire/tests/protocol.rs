//! The protocol, byte by byte: what every message looks like on the network.
//!
//! Reads like the byte tables of docs/protocol.md, and holds the code to them. In a row of bytes, `|` stands
//! between two fields and means nothing else, and what is in quotes is text. Every row is checked
//! in both directions: the message gives these bytes, and these bytes give the message.

use wire::frame::FRAME_MAX;
use wire::response::REASON_MAX;
use wire::{
    BatchBuilder, Bet, Checksum, DRAW_NAME_MAX, DrawName, ErrorCode, Field, Frame, FrameDecoder,
    HEADER_LEN, MAGIC, Phase, Push, Request, Response, VERSIONS, WinnersBuilder,
};

// The frame: magic, kind, length of the whole frame in two bytes, then the body.

#[test]
fn a_frame_is_a_header_of_four_bytes_and_a_body() {
    let input = bytes("be 7f 00 07 | 'abc'");
    let frame = FrameDecoder::default().decode(&input).unwrap();
    assert_eq!(frame, Some(Frame { kind: 0x7f, body: b"abc" }));
}

#[test]
fn the_numbers_that_hold_everywhere() {
    assert_eq!(MAGIC, 0xbe);
    assert_eq!(HEADER_LEN, 4);
    assert_eq!(FRAME_MAX, 8192);
    assert_eq!(VERSIONS, [1, 2]);
    assert_eq!(DRAW_NAME_MAX, 64);
    assert_eq!(REASON_MAX, 1024);
}

// Requests: agency to central, kinds below 0x80.

#[test]
fn hello_of_the_unnamed_draw_brings_version_1_and_the_agency() {
    let hello = Request::Hello { agency: 5, draw: None };
    assert_request("be 01 00 09 | 01 | 00 00 00 05", hello);

    let largest = Request::Hello { agency: u32::MAX, draw: None };
    assert_request("be 01 00 09 | 01 | ff ff ff ff", largest);
}

#[test]
fn hello_of_a_draw_with_a_name_brings_version_2_the_agency_and_the_name() {
    let hello = Request::Hello { agency: 5, draw: Some(draw("2026-11-27")) };
    assert_request("be 01 00 14 | 02 | 00 00 00 05 | 0a '2026-11-27'", hello);

    let shortest = Request::Hello { agency: 1, draw: Some(draw("_")) };
    assert_request("be 01 00 0b | 02 | 00 00 00 01 | 01 '_'", shortest);

    let name = "Navidad.2026_final-".repeat(4)[..64].to_owned();
    let longest = Request::Hello { agency: u32::MAX, draw: Some(draw(&name)) };
    assert_request(&format!("be 01 00 4a | 02 | ff ff ff ff | 40 '{name}'"), longest);
}

#[test]
fn a_single_bet_is_a_batch_of_one_with_a_kind_of_its_own() {
    let batch = batch_of(&[FIRST]);
    assert_request(
        "be 02 00 36
         | 00 00 00 00 00 00 00 00 | 00 01
         | 08 'Santiago' | 05 'Lorca' | 08 '30904465' | 0a '1999-03-17' | 04 '7574'",
        Request::Bet(batch.batch(0)),
    );
}

#[test]
fn a_batch_brings_its_position_its_count_and_its_bets() {
    let batch = batch_of(&[FIRST, SECOND]);
    assert_request(
        "be 03 00 57
         | 00 00 00 01 00 00 00 02 | 00 02
         | 08 'Santiago' | 05 'Lorca' | 08 '30904465' | 0a '1999-03-17' | 04 '7574'
         | 03 'Ana' | 06 'Nu' c3 b1 'ez' | 08 '04123456' | 0a '2000-02-29' | 01 '0'",
        Request::Batch(batch.batch(0x1_0000_0002)),
    );
}

#[test]
fn a_bet_may_be_five_empty_texts_and_any_bytes() {
    let any = Bet { first_name: b"\x00\xff|\n", ..Bet::default() };
    assert_request(
        "be 03 00 1c
         | 00 00 00 00 00 00 00 00 | 00 02
         | 04 00 ff 7c 0a | 00 | 00 | 00 | 00
         | 00 | 00 | 00 | 00 | 00",
        Request::Batch(batch_of(&[any, Bet::default()]).batch(0)),
    );
}

#[test]
fn end_brings_the_total() {
    assert_request("be 04 00 0c | 00 00 00 00 00 00 69 38", Request::End { total: 26_936 });
}

#[test]
fn asking_for_winners_needs_no_body() {
    assert_request("be 05 00 04", Request::Winners);
}

// Responses: central to agency, kinds from 0x80 on.

#[test]
fn welcome_holds_the_state_of_the_agency() {
    for (phase, byte) in [(Phase::Open, "00"), (Phase::Finished, "01"), (Phase::Drawn, "02")] {
        assert_response(
            &format!(
                "be 81 00 19
                 | 00 00 00 00 00 00 00 02 | 1f 0f e9 d4 | 00 00 00 00 00 00 00 01 | {byte}"
            ),
            Response::Welcome { consumed: 2, checksum: Checksum(0x1f0f_e9d4), rejected: 1, phase },
        );
    }
}

#[test]
fn stored_brings_the_position_reached() {
    let stored = Response::Stored { consumed: 100 };
    assert_response("be 82 00 0c | 00 00 00 00 00 00 00 64", stored);
}

#[test]
fn rejected_names_bet_and_field_and_says_why() {
    let fields = [
        (Field::FirstName, "01"),
        (Field::LastName, "02"),
        (Field::Document, "03"),
        (Field::Birthdate, "04"),
        (Field::Number, "05"),
    ];
    for (field, byte) in fields {
        assert_response(
            &format!("be 83 00 12 | 00 00 00 00 00 00 00 64 | 00 07 | {byte} | 'a' c3 b1"),
            Response::Rejected { consumed: 100, index: 7, field, reason: "añ" },
        );
    }
}

#[test]
fn unavailable_names_the_position_to_go_on_from() {
    assert_response(
        "be 84 00 15 | 00 00 00 00 00 00 00 64 | 'disk full'",
        Response::Unavailable { consumed: 100, reason: "disk full" },
    );
}

#[test]
fn finished_brings_stored_and_rejected() {
    assert_response(
        "be 85 00 14 | 00 00 00 00 00 00 69 38 | 00 00 00 00 00 00 00 64",
        Response::Finished { stored: 26_936, rejected: 100 },
    );
}

#[test]
fn winners_are_documents_and_whether_the_list_ends() {
    let several = winners(true, &["30904465", "04123456"]);
    assert_eq!(several, bytes("be 86 00 19 | 01 | 00 02 | 08 '30904465' | 08 '04123456'"));

    let more_to_come = winners(false, &["1234567"]);
    assert_eq!(more_to_come, bytes("be 86 00 0f | 00 | 00 01 | 07 '1234567'"));

    let none = winners(true, &[]);
    assert_eq!(none, bytes("be 86 00 07 | 01 | 00 00"));

    for frame in [several, more_to_come, none] {
        let response = Response::decode(whole_frame(&frame)).unwrap();
        assert!(matches!(response, Response::Winners(_)), "found {response:?}");
        assert_eq!(encode_response(&response), frame);
    }
}

#[test]
fn an_error_brings_a_code_for_programs_and_a_reason_for_people() {
    assert_response(
        "be ff 00 08 | 08 | 'gap'",
        Response::Error { code: ErrorCode::Gap, reason: "gap" },
    );
    assert_response(
        "be ff 00 05 | 10",
        Response::Error { code: ErrorCode::ShuttingDown, reason: "" },
    );
}

#[test]
fn every_error_code_has_its_number_and_some_invite_another_try() {
    let codes = [
        (1, ErrorCode::Malformed, false),
        (2, ErrorCode::Oversized, false),
        (3, ErrorCode::UnknownKind, false),
        (4, ErrorCode::Version, false),
        (5, ErrorCode::UnknownAgency, false),
        (6, ErrorCode::NotIntroduced, false),
        (7, ErrorCode::AlreadyIntroduced, false),
        (8, ErrorCode::Gap, true),
        (9, ErrorCode::Overlap, false),
        (10, ErrorCode::Finished, false),
        (11, ErrorCode::Drawn, false),
        (12, ErrorCode::WrongTotal, false),
        (13, ErrorCode::NotFinished, false),
        (14, ErrorCode::Superseded, false),
        (15, ErrorCode::Timeout, true),
        (16, ErrorCode::ShuttingDown, true),
        (17, ErrorCode::TlsRequired, false),
        (18, ErrorCode::CertificateRequired, false),
        (19, ErrorCode::CertificateRevoked, false),
        (20, ErrorCode::WrongAgency, false),
        (21, ErrorCode::WrongAddress, false),
        (22, ErrorCode::WrongDraw, false),
        (23, ErrorCode::StoreUnreachable, true),
    ];
    for (number, code, transient) in codes {
        assert_eq!(code as u8, number);
        assert_eq!(ErrorCode::try_from(number), Ok(code));
        assert_eq!(code.is_transient(), transient, "{code:?}");
        let elsewhere = transient || code == ErrorCode::Superseded;
        assert_eq!(code.is_transient_elsewhere(), elsewhere, "{code:?}");
    }
    for unknown in (0..=u8::MAX).filter(|number| !(1..=23).contains(number)) {
        ErrorCode::try_from(unknown).unwrap_err();
    }
}

// The checksum: CRC-32 as zlib computes it, over the bets as they travel.

#[test]
fn the_checksum_is_crc_32_over_the_encoded_bets() {
    let batch = batch_of(&[FIRST, SECOND]);
    let checksum = Checksum::default().extended(batch.batch(0).encoded);
    assert_eq!(checksum, Checksum(0x1f0f_e9d4), "what Python's zlib.crc32 gives for these bytes");
    assert_eq!(checksum.to_string(), "1f0fe9d4");
    assert_eq!(Checksum::default(), Checksum(0), "of no bet at all");
}

const FIRST: Bet<'static> = Bet {
    first_name: b"Santiago",
    last_name: b"Lorca",
    document: b"30904465",
    birthdate: b"1999-03-17",
    number: b"7574",
};

const SECOND: Bet<'static> = Bet {
    first_name: b"Ana",
    last_name: "Nuñez".as_bytes(),
    document: b"04123456",
    birthdate: b"2000-02-29",
    number: b"0",
};

fn draw(name: &str) -> DrawName {
    name.parse().expect("a name")
}

fn batch_of(bets: &[Bet<'_>]) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    for bet in bets {
        assert_eq!(batch.push(bet), Ok(Push::Added));
    }
    batch
}

fn winners(last: bool, documents: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut builder = WinnersBuilder::new(&mut out);
    for document in documents {
        assert!(builder.push(document.as_bytes()));
    }
    builder.finish(last);
    out
}

fn assert_request(spec: &str, request: Request<'_>) {
    let expected = bytes(spec);
    let mut encoded = Vec::new();
    request.encode(&mut encoded);
    assert_eq!(encoded, expected, "{request:?}");
    assert_eq!(Request::decode(whole_frame(&expected)), Ok(request));
}

fn assert_response(spec: &str, response: Response<'_>) {
    let expected = bytes(spec);
    assert_eq!(encode_response(&response), expected, "{response:?}");
    assert_eq!(Response::decode(whole_frame(&expected)), Ok(response));
}

fn encode_response(response: &Response<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    response.encode(&mut out);
    out
}

/// The one frame that `input` is.
fn whole_frame(input: &[u8]) -> Frame<'_> {
    let frame = FrameDecoder::default()
        .decode(input)
        .expect("two hexadecimal digits")
        .expect("a whole frame");
    assert_eq!(frame.used(), input.len());
    frame
}

/// The bytes of a row: hexadecimal pairs, texts in quotes, and `|` for the reader's eye.
fn bytes(spec: &str) -> Vec<u8> {
    let parts = spec.split('\'').enumerate();
    parts.flat_map(|(index, part)| if index % 2 == 0 { hex(part) } else { part.into() }).collect()
}

fn hex(pairs: &str) -> Vec<u8> {
    let pairs = pairs.split_whitespace().filter(|&pair| pair != "|");
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two hexadecimal digits")).collect()
}
