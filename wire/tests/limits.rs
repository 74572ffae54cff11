//! The limits of messages, each at its edge: one less, exactly it, one more.
//!
//! Those of frames and lines are in `framing.rs`.

use wire::batch::{BETS_MAX, FieldTooLong};
use wire::field::{FIELD_MAX, FIELDS};
use wire::{
    Batch, BatchBuilder, Bet, ErrorCode, FRAME_MAX, Field, FrameDecoder, Push, Request, Response,
    WinnersBuilder,
};

#[test]
fn a_field_has_at_most_255_bytes() {
    for length in [FIELD_MAX - 1, FIELD_MAX] {
        let name = vec![b'x'; length];
        let mut batch = BatchBuilder::new();
        let pushed = batch.push(&Bet { first_name: &name, ..Bet::default() });
        assert_eq!(pushed, Ok(Push::Added));
        let sent = batch.batch(0).bets().next().unwrap().unwrap();
        assert_eq!(sent.first_name, name);
    }
}

#[test]
fn a_longer_field_is_refused_by_name_and_leaves_the_batch_as_it_was() {
    let long = vec![b'x'; FIELD_MAX + 1];
    for (index, field) in Field::ALL.into_iter().enumerate() {
        let mut fields = [&b"a"[..]; FIELDS];
        fields[index] = &long;
        let mut batch = batch_of(&[Bet::default()]);
        let refused = batch.push(&Bet::from_fields(fields));
        assert_eq!(refused, Err(FieldTooLong { field, length: FIELD_MAX + 1 }));
        assert_eq!(batch.batch(0), batch_of(&[Bet::default()]).batch(0));
    }
}

#[test]
fn a_full_batch_fills_its_frame_to_the_last_byte() {
    // 40 bets of 200 bytes leave 178 of the 8,178 that a frame has for bets; the last one takes its
    // name and five bytes of lengths.
    let bets = [Bet { first_name: &[b'x'; 195], ..Bet::default() }; 40];
    let cases = [(172, Push::Added, 8191), (173, Push::Added, 8192), (174, Push::Full, 8014)];
    for (length, expected, size) in cases {
        let name = vec![b'y'; length];
        let mut batch = batch_of(&bets);
        let pushed = batch.push(&Bet { first_name: &name, ..Bet::default() });
        let frame = frame_of(batch.batch(0));
        assert_eq!((pushed, frame.len()), (Ok(expected), size), "a name of {length} bytes");
        assert_eq!(batch.count(), 40 + u16::from(expected == Push::Added));
    }
}

#[test]
fn the_largest_bet_fits_into_an_empty_batch() {
    let longest = vec![b'x'; FIELD_MAX];
    let batch = batch_of(&[Bet::from_fields([&longest; FIELDS])]);
    assert!(frame_of(batch.batch(0)).len() <= FRAME_MAX);
}

#[test]
fn a_cleared_batch_begins_anew() {
    let mut batch = batch_of(&[Bet::default(), Bet::default()]);
    assert!(!batch.is_empty());
    batch.clear();
    assert!(batch.is_empty());
    assert_eq!(batch.batch(3), BatchBuilder::new().batch(3));
}

#[test]
#[should_panic(expected = "a writer checks room() before it puts")]
fn a_batch_that_did_not_come_from_a_builder_cannot_leave_oversized() {
    let encoded = vec![0; BETS_MAX + 1];
    frame_of(Batch { position: 0, count: 1, encoded: &encoded });
}

#[test]
fn a_frame_of_winners_is_filled_to_the_last_byte() {
    // Header, flag and count take 7 of 8,192 bytes; 31 documents of 255 bytes and their lengths
    // take 7,936: one of 248 fills the frame, one of 249 doesn't fit.
    let longest = vec![vec![b'9'; 255]; 31];
    for (length, fitting, size) in [(247, 32, 8191), (248, 32, 8192), (249, 31, 7943)] {
        let documents = [&longest[..], &[vec![b'7'; length]]].concat();
        let (frame, fits) = first_frame_of_winners(&documents);
        assert_eq!((fits, frame.len()), (fitting, size), "last document of {length} bytes");
    }
}

#[test]
#[should_panic(expected = "a document has at most 255 bytes")]
fn a_document_longer_than_a_field_is_a_mistake_of_the_caller() {
    WinnersBuilder::new(&mut Vec::new()).push(&[b'9'; 256]);
}

#[test]
fn a_reason_is_cut_at_1024_bytes_and_never_inside_a_character() {
    let cases = [
        ("x".repeat(1023), 1023),
        ("x".repeat(1024), 1024),
        ("x".repeat(1025), 1024),
        ("x".repeat(1022) + "ñ", 1024),
        ("x".repeat(1023) + "ñ", 1023),
        ("x".repeat(1021) + "😀", 1021),
    ];
    for (text, expected) in cases {
        let mut out = Vec::new();
        Response::Error { code: ErrorCode::Gap, reason: &text }.encode(&mut out);
        let frame = FrameDecoder::default().decode(&out).unwrap().expect("a whole frame");
        let Ok(Response::Error { reason: received, .. }) = Response::decode(frame) else {
            panic!("an error frame was expected")
        };
        assert_eq!(received, &text[..expected]);
    }
}

#[test]
fn a_batch_may_not_end_beyond_the_last_position() {
    let batch = batch_of(&[Bet::default(), Bet::default()]);
    assert_eq!(batch.batch(u64::MAX - 3).end(), Some(u64::MAX - 1));
    assert_eq!(batch.batch(u64::MAX - 2).end(), Some(u64::MAX));
    assert_eq!(batch.batch(u64::MAX - 1).end(), None);
}

fn batch_of(bets: &[Bet<'_>]) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    for bet in bets {
        assert_eq!(batch.push(bet), Ok(Push::Added));
    }
    batch
}

/// A batch request in its frame.
fn frame_of(batch: Batch<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Request::Batch(batch).encode(&mut out);
    out
}

/// The first frame of winners, and how many of the documents are in it.
fn first_frame_of_winners(documents: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let mut frame = Vec::new();
    let mut builder = WinnersBuilder::new(&mut frame);
    let fitting = documents.iter().take_while(|document| builder.push(document)).count();
    builder.finish(fitting == documents.len());
    (frame, fitting)
}
