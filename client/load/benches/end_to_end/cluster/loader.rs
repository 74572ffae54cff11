//! The bare loader: a mio loop that sends requests that are ready, for each agency one behind the other
//! on a connection of its own.
//!
//! Written for the bench alone: what etcd refuses, or a connection that is lost, ends it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use etcd::TxnResponse;
use http1::{ResponseDecoder, ResponseLimits, ResponsePart};
use load::swarm::cpu::Watch;
use load::swarm::{Measured, Tally};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const BUFFER: usize = 64 << 10;

const LIMITS: ResponseLimits = ResponseLimits { max_head: 16 << 10, max_body: 1 << 20 };

/// What is sent at once, and the bets that are stored by it.
pub(crate) struct Transaction {
    pub(crate) bets: u64,
    /// Head and body.
    pub(crate) request: Vec<u8>,
}

/// The transaction that is under way.
struct Sent {
    transaction: Transaction,
    written: usize,
    at: Instant,
}

/// One agency's.
struct Lane {
    stream: TcpStream,
    next: std::vec::IntoIter<Transaction>,
    under_way: Option<Sent>,
    decoder: ResponseDecoder,
    /// What isn't a whole head yet.
    rest: Vec<u8>,
    /// Of the response.
    body: Vec<u8>,
}

/// Sends all transactions; what was measured meanwhile, with the processor time of this process.
pub(crate) fn load(agencies: Vec<(SocketAddr, Vec<Transaction>)>) -> io::Result<Measured> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let connected = agencies.into_iter().enumerate();
    let connected = connected.map(|(index, (address, transactions))| {
        let mut lane = Lane::connect(address, transactions)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut lane.stream, Token(index), interest)?;
        Ok(lane)
    });
    let mut lanes = connected.collect::<io::Result<Vec<_>>>()?;
    let (mut tally, mut buffer) = (Tally::default(), vec![0; BUFFER]);
    let watch = Watch::process(std::process::id());
    let (start, before) = (Instant::now(), watch.time());
    lanes.iter_mut().try_for_each(Lane::send_next)?;
    let mut busy = lanes.len();
    while busy > 0 {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let has_finished = lanes[event.token().0].go_on(&mut buffer, &mut tally)?;
            busy -= usize::from(has_finished);
        }
    }
    let time = start.elapsed();
    let cpu = watch.time().zip(before).map(|(now, before)| now.saturating_sub(before));
    Ok(Measured { tally, time, cpu })
}

impl Lane {
    fn connect(address: SocketAddr, transactions: Vec<Transaction>) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            next: transactions.into_iter(),
            under_way: None,
            decoder: ResponseDecoder::new(LIMITS),
            rest: Vec::new(),
            body: Vec::new(),
        })
    }

    fn send_next(&mut self) -> io::Result<()> {
        let sent = |transaction| Sent { transaction, written: 0, at: Instant::now() };
        self.under_way = self.next.next().map(sent);
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(Sent { transaction, written, .. }) = &mut self.under_way else { return Ok(()) };
        while *written < transaction.request.len() {
            match self.stream.write(&transaction.request[*written..]) {
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes and reads what can be. Returns whether that was the last response.
    fn go_on(&mut self, buffer: &mut [u8], tally: &mut Tally) -> io::Result<bool> {
        if self.under_way.is_none() {
            return Ok(false);
        }
        self.write()?;
        while self.under_way.is_some() {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.take(&buffer[..count], tally)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn take(&mut self, input: &[u8], tally: &mut Tally) -> io::Result<()> {
        self.rest.extend_from_slice(input);
        let mut used = 0;
        loop {
            let next = self.decoder.decode(&self.rest[used..]).map_err(io::Error::other)?;
            used += next.used;
            match next.part {
                Some(ResponsePart::Head(_)) => {}
                Some(ResponsePart::Body(piece)) => self.body.extend_from_slice(piece),
                Some(ResponsePart::End) => self.finish(tally)?,
                None => break,
            }
        }
        self.rest.drain(..used);
        Ok(())
    }

    /// A response is whole.
    fn finish(&mut self, tally: &mut Tally) -> io::Result<()> {
        let response: TxnResponse = serde_json::from_slice(&self.body)?;
        if !response.succeeded {
            let text = String::from_utf8_lossy(&self.body);
            return Err(io::Error::other(format!("a transaction had no effect: {text}")));
        }
        self.body.clear();
        if let Some(Sent { transaction: Transaction { bets, request }, at, .. }) =
            self.under_way.take()
        {
            tally.answered(1, request.len(), at, Instant::now());
            tally.bets += bets;
        }
        self.send_next()
    }
}
