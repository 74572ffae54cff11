//! Which files of a folder the generator has made: a list of their checksums beside them.
//!
//! A file that isn't listed, or was changed since, wasn't generated. The list is what `cksum` prints,
//! so that `make clean` needs no program of this project.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The list's name in its folder.
pub const LIST: &str = ".generated";

/// Checksum and size of a file, by POSIX `cksum`. A writer that keeps nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cksum {
    register: u32,
    size: u64,
}

/// The checksum's register after each value of its upper byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut register = byte << 24;
        let mut bit = 0;
        while bit < 8 {
            let polynomial = if register >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            register = (register << 1) ^ polynomial;
            bit += 1;
        }
        table[byte as usize] = register;
        byte += 1;
    }
    table
};

fn extend(register: u32, byte: u8) -> u32 {
    let [upper, ..] = register.to_be_bytes();
    (register << 8) ^ TABLE[usize::from(upper ^ byte)]
}

impl Cksum {
    /// That of a file.
    ///
    /// # Errors
    /// When it can't be read, or isn't a regular file.
    pub fn of(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it isn't a regular file"));
        }
        let mut sum = Self::default();
        io::copy(&mut File::open(path)?, &mut sum)?;
        Ok(sum)
    }
}

impl Write for Cksum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.register = bytes.iter().fold(self.register, |sum, byte| extend(sum, *byte));
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As `cksum` prints it: the size's bytes, least first and without zeros behind them, are part of it.
impl fmt::Display for Cksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.size.to_le_bytes();
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let register = bytes[..length].iter().fold(self.register, |sum, byte| extend(sum, *byte));
        write!(f, "{} {}", !register, self.size)
    }
}

/// The files that the generator has made.
#[derive(Debug)]
pub struct Generated {
    path: PathBuf,
    /// Checksums as printed, with names, in the order in which they were listed.
    lines: Vec<String>,
}

impl Generated {
    /// The list of that folder; an empty one when there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(LIST);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        let lines = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        Ok(Self { path, lines })
    }

    /// Where the list is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file is as the generator has left it. One that can't be read isn't.
    pub fn has(&self, path: &Path) -> bool {
        let line = Cksum::of(path).ok().zip(path.file_name()).map(|(sum, name)| line(sum, name));
        line.is_some_and(|line| self.lines.contains(&line))
    }

    /// Lists a file by the name that it is about to get. What is listed of it before stays until
    /// [`Generated::tidy`]: the file may keep its old content.
    ///
    /// # Errors
    /// When the list can't be written.
    pub fn add(&mut self, path: &Path, sum: Cksum) -> io::Result<()> {
        let line = line(sum, path.file_name().unwrap_or_default());
        let mut list = OpenOptions::new().append(true).create(true).open(&self.path)?;
        list.write_all(format!("{line}\n").as_bytes())?;
        self.lines.push(line);
        Ok(())
    }

    /// Keeps the last line of each name.
    ///
    /// # Errors
    /// When the list can't be written.
    pub fn tidy(self) -> io::Result<()> {
        let name = |line: &str| line.splitn(3, ' ').nth(2).unwrap_or_default().to_owned();
        let last: BTreeMap<_, _> = self.lines.iter().map(|line| (name(line), line)).collect();
        let text: String = last.values().flat_map(|line| [line.as_str(), "\n"]).collect();
        let unfinished = self.path.with_extension("tmp");
        fs::write(&unfinished, text)?;
        fs::rename(unfinished, self.path)
    }
}

fn line(sum: Cksum, name: &std::ffi::OsStr) -> String {
    format!("{sum} {}", name.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(text: &str) -> Cksum {
        let mut sum = Cksum::default();
        sum.write_all(text.as_bytes()).unwrap();
        sum
    }

    #[test]
    fn a_checksum_is_what_cksum_prints() {
        assert_eq!(sum("").to_string(), "4294967295 0");
        assert_eq!(sum("hello\n").to_string(), "3015617425 6");
        // Its size takes more than one byte.
        assert_eq!(sum(&"1234567\n".repeat(40)).to_string(), "392642871 320");
    }

    #[test]
    fn a_file_is_the_generators_until_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["agency-1.csv", "agency-2.csv"].map(|name| folder.path().join(name));
        let mut list = Generated::open(folder.path()).unwrap();
        for path in [&one, &two] {
            fs::write(path, "made").unwrap();
            assert!(!list.has(path));
            list.add(path, sum("made")).unwrap();
            assert!(list.has(path) && Generated::open(folder.path()).unwrap().has(path));
        }
        fs::write(&one, "made\n").unwrap();
        assert!(!list.has(&one) && list.has(&two));
        // While it gets a new content, it is either.
        list.add(&two, sum("made anew")).unwrap();
        assert!(list.has(&two));
        fs::write(&two, "made anew").unwrap();
        assert!(list.has(&two));
        list.tidy().unwrap();
        let list = Generated::open(folder.path()).unwrap();
        assert!(list.has(&two) && list.lines.len() == 2);
        fs::write(&two, "made").unwrap();
        assert!(!list.has(&two));
    }

    #[test]
    fn what_is_no_file_is_not_the_generators() {
        let folder = tempfile::tempdir().unwrap();
        let list = Generated::open(folder.path()).unwrap();
        assert!(!list.has(folder.path()) && !list.has(&folder.path().join("missing")));
    }
}
