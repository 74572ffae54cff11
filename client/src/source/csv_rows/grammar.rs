//! Scans one row of strict CSV: RFC 4180, with lines that end in CRLF, LF or a lone CR.
//!
//! Anything else is an error, never a guess: text after a closing quotation mark, a quotation mark that
//! isn't closed or is inside an unquoted field, a byte order mark, NUL. Input is always the bytes from
//! the row's beginning on; the result is a row, or "need more". Knows no file, no line number and no
//! bet.

use wire::field::FIELDS;

/// U+FEFF in UTF-8: allowed only at the very beginning of a file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Where a field is in the bytes of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Its first byte, after the quotation mark if there is one.
    pub start: usize,
    /// The end of its last byte, before the quotation mark.
    pub end: usize,
    /// Whether it is in quotation marks.
    pub quoted: bool,
    /// Whether it has quotation marks inside, each written twice.
    pub doubled: bool,
}

impl Span {
    /// Its beginning, quotation mark included.
    pub fn outer_start(&self) -> usize {
        self.start - usize::from(self.quoted)
    }
}

/// The fields of a row. Those after the fifth are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Its first fields.
    pub spans: [Span; FIELDS],
    /// How many fields there are; in a malformed row, before the malformed one.
    pub fields: usize,
    /// Where the last field begins, or the malformed one.
    pub last_field: usize,
    /// Bytes without the line end.
    pub len: usize,
    /// Bytes with the line end.
    pub used: usize,
    /// Line ends in these bytes.
    pub line_ends: u64,
}

/// What input begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// A row.
    Row,
    /// An empty line, with the length of its end.
    EmptyLine(usize),
    /// An incomplete row, with the offset of the quotation mark that is open, if any.
    More(Option<usize>),
}

/// Bytes that aren't CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Why not.
    pub kind: MalformedKind,
    /// Offset in the row of the byte that shows it.
    pub at: usize,
}

/// Why bytes aren't CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedKind {
    /// Neither a comma nor a line end after a closing quotation mark.
    #[error("text after a closing quotation mark")]
    TextAfterQuote,
    /// A quoted field without its closing mark, or whose next mark, on a later line, can't be it.
    #[error("the quotation mark opened here isn't closed")]
    UnclosedQuote,
    /// A quotation mark in a field that doesn't begin with one.
    #[error("a quotation mark inside an unquoted field")]
    BareQuote,
    /// A NUL byte.
    #[error("a NUL byte")]
    Nul,
    /// A byte order mark elsewhere than at the beginning of the file.
    #[error("byte order mark inside the file")]
    ByteOrderMark,
}

/// Classes of bytes outside of quotation marks.
const ORDINARY: u8 = 0;
const COMMA: u8 = 1;
const QUOTE: u8 = 2;
const LINE_END: u8 = 3;
/// NUL, or the first byte of a byte order mark, and of other characters.
const SUSPECT: u8 = 4;

static CLASSES: [u8; 256] = {
    let mut classes = [ORDINARY; 256];
    classes[b',' as usize] = COMMA;
    classes[b'"' as usize] = QUOTE;
    classes[b'\n' as usize] = LINE_END;
    classes[b'\r' as usize] = LINE_END;
    classes[0] = SUSPECT;
    classes[BYTE_ORDER_MARK[0] as usize] = SUSPECT;
    classes
};

/// Scans the row that `input`, which isn't empty, begins with, and writes its fields to `shape`.
/// `at_end`: nothing follows `input`.
///
/// # Errors
/// [`Malformed`].
pub fn scan(input: &[u8], at_end: bool, shape: &mut Shape) -> Result<Scanned, Malformed> {
    if let Some(length) = line_end(input, 0, at_end) {
        return Ok(if length == 0 { Scanned::More(None) } else { Scanned::EmptyLine(length) });
    }
    let mut scanner = Scanner { input, at_end, at: 0, shape };
    (scanner.shape.fields, scanner.shape.line_ends) = (0, 0);
    loop {
        scanner.shape.last_field = scanner.at;
        let field = if input.get(scanner.at) == Some(&b'"') {
            scanner.quoted_field()?
        } else {
            scanner.plain_field()?
        };
        match field {
            Field::Followed => {}
            Field::Last => return Ok(Scanned::Row),
            Field::More(open) => return Ok(Scanned::More(open)),
        }
    }
}

/// Length of the line end at `at`, 0 when it takes more input to know; `None` if there is none.
fn line_end(input: &[u8], at: usize, at_end: bool) -> Option<usize> {
    match (input.get(at)?, input.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(2),
        (b'\r', None) if !at_end => Some(0),
        (b'\r' | b'\n', _) => Some(1),
        _ => None,
    }
}

