//! Any bytes are responses or an error; what was decoded encodes to something that decodes to it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{FrameDecoder, Response};

fuzz_target!(|stream: &[u8]| {
    let (decoder, mut from) = (FrameDecoder::default(), 0);
    while let Ok(Some(frame)) = decoder.decode(&stream[from..]) {
        from += frame.used();
        let Ok(response) = Response::decode(frame) else { continue };
        if let Response::Winners(winners) = response {
            assert_eq!(winners.documents().count(), usize::from(winners.count()));
        }
        let mut encoded = Vec::new();
        response.encode(&mut encoded);
        let again = decoder.decode(&encoded).expect("a frame").expect("a whole one");
        let again = Response::decode(again).expect("a response");
        // A reason that is over its limit is cut when it is encoded, once.
        let mut twice = Vec::new();
        again.encode(&mut twice);
        assert_eq!(twice, encoded);
    }
});
