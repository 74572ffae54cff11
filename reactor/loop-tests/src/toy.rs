//! The simplest [`Layer`] that has everything that a layer may have: a handshake, records that are
//! delivered whole, an end, refusals. For tests of what the loop does with a layer.
//!
//! ```text
//!   handshake:  HELLO each way, the caller's first
//!   record:     length (2 bytes) | so many bytes, each XORed with KEY
//!   end:        length 0
//!   refusal:    length 65,535
//! ```
//!
//! It fails a test whose loop breaks the rules of [`Layer`].

use std::fmt;
use std::io::{self, IoSlice, Write};

use reactor::layer::KEPT_MAX;
use reactor::{Layer, LayerError, Received};

/// What each side begins with.
pub const HELLO: &[u8; 4] = b"toy!";

/// Its first byte, and no other's: how a handler knows that a layer begins.
pub const FIRST: u8 = HELLO[0];

/// Most bytes in a record: as many as a layer may keep, without its length.
pub const RECORD_MAX: usize = KEPT_MAX - 2;

/// Bytes that it takes before they are written, and those that its own messages may add.
const UNSENT_MAX: usize = 1000;

const KEY: u8 = 0x5a;

const REFUSAL: u16 = u16::MAX;

/// Why a layer can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the toy is broken")
    }
}

impl std::error::Error for Broken {}

/// See the [module](self).
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that vary independently")]
pub struct Toy {
    /// What has arrived of the peer's hello, or of a record.
    arrived: Vec<u8>,
    outgoing: Vec<u8>,
    greets: bool,
    handshaking: bool,
    refuses: bool,
    peer_ended: bool,
    failed: bool,
    closed: bool,
    weight: usize,
}

impl Toy {
    /// The side that was called.
    pub fn server() -> Self {
        Self {
            arrived: Vec::new(),
            outgoing: Vec::new(),
            greets: true,
            handshaking: true,
            refuses: false,
            peer_ended: false,
            failed: false,
            closed: false,
            weight: 0,
        }
    }

    /// The side that calls.
    pub fn client() -> Self {
        Self { greets: false, outgoing: HELLO.to_vec(), ..Self::server() }
    }

    /// Refuses the peer as soon as it has greeted.
    #[must_use]
    pub fn refusing(self) -> Self {
        Self { refuses: true, ..self }
    }

    /// Holds so many bytes of memory, as it says.
    #[must_use]
    pub fn weighing(self, weight: usize) -> Self {
        Self { weight, ..self }
    }

    /// Takes what is at the beginning of what has arrived, if it is whole. Returns the bytes that it
    /// holds for the handler.
    fn take(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        if self.handshaking {
            return self.greet();
        }
        let Some((length, rest)) = self.arrived.split_first_chunk() else { return Ok(None) };
        let length = match u16::from_be_bytes(*length) {
            REFUSAL => return Err(Broken),
            length => usize::from(length),
        };
        if length > RECORD_MAX {
            return Err(self.refuse());
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.peer_ended = length == 0;
        let plain = rest[..length].iter().map(|byte| byte ^ KEY).collect();
        self.arrived.drain(..2 + length);
        Ok(Some(plain))
    }

    fn greet(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let so_far = self.arrived.len().min(HELLO.len());
        if self.arrived[..so_far] != HELLO[..so_far] {
            return Err(self.refuse());
        }
        if so_far < HELLO.len() {
            return Ok(None);
        }
        if self.refuses {
            return Err(self.refuse());
        }
        self.arrived.drain(..HELLO.len());
        if self.greets {
            self.outgoing.extend_from_slice(HELLO);
        }
        self.handshaking = false;
        Ok(Some(Vec::new()))
    }

    fn refuse(&mut self) -> Broken {
        self.outgoing.extend_from_slice(&REFUSAL.to_be_bytes());
        Broken
    }
}

impl Layer for Toy {
    fn receive(&mut self, wire: &[u8], plain: &mut [u8]) -> Received {
        assert!(!self.failed, "nothing more after a failure");
        assert!(plain.len() >= wire.len() + KEPT_MAX, "there is room for all of it");
        let mut length = 0;
        self.arrived.extend_from_slice(wire);
        while !self.peer_ended {
            match self.take() {
                Ok(None) => break,
                Ok(Some(bytes)) => {
                    plain[length..length + bytes.len()].copy_from_slice(&bytes);
                    length += bytes.len();
                }
                Err(broken) => {
                    self.failed = true;
                    return Received { length, failure: Some(broken.into()) };
                }
            }
        }
        if self.peer_ended {
            self.arrived.clear();
        }
        Received { length, failure: None }
    }

