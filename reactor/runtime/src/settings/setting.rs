//! A setting, declared once: its names, its default, its kind, and what people read about it.
//!
//! A program declares each as a constant of its own with [`settings!`](crate::settings!), which makes
//! the table of all of them too. From the table come flags and `--help`, the keys of the file, the
//! names of the environment, `--check-config`, messages, and the tables of the documentation; from the
//! constant comes the typed value.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use log::LevelFilter;

use super::kind::{Kind, Value};
use super::values::DURATION_MAX;

/// What a setting is called, in each place where it can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// In the environment.
    pub key: &'static str,
    /// In the file.
    pub file_key: &'static str,
    /// On the command line, without the dashes.
    pub flag: &'static str,
}

/// A limit, as its operator knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What happens when it is reached.
    pub reached: &'static str,
    /// Why it is there.
    pub reason: &'static str,
}

/// All of a setting but the type of its value.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// What it is called.
    pub names: Names,
    /// What it was called before. These names are still read, with a warning.
    pub former: Option<Names>,
    /// Its names with one in the environment that it shares with settings of other programs, which gives
    /// way to its own there.
    pub shared: Option<Names>,
    /// Its value when it isn't set; `None` when it has none then.
    pub default: Option<&'static str>,
    /// When it is needed, or what it means that it isn't set; `None` when it has a default or must be set.
    pub unset: Option<&'static str>,
    /// Of what kind its values are.
    pub kind: Kind,
    /// What zero means, when that isn't just a small value: `no limit`.
    pub zero: Option<&'static str>,
    /// The heading that it is listed under.
    pub group: &'static str,
    /// What it is for, in one line.
    pub help: &'static str,
    /// What only the documentation has room for; may be empty.
    pub details: &'static str,
    /// What happens at it, when it is a limit.
    pub limit: Option<Limit>,
    hint: Option<fn(&str) -> String>,
}

impl Declaration {
    /// What a value must be, for messages.
    pub fn expected(&self) -> String {
        format!("{}{}", self.kind.expected(), self.zero_note())
    }

    /// The same for a column of a table.
    pub fn range(&self) -> String {
        format!("{}{}", self.kind.range(), self.zero_note())
    }

    /// What a value that is missing must be.
    pub(super) fn missing(&self) -> String {
        let when = self.unset.map_or_else(String::new, |when| format!(", {when}"));
        format!("{}{when}", self.expected())
    }

    fn zero_note(&self) -> String {
        self.zero.map_or_else(String::new, |meaning| format!(" (0: {meaning})"))
    }

    /// What is probably wrong with a text that isn't taken; empty if nothing can be said.
    pub(super) fn hint(&self, text: &str) -> String {
        self.hint.map_or_else(|| self.kind.hint(text), |hint| hint(text))
    }
}

/// A setting whose values are read as a `T`.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    declaration: Declaration,
    convert: Convert<T>,
}

#[derive(Debug)]
enum Convert<T: 'static> {
    /// From the value that the kind has understood.
    Value(fn(Value) -> Option<T>),
    /// From the text of a kind that understands none.
    Text(fn(&str) -> Option<T>),
}

/// A setting of any type, in a table.
pub trait Declared: fmt::Debug + Sync {
    /// What is declared of it.
    fn declaration(&self) -> &Declaration;

    /// Whether it takes a text as its value.
    fn accepts(&self, text: &str) -> bool;
}

/// All settings of a program, in the order in which they are shown.
pub type Table = &'static [&'static dyn Declared];

impl<T: fmt::Debug> Declared for Setting<T> {
    fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    fn accepts(&self, text: &str) -> bool {
        self.parse(text).is_some()
    }
}

impl<T> Setting<T> {
    /// The value that a text means.
    pub(super) fn parse(&self, text: &str) -> Option<T> {
        let value = self.declaration.kind.parse(text)?;
        match (&self.convert, value) {
            (Convert::Value(convert), value) => convert(value),
            (Convert::Text(parse), Value::Text(text)) => parse(&text),
            (Convert::Text(_), _) => None,
        }
    }
}

impl Names {
    /// Names in all three places.
    pub const fn new(key: &'static str, file_key: &'static str, flag: &'static str) -> Self {
        Self { key, file_key, flag }
    }

    /// A whole number in a range, which must be one of `T`.
    pub const fn number<T: TryFrom<u64>>(self, range: RangeInclusive<u64>) -> Setting<T> {
        let kind = Kind::Number { noun: "a number", min: *range.start(), max: *range.end() };
        let convert = Convert::Value(|value| match value {
            Value::Number(number) => T::try_from(number).ok(),
            _ => None,
        });
        self.of(kind, convert)
    }

    /// A number of bytes in a range, which must be one of `T`.
    pub const fn size<T: TryFrom<u64>>(self, range: RangeInclusive<u64>) -> Setting<T> {
        let kind = Kind::Size { min: *range.start(), max: *range.end() };
        let convert = Convert::Value(|value| match value {
            Value::Size(bytes) => T::try_from(bytes).ok(),
            _ => None,
        });
        self.of(kind, convert)
    }

    /// A duration in a range.
    pub const fn duration(self, range: RangeInclusive<Duration>) -> Setting<Duration> {
        let (min, max) = (*range.start(), *range.end());
        let convert = Convert::Value(|value| match value {
            Value::Duration(duration) => Some(duration),
            _ => None,
        });
        self.of(Kind::Duration { min, max, whole_seconds: false }, convert)
    }

