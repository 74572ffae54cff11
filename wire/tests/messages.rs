//! Messages: every one comes back as it was sent, and no bytes whatever make a decoder panic, reach
//! beyond its frame or reserve what a count claims.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::field::{FIELD_MAX, FIELDS};
use wire::response::REASON_MAX;
use wire::{
    BatchBuilder, Bet, Checksum, DrawName, DrawNameError, ErrorCode, FRAME_MAX, Field, Frame,
    FrameDecoder, HEADER_LEN, MessageError, Phase, Push, Request, Response, WinnersBuilder,
};

/// The five fields of a bet, owned.
type Fields = [Vec<u8>; FIELDS];

fn bet(fields: &Fields) -> Bet<'_> {
    Bet::from_fields(fields.each_ref().map(Vec::as_slice))
}

/// As many of the bets as fit, at least one.
fn batch_of(bets: &[Fields]) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    for fields in bets {
        if batch.push(&bet(fields)) == Ok(Push::Full) {
            break;
        }
    }
    batch
}

/// The checksum of bets that travel one by one.
fn checksum_of(bets: &[Fields]) -> Checksum {
    bets.iter().fold(Checksum::default(), |checksum, fields| {
        checksum.extended(batch_of(std::slice::from_ref(fields)).batch(0).encoded)
    })
}

fn request_bytes(request: &Request<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    request.encode(&mut out);
    out
}

fn response_bytes(response: &Response<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    response.encode(&mut out);
    out
}

/// The one frame that `input` is.
fn whole_frame(input: &[u8]) -> Frame<'_> {
    let frame = FrameDecoder::default().decode(input).expect("a frame").expect("a whole frame");
    assert_eq!(frame.used(), input.len());
    frame
}

/// Frames of winners, as many as the documents need.
fn winners_frames(documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut rest = documents.iter().peekable();
    let mut frames = Vec::new();
    loop {
        let mut out = Vec::new();
        let mut builder = WinnersBuilder::new(&mut out);
        while rest.next_if(|document| builder.push(document)).is_some() {}
        builder.finish(rest.peek().is_none());
        frames.push(out);
        if rest.peek().is_none() {
            return frames;
        }
    }
}

/// Documents and `last` of a winners frame.
fn read_winners(frame: &[u8]) -> (Vec<Vec<u8>>, bool) {
    match Response::decode(whole_frame(frame)) {
        Ok(Response::Winners(winners)) => {
            let documents: Vec<_> = winners.documents().map(<[u8]>::to_vec).collect();
            assert_eq!(documents.len(), usize::from(winners.count()));
            (documents, winners.last)
        }
        other => panic!("winners were expected, found {other:?}"),
    }
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..20),
        1 => vec(any::<u8>(), FIELD_MAX - 1..=FIELD_MAX),
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    [field(), field(), field(), field(), field()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,40}", "[a-zñ€😀]{0,1200}"]
}

fn a_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![Phase::Open, Phase::Finished, Phase::Drawn])
}

fn a_field() -> impl Strategy<Value = Field> {
    prop::sample::select(Field::ALL.to_vec())
}

fn an_error_code() -> impl Strategy<Value = ErrorCode> {
    let all: Vec<_> = (0..=u8::MAX).filter_map(|number| number.try_into().ok()).collect();
    prop::sample::select(all)
}

fn a_draw_name() -> impl Strategy<Value = DrawName> {
    let name = prop_oneof!["[A-Za-z0-9._-]{1,64}", "[A-Za-z0-9_-]{1,3}"];
    name.prop_filter_map("neither folder", |name: String| name.parse().ok())
}

/// A reason as it arrives: its longest beginning of whole characters that fits.
fn cut(text: &str) -> &str {
    let end = text.char_indices().map(|(at, char)| at + char.len_utf8());
    &text[..end.take_while(|&end| end <= REASON_MAX).last().unwrap_or(0)]
}