    fn finish(&mut self) -> Result<(), LayerError> {
        assert!(!self.failed, "nothing more after a failure");
        if self.handshaking || !self.arrived.is_empty() { Err(Broken.into()) } else { Ok(()) }
    }

    fn has_peer_ended(&self) -> bool {
        self.peer_ended
    }

    fn is_handshaking(&self) -> bool {
        self.handshaking
    }

    fn send(&mut self, plain: &[IoSlice<'_>]) -> usize {
        assert!(!self.closed, "nothing follows the end");
        if self.handshaking || self.failed {
            return 0;
        }
        let mut taken = 0;
        for slice in plain {
            let room = UNSENT_MAX.saturating_sub(self.outgoing.len() + 2);
            let now = &slice[..slice.len().min(room)];
            if now.is_empty() {
                break;
            }
            self.outgoing.extend(record(now));
            taken += now.len();
        }
        taken
    }

    fn close(&mut self) {
        assert!(!self.failed && !self.closed, "it ends once, and not after a failure");
        self.closed = true;
        self.outgoing.extend(end());
    }

    fn write_to(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        assert!(!self.outgoing.is_empty(), "it has something to write");
        let count = socket.write(&self.outgoing)?;
        self.outgoing.drain(..count);
        Ok(count)
    }

    fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    fn held(&self) -> usize {
        self.weight + self.arrived.len() + self.outgoing.len()
    }

    fn peer_certificates(&self) -> Vec<&[u8]> {
        if self.handshaking { Vec::new() } else { vec![HELLO] }
    }
}

/// A record on the wire.
///
/// # Panics
/// When it holds nothing, or more than [`RECORD_MAX`] bytes.
pub fn record(plain: &[u8]) -> Vec<u8> {
    assert!((1..=RECORD_MAX).contains(&plain.len()), "{} bytes are no record", plain.len());
    let length = u16::try_from(plain.len()).unwrap().to_be_bytes();
    length.into_iter().chain(plain.iter().map(|byte| byte ^ KEY)).collect()
}

/// The end on the wire.
pub fn end() -> Vec<u8> {
    vec![0; 2]
}

/// What a side has sent: whether it has greeted, what its records hold, and how they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// It has begun with [`HELLO`].
    pub greeted: bool,
    /// What its records hold.
    pub plain: Vec<u8>,
    /// What followed them.
    pub end: End,
}

/// How what a side has sent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Not at all.
    Open,
    /// With an end, and nothing follows.
    Ended,
    /// With a refusal, and nothing follows.
    Refused,
}

/// Reads what a side has sent.
///
/// # Panics
/// When it isn't what a [`Toy`] sends.
pub fn read(wire: &[u8]) -> Said {
    let records = wire.strip_prefix(HELLO);
    let mut said = Said { greeted: records.is_some(), plain: Vec::new(), end: End::Open };
    let mut rest = records.unwrap_or(wire);
    while let Some((length, behind)) = rest.split_first_chunk() {
        assert_eq!(said.end, End::Open, "nothing follows the end");
        let length = u16::from_be_bytes(*length);
        rest = behind;
        match length {
            0 => said.end = End::Ended,
            REFUSAL => said.end = End::Refused,
            length => {
                let (now, later) = rest.split_at(usize::from(length));
                said.plain.extend(now.iter().map(|byte| byte ^ KEY));
                rest = later;
            }
        }
    }
    assert!(rest.is_empty(), "a record isn't whole");
    said
}
