//! Reading the ledger back after whatever has happened.
//!
//! | the crash came | what is found | what is done |
//! |---|---|---|
//! | while the log was made | no header, no rows | it is made anew |
//! | while a record was written | a header whose payload doesn't match, or none | it is torn: never confirmed |
//! | while rows were appended | rows that no record covers, or a record without its rows | they are cut off, or written again |
//! | after the sync of a record | the record; its rows, some of them, or none | missing rows are written again |
//! | while `bets.csv` was synced | the old half, whole | likewise |
//! | while a checkpoint was written | none in the new half, the old half whole | likewise |
//! | after a checkpoint | the checkpoint; `bets.csv` is durable up to it | nothing |
//!
//! Everything else is damage: it is named, and nothing is changed. Damage is told from a crash by
//! what a crash can't leave behind: behind an invalid record a valid one that was written after the
//! invalid one had been synced, a header that is neither there nor not there, a payload that was
//! written in all its sectors and doesn't match, rows before the last checkpoint that differ from
//! its checksum, more bytes behind the committed rows than the log has room for, or any after a graceful
//! end. So that this is sure, an opened ledger says at once in its log that it is open.
//!
//! Two cases can't be told apart. Damage inside the records that were synced last, in a half that has
//! been used before, is taken for torn ones, as every log with recycled space takes it; and if all
//! bytes of one of these read back as zeros, it is taken for one that was never written.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, Read};

use wire::Agency;

use super::LedgerError;
use super::disk::{Disk, Stretch};
use super::file_ledger::{Book, Paths, Place};
use super::log::{self, BLOCK, BadHeader, Checkpoint, FILE_HEADER_LEN, Header, Kind};
use super::progress::{Interrupted, Step, Watch};
use super::row::{self, StoredBet};
use super::state::State;

/// Generations up to this one write over zeros; later ones over older records.
pub(crate) const FIRST_USES: u64 = 2;

/// What recovery found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// There was no ledger: this one is new.
    pub created: bool,
    /// The last end was a graceful one, which leaves nothing to be mended.
    pub clean: bool,
    /// Rows in the ledger.
    pub rows: u64,
    /// Commits behind the last checkpoint, which were read from the log; among them the one of nothing
    /// that says that the ledger was opened.
    pub commits: u64,
    /// Rows of these.
    pub commit_rows: u64,
    /// Bytes at the end of `bets.csv` that were never committed, and were cut off.
    pub cut: u64,
    /// Bytes of committed rows that `bets.csv` lacked, and were written again out of the log.
    pub restored: u64,
    /// The log ended in a commit that was never completed.
    pub torn: bool,
    /// Agencies that the ledger was for until now, if not the same.
    pub agencies_before: Option<Agency>,
}

impl Recovery {
    /// Whether anything had to be done that an end in order leaves no need for.
    pub fn is_needed(&self) -> bool {
        !self.created && !self.clean
    }
}

