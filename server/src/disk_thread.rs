//! The thread that waits for the disk, so that the loop's doesn't.
//!
//! `fdatasync` has no form that doesn't block, and on a slow disk it takes seconds. This thread owns
//! a descriptor of each of the ledger's files and one end of a pair of sockets, and nothing else:
//! it shares no memory with the loop, which serves the other end like a connection
//! ([`Context::attach`](reactor::Context::attach)).
//!
//! ```text
//!  loop -> thread   R or W: sync bets.csv, or the wal                        1 byte
//!  thread -> loop   0, or the error number that the kernel gave, big endian  4 bytes
//! ```
//!
//! Which file and when is the ledger's to say, see [`Store::begin_sync`](crate::store::Store).

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;

use ledger::SyncTarget;

/// Bytes of a result.
pub(crate) const RESULT_LEN: usize = 4;

/// The kernel's number for a failing disk: reported for an error without one.
const EIO: i32 = 5;

/// The request for a sync.
pub(crate) fn request(target: SyncTarget) -> [u8; 1] {
    match target {
        SyncTarget::Rows => *b"R",
        SyncTarget::Wal => *b"W",
    }
}

/// Decodes a result.
pub(crate) fn outcome(result: [u8; RESULT_LEN]) -> io::Result<()> {
    match i32::from_be_bytes(result) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Starts the thread; returns the loop's end. It ends when that is dropped, or with the process.
///
/// # Errors
/// When the kernel gives no descriptors or no thread.
pub fn spawn(rows: File, wal: File) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let serve = move || {
        // It ends when the loop's end is gone: nothing reads a result.
        let _ = serve(theirs, &rows, &wal);
    };
    thread::Builder::new().name("disk".to_owned()).spawn(serve)?;
    Ok(ours)
}

fn serve(mut stream: UnixStream, rows: &File, wal: &File) -> io::Result<()> {
    loop {
        let mut asked = [0];
        stream.read_exact(&mut asked)?;
        let file = if asked == request(SyncTarget::Rows) { rows } else { wal };
        let error = match file.sync_data() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().unwrap_or(EIO),
        };
        stream.write_all(&error.to_be_bytes())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_one_result_what_the_kernel_returned() {
        let file = tempfile::tempfile().unwrap();
        // A pair of sockets can't be synced: EINVAL.
        let (socket, _peer) = UnixStream::pair().unwrap();
        let socket = File::from(std::os::fd::OwnedFd::from(socket));
        let mut stream = spawn(file, socket).unwrap();
        let mut ask = |target| {
            let mut result = [0; RESULT_LEN];
            stream.write_all(&request(target)).unwrap();
            stream.read_exact(&mut result).unwrap();
            outcome(result)
        };
        assert!(ask(SyncTarget::Rows).is_ok());
        assert_eq!(ask(SyncTarget::Wal).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(ask(SyncTarget::Rows).is_ok());
    }
}
