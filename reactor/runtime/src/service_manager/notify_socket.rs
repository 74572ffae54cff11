//! The socket at which the service manager hears: datagrams, sent without waiting.
//!
//! Knows no message.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names it.
pub(super) const VARIABLE: &str = "NOTIFY_SOCKET";

/// Whether a message has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// Too many wait to be read.
    NoRoom,
}

#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    /// Looked up for each message: a service manager that was started anew is heard of.
    address: SocketAddr,
}

impl NotifySocket {
    /// One that leads to the socket of this name.
    pub(super) fn open(name: &OsStr) -> io::Result<Self> {
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    pub(super) fn send(&self, message: &str) -> io::Result<Sent> {
        match self.socket.send_to_addr(message.as_bytes(), &self.address) {
            Ok(_) => Ok(Sent::Yes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Sent::NoRoom),
            Err(error) => Err(error),
        }
    }
}

/// A path of the file system, or behind an `@` a name of the kernel's own.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => {
            let found = name.display();
            let error = format!(
                "{VARIABLE}: expected a path that begins with / or a name behind @, found {found}"
            );
            Err(io::Error::new(ErrorKind::InvalidInput, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_path_or_a_name_of_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("loteria-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        for (receiver, name) in [
            (UnixDatagram::bind(&path), path.as_os_str()),
            (UnixDatagram::bind_addr(&abstract_address), format!("@{name}").as_ref()),
        ] {
            let socket = NotifySocket::open(name).unwrap();
            assert_eq!(socket.send("READY=1").unwrap(), Sent::Yes);
            let mut buffer = [0; 16];
            let length = receiver.unwrap().recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["vsock:2:1", "notify", "run/notify"] {
            let error = NotifySocket::open(name.as_ref()).unwrap_err().to_string();
            assert!(error.starts_with("NOTIFY_SOCKET: expected a path"), "{error}");
            assert!(error.ends_with(&format!("found {name}")), "{error}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert!(NotifySocket::open(long.as_ref()).is_err());
    }

    #[test]
    fn nobody_there_is_an_error_and_no_room_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = NotifySocket::open(path.as_os_str()).unwrap();
        assert_eq!(socket.send("READY=1").unwrap_err().kind(), ErrorKind::NotFound);
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut sent = 0;
        while socket.send("WATCHDOG=1").unwrap() == Sent::Yes {
            sent += 1;
        }
        for _ in 0..sent {
            receiver.recv(&mut [0; 16]).unwrap();
        }
        assert_eq!(socket.send("WATCHDOG=1").unwrap(), Sent::Yes, "there is room again");
    }
}