/// CRC-32 of what a CRC-32 is of, and `bytes` behind it.
pub(crate) fn extend_crc(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

/// Size of a half as the log's header says; `None` for a log that was never finished.
pub(crate) fn half_size<D: Disk>(log: &D, paths: &Paths) -> Result<Option<u64>, LedgerError> {
    let found = log.len().map_err(paths.log_error("measure it"))?;
    let mut block = Vec::new();
    let mut header = Stretch::new(log, 0, found.min(FILE_HEADER_LEN));
    header.read_to_end(&mut block).map_err(paths.log_error("read its header"))?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let half_size = log::decode_file_header(&block).ok_or_else(|| bad_header(&block, paths))?;
    let expected = FILE_HEADER_LEN + 2 * half_size;
    if found < expected {
        return Err(LedgerError::LogTruncated { path: paths.log.clone(), expected, found });
    }
    Ok(Some(half_size))
}

fn bad_header(block: &[u8], paths: &Paths) -> LedgerError {
    let (path, csv) = (paths.log.clone(), paths.csv.clone());
    match log::judge_file_header(block) {
        BadHeader::OtherVersion(found) => LedgerError::OtherVersion { path, csv, found },
        BadHeader::Foreign => LedgerError::ForeignLog { path },
        BadHeader::Damaged => LedgerError::LogDamaged {
            path,
            offset: 0,
            what: "its header doesn't match its checksum",
        },
    }
}

/// Bytes of a file that are read or written between two reports of progress.
const PIECE: usize = 1 << 20;

/// This part of the log.
pub(crate) fn read_log<D: Disk>(
    log: &D,
    paths: &Paths,
    from: u64,
    to: u64,
    watch: &mut Watch<'_>,
) -> Result<Vec<u8>, LedgerError> {
    let (mut bytes, mut at) = (Vec::new(), from);
    while at < to {
        let end = to.min(at + PIECE as u64);
        let mut piece = Stretch::new(log, at, end);
        piece.read_to_end(&mut bytes).map_err(paths.log_error("read it"))?;
        watch.advance(end - at).map_err(paths.interrupted())?;
        at = end;
    }
    Ok(bytes)
}

/// Reads everything back; mends what a crash explains.
pub(crate) fn recover<D: Disk>(
    csv: &mut D,
    log: &D,
    paths: &Paths,
    half_size: u64,
    agencies: Agency,
    mut visit: impl FnMut(&StoredBet<'_>),
    watch: &mut Watch<'_>,
) -> Result<(Book, Recovery), LedgerError> {
    watch.begin(Step::ReadWal, 2 * half_size).map_err(paths.interrupted())?;
    let mut halves = LogReader { log, paths, half_size, watch };
    let (checkpoint, mut place, base) = halves.newest_checkpoint()?;
    let replayed = halves.replay(&mut place, base, checkpoint.state)?;
    let recorded = checkpoint.agencies.unwrap_or_default().max(replayed.state.highest_agency());
    check_agencies(paths, agencies, recorded, replayed.state.drawn)?;

    let mut counts = Counts::default();
    let mut counted = |bet: &StoredBet<'_>| {
        counts.add(bet.agency);
        visit(bet);
    };
    let row_error = |source| LedgerError::Row { path: paths.csv.clone(), source };
    let csv_len = csv.len().map_err(paths.csv_error("measure it"))?;
    let committed = base + replayed.rows.len() as u64;
    let clean = checkpoint.clean && replayed.commits == 0 && !replayed.torn;
    // Rows that were appended and never committed stand in the log too.
    let most = committed + if clean { 0 } else { 2 * half_size };
    check_len(paths, csv_len, base, committed, most)?;
    watch.begin(Step::ReadRows, committed).map_err(paths.interrupted())?;
    let mut prefix = Checked { rows: Stretch::new(csv, 0, base), crc: 0, watch };
    let loaded = row::load_bets(&mut prefix, &mut counted);
    if prefix.watch.is_interrupted() {
        return Err(paths.interrupted()(Interrupted));
    }
    loaded.map_err(row_error)?;
    let (found, expected) = (prefix.crc, checkpoint.csv_crc);
    if found != expected {
        let path = paths.csv.clone();
        return Err(LedgerError::LedgerDamaged { path, len: base, expected, found });
    }
    let mut commit_rows = 0;
    let mut shifted = |bet: &StoredBet<'_>| {
        commit_rows += 1;
        counted(&StoredBet { offset: base + bet.offset, ..*bet });
    };
    let mut rest = Checked { rows: &replayed.rows[..], crc: found, watch };
    let loaded = row::load_bets(&mut rest, &mut shifted);
    if rest.watch.is_interrupted() {
        return Err(paths.interrupted()(Interrupted));
    }
    loaded.map_err(row_error)?;
    let csv_crc = rest.crc;
    counts.compare(&replayed.state, paths)?;

    let recovery = Recovery {
        created: false,
        clean,
        rows: counts.total(),
        commits: replayed.commits,
        commit_rows,
        restored: restore(csv, paths, base, &replayed.rows, watch)?,
        cut: csv_len.saturating_sub(committed),
        torn: replayed.torn,
        agencies_before: checkpoint.agencies.filter(|recorded| *recorded != agencies),
    };
    if recovery.cut > 0 {
        csv.set_len(committed).map_err(paths.csv_error("cut off what was never committed"))?;
    }
    let state = replayed.state;
    let agencies = checkpoint.agencies;
    Ok((Book { state, csv_len: committed, csv_crc, place, half_size, agencies }, recovery))
}

