//! Framing: where a stream is cut makes no difference, and every limit holds at its edge.
//!
//! [`receive`] is a connection in miniature: it holds what was not consumed, decodes as long as
//! that gives something, and never holds more than the decoder's maximum.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::{FRAME_MAX, FrameDecoder, FrameError, HEADER_LEN, LineDecoder, LineTooLong, MAGIC};

/// What a stream brought, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Frame { kind: u8, body: Vec<u8> },
    Line(Vec<u8>),
    BadFrame(FrameError),
    BadLine(LineTooLong),
    End,
}

/// What a decoder found at the front of its input, and how many bytes that took.
type Decoded = Option<(usize, Event)>;

/// A decoder as a connection uses it.
trait Decoder {
    /// Most bytes that may stay unconsumed when the decoder wants more.
    fn most_held(&self) -> usize;
    fn decode(&mut self, input: &[u8]) -> Result<Decoded, Event>;
    /// The same at the end of the stream. `None` when it may end here.
    fn decode_eof(&mut self, input: &[u8]) -> Result<Decoded, Event>;
}

struct Frames {
    decoder: FrameDecoder,
    max: usize,
}

impl Frames {
    fn new(max: usize) -> Self {
        Self { decoder: FrameDecoder::new(max), max }
    }
}

impl Decoder for Frames {
    fn most_held(&self) -> usize {
        self.max - 1
    }

    fn decode(&mut self, input: &[u8]) -> Result<Decoded, Event> {
        let frame = self.decoder.decode(input).map_err(Event::BadFrame)?;
        Ok(frame.map(|frame| {
            (frame.used(), Event::Frame { kind: frame.kind, body: frame.body.to_vec() })
        }))
    }

    fn decode_eof(&mut self, input: &[u8]) -> Result<Decoded, Event> {
        self.decoder.finish(input).map_err(Event::BadFrame)?;
        Ok(None)
    }
}

struct Lines {
    decoder: LineDecoder,
    max: usize,
}

impl Lines {
    fn new(max: usize) -> Self {
        Self { decoder: LineDecoder::new(max), max }
    }
}

impl Decoder for Lines {
    fn most_held(&self) -> usize {
        self.max
    }

    fn decode(&mut self, input: &[u8]) -> Result<Decoded, Event> {
        let line = self.decoder.decode(input).map_err(Event::BadLine)?;
        Ok(line.map(|line| (line.used, Event::Line(line.bytes.to_vec()))))
    }

    fn decode_eof(&mut self, input: &[u8]) -> Result<Decoded, Event> {
        let line = self.decoder.decode_eof(input).map_err(Event::BadLine)?;
        Ok(line.map(|line| (line.used, Event::Line(line.bytes.to_vec()))))
    }
}

/// Everything that a stream brings when it arrives in these pieces, up to its end or first error.
fn receive<'p>(
    mut decoder: impl Decoder,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        if let Err(error) = take_all(&mut held, &mut events, |input| decoder.decode(input)) {
            events.push(error);
            return events;
        }
        let most = decoder.most_held();
        assert!(held.len() <= most, "{} bytes held, at most {most} are needed", held.len());
    }
    let end = take_all(&mut held, &mut events, |input| decoder.decode_eof(input));
    events.push(end.err().unwrap_or(Event::End));
    events
}

fn take_all(
    held: &mut Vec<u8>,
    events: &mut Vec<Event>,
    mut decode: impl FnMut(&[u8]) -> Result<Decoded, Event>,
) -> Result<(), Event> {
    while let Some((used, event)) = decode(held)? {
        held.drain(..used);
        events.push(event);
    }
    Ok(())
}

/// The stream whole, then in two pieces at every byte, then byte by byte.
fn assert_cuts_make_no_difference<D: Decoder>(
    stream: &[u8],
    decoder: impl Fn() -> D,
) -> Vec<Event> {
    let uncut = receive(decoder(), [stream]);
    for at in 0..=stream.len() {
        let (front, back) = stream.split_at(at);
        assert_eq!(receive(decoder(), [front, back]), uncut, "cut at {at}");
    }
    assert_eq!(receive(decoder(), stream.chunks(1)), uncut, "byte by byte");
    uncut
}

/// A frame of `length` bytes, header included, with a body that differs from byte to byte.
fn frame(kind: u8, length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(length).expect("a length of 16 bits").to_be_bytes();
    let mut frame = vec![MAGIC, kind, high, low];
    frame.extend((0..=u8::MAX).cycle().take(length.saturating_sub(HEADER_LEN)));
    frame
}

fn bad_frame(error: FrameError) -> Vec<Event> {
    vec![Event::BadFrame(error)]
}

