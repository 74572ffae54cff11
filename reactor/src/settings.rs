//! Settings in layers: default, file, environment, command line; the later one wins.
//!
//! One table per program says what can be set. From it come the flags and `--help`, the keys of the
//! file, the names of the environment, and messages that name all of them. It stands here because
//! both programs are run the same way and must not know each other.
//!
//! Knows neither file format nor meaning of any value: a program reads its file into a map, and
//! gives a parser for each value.
//!
//! | file | what it is for |
//! |---|---|
//! | `values` | what a value may be: numbers, spans, sizes, levels |
//! | `error` | what is wrong with a configuration |

mod error;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::regular_file::{self, OpenError};

pub use error::{SettingError, SettingErrors};
pub use values::{boolean, bytes, duration, large_bytes, level, number, text};

/// One thing that can be set.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the environment.
    pub key: &'static str,
    /// Its name in the file.
    pub file_key: &'static str,
    /// Its name on the command line, without the dashes.
    pub flag: &'static str,
    /// What it is when nobody sets it; `None` when somebody must, or when it may be absent.
    pub default: Option<&'static str>,
    /// What a value must be, for messages and help: "a TCP port, 0 to 65535".
    pub expected: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// The file.
    File(PathBuf),
    /// The environment.
    Environment,
    /// The command line.
    CommandLine,
}

/// What a program says of itself to be configured.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Name of the binary, and of the folder that its file may stand in.
    pub name: &'static str,
    /// Version for `--version`.
    pub version: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Name of its file, looked for in the working directory and in `name/` below it.
    pub file_name: &'static str,
    /// What can be set.
    pub table: &'static [Setting],
    /// What it can do instead of its usual work.
    pub commands: &'static [Subcommand],
    /// Reads the file's text into names and values; says what is wrong and where otherwise.
    pub read: fn(&str) -> Result<BTreeMap<String, String>, String>,
}

/// What a program can do instead of its usual work.
#[derive(Debug, Clone, Copy)]
pub struct Subcommand {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// What its operands are, for `--help`: it takes one or more. `None` when it takes none.
    pub operands: Option<&'static str>,
}

/// The layers, put on top of each other.
#[derive(Debug)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
    errors: Vec<SettingError>,
    check_only: bool,
    subcommand: Option<String>,
    operands: Vec<OsString>,
    unknown: Vec<String>,
}

const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check-config";
const OPERANDS: &str = "operands";

impl Program {
    /// The command line that the table makes.
    pub fn command(&self) -> Command {
        let own = [
            Arg::new(CONFIG).long(CONFIG).value_name("PATH").global(true).help(format!(
                "Configuration file [default: {0}, else {1}/{0}, if it exists]",
                self.file_name, self.name
            )),
            Arg::new(CHECK_CONFIG)
                .long(CHECK_CONFIG)
                .action(ArgAction::SetTrue)
                .help("Show every setting with its origin, and end"),
        ];
        let settings = self.table.iter().map(|setting| {
            let default =
                setting.default.map_or_else(String::new, |text| format!(" [default: {text}]"));
            Arg::new(setting.flag)
                .long(setting.flag)
                .value_name(setting.key)
                .global(true)
                .allow_hyphen_values(true)
                .help(format!("{}: {}{default}", setting.help, setting.expected))
        });
        Command::new(self.name)
            .version(self.version)
            .about(self.about)
            .after_help(
                "Every setting can stand in the configuration file, in the environment (under the \
                 name shown as its value) and on the command line; the later one wins.",
            )
            .args(own)
            .args(settings)
            .subcommands(self.commands.iter().map(Subcommand::command))
    }

    /// Reads all layers of this process. Ends it after `--help`, `--version` and on a command line
    /// that can't be understood (exit code 2).
    pub fn load(&self) -> Settings {
        let matches = self.command().get_matches();
        self.layer(&matches, |key| std::env::var_os(key))
    }