proptest! {
    #[test]
    fn plain_requests_come_back(
        agency: u32, draw in prop::option::of(a_draw_name()), total: u64,
    ) {
        let requests = [
            Request::Hello { agency, draw },
            Request::End { total },
            Request::Winners,
        ];
        for request in requests {
            let frame = request_bytes(&request);
            prop_assert_eq!(Request::decode(whole_frame(&frame)), Ok(request));
        }
    }

    #[test]
    fn a_draw_name_is_the_text_that_it_was_made_of(
        name in prop_oneof![".{0,70}", "[A-Za-z0-9._-]{0,70}", "[.]{1,3}"],
    ) {
        let parsed = name.parse::<DrawName>();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = (1..=64).contains(&name.len()) && name.bytes().all(allowed);
        let is_folder = name == "." || name == "..";
        match parsed {
            Ok(parsed) => {
                prop_assert!(good && !is_folder);
                prop_assert_eq!(parsed.as_str(), &name);
                prop_assert_eq!(parsed.to_string(), name);
            }
            Err(DrawNameError::Dots { .. }) => prop_assert!(is_folder),
            Err(_) => prop_assert!(!good),
        }
    }

    #[test]
    fn draws_are_the_same_when_their_names_are(one in a_draw_name(), other in a_draw_name()) {
        prop_assert_eq!(one == other, one.as_str() == other.as_str());
        let again: DrawName = one.as_str().parse().unwrap();
        prop_assert_eq!(one, again);
    }

    #[test]
    fn batches_come_back_with_their_bets(bets in vec(fields(), 1..40), position: u64) {
        let batch = batch_of(&bets);
        let request = Request::Batch(batch.batch(position));
        let frame = request_bytes(&request);
        let decoded = Request::decode(whole_frame(&frame)).unwrap();
        prop_assert_eq!(decoded, request);

        let Request::Batch(decoded) = decoded else { panic!("a batch, found {decoded:?}") };
        prop_assert_eq!(decoded.position, position);
        prop_assert_eq!(decoded.end(), position.checked_add(u64::from(batch.count())));
        let found = decoded.bets().collect::<Result<Vec<_>, _>>().unwrap();
        let sent: Vec<_> = bets.iter().take(found.len()).map(bet).collect();
        prop_assert_eq!(found.len(), usize::from(batch.count()));
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn single_bets_come_back(fields in fields(), position: u64) {
        let batch = batch_of(&[fields]);
        let request = Request::Bet(batch.batch(position));
        let frame = request_bytes(&request);
        prop_assert_eq!(Request::decode(whole_frame(&frame)), Ok(request));
    }

    #[test]
    fn plain_responses_come_back(
        consumed: u64,
        checksum: u32,
        stored: u64,
        rejected: u64,
        phase in a_phase(),
    ) {
        let responses = [
            Response::Welcome { consumed, checksum: Checksum(checksum), rejected, phase },
            Response::Stored { consumed },
            Response::Finished { stored, rejected },
        ];
        for response in responses {
            let frame = response_bytes(&response);
            prop_assert_eq!(Response::decode(whole_frame(&frame)), Ok(response));
        }
    }

    #[test]
    fn responses_with_a_reason_come_back_cut_to_whole_characters(
        consumed: u64,
        index: u16,
        field in a_field(),
        code in an_error_code(),
        text in text(),
    ) {
        let all_with = |reason| [
            Response::Rejected { consumed, index, field, reason },
            Response::Unavailable { consumed, reason },
            Response::Error { code, reason },
            Response::UnknownError { code: 200, reason },
        ];
        for (sent, received) in all_with(&text).into_iter().zip(all_with(cut(&text))) {
            let frame = response_bytes(&sent);
            prop_assert_eq!(Response::decode(whole_frame(&frame)), Ok(received));
        }
    }

    #[test]
    fn winners_come_back_in_order_and_end_once(documents in vec(field(), 0..600)) {
        let frames = winners_frames(&documents);
        let mut found = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            let (some, last) = read_winners(frame);
            prop_assert_eq!(last, index + 1 == frames.len());
            found.extend(some);
        }
        prop_assert_eq!(found, documents);
    }

    #[test]
    fn messages_follow_one_another_in_one_buffer(
        total: u64, consumed: u64, agency: u32, draw in prop::option::of(a_draw_name()),
    ) {
        let mut out = Vec::new();
        Request::Hello { agency, draw }.encode(&mut out);
        Request::End { total }.encode(&mut out);
        WinnersBuilder::new(&mut out).finish(true);
        Response::Stored { consumed }.encode(&mut out);

        let mut apart = request_bytes(&Request::Hello { agency, draw });
        apart.extend(request_bytes(&Request::End { total }));
        apart.extend(winners_frames(&[]).concat());
        apart.extend(response_bytes(&Response::Stored { consumed }));
        prop_assert_eq!(out, apart);
    }

    #[test]
    fn the_checksum_does_not_depend_on_how_bets_are_batched(
        bets in vec(fields(), 1..30),
        sizes in vec(1_usize..8, 1..30),
    ) {
        let mut batched = Checksum::default();
        let mut rest = &bets[..];
        for size in sizes.into_iter().cycle() {
            let batch = batch_of(&rest[..size.min(rest.len())]);
            batched = batched.extended(batch.batch(0).encoded);
            rest = &rest[usize::from(batch.count())..];
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(batched, checksum_of(&bets));
    }

    #[test]
    fn the_checksum_notices_a_bet_that_changed(
        bets in vec(fields(), 1..10),
        which: prop::sample::Index,
        fields in fields(),
    ) {
        let mut edited = bets.clone();
        edited[which.index(bets.len())] = fields;
        let same = checksum_of(&bets) == checksum_of(&edited);
        prop_assert_eq!(same, bets == edited);
    }
}

// What was not written by this crate.

/// A frame of any kind, the known ones most of the time, with any body.
fn any_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let known = vec![1, 2, 3, 4, 5, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0xff];
    let kind = prop_oneof![8 => prop::sample::select(known), 1 => any::<u8>()];
    let byte = prop_oneof![3 => 0_u8..4, 1 => any::<u8>()];
    let body = prop_oneof![vec(byte, 0..40), vec(any::<u8>(), 0..FRAME_MAX - HEADER_LEN)];
    (kind, body)
}