    /// A duration of which zero is none at all: it is read as `None`, and means `zero`.
    pub const fn duration_or_none(self, zero: &'static str) -> Setting<Option<Duration>> {
        let (min, max) = (Duration::ZERO, DURATION_MAX);
        let convert = Convert::Value(|value| match value {
            Value::Duration(duration) => Some((!duration.is_zero()).then_some(duration)),
            _ => None,
        });
        self.of(Kind::Duration { min, max, whole_seconds: false }, convert).zero(zero)
    }

    /// One of two words, which messages name as `expected`; other pairs that mean the same are taken too.
    pub const fn boolean(self, expected: &'static str) -> Setting<bool> {
        let convert = Convert::Value(|value| match value {
            Value::Boolean(is_set) => Some(is_set),
            _ => None,
        });
        self.of(Kind::Boolean { expected }, convert)
    }

    /// A log level.
    pub const fn level(self) -> Setting<LevelFilter> {
        let convert = Convert::Value(|value| match value {
            Value::Level(level) => Some(level),
            _ => None,
        });
        self.of(Kind::Level, convert)
    }

    /// A text taken as it is: a path, a name. One with quotation marks or with blanks around it is
    /// warned of.
    pub const fn text<T>(
        self,
        shape: &'static str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Setting<T> {
        self.of(Kind::Text { shape, expected }, Convert::Text(parse))
    }

    /// A value of a kind that only its program knows.
    pub const fn parsed<T>(
        self,
        shape: &'static str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Setting<T> {
        self.of(Kind::Other { shape, expected }, Convert::Text(parse))
    }

    const fn of<T>(self, kind: Kind, convert: Convert<T>) -> Setting<T> {
        let declaration = Declaration {
            names: self,
            former: None,
            shared: None,
            default: None,
            unset: None,
            kind,
            zero: None,
            group: "",
            help: "",
            details: "",
            limit: None,
            hint: None,
        };
        Setting { declaration, convert }
    }
}

impl<T> Setting<T> {
    /// The value when it isn't set, as it would be written.
    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        self.declaration.default = Some(text);
        self
    }

    /// It has no default and needn't be set: when it is needed, as `needed with TLS`, or what it means
    /// that it isn't set, as `none`.
    #[must_use]
    pub const fn unset(mut self, meaning: &'static str) -> Self {
        self.declaration.unset = Some(meaning);
        self
    }

    /// What it is for, in one line.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.declaration.help = help;
        self
    }

    /// What only the documentation has room for.
    #[must_use]
    pub const fn details(mut self, details: &'static str) -> Self {
        self.declaration.details = details;
        self
    }

    /// It is a limit: what happens when it is reached, and why it is there.
    #[must_use]
    pub const fn limit(mut self, reached: &'static str, reason: &'static str) -> Self {
        self.declaration.limit = Some(Limit { reached, reason });
        self
    }

    /// What zero means.
    #[must_use]
    pub const fn zero(mut self, meaning: &'static str) -> Self {
        self.declaration.zero = Some(meaning);
        self
    }

    /// What a number is a number of, instead of `a number`.
    #[must_use]
    pub const fn noun(mut self, noun: &'static str) -> Self {
        if let Kind::Number { min, max, .. } = self.declaration.kind {
            self.declaration.kind = Kind::Number { noun, min, max };
        }
        self
    }

    /// Of a duration: parts of a second are refused.
    #[must_use]
    pub const fn whole_seconds(mut self) -> Self {
        if let Kind::Duration { min, max, .. } = self.declaration.kind {
            self.declaration.kind = Kind::Duration { min, max, whole_seconds: true };
        }
        self
    }

    /// A guess of its own at what is wrong with a text that isn't taken; empty when it has none.
    #[must_use]
    pub const fn hint(mut self, hint: fn(&str) -> String) -> Self {
        self.declaration.hint = Some(hint);
        self
    }

    /// What it was called before.
    #[must_use]
    pub const fn formerly(mut self, names: Names) -> Self {
        self.declaration.former = Some(names);
        self
    }

    /// A name in the environment that it shares with settings of other programs: it is read where its own
    /// isn't set there.
    #[must_use]
    pub const fn shared_as(mut self, key: &'static str) -> Self {
        self.declaration.shared = Some(Names { key, ..self.declaration.names });
        self
    }

    /// The heading that it is listed under.
    #[must_use]
    pub const fn group(mut self, heading: &'static str) -> Self {
        self.declaration.group = heading;
        self
    }
}

/// Declares settings, each as a constant, and the table of all of them.
///
/// ```
/// use runtime::settings::{Names, Setting, Table};
///
/// runtime::settings! {
///     /// All settings of a clock.
///     pub static CLOCK;
///
///     "Network" {
///         PORT: u16 = Names::new("CLOCK_PORT", "port", "port")
///             .number(1..=65_535)
///             .default("37")
///             .help("Port to listen at");
///     }
/// }
///
/// assert_eq!(CLOCK[0].declaration().expected(), "a number, 1 to 65535");
/// assert_eq!(CLOCK[0].declaration().group, "Network");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$attribute:meta])* $visibility:vis static $table:ident;
        $($group:tt { $($name:ident: $type:ty = $setting:expr;)* })*
    ) => {
        $($(
            pub(crate) static $name: $crate::settings::Setting<$type> = $setting.group($group);
        )*)*
        $(#[$attribute])*
        $visibility static $table: $crate::settings::Table = &[$($(&$name),*),*];
    };
}