    /// The layers of a command line and an environment, with the file that they name.
    pub fn layer(
        &self,
        matches: &ArgMatches,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Settings {
        let mut settings = Settings {
            values: BTreeMap::new(),
            errors: Vec::new(),
            check_only: matches.get_flag(CHECK_CONFIG),
            subcommand: matches.subcommand_name().map(str::to_owned),
            operands: matches.subcommand().map_or_else(Vec::new, |(_, of_it)| operands(of_it)),
            unknown: Vec::new(),
        };
        for setting in self.table {
            if let Some(default) = setting.default {
                settings.put(setting, default.to_owned(), Origin::Default);
            }
        }
        let named = matches.get_one::<String>(CONFIG).map(PathBuf::from);
        if let Some(path) = named.or_else(|| self.find_file()) {
            self.layer_file(&mut settings, &path);
        }
        for setting in self.table {
            if let Some(value) = environment(setting.key) {
                // What isn't UTF-8 becomes U+FFFD, which no parser takes.
                let value = value.to_string_lossy().into_owned();
                settings.put(setting, value, Origin::Environment);
            }
            if let Some(value) = matches.get_one::<String>(setting.flag) {
                settings.put(setting, value.clone(), Origin::CommandLine);
            }
        }
        settings
    }

    fn find_file(&self) -> Option<PathBuf> {
        let beside = PathBuf::from(self.file_name);
        let below = Path::new(self.name).join(self.file_name);
        [beside, below].into_iter().find(|path| path.exists())
    }

    fn layer_file(&self, settings: &mut Settings, path: &Path) {
        let text = read_file(path).map_err(|error| format!("can't read it: {error}"));
        let values = match text.and_then(|text| (self.read)(&text)) {
            Ok(values) => values,
            Err(reason) => {
                let path = path.to_owned();
                return settings.errors.push(SettingError::File { path, reason });
            }
        };
        for (name, value) in values {
            match self.table.iter().find(|setting| setting.file_key == name) {
                Some(setting) => settings.put(setting, value, Origin::File(path.to_owned())),
                None => settings.unknown.push(format!("{}: {name}", path.display())),
            }
        }
    }
}

impl Subcommand {
    fn command(&self) -> Command {
        let operands = self.operands.map(|name| {
            let any = clap::value_parser!(OsString);
            Arg::new(OPERANDS).value_name(name).value_parser(any).num_args(1..).required(true)
        });
        Command::new(self.name).about(self.about).args(operands)
    }
}

fn operands(matches: &ArgMatches) -> Vec<OsString> {
    let operands = matches.try_get_many(OPERANDS).ok().flatten();
    operands.into_iter().flatten().cloned().collect()
}

fn read_file(path: &Path) -> Result<String, OpenError> {
    let mut text = String::new();
    regular_file::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

impl Settings {
    fn put(&mut self, setting: &Setting, value: String, origin: Origin) {
        self.values.insert(setting.key, (value, origin));
    }

    /// Whether the program is only to say what it would be run with.
    pub fn check_only(&self) -> bool {
        self.check_only
    }

    /// What the program is to do instead of its usual work.
    pub fn subcommand(&self) -> Option<&str> {
        self.subcommand.as_deref()
    }

    /// What that is to be done with; empty for a subcommand that takes no operands.
    pub fn operands(&self) -> &[OsString] {
        &self.operands
    }

    /// Names in the file that mean nothing, each with its file.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The value as it was written, and where.
    pub fn raw(&self, setting: &Setting) -> Option<(&str, &Origin)> {
        self.values.get(setting.key).map(|(value, origin)| (value.as_str(), origin))
    }

    /// The value of a setting that must have one. `None` is remembered as an error.
    pub fn require<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if !self.values.contains_key(setting.key) {
            self.errors.push(SettingError::Missing {
                key: setting.key,
                file_key: setting.file_key,
                flag: setting.flag,
                expected: setting.expected,
            });
        }
        self.optional(setting, parse)
    }

    /// The value of a setting that may be absent. One that can't be parsed is remembered as an error.
    pub fn optional<T>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (value, _) = self.values.get(setting.key)?;
        let parsed = parse(value);
        if parsed.is_none() {
            self.reject(setting, setting.expected);
        }
        parsed
    }

    /// Remembers that a setting's value can't be used together with others.
    pub fn reject(&mut self, setting: &Setting, expected: &str) {
        let Some((value, origin)) = self.values.get(setting.key) else { return };
        let place = match origin {
            Origin::Default => format!("default of {}", setting.key),
            Origin::File(path) => format!("{}: {}", path.display(), setting.file_key),
            Origin::Environment => format!("environment variable {}", setting.key),
            Origin::CommandLine => format!("command line: --{}", setting.flag),
        };
        let (value, expected) = (value.clone(), expected.to_owned());
        self.errors.push(SettingError::Invalid { place, value, expected });
    }

    /// What was made of the values, or everything that is wrong with them.
    ///
    /// # Errors
    /// All errors remembered, together.
    ///
    /// # Panics
    /// When there is neither: `value` is only missing when some value was.
    pub fn finish<T>(&mut self, value: Option<T>) -> Result<T, SettingErrors> {
        if self.errors.is_empty() {
            return Ok(value.expect("a value is missing only together with an error"));
        }
        Err(SettingErrors(std::mem::take(&mut self.errors)))
    }

