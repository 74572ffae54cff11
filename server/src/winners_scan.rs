//! Lists of winners, read from the ledger by all connections that are owed one at the same time.
//!
//! A shared scan (as `synchronize_seqscans` of `PostgreSQL`): one pass over the rows, in pieces of a
//! bounded size, one a turn of the loop, while everybody else is served. A piece leaves out the
//! stripes of the ledger in which no winner's row begins, see [`Stripes`]. Each list is a [`Cursor`]
//! of constant size; whatever cursors stand in a piece take part in it. So ten thousand agencies that
//! wait for the draw cost one pass and not ten thousand.
//!
//! Pieces follow each other in a circle, from the cursor ahead that is nearest, and from the first
//! one again when there is none ahead: a peer that asks again and again, and so stands at the front
//! always, can't keep the others from being reached. A connection that takes no more output leaves
//! its cursor behind, and is reached again in the next round after it has taken what it had.
//!
//! A list is never held: what a piece has of it leaves in frames of its own, and a frame that a
//! connection doesn't take isn't missing anywhere, its winners are just read again.
//!
//! Why this and nothing else: documents in memory take nearly half of the ledger's size when
//! everybody wins. A file of winners would be a second thing to keep true through crashes. A scan
//! for each who asks would take as often as somebody asks what one takes now: for 5,000 winners among
//! 50 million bets 11 ms (without stripes 0.7 s), for ten million winners about a second. Larger
//! pieces than 256 KiB make none of that quicker.
//!
//! Reading waits for the disk when the kernel doesn't have the rows any more, as everything that
//! isn't a socket does; a piece is what bounds it. What can't be read, or isn't what was committed,
//! ends the process: there is nothing right to tell, and a start looks at everything.

use std::collections::BTreeMap;
use std::ops::Range;

use reactor::ConnectionId;
use wire::{Agency, WinnersBuilder, bet};

use crate::lottery::winners::{Stripes, WinningRows};
use crate::row::{self, NoRow};
use crate::store::{ReadRows, StoreError};

/// The longest that a row can be: an agency, two names of nothing but quotation marks, which are
/// doubled, document, birthdate and number, with quotes, commas and CRLF.
pub const ROW_MAX: usize = 10
    + 2 * (2 * wire::field::FIELD_MAX + 2)
    + bet::DOCUMENT_DIGITS_MAX
    + 10
    + bet::NUMBER_DIGITS_MAX
    + 5
    + 2;

/// The smallest piece: whatever is left of a row that began before, the byte in front of it, and a
/// whole one.
pub const PIECE_MIN: usize = 2 * ROW_MAX + 1;

/// How far a connection has been told its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    agency: Agency,
    /// It has been told all winners whose rows begin before this offset.
    offset: u64,
    /// Winners that it hasn't been told.
    left: u64,
}

/// The row of a winner.
#[derive(Debug, Clone, Copy)]
struct Winner<'p> {
    agency: Agency,
    offset: u64,
    document: &'p [u8],
}

/// Rows of winners that begin in a part of the ledger.
#[derive(Debug)]
struct Piece<'b> {
    from: u64,
    end: u64,
    /// By agency, in the order of the rows.
    winners: Vec<Winner<'b>>,
}

/// Rows that are none begin at this offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Damage(u64);

/// All lists that are being told.
#[derive(Debug, Default)]
pub struct WinnersScan {
    /// Of connections that take output.
    active: BTreeMap<ConnectionId, Cursor>,
    /// Of connections that don't, until they do again.
    blocked: BTreeMap<ConnectionId, Cursor>,
    /// Offset behind the last piece.
    position: u64,
    /// What a piece is read into. Made for the first list and kept: to make it again for each would
    /// cost more than most lists.
    buffer: Vec<u8>,
    /// A frame on its way to a connection.
    frame: Vec<u8>,
}

impl WinnersScan {
    /// Begins a list, of at least one winner, for a connection that is owed no other one.
    pub fn begin(&mut self, connection: ConnectionId, agency: Agency, rows: WinningRows) {
        debug_assert!(rows.count > 0, "nothing has to be read for an empty list");
        let cursor = Cursor { agency, offset: rows.first, left: rows.count };
        self.active.insert(connection, cursor);
    }

