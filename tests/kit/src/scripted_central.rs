//! A central that does on each connection what a script says, for tests of the agency's program.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Sender;

use wire::{Checksum, Phase, Response, WinnersBuilder};

use crate::process::TIMEOUT;

/// The kind of a request that says END.
const END: u8 = 0x04;

/// What a central does on one connection, until it closes it.
pub type Script = fn(&mut Peer) -> io::Result<()>;

/// A connection that a scripted central has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The central's address.
    pub to: SocketAddr,
    /// The caller's.
    pub from: SocketAddr,
}

/// Starts a central on the loopback that does the same on each connection, one after the other, and reports
/// each before it does anything; returns its address. It ends when its reports aren't received any more.
pub fn start(script: Script, reports: Sender<Call>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let to = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        while let Ok((stream, from)) = listener.accept() {
            if reports.send(Call { to, from }).is_err() {
                return;
            }
            stream.set_read_timeout(Some(TIMEOUT)).expect("set");
            stream.set_write_timeout(Some(TIMEOUT)).expect("set");
            // The agency may go whenever it likes.
            let _ = script(&mut Peer { stream });
        }
    });
    to
}

/// A central's side of one connection.
#[derive(Debug)]
pub struct Peer {
    /// The connection.
    pub stream: TcpStream,
}

impl Peer {
    /// The next request: its kind, and of a batch how many bets it has.
    ///
    /// # Errors
    /// The agency is gone, as in the methods below.
    pub fn request(&mut self) -> io::Result<(u8, u64)> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - 4];
        self.stream.read_exact(&mut body)?;
        let count = body.get(8..10).map_or(0, |count| u16::from_be_bytes([count[0], count[1]]));
        Ok((header[1], count.into()))
    }

    /// Sends a response.
    ///
    /// # Errors
    /// As above.
    pub fn respond(&mut self, response: &Response<'_>) -> io::Result<()> {
        let mut out = Vec::new();
        response.encode(&mut out);
        self.stream.write_all(&out)
    }

    /// Sends a frame of winners.
    ///
    /// # Errors
    /// As above.
    pub fn winners(&mut self, documents: &[&[u8]], last: bool) -> io::Result<()> {
        let mut out = Vec::new();
        let mut frame = WinnersBuilder::new(&mut out);
        assert!(documents.iter().all(|document| frame.push(document)));
        frame.finish(last);
        self.stream.write_all(&out)
    }

    /// Takes HELLO, and responds that nothing was sent before.
    ///
    /// # Errors
    /// As above.
    pub fn welcome(&mut self) -> io::Result<()> {
        self.request()?;
        let (checksum, phase) = (Checksum::default(), Phase::Open);
        self.respond(&Response::Welcome { consumed: 0, checksum, rejected: 0, phase })
    }

    /// Everything up to END, which isn't answered.
    ///
    /// # Errors
    /// As above.
    pub fn take_all(&mut self) -> io::Result<()> {
        self.welcome()?;
        let mut consumed = 0;
        loop {
            let (kind, count) = self.request()?;
            if kind == END {
                return Ok(());
            }
            consumed += count;
            self.respond(&Response::Stored { consumed })?;
        }
    }

    /// Everything of an agency with so many bets, up to the question for the winners.
    ///
    /// # Errors
    /// As above.
    pub fn finish(&mut self, bets: u64) -> io::Result<()> {
        self.take_all()?;
        self.respond(&Response::Finished { stored: bets, rejected: 0 })?;
        self.request().map(drop)
    }

    /// Another service, once it was sent something: what isn't read would reset the connection.
    ///
    /// # Errors
    /// As above.
    pub fn greet(&mut self, text: &[u8]) -> io::Result<()> {
        let _ = self.stream.read(&mut [0; 256])?;
        self.stream.write_all(text)
    }

    /// Sends nothing more until the other side ends.
    ///
    /// # Errors
    /// As above.
    pub fn listen(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }
}
