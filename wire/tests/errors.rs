//! Every error there is: the bytes that bring it about, and its message.

use wire::batch::FieldTooLong;
use wire::{BatchBuilder, Bet, Frame, FrameDecoder, LineDecoder, MessageError, Request, Response};

#[test]
fn streams_that_are_not_frames() {
    let decoder = FrameDecoder::new(100);
    let cases: [(&[u8], &str); 3] = [
        (b"hola\n", "a frame begins with byte 0xbe, found 0x68"),
        (b"\xbe\x01\x00\x03", "a frame is at least 4 bytes long, its header says 3"),
        (b"\xbe\x01\x00\x65", "a frame is at most 100 bytes long, its header says 101"),
    ];
    for (input, message) in cases {
        assert_eq!(decoder.decode(input).unwrap_err().to_string(), message);
    }
    let truncated = decoder.finish(b"\xbe\x01\x00").unwrap_err();
    assert_eq!(truncated.to_string(), "the stream ended inside a frame: 3 bytes of it had arrived",);
}

#[test]
fn a_line_without_end() {
    let error = LineDecoder::new(3).decode(b"1234").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a line is at most 3 bytes long, found more than that without a newline",
    );
}

#[test]
fn frames_that_are_not_requests() {
    let cases: [(u8, &[u8], &str); 20] = [
        (0x00, b"", "no message of this direction has the kind 0x00"),
        (0x81, b"", "no message of this direction has the kind 0x81"),
        (0x01, b"\x01\0\0\0", "the message needs at least 5 bytes after its header, found 4"),
        (0x01, b"\x01\0\0\0\x05\0", "the message has 5 bytes after its header, found 6"),
        (0x01, b"", "the message needs at least 1 bytes after its header, found 0"),
        (0x01, b"\0", "versions 1 and 2 are spoken, found 0"),
        // Whatever fields that version has.
        (0x01, b"\x03", "versions 1 and 2 are spoken, found 3"),
        (0x01, b"\xff\0\0\0\x05\x01a and more", "versions 1 and 2 are spoken, found 255"),
        (0x01, b"\x02\0\0\0\x05", "the message needs at least 6 bytes after its header, found 5"),
        (
            0x01,
            b"\x02\0\0\0\x05\x02a",
            "the message needs at least 8 bytes after its header, found 7",
        ),
        (0x01, b"\x02\0\0\0\x05\x01ab", "the message has 7 bytes after its header, found 8"),
        // The unnamed draw has no empty name: it is version 1's.
        (0x01, b"\x02\0\0\0\x05\0", "a draw's name has 1 to 64 bytes, found 0"),
        (
            0x01,
            b"\x02\0\0\0\x05\x03a/b",
            "a draw's name is of A-Z, a-z, 0-9, dots, dashes and underscores, found 0x2f at index 1",
        ),
        (
            0x01,
            b"\x02\0\0\0\x05\x01.",
            "a draw's name becomes a part of paths, where . and .. are folders: found .",
        ),
        (
            0x01,
            b"\x02\0\0\0\x05\x02..",
            "a draw's name becomes a part of paths, where . and .. are folders: found ..",
        ),
        (0x04, b"", "the message needs at least 8 bytes after its header, found 0"),
        (0x05, b"\0", "the message has 0 bytes after its header, found 1"),
        (0x03, &[0; 9], "the message needs at least 10 bytes after its header, found 9"),
        (0x03, &[0; 10], "a batch holds at least one bet, found 0"),
        (
            0x02,
            b"\0\0\0\0\0\0\0\0\0\x02",
            "the message for a single bet holds exactly one, found 2",
        ),
    ];
    for (kind, body, message) in cases {
        let error = Request::decode(Frame { kind, body }).unwrap_err();
        assert_eq!(error.to_string(), message, "kind 0x{kind:02x}");
    }
}

#[test]
fn batches_whose_bets_do_not_fit_their_body() {
    let cases: [(&[u8], &str); 4] = [
        (b"\0\x01", "the batch's count is 1, but it ends inside the bet with index 0"),
        (b"\0\x01\xff", "the batch's count is 1, but it ends inside the bet with index 0"),
        (
            b"\0\x02\x01a\x01b\x01c\x01d\x01e\0\0\0\0",
            "the batch's count is 2, but it ends inside the bet with index 1",
        ),
        (
            b"\0\x01\x01a\x01b\x01c\x01d\x01e\0\0",
            "the batch's count is 1, but 2 bytes follow so many bets",
        ),
    ];
    for (count_and_bets, message) in cases {
        let body = [&[0; 8], count_and_bets].concat();
        let Ok(Request::Batch(batch)) = Request::decode(Frame { kind: 3, body: &body }) else {
            panic!("the bets of a batch aren't read when it is decoded")
        };
        let error = batch.bets().find_map(Result::err).expect("an error");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn frames_that_are_not_responses() {
    let cases: [(u8, &[u8], &str); 11] = [
        (0x03, b"", "no message of this direction has the kind 0x03"),
        (0x82, &[0; 7], "the message needs at least 8 bytes after its header, found 7"),
        (0x82, &[0; 9], "the message has 8 bytes after its header, found 9"),
        (0x81, &[0; 20], "the message needs at least 21 bytes after its header, found 20"),
        (
            0x81,
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03",
            "3 is no phase that this version knows",
        ),
        (0x83, &[0; 11], "0 is no field that this version knows"),
        (0xff, b"\x01a\xff", "a text must be UTF-8, it isn't from byte 1 on"),
        (0x84, b"\0\0\0\0\0\0\0\0\xc3", "a text must be UTF-8, it isn't from byte 0 on"),
        (0x86, b"\x02\0\0", "a flag is 0 or 1, found 2"),
        (0x86, b"\x01\0\x02\x01a", "the message needs at least 6 bytes after its header, found 5"),
        (0x86, b"\x01\0\x01\x01ab", "the message has 5 bytes after its header, found 6"),
    ];
    for (kind, body, message) in cases {
        let error = Response::decode(Frame { kind, body }).unwrap_err();
        assert_eq!(error.to_string(), message, "kind 0x{kind:02x}");
    }
}

#[test]
fn a_field_that_cannot_travel() {
    let error: FieldTooLong = BatchBuilder::new()
        .push(&Bet { last_name: &[b'x'; 256], ..Bet::default() })
        .expect_err("256 bytes don't travel");
    assert_eq!(error.to_string(), "last name is at most 255 bytes long, found 256");
}

#[test]
fn an_iterator_over_bets_ends_after_its_error() {
    let body = b"\0\0\0\0\0\0\0\0\0\x03\x01a";
    let Ok(Request::Batch(batch)) = Request::decode(Frame { kind: 3, body }) else {
        panic!("position and count are there")
    };
    let mut bets = batch.bets();
    assert_eq!(bets.next(), Some(Err(MessageError::BetCutOff { index: 0, count: 3 })));
    assert_eq!(bets.next(), None);
}

#[test]
fn an_error_code_of_a_later_version_keeps_its_number_and_its_reason() {
    for code in [0, 24, 255] {
        let body = [&[code], "más tarde".as_bytes()].concat();
        let response = Response::decode(Frame { kind: 0xFF, body: &body });
        assert_eq!(response, Ok(Response::UnknownError { code, reason: "más tarde" }));
    }
}
