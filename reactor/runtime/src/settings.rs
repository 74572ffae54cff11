//! Settings in layers: default, file, environment, command line; the later one wins.
//!
//! One table per program says what can be set. From it come the flags and `--help`, the keys of the
//! file, the names of the environment, and messages that name all of them.
//!
//! Knows neither file format nor meaning of any value: a program reads its file into
//! [`Contents`], and says of each setting what kind of value it has.
//!
//! | file | what it is for |
//! |---|---|
//! | `layers` | [`Settings`]: the layers on top of each other, and what is wrong with them |
//! | `file` | a file's bytes as text, and what a reader found in it |
//! | `characters` | characters in values that nobody means |
//! | `typed` | values of the kinds that programs have, taken out of them |
//! | `values` | what a value may be: numbers, spans, sizes, levels |
//! | `environment` | names in the environment that look like ours and aren't |
//! | `nearest` | the known name that an unknown one most resembles |
//! | `error` | what is wrong with a configuration |
//! | `warning` | what is likely wrong with it |
//! | `report` | `--check-config`, and warnings as log lines |

mod characters;
mod environment;
mod error;
mod file;
mod layers;
mod nearest;
mod report;
mod typed;
mod values;
mod warning;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

pub use error::{SettingError, SettingErrors};
pub use file::{Contents, Entry, FileError, InvalidValue, RawValue, line_at};
use layers::Invocation;
pub use layers::{Origin, Settings};
pub use report::{check, refuse};
pub use values::{
    SPAN_MAX, boolean, bytes, duration, large_bytes, level, number, text, write_size,
};
pub use warning::Warning;

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
    /// How the names of its environment begin: one that begins so and is unknown is warned of.
    pub prefixes: &'static [&'static str],
    /// What can be set.
    pub table: &'static [Setting],
    /// What it can do instead of its usual work.
    pub commands: &'static [Subcommand],
    /// Reads the file's text into names and values, and says what is wrong in it and where.
    pub read: fn(&str) -> Contents,
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
                .global(true)
                .help("Show every setting with its origin, and end"),
        ];
        let settings = self.table.iter().map(|setting| self.argument(setting));
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

    fn argument(&self, setting: &Setting) -> Arg {
        let default =
            setting.default.map_or_else(String::new, |text| format!(" [default: {text}]"));
        let argument = Arg::new(setting.flag)
            .long(setting.flag)
            .value_name(setting.key)
            .global(true)
            .allow_hyphen_values(true)
            .help(format!("{}: {}{default}", setting.help, setting.expected));
        // Who knows the name in the environment finds the flag too.
        let prefix = self.prefixes.iter().find_map(|prefix| setting.key.strip_prefix(prefix));
        let alias = prefix.unwrap_or(setting.key).to_ascii_lowercase().replace('_', "-");
        if alias == setting.flag { argument } else { argument.alias(alias) }
    }

    /// Reads all layers of this process. Ends it after `--help`, `--version` and on a command line
    /// that can't be understood (exit code 2).
    pub fn load(&self) -> Settings {
        let matches = self.command().get_matches();
        self.layer(&matches, std::env::vars_os())
    }

    /// The layers of a command line and an environment, with the file that they name.
    pub fn layer(
        &self,
        matches: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Settings {
        let mut settings = Settings::new(
            self.table,
            Invocation {
                check_only: matches.get_flag(CHECK_CONFIG),
                subcommand: matches.subcommand_name().map(str::to_owned),
                operands: matches.subcommand().map_or_else(Vec::new, |(_, of_it)| operands(of_it)),
            },
        );
        let named = matches.get_one::<String>(CONFIG).map(PathBuf::from);
        if let Some(path) = named.or_else(|| self.find_file()) {
            settings.layer_file(&path, self.read);
        }
        settings.layer_environment(self.prefixes, environment);
        for setting in self.table {
            if let Some(value) = matches.get_one::<String>(setting.flag) {
                settings.layer_argument(setting, value);
            }
        }
        settings
    }

    /// A name that is there in any way is taken: what can't be read there is an error, not a reason
    /// to go on with the defaults.
    fn find_file(&self) -> Option<PathBuf> {
        let beside = PathBuf::from(self.file_name);
        let below = Path::new(self.name).join(self.file_name);
        let missing = |path: &Path| {
            use std::io::ErrorKind::{NotADirectory, NotFound};
            let found = path.symlink_metadata();
            found.is_err_and(|error| matches!(error.kind(), NotFound | NotADirectory))
        };
        [beside, below].into_iter().find(|path| !missing(path))
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

#[cfg(test)]
mod tests;
