//! The echo protocol of one connection: every line comes back.
//!
//! Knows no socket: it takes input, and passes what is to be sent to a closure.

use std::net::IpAddr;

use runtime::logging::{self, Fail, Level, Line, Success};
use runtime::{log_line, log_within};
use wire::{LineDecoder, LineTooLong};

use super::log_budget::{Cause, Event, LogBudget};

/// A connection that speaks it.
#[derive(Debug)]
pub(crate) struct EchoSession {
    decoder: LineDecoder,
}

/// Whether the peer's stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    NotYet,
    Reached,
}

/// What became of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echoed {
    /// So many bytes were consumed, and the connection goes on.
    Consumed(usize),
    /// Nothing more is taken: the line was the only one, or too long.
    Done,
}

/// How an echo connection is logged.
#[derive(Debug)]
pub(crate) struct EchoLog<'l> {
    pub(crate) budget: &'l mut LogBudget,
    pub(crate) ip: IpAddr,
    pub(crate) level: Level,
}

impl EchoSession {
    pub(crate) fn new(max_line: usize) -> Self {
        Self { decoder: LineDecoder::new(max_line) }
    }

    /// Echoes all lines that are whole in `input`, or only the first unless `keep_alive`; at the end
    /// of the stream the last line needs no newline.
    pub(crate) fn receive(
        &mut self,
        input: &[u8],
        end: End,
        keep_alive: bool,
        log: &mut EchoLog<'_>,
        send: impl FnMut(&[u8]),
    ) -> Echoed {
        let is_logged = logging::is_logged(log.level) && !log.budget.is_exhausted(Event::Echoed);
        if keep_alive && !is_logged && end == End::NotYet {
            self.echo_all(input, log, send)
        } else {
            self.echo_each(input, end, keep_alive, log, send)
        }
    }

    fn echo_each(
        &mut self,
        input: &[u8],
        end: End,
        keep_alive: bool,
        log: &mut EchoLog<'_>,
        mut send: impl FnMut(&[u8]),
    ) -> Echoed {
        let mut used = 0;
        loop {
            let found = match end {
                End::NotYet => self.decoder.decode(&input[used..]),
                End::Reached => self.decoder.decode_eof(&input[used..]),
            };
            let line = match found {
                Ok(Some(line)) => line,
                Ok(None) => return Echoed::Consumed(used),
                Err(error) => return refuse(error, log, send),
            };
            log_within!(
                log.budget,
                Event::Echoed,
                log.level,
                Line::new("receive_message", Success)
                    .with("ip", log.ip)
                    .with_bytes("msg", line.bytes)
            );
            send(&input[used..used + line.used]);
            if line.used == line.bytes.len() {
                send(b"\n");
            }
            used += line.used;
            if !keep_alive {
                return Echoed::Done;
            }
        }
    }

    /// Echoes lines that aren't logged, or only counted: all that are whole at once, out of the
    /// buffer that they came in.
    fn echo_all(
        &mut self,
        input: &[u8],
        log: &mut EchoLog<'_>,
        mut send: impl FnMut(&[u8]),
    ) -> Echoed {
        let mut used = 0;
        loop {
            match self.decoder.decode_all(&input[used..]) {
                Ok(0) => return Echoed::Consumed(used),
                Ok(lines) => {
                    let lines = &input[used..used + lines];
                    if log.budget.is_exhausted(Event::Echoed) {
                        let count = memchr::memchr_iter(b'\n', lines).count();
                        log.budget.add(Event::Echoed, count as u64);
                    }
                    send(lines);
                    used += lines.len();
                }
                Err(error) => return refuse(error, log, send),
            }
        }
    }
}

fn refuse(error: LineTooLong, log: &mut EchoLog<'_>, mut send: impl FnMut(&[u8])) -> Echoed {
    if log.budget.allows(Cause::LongLine) {
        let line = Line::new("receive_message", Fail).with("ip", log.ip).with("error", error);
        log_line!(Level::Warn, line);
    }
    send(format!("error: {error}\n").as_bytes());
    Echoed::Done
}

#[cfg(test)]
mod tests {
    use super::*;
    use Echoed::{Consumed, Done};
    use End::{NotYet, Reached};

    const MAX_LINE: usize = 10;

    /// What is sent back when these pieces arrive, each with what the ones before left, and what
    /// became of the last. `logged` takes the path line by line.
    fn echo(pieces: &[&str], end: End, keep_alive: bool, logged: bool) -> (String, Echoed) {
        let (ip, level) = ([127, 0, 0, 1].into(), Level::Info);
        let mut log = EchoLog { budget: &mut LogBudget::new(100), ip, level };
        let mut session = EchoSession::new(MAX_LINE);
        let (mut input, mut output) = (Vec::new(), Vec::new());
        let mut outcome = Consumed(0);
        for (number, piece) in pieces.iter().enumerate() {
            input.extend_from_slice(piece.as_bytes());
            let end = if number + 1 == pieces.len() { end } else { NotYet };
            let send = |bytes: &[u8]| output.extend_from_slice(bytes);
            outcome = if logged {
                session.echo_each(&input, end, keep_alive, &mut log, send)
            } else {
                session.receive(&input, end, keep_alive, &mut log, send)
            };
            match outcome {
                Consumed(count) => drop(input.drain(..count)),
                Done => break,
            }
        }
        (String::from_utf8(output).unwrap(), outcome)
    }

    #[test]
    fn lines_come_back_whole_however_they_arrive() {
        for logged in [true, false] {
            for pieces in [&["a\nbc\nd"][..], &["a", "\nb", "c\n", "d"]] {
                let (sent, _) = echo(pieces, NotYet, true, logged);
                assert_eq!(sent, "a\nbc\n", "{pieces:?}");
                let (sent, _) = echo(pieces, Reached, true, logged);
                assert_eq!(sent, "a\nbc\nd\n", "{pieces:?}");
            }
        }
    }

    #[test]
    fn without_keep_alive_the_first_line_is_the_only_one() {
        assert_eq!(echo(&["a\nb\n"], NotYet, false, true), ("a\n".into(), Done));
        assert_eq!(echo(&["a"], Reached, false, true), ("a\n".into(), Done));
        assert_eq!(echo(&[""], Reached, false, true), (String::new(), Consumed(0)));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_behind_the_lines_before_it() {
        let refusal =
            "error: a line is at most 10 bytes long, found more than that without a newline";
        for logged in [true, false] {
            for pieces in [&["a\n0123456789x\nb\n"][..], &["a\n0123", "456789x"]] {
                let (sent, outcome) = echo(pieces, NotYet, true, logged);
                assert_eq!((sent, outcome), (format!("a\n{refusal}\n"), Done), "{pieces:?}");
            }
        }
    }
}
