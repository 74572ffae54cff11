//! The two files, and in which order they are written and synced.
//!
//! `bets.csv` is what people and the original tools read; `bets.csv.wal` vouches for it. One commit:
//!
//! 1. one record with entries and rows is written into the log, over blocks that exist already, so
//!    it can't run out of space and no metadata changes; the disk begins with it at once;
//! 2. its rows are appended to `bets.csv`, not synced. No space? Both are taken back, nothing has
//!    happened;
//! 3. the log is synced, once for all commits written by then. Only now are they durable, and only
//!    this is waited for.
//!
//! `bets.csv` itself is synced when a half of the log is full, and at the end: what it may lose in a
//! crash stands in the log. In which order is `syncing`'s; what is found after a crash at each point
//! is in [`recovery`].

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::ops::{ControlFlow, RangeInclusive};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use wire::Agency;

use super::commit::REQUEST_MAX;
use super::disk::{Disk, Stretch};
use super::error::is_for_want_of_space;
use super::lock::lock;
use super::log::{self, BLOCK, FILE_HEADER_LEN, Stamp};
use super::progress::{Interrupted, Progress, Step, Watch};
use super::recovery::{self, Recovery};
use super::row::StoredBet;
use super::syncing::{Next, Syncing};
use super::{Commit, CommitNumber, Ledger, LedgerError, State, SubmitError, SyncTarget};

/// What follows the ledger's name in that of its log.
pub const LOG_SUFFIX: &str = ".wal";

/// When the log is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// With every turn, before any of its answers leaves.
    Always,
    /// Never: a crash of the machine, not one of the process, may lose what was confirmed. For
    /// tests and runs that are thrown away.
    Never,
}

/// How a ledger is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// When the log is synced.
    pub sync: Sync,
    /// Bytes of each half of a log that is made anew. One that exists keeps its size.
    pub half_size: u64,
    /// Agencies of the lottery that the ledger is for, numbered from 1.
    pub agencies: Agency,
    /// Bytes of `bets.csv` above which no row is taken.
    pub max_size: u64,
    /// Bytes that stay free on the file system: no row is taken when there are fewer.
    pub min_free: u64,
}

impl Options {
    /// A ledger that may fill its file system.
    pub const fn unbounded(sync: Sync, half_size: u64, agencies: Agency) -> Self {
        Self { sync, half_size, agencies, max_size: u64::MAX, min_free: 0 }
    }
}

/// Name of the log of the ledger with this name.
fn log_path(csv: &Path) -> PathBuf {
    let mut log = csv.as_os_str().to_owned();
    log.push(LOG_SUFFIX);
    log.into()
}

/// Names of the two files.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) csv: PathBuf,
    pub(crate) log: PathBuf,
}

impl Paths {
    fn new(csv: &Path) -> Self {
        Self { csv: csv.to_owned(), log: log_path(csv) }
    }

    /// Those of a ledger that exists. Its log stands beside the file itself, not beside a symbolic
    /// link to it: however the ledger is reached, the log is the same.
    fn resolved(csv: &Path) -> Result<Self, LedgerError> {
        if !csv.is_symlink() {
            return Ok(Self::new(csv));
        }
        let file = csv.canonicalize().map_err(|source| LedgerError::Context {
            doing: "follow the link",
            path: csv.to_owned(),
            source,
        })?;
        Ok(Self { csv: csv.to_owned(), log: log_path(&file) })
    }

    pub(crate) fn csv_error(&self, doing: &'static str) -> impl FnOnce(io::Error) -> LedgerError {
        let path = self.csv.clone();
        move |source| LedgerError::Context { doing, path, source }
    }

    pub(crate) fn interrupted(&self) -> impl FnOnce(Interrupted) -> LedgerError {
        let path = self.csv.clone();
        move |Interrupted| LedgerError::Interrupted { path }
    }

    pub(crate) fn log_error(&self, doing: &'static str) -> impl FnOnce(io::Error) -> LedgerError {
        let path = self.log.clone();
        move |source| LedgerError::Context { doing, path, source }
    }
}

/// Where in the log the next record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// 0 or 1.
    pub(crate) half: u64,
    /// Offset in the file.
    pub(crate) cursor: u64,
    pub(crate) generation: u64,
    /// Of the last record.
    pub(crate) sequence: u64,
}