/// A good frame in which some bytes were overwritten, and which may end early or late.
fn damaged_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let good = prop_oneof![
        vec(fields(), 1..4)
            .prop_map(|bets| request_bytes(&Request::Batch(batch_of(&bets).batch(7)))),
        fields().prop_map(|bet| request_bytes(&Request::Bet(batch_of(&[bet]).batch(7)))),
        vec(field(), 0..8).prop_map(|documents| winners_frames(&documents).concat()),
        (any::<u32>(), prop::option::of(a_draw_name()))
            .prop_map(|(agency, draw)| request_bytes(&Request::Hello { agency, draw })),
        (a_field(), text()).prop_map(|(field, text)| {
            response_bytes(&Response::Rejected { consumed: 9, index: 3, field, reason: &text })
        }),
    ];
    let overwrites = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (good, overwrites, any::<prop::sample::Index>(), vec(any::<u8>(), 0..4)).prop_map(
        |(mut frame, overwrites, end, tail)| {
            for (at, byte) in overwrites {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            frame.truncate(end.index(2 * frame.len()));
            frame.extend(tail);
            let kind = frame.get(1).copied().unwrap_or_default();
            (kind, frame.into_iter().skip(HEADER_LEN).collect())
        },
    )
}

/// Reads everything that a request refers to; all of it must lie in the body.
fn read_request(request: &Request<'_>, body: &[u8]) {
    let (Request::Bet(batch) | Request::Batch(batch)) = request else { return };
    assert!(batch.count > 0);
    let bets: Vec<_> = batch.bets().collect();
    let good: Vec<_> = bets.iter().map_while(|bet| bet.ok()).collect();
    assert!(bets.len() - good.len() <= 1, "an iterator ends after its first error");
    assert!(good.len() <= usize::from(batch.count));
    for field in good.iter().flat_map(Bet::fields) {
        assert!(body.as_ptr_range().contains(&field.as_ptr()) || field.is_empty());
    }
    let length: usize = good.iter().map(Bet::encoded_len).sum();
    if bets.len() == good.len() {
        assert_eq!(good.len(), usize::from(batch.count));
        assert_eq!(length, batch.encoded.len());
    } else {
        assert!(length <= batch.encoded.len());
    }
}

fn assert_decoding_is_safe_and_reversible(kind: u8, body: &[u8]) {
    let frame = Frame { kind, body };
    if let Ok(request) = Request::decode(frame) {
        read_request(&request, body);
        assert_eq!(whole_frame(&request_bytes(&request)), frame);
    }
    match Response::decode(frame) {
        Err(_) => {}
        Ok(
            Response::Rejected { reason, .. }
            | Response::Unavailable { reason, .. }
            | Response::Error { reason, .. }
            | Response::UnknownError { reason, .. },
        ) if reason.len() > REASON_MAX => {}
        Ok(response) => assert_eq!(whole_frame(&response_bytes(&response)), frame),
    }
}

proptest! {
    #[test]
    fn whatever_decodes_is_encoded_to_the_same_bytes((kind, body) in any_frame()) {
        assert_decoding_is_safe_and_reversible(kind, &body);
    }

    #[test]
    fn so_is_whatever_decodes_of_a_damaged_message((kind, body) in damaged_frame()) {
        assert_decoding_is_safe_and_reversible(kind, &body);
    }
}

#[test]
fn a_claimed_count_reserves_nothing() {
    let body = [&[0; 8][..], &u16::MAX.to_be_bytes(), b"\x01a\x01b"].concat();
    let Ok(Request::Batch(batch)) = Request::decode(Frame { kind: 3, body: &body }) else {
        panic!("position and count are there")
    };
    assert_eq!(batch.bets().size_hint(), (0, None), "what collect() would reserve");
    let bets: Vec<_> = batch.bets().collect();
    assert_eq!(bets, [Err(MessageError::BetCutOff { index: 0, count: u16::MAX })]);
}
