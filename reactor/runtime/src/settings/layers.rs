//! The layers on top of each other: default, file, environment, command line.
//!
//! Knows no kind of value: what comes out of the layers are texts, each with its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::characters::{utf8, without_controls};
use super::environment::warning_of;
use super::error::{SettingError, at};
use super::file::{self, Contents, Entry, FileError, InvalidValue, RawValue};
use super::nearest::nearest;
use super::setting::{Declaration, Names, Table};
use super::warning::Warning;
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
pub(super) struct Layered {
    pub(super) text: Result<String, InvalidValue>,
    pub(super) origin: Origin,
    /// The names that it was set by: those of today, or those of before.
    pub(super) names: &'static Names,
}

/// The layers, put on top of each other.
#[derive(Debug)]
pub struct Settings {
    pub(super) table: Table,
    pub(super) values: BTreeMap<&'static str, Layered>,
    /// How what was understood is written, where that isn't how it was set.
    pub(super) read_as: BTreeMap<&'static str, String>,
    /// Settings that were looked at.
    pub(super) checked: BTreeSet<&'static str>,
    /// Settings that an error was remembered of.
    pub(super) wrong: BTreeSet<&'static str>,
    pub(super) errors: Vec<SettingError>,
    pub(super) warnings: Vec<Warning>,
    /// The file is there and wasn't understood in full.
    pub(super) file_is_unclear: bool,
    invocation: Invocation,
}

/// What the command line asks for besides settings.
#[derive(Debug, Default)]
pub(super) struct Invocation {
    pub(super) check_only: bool,
    pub(super) subcommand: Option<String>,
    pub(super) operands: Vec<OsString>,
    /// Those that are there, with their values.
    pub(super) options: Vec<(&'static str, String)>,
}

impl Settings {
    /// The defaults.
    pub(super) fn new(table: Table, invocation: Invocation) -> Self {
        let default = |declaration: &'static Declaration| {
            let (text, names) = (Ok(declaration.default?.to_owned()), &declaration.names);
            Some((names.key, Layered { text, origin: Origin::Default, names }))
        };
        let declarations = table.iter().map(|setting| setting.declaration());
        Self {
            table,
            values: declarations.filter_map(default).collect(),
            read_as: BTreeMap::new(),
            checked: BTreeSet::new(),
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
        let known = self.find(|names| is_same_name(names.file_key, &name));
        if let Some((declaration, names)) = known.filter(|_| foreign_section.is_none()) {
            let text = match value {
                RawValue::Text(text) => Ok(text),
                RawValue::Section(invalid) | RawValue::Invalid(invalid) => Err(invalid),
                RawValue::Empty => {
                    let reason = empty(declaration).to_owned();
                    Err(InvalidValue { shown: Vec::new(), reason })
                }
            };
            let origin = Origin::File { path: path.to_owned(), line };
            return self.put(declaration, names, text, origin);
        }
        let keys = self.table.iter().map(|setting| setting.declaration().names.file_key);
        let inside: Vec<_> = keys.filter_map(|key| name_inside(key, &name)).collect();
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
        let origin = format!("{}{}: ", path.display(), at(Some(line)));
        let (origin, hint) = if let Some(section) = section {
            (
                format!("{origin}[{section}] {name}"),
                Some("its section isn't read: only [DEFAULT] is, move it there".to_owned()),
            )
        } else {
            let nearest = nearest(self.table, name);
            let hint = nearest.map(|known| format!("did you mean {}?", known.file_key));
            (format!("{origin}{name}"), hint)
        };
        self.warnings.push(Warning::Unknown { origin, hint });
    }

    pub(super) fn layer_environment(
        &mut self,
        prefixes: &[&str],
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) {
        let mut seen = BTreeSet::new();
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            // Of a name that is there twice, the first one is what every program sees.
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some((declaration, names)) = self.find(|names| names.key == name) {
                self.put(declaration, names, utf8(&value), Origin::Environment);
                continue;
            }
            let value = value.to_string_lossy();
            self.warnings.extend(warning_of(self.table, prefixes, &name, &value));
        }
    }

