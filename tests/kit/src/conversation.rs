//! A conversation in the lottery's protocol, a request and a response at a time, over any stream.

use std::io::{self, ErrorKind, Read, Write};

use wire::HEADER_LEN;

use crate::frames::{hello, responses};
use crate::reads;
use crate::tls_client;

/// A connection that speaks it.
#[derive(Debug)]
pub struct Conversation<S>(pub S);

impl<S: Read + Write> Conversation<S> {
    /// One that has introduced itself, and the response to that.
    pub fn introduced(stream: S, agency: u32) -> (Self, String) {
        let mut conversation = Self(stream);
        let welcome = conversation.ask(&hello(agency));
        (conversation, welcome)
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).expect("it takes input");
    }

    /// The next response, in words; "end" when the connection ended instead.
    pub fn receive(&mut self) -> String {
        self.try_receive().expect("a response, or an orderly end")
    }

    /// Like [`receive`](Self::receive).
    ///
    /// # Errors
    /// Those of the stream.
    pub fn try_receive(&mut self) -> io::Result<String> {
        let mut frame = vec![0; HEADER_LEN];
        if reads::read(&mut self.0, &mut frame[..1])? == 0 {
            return Ok("end".to_owned());
        }
        self.0.read_exact(&mut frame[1..])?;
        let length = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
        frame.resize(length, 0);
        self.0.read_exact(&mut frame[HEADER_LEN..])?;
        Ok(responses(&frame).0.remove(0))
    }

    /// Sends a request; its response.
    pub fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes);
        self.receive()
    }

    /// Like [`ask`](Self::ask).
    ///
    /// # Errors
    /// Those of the stream.
    pub fn try_ask(&mut self, bytes: &[u8]) -> io::Result<String> {
        self.0.write_all(bytes)?;
        self.0.flush()?;
        self.try_receive()
    }

    /// Everything that is still sent, in words, and how the connection ended: "end" in order, "cut" in
    /// the middle of a frame or without TLS's word for it, "reset", or "alert" and which.
    pub fn outcome(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            match self.try_receive() {
                Ok(response) => found.push(response),
                Err(error) => found.push(failure(&error)),
            }
            if found.last().is_some_and(|last| is_ending(last)) {
                return found;
            }
        }
    }
}

/// How a connection has ended that failed with this error, in a word or two.
///
/// # Panics
/// When it is none of those: nothing comes, and the connection doesn't end.
pub fn failure(error: &io::Error) -> String {
    match (tls_client::alert(error), error.kind()) {
        (Some(alert), _) => format!("alert {alert:?}"),
        (None, ErrorKind::UnexpectedEof) => "cut".to_owned(),
        (None, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => "reset".to_owned(),
        (None, ErrorKind::InvalidData) => error.to_string(),
        _ => panic!("the connection doesn't end: {error}"),
    }
}

fn is_ending(words: &str) -> bool {
    let first = words.split(' ').next().unwrap_or_default();
    !["welcome", "stored", "rejected", "unavailable", "finished", "winners", "error", "unknown"]
        .contains(&first)
}
