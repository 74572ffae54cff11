//! Bets of which every one wins.

use std::time::Duration;

use wire::Request;

use crate::attack::{Attack, mebibytes};
use crate::conversation::{HOSTILE, connect_from, introduce};
use crate::flood::{Peer, Reading, numbered, run};
use crate::scale;
use kit::frames::{batch, bytes, end, hello};

/// Winning bets of a batch.
const BATCH: u64 = 150;

/// Memory that storing and sending them may take, however many they are.
const GROWTH_MAX: usize = 6 << 20;

#[test]
fn memory_does_not_grow_with_the_winners() {
    let batches = scale(1_000, 20_000);
    let mut attack = Attack::begin("every bet of an agency wins", &[("SERVER_AGENCIES", "2")]);
    let before = attack.server.anonymous_memory();
    let documents: Vec<_> = (0..BATCH).map(|index| format!("{index:020}")).collect();
    let script = numbered(batches + 2, move |index, out| match index {
        0 => out.extend(hello(2)),
        index if index <= batches => {
            let bets: Vec<_> = documents.iter().map(|document| (&document[..], "7574")).collect();
            out.extend(batch((index - 1) * BATCH, &bets));
        }
        _ => out.extend(end(batches * BATCH)),
    });
    let peer =
        Peer::new(connect_from(&attack.server, HOSTILE), script, Reading::Frames(batches + 2));
    let mut peers = [peer];
    run(&mut peers, Duration::from_mins(2));
    let mut broken = Vec::new();
    if !peers[0].is_done() {
        broken.push("its bets weren't all stored".to_owned());
    }
    drop(peers);
    attack.draw();
    let found = count_winners(&attack);
    let stored = batches * BATCH;
    if found != stored {
        broken.push(format!("{found} winners were sent of {stored}"));
    }
    let growth = attack.server.anonymous_memory().saturating_sub(before);
    if growth > GROWTH_MAX {
        broken.push(format!("{} more", mebibytes(growth)));
    }
    let measured = format!("{stored} winners, {} more", mebibytes(growth));
    attack.end("winners are read from the ledger", &measured, broken);
}

/// Asks for the agency's winners, and counts them.
fn count_winners(attack: &Attack) -> u64 {
    let (mut conversation, _) = introduce(&attack.server, HOSTILE, 2);
    conversation.send(&bytes(&Request::Winners));
    let mut count = 0;
    loop {
        let response = conversation.receive();
        let list = response.strip_prefix("winners ").expect("winners");
        count += list.split(',').count() as u64;
        if list.starts_with("true ") {
            return count;
        }
    }
}
