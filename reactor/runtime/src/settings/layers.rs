//! The layers on top of each other, and the values taken out of them.
//!
//! What can't be used is remembered, and told all at once by [`finish`](Settings::finish). A file that
//! can't be read or understood may have held anything: what is only wrong without it isn't told then.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::characters::{INVISIBLE, has_invisible, is_quoted, utf8, without_controls};
use super::environment::{self, warning_of};
use super::error::at;
use super::file::{self, Contents, Entry, FileError, InvalidValue, RawValue};
use super::nearest::nearest;
use super::{Setting, SettingError, SettingErrors, Warning};
use crate::logging::Escaped;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// The file.
    File {
        /// Which.
        path: PathBuf,
        /// Where in it, from 1 on.
        line: usize,
    },
    /// The environment.
    Environment,
    /// The command line.
    CommandLine,
}

/// A value in force.
#[derive(Debug)]
struct Value {
    text: Result<String, InvalidValue>,
    origin: Origin,
}

/// The layers, put on top of each other.
#[derive(Debug)]
pub struct Settings {
    table: &'static [Setting],
    values: BTreeMap<&'static str, Value>,
    /// How the program writes what it has understood.
    pub(super) understood: BTreeMap<&'static str, String>,
    /// Settings of which an error is told.
    wrong: BTreeSet<&'static str>,
    errors: Vec<SettingError>,
    pub(super) warnings: Vec<Warning>,
    /// The file is there and wasn't understood in full.
    file_is_unclear: bool,
    invocation: Invocation,
}

/// What the program is to do with them.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) check_only: bool,
    pub(super) subcommand: Option<String>,
    pub(super) operands: Vec<OsString>,
}