#[test]
fn frames_survive_every_cut() {
    let stream = [frame(1, 4), frame(2, 5), frame(3, 300), frame(0xff, 64)].concat();
    let events = assert_cuts_make_no_difference(&stream, || Frames::new(300));
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Frame { kind, body } => (*kind, body.len()),
            other => panic!("a frame was expected, found {other:?}"),
        })
        .take(4)
        .collect();
    assert_eq!(kinds, [(1, 0), (2, 1), (3, 296), (0xff, 60)]);
}

#[test]
fn a_broken_stream_of_frames_fails_alike_at_every_cut() {
    let truncated = [frame(1, 9), frame(2, 40)].concat();
    let endings: [(&[u8], FrameError); 5] = [
        (b"\xbf", FrameError::Magic { found: 0xbf }),
        (b"hola\n", FrameError::Magic { found: b'h' }),
        (b"\xbe\x01\x00\x03", FrameError::Undersized { length: 3 }),
        (b"\xbe\x01\x01\x00", FrameError::Oversized { length: 256, max: 255 }),
        (&truncated[..40], FrameError::Truncated { found: 31 }),
    ];
    for (ending, error) in endings {
        let stream = [&frame(1, 9), ending].concat();
        let events = assert_cuts_make_no_difference(&stream, || Frames::new(255));
        assert_eq!(events.last(), Some(&Event::BadFrame(error)), "{ending:02x?}");
    }
}

#[test]
fn an_empty_stream_is_a_sequence_of_no_frames_and_no_lines() {
    assert_eq!(receive(Frames::new(FRAME_MAX), []), [Event::End]);
    assert_eq!(receive(Lines::new(0), []), [Event::End]);
}

#[test]
fn a_frame_has_its_maximum_and_not_one_byte_more() {
    for length in [FRAME_MAX - 1, FRAME_MAX] {
        let stream = frame(7, length);
        let body = stream[HEADER_LEN..].to_vec();
        let expected = [Event::Frame { kind: 7, body }, Event::End];
        assert_eq!(receive(Frames::new(FRAME_MAX), [&stream[..]]), expected);
    }
    let oversized = FrameError::Oversized { length: FRAME_MAX + 1, max: FRAME_MAX };
    let stream = frame(7, FRAME_MAX + 1);
    assert_eq!(receive(Frames::new(FRAME_MAX), [&stream[..]]), bad_frame(oversized));
}

#[test]
fn a_frame_has_a_header_and_not_one_byte_less() {
    let undersized = FrameError::Undersized { length: HEADER_LEN - 1 };
    let stream = frame(7, HEADER_LEN - 1);
    assert_eq!(receive(Frames::new(FRAME_MAX), [&stream[..]]), bad_frame(undersized));

    let expected = [Event::Frame { kind: 7, body: Vec::new() }, Event::End];
    assert_eq!(receive(Frames::new(FRAME_MAX), [&frame(7, HEADER_LEN)[..]]), expected);
}

#[test]
fn a_claimed_length_is_refused_before_its_bytes_arrive() {
    let decoder = FrameDecoder::default();
    let oversized = FrameError::Oversized { length: 0xffff, max: FRAME_MAX };
    assert_eq!(decoder.decode(b"\xbe\x03\xff\xff"), Err(oversized));
    assert_eq!(decoder.decode(b"\xbe\x03\xff"), Ok(None));
    assert_eq!(decoder.decode(b"\xbf"), Err(FrameError::Magic { found: 0xbf }));
}

#[test]
fn lines_survive_every_cut() {
    let stream = b"uno\n\n\xff\xfe\r\ntres\0\ncuatro";
    let events = assert_cuts_make_no_difference(stream, || Lines::new(6));
    let lines: [&[u8]; 5] = [b"uno", b"", b"\xff\xfe\r", b"tres\0", b"cuatro"];
    let mut expected: Vec<_> = lines.map(|line| Event::Line(line.to_vec())).into();
    expected.push(Event::End);
    assert_eq!(events, expected);
}

#[test]
fn a_line_that_is_too_long_fails_alike_at_every_cut() {
    for ending in ["siete..", "siete..\n", "siete..\nocho\n"] {
        let stream = format!("uno\ndos\n{ending}");
        let events = assert_cuts_make_no_difference(stream.as_bytes(), || Lines::new(6));
        assert_eq!(events.last(), Some(&Event::BadLine(LineTooLong { max: 6 })), "{ending:?}");
        assert_eq!(events.len(), 3, "the lines before it are good: {events:?}");
    }
}