/// Where a log stands that is being made: the first checkpoint goes into half 0, as generation 1.
const NO_PLACE: Place = Place { half: 1, cursor: 0, generation: 0, sequence: 0 };

/// Everything that is known of the two files.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) state: State,
    pub(crate) csv_len: u64,
    pub(crate) csv_crc: u32,
    pub(crate) place: Place,
    pub(crate) half_size: u64,
    /// Agencies that the ledger is for, as it says itself.
    pub(crate) agencies: Option<Agency>,
}

/// Bytes of `bets.csv` that the disk begins to write together: enough to be written in one go, few
/// enough to be done before the checkpoint comes.
const WRITE_OUT: u64 = 1 << 20;

/// Where the last such piece of a file of so many bytes begins, before and after some are added.
fn begun_by(len: u64, added: u64) -> (u64, u64) {
    let begun = |len: u64| len - len % WRITE_OUT;
    (begun(len), begun(len + added))
}

/// Bytes of the smallest commit there is.
const COMMIT_MIN: usize = log::commit_record_len(1);

/// The file must be the one that its name leads to, and as long as it was left.
fn verify_file(
    file: &impl Disk,
    path: &Path,
    right: RangeInclusive<u64>,
) -> Result<(), SubmitError> {
    let found = file.len_at(path);
    let path = || path.to_owned();
    match found {
        Ok(Some(found)) if right.contains(&found) => Ok(()),
        Ok(Some(found)) => {
            let expected = *right.start();
            Err(SubmitError::Fatal(LedgerError::Changed { path: path(), expected, found }))
        }
        Ok(None) => Err(SubmitError::Fatal(LedgerError::Gone { path: path() })),
        // Nothing is known: it may be as it was.
        Err(source) => Err(SubmitError::Unavailable(LedgerError::Context {
            doing: "look at it",
            path: path(),
            source,
        })),
    }
}

/// The ledger in two files.
#[derive(Debug)]
pub struct FileLedger<D> {
    csv: D,
    log: D,
    paths: Paths,
    options: Options,
    book: Book,
    syncing: Syncing,
    /// How far the graceful end is.
    closing: Closing,
    /// Where the log goes on once the checkpoint that was written is durable.
    next_place: Place,
    /// There was space when the last row was appended, and there will be until the next MiB begins.
    has_space: bool,
    /// The record being written; kept for its memory.
    record: Vec<u8>,
}

/// How far the graceful end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// Nobody has asked for it.
    No,
    /// Its checkpoint is due.
    Asked,
    /// Its checkpoint is written.
    Written,
    /// Its checkpoint is durable.
    Done,
}

impl FileLedger<File> {
    /// Opens the ledger at `path`, or makes a new one, and locks it. Every bet in it is shown to
    /// `visit`, in order. `watch` learns at least every MiB how far it has come, and may stop it.
    ///
    /// # Errors
    /// [`LedgerError`] when it can't be had, or isn't what was committed; nothing is changed then.
    pub fn open(
        path: &Path,
        options: Options,
        visit: impl FnMut(&StoredBet<'_>),
        watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(Self, Recovery), LedgerError> {
        require_regular_log(path)?;
        let was_missing = !path.exists();
        // The ledger is locked before its log is looked for: under another name of the same file,
        // a hard link or a mount, that would be another log, or none.
        let csv = open_file(path)?;
        lock(&csv, path)?;
        let paths = Paths::resolved(path)?;
        let metadata = csv.metadata().map_err(paths.csv_error("measure it"))?;
        let log_len = paths.log.metadata().map_or(0, |metadata| metadata.len());
        if log_len == 0 && metadata.len() > 0 {
            return Err(log_missing(&paths, metadata.len()));
        }
        if log_len == 0 && metadata.nlink() > 1 {
            return Err(LedgerError::Linked { path: path.to_owned(), links: metadata.nlink() });
        }
        let log = open_file(&paths.log)?;
        lock(&log, &paths.log)?;
        sync_folder(&paths.csv)?;
        sync_folder(&paths.log)?;
        let opened = Self::with_paths(csv, log, paths, options, visit, watch);
        if was_missing && matches!(opened, Err(LedgerError::LedgerMissing { .. })) {
            // The empty file that was made in its place. If it stays, no harm is done.
            let _ = fs::remove_file(path);
        }
        opened
    }
}

impl FileLedger<File> {
    /// Descriptors of `bets.csv` and the log, for whoever syncs them.
    ///
    /// # Errors
    /// When there are none left.
    pub fn descriptors(&self) -> io::Result<(File, File)> {
        Ok((self.csv.try_clone()?, self.log.try_clone()?))
    }
}

/// Opens a file, or makes it. What is no regular file isn't opened: a device may do something then.
fn open_file(path: &Path) -> Result<File, LedgerError> {
    if let Ok(metadata) = path.metadata() {
        require_regular(path, &metadata)?;
    }
    let error = |source| LedgerError::Context { doing: "open it", path: path.to_owned(), source };
    // Nor is it waited for: a named pipe may have come into its place meanwhile.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    let opened = options.open(path);
    let file = opened.map_err(error)?;
    require_regular(path, &file.metadata().map_err(error)?)?;
    Ok(file)
}

fn require_regular(path: &Path, metadata: &Metadata) -> Result<(), LedgerError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let found = match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(LedgerError::NotRegular { path: path.to_owned(), found })
}

/// What can't be a log is refused before a new ledger is made beside it.
fn require_regular_log(csv: &Path) -> Result<(), LedgerError> {
    let log = log_path(csv);
    match log.metadata() {
        Ok(metadata) if !csv.is_symlink() => require_regular(&log, &metadata),
        _ => Ok(()),
    }
}

/// A new file is durable when its folder is.
fn sync_folder(file: &Path) -> Result<(), LedgerError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| LedgerError::Context {
        doing: "sync the folder",
        path: folder.to_owned(),
        source,
    })
}

