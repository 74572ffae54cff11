//! `config.ini` as Python's `ConfigParser` reads it, which is what the course's own program does.
//!
//! Keys in any case; `=` or `:` between key and value, whichever comes first; `#` and `;` begin a
//! comment only at the beginning of a line, so that a value may hold them; a value goes on in lines
//! that are indented more than its key; a key that is there twice, a line that is neither key nor
//! section, and what comes before the first section are errors. Of the sections only `[DEFAULT]` is
//! read. Held to the same by `tests/ini/main.rs`, with what Python has said.
//!
//! Stricter in two things that Python takes and no setting of ours means: a value of several lines, and
//! `%(name)s` in a value.
//!
//! No library: the ones there are read a duplicate as its last, or cut values at `#`, and have no
//! lines for errors. Knows no setting.

use std::collections::BTreeMap;

use runtime::settings::{Contents, Entry, FileError, InvalidValue, RawValue};

/// The section that is read.
const DEFAULT: &str = "DEFAULT";

/// What Python takes for blank: `str.isspace`, which has four separators more than Unicode.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

/// Names, values and errors of a file's text.
pub fn read(text: &str) -> Contents {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(lines(text)) {
        reader.line(number, line);
    }
    reader.finish()
}

/// Lines end with LF, CRLF or a lone CR, as Python's text files have it.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take().filter(|text| !text.is_empty())?;
        let end = text.find(['\n', '\r']).unwrap_or(text.len());
        let (line, behind) = text.split_at(end);
        rest = Some(behind.strip_prefix("\r\n").or_else(|| behind.get(1..)).unwrap_or_default());
        Some(line)
    })
}

/// A key that is being read, with the lines of its value.
#[derive(Debug)]
struct Pending {
    entry: usize,
    lines: Vec<String>,
}

#[derive(Debug, Default)]
struct Reader {
    /// The section that it is in, none at first.
    section: Option<String>,
    /// Where sections and keys were seen first.
    sections: BTreeMap<String, usize>,
    keys: BTreeMap<(String, String), usize>,
    /// How far the key or section that was read last is indented.
    indent: usize,
    current: Option<Pending>,
    contents: Contents,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let text = line.trim_matches(is_blank);
        if text.starts_with(['#', ';']) {
            return;
        }
        if text.is_empty() {
            // Part of the value when more of it follows.
            if let Some(option) = &mut self.current {
                option.lines.push(String::new());
            }
            return;
        }
        let indent = line.chars().take_while(|character| is_blank(*character)).count();
        if let Some(option) = self.current.as_mut().filter(|_| indent > self.indent) {
            option.lines.push(text.to_owned());
            return;
        }
        self.indent = indent;
        match (header(text), self.section.is_some()) {
            (Some(name), _) => self.begin_section(number, name),
            (None, true) => self.key(number, text),
            (None, false) => {
                self.error(number, "expected the section [DEFAULT] before the first key");
            }
        }
    }

    fn error(&mut self, number: usize, reason: impl Into<String>) {
        self.contents.errors.push(FileError::at(number, reason));
    }

    fn begin_section(&mut self, number: usize, name: &str) {
        self.end_value();
        // [DEFAULT] may come again: its keys may not.
        if let Some(first) = self.sections.get(name).filter(|_| name != DEFAULT) {
            let reason = format!("duplicate section [{name}], first in line {first}");
            self.error(number, reason);
        }
        self.sections.entry(name.to_owned()).or_insert(number);
        self.section = Some(name.to_owned());
    }

    fn key(&mut self, number: usize, text: &str) {
        self.end_value();
        let Some((name, value)) = text.split_once(['=', ':']) else {
            let reason = format!("expected NAME = VALUE, found no = or : in \"{}\"", shown(text));
            return self.error(number, reason);
        };
        let (name, value) = (name.trim_end_matches(is_blank), value.trim_start_matches(is_blank));
        if name.is_empty() {
            return self.error(number, "expected a name before the = or :");
        }
        let section = self.section.clone().unwrap_or_default();
        let key = (section, name.to_lowercase());
        if let Some(first) = self.keys.get(&key) {
            let reason = format!("duplicate key {}, first in line {first}", shown(name));
            return self.error(number, reason);
        }
        let foreign_section = Some(key.0.clone()).filter(|section| section != DEFAULT);
        self.keys.insert(key, number);
        self.contents.entries.push(Entry {
            name: name.to_owned(),
            foreign_section,
            line: number,
            value: RawValue::Empty,
        });
        let entry = self.contents.entries.len() - 1;
        self.current = Some(Pending { entry, lines: vec![value.to_owned()] });
    }

    fn end_value(&mut self) {
        let Some(Pending { entry, lines }) = self.current.take() else { return };
        let text = lines.join("\n");
        let text = text.trim_end_matches(is_blank);
        self.contents.entries[entry].value = if text.contains('\n') {
            let reason = "it goes on in the next lines, which are indented".to_owned();
            RawValue::Invalid(InvalidValue { shown: text.as_bytes().to_vec(), reason })
        } else {
            interpolated(text)
        };
    }

    fn finish(mut self) -> Contents {
        self.end_value();
        self.contents
    }
}