    pub(super) fn layer_argument(&mut self, flag: &str, value: &str) {
        let Some((declaration, names)) = self.find(|names| names.flag == flag) else { return };
        let is_long = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_flag = matches!(value, "-h" | "-V") || value.strip_prefix("--").is_some_and(is_long);
        let text = if is_flag {
            let reason = format!("--{flag} has no value, another flag follows it");
            Err(InvalidValue { shown: value.as_bytes().to_vec(), reason })
        } else {
            Ok(value.to_owned())
        };
        self.put(declaration, names, text, Origin::CommandLine);
    }

    /// The setting that has, had or shares such a name, and its names with that one.
    fn find(
        &self,
        is_meant: impl Fn(&Names) -> bool,
    ) -> Option<(&'static Declaration, &'static Names)> {
        self.table.iter().find_map(|setting| {
            let declaration = setting.declaration();
            let Declaration { names, former, shared, .. } = declaration;
            let mut names = [Some(names), former.as_ref(), shared.as_ref()].into_iter();
            Some((declaration, names.find_map(|names| names.filter(|names| is_meant(names)))?))
        })
    }

    /// A layer's value. What is set by a former name or a shared one gives way to the present one in the
    /// same layer, whichever comes first; a former one is warned of.
    fn put(
        &mut self,
        declaration: &'static Declaration,
        names: &'static Names,
        text: Result<String, InvalidValue>,
        origin: Origin,
    ) {
        let text = text.and_then(without_controls);
        let layered = Layered { text, origin, names };
        let mut is_overridden = false;
        if *names != declaration.names {
            if declaration.shared != Some(*names) {
                self.warnings.push(renamed(declaration, &layered));
            }
            let before = self.values.get(declaration.names.key);
            is_overridden = before.is_some_and(|before| {
                let is_same = |one: &Origin, other| {
                    std::mem::discriminant(one) == std::mem::discriminant(other)
                };
                is_same(&before.origin, &layered.origin) && *before.names == declaration.names
            });
        }
        if !is_overridden {
            self.values.insert(declaration.names.key, layered);
        }
    }

    /// Whether the program is only to say what it would be run with.
    pub fn check_only(&self) -> bool {
        self.invocation.check_only
    }

    /// What the program is to do instead of its usual work; one inside another has both names, with a space
    /// between them.
    pub fn subcommand(&self) -> Option<&str> {
        self.invocation.subcommand.as_deref()
    }

    /// What that is to be done with; empty for a subcommand that takes no operands.
    pub fn operands(&self) -> &[OsString] {
        &self.invocation.operands
    }

    /// The value of an option of the subcommand, an empty one if it has none; `None` when it isn't there.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.invocation.options.iter().find(|(option, _)| *option == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What is likely wrong, in the order in which it was found.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The value as it was written; empty when it can't be shown as text. `None` when it is not set.
    pub fn raw(&self, declaration: &Declaration) -> Option<&str> {
        let bytes = self.values.get(declaration.names.key)?.bytes();
        Some(str::from_utf8(bytes).unwrap_or_default())
    }
}

impl Layered {
    /// The value's bytes as they were written.
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_ref().map_or_else(|invalid| &invalid.shown[..], String::as_bytes)
    }

    /// Where the value was set, and its name there.
    pub(super) fn name_at_origin(&self) -> String {
        let Names { key, file_key, flag } = self.names;
        match &self.origin {
            Origin::Default => format!("default of {key}"),
            Origin::File { path, line } => {
                format!("{}{}: {file_key}", path.display(), at(Some(*line)))
            }
            Origin::Environment => format!("environment variable {key}"),
            Origin::CommandLine => format!("command line: --{flag}"),
        }
    }
}

/// The warning of a value that was set by a former name.
fn renamed(declaration: &Declaration, layered: &Layered) -> Warning {
    let Names { key, file_key, flag } = declaration.names;
    let name = match layered.origin {
        Origin::File { .. } => file_key.to_owned(),
        Origin::CommandLine => format!("--{flag}"),
        Origin::Default | Origin::Environment => key.to_owned(),
    };
    let value = String::from_utf8_lossy(layered.bytes()).into_owned();
    Warning::Suspicious {
        origin: layered.name_at_origin(),
        value,
        reason: format!("it was renamed to {name}"),
    }
}

/// What is wrong with an empty value.
fn empty(declaration: &Declaration) -> &'static str {
    if declaration.default.is_none() {
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
