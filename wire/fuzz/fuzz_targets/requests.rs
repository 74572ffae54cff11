//! Any bytes are requests or an error, wherever the stream is cut; what was decoded encodes to the
//! bytes that it came from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{FRAME_MAX, FrameDecoder, Request};

fuzz_target!(|input: &[u8]| {
    let Some((&step, stream)) = input.split_first() else { return };
    let (decoder, step) = (FrameDecoder::default(), usize::from(step).max(1));
    let (mut from, mut to) = (0, 0);
    while to < stream.len() {
        to = stream.len().min(to + step);
        loop {
            match decoder.decode(&stream[from..to]) {
                // The error stays the same, however much follows.
                Err(error) => return assert_eq!(decoder.decode(&stream[from..]), Err(error)),
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let bytes = &stream[from..from + frame.used()];
                    from += frame.used();
                    let Ok(request) = Request::decode(frame) else { continue };
                    let mut encoded = Vec::new();
                    request.encode(&mut encoded);
                    assert_eq!(encoded, bytes);
                    if let Request::Bet(batch) | Request::Batch(batch) = request {
                        let bets: Result<Vec<_>, _> = batch.bets().collect();
                        let whole = bets.is_ok_and(|bets| bets.len() == usize::from(batch.count));
                        assert!(whole || batch.bets().any(|bet| bet.is_err()));
                    }
                }
            }
        }
        assert!(to - from < FRAME_MAX, "more is held than a frame may have");
    }
});
