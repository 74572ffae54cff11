//! Whether a file is still the one that was opened. Knows no path and reads nothing.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Identifies a file and its content's version, as far as metadata can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    /// When its content was written last: seconds and nanoseconds.
    modified: (i64, i64),
    /// When anything about it was changed last. Unlike `modified`, it can't be set back.
    changed: (i64, i64),
}

/// How a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Change {
    /// There is no file of its name any more.
    #[error("it was deleted or renamed")]
    Gone,
    /// Its name is that of another file.
    #[error("another file has taken its place")]
    Replaced,
    /// It is longer.
    #[error("it grew from {from} to {to} bytes")]
    Grew {
        /// Its size before.
        from: u64,
        /// Its size now.
        to: u64,
    },
    /// It is shorter.
    #[error("it shrank from {from} to {to} bytes")]
    Shrank {
        /// Its size before.
        from: u64,
        /// Its size now.
        to: u64,
    },
    /// Its size is the same, but it was written to.
    #[error("it was written to")]
    Touched,
    /// Other metadata changed. That may be all, or its content was changed and the time set back.
    #[error("its mode, owner, links or name changed, or its time was set back")]
    Attributes,
}

impl FileStamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Compares with the open file as it is now, and with the file of its name.
    ///
    /// # Errors
    /// The first [`Change`].
    pub fn verify(&self, open: Self, named: Option<Self>) -> Result<(), Change> {
        let (from, to) = (self.size, open.size);
        if to > from {
            return Err(Change::Grew { from, to });
        }
        if to < from {
            return Err(Change::Shrank { from, to });
        }
        let named = named.ok_or(Change::Gone)?;
        if (named.device, named.inode) != (self.device, self.inode) {
            return Err(Change::Replaced);
        }
        if open.modified != self.modified {
            return Err(Change::Touched);
        }
        if open.changed == self.changed { Ok(()) } else { Err(Change::Attributes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn stamp(file: &File) -> FileStamp {
        FileStamp::of(&file.metadata().unwrap())
    }

    /// Times are set, not waited for.
    #[test]
    fn each_change_is_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let verify = |change: &dyn Fn(&File)| {
            fs::write(&path, "bets").unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            let before = stamp(&file);
            change(&file);
            let named = fs::metadata(&path).ok().map(|metadata| FileStamp::of(&metadata));
            before.verify(stamp(&file), named)
        };
        assert_eq!(verify(&|_| {}), Ok(()));
        assert_eq!(verify(&|file| file.set_len(6).unwrap()), Err(Change::Grew { from: 4, to: 6 }));
        assert_eq!(
            verify(&|file| file.set_len(0).unwrap()),
            Err(Change::Shrank { from: 4, to: 0 })
        );
        assert_eq!(verify(&|file| file.set_modified(long_ago).unwrap()), Err(Change::Touched));
        assert_eq!(verify(&|_| fs::remove_file(&path).unwrap()), Err(Change::Gone));
        let replace = |_: &File| {
            fs::write(&other, "bets").unwrap();
            fs::rename(&other, &path).unwrap();
        };
        assert_eq!(verify(&replace), Err(Change::Replaced));
    }

    /// A clock that is set back hides nothing: the kernel keeps the other time itself.
    #[test]
    fn a_modification_time_that_was_set_back_hides_nothing() {
        let stamp = FileStamp { device: 1, inode: 2, size: 3, modified: (4, 0), changed: (4, 0) };
        let rewritten = FileStamp { changed: (4, 1), ..stamp };
        assert_eq!(stamp.verify(rewritten, Some(rewritten)), Err(Change::Attributes));
    }
}
