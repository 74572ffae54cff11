//! A client and a server without a network, each with the processor time that it has taken.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use crate::parties::{Parties, SERVER_NAME};

/// Processor time of this thread.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.expect("not negative"), nanos.expect("below a second"))
}

/// Adds the processor time of a call to `total`.
pub(crate) fn timed<T>(total: &mut Duration, call: impl FnOnce() -> T) -> T {
    let before = thread_time();
    let returned = call();
    *total += thread_time().saturating_sub(before);
    returned
}

fn server(parties: &Parties) -> ServerConnection {
    ServerConnection::new(Arc::clone(&parties.server)).expect("a configuration")
}

pub(crate) fn client(parties: &Parties) -> ClientConnection {
    let name = ServerName::try_from(SERVER_NAME).expect("a name");
    ClientConnection::new(Arc::clone(&parties.client), name).expect("a configuration")
}

/// Both ends, connected.
pub(crate) struct Pair {
    pub(crate) server: Connection,
    pub(crate) client: Connection,
    /// What each took for it.
    pub(crate) server_time: Duration,
    pub(crate) client_time: Duration,
}

impl Pair {
    pub(crate) fn new(parties: &Parties) -> Self {
        let (mut server_time, mut client_time) = (Duration::ZERO, Duration::ZERO);
        let mut server = timed(&mut server_time, || Connection::from(server(parties)));
        let mut client = timed(&mut client_time, || Connection::from(client(parties)));
        let mut wire = Vec::new();
        while server.is_handshaking() || client.is_handshaking() {
            timed(&mut client_time, || write(&mut client, &mut wire));
            timed(&mut server_time, || {
                read(&mut server, &wire);
                wire.clear();
                write(&mut server, &mut wire);
            });
            timed(&mut client_time, || read(&mut client, &wire));
            wire.clear();
        }
        assert!(server.peer_certificates().is_some(), "mutual");
        Self { server, client, server_time, client_time }
    }
}

/// All that it has to send.
pub(crate) fn write(connection: &mut Connection, wire: &mut Vec<u8>) {
    while connection.wants_write() {
        connection.write_tls(wire).expect("a vector takes all");
    }
}

/// As one reads with rustls.
pub(crate) fn read(connection: &mut Connection, mut wire: &[u8]) {
    while !wire.is_empty() {
        connection.read_tls(&mut wire).expect("nothing is left unread");
        connection.process_new_packets().expect("the peer is good");
    }
}
