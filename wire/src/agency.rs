//! Who sends bets, and how far in its input.

/// Number of an agency, counted from 1. Zero is never an agency.
pub type Agency = u32;

/// Index of a row in an agency's input, counted from 0: the sequence number of a bet.
pub type Position = u64;
