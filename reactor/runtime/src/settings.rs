//! Settings in layers: default, file, environment, command line; the later one wins.
//!
//! A program declares each setting once, with [`settings!`](crate::settings!). From its table come
//! the flags and `--help`, the keys of the file, the names of the environment, `--check-config`,
//! messages that name all of them, and the tables of the documentation.
//!
//! Knows neither file format nor meaning of any value: a program reads its file into
//! [`Contents`], and says of each setting what kind of value it has.
//!
//! | file | what it is for |
//! |---|---|
//! | `setting` | [`Setting`]: what is declared of one, and the table of all |
//! | `kind` | kinds of values and their ranges |
//! | `values` | texts read as numbers, durations, sizes and levels, and written back |
//! | `program` | [`Program`]: the command line, and where the layers come from |
//! | `layers` | [`Settings`]: the layers on top of each other |
//! | `checking` | typed values out of them, and all that is wrong |
//! | `file` | a file's bytes as text, and what a reader found in it |
//! | `characters` | characters in values that are there by mistake |
//! | `environment` | names in the environment that look like ours and aren't |
//! | `nearest` | the known name that an unknown one most resembles |
//! | `error` | what is wrong with a configuration |
//! | `warning` | what is likely wrong with it |
//! | `report` | `--check-config`, and warnings as log lines |
//! | [`docs`] | the documentation's tables |

mod characters;
mod checking;
pub mod docs;
mod environment;
mod error;
mod file;
mod kind;
mod layers;
mod nearest;
mod program;
mod report;
mod setting;
mod values;
mod warning;

pub use error::{SettingError, SettingErrors};
pub use file::{Contents, Entry, FileError, InvalidValue, RawValue, line_at};
pub use kind::Kind;
pub use layers::{Origin, Settings};
pub use program::{CommandOption, Program, Subcommand};
pub use report::{check, refuse};
pub use setting::{Declaration, Declared, Limit, Names, Setting, Table};
pub use values::{DURATION_MAX, SIZE_MAX, number, write_size};
pub use warning::Warning;

#[cfg(test)]
mod tests;