    /// Forgets a connection.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.active.remove(&connection);
        self.blocked.remove(&connection);
    }

    /// A connection takes output again.
    pub fn resume(&mut self, connection: ConnectionId) {
        if let Some(cursor) = self.blocked.remove(&connection) {
            self.active.insert(connection, cursor);
        }
    }

    /// Whether there is something to read for somebody.
    pub fn is_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Reads one piece of at most `budget` bytes, at least [`PIECE_MIN`], and tells everybody in it what
    /// it has for them. `tell` sends one frame to a connection, or says that it takes none now. Returns
    /// the connections whose lists are complete.
    ///
    /// # Errors
    /// The ledger can't be read, or isn't what was committed.
    pub fn advance(
        &mut self,
        store: &impl ReadRows,
        stripes: &Stripes,
        budget: usize,
        tell: impl FnMut(ConnectionId, &[u8]) -> bool,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let Some(from) = self.next_offset() else { return Ok(Vec::new()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(budget, 0);
        let piece = Piece::read(store, stripes, from, &mut buffer)?;
        let told = self.take_part(&piece, tell);
        self.buffer = buffer;
        Ok(told)
    }

    /// Where the next piece begins.
    fn next_offset(&self) -> Option<u64> {
        let offsets = self.active.values().map(|cursor| cursor.offset);
        offsets.min_by_key(|offset| (*offset < self.position, *offset))
    }

    /// Tells everybody whose cursor stands in this piece.
    fn take_part(
        &mut self,
        piece: &Piece<'_>,
        mut tell: impl FnMut(ConnectionId, &[u8]) -> bool,
    ) -> Vec<ConnectionId> {
        let mut told = Vec::new();
        let present = |cursor: &Cursor| (piece.from..piece.end).contains(&cursor.offset);
        for (&connection, cursor) in self.active.iter_mut().filter(|(_, cursor)| present(cursor)) {
            let own = cursor.own(&piece.winners);
            let taken = cursor.tell(own, &mut self.frame, |frame| tell(connection, frame));
            if !taken {
                self.blocked.insert(connection, *cursor);
                continue;
            }
            cursor.offset = piece.end;
            if cursor.left == 0 {
                told.push(connection);
            }
        }
        self.active
            .retain(|connection, cursor| cursor.left > 0 && !self.blocked.contains_key(connection));
        self.position = piece.end;
        told
    }
}

impl Cursor {
    /// The winners that are its own and haven't been told, of all in a piece.
    fn own<'w, 'p>(&self, winners: &'w [Winner<'p>]) -> &'w [Winner<'p>] {
        let told =
            |winner: &Winner<'_>| (winner.agency, winner.offset) < (self.agency, self.offset);
        let own = &winners[winners.partition_point(told)..];
        &own[..own.partition_point(|winner| winner.agency == self.agency)]
    }

    /// Tells these winners, the next ones of its list. Says whether all of them were taken; if not,
    /// the cursor stands at the first that wasn't.
    fn tell(
        &mut self,
        mut winners: &[Winner<'_>],
        frame: &mut Vec<u8>,
        mut tell: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        while let Some(first) = winners.first() {
            frame.clear();
            let mut builder = WinnersBuilder::new(frame);
            let fitting = winners.iter().take_while(|winner| builder.push(winner.document)).count();
            let left = self.left.saturating_sub(fitting as u64);
            builder.finish(left == 0);
            if !tell(frame) {
                self.offset = first.offset;
                return false;
            }
            self.left = left;
            winners = &winners[fitting..];
        }
        true
    }
}

impl<'b> Piece<'b> {
    /// Reads the rows of winners that begin at `from` or later, as far as the buffer goes.
    fn read(
        store: &impl ReadRows,
        stripes: &Stripes,
        from: u64,
        buffer: &'b mut [u8],
    ) -> Result<Self, StoreError> {
        let mut piece = Self { from, end: from, winners: Vec::new() };
        let (mut room, rows_len) = (buffer, store.rows_len());
        // Whoever stands at the end is owed rows that aren't there.
        if from >= rows_len {
            return Err(store.rows_changed(from));
        }
        while room.len() >= PIECE_MIN && piece.end < rows_len {
            let run = stripes.next_run(piece.end, room.len() as u64);
            let Some(run) = run.filter(|run| run.start < rows_len) else {
                piece.end = rows_len;
                break;
            };
            // A run begins anywhere in a row: the byte before it shows whether one begins just there.
            // The last row that begins in it ends behind it.
            let (begin, end) = (run.start.saturating_sub(1), run.end.min(rows_len));
            let wanted = (end - begin).saturating_add(ROW_MAX as u64);
            let count = room.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
            let (rows, rest) = room.split_at_mut(count);
            let count = store.read_rows(begin, rows)?;
            let added = piece.add(&rows[..count], begin, run.start..end, rows_len);
            added.map_err(|Damage(offset)| store.rows_changed(offset))?;
            room = rest;
        }
        piece.winners.sort_by_key(|winner| winner.agency);
        Ok(piece)
    }

