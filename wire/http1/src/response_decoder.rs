//! Reads responses from a stream that arrives in pieces, and hands out their bodies as they come.
//!
//! Holds nothing of the stream: what isn't used yet is the caller's to keep, and never more than a head,
//! a chunk's line or trailers may have.

use crate::chunks;
use crate::head_end;
use crate::limits::{INTERIM_MAX, TRAILERS_MAX};
use crate::response_error::ResponseError;
use crate::response_head::{BodyEnd, ResponseHead};

/// With what every response begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// What comes of a response, in this order: its head, pieces of its body, its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsePart<'a> {
    /// The head, once; also before a body that is too large, which is the error of the next call.
    Head(ResponseHead),
    /// The next bytes of the body, at least one; any number of times.
    Body(&'a [u8]),
    /// The body is whole. Once; the next response begins behind it.
    End,
}

/// How far decoding came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedPart<'a> {
    /// What was found; `None` when more bytes are needed.
    pub part: Option<ResponsePart<'a>>,
    /// How many bytes of the input are used up: drop them from its front.
    pub used: usize,
}

/// How large a response may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseLimits {
    /// Bytes of a head, the empty line at its end counted.
    pub max_head: usize,
    /// Bytes of a body.
    pub max_body: u64,
}

/// Reads responses to requests that aren't HEAD.
///
/// Feed [`decode`](Self::decode) with all bytes that were not used so far, the oldest first, until it
/// finds no part any more; then wait for more. The same bytes come to the same parts and the same error,
/// however they were cut; only where one piece of a body ends and the next begins depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseDecoder {
    limits: ResponseLimits,
    state: State,
    /// The first bytes of the input, which hold no end of a head. They aren't searched again.
    scanned: usize,
    /// Interim responses so far.
    interim: u8,
    /// Bytes that the body may still have.
    body_left: u64,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of a body that says how long it is.
    Length(u64),
    /// Bytes of a body that doesn't.
    UntilClose,
    ChunkLine,
    /// So many bytes of a chunk, one at least.
    Chunk(u64),
    /// CR LF behind it.
    ChunkEnd,
    Trailers,
    /// Nothing: every call returns this.
    Failed(ResponseError),
}

/// What one state makes of the input: bytes used, the next state, and what was found.
type Step<'a> = (usize, State, Option<ResponsePart<'a>>);

impl ResponseDecoder {
    /// A decoder of responses of at most this size.
    pub fn new(limits: ResponseLimits) -> Self {
        let body_left = limits.max_body;
        Self { limits, state: State::Head, scanned: 0, interim: 0, body_left }
    }

    /// Whether nothing of a response has been used up since the last one's end.
    pub fn is_between_responses(&self) -> bool {
        self.state == State::Head && self.interim == 0
    }

