//! The fields of a bet, and how long they may be.

use std::fmt;

use crate::code::from_number;
use crate::error::MessageError;

/// Most bytes of one field of a bet: its length travels in one byte.
pub const FIELD_MAX: usize = u8::MAX as usize;

/// Fields of a bet.
pub const FIELDS: usize = 5;

/// A field of a bet, in the order in which fields travel. Its number is the code of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// First name.
    FirstName = 1,
    /// Last name.
    LastName = 2,
    /// Document (DNI).
    Document = 3,
    /// Birthdate.
    Birthdate = 4,
    /// Number.
    Number = 5,
}

impl Field {
    /// All fields in the order in which they travel.
    pub const ALL: [Self; FIELDS] =
        [Self::FirstName, Self::LastName, Self::Document, Self::Birthdate, Self::Number];
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstName => "first name",
            Self::LastName => "last name",
            Self::Document => "document",
            Self::Birthdate => "birthdate",
            Self::Number => "number",
        })
    }
}

from_number!(Field, "field", [FirstName, LastName, Document, Birthdate, Number]);
