//! Whatever is staged in one turn, by however many agencies and under whatever settings: its commits
//! fit into the wal, and none of them ends the central.

use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use kit::frames::{bytes, end, hello};
use ledger::testing::MemoryStorage;
use ledger::{Durability, Options};
use proptest::prelude::*;
use server::central::ProtocolConfig;
use server::store::{FileStore, StoreError};
use wire::{Agency, Batch, BatchBuilder, Bet, Position, Push, Request};

use crate::world::{CONFIG, World};

fn open(segment: u64, agencies: Agency) -> FileStore<MemoryStorage> {
    let files = MemoryStorage::files(&Rc::default());
    let options = Options::unbounded(Durability::Synced, segment);
    let (path, watch) = (Path::new("bets.csv"), |_| ControlFlow::Continue(()));
    let opened = FileStore::with_storage(files, path, options, agencies, |_| {}, watch);
    opened.expect("a new one").store
}

/// One request of an agency.
#[derive(Debug, Clone)]
enum Sent {
    /// Bets with names of so many characters, in a batch of at most so many.
    Good {
        name: usize,
        count: u16,
    },
    /// Names that consist of quotation marks, which a row doubles.
    Quotes {
        name: usize,
        count: u16,
    },
    /// Bets without anything in them: 19 bytes of frame that stage 11, and no row.
    Empty {
        frames: u16,
    },
    End,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        3 => (1..255_usize, 1..500_u16).prop_map(|(name, count)| Sent::Good { name, count }),
        3 => (1..255_usize, 1..500_u16).prop_map(|(name, count)| Sent::Quotes { name, count }),
        3 => (1..2000_u16).prop_map(|frames| Sent::Empty { frames }),
        1 => Just(Sent::End),
    ]
}

fn batch_of(position: Position, fields: [&[u8]; 5], count: u16) -> (Vec<u8>, u64) {
    let mut builder = BatchBuilder::new();
    while builder.count() < count && builder.push(&Bet::from_fields(fields)) == Ok(Push::Added) {}
    (bytes(&Request::Batch(builder.batch(position))), u64::from(builder.count()))
}

fn empty_batch(position: Position) -> Vec<u8> {
    bytes(&Request::Batch(Batch { position, count: 1, encoded: &[0; 5] }))
}

/// The frames, and the position after them.
fn frames(sent: &Sent, mut position: Position) -> (Vec<u8>, Position) {
    let batch = |name: Vec<u8>, count| {
        let fields = [&name, &name, &b"1"[..], b"2000-02-29", b"1"];
        let (frame, count) = batch_of(position, fields, count);
        (frame, position + count)
    };
    match *sent {
        Sent::Good { name, count } => batch(vec![b'a'; name], count),
        Sent::Quotes { name, count } => batch(vec![b'"'; name], count),
        Sent::Empty { frames } => {
            let mut out = Vec::new();
            for _ in 0..frames {
                out.extend(empty_batch(position));
                position += 1;
            }
            (out, position)
        }
        Sent::End => (end(position), position),
    }
}

/// A central with these settings, or none when they can't fit together.
fn central(
    segment: u64,
    agencies: Agency,
    group_commit_bytes: usize,
) -> Option<World<FileStore<MemoryStorage>>> {
    let store = open(segment, agencies);
    let room = match store.commit_room() {
        Ok(room) => room,
        Err(error) => {
            assert!(matches!(error, StoreError::SegmentTooSmall { .. }), "{error}");
            return None;
        }
    };
    let config = ProtocolConfig { group_commit_bytes: group_commit_bytes.min(room), ..CONFIG };
    Some(World::over(store, agencies, config))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_settings_and_no_stream_make_a_commit_that_does_not_fit(
        segment in (5..40_u64).prop_map(|blocks| blocks * 4096),
        agencies in 1..400_u32,
        group_commit_bytes in 1..200_000_usize,
        turns in prop::collection::vec(
            (prop::collection::vec((any::<prop::sample::Index>(), sent()), 1..12), 0..4), 1..5,
        ),
        disk_waits in any::<bool>(),
    ) {
        let Some(mut world) = central(segment, agencies, group_commit_bytes) else { return Ok(()) };
        if disk_waits {
            world = world.leave_disk_to_thread();
        }
        // All of them have an account in every checkpoint.
        let connections: Vec<_> = (1..=agencies).map(|agency| world.agency(agency)).collect();
        for connection in &connections {
            world.arrive(*connection, &empty_batch(0));
        }
        world.end_turn();
        while world.disk_answers() {}
        let mut reached = vec![(1, false); connections.len()];
        for (turn, syncs) in turns {
            for (agency, sent) in turn {
                let agency = agency.index(connections.len());
                let (position, finished) = &mut reached[agency];
                if *finished {
                    continue;
                }
                *finished = matches!(sent, Sent::End);
                let (input, next) = frames(&sent, *position);
                *position = next;
                world.arrive(connections[agency], &input);
            }
            // Fails when the central would end.
            world.end_turn();
            // A slow disk has done some of what it was asked for, or nothing yet.
            for _ in 0..syncs {
                world.disk_answers();
            }
        }
        while world.disk_answers() {}
        for (agency, (position, finished)) in (1..).zip(reached) {
            let account = world.central().lottery().committed().account(agency);
            prop_assert_eq!((account.consumed, account.finished), (position, finished));
        }
    }
}

/// As it was made: 240 agencies, each with as much as one turn reads of it, in batches of one bet
/// that is rejected.
#[test]
fn rejected_batches_of_many_agencies_are_committed_before_they_outgrow_the_wal() {
    const READ_PER_TURN: usize = 16 << 10;
    let config = ProtocolConfig { group_commit_bytes: 256 << 10, ..CONFIG };
    let mut world = World::over(open(1 << 20, 240), 240, config);
    let each = READ_PER_TURN / empty_batch(0).len();
    assert!(240 * each * 11 > 2 << 20, "one record of all of it fits into no segment");
    for agency in 1..=240 {
        let connection = world.open();
        world.arrive(connection, &hello(agency));
        let input: Vec<_> = (0..each as u64).flat_map(empty_batch).collect();
        world.arrive(connection, &input);
    }
    world.end_turn();
    for agency in 1..=240 {
        assert_eq!(world.central().lottery().committed().account(agency).rejected, each as u64);
    }
}