fn shown(text: &str) -> runtime::logging::Escaped<'_> {
    runtime::logging::Escaped(text.as_bytes())
}

/// The name in `[NAME]`; what follows the last bracket doesn't count.
fn header(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    Some(name).filter(|name| !name.is_empty())
}

/// `%%` is a percent sign, and no other may be there: it would mean another value.
fn interpolated(text: &str) -> RawValue {
    let alone = text.replace("%%", "");
    if !alone.contains('%') {
        return RawValue::Text(text.replace("%%", "%"));
    }
    let reason = if alone.contains("%(") {
        "%(name)s isn't taken: write what it stands for"
    } else {
        "a percent sign is written %%"
    };
    RawValue::Invalid(InvalidValue { shown: text.as_bytes().to_vec(), reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn errors(text: &str) -> Vec<(Option<usize>, String)> {
        read(text).errors.into_iter().map(|FileError { line, reason }| (line, reason)).collect()
    }

    #[test]
    fn all_errors_are_reported_with_their_lines() {
        let text = "A = 1\n[DEFAULT]\nA = 1\nwrong\n= 2\na: 3\n[x]\nA = 1\n[x]\n";
        assert_eq!(
            errors(text),
            [
                (Some(1), "expected the section [DEFAULT] before the first key".to_owned()),
                (Some(4), "expected NAME = VALUE, found no = or : in \"wrong\"".to_owned()),
                (Some(5), "expected a name before the = or :".to_owned()),
                (Some(6), "duplicate key a, first in line 3".to_owned()),
                (Some(9), "duplicate section [x], first in line 7".to_owned()),
            ]
        );
    }

    #[test]
    fn what_python_takes_and_no_setting_means_is_reported() {
        let text = "[DEFAULT]\nA = 1\n  B = 2\nC = %(home)s\nD = 50%\nE = %%(x)s\n";
        let values: Vec<_> = read(text).entries.into_iter().map(|entry| entry.value).collect();
        let unusable = |shown: &str, reason: &str| {
            RawValue::Invalid(InvalidValue {
                shown: shown.as_bytes().to_vec(),
                reason: reason.to_owned(),
            })
        };
        assert_eq!(
            values,
            [
                unusable("1\nB = 2", "it goes on in the next lines, which are indented"),
                unusable("%(home)s", "%(name)s isn't taken: write what it stands for"),
                unusable("50%", "a percent sign is written %%"),
                RawValue::Text("%(x)s".to_owned()),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|[\\[\\]=:#;% \t\r\n]){0,60}") {
            let lines = 1 + text.matches(['\n', '\r']).count();
            let contents = read(&text);
            prop_assert!(contents.entries.iter().all(|entry| (1..=lines).contains(&entry.line)));
        }
    }
}
