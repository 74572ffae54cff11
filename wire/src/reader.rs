//! Reads the fields of a message body from front to back, never past its end.

use crate::error::MessageError;

/// What is left of a body, and how far the reading has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    read: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body, read: 0 }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(MessageError::TooShort {
            needed: self.read + count,
            found: self.read + self.rest.len(),
        })?;
        self.rest = rest;
        self.read += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives exactly the bytes asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MessageError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text of at most 255 bytes behind its one-byte length.
    pub(crate) fn short(&mut self) -> Result<&'a [u8], MessageError> {
        let length = usize::from(self.u8()?);
        self.take(length)
    }

    /// The body must be used up.
    pub(crate) fn finish(self) -> Result<(), MessageError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(MessageError::TooLong { expected: self.read, found: self.read + self.rest.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_big_endian_numbers_from_front_to_back() {
        let body: Vec<u8> = (1..=15).collect();
        let mut reader = Reader::new(&body);
        assert_eq!(reader.u8(), Ok(0x01));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.u64(), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn counts_what_it_needs_from_the_front_of_the_body() {
        let mut reader = Reader::new(b"\x01\x05abcd");
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.short(), Err(MessageError::TooShort { needed: 7, found: 6 }));
    }

    #[test]
    fn a_read_that_fails_takes_nothing() {
        let mut reader = Reader::new(b"\x01\x02");
        assert_eq!(reader.u32(), Err(MessageError::TooShort { needed: 4, found: 2 }));
        assert_eq!(reader.u16(), Ok(0x0102));
    }
}
