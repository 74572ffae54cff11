//! Random bytes of the kernel.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::Error;

/// Up to 256 random bytes.
///
/// # Errors
/// When the kernel gives none.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    const { assert!(N <= 256, "more may come in parts") }
    let mut bytes = [0; N];
    let length = getrandom(&mut bytes, GetRandomFlags::empty());
    match length.map_err(io::Error::from) {
        Ok(length) if length == N => Ok(bytes),
        Ok(_) => Err(Error::NoRandomBytes(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(Error::NoRandomBytes(error)),
    }
}
