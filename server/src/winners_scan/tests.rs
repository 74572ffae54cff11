//! Scans over rows in memory.

use std::path::PathBuf;

use proptest::prelude::*;
use wire::{Bet, FRAME_MAX, FrameDecoder, Response};

use super::*;
use crate::lottery::winners::WinnerIndex;
use crate::row::load_bets;

/// Rows in memory, and how many bytes of them were read.
#[derive(Debug, Default)]
struct Rows {
    bytes: Vec<u8>,
    read: std::cell::Cell<usize>,
}

impl ReadRows for Rows {
    fn rows_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let rest = &self.bytes[usize::try_from(offset).unwrap()..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read.set(self.read.get() + count);
        Ok(count)
    }

    fn rows_changed(&self, offset: u64) -> StoreError {
        ledger::Error::RowsChanged { path: PathBuf::from("bets.csv"), offset }.into()
    }
}

impl Rows {
    fn push(&mut self, agency: Agency, name: &str, document: &str, number: &str) {
        let fields = [name, ",7574", document, "2000-01-01", number].map(str::as_bytes);
        let checked = bet::check(&Bet::from_fields(fields)).unwrap();
        row::encode(agency, &checked, &mut self.bytes);
    }

    /// A bet for each number, of agencies in turn; documents are numbered.
    fn of(agencies: Agency, numbers: &[&str]) -> Self {
        let mut rows = Self::default();
        for (position, number) in (0..).zip(numbers) {
            rows.push(1 + position % agencies, "Ana", &position.to_string(), number);
        }
        rows
    }

    fn index(&self) -> WinnerIndex {
        let mut index = WinnerIndex::with_short_stripes();
        load_bets(&self.bytes[..], |stored| index.visit(stored)).unwrap();
        index
    }

    /// What each agency is to be sent, the simple way.
    fn lists(&self) -> BTreeMap<Agency, Vec<String>> {
        let mut lists: BTreeMap<_, Vec<_>> = BTreeMap::new();
        load_bets(&self.bytes[..], |stored| {
            if bet::has_won(stored.bet.number) {
                let document = String::from_utf8(stored.bet.document.to_vec()).unwrap();
                lists.entry(stored.agency).or_default().push(document);
            }
        })
        .unwrap();
        lists
    }
}

/// What a connection has been sent.
#[derive(Debug, Default)]
struct Sent {
    documents: Vec<String>,
    complete: bool,
    /// Frames that it takes.
    room: usize,
}

impl Sent {
    fn take(&mut self, frame: &[u8]) -> bool {
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        assert!(frame.len() <= FRAME_MAX && !self.complete);
        let decoded = FrameDecoder::default().decode(frame).unwrap().unwrap();
        assert_eq!(decoded.used(), frame.len());
        let Ok(Response::Winners(winners)) = Response::decode(decoded) else { panic!() };
        let documents = winners.documents().map(|one| String::from_utf8(one.into()).unwrap());
        self.documents.extend(documents);
        self.complete = winners.last;
        true
    }
}

fn token(connection: u32) -> ConnectionId {
    ConnectionId::new(connection, 1)
}

/// A scan of some rows and the connections that are sent of it.
struct World {
    rows: Rows,
    index: WinnerIndex,
    lists: BTreeMap<Agency, Vec<String>>,
    scan: WinnersScan,
    sent: BTreeMap<ConnectionId, (Agency, Sent)>,
}

impl World {
    fn new(rows: Rows) -> Self {
        let (index, lists) = (rows.index(), rows.lists());
        Self { rows, index, lists, scan: WinnersScan::default(), sent: BTreeMap::new() }
    }

    fn begin(&mut self, connection: u32, agency: Agency, room: usize) {
        let rows = self.index.by_agency.of(agency);
        if rows.count > 0 && !self.sent.contains_key(&token(connection)) {
            self.scan.begin(token(connection), agency, rows);
            let sent = Sent { room, ..Sent::default() };
            self.sent.insert(token(connection), (agency, sent));
        }
    }

    fn forget(&mut self, connection: u32) {
        self.scan.forget(token(connection));
        self.sent.remove(&token(connection));
    }

