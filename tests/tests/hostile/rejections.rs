//! Batches that are rejected: each stages an entry and no row.

use std::time::Duration;

use crate::attack::Attack;
use crate::conversation::{HOSTILE, connect_from};
use crate::flood::{Peer, Reading, numbered, run};
use crate::scale;
use kit::frames::hello;

/// A batch of one bet without a name, a document, a birthdate and a number: 19 bytes.
pub(crate) fn nothing(position: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\xBE\x03\0\x13");
    out.extend_from_slice(&position.to_be_bytes());
    out.extend_from_slice(b"\0\x01\0\0\0\0\0");
}

#[test]
fn rejected_batches_of_240_agencies_end_nothing() {
    const AGENCIES: u32 = 240;
    let each = scale(3_000, 40_000);
    let attack = Attack::begin_in_turns(
        "240 agencies send batches of one bet that are rejected",
        &[("SERVER_AGENCIES", "240"), ("SERVER_WAL_SEGMENT_SIZE", "8MiB")],
    );
    let mut peers: Vec<_> = (2..=AGENCIES)
        .map(|agency| {
            let script = numbered(each + 1, move |index, out| match index.checked_sub(1) {
                None => out.extend(hello(agency)),
                Some(position) => nothing(position, out),
            });
            Peer::new(connect_from(&attack.server, HOSTILE), script, Reading::Frames(each + 1))
        })
        .collect();
    run(&mut peers, Duration::from_mins(5));
    let cut_off = peers.iter().filter(|peer| !peer.is_done()).count();
    let mut broken = Vec::new();
    if cut_off > 0 {
        broken.push(format!("{cut_off} weren't answered in full"));
    }
    let sent = each * u64::from(AGENCIES - 1);
    attack.end("a commit fits into a segment", &format!("{sent} batches"), broken);
}