    /// Takes the winners among the rows that begin in `run` out of what was read from `begin` on. With
    /// a row that is cut off the next piece begins.
    fn add(
        &mut self,
        bytes: &'b [u8],
        begin: u64,
        run: Range<u64>,
        rows_len: u64,
    ) -> Result<(), Damage> {
        let mut line_feeds = memchr::memchr_iter(b'\n', bytes);
        let mut start = if begin == run.start { 0 } else { after(line_feeds.next(), begin)? };
        self.end = run.end;
        while begin + (start as u64) < run.end {
            let offset = begin + start as u64;
            let Some(line_feed) = line_feeds.next() else {
                let at_end = begin + bytes.len() as u64 == rows_len;
                self.end = offset;
                return if at_end || bytes.len() - start >= ROW_MAX {
                    Err(Damage(offset))
                } else {
                    Ok(())
                };
            };
            let outline = row::outline_if(&bytes[start..=line_feed], bet::has_won);
            let outline = outline.map_err(|NoRow| Damage(offset))?;
            if let Some(row::Outline { agency, document }) = outline {
                self.winners.push(Winner { agency, offset, document });
            }
            start = line_feed + 1;
        }
        Ok(())
    }
}

/// Where a row begins behind this line feed in what was read from `begin` on.
fn after(line_feed: Option<usize>, begin: u64) -> Result<usize, Damage> {
    line_feed.map(|at| at + 1).ok_or(Damage(begin))
}

#[cfg(test)]
mod tests {
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

        /// What each agency is to be told, the simple way.
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

    /// What a connection has been told.
    #[derive(Debug, Default)]
    struct Told {
        documents: Vec<String>,
        complete: bool,
        /// Frames that it takes.
        room: usize,
    }

    impl Told {
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

    /// A scan of some rows and the connections that are told of it.
    struct World {
        rows: Rows,
        index: WinnerIndex,
        lists: BTreeMap<Agency, Vec<String>>,
        scan: WinnersScan,
        told: BTreeMap<ConnectionId, (Agency, Told)>,
    }

    impl World {
        fn new(rows: Rows) -> Self {
            let (index, lists) = (rows.index(), rows.lists());
            Self { rows, index, lists, scan: WinnersScan::default(), told: BTreeMap::new() }
        }

        fn begin(&mut self, connection: u32, agency: Agency, room: usize) {
            let rows = self.index.by_agency.of(agency);
            if rows.count > 0 && !self.told.contains_key(&token(connection)) {
                self.scan.begin(token(connection), agency, rows);
                let told = Told { room, ..Told::default() };
                self.told.insert(token(connection), (agency, told));
            }
        }

        fn forget(&mut self, connection: u32) {
            self.scan.forget(token(connection));
            self.told.remove(&token(connection));
        }

        fn resume(&mut self, connection: u32, room: usize) {
            if let Some((_, told)) = self.told.get_mut(&token(connection)) {
                told.room = room;
                self.scan.resume(token(connection));
            }
        }

        /// One piece. Lists that are complete by it must be right; they are given back.
        fn advance(&mut self, budget: usize) -> Vec<ConnectionId> {
            let told = &mut self.told;
            let tell = |to, frame: &[u8]| told.get_mut(&to).expect("it began").1.take(frame);
            let complete =
                self.scan.advance(&self.rows, &self.index.stripes, budget, tell).unwrap();
            for (to, (agency, told)) in &self.told {
                assert_eq!(told.complete, complete.contains(to));
                assert!(self.lists[agency].starts_with(&told.documents), "{told:?}");
            }
            for to in &complete {
                let (agency, told) = self.told.remove(to).expect("it began");
                assert_eq!(told.documents, self.lists[&agency]);
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
        /// Whoever asks, whenever, and however it takes its output: it is told its own winners, all
        /// of them, in order and once.
        #[test]
        fn everybody_is_told_its_own_list(
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
                prop_assert!(pieces > 0, "{:?}", world.told);
                pieces -= 1;
                world.advance(PIECE_MIN);
            }
            prop_assert!(world.told.is_empty(), "{:?}", world.told);
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
        assert!(!world.told[&token(1)].1.documents.is_empty());
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
        assert!(world.told.is_empty());
        let half = world.rows.bytes.len() / 2;
        // A row at each end of a piece is read twice, and all of the last piece.
        let most = half + half / budget * 2 * ROW_MAX + budget;
        assert!(world.rows.read.get() <= most, "{} bytes of {half}", world.rows.read.get());
    }

    #[test]
    fn where_nobody_wins_nothing_is_read() {
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
    fn one_that_asks_again_and_again_keeps_nobody_from_being_told() {
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
        panic!("the second agency is never told");
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
}
