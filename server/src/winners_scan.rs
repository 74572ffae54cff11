//! Lists of winners, read from the ledger by all connections that are owed one at the same time.
//!
//! A shared scan (as `synchronize_seqscans` of `PostgreSQL`): one pass over the rows, in pieces of a
//! bounded size, one a turn of the loop, while all others are served. A piece leaves out the
//! stripes of the ledger in which no winner's row begins, see [`Stripes`]. Each list is a [`Cursor`]
//! of constant size; all cursors in a piece take part in it. So ten thousand agencies that
//! wait for the draw cost one pass and not ten thousand.
//!
//! Pieces follow each other in a circle, from the cursor ahead that is nearest, and from the first
//! one again when there is none ahead: a peer that asks again and again, and so is at the front
//! always, can't keep the others from being reached. A connection that takes no more output leaves
//! its cursor behind, and is reached again in the next round after it has taken what it had.
//!
//! A list is never held: what a piece has of it leaves in frames of its own, and a frame that a
//! connection doesn't take isn't missing anywhere, its winners are just read again.
//!
//! Why this and nothing else: documents in memory take nearly half of the ledger's size when
//! all bets win. A file of winners would be a second thing to keep true through crashes. A scan
//! for each request would take as often what one takes now: for 5,000 winners among
//! 50 million bets 11 ms (without stripes 0.7 s), for ten million winners about a second. Larger
//! pieces than 256 KiB make none of that quicker.
//!
//! Reading waits for the disk when the kernel doesn't have the rows any more, as everything that
//! isn't a socket does; a piece is what bounds it. What can't be read, or isn't what was committed,
//! ends the process: there is nothing right to send, and a start checks everything.

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

/// How much of its list a connection has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    agency: Agency,
    /// It has been sent all winners whose rows begin before this offset.
    offset: u64,
    /// Winners that it hasn't been sent.
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

/// All lists that are being sent.
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

    /// Whether there is something to read.
    pub fn is_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Reads one piece of at most `budget` bytes, at least [`PIECE_MIN`], and sends what is in it to
    /// each connection that it is for. `send` sends one frame, or returns that the connection takes
    /// none now. Returns the connections whose lists are complete.
    ///
    /// # Errors
    /// The ledger can't be read, or isn't what was committed.
    pub fn advance(
        &mut self,
        store: &impl ReadRows,
        stripes: &Stripes,
        budget: usize,
        send: impl FnMut(ConnectionId, &[u8]) -> bool,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let Some(from) = self.next_offset() else { return Ok(Vec::new()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(budget, 0);
        let piece = Piece::read(store, stripes, from, &mut buffer)?;
        let complete = self.send_piece(&piece, send);
        self.buffer = buffer;
        Ok(complete)
    }

    /// Where the next piece begins.
    fn next_offset(&self) -> Option<u64> {
        let offsets = self.active.values().map(|cursor| cursor.offset);
        offsets.min_by_key(|offset| (*offset < self.position, *offset))
    }

    /// Sends to each connection whose cursor is in this piece.
    fn send_piece(
        &mut self,
        piece: &Piece<'_>,
        mut send: impl FnMut(ConnectionId, &[u8]) -> bool,
    ) -> Vec<ConnectionId> {
        let mut complete = Vec::new();
        let present = |cursor: &Cursor| (piece.from..piece.end).contains(&cursor.offset);
        for (&connection, cursor) in self.active.iter_mut().filter(|(_, cursor)| present(cursor)) {
            let own = cursor.own(&piece.winners);
            let taken = cursor.send(own, &mut self.frame, |frame| send(connection, frame));
            if !taken {
                self.blocked.insert(connection, *cursor);
                continue;
            }
            cursor.offset = piece.end;
            if cursor.left == 0 {
                complete.push(connection);
            }
        }
        self.active
            .retain(|connection, cursor| cursor.left > 0 && !self.blocked.contains_key(connection));
        self.position = piece.end;
        complete
    }
}

impl Cursor {
    /// The winners that are its own and haven't been sent, of all in a piece.
    fn own<'w, 'p>(&self, winners: &'w [Winner<'p>]) -> &'w [Winner<'p>] {
        let sent =
            |winner: &Winner<'_>| (winner.agency, winner.offset) < (self.agency, self.offset);
        let own = &winners[winners.partition_point(sent)..];
        &own[..own.partition_point(|winner| winner.agency == self.agency)]
    }

    /// Sends these winners, the next ones of its list. Returns whether all of them were taken; if not,
    /// the cursor is at the first that wasn't.
    fn send(
        &mut self,
        mut winners: &[Winner<'_>],
        frame: &mut Vec<u8>,
        mut send: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        while let Some(first) = winners.first() {
            frame.clear();
            let mut builder = WinnersBuilder::new(frame);
            let fitting = winners.iter().take_while(|winner| builder.push(winner.document)).count();
            let left = self.left.saturating_sub(fitting as u64);
            builder.finish(left == 0);
            if !send(frame) {
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
        // A cursor at the end is owed rows that aren't there.
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
mod tests;
