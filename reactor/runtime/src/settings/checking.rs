//! Typed values out of the layers, and all that is wrong with them.
//!
//! What can't be used is remembered, and returned all at once by [`read`](Settings::read). A file that
//! can't be read or parsed may have held anything: what is only wrong without it isn't an error then.

use super::characters::{INVISIBLE, doubt, has_invisible, is_quoted};
use super::environment::is_url;
use super::error::{SettingError, SettingErrors};
use super::file::InvalidValue;
use super::kind::Kind;
use super::layers::{Layered, Origin, Settings};
use super::setting::{Declaration, Declared, Setting};
use super::warning::Warning;
use crate::logging::Escaped;

impl Settings {
    /// Checks the settings of `asked`, and returns what `take` makes of their values. It is called even
    /// if one of them is wrong: it may find that others contradict each other. Settings that needn't be
    /// set are left to `take`, which knows when they are needed.
    ///
    /// # Errors
    /// All that is wrong, together.
    ///
    /// # Panics
    /// If `take` returns `None` and there is no error.
    pub fn read<T>(
        &mut self,
        asked: impl IntoIterator<Item = &'static &'static dyn Declared>,
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, SettingErrors> {
        for setting in asked {
            if setting.declaration().unset.is_none() {
                self.check(*setting);
            }
        }
        let value = take(self);
        self.check_texts();
        let mut errors = std::mem::take(&mut self.errors);
        if self.file_is_unclear {
            errors.retain(|error| !matches!(error, SettingError::Missing { .. }));
        }
        if errors.is_empty() {
            return Ok(value.expect("a value is missing only together with an error"));
        }
        Err(SettingErrors(errors))
    }

    /// A setting's value; `None` when it has none or a wrong one, which is then remembered.
    pub fn get<T: std::fmt::Debug>(&mut self, setting: &'static Setting<T>) -> Option<T> {
        self.check(setting);
        let value = self.values.get(setting.declaration().names.key)?;
        setting.parse(value.text.as_ref().ok()?)
    }

    /// The value of a setting that may be left out; `None` also when it has a wrong one, which is then
    /// remembered.
    pub fn get_if_set<T: std::fmt::Debug>(&mut self, setting: &'static Setting<T>) -> Option<T> {
        if self.is_set(setting) { self.get(setting) } else { None }
    }

    /// Whether it has a value: the default, or any other.
    pub fn is_set(&self, setting: &dyn Declared) -> bool {
        self.values.contains_key(setting.declaration().names.key)
    }

    /// Remembers that a value, if there is one, is most likely not as it was meant.
    pub fn doubt(&mut self, setting: &dyn Declared, reason: &str) {
        let Some(value) = self.values.get(setting.declaration().names.key) else { return };
        let (origin, value) = (value.name_at_origin(), String::from_utf8_lossy(value.bytes()));
        let (value, reason) = (value.into_owned(), reason.to_owned());
        self.warnings.push(Warning::Suspicious { origin, value, reason });
    }

    /// Remembers that a value contradicts another one: it must be `relation`, as `less than`, the other.
    pub fn reject(&mut self, setting: &dyn Declared, relation: &str, other: &dyn Declared) {
        if !self.file_is_unclear {
            let expected = format!("{relation} {}", other.declaration().names.key);
            self.invalid(setting.declaration(), expected, String::new());
        }
    }

    /// Whether the value is the default.
    pub fn is_default(&self, setting: &dyn Declared) -> bool {
        let value = self.values.get(setting.declaration().names.key);
        value.is_none_or(|value| value.origin == Origin::Default)
    }

    /// Remembers what was made of a value, for `--check-config`, where that is more than reading it.
    pub fn read_as(&mut self, setting: &dyn Declared, text: String) {
        self.read_as.insert(setting.declaration().names.key, text);
    }

    /// A value in which `placeholder`, as `{draw}`, stands for what another setting says. `None` where it
    /// stands in it and the other says nothing, which is then remembered as wrong.
    pub fn fill(
        &mut self,
        setting: &dyn Declared,
        text: &str,
        placeholder: &str,
        said: Option<&str>,
        other: &dyn Declared,
    ) -> Option<String> {
        if !text.contains(placeholder) {
            return Some(text.to_owned());
        }
        let Some(said) = said else {
            self.reject(setting, &format!("a value without {placeholder}, or one in"), other);
            return None;
        };
        let text = text.replace(placeholder, said);
        self.read_as(setting, text.clone());
        Some(text)
    }

    /// Looks at a setting, and remembers what is wrong with it or likely is.
    fn check(&mut self, setting: &'static dyn Declared) {
        let declaration = setting.declaration();
        let key = declaration.names.key;
        if !self.checked.insert(key) {
            return;
        }
        let Some(value) = self.values.get(key) else {
            self.wrong.insert(key);
            let expected = declaration.missing();
            self.errors.push(SettingError::Missing { names: declaration.names, expected });
            return;
        };
        match &value.text {
            Ok(text) if setting.accepts(text) => {
                let canonical = declaration.kind.canonical(text);
                self.warnings.extend(warning_of(declaration, value, text));
                self.read_as.extend(canonical.map(|text| (key, text)));
            }
            Ok(text) => {
                let hint = Some(declaration.hint(text)).filter(|hint| !hint.is_empty());
                let hint = hint.or_else(|| general_hint(&value.origin, text).map(str::to_owned));
                self.invalid(declaration, declaration.expected(), hint.unwrap_or_default());
            }
            Err(InvalidValue { reason, .. }) => {
                let reason = reason.clone();
                self.invalid(declaration, declaration.expected(), reason);
            }
        }
    }

    /// Remembers every value that is no text, also of settings that weren't asked for.
    fn check_texts(&mut self) {
        for declaration in self.table.iter().map(|setting| setting.declaration()) {
            let value = self.values.get(declaration.names.key);
            if let Some(Layered { text: Err(InvalidValue { reason, .. }), .. }) = value {
                let reason = reason.clone();
                self.invalid(declaration, declaration.expected(), reason);
            }
        }
    }

    fn invalid(&mut self, declaration: &Declaration, expected: String, hint: String) {
        let key = declaration.names.key;
        let Some(value) = self.values.get(key).filter(|_| self.wrong.insert(key)) else { return };
        let (origin, value) = (value.name_at_origin(), Escaped(value.bytes()).to_string());
        self.errors.push(SettingError::Invalid { origin, value, expected, hint });
    }
}

/// What is likely wrong with a text that is taken as it is.
fn warning_of(declaration: &Declaration, value: &Layered, text: &str) -> Option<Warning> {
    let reason = doubt(text).filter(|_| matches!(declaration.kind, Kind::Text { .. }))?;
    let (origin, value) = (value.name_at_origin(), text.to_owned());
    Some(Warning::Suspicious { origin, value, reason: reason.to_owned() })
}

/// What is probably wrong with a value of whatever kind.
fn general_hint(origin: &Origin, text: &str) -> Option<&'static str> {
    let comment = [" ;", " #", "\t;", "\t#"].iter().any(|begin| text.contains(begin));
    let hint = match origin {
        _ if text.is_empty() => "an empty value isn't the default, leave the setting out for it",
        _ if has_invisible(text) => INVISIBLE,
        _ if is_quoted(text) => "its quotation marks are part of it",
        Origin::File { .. } if comment => "a comment needs a line of its own",
        Origin::Environment if is_url(text) => {
            "looks like a service's own variable: Kubernetes sets none with enableServiceLinks: false"
        }
        _ => return None,
    };
    Some(hint)
}
