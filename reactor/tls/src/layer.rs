//! A connection's TLS, as a [`Layer`] of the loop: rustls, and what it has no count of.
//!
//! ```text
//!   wire ──> deframer ──> records ──> plain bytes, all of them at once
//!   wire <── records, up to UNSENT_MAX <── plain bytes
//! ```
//!
//! Knows no socket, no file and no clock: which certificates are good is the configuration's, and so
//! is the time.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use reactor::{Layer, LayerError, Received};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, IoState, ServerConfig, ServerConnection,
};

use crate::error::TlsError;
use crate::record::{RecordTracker, is_tls};

/// Bytes that are encrypted before the socket takes them: enough for one write to fill it, and few
/// beside what waits unencrypted.
const UNSENT_MAX: usize = 64 * 1024;

/// Bytes that an idle connection is counted with. About half of them are rustls's state with its keys
/// and its smallest buffer of 4 KiB (measured: `cargo bench -p tls -- idle`). The others are what stays
/// of the heap between such pieces when longer ones come and go.
const IDLE_HELD: usize = 16 * 1024;

/// Longest record, without its header.
const RECORD_MAX: usize = 16 * 1024 + 256;

/// Most bytes of handshake messages that rustls gathers until they are whole.
const GATHERED_MAX: usize = 64 * 1024;

/// Most bytes of its own handshake messages, and what records add to what they hold.
const ADDED_MAX: usize = 16 * 1024;

/// Most bytes that a layer says it [holds](Layer::held): certificates, messages that are gathered, and
/// what is unsent.
pub const HELD_MAX: usize =
    IDLE_HELD + GATHERED_MAX + (GATHERED_MAX + UNSENT_MAX + ADDED_MAX + RECORD_MAX) / 4 * 5;

/// Bytes of a peer that doesn't speak TLS which are shown.
const SHOWN_MAX: usize = 64;

/// TLS 1.3 of one connection.
pub struct TlsLayer {
    tls: Connection,
    records: RecordTracker,
    /// Something has arrived.
    has_begun: bool,
    /// Bytes that have arrived since the last that were for the handler. rustls may gather all of them:
    /// parts of handshake messages, which come after the handshake too.
    gathered: usize,
    /// As rustls counts them: it doesn't say how long the alert of a failure is.
    unsent: usize,
    /// Bytes that were written since there were none before.
    written: usize,
    peer_ended: bool,
}

impl TlsLayer {
    /// The side that was called.
    ///
    /// # Errors
    /// When the configuration can't be used.
    pub fn server(config: &Arc<ServerConfig>) -> Result<Self, TlsError> {
        let tls = ServerConnection::new(Arc::clone(config)).map_err(TlsError::Protocol)?;
        Ok(Self::new(tls.into()))
    }

    /// The side that calls the server of this name.
    ///
    /// # Errors
    /// When the configuration can't be used.
    pub fn client(config: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(TlsError::Protocol)?;
        Ok(Self::new(tls.into()))
    }

    fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(Some(UNSENT_MAX));
        let mut layer = Self {
            tls,
            records: RecordTracker::default(),
            has_begun: false,
            gathered: 0,
            unsent: 0,
            written: 0,
            peer_ended: false,
        };
        // A client's first flight.
        layer.count_unsent();
        layer
    }

    /// Passes `wire` to rustls piece by piece, and takes out what comes of each: so it never holds as
    /// much that it would refuse more. Counts in `length` what comes out, also before an error.
    fn pass(
        &mut self,
        mut wire: &[u8],
        plain: &mut [u8],
        length: &mut usize,
    ) -> Result<(), TlsError> {
        self.begin(wire)?;
        self.records.pass(wire);
        // What follows the peer's end is to be ignored.
        while !wire.is_empty() && !self.peer_ended {
            let before = (*length, self.tls.is_handshaking());
            let taken = self.tls.read_tls(&mut wire).map_err(|error| TlsError::from_io(&error))?;
            let state = self.process(plain, length)?;
            if taken == 0 && !state.peer_has_closed() {
                // It never does; if it did, this would go on for ever.
                return Err(TlsError::Protocol(Error::General("no room for input".into())));
            }
            self.unsent = state.tls_bytes_to_write();
            self.peer_ended = state.peer_has_closed();
            let moved = before != (*length, self.tls.is_handshaking());
            self.gathered = if moved { 0 } else { self.gathered + taken };
        }
        self.trim();
        Ok(())
    }

    /// Whether the peer begins as one that speaks TLS.
    fn begin(&mut self, wire: &[u8]) -> Result<(), TlsError> {
        let Some(first) = wire.first() else { return Ok(()) };
        if std::mem::replace(&mut self.has_begun, true) || is_tls(*first) {
            return Ok(());
        }
        Err(TlsError::NotTls { said: wire[..wire.len().min(SHOWN_MAX)].to_vec() })
    }

    /// Processes what rustls has read, and takes out the plain bytes.
    fn process(&mut self, plain: &mut [u8], length: &mut usize) -> Result<IoState, TlsError> {
        match self.tls.process_new_packets() {
            Ok(state) => {
                let waiting = state.plaintext_bytes_to_read();
                *length += self.take_plain(waiting, &mut plain[*length..])?;
                Ok(state)
            }
            Err(error) => {
                // rustls doesn't say how many come before it.
                while let Ok(count @ 1..) = self.tls.reader().read(&mut plain[*length..]) {
                    *length += count;
                }
                Err(error.into())
            }
        }
    }

    fn take_plain(&mut self, length: usize, plain: &mut [u8]) -> Result<usize, TlsError> {
        if length == 0 {
            return Ok(0);
        }
        let plain = plain.get_mut(..length).ok_or(TlsError::Overrun { length })?;
        self.tls.reader().read_exact(plain).map_err(|error| TlsError::from_io(&error))?;
        Ok(length)
    }

    /// Lets rustls shrink its buffer, as it does when a read finds nothing: otherwise an idle
    /// connection keeps what its longest record needed.
    fn trim(&mut self) {
        if self.records.partial() == 0 && !self.peer_ended {
            // It reads nothing, and says so.
            let _ = self.tls.read_tls(&mut Nothing);
            self.records.trimmed();
        }
    }

    fn count_unsent(&mut self) {
        if let Ok(state) = self.tls.process_new_packets() {
            self.unsent = state.tls_bytes_to_write();
        }
    }
}

impl Layer for TlsLayer {
    fn receive(&mut self, wire: &[u8], plain: &mut [u8]) -> Received {
        let mut length = 0;
        let failure = self.pass(wire, plain, &mut length).err().map(Into::into);
        Received { length, failure }
    }

    fn finish(&mut self) -> Result<(), LayerError> {
        if self.tls.is_handshaking() {
            return Err(TlsError::EndedInHandshake.into());
        }
        if self.peer_ended {
            return Ok(());
        }
        match self.records.partial() {
            0 => Ok(()),
            found => Err(TlsError::Truncated { found }.into()),
        }
    }

    fn has_peer_ended(&self) -> bool {
        self.peer_ended
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn send(&mut self, plain: &[IoSlice<'_>]) -> usize {
        // A server may send before it knows who the client is: this one doesn't.
        if self.tls.is_handshaking() {
            return 0;
        }
        let taken = self.tls.writer().write_vectored(plain).unwrap_or(0);
        self.count_unsent();
        taken
    }

    fn close(&mut self) {
        self.tls.send_close_notify();
        self.count_unsent();
    }

    fn write_to(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        let count = self.tls.write_tls(socket)?;
        self.unsent = self.unsent.saturating_sub(count);
        self.written = if self.tls.wants_write() { self.written + count } else { 0 };
        Ok(count)
    }

    fn unsent(&self) -> usize {
        if self.tls.wants_write() { self.unsent.max(1) } else { 0 }
    }

    fn held(&self) -> usize {
        let buffered = self.records.held().max(self.gathered.min(GATHERED_MAX));
        let certificates = self.tls.peer_certificates().into_iter().flatten();
        let certificates = certificates.map(|der| der.len()).sum::<usize>();
        // A record that was written in part is held whole.
        let unsent = self.unsent() + self.written.min(RECORD_MAX);
        // Pieces of these sizes leave holes in the heap: a quarter more is about what they cost.
        IDLE_HELD + certificates + (buffered + unsent) / 4 * 5
    }

    fn peer_certificates(&self) -> Vec<&[u8]> {
        if self.tls.is_handshaking() {
            return Vec::new();
        }
        self.tls.peer_certificates().into_iter().flatten().map(|der| &**der).collect()
    }
}

impl fmt::Debug for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLayer")
            .field("handshaking", &self.tls.is_handshaking())
            .field("unsent", &self.unsent())
            .finish_non_exhaustive()
    }
}

/// Has nothing to read.
struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}
