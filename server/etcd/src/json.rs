//! Writes JSON objects straight into a buffer, bytes as base64.
//!
//! Names and words are the program's own and need no escape; only [`Object::text`] takes any text.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An object that is being written. It ends with [`Object::end`].
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Begins an object at the end of `out`.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.name(name);
        self.out.push(b'"');
        append_base64(self.out, bytes);
        self.out.push(b'"');
        self
    }

    pub(crate) fn number(&mut self, name: &str, number: i64) -> &mut Self {
        self.name(name);
        // Writing to memory doesn't fail.
        let _ = write!(self.out, "{number}");
        self
    }

    pub(crate) fn is_true(&mut self, name: &str) -> &mut Self {
        self.name(name);
        self.out.extend_from_slice(b"true");
        self
    }

    pub(crate) fn word(&mut self, name: &str, word: &'static str) -> &mut Self {
        self.name(name);
        self.quoted(word);
        self
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.name(name);
        // Writing text to memory doesn't fail.
        let _ = serde_json::to_writer(&mut *self.out, text);
        self
    }

    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        self.name(name);
        nested(self.out, write);
        self
    }

    /// A list of objects; nothing if there are none.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: &[T],
        write: impl Fn(&T, &mut Object<'_>),
    ) -> &mut Self {
        if items.is_empty() {
            return self;
        }
        self.name(name);
        for (index, item) in items.iter().enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            nested(self.out, |object| write(item, object));
        }
        self.out.push(b']');
        self
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.quoted(name);
        self.out.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }
}

fn nested(out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object::begin(out);
    write(&mut object);
    object.end();
}

fn append_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // There is room: it fills what was added.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written, Ok(out.len() - start));
}
