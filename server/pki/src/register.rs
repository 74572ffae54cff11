//! The list of what was issued, `issued.csv`: a row for each certificate, in the order of issue.
//!
//! No field needs quotes: serials, numbers, times and host names hold no comma, quotation mark or line
//! end.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use crate::error::Error;
use crate::files;
use crate::serial::Serial;

const HEADING: &str = "serial,kind,name,expires,revoked";

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A central.
    Server,
    /// An agency.
    Agency,
}

impl Kind {
    /// The word in the list.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agency => "agency",
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Server, Self::Agency].into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its serial number.
    pub serial: Serial,
    /// Whom it is for.
    pub kind: Kind,
    /// A central's names with a space between two, or an agency's number.
    pub name: String,
    /// When it expires.
    pub expires: SystemTime,
    /// Since when it is revoked, if it is.
    pub revoked: Option<SystemTime>,
}

/// The list as a file.
#[derive(Debug)]
pub(crate) struct Register {
    path: PathBuf,
    pub(crate) entries: Vec<Entry>,
}

impl Register {
    /// An empty one, not on disk yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), entries: Vec::new() }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read(path)?;
        let mut lines = text.lines().enumerate();
        let row = |line: usize, expected, found: &str| Error::Row {
            path: path.to_owned(),
            line: line + 1,
            expected,
            found: found.to_owned(),
        };
        let heading = lines.next().map_or("", |(_, heading)| heading);
        if heading != HEADING {
            return Err(row(0, HEADING, heading));
        }
        let entries = lines.map(|(line, text)| {
            parse(text).map_err(|(expected, found)| row(line, expected, found))
        });
        Ok(Self { path: path.to_owned(), entries: entries.collect::<Result<_, _>>()? })
    }

    pub(crate) fn write(&self) -> Result<(), Error> {
        let mut text = format!("{HEADING}\n");
        for Entry { serial, kind, name, expires, revoked } in &self.entries {
            let (kind, expires) = (kind.name(), humantime::format_rfc3339_seconds(*expires));
            let revoked = revoked.map(|time| humantime::format_rfc3339_seconds(time).to_string());
            let revoked = revoked.unwrap_or_default();
            // Writing to a text can't fail.
            let _ = writeln!(text, "{serial},{kind},{name},{expires},{revoked}");
        }
        files::replace(&self.path, &text)
    }

    pub(crate) fn find(&mut self, serial: &Serial) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.serial == *serial)
    }
}

/// Reads a row, or returns what was expected and what found.
fn parse(row: &str) -> Result<Entry, (&'static str, &str)> {
    let fields: Vec<_> = row.split(',').collect();
    let [serial, kind, name, expires, revoked] = fields[..] else { return Err((HEADING, row)) };
    let time = |text| humantime::parse_rfc3339(text).map_err(|_| ("a time in UTC", text));
    Ok(Entry {
        serial: serial.parse().map_err(|expected| (expected, serial))?,
        kind: kind.parse().map_err(|()| ("server or agency", kind))?,
        name: name.to_owned(),
        expires: time(expires)?,
        revoked: Some(revoked).filter(|text| !text.is_empty()).map(time).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issued.csv");
        let entry = |serial: u8, kind, name: &str, revoked| Entry {
            serial: Serial::from_bytes(&[0x40, serial]).unwrap(),
            kind,
            name: name.into(),
            expires: at(1_800_000_000),
            revoked,
        };
        let mut register = Register::new(&path);
        register.entries = vec![
            entry(1, Kind::Server, "localhost ::1", None),
            entry(2, Kind::Agency, "7", Some(at(1_700_000_000))),
        ];
        register.write().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "serial,kind,name,expires,revoked\n\
             4001,server,localhost ::1,2027-01-15T08:00:00Z,\n\
             4002,agency,7,2027-01-15T08:00:00Z,2023-11-14T22:13:20Z\n"
        );
        assert_eq!(Register::read(&path).unwrap().entries, register.entries);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issued.csv");
        let good = "4001,server,localhost,2027-01-15T08:00:00Z,";
        for (bad, expected) in [
            ("4001,server", "serial,kind"),
            ("x,server,a,2027-01-15T08:00:00Z,", "hexadecimal"),
            ("4001,central,a,2027-01-15T08:00:00Z,", "server or agency"),
            ("4001,server,a,tomorrow,", "a time in UTC"),
            ("4001,server,a,2027-01-15T08:00:00Z,yes", "a time in UTC"),
            ("", "serial,kind"),
        ] {
            fs::write(&path, format!("{HEADING}\n{good}\n{bad}\n{good}\n")).unwrap();
            let error = Register::read(&path).unwrap_err().to_string();
            assert!(error.contains("issued.csv:3: "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
        fs::write(&path, "").unwrap();
        assert!(Register::read(&path).unwrap_err().to_string().contains("issued.csv:1: "));
    }
}
