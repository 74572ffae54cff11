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

fn open(segment: u64, agencies: Agency, durability: Durability) -> FileStore<MemoryStorage> {
    let files = MemoryStorage::files(&Rc::default());
    let options = Options::unbounded(durability, segment);
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

/// The smallest segments that the settings allow.
const SEGMENT_MIN: u64 = 1 << 20;

/// What is configured of a central.
#[derive(Debug, Clone)]
struct Settings {
    segment: u64,
    agencies: Agency,
    group_commit_bytes: usize,
    max_pending_replies: usize,
    read_budget: usize,
    turn_budget: usize,
    durability: Durability,
    /// A thread waits for the disk, which only syncs need.
    has_disk_thread: bool,
}

fn settings(
    segment: impl Strategy<Value = u64>,
    agencies: std::ops::Range<Agency>,
) -> impl Strategy<Value = Settings> {
    let budget = || prop_oneof![500..20_000_usize, 20_000..2_000_000_usize, Just(usize::MAX >> 1)];
    let read_budget = prop_oneof![500..20_000_usize, 20_000..1_000_000_usize];
    let of_turn = (read_budget, budget(), any::<bool>(), any::<bool>());
    // Up to the largest that may be set.
    let bytes = prop_oneof![1..200_000_usize, 200_000..=1_usize << 30];
    let replies = prop_oneof![1..20_usize, 20..70_000_usize];
    (segment, agencies, bytes, replies, of_turn).prop_map(
        |(segment, agencies, group_commit_bytes, max_pending_replies, of_turn)| {
            let (read_budget, turn_budget, is_synced, has_disk_thread) = of_turn;
            let durability = if is_synced { Durability::Synced } else { Durability::NotSynced };
            let has_disk_thread = is_synced && has_disk_thread;
            Settings {
                segment,
                agencies,
                group_commit_bytes,
                max_pending_replies,
                read_budget,
                turn_budget,
                durability,
                has_disk_thread,
            }
        },
    )
}

/// A central with these settings, or none when they can't fit together.
fn central(settings: &Settings) -> Option<World<FileStore<MemoryStorage>>> {
    let store = open(settings.segment, settings.agencies, settings.durability);
    let room = match store.commit_room() {
        Ok(room) => room,
        Err(error) => {
            assert!(matches!(error, StoreError::SegmentTooSmall { .. }), "{error}");
            return None;
        }
    };
    let config = ProtocolConfig {
        group_commit_bytes: settings.group_commit_bytes.min(room),
        max_pending_replies: settings.max_pending_replies,
        ..CONFIG
    };
    let world = World::over(store, settings.agencies, config);
    let world = world.with_budgets(settings.read_budget, settings.turn_budget);
    Some(if settings.has_disk_thread { world.leave_disk_to_thread() } else { world })
}

/// What arrives in a turn, at any agencies, and how many syncs the disk has done by then.
type Turn = (Vec<(prop::sample::Index, Sent)>, usize);

fn turns(requests: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Turn>> {
    let request = (any::<prop::sample::Index>(), sent());
    prop::collection::vec((prop::collection::vec(request, requests), 0..4_usize), 1..5)
}

/// Lets a central with these settings have what arrives, and checks that it takes all of it.
fn takes_everything(settings: &Settings, turns: Vec<Turn>) -> Result<(), TestCaseError> {
    let Some(mut world) = central(settings) else { return Ok(()) };
    // All of them have an account in every checkpoint.
    let connections: Vec<_> = (1..=settings.agencies).map(|agency| world.agency(agency)).collect();
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
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_settings_and_no_stream_make_a_commit_that_does_not_fit(
        settings in settings((5..40_u64).prop_map(|blocks| blocks * 4096), 1..400),
        turns in turns(1..12),
    ) {
        takes_everything(&settings, turns)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Few agencies get as many requests as make several segments.
    #[test]
    fn nor_do_the_smallest_segments_that_may_be_set(
        settings in settings(Just(SEGMENT_MIN), 1..40),
        turns in turns(40..160),
    ) {
        takes_everything(&settings, turns)?;
    }
}

/// As it was made: 240 agencies, each with as much as one turn reads of it, in batches of one bet
/// that is rejected.
#[test]
fn rejected_batches_of_many_agencies_are_committed_before_they_outgrow_the_wal() {
    const READ_PER_TURN: usize = 16 << 10;
    let config = ProtocolConfig { group_commit_bytes: 256 << 10, ..CONFIG };
    let mut world = World::over(open(1 << 20, 240, Durability::Synced), 240, config);
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
