//! Half lines that grow byte by byte: each byte brings the whole line before the server once more.

use std::time::Duration;

use crate::attack::Attack;
use crate::conversation::{HOSTILE, connect_from};
use crate::flood::{Peer, Reading, repeat, run, single_bytes};
use crate::scale;

/// Bytes of a line that come at once. With all that follow they are fewer than a line may have.
const HALF: usize = 60_000;

#[test]
fn half_lines_that_grow_byte_by_byte_keep_no_peer_waiting() {
    let (lines, bytes) = (scale(100, 1_000), scale(200, 1_000));
    let settings = [("SERVER_FRAME_TIMEOUT", "5m")];
    let attack = Attack::begin_in_turns("half lines that grow byte by byte", &settings);
    let half = vec![b'x'; HALF];
    let rest = [vec![b'x'; bytes - 1], vec![b'\n']].concat();
    let begun =
        || Peer::new(connect_from(&attack.server, HOSTILE), repeat(&half, 1), Reading::Never);
    let mut peers: Vec<_> = (0..lines).map(|_| begun()).collect();
    run(&mut peers, Duration::from_mins(1));
    for peer in &mut peers {
        peer.then(single_bytes(rest.clone()), Reading::Bytes((HALF + bytes) as u64));
    }
    run(&mut peers, Duration::from_mins(2));
    let unanswered = peers.iter().filter(|peer| !peer.is_done()).count();
    let broken = (unanswered > 0).then(|| format!("{unanswered} lines didn't come back"));
    let measured = format!("{bytes} bytes behind each of {lines} half lines of {HALF}");
    attack.end("`SERVER_TURN_BUDGET`", &measured, broken.into_iter().collect());
}