    fn resume(&mut self, connection: u32, room: usize) {
        if let Some((_, sent)) = self.sent.get_mut(&token(connection)) {
            sent.room = room;
            self.scan.resume(token(connection));
        }
    }

    /// One piece. Lists that are complete by it must be right; they are given back.
    fn advance(&mut self, budget: usize) -> Vec<ConnectionId> {
        let outputs = &mut self.sent;
        let deliver = |to, frame: &[u8]| outputs.get_mut(&to).expect("it began").1.take(frame);
        let complete = self.scan.advance(&self.rows, &self.index.stripes, budget, deliver).unwrap();
        for (to, (agency, sent)) in &self.sent {
            assert_eq!(sent.complete, complete.contains(to));
            assert!(self.lists[agency].starts_with(&sent.documents), "{sent:?}");
        }
        for to in &complete {
            let (agency, sent) = self.sent.remove(to).expect("it began");
            assert_eq!(sent.documents, self.lists[&agency]);
        }
        complete
    }
}

#[derive(Debug, Clone)]
enum Step {
    Begin { connection: u32, agency: Agency, room: usize },
    Resume { connection: u32, room: usize },
    Forget { connection: u32 },
    Advance { budget: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (connection, room) = (0..6_u32, 0..3_usize);
    prop_oneof![
        2 => (connection.clone(), 1..5_u32, room.clone())
            .prop_map(|(connection, agency, room)| Step::Begin { connection, agency, room }),
        2 => (connection.clone(), room)
            .prop_map(|(connection, room)| Step::Resume { connection, room }),
        1 => connection.prop_map(|connection| Step::Forget { connection }),
        8 => (PIECE_MIN..2 * PIECE_MIN).prop_map(|budget| Step::Advance { budget }),
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    let row = (1..5_u32, "[a-z,\"ñ]{1,9}[A-Z]", "[0-9]{1,20}", "7574|7574|757|75740|0");
    prop::collection::vec(row, 0..300).prop_map(|all| {
        let mut rows = Rows::default();
        for (agency, name, document, number) in all {
            rows.push(agency, &name, &document, &number);
        }
        rows
    })
}

proptest! {
    /// Whichever agency asks, whenever, and however it takes its output: it is sent its own winners, all
    /// of them, in order and once.
    #[test]
    fn every_agency_gets_its_own_list(
        rows in rows(), steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new(rows);
        for step in steps {
            match step {
                Step::Begin { connection, agency, room } => world.begin(connection, agency, room),
                Step::Resume { connection, room } => world.resume(connection, room),
                Step::Forget { connection } => world.forget(connection),
                Step::Advance { budget } => drop(world.advance(budget)),
            }
        }
        for connection in 0..6 {
            world.resume(connection, usize::MAX);
        }
        // Two rounds: what is left of this one, and one from the front. The smallest piece has a
        // stripe, or a row of the longest that there could be.
        let mut pieces = 2 * (1 + 128 + world.rows.bytes.len() / ROW_MAX);
        while world.scan.is_active() {
            prop_assert!(pieces > 0, "{:?}", world.sent);
            pieces -= 1;
            world.advance(PIECE_MIN);
        }
        prop_assert!(world.sent.is_empty(), "{:?}", world.sent);
    }
}

#[test]
fn the_longest_row_is_as_long_as_said() {
    let name = "\"".repeat(wire::field::FIELD_MAX);
    let number = "4294967295";
    let fields = [&name, &name, &"9".repeat(bet::DOCUMENT_DIGITS_MAX), "2000-01-01", number];
    let mut row = Vec::new();
    let bet = Bet::from_fields(fields.map(str::as_bytes));
    row::encode(Agency::MAX, &bet::check(&bet).unwrap(), &mut row);
    assert_eq!(row.len(), ROW_MAX);
}

#[test]
fn a_list_spans_frames_and_goes_on_where_it_was_not_taken() {
    let mut world = World::new(Rows::of(2, &vec!["7574"; 8000]));
    let budget = world.rows.bytes.len();
    world.begin(1, 1, 1);
    world.begin(2, 2, usize::MAX);
    assert_eq!(world.advance(budget), [token(2)]);
    assert!(!world.scan.is_active(), "the other one takes no more");
    assert!(!world.sent[&token(1)].1.documents.is_empty());
    assert!(world.advance(budget).is_empty());
    world.resume(1, usize::MAX);
    assert_eq!(world.advance(budget), [token(1)]);
}

#[test]
fn all_who_wait_share_one_pass_that_ends_with_the_last_winner() {
    let mut numbers = vec!["1"; 10_000];
    numbers[..5_000].fill("7574");
    let mut world = World::new(Rows::of(500, &numbers));
    (1..=500).for_each(|agency| world.begin(agency, agency, usize::MAX));
    let budget = 16 << 10;
    while world.scan.is_active() {
        world.advance(budget);
    }
    assert!(world.sent.is_empty());
    let half = world.rows.bytes.len() / 2;
    // A row at each end of a piece is read twice, and all of the last piece.
    let most = half + half / budget * 2 * ROW_MAX + budget;
    assert!(world.rows.read.get() <= most, "{} bytes of {half}", world.rows.read.get());
}

#[test]
fn without_winners_nothing_is_read() {
    let mut numbers = vec!["1"; 100_000];
    numbers.iter_mut().step_by(10_000).for_each(|number| *number = "7574");
    let mut world = World::new(Rows::of(1, &numbers));
    let mut index = WinnerIndex::default();
    load_bets(&world.rows.bytes[..], |stored| index.visit(stored)).unwrap();
    world.index = index;
    world.begin(1, 1, usize::MAX);
    assert_eq!(world.advance(1 << 20), [token(1)]);
    assert!(world.rows.read.get() <= 10 * (4096 + 1 + ROW_MAX), "{}", world.rows.read.get());
}

#[test]
fn one_that_asks_again_and_again_keeps_no_list_from_being_sent() {
    // The first agency's winners are at the front, the second's at the end.
    let mut numbers = vec!["1"; 2_000];
    for own in [0..200_usize, 1_800..2_000] as [Range<usize>; 2] {
        own.for_each(|position| {
            if (position % 2 == 1) == (position > 1_000) {
                numbers[position] = "7574";
            }
        });
    }
    numbers[1] = "7574";
    let mut world = World::new(Rows::of(2, &numbers));
    world.begin(1, 1, usize::MAX);
    world.begin(2, 2, usize::MAX);
    let pieces = 2 * world.rows.bytes.len() / ROW_MAX;
    for _ in 0..2 * pieces {
        let complete = world.advance(PIECE_MIN);
        if complete.contains(&token(2)) {
            return;
        }
        world.begin(1, 1, usize::MAX);
    }
    panic!("the second agency is never sent");
}

#[test]
fn rows_that_have_changed_are_named() {
    let said = |rows: &Rows, index: &WinnerIndex| {
        let mut scan = WinnersScan::default();
        scan.begin(token(1), 1, index.by_agency.of(1));
        let mut error = None;
        while error.is_none() && scan.is_active() {
            error = scan.advance(rows, &index.stripes, PIECE_MIN, |_, _| true).err();
        }
        error.map(|error| error.to_string())
    };
    let mut rows = Rows::of(1, &["7574"; 100]);
    let (index, whole) = (rows.index(), rows.bytes.clone());
    assert_eq!(said(&rows, &index), None);
    rows.bytes.truncate(whole.len() - 9);
    let begin = whole.len() - "1,Ana,\",7574\",99,2000-01-01,7574\r\n".len();
    let changed = "bets.csv: expected the rows that were committed at byte ";
    assert!(said(&rows, &index).unwrap().starts_with(&format!("{changed}{begin},")));
    rows.bytes = vec![b'x'; whole.len()];
    assert!(said(&rows, &index).unwrap().starts_with(&format!("{changed}0,")));
    rows.bytes = whole.iter().map(|byte| if *byte == b',' { b';' } else { *byte }).collect();
    assert!(said(&rows, &index).unwrap().starts_with(&format!("{changed}0,")));
}
