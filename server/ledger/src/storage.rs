//! What the ledger asks of a file, so that a test can put one in its place that fails, or loses
//! what was not synced. Knows no rows and no records.

use std::fs::File;
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, AtFlags, CWD, Statx, StatxFlags, fadvise, fstatvfs, statx};
use rustix::io::{Errno, ReadWriteFlags, pwritev, pwritev2, retry_on_intr};

/// A file, as far as the ledger needs one.
pub trait Storage {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says; so for all the others.
    fn len(&self) -> io::Result<u64>;

    /// Whether it holds nothing.
    ///
    /// # Errors
    /// Like [`len`](Self::len).
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Its length, if it is the file that `path` leads to now; `None` when that is another one, or
    /// none. A file without a name, as a test may have, is where it was.
    ///
    /// # Errors
    /// Like [`len`](Self::len).
    fn len_at(&self, path: &Path) -> io::Result<Option<u64>> {
        let _ = path;
        self.len().map(Some)
    }

    /// Bytes that may still be written where it is kept; `None` when that is unknown.
    ///
    /// # Errors
    /// Like [`len`](Self::len).
    fn free_space(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Reads some bytes from `offset` on; 0 at the end.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at the end, which is at `len` as far as the ledger knows. If another program
    /// has cut the file off meanwhile they land earlier, and its length shows it; written at `len`,
    /// they would hide a hole.
    ///
    /// # Errors
    /// Like [`write_at`](Self::write_at).
    fn append(&mut self, bytes: &[u8], len: u64) -> io::Result<()> {
        self.write_at(bytes, len)
    }

    /// The same as [`write_at`](Self::write_at) for bytes in several places, by one write: rows are
    /// as large as everything else of a turn together, and aren't copied just to follow a header.
    ///
    /// # Errors
    /// Like [`write_at`](Self::write_at).
    fn write_parts_at<const N: usize>(&mut self, parts: [&[u8]; N], offset: u64) -> io::Result<()> {
        self.write_at(&parts.concat(), offset)
    }

    /// Cuts the file off, or extends it with zeros.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Bytes in this range will be synced some time: the disk may begin with them now. Waits for
    /// nothing and promises nothing.
    fn start_writeback(&mut self, from: u64, to: u64) {
        let _ = (from, to);
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// What the operating system says. It must not be asked again then: the kernel may have thrown
    /// away what it could not write, and would report success.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn len_at(&self, path: &Path) -> io::Result<Option<u64>> {
        // Asking for a file's times makes the kernel keep finer ones from then on, at the cost
        // of a change of metadata with each write (multigrain timestamps, Linux 6.13).
        const WANTED: StatxFlags = StatxFlags::INO.union(StatxFlags::SIZE);
        let found = match statx(CWD, path, AtFlags::empty(), WANTED) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let own = statx(self.as_fd(), "", AtFlags::EMPTY_PATH, WANTED)?;
        let identity = |file: &Statx| (file.stx_dev_major, file.stx_dev_minor, file.stx_ino);
        Ok((identity(&found) == identity(&own)).then_some(found.stx_size))
    }

    fn free_space(&self) -> io::Result<Option<u64>> {
        let system = match fstatvfs(self.as_fd()) {
            Err(Errno::NOSYS) => return Ok(None),
            system => system?,
        };
        // A file system without blocks doesn't count them.
        Ok((system.f_blocks > 0).then(|| system.f_bavail.saturating_mul(system.f_frsize)))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn append(&mut self, mut bytes: &[u8], len: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let slices = [IoSlice::new(bytes)];
            let write = || pwritev2(self.as_fd(), &slices, len, ReadWriteFlags::APPEND);
            match retry_on_intr(write)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    fn write_parts_at<const N: usize>(&mut self, parts: [&[u8]; N], offset: u64) -> io::Result<()> {
        let slices = parts.map(IoSlice::new);
        let written = retry_on_intr(|| pwritev(self.as_fd(), &slices, offset))?;
        if written == parts.iter().map(|part| part.len()).sum::<usize>() {
            return Ok(());
        }
        // The disk is full, or a signal came: the rest says which.
        self.write_all_at(&parts.concat()[written..], offset + written as u64)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn start_writeback(&mut self, from: u64, to: u64) {
        // Linux starts to write what is dirty of a range that isn't needed any more. A system that
        // does nothing of the kind, or refuses, writes it at the sync.
        if let Some(len) = NonZeroU64::new(to.saturating_sub(from)) {
            let _ = fadvise(self.as_fd(), from, Some(len), Advice::DontNeed);
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Reads a section of a file from front to back.
#[derive(Debug)]
pub(crate) struct Section<'s, S> {
    storage: &'s S,
    from: u64,
    to: u64,
}

impl<'s, S: Storage> Section<'s, S> {
    pub(crate) fn new(storage: &'s S, from: u64, to: u64) -> Self {
        Self { storage, from, to }
    }
}

impl<S: Storage> io::Read for Section<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.to - self.from).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.storage.read_at(&mut buffer[..wanted], self.from)?;
        self.from += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hole would have the length that is expected, and what was cut off would go unnoticed.
    #[test]
    fn what_is_appended_to_a_file_that_was_cut_off_leaves_no_hole() {
        let mut file = tempfile::tempfile().unwrap();
        file.append(b"0123456789", 0).unwrap();
        file.append(b"abc", 10).unwrap();
        assert_eq!(Storage::len(&file).unwrap(), 13);
        File::set_len(&file, 0).unwrap();
        file.append(b"def", 13).unwrap();
        assert_eq!(Storage::len(&file).unwrap(), 3);
    }
}
