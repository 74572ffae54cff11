//! The seam between a connection's bytes on the wire and those that its handler sees.
//!
//! A [`Layer`] is a state machine without I/O: the loop passes it what has arrived, and writes what it
//! has to send. TLS is one. Knows no handler and no other connection.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};

/// Most bytes that a layer may deliver beyond those that it was given, because it had kept them until
/// the rest arrived: a record of TLS, with some to spare.
pub const KEPT_MAX: usize = 17 * 1024;

/// Why a layer can't go on.
pub type LayerError = Box<dyn Error + Send + Sync>;

/// What bytes that have arrived come to.
#[derive(Debug)]
pub struct Received {
    /// Bytes for the handler.
    pub length: usize,
    /// Why the layer can't go on behind them, if it can't.
    pub failure: Option<LayerError>,
}

/// What stands between the wire and a connection's handler.
///
/// ```text
///            arrived            receive            on_data
///   wire ──────────────> loop ──────────> layer ──────────> handler
///        <──────────────      <──────────       <──────────
///            write                                 send
/// ```
///
/// Until its [handshake](Self::is_handshaking) is complete, it takes nothing of what the handler sends,
/// and delivers nothing. Once it has failed it gets nothing more to receive.
pub trait Layer: fmt::Debug + Send {
    /// Takes all of `wire`, the bytes that have arrived, and writes what they hold for the handler into
    /// `plain`, which is at least [`KEPT_MAX`] bytes longer. `wire` is empty when the layer has just
    /// been started and nothing has arrived yet.
    ///
    /// It fails when the peer breaks the protocol or can't be trusted. The layer may still have something
    /// to [write](Self::write_to) then: why. What the peer had sent before is delivered nevertheless, so
    /// that nothing depends on how its bytes are cut.
    fn receive(&mut self, wire: &[u8], plain: &mut [u8]) -> Received;

    /// Nothing more arrives.
    ///
    /// # Errors
    /// When something was left unfinished.
    fn finish(&mut self) -> Result<(), LayerError>;

    /// Whether the peer has said that it sends nothing more.
    fn has_peer_ended(&self) -> bool;

    /// Whether its handshake isn't complete. It is completed by what is [received](Self::receive).
    fn is_handshaking(&self) -> bool;

    /// Takes bytes for the peer; returns how many. It takes no more than a bounded number before they
    /// are [written](Self::write_to).
    fn send(&mut self, plain: &[IoSlice<'_>]) -> usize;

    /// Tells the peer that nothing more is sent. Called at most once, and not after a failure.
    fn close(&mut self);

    /// Writes once; returns how many bytes `socket` took. Called only while something is
    /// [unsent](Self::unsent).
    ///
    /// # Errors
    /// Those of `socket`.
    fn write_to(&mut self, socket: &mut dyn io::Write) -> io::Result<usize>;

    /// Bytes that it has to write.
    fn unsent(&self) -> usize;

    /// Bytes of memory in its buffers, about.
    fn held(&self) -> usize;

    /// Certificates that the peer has proved to be its own, in DER, its own first and then those that
    /// vouch for it; none if it has shown none.
    fn peer_certificates(&self) -> Vec<&[u8]>;
}

/// A connection's layer, and how far it is.
#[derive(Debug)]
pub(crate) struct Layered {
    pub(crate) layer: Box<dyn Layer>,
    /// Its handshake isn't complete, or isn't known to be.
    pub(crate) is_handshaking: bool,
    /// The input that was kept when it was started is its own, and wasn't passed to it yet.
    pub(crate) awaits_first_input: bool,
    /// It was told that nothing more is sent.
    is_closed: bool,
    /// Why it can't go on.
    pub(crate) failure: Option<LayerError>,
}

impl Layered {
    pub(crate) fn new(layer: Box<dyn Layer>) -> Self {
        Self {
            layer,
            is_handshaking: true,
            awaits_first_input: true,
            is_closed: false,
            failure: None,
        }
    }

    /// Whether its handshake has been completed since the last call that said so.
    pub(crate) fn take_established(&mut self) -> bool {
        let was = self.is_handshaking;
        self.is_handshaking = was && self.layer.is_handshaking();
        was && !self.is_handshaking
    }

    /// Tells the peer that nothing more is sent, once.
    pub(crate) fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.layer.close();
        }
    }
}
