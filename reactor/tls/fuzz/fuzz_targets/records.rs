//! The same after a handshake that was let alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_fuzz::{Input, World};

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let mut world = World::new(&mut input);
    world.shake_hands();
    world.play(&mut input);
});
