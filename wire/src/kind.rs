//! Kinds of messages: the second byte of a frame.
//!
//! Requests have the high bit clear, responses have it set.

pub(crate) const HELLO: u8 = 0x01;
pub(crate) const BET: u8 = 0x02;
pub(crate) const BATCH: u8 = 0x03;
pub(crate) const END: u8 = 0x04;
pub(crate) const ASK_WINNERS: u8 = 0x05;

pub(crate) const WELCOME: u8 = 0x81;
pub(crate) const STORED: u8 = 0x82;
pub(crate) const REJECTED: u8 = 0x83;
pub(crate) const UNAVAILABLE: u8 = 0x84;
pub(crate) const FINISHED: u8 = 0x85;
pub(crate) const WINNERS: u8 = 0x86;
pub(crate) const ERROR: u8 = 0xFF;