    /// The next part of `input`.
    ///
    /// # Errors
    /// [`ResponseError`], at the first byte from which on this can be no response that is understood, if
    /// that is known before the head or line is whole. Every further call returns the same.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<DecodedPart<'a>, ResponseError> {
        let mut used = 0;
        loop {
            match self.step(&input[used..]) {
                Ok(None) => return Ok(DecodedPart { part: None, used }),
                Ok(Some((taken, state, part))) => {
                    used += taken;
                    self.state = state;
                    if part.is_some() {
                        return Ok(DecodedPart { part, used });
                    }
                }
                Err(error) => {
                    self.state = State::Failed(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// The peer sends nothing more behind `rest`, which is all that wasn't used. Whether a body ends
    /// with that: its [`ResponsePart::End`] is this. Otherwise no response had begun.
    ///
    /// # Errors
    /// [`ResponseError`]: a response had begun and isn't whole.
    pub fn finish(&mut self, rest: &[u8]) -> Result<bool, ResponseError> {
        match &self.state {
            State::UntilClose if rest.is_empty() => {
                self.begin_next();
                Ok(true)
            }
            State::Head if rest.is_empty() && self.interim == 0 => Ok(false),
            State::Failed(error) => Err(error.clone()),
            _ => {
                self.state = State::Failed(ResponseError::Cut);
                Err(ResponseError::Cut)
            }
        }
    }

    fn step<'a>(&mut self, input: &'a [u8]) -> Result<Option<Step<'a>>, ResponseError> {
        match self.state {
            State::Head => self.head(input),
            State::Length(0) => Ok(Some(self.end(0))),
            State::Length(left) => Ok(piece(input, left, State::Length)),
            State::UntilClose => self.until_close(input),
            State::ChunkLine => self.chunk_line(input),
            State::Chunk(left) => Ok(piece(input, left, |left| match left {
                0 => State::ChunkEnd,
                left => State::Chunk(left),
            })),
            State::ChunkEnd => chunk_end(input),
            State::Trailers => self.trailers(input),
            State::Failed(ref error) => Err(error.clone()),
        }
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<Option<Step<'a>>, ResponseError> {
        check_beginning(input)?;
        let window = &input[..input.len().min(self.limits.max_head)];
        let Some(end) = self.find_end(window)? else {
            let is_full = window.len() == self.limits.max_head;
            let too_large = ResponseError::HeadTooLarge { max: self.limits.max_head };
            return if is_full { Err(too_large) } else { Ok(None) };
        };
        let Some(head) = ResponseHead::parse(&input[..end])? else {
            self.interim += 1;
            let is_one_too_many = self.interim > INTERIM_MAX;
            let next = Some((end, State::Head, None));
            return if is_one_too_many { Err(ResponseError::TooManyInterim) } else { Ok(next) };
        };
        let state = match head.body_end {
            BodyEnd::Length(length) => match self.take_from_body(length) {
                Ok(()) => State::Length(length),
                // The head first: a reader may want its status.
                Err(error) => State::Failed(error),
            },
            BodyEnd::Chunked => State::ChunkLine,
            BodyEnd::Close => State::UntilClose,
        };
        Ok(Some((end, state, Some(ResponsePart::Head(head)))))
    }

    /// Finds the end of a head or of trailers, and remembers where it has looked.
    fn find_end(&mut self, window: &[u8]) -> Result<Option<usize>, ResponseError> {
        let found = head_end::find(window, self.scanned);
        let end = found.map_err(|_| ResponseError::BareLineFeed)?;
        self.scanned = if end.is_some() { 0 } else { window.len() };
        Ok(end)
    }

    fn take_from_body(&mut self, length: u64) -> Result<(), ResponseError> {
        let too_large = ResponseError::BodyTooLarge { max: self.limits.max_body };
        self.body_left = self.body_left.checked_sub(length).ok_or(too_large)?;
        Ok(())
    }

    fn until_close<'a>(&mut self, input: &'a [u8]) -> Result<Option<Step<'a>>, ResponseError> {
        if self.body_left == 0 && !input.is_empty() {
            return Err(ResponseError::BodyTooLarge { max: self.limits.max_body });
        }
        let step = piece(input, self.body_left, |_| State::UntilClose);
        if let Some((used, ..)) = step {
            self.take_from_body(used as u64)?;
        }
        Ok(step)
    }

    fn chunk_line<'a>(&mut self, input: &'a [u8]) -> Result<Option<Step<'a>>, ResponseError> {
        let Some((length, used)) = chunks::line(input)? else { return Ok(None) };
        self.take_from_body(length)?;
        let next = if length == 0 { State::Trailers } else { State::Chunk(length) };
        Ok(Some((used, next, None)))
    }

    fn trailers<'a>(&mut self, input: &'a [u8]) -> Result<Option<Step<'a>>, ResponseError> {
        if input.starts_with(b"\r\n") {
            return Ok(Some(self.end(2)));
        }
        let window = &input[..input.len().min(TRAILERS_MAX)];
        match self.find_end(window)? {
            Some(end) => {
                chunks::check_trailers(&input[..end])?;
                Ok(Some(self.end(end)))
            }
            None if window.len() == TRAILERS_MAX => Err(ResponseError::TrailersTooLarge),
            None => Ok(None),
        }
    }

    /// The response ends behind so many more bytes.
    fn end(&mut self, used: usize) -> Step<'static> {
        self.begin_next();
        (used, State::Head, Some(ResponsePart::End))
    }

    fn begin_next(&mut self) {
        *self = Self::new(self.limits);
    }
}

/// As soon as it is known, so that a peer that isn't HTTP isn't waited for.
fn check_beginning(input: &[u8]) -> Result<(), ResponseError> {
    let differs = input.iter().zip(BEGINNING).position(|(found, expected)| found != expected);
    match differs {
        Some(at) => Err(ResponseError::NotHttp { found: input[at], at }),
        None => Ok(()),
    }
}

/// As much of the next `left` bytes of a body as is there.
fn piece(input: &[u8], left: u64, next: impl FnOnce(u64) -> State) -> Option<Step<'_>> {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let is_some = length > 0;
    let state = || next(left - length as u64);
    is_some.then(|| (length, state(), Some(ResponsePart::Body(&input[..length]))))
}

fn chunk_end(input: &[u8]) -> Result<Option<Step<'_>>, ResponseError> {
    for (&found, expected) in input.iter().zip(b"\r\n") {
        if found != *expected {
            return Err(ResponseError::ChunkEnd { found });
        }
    }
    Ok((input.len() >= 2).then_some((2, State::ChunkLine, None)))
}
