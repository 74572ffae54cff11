//! Where an agency's bets come from.
//!
//! | file | what it is for |
//! |---|---|
//! | [`bet_source`] | what a source is: bets one after the other |
//! | [`source_position`] | a position in it |
//! | [`csv_source`] | a file |
//! | [`memory_source`] | memory |
//! | [`csv_rows`] | rows of strict CSV, with the lines that a person finds them on |
//! | [`data_check`] | the check of a file, before any of it is sent |
//! | [`file_stamp`] | whether a file is still the one that was opened |
//! | [`input`] | bets with positions and checksum, cut into batches |
//! | [`error`] | why a source can't be read or sent |

pub mod bet_source;
pub mod csv_rows;
pub mod csv_source;
pub mod data_check;
pub mod error;
pub mod file_stamp;
pub mod input;
pub mod memory_source;
pub mod source_position;
