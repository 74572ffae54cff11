//! A peer begins a handshake, and any bytes come instead of those that it sends, or between them, in any
//! cut and with any readiness: the loop goes on, bounded, and the handler gets nothing that the peer
//! hasn't sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_fuzz::{Input, World};

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    World::new(&mut input).play(&mut input);
});
