//! All committed rows on their way to the user: those before the last checkpoint out of their file,
//! the others out of the wal. Checks them on their way.

use std::io::{self, Read};

use crate::crc;
use crate::progress::Interrupted;

/// Why reading ended before the rows did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The hook that watches the opening has stopped it.
    Interrupted,
    /// The rows before the checkpoint have this checksum instead.
    Damaged { found: u32 },
}

/// The rows of a ledger, from the first to the last.
pub struct RowReader<'r> {
    /// Up to the checkpoint.
    file: &'r mut dyn Read,
    checkpoint_len: u64,
    /// CRC-32 of these.
    checkpoint_crc: u32,
    /// Behind it, in pieces.
    wal: std::slice::Iter<'r, &'r [u8]>,
    piece: &'r [u8],
    /// The file's part has been read.
    behind_checkpoint: bool,
    /// CRC-32 of what was read.
    crc: u32,
    watch: &'r mut dyn FnMut(u64) -> Result<(), Interrupted>,
    failure: Option<Failure>,
}

impl std::fmt::Debug for RowReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowReader").field("checkpoint_len", &self.checkpoint_len).finish()
    }
}

impl<'r> RowReader<'r> {
    /// `file` has the first `checkpoint_len` bytes, with this checksum; `wal` has the others.
    pub(super) fn new(
        file: &'r mut dyn Read,
        (checkpoint_len, checkpoint_crc): (u64, u32),
        wal: &'r [&'r [u8]],
        watch: &'r mut dyn FnMut(u64) -> Result<(), Interrupted>,
    ) -> Self {
        Self {
            file,
            checkpoint_len,
            checkpoint_crc,
            wal: wal.iter(),
            piece: &[],
            behind_checkpoint: false,
            crc: 0,
            watch,
            failure: None,
        }
    }

    /// Bytes of rows before the last checkpoint: those behind it were found in the wal.
    pub fn checkpoint_len(&self) -> u64 {
        self.checkpoint_len
    }

    /// Reads whatever the user has left, and says what the checksum of everything is, or why there
    /// is none.
    pub(super) fn finish(mut self) -> io::Result<Result<u32, Failure>> {
        if self.failure.is_none() {
            let rest = io::copy(&mut self, &mut io::sink());
            if self.failure.is_none() {
                rest?;
            }
        }
        Ok(self.failure.map_or(Ok(self.crc), Err))
    }

    /// Whether the rest is not to be read: the user gets an error, and the opening its reason.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        self.failure = Some(failure);
        io::Error::other("the opening of the ledger has failed")
    }

    fn read_file(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            if self.crc != self.checkpoint_crc {
                return Err(self.fail(Failure::Damaged { found: self.crc }));
            }
            self.behind_checkpoint = true;
        }
        Ok(count)
    }

    fn read_wal(&mut self, buffer: &mut [u8]) -> usize {
        while self.piece.is_empty() {
            let Some(piece) = self.wal.next() else { return 0 };
            self.piece = piece;
        }
        let count = self.piece.len().min(buffer.len());
        let (read, rest) = self.piece.split_at(count);
        buffer[..count].copy_from_slice(read);
        self.piece = rest;
        count
    }
}

impl Read for RowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure {
            return Err(self.fail(failure));
        }
        let mut count = 0;
        if !self.behind_checkpoint {
            count = self.read_file(buffer)?;
        }
        if self.behind_checkpoint {
            count = self.read_wal(buffer);
        }
        self.crc = crc::extend(self.crc, &buffer[..count]);
        match (self.watch)(count as u64) {
            Ok(()) => Ok(count),
            Err(Interrupted) => Err(self.fail(Failure::Interrupted)),
        }
    }
}