    /// Every setting of the table with its value and origin, one a line, for `--check-config`.
    pub fn describe(&self, table: &[Setting]) -> String {
        let mut text = String::new();
        for setting in table {
            let (value, origin) = match self.raw(setting) {
                None => ("", "not set".to_owned()),
                Some((value, Origin::Default)) => (value, "default".to_owned()),
                Some((value, Origin::File(path))) => (value, path.display().to_string()),
                Some((value, Origin::Environment)) => (value, "environment".to_owned()),
                Some((value, Origin::CommandLine)) => (value, "command line".to_owned()),
            };
            let name = setting.file_key;
            writeln!(text, "{name} = {value}    ({origin})").expect("a String takes everything");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Setting = Setting {
        key: "X_PORT",
        file_key: "port",
        flag: "port",
        default: Some("1"),
        expected: "a port",
        help: "Port",
    };
    const NAME: Setting = Setting {
        key: "X_NAME",
        file_key: "the.name",
        flag: "name",
        default: None,
        expected: "a name",
        help: "Name",
    };
    static TABLE: [Setting; 2] = [PORT, NAME];

    fn read(text: &str) -> Result<BTreeMap<String, String>, String> {
        let pair = |line: &str| {
            let (name, value) = line.split_once('=').ok_or("no equals sign")?;
            Ok((name.to_owned(), value.to_owned()))
        };
        text.lines().map(pair).collect()
    }

    const PROGRAM: Program = Program {
        name: "x",
        version: "1",
        about: "about",
        file_name: "no-such-file",
        table: &TABLE,
        commands: &[
            Subcommand { name: "look", about: "Look around", operands: None },
            Subcommand { name: "read", about: "Read files", operands: Some("FILE") },
        ],
        read,
    };

    fn settings(arguments: &[&str], environment: &[(&str, &str)]) -> Settings {
        let arguments = [&["x"], arguments].concat();
        let matches = PROGRAM.command().try_get_matches_from(arguments).unwrap();
        PROGRAM.layer(&matches, |key| {
            let found = environment.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_later_layer_wins() {
        let file = file("port=2\n");
        let config = ["--config", file.path().to_str().unwrap()];
        let port = |arguments: &[&str], environment: &[(&str, &str)]| {
            settings(arguments, environment).require(&TABLE[0], |text| number::<u16>(text, ..))
        };
        assert_eq!(port(&[], &[]), Some(1));
        assert_eq!(port(&config, &[]), Some(2));
        assert_eq!(port(&config, &[("X_PORT", "3")]), Some(3));
        let all = [&config[..], &["--port", "4"]].concat();
        assert_eq!(port(&all, &[("X_PORT", "3")]), Some(4));
    }

    #[test]
    fn errors_name_place_key_value_and_what_was_expected_all_at_once() {
        let file = file("port=abc\nnonsense=1\n");
        let path = file.path().to_str().unwrap();
        let mut found = settings(&["--config", path], &[]);
        found.require(&TABLE[0], |text| number::<u16>(text, ..));
        found.require(&TABLE[1], text);
        assert_eq!(found.unknown(), [format!("{path}: nonsense")]);
        assert_eq!(
            found.finish::<()>(None).unwrap_err().to_string(),
            format!(
                "error: {path}: port = \"abc\": expected a port\n\
                 error: X_NAME is not set: expected a name, as the.name in the file, environment \
                 variable X_NAME or --name\n"
            )
        );
        let mut found = settings(&["--port", "-1"], &[]);
        found.require(&TABLE[0], |text| number::<u16>(text, ..));
        let text = found.finish::<()>(None).unwrap_err().to_string();
        assert_eq!(text, "error: command line: --port = \"-1\": expected a port\n");
    }

    #[test]
    fn a_subcommand_has_the_same_settings() {
        assert_eq!(settings(&[], &[]).subcommand(), None);
        for arguments in [&["look", "--port", "7"], &["--port", "7", "look"][..]] {
            let mut found = settings(arguments, &[]);
            assert_eq!(found.subcommand(), Some("look"));
            assert_eq!(found.require(&TABLE[0], |text| number::<u16>(text, ..)), Some(7));
        }
    }

    #[test]
    fn a_subcommand_that_takes_operands_takes_any_number_but_none() {
        let found = settings(&["read", "a b", "--port", "7", "c"], &[]);
        assert_eq!(
            (found.subcommand(), found.operands()),
            (Some("read"), &["a b", "c"].map(Into::into)[..])
        );
        assert!(settings(&["look"], &[]).operands().is_empty());
        for bad in [&["x", "read"][..], &["x", "look", "a"], &["x", "a"]] {
            assert!(PROGRAM.command().try_get_matches_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_named_file_must_be_readable() {
        let mut found = settings(&["--config", "/no/such/file"], &[]);
        let text = found.finish::<()>(None).unwrap_err().to_string();
        assert!(text.starts_with("error: /no/such/file: can't read it: "), "{text}");
        let bad = file("no separator");
        let mut found = settings(&["--config", bad.path().to_str().unwrap()], &[]);
        assert!(found.finish::<()>(None).unwrap_err().to_string().ends_with(": no equals sign\n"));
    }
}