impl Settings {
    /// The defaults.
    pub(super) fn new(table: &'static [Setting], invocation: Invocation) -> Self {
        let default = |setting: &'static Setting| {
            let text = Ok(setting.default?.to_owned());
            Some((setting.key, Value { text, origin: Origin::Default }))
        };
        Self {
            table,
            values: table.iter().filter_map(default).collect(),
            understood: BTreeMap::new(),
            wrong: BTreeSet::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            file_is_unclear: false,
            invocation,
        }
    }

    pub(super) fn layer_file(&mut self, path: &Path, reader: fn(&str) -> Contents) {
        let contents = file::read(path).map_or_else(
            |error| Contents { entries: Vec::new(), errors: vec![error] },
            |text| reader(&text),
        );
        self.file_is_unclear = !contents.errors.is_empty();
        self.errors.extend(contents.errors.into_iter().map(|FileError { line, reason }| {
            SettingError::File { path: path.to_owned(), line, reason }
        }));
        for entry in contents.entries {
            self.layer_entry(path, entry);
        }
    }

    fn layer_entry(&mut self, path: &Path, entry: Entry) {
        let Entry { name, foreign_section, line, value } = entry;
        let table = self.table;
        let known = table.iter().find(|known| is_same_name(known.file_key, &name));
        if let Some(setting) = known.filter(|_| foreign_section.is_none()) {
            let text = match value {
                RawValue::Text(text) => Ok(text),
                RawValue::Section(invalid) | RawValue::Invalid(invalid) => Err(invalid),
                RawValue::Empty => {
                    Err(InvalidValue { shown: Vec::new(), reason: empty(setting).to_owned() })
                }
            };
            return self.put(setting, text, Origin::File { path: path.to_owned(), line });
        }
        let inside = table.iter().filter_map(|known| name_inside(known.file_key, &name));
        let inside: Vec<_> = inside.collect();
        match value {
            RawValue::Section(_) => {}
            RawValue::Empty if !inside.is_empty() => {}
            RawValue::Text(text) if !inside.is_empty() => {
                self.not_a_section(path, line, &name, text.as_bytes(), &inside);
            }
            RawValue::Invalid(InvalidValue { shown, .. }) if !inside.is_empty() => {
                self.not_a_section(path, line, &name, &shown, &inside);
            }
            _ => self.warn_of_key(path, line, &name, foreign_section),
        }
    }

    fn not_a_section(
        &mut self,
        path: &Path,
        line: usize,
        name: &str,
        value: &[u8],
        inside: &[&str],
    ) {
        let (name, value) = (Escaped(name.as_bytes()), Escaped(value));
        let expected = inside.join(", ");
        let reason = format!("{name} = \"{value}\": expected a section, with {expected}");
        self.file_is_unclear = true;
        self.errors.push(SettingError::File { path: path.to_owned(), line: Some(line), reason });
    }

    fn warn_of_key(&mut self, path: &Path, line: usize, name: &str, section: Option<String>) {
        let place = format!("{}{}: ", path.display(), at(Some(line)));
        let (place, hint) = if let Some(section) = section {
            (
                format!("{place}[{section}] {name}"),
                Some("its section isn't read: only [DEFAULT] is, move it there".to_owned()),
            )
        } else {
            let nearest = nearest(self.table, name);
            let hint = nearest.map(|known| format!("did you mean {}?", known.file_key));
            (format!("{place}{name}"), hint)
        };
        self.warnings.push(Warning::Unknown { place, hint });
    }

    pub(super) fn layer_environment(
        &mut self,
        prefixes: &[&str],
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) {
        let table = self.table;
        let mut seen = BTreeSet::new();
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            // Of a name that is there twice, the first one is what every program sees.
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(setting) = table.iter().find(|setting| setting.key == name) {
                self.put(setting, utf8(&value), Origin::Environment);
                continue;
            }
            let value = value.to_string_lossy();
            self.warnings.extend(warning_of(table, prefixes, &name, &value));
        }
    }

    pub(super) fn layer_argument(&mut self, setting: &'static Setting, value: &str) {
        let is_long = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_flag = matches!(value, "-h" | "-V") || value.strip_prefix("--").is_some_and(is_long);
        let text = if is_flag {
            let reason = format!("--{} has no value, another flag follows it", setting.flag);
            Err(InvalidValue { shown: value.as_bytes().to_vec(), reason })
        } else {
            Ok(value.to_owned())
        };
        self.put(setting, text, Origin::CommandLine);
    }

    fn put(
        &mut self,
        setting: &'static Setting,
        text: Result<String, InvalidValue>,
        origin: Origin,
    ) {
        let text = text.and_then(without_controls);
        self.values.insert(setting.key, Value { text, origin });
    }

    /// Whether the program is only to say what it would be run with.
    pub fn check_only(&self) -> bool {
        self.invocation.check_only
    }

    /// What the program is to do instead of its usual work.
    pub fn subcommand(&self) -> Option<&str> {
        self.invocation.subcommand.as_deref()
    }

    /// What that is to be done with; empty for a subcommand that takes no operands.
    pub fn operands(&self) -> &[OsString] {
        &self.invocation.operands
    }

    /// What is likely wrong, in the order in which it was found.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Everything that can be set.
    pub(super) fn table(&self) -> &'static [Setting] {
        self.table
    }

    /// The value as it was written, and where.
    pub fn raw(&self, setting: &Setting) -> Option<(&str, &Origin)> {
        let value = self.values.get(setting.key)?;
        let text = match &value.text {
            Ok(text) => text,
            Err(InvalidValue { shown, .. }) => str::from_utf8(shown).unwrap_or_default(),
        };
        Some((text, &value.origin))
    }

    /// The value's bytes as they were written, and where.
    pub(super) fn bytes(&self, setting: &Setting) -> Option<(&[u8], &Origin)> {
        let Value { text, origin } = self.values.get(setting.key)?;
        let bytes = text.as_ref().map_or_else(|invalid| &invalid.shown[..], String::as_bytes);
        Some((bytes, origin))
    }

    /// How the program writes what it has understood.
    pub(super) fn understood(&self, setting: &Setting) -> Option<&str> {
        self.understood.get(setting.key).map(String::as_str)
    }

    /// The value of a setting that must have one. `None` is remembered as an error.
    pub fn require<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.require_or_hint(setting, parse, |_| String::new())
    }

    /// The same, with a guess of its own at what is wrong; an empty one when it has none.
    pub fn require_or_hint<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
        hint: impl FnOnce(&str) -> String,
    ) -> Option<T> {
        if !self.values.contains_key(setting.key) && self.wrong.insert(setting.key) {
            self.errors.push(SettingError::Missing {
                key: setting.key,
                file_key: setting.file_key,
                flag: setting.flag,
                expected: setting.expected,
            });
        }
        let text = match &self.values.get(setting.key)?.text {
            Ok(text) => text.clone(),
            Err(InvalidValue { reason, .. }) => {
                let reason = reason.clone();
                self.invalid(setting, setting.expected, reason);
                return None;
            }
        };
        let parsed = parse(&text);
        if parsed.is_none() {
            let hint = Some(hint(&text)).filter(|hint| !hint.is_empty());
            let hint = hint.or_else(|| self.hint(setting, &text)).unwrap_or_default();
            self.invalid(setting, setting.expected, hint);
        }
        parsed
    }

    /// The value of a setting that may be absent. One that can't be parsed is remembered as an error.
    pub fn optional<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.values.contains_key(setting.key) { self.require(setting, parse) } else { None }
    }

    /// What is probably wrong with a value that can't be parsed.
    fn hint(&self, setting: &Setting, text: &str) -> Option<String> {
        let origin = &self.values.get(setting.key)?.origin;
        let comment = [" ;", " #", "\t;", "\t#"].iter().any(|begin| text.contains(begin));
        let hint = match origin {
            _ if text.is_empty() => {
                "an empty value isn't the default, leave the setting out for it"
            }
            _ if has_invisible(text) => INVISIBLE,
            _ if is_quoted(text) => "its quotation marks are part of it",
            Origin::File { .. } if comment => "a comment needs a line of its own",
            Origin::Environment if environment::is_url(text) => {
                "looks like a service's own variable: Kubernetes sets none with enableServiceLinks: false"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Remembers that a setting's value can't be used together with others.
    pub fn reject(&mut self, setting: &'static Setting, expected: &str) {
        if !self.file_is_unclear {
            self.invalid(setting, expected, String::new());
        }
    }

    fn invalid(&mut self, setting: &'static Setting, expected: &str, hint: String) {
        if !self.wrong.insert(setting.key) {
            return;
        }
        let shown = self.bytes(setting).map(|(bytes, _)| Escaped(bytes).to_string());
        let (place, value) = (self.place(setting), shown.unwrap_or_default());
        let expected = expected.to_owned();
        self.errors.push(SettingError::Invalid { place, value, expected, hint });
    }

    /// Where the value stands, and its name there.
    pub(super) fn place(&self, setting: &Setting) -> String {
        match self.values.get(setting.key).map(|value| &value.origin) {
            None | Some(Origin::Default) => format!("default of {}", setting.key),
            Some(Origin::File { path, line }) => {
                format!("{}{}: {}", path.display(), at(Some(*line)), setting.file_key)
            }
            Some(Origin::Environment) => format!("environment variable {}", setting.key),
            Some(Origin::CommandLine) => format!("command line: --{}", setting.flag),
        }
    }

    /// What was made of the values, or everything that is wrong with them.
    ///
    /// # Errors
    /// All errors remembered, together.
    ///
    /// # Panics
    /// When there is neither: `value` is only missing when some value was.
    pub fn finish<T>(&mut self, value: Option<T>) -> Result<T, SettingErrors> {
        // Also of settings that nobody has asked for.
        for setting in self.table {
            if let Some(Value { text: Err(InvalidValue { reason, .. }), .. }) =
                self.values.get(setting.key)
            {
                let reason = reason.clone();
                self.invalid(setting, setting.expected, reason);
            }
        }
        let mut errors = std::mem::take(&mut self.errors);
        if self.file_is_unclear {
            errors.retain(|error| !matches!(error, SettingError::Missing { .. }));
        }
        if errors.is_empty() {
            return Ok(value.expect("a value is missing only together with an error"));
        }
        Err(SettingErrors(errors))
    }
}

/// What is wrong with an empty value.
fn empty(setting: &Setting) -> &'static str {
    if setting.default.is_none() {
        return "it is empty";
    }
    "an empty value isn't the default, leave the setting out for it"
}

/// What of a setting's name follows that of a section.
fn name_inside<'a>(file_key: &'a str, section: &str) -> Option<&'a str> {
    let (before, behind) = file_key.split_at_checked(section.len())?;
    let behind = behind.strip_prefix('.')?;
    is_same_name(before, section).then_some(behind)
}

fn is_same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
