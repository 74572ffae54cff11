//! The layer under a handler, in a loop in memory: both sides are the real ones, and the test cuts the
//! bytes between them.

use reactor::testing::{Ending, Side};

use crate::credentials::Credentials;
use crate::world::World;

#[test]
fn what_is_sent_comes_back_and_both_end_in_order() {
    let mut world = World::new(&Credentials::new());
    world.send(b"hello");
    world.run();
    assert_eq!(world.received(), b"hello");
    assert_eq!(world.server_handshakes(), 1);
    world.close_client();
    world.run();
    assert_eq!(world.endings(), [Ending::PeerEnded, Ending::Done]);
}

#[test]
fn bytes_may_be_cut_anywhere() {
    let credentials = Credentials::new();
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new(&credentials);
        world.network.deliver_by_hand();
        let text: Vec<u8> = (0..random.usize(1..60_000)).map(|_| random.u8(..)).collect();
        world.send(&text);
        let most = [1, 7, 100, 5000, 100_000][random.usize(..5)];
        world.run_cut(|| random.usize(1..=most));
        assert!(world.received() == text, "seed {seed}");
        world.close_client();
        world.run_cut(|| random.usize(1..=most));
        assert_eq!(world.endings(), [Ending::PeerEnded, Ending::Done], "seed {seed}");
    }
}

#[test]
fn far_more_than_the_buffers_hold_comes_back() {
    let mut world = World::new(&Credentials::new());
    let text: Vec<u8> = (0..3_000_000_u32).map(|index| index.to_le_bytes()[1]).collect();
    // A side that has too much unsent reads nothing: less than that at a time.
    for piece in text.chunks(200_000) {
        world.send(piece);
        world.run();
    }
    assert!(world.received() == text);
}

#[test]
fn an_end_without_a_word_is_like_one_between_records_and_an_error_within_one() {
    let mut world = World::new(&Credentials::new());
    world.run();
    world.network.deliver_by_hand();
    world.send(b"cut");
    world.turn();
    world.cut_off_client(Side::Caller, 10);
    world.run_cut(|| 1000);
    assert_eq!(world.endings().first(), Some(&Ending::Layer));
}