/// A lottery never gets smaller: the draw would run without agencies that have bets. It may grow
/// until the draw, which is of those who took part.
fn check_agencies(
    paths: &Paths,
    configured: Agency,
    recorded: Agency,
    drawn: bool,
) -> Result<(), LedgerError> {
    let (path, log) = (paths.csv.clone(), paths.log.clone());
    match configured.cmp(&recorded) {
        Ordering::Less => Err(LedgerError::FewerAgencies { path, log, recorded, configured }),
        Ordering::Greater if drawn => {
            Err(LedgerError::MoreAgencies { path, log, recorded, configured })
        }
        _ => Ok(()),
    }
}

/// `bets.csv` has at least what the last checkpoint vouches for, and at most what the last run can have
/// left: what is beyond that was put there by somebody else, who would lose it.
fn check_len(
    paths: &Paths,
    found: u64,
    least: u64,
    committed: u64,
    most: u64,
) -> Result<(), LedgerError> {
    let path = paths.csv.clone();
    match found {
        0 if least > 0 => {
            Err(LedgerError::LedgerMissing { path, log: paths.log.clone(), expected: least })
        }
        _ if found < least => Err(LedgerError::LedgerTruncated { path, expected: least, found }),
        _ if found > most => {
            Err(LedgerError::LedgerSurplus { path, expected: committed, found, most })
        }
        _ => Ok(()),
    }
}

/// Writes committed rows again that `bets.csv` lacks; says how many bytes.
fn restore<D: Disk>(
    csv: &mut D,
    paths: &Paths,
    mut at: u64,
    rows: &[u8],
    watch: &mut Watch<'_>,
) -> Result<u64, LedgerError> {
    watch.begin(Step::RestoreRows, rows.len() as u64).map_err(paths.interrupted())?;
    let (mut found, mut restored) = (Vec::new(), 0);
    for piece in rows.chunks(PIECE) {
        found.clear();
        let mut stretch = Stretch::new(&*csv, at, at + piece.len() as u64);
        stretch.read_to_end(&mut found).map_err(paths.csv_error("read its end"))?;
        let same = piece.iter().zip(&found).take_while(|(row, found)| row == found).count();
        let lacking = &piece[same..];
        if !lacking.is_empty() {
            csv.write_at(lacking, at + same as u64).map_err(paths.csv_error("restore rows"))?;
        }
        restored += lacking.len() as u64;
        at += piece.len() as u64;
        watch.advance(piece.len() as u64).map_err(paths.interrupted())?;
    }
    Ok(restored)
}

/// Rows on their way to the parser, and the checksum of what has gone by.
struct Checked<'w, 'h, R> {
    rows: R,
    crc: u32,
    watch: &'w mut Watch<'h>,
}

impl<R: Read> Read for Checked<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.rows.read(buffer)?;
        self.crc = extend_crc(self.crc, &buffer[..count]);
        let goes_on = self.watch.advance(count as u64);
        goes_on.map_err(|Interrupted| io::Error::other("interrupted"))?;
        Ok(count)
    }
}

/// Rows of each agency.
#[derive(Debug, Default)]
struct Counts(BTreeMap<Agency, u64>);

impl Counts {
    fn add(&mut self, agency: Agency) {
        *self.0.entry(agency).or_default() += 1;
    }

    fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The rows must be as many as the log says.
    fn compare(&self, state: &State, paths: &Paths) -> Result<(), LedgerError> {
        let told = state.accounts().map(|(agency, account)| (agency, account.stored));
        let untold = self.0.keys().map(|agency| (*agency, state.account(*agency).stored));
        for (agency, expected) in told.chain(untold) {
            let found = self.0.get(&agency).copied().unwrap_or_default();
            if found != expected {
                let path = paths.csv.clone();
                return Err(LedgerError::Miscounted { path, agency, expected, found });
            }
        }
        Ok(())
    }
}

/// What stands at a place of the log.
#[derive(Debug)]
enum Slot {
    /// Zeros, or the end of the half.
    Blank,
    /// A whole record.
    Record(Header, Vec<u8>),
    /// A header, and a payload that doesn't match it.
    Mismatch(Header, Vec<u8>),
    /// Neither a header nor zeros.
    Junk,
}

impl Slot {
    fn generation(&self) -> Option<u64> {
        match self {
            Self::Record(header, _) | Self::Mismatch(header, _) => Some(header.generation),
            Self::Blank | Self::Junk => None,
        }
    }
}

/// What the commits after a checkpoint come to.
#[derive(Debug)]
struct Replayed {
    state: State,
    /// Their rows, in one piece: at most a half of the log.
    rows: Vec<u8>,
    commits: u64,
    torn: bool,
}

struct LogReader<'d, 'w, 'h, D> {
    log: &'d D,
    paths: &'d Paths,
    half_size: u64,
    watch: &'w mut Watch<'h>,
}