fn log_missing(paths: &Paths, csv_len: u64) -> LedgerError {
    LedgerError::LogMissing { path: paths.csv.clone(), log: paths.log.clone(), csv_len }
}

impl<D: Disk> FileLedger<D> {
    /// The ledger in these two files, which nobody else has open: the seam for a disk that a test
    /// controls. `path` is the first one's name, for messages.
    ///
    /// # Errors
    /// Like [`open`](FileLedger::open).
    pub fn over(
        csv: D,
        log: D,
        path: &Path,
        options: Options,
        visit: impl FnMut(&StoredBet<'_>),
        watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(Self, Recovery), LedgerError> {
        Self::with_paths(csv, log, Paths::new(path), options, visit, watch)
    }

    fn with_paths(
        csv: D,
        log: D,
        paths: Paths,
        options: Options,
        visit: impl FnMut(&StoredBet<'_>),
        mut watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(Self, Recovery), LedgerError> {
        let mut watch = Watch::new(&mut watch);
        let half_size = recovery::half_size(&log, &paths)?;
        let csv_len = csv.len().map_err(paths.csv_error("measure it"))?;
        let mut ledger = Self {
            csv,
            log,
            paths,
            options,
            book: Book {
                state: State::default(),
                csv_len: 0,
                csv_crc: 0,
                place: NO_PLACE,
                half_size: half_size.unwrap_or(options.half_size),
                agencies: Some(options.agencies),
            },
            syncing: Syncing::new(0),
            closing: Closing::No,
            next_place: NO_PLACE,
            has_space: false,
            record: Vec::new(),
        };
        if half_size.is_some() {
            let (csv, log) = (&mut ledger.csv, &ledger.log);
            let (half_size, agencies) = (ledger.book.half_size, options.agencies);
            let recovered =
                recovery::recover(csv, log, &ledger.paths, half_size, agencies, visit, &mut watch)?;
            ledger.book = recovered.0;
            ledger.wipe_remains(&mut watch)?;
            // A killed process may have left records that were written and not synced. They count as
            // committed from now on, so they must be.
            ledger.sync()?;
            if recovered.1.clean {
                ledger.mark_open()?;
            }
            return Ok((ledger, recovered.1));
        }
        // No header: never finished, so nothing was ever confirmed.
        if csv_len > 0 {
            return Err(log_missing(&ledger.paths, csv_len));
        }
        ledger.create(&mut watch)?;
        Ok((ledger, Recovery { created: true, ..Recovery::default() }))
    }

    /// Says in the log that the last end isn't the last thing that happened, by a commit of nothing: from
    /// now on rows may be found behind the committed ones, of a commit that a power failure took out of
    /// the log. Without it they are somebody else's.
    fn mark_open(&mut self) -> Result<(), LedgerError> {
        // A half that has no room for this has none for a commit either: the start is refused for that.
        let Some(zeros) = self.encode(&Commit::default()) else { return Ok(()) };
        let (cursor, parts) = (self.book.place.cursor, [&self.record[..], &[], zeros]);
        let end = cursor + (self.record.len() + zeros.len() - BLOCK) as u64;
        let written = self.log.write_parts_at(parts, cursor);
        written.map_err(self.paths.log_error("write that it is open"))?;
        self.advance(end);
        self.sync()
    }

    /// A record has been written up to here.
    fn advance(&mut self, end: u64) {
        self.book.place.cursor = end;
        self.book.place.sequence += 1;
    }

    /// Fills the log with zeros; the header comes last, so that a crash leaves a log without one.
    fn create(&mut self, watch: &mut Watch<'_>) -> Result<(), LedgerError> {
        const ZEROS: &[u8] = &[0; 256 * 1024];
        let size = FILE_HEADER_LEN + 2 * self.book.half_size;
        self.require_space(&self.log, &self.paths.log, size)?;
        watch.begin(Step::FillWal, size).map_err(self.paths.interrupted())?;
        let mut filled = 0;
        while filled < size {
            let count = (size - filled).min(ZEROS.len() as u64);
            let zeros = &ZEROS[..usize::try_from(count).expect("at most the length of ZEROS")];
            if let Err(error) = self.log.write_at(zeros, filled) {
                return Err(self.not_filled(size, error));
            }
            watch.advance(count).map_err(self.paths.interrupted())?;
            filled += count;
        }
        self.log.set_len(size).map_err(self.paths.log_error("set its length"))?;
        self.sync_log()?;
        self.syncing.begin_checkpoint();
        self.sync()?;
        let header = log::encode_file_header(self.book.half_size);
        self.log.write_at(&header, 0).map_err(self.paths.log_error("write its header"))?;
        self.sync_log()
    }

    /// A log that can't be filled gives the space back that it has taken: whoever shares the disk
    /// needs it too.
    fn not_filled(&mut self, size: u64, source: io::Error) -> LedgerError {
        if !is_for_want_of_space(&source) {
            return self.paths.log_error("fill it")(source);
        }
        // If even that fails the next start fills it anew all the same.
        let _ = self.log.set_len(0);
        LedgerError::NoSpaceForLog { path: self.paths.log.clone(), size, source }
    }

    /// Makes zeros again of what a crash left where nothing was ever completed: damage is told from
    /// a torn write by the zeros that the write was to replace. In a half that was used before, of
    /// records that the crash left behind a torn one: none of them may ever follow another.
    fn wipe_remains(&mut self, watch: &mut Watch<'_>) -> Result<(), LedgerError> {
        let Place { half, cursor, generation, .. } = self.book.place;
        let end = self.half_start(half) + self.book.half_size;
        let total = 2 * self.book.half_size;
        watch.begin(Step::WipeWal, total).map_err(self.paths.interrupted())?;
        if generation <= recovery::FIRST_USES {
            self.wipe(cursor, end, watch)?;
        } else {
            self.wipe_headers(cursor, end, generation, watch)?;
        }
        if generation < recovery::FIRST_USES {
            let other = self.half_start(1 - half);
            self.wipe(other, other + self.book.half_size, watch)?;
        }
        Ok(())
    }

    fn wipe(&mut self, from: u64, to: u64, watch: &mut Watch<'_>) -> Result<(), LedgerError> {
        let mut bytes = recovery::read_log(&self.log, &self.paths, from, to, watch)?;
        let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        bytes.truncate(last + 1);
        bytes.fill(0);
        self.log.write_at(&bytes, from).map_err(self.paths.log_error("wipe a torn record"))
    }

    fn wipe_headers(
        &mut self,
        from: u64,
        to: u64,
        generation: u64,
        watch: &mut Watch<'_>,
    ) -> Result<(), LedgerError> {
        let bytes = recovery::read_log(&self.log, &self.paths, from, to, watch)?;
        for (offset, _) in log::headers_in(&bytes, generation) {
            let wiped = self.log.write_at(&[0; BLOCK], from + offset as u64);
            wiped.map_err(self.paths.log_error("wipe a record behind a torn one"))?;
        }
        Ok(())
    }

    fn half_start(&self, half: u64) -> u64 {
        FILE_HEADER_LEN + half * self.book.half_size
    }

    fn sync_log(&mut self) -> Result<(), LedgerError> {
        match self.options.sync {
            Sync::Always => self.log.sync().map_err(self.paths.log_error("sync it")),
            Sync::Never => Ok(()),
        }
    }

    /// Lets the disk write `bets.csv` while bets come in, instead of all of a half's rows at the
    /// checkpoint, which waits for it.
    fn begin_write_out(&mut self, csv_len: u64, added: u64) {
        let (from, to) = begun_by(csv_len, added);
        if from < to && self.options.sync == Sync::Always {
            self.csv.begin_write_out(from, to);
        }
    }

    fn stamp(&self, generation: u64) -> Stamp {
        let sequence = self.book.place.sequence + 1;
        let synced = self.syncing.durable();
        Stamp { generation, sequence, csv_len: self.book.csv_len, synced }
    }

    /// Begins the other half, now that `bets.csv` is durable. Until the checkpoint there is durable
    /// too, this half with its own checkpoint stays valid.
    fn write_checkpoint(&mut self) -> Result<(), LedgerError> {
        // Before it vouches for everything.
        if let Err(SubmitError::Unavailable(error) | SubmitError::Fatal(error)) = self.verify() {
            return Err(error);
        }
        let clean = self.closing == Closing::Asked;
        if clean {
            self.closing = Closing::Written;
        }
        let generation = self.book.place.generation + 1;
        let half = 1 - self.book.place.half;
        let (stamp, book) = (self.stamp(generation), &self.book);
        let (csv_crc, agencies) = (book.csv_crc, book.agencies);
        log::encode_checkpoint(stamp, csv_crc, clean, agencies, &book.state, &mut self.record);
        if self.record.len() as u64 > self.book.half_size {
            return Err(self.too_large(self.record.len()));
        }
        let start = self.half_start(half);
        let written = self.log.write_at(&self.record, start);
        written.map_err(self.paths.log_error("write a checkpoint"))?;
        let cursor = start + (self.record.len() - BLOCK) as u64;
        self.next_place = Place { half, cursor, generation, sequence: stamp.sequence };
        Ok(())
    }

    /// The last record that was written, a checkpoint included.
    fn written(&self) -> u64 {
        self.book.place.sequence.max(self.next_place.sequence)
    }

    pub(super) fn sync_file(&mut self, target: SyncTarget) -> io::Result<()> {
        match target {
            SyncTarget::Rows => self.csv.sync(),
            SyncTarget::Wal => self.log.sync(),
        }
    }

    fn too_large(&self, needed: usize) -> LedgerError {
        LedgerError::RecordTooLarge {
            path: self.paths.log.clone(),
            needed,
            half: self.book.half_size,
        }
    }

    /// Bytes that may be staged before they are committed, at most: a commit of that and one request
    /// more always fits into a segment of the wal, behind a checkpoint of all agencies.
    ///
    /// # Errors
    /// The segments are too small for any commit: [`LedgerError::SegmentTooSmall`].
    pub fn commit_room(&self) -> Result<usize, LedgerError> {
        let segment = usize::try_from(self.book.half_size).unwrap_or(usize::MAX);
        // Those it will be for: the first commit records them, and recovery lets it be for no fewer.
        let agencies = self.options.agencies as usize;
        let taken = log::checkpoint_record_len(agencies) + REQUEST_MAX;
        let room = segment.checked_sub(taken).filter(|room| *room >= COMMIT_MIN);
        room.ok_or_else(|| LedgerError::SegmentTooSmall {
            path: self.paths.log.clone(),
            csv: self.paths.csv.clone(),
            segment,
            agencies,
            needed: taken + COMMIT_MIN,
        })
    }

    fn fits(&self, len: usize) -> bool {
        let end = self.half_start(self.book.place.half) + self.book.half_size;
        self.book.place.cursor + len as u64 <= end
    }

    /// Makes [`Self::record`](FileLedger) that of the commit as far as its rows, in a half that has
    /// room for it; returns the zeros behind them.
    fn prepare(&mut self, commit: &Commit) -> Result<&'static [u8], SubmitError> {
        if !self.syncing.is_appending() || self.closing != Closing::No {
            return Err(SubmitError::Busy);
        }
        // For how many agencies the ledger is stands in the log before one of them has a bet in it,
        // and not after a start that came to nothing.
        let agencies = Some(self.options.agencies);
        let is_recorded = std::mem::replace(&mut self.book.agencies, agencies) == agencies;
        if let Some(zeros) = self.encode(commit).filter(|_| is_recorded) {
            return Ok(zeros);
        }
        // What doesn't fit behind a checkpoint wouldn't fit behind the next one either.
        if is_recorded && self.book.place == self.next_place {
            return Err(SubmitError::Fatal(self.too_large(commit.record_len())));
        }
        self.syncing.begin_checkpoint();
        if self.options.sync == Sync::Always {
            return Err(SubmitError::Busy);
        }
        // Nobody is waited for.
        self.sync().map_err(SubmitError::Fatal)?;
        self.prepare(commit)
    }

    fn encode(&mut self, commit: &Commit) -> Option<&'static [u8]> {
        let stamp = self.stamp(self.book.place.generation);
        let zeros = log::encode_commit(stamp, commit, &mut self.record);
        self.fits(self.record.len() + commit.len() + zeros.len()).then_some(zeros)
    }

    /// Looks for space before rows need it: a file system that is full isn't a good place for a
    /// central, nor for whatever else lives there.
    fn check_space(&mut self, added: u64) -> Result<(), LedgerError> {
        let (len, max) = (self.book.csv_len, self.options.max_size);
        if added == 0 {
            return Ok(());
        }
        if len + added > max {
            return Err(LedgerError::LedgerFull { len, max });
        }
        let (from, to) = begun_by(len, added);
        if self.has_space && from == to {
            return Ok(());
        }
        self.has_space = false;
        self.require_space(&self.csv, &self.paths.csv, added)?;
        self.has_space = true;
        Ok(())
    }

    /// So many bytes must be free for the file, and some must stay so.
    fn require_space(&self, file: &D, path: &Path, bytes: u64) -> Result<(), LedgerError> {
        if self.options.min_free == 0 {
            return Ok(());
        }
        let path = || path.to_owned();
        let free = file.free_space().map_err(|source| LedgerError::Context {
            doing: "ask for the free space",
            path: path(),
            source,
        })?;
        let (needed, min_free) = (bytes, self.options.min_free);
        match free {
            Some(free) if free < needed.saturating_add(min_free) => {
                Err(LedgerError::LowSpace { path: path(), free, needed, min_free })
            }
            _ => Ok(()),
        }
    }

    /// Cuts off what was appended since the last commit. A file that has become shorter than that was
    /// cut off by another program, and making it longer again would hide a hole.
    fn take_rows_back(&mut self) -> Result<(), LedgerError> {
        let expected = self.book.csv_len;
        let found = self.csv.len().map_err(self.paths.csv_error("measure it"))?;
        if found < expected {
            return Err(LedgerError::Changed { path: self.paths.csv.clone(), expected, found });
        }
        self.csv.set_len(expected).map_err(self.paths.csv_error("take rows back"))
    }

    /// Makes it as if the commit had never been begun. The record may have reached the disk by now:
    /// that it is gone must be durable before anybody is told so, like a commit.
    fn undo(&mut self, record_len: usize, cause: LedgerError) -> SubmitError {
        self.has_space = false;
        if let Err(error) = self.take_rows_back() {
            return SubmitError::Fatal(error);
        }
        let wiped = self.log.write_at(&vec![0; record_len], self.book.place.cursor);
        if let Err(error) = wiped {
            return SubmitError::Fatal(self.paths.log_error("take a commit back")(error));
        }
        self.syncing.wiped(self.written());
        SubmitError::Unavailable(cause)
    }

    /// Length of `bets.csv`, in bytes.
    pub fn csv_len(&self) -> u64 {
        self.book.csv_len
    }

    /// Name of `bets.csv`.
    pub fn path(&self) -> &Path {
        &self.paths.csv
    }

    /// Name of its log.
    pub fn log_path(&self) -> &Path {
        &self.paths.log
    }

    /// Appending goes on behind the checkpoint, which is durable.
    fn switch(&mut self) {
        self.book.place = self.next_place;
        match self.closing {
            Closing::Written => self.closing = Closing::Done,
            // It was asked for when this checkpoint was on its way already.
            Closing::Asked => self.syncing.begin_checkpoint(),
            Closing::No | Closing::Done => {}
        }
    }

    /// Brings the graceful end about, unless a sync is under way elsewhere: that can't be waited for.
    /// Returns whether it is durable; if not, the next start replays the log, and nothing is lost.
    ///
    /// # Errors
    /// [`LedgerError`]; what was committed is safe nevertheless.
    pub fn close(mut self) -> Result<bool, LedgerError> {
        self.begin_close();
        self.sync()?;
        Ok(self.is_closed())
    }
}

impl<D: Disk> Ledger for FileLedger<D> {
    fn submit(&mut self, commit: &Commit) -> Result<(), SubmitError> {
        self.verify()?;
        self.check_space(commit.len() as u64).map_err(SubmitError::Unavailable)?;
        let zeros = self.prepare(commit)?;
        let parts = [&self.record[..], commit.rows(), zeros];
        let written_len = parts.iter().map(|part| part.len()).sum::<usize>();
        let cursor = self.book.place.cursor;
        if let Err(error) = self.log.write_parts_at(parts, cursor) {
            let cause = self.paths.log_error("write a commit")(error);
            return Err(self.undo(written_len, cause));
        }
        let end = cursor + (written_len - BLOCK) as u64;
        if self.options.sync == Sync::Always {
            self.log.begin_write_out(cursor, end);
        }
        let Book { csv_len, csv_crc, .. } = self.book;
        if let Err(error) = self.csv.append(commit.rows(), csv_len) {
            let cause = self.paths.csv_error("append rows")(error);
            return Err(self.undo(written_len, cause));
        }
        self.begin_write_out(csv_len, commit.len() as u64);
        commit.entries().iter().for_each(|entry| self.book.state.apply(entry));
        self.book.csv_len += commit.len() as u64;
        self.book.csv_crc = recovery::extend_crc(csv_crc, commit.rows());
        self.advance(end);
        Ok(())
    }

    fn begin_sync(&mut self) -> Result<Option<SyncTarget>, LedgerError> {
        while let Some(target) = self.syncing.begin(self.written()) {
            if self.options.sync == Sync::Always {
                return Ok(Some(target));
            }
            // Nobody is waited for.
            self.end_sync(Ok(()))?;
        }
        Ok(None)
    }

    fn end_sync(&mut self, result: io::Result<()>) -> Result<(), LedgerError> {
        result.map_err(|source| match self.syncing.target() {
            Some(SyncTarget::Rows) => self.paths.csv_error("sync it")(source),
            Some(SyncTarget::Wal) | None => self.paths.log_error("sync it")(source),
        })?;
        match self.syncing.end() {
            Next::WriteCheckpoint => self.write_checkpoint()?,
            Next::Switch => self.switch(),
            Next::Nothing => {}
        }
        Ok(())
    }

    fn verify(&self) -> Result<(), SubmitError> {
        let Paths { csv, log } = &self.paths;
        let (csv_len, log_len) = (self.book.csv_len, FILE_HEADER_LEN + 2 * self.book.half_size);
        verify_file(&self.csv, csv, csv_len..=csv_len)?;
        verify_file(&self.log, log, log_len..=u64::MAX)
    }

    fn sync(&mut self) -> Result<(), LedgerError> {
        while let Some(target) = self.begin_sync()? {
            let result = self.sync_file(target);
            self.end_sync(result)?;
        }
        Ok(())
    }

    fn is_syncing(&self) -> bool {
        self.syncing.is_under_way()
    }

    fn begin_close(&mut self) {
        if self.closing == Closing::No {
            self.closing = Closing::Asked;
            self.syncing.begin_checkpoint();
        }
    }

    fn is_closed(&self) -> bool {
        self.closing == Closing::Done
    }

    fn submitted(&self) -> CommitNumber {
        CommitNumber(self.written())
    }

    fn committed(&self) -> CommitNumber {
        CommitNumber(self.syncing.durable())
    }

    fn state(&self) -> &State {
        &self.book.state
    }

    fn rows_len(&self) -> u64 {
        self.book.csv_len
    }

    fn read_rows(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LedgerError> {
        let left = usize::try_from(self.book.csv_len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let mut rows = Stretch::new(&self.csv, offset, offset + count as u64);
        match rows.read_exact(&mut buffer[..count]) {
            Ok(()) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.rows_changed(offset))
            }
            Err(source) => {
                let path = self.paths.csv.clone();
                Err(LedgerError::RowsUnreadable { path, offset, source })
            }
        }
    }

    fn rows_changed(&self, offset: u64) -> LedgerError {
        LedgerError::RowsChanged { path: self.paths.csv.clone(), offset }
    }
}
