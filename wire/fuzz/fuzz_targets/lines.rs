//! Lines found in a stream that is cut anywhere are those between its newlines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::LineDecoder;

const MAX: usize = 16;

/// Lines as they are found when the stream grows by `step` bytes at a time; `None` at one that is
/// too long.
fn found(stream: &[u8], step: usize) -> Option<Vec<&[u8]>> {
    let (mut decoder, mut lines, mut from, mut to) = (LineDecoder::new(MAX), Vec::new(), 0, 0);
    while to < stream.len() {
        to = stream.len().min(to + step);
        while let Some(line) = decoder.decode(&stream[from..to]).ok()? {
            lines.push(&stream[from..from + line.bytes.len()]);
            from += line.used;
        }
        assert!(to - from <= MAX, "more is held than a line may have");
    }
    let last = decoder.decode_eof(&stream[from..]).ok()?;
    lines.extend(last.map(|line| &stream[from..from + line.bytes.len()]));
    Some(lines)
}

/// How many bytes are whole lines when all of the stream is asked for at once.
fn found_at_once(stream: &[u8]) -> Option<usize> {
    let (mut decoder, mut used) = (LineDecoder::new(MAX), 0);
    loop {
        match decoder.decode_all(&stream[used..]).ok()? {
            0 => return Some(used),
            more => used += more,
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&step, stream)) = input.split_first() else { return };
    let mut expected: Vec<_> = stream.split(|byte| *byte == b'\n').collect();
    // What follows the last newline is a line if it is anything.
    expected.pop_if(|last| last.is_empty());
    let expected = expected.iter().all(|line| line.len() <= MAX).then_some(expected);
    assert_eq!(found(stream, usize::from(step).max(1)), expected);
    if expected.is_some() {
        let whole = stream.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        assert_eq!(found_at_once(stream), Some(whole));
    }
});
