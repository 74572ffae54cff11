//! One process at a time has a ledger: the second one learns which process that is.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::Error;

/// How often a lock is tried before another process is said to have it.
const ATTEMPTS: u32 = 5;

/// Pause between two attempts: who only looks whether a ledger is in use has it for less.
const PAUSE: Duration = Duration::from_millis(10);

/// Locks a file. Locks are of the file itself, whatever name leads to it.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), Error> {
    for _ in 1..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            _ => break,
        }
    }
    // Again, if it is had already: that changes nothing.
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::Locked { path: path.to_owned(), holder: holder(file) },
        TryLockError::Error(source) => {
            Error::Io { doing: "lock it", path: path.to_owned(), source }
        }
    })
}

/// The process that has locked a file, if Linux says which: one in another container has no number here.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino();
    find(&fs::read_to_string("/proc/locks").ok()?, inode)
}

/// The process that holds a lock of the kind that `try_lock` takes on this inode. The device isn't
/// looked at: file systems in layers name another one than a file's own metadata.
fn find(locks: &str, inode: u64) -> Option<u32> {
    let held = |line: &str| {
        // 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (kind, _, _, process, file) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let number: u64 = file.rsplit(':').next()?.parse().ok()?;
        let process: u32 = process.parse().ok()?;
        (kind == "FLOCK" && number == inode && process > 0).then_some(process)
    };
    let mut holders: Vec<_> = locks.lines().filter_map(held).collect();
    holders.dedup();
    // Of files with the same number on two devices it is unclear which one is meant.
    if let [holder] = holders[..] { Some(holder) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
2: POSIX  ADVISORY  WRITE 99 08:01:5679 0 EOF
3: FLOCK  ADVISORY  WRITE 0 08:01:5680 0 EOF
3: -> FLOCK  ADVISORY  WRITE 77 08:01:5681 0 EOF
4: FLOCK  ADVISORY  WRITE 5 08:01:5682 0 EOF
5: FLOCK  ADVISORY  WRITE 6 00:2e:5682 0 EOF
";

    #[test]
    fn the_holder_is_found_unless_it_is_unclear() {
        assert_eq!(find(LOCKS, 5678), Some(1234));
        for (inode, reason) in [
            (5679, "another kind of lock"),
            (5680, "of another container"),
            (5681, "it waits"),
            (5682, "two devices"),
            (1, "none"),
        ] {
            assert_eq!(find(LOCKS, inode), None, "{reason}");
        }
        assert_eq!(find("1: FLOCK\n\n1:\n", 1), None);
    }

    #[test]
    fn a_second_lock_names_this_very_process() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let (first, second) = (open(), open());
        lock(&first, file.path()).unwrap();
        let error = lock(&second, file.path()).unwrap_err();
        let Error::Locked { holder, .. } = error else { panic!("{error}") };
        assert_eq!(holder, Some(std::process::id()));
    }
}