/// What follows a field.
enum Field {
    /// A comma, and the next field.
    Followed,
    /// The end of the row.
    Last,
    /// Nothing yet.
    More(Option<usize>),
}

struct Scanner<'a, 's> {
    input: &'a [u8],
    at_end: bool,
    /// The next byte to scan.
    at: usize,
    shape: &'s mut Shape,
}

impl Scanner<'_, '_> {
    fn plain_field(&mut self) -> Result<Field, Malformed> {
        let start = self.at;
        loop {
            let rest = &self.input[self.at..];
            let ordinary = rest.iter().position(|byte| CLASSES[usize::from(*byte)] != ORDINARY);
            let Some(ordinary) = ordinary else {
                self.at = self.input.len();
                break;
            };
            self.at += ordinary;
            match CLASSES[usize::from(self.input[self.at])] {
                QUOTE => return Err(self.malformed(MalformedKind::BareQuote)),
                SUSPECT if !self.passes_suspect()? => return Ok(Field::More(None)),
                SUSPECT => {}
                _ => break,
            }
        }
        Ok(self.end_field(Span { start, end: self.at, quoted: false, doubled: false }))
    }

    fn quoted_field(&mut self) -> Result<Field, Malformed> {
        let open = self.at;
        let unclosed = Malformed { kind: MalformedKind::UnclosedQuote, at: open };
        let (mut doubled, lines_before) = (false, self.shape.line_ends);
        self.at += 1;
        loop {
            let rest = &self.input[self.at..];
            let special = rest.iter().position(|byte| CLASSES[usize::from(*byte)] >= QUOTE);
            let Some(special) = special else {
                return if self.at_end { Err(unclosed) } else { Ok(Field::More(Some(open))) };
            };
            self.at += special;
            match (CLASSES[usize::from(self.input[self.at])], self.input.get(self.at + 1)) {
                (QUOTE, Some(b'"')) => (self.at, doubled) = (self.at + 2, true),
                (QUOTE, None) if !self.at_end => return Ok(Field::More(Some(open))),
                (QUOTE, _) => break,
                (LINE_END, _) => match line_end(self.input, self.at, self.at_end) {
                    Some(length @ 1..) => {
                        self.at += length;
                        self.shape.line_ends += 1;
                    }
                    _ => return Ok(Field::More(Some(open))),
                },
                _ if !self.passes_suspect()? => return Ok(Field::More(Some(open))),
                _ => {}
            }
        }
        let span = Span { start: open + 1, end: self.at, quoted: true, doubled };
        self.at += 1;
        let follows = self.input.get(self.at).map(|byte| CLASSES[usize::from(*byte)]);
        match follows {
            None | Some(COMMA | LINE_END) => Ok(self.end_field(span)),
            // Most likely the closing mark was forgotten lines ago, and this one opens another field.
            Some(_) if self.shape.line_ends > lines_before => Err(unclosed),
            Some(_) => Err(self.malformed(MalformedKind::TextAfterQuote)),
        }
    }

    /// Moves past the comma, line end or end of input after a field.
    fn end_field(&mut self, span: Span) -> Field {
        let (len, byte) = (self.at, self.input.get(self.at));
        if byte.is_none() && !self.at_end {
            return Field::More(None);
        }
        if let Some(kept) = self.shape.spans.get_mut(self.shape.fields) {
            *kept = span;
        }
        self.shape.fields += 1;
        if byte == Some(&b',') {
            self.at += 1;
            return Field::Followed;
        }
        let length = line_end(self.input, self.at, self.at_end);
        if length == Some(0) {
            return Field::More(None);
        }
        self.shape.line_ends += u64::from(length.is_some());
        (self.shape.len, self.shape.used) = (len, len + length.unwrap_or_default());
        Field::Last
    }

    /// Moves past the first byte of a character that only begins like a byte order mark. Returns whether
    /// there was enough input to know.
    fn passes_suspect(&mut self) -> Result<bool, Malformed> {
        let rest = &self.input[self.at..];
        if rest[0] == 0 {
            return Err(self.malformed(MalformedKind::Nul));
        }
        if rest.starts_with(BYTE_ORDER_MARK) {
            return Err(self.malformed(MalformedKind::ByteOrderMark));
        }
        if BYTE_ORDER_MARK.starts_with(rest) && !self.at_end {
            return Ok(false);
        }
        self.at += 1;
        Ok(true)
    }

    fn malformed(&self, kind: MalformedKind) -> Malformed {
        Malformed { kind, at: self.at }
    }
}