impl<D: Disk> LogReader<'_, '_, '_, D> {
    fn start(&self, half: u64) -> u64 {
        FILE_HEADER_LEN + half * self.half_size
    }

    fn damaged(&self, offset: u64, what: &'static str) -> LedgerError {
        LedgerError::LogDamaged { path: self.paths.log.clone(), offset, what }
    }

    fn read(&mut self, from: u64, to: u64) -> Result<Vec<u8>, LedgerError> {
        read_log(self.log, self.paths, from, to, self.watch)
    }

    fn slot(&mut self, half: u64, at: u64) -> Result<Slot, LedgerError> {
        let end = self.start(half) + self.half_size;
        if at + BLOCK as u64 > end {
            return Ok(Slot::Blank);
        }
        let block = self.read(at, at + BLOCK as u64)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Slot::Blank);
        }
        let header = block.first_chunk().and_then(Header::decode);
        let Some(header) = header.filter(|header| at + header.record_len() <= end) else {
            return Ok(Slot::Junk);
        };
        let from = at + BLOCK as u64;
        let payload = self.read(from, from + u64::from(header.payload_len))?;
        let matches = header.matches(&payload);
        Ok(if matches { Slot::Record(header, payload) } else { Slot::Mismatch(header, payload) })
    }

    /// The state to begin with, where its half goes on, and how long `bets.csv` was then.
    fn newest_checkpoint(&mut self) -> Result<(Checkpoint, Place, u64), LedgerError> {
        let slots = [self.slot(0, self.start(0))?, self.slot(1, self.start(1))?];
        let checkpoint = |half: u64, slot: &Slot| match slot {
            Slot::Record(header, payload) if header.kind == Kind::Checkpoint => {
                let place = Place {
                    half,
                    cursor: self.start(half) + header.record_len(),
                    generation: header.generation,
                    sequence: header.sequence,
                };
                Some((log::decode_checkpoint(payload)?, place, header.csv_len))
            }
            _ => None,
        };
        let found = [checkpoint(0, &slots[0]), checkpoint(1, &slots[1])];
        let newest = found.into_iter().flatten().max_by_key(|(_, place, _)| place.generation);
        let Some(newest) = newest else {
            return Err(self.damaged(self.start(0), "neither half begins with a checkpoint"));
        };
        let other = 1 - newest.1.half;
        let slot = if other == 0 { &slots[0] } else { &slots[1] };
        self.check_other_half(other, slot, newest.1.generation)?;
        Ok(newest)
    }

    /// The half that isn't used now holds an older generation, or a checkpoint that was not
    /// completed: nothing may stand behind that.
    fn check_other_half(&mut self, half: u64, slot: &Slot, used: u64) -> Result<(), LedgerError> {
        let start = self.start(half);
        let first_use = used < FIRST_USES;
        let damaged = match slot {
            Slot::Blank => !first_use,
            Slot::Junk => true,
            Slot::Record(header, _) => {
                header.kind != Kind::Checkpoint || header.generation + 1 != used
            }
            // Its own header, or that of the checkpoint that it was to replace.
            Slot::Mismatch(header, payload) => {
                let torn = log::looks_torn(payload, start + BLOCK as u64);
                let generations = [used + 1, used.saturating_sub(1)];
                !generations.contains(&header.generation) || (first_use && !torn)
            }
        };
        if damaged || self.has_proof(half, start, used + 1, 0)? {
            return Err(self.damaged(start, "a checkpoint can't be read"));
        }
        Ok(())
    }

    /// Whether the half holds, behind `at`, a record of that generation which shows that the one
    /// with this sequence had been synced.
    fn has_proof(
        &mut self,
        half: u64,
        at: u64,
        generation: u64,
        sequence: u64,
    ) -> Result<bool, LedgerError> {
        let end = self.start(half) + self.half_size;
        let behind = self.read((at + BLOCK as u64).min(end), end)?;
        let mut headers = log::headers_in(&behind, generation);
        Ok(headers.any(|(_, header)| header.proves(sequence)))
    }

    /// Applies the commits behind a checkpoint; moves `place` to where the next one goes.
    fn replay(
        &mut self,
        place: &mut Place,
        base: u64,
        state: State,
    ) -> Result<Replayed, LedgerError> {
        let mut replayed = Replayed { state, rows: Vec::new(), commits: 0, torn: false };
        loop {
            let slot = self.slot(place.half, place.cursor)?;
            match slot {
                Slot::Record(header, payload) if header.generation == place.generation => {
                    let csv_len = base + replayed.rows.len() as u64;
                    let next = header.kind == Kind::Commit
                        && header.sequence == place.sequence + 1
                        && header.csv_len == csv_len;
                    let commit = log::decode_commit(&header, &payload).filter(|_| next);
                    let Some((entries, rows)) = commit else {
                        return Err(self.damaged(place.cursor, "a commit out of its order"));
                    };
                    for entry in &entries {
                        replayed.state.apply(entry);
                    }
                    replayed.rows.extend_from_slice(rows);
                    replayed.commits += 1;
                    place.cursor += header.record_len();
                    place.sequence = header.sequence;
                }
                end => {
                    replayed.torn = self.check_end(place, &end)?;
                    return Ok(replayed);
                }
            }
        }
    }

    /// What stands behind the last commit must be what a crash can leave there. Says whether it is
    /// a torn commit.
    fn check_end(&mut self, place: &Place, slot: &Slot) -> Result<bool, LedgerError> {
        let Place { half, cursor, generation, sequence } = *place;
        let first_use = generation <= FIRST_USES;
        let torn = slot.generation() == Some(generation);
        let possible = match slot {
            Slot::Blank => true,
            Slot::Mismatch(header, payload) if torn => {
                let torn = log::looks_torn(payload, cursor + BLOCK as u64);
                header.sequence == sequence + 1 && (!first_use || torn)
            }
            Slot::Junk | Slot::Record(..) | Slot::Mismatch(..) => !first_use,
        };
        if !possible {
            return Err(self.damaged(cursor, "a commit can't be read"));
        }
        if self.has_proof(half, cursor, generation, sequence + 1)? {
            return Err(self.damaged(cursor, "a commit can't be read, but later ones can"));
        }
        Ok(torn)
    }
}