#[test]
fn a_line_has_its_maximum_and_not_one_byte_more() {
    const MAX: usize = 1024;
    for newline in ["\n", ""] {
        for length in [MAX - 1, MAX] {
            let line = "x".repeat(length);
            let expected = [Event::Line(line.clone().into()), Event::End];
            let stream = line + newline;
            assert_eq!(receive(Lines::new(MAX), [stream.as_bytes()]), expected);
        }
        let stream = "x".repeat(MAX + 1) + newline;
        let expected = [Event::BadLine(LineTooLong { max: MAX })];
        assert_eq!(receive(Lines::new(MAX), [stream.as_bytes()]), expected);
    }
}

#[test]
fn a_line_that_will_be_refused_is_refused_without_waiting_for_its_end() {
    let mut decoder = LineDecoder::new(4);
    assert_eq!(decoder.decode(b"1234"), Ok(None));
    assert_eq!(decoder.decode(b"12345"), Err(LineTooLong { max: 4 }));
}

#[test]
fn the_end_of_a_stream_gives_whole_lines_before_the_one_without_newline() {
    let mut decoder = LineDecoder::new(10);
    let line = decoder.decode_eof(b"uno\ndos").unwrap().unwrap();
    assert_eq!((line.bytes, line.used), (&b"uno"[..], 4));
    let line = decoder.decode_eof(b"dos").unwrap().unwrap();
    assert_eq!((line.bytes, line.used), (&b"dos"[..], 3));
    assert_eq!(decoder.decode_eof(b""), Ok(None));
}

/// Any bytes, with those that mean something to a decoder more often than by chance.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => any::<u8>().prop_map(|byte| vec![byte]),
        2 => Just(b"\n".to_vec()),
        2 => (any::<u8>(), 0_usize..40).prop_map(|(kind, length)| frame(kind, length)),
        1 => vec(any::<u8>(), 0..40),
    ];
    vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

/// Some pieces that make up `stream`, empty ones among them.
fn pieces<'s>(stream: &'s [u8], cuts: &[prop::sample::Index]) -> Vec<&'s [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    ends.extend([0, stream.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect()
}

/// What a connection accepts that takes from its input as many bytes as `take` says, until that is
/// none; and what it refuses the rest with.
fn accept(
    pieces: &[&[u8]],
    mut take: impl FnMut(&[u8]) -> Result<usize, LineTooLong>,
) -> (Vec<u8>, Option<LineTooLong>) {
    let (mut held, mut accepted) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match take(&held) {
                Ok(0) => break,
                Ok(used) => accepted.extend(held.drain(..used)),
                Err(error) => return (accepted, Some(error)),
            }
        }
    }
    (accepted, None)
}

proptest! {
    #[test]
    fn any_stream_of_frames_in_any_pieces_gives_what_the_uncut_one_gives(
        frames in vec((any::<u8>(), 4_usize..80), 0..6),
        tail in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        max in 4_usize..80,
    ) {
        let mut stream: Vec<u8> =
            frames.into_iter().flat_map(|(kind, length)| frame(kind, length)).collect();
        stream.extend(tail);
        let uncut = receive(Frames::new(max), [&stream[..]]);
        prop_assert_eq!(receive(Frames::new(max), pieces(&stream, &cuts)), uncut);
    }

    #[test]
    fn any_stream_of_lines_in_any_pieces_gives_what_the_uncut_one_gives(
        stream in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        max in 0_usize..80,
    ) {
        let uncut = receive(Lines::new(max), [&stream[..]]);
        prop_assert_eq!(receive(Lines::new(max), pieces(&stream, &cuts)), uncut);
    }

    /// All whole lines at once are the lines one by one, and end at the same place.
    #[test]
    fn lines_all_at_once_are_the_lines_one_by_one(
        stream in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
        max in 0..12_usize,
    ) {
        let pieces = pieces(&stream, &cuts);
        let (mut each, mut all) = (LineDecoder::new(max), LineDecoder::new(max));
        let one_by_one = |input: &[u8]| Ok(each.decode(input)?.map_or(0, |line| line.used));
        prop_assert_eq!(accept(&pieces, |input| all.decode_all(input)), accept(&pieces, one_by_one));
    }

    #[test]
    fn no_byte_of_a_stream_of_lines_is_lost(stream in stream()) {
        let mut joined = Vec::new();
        for event in receive(Lines::new(stream.len()), [&stream[..]]) {
            if let Event::Line(line) = event {
                joined.extend(line);
                joined.push(b'\n');
            }
        }
        let ends_with_newline = stream.is_empty() || stream.ends_with(b"\n");
        let expected = if ends_with_newline { stream } else { [&stream[..], b"\n"].concat() };
        prop_assert_eq!(joined, expected);
    }

    #[test]
    fn a_frame_is_borrowed_from_the_input(stream in stream()) {
        if let Ok(Some(frame)) = FrameDecoder::default().decode(&stream) {
            prop_assert_eq!(frame.body.as_ptr_range(), stream[HEADER_LEN..frame.used()].as_ptr_range());
        }
    }
}
