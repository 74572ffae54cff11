//! The command line that a program's table makes, and the layers that it and the rest add up to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::file::Contents;
use super::layers::{Invocation, Settings};
use super::setting::{Declaration, Names, Table};

/// What a program says of itself to be configured.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Name of the binary, and of the folder that its file may be in.
    pub name: &'static str,
    /// Version for `--version`.
    pub version: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Name of its file, looked for in the working directory and in `name/` below it.
    pub file_name: &'static str,
    /// How the names of its environment begin, first the usual beginning: one that begins so and is
    /// unknown is warned of.
    pub prefixes: &'static [&'static str],
    /// What can be set.
    pub table: Table,
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
    /// What its operands are, for `--help`: it takes one or more, or none as well where that is in
    /// brackets. `None` when it takes none.
    pub operands: Option<&'static str>,
    /// What it takes besides settings and operands.
    pub options: &'static [CommandOption],
    /// What it is divided into: one of these must be asked for then.
    pub commands: &'static [Subcommand],
}

/// An option of a subcommand that is no setting: it is of this one run.
#[derive(Debug, Clone, Copy)]
pub struct CommandOption {
    /// Its name on the command line, without the dashes.
    pub name: &'static str,
    /// What its value is, for `--help`; `None` when it has none.
    pub value: Option<&'static str>,
    /// One line for `--help`.
    pub about: &'static str,
}

const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check-config";
const OPERANDS: &str = "operands";

impl Program {
    /// The command line that the table makes.
    pub fn command(&self) -> Command {
        let own = [
            Arg::new(CONFIG).long(CONFIG).value_name("PATH").global(true).help(format!(
                "Configuration file [default: {0} or {1}/{0}, if it exists]",
                self.file_name, self.name
            )),
            Arg::new(CHECK_CONFIG)
                .long(CHECK_CONFIG)
                .action(ArgAction::SetTrue)
                .global(true)
                .help("Show every setting with its origin, and end"),
        ];
        Command::new(self.name)
            .version(self.version)
            .about(self.about)
            .after_help(self.after_help())
            .args(own)
            .args(self.declarations().flat_map(|declaration| self.arguments(declaration)))
            .subcommands(self.commands.iter().map(Subcommand::command))
    }

    fn after_help(&self) -> String {
        let file = self.file_name;
        let mut all = self.declarations().map(|declaration| &declaration.names);
        let example = all.find(|names| names.key == self.usual_key(names.flag)).map_or_else(
            String::new,
            |Names { key, flag, .. }| {
                format!("--{flag} is {key} in the environment, and so on, unless [env: NAME] says otherwise. ")
            },
        );
        format!(
            "A setting can be set in {file}, in the environment and on the command line; the later one \
             wins. {example}--check-config shows the names in {file}. Ranges, and what happens at each \
             limit: docs/configuration.md"
        )
    }

    /// The name in the environment that a flag has unless declared otherwise.
    fn usual_key(&self, flag: &str) -> String {
        format!("{}{}", self.prefixes[0], flag.to_uppercase().replace('-', "_"))
    }

    fn declarations(&self) -> impl Iterator<Item = &'static Declaration> {
        self.table.iter().map(|setting| setting.declaration())
    }

    /// A setting's flag, and a hidden one by the name that it had.
    fn arguments(&self, declaration: &'static Declaration) -> impl Iterator<Item = Arg> {
        let Declaration { names, former, default, unset, kind, zero, group, help, .. } =
            declaration;
        let usual = format!("{}{}", self.prefixes[0], names.flag.to_uppercase().replace('-', "_"));
        let env = if names.key == usual { String::new() } else { format!(" [env: {}]", names.key) };
        let default = match (default, zero) {
            (None, _) => format!(" [{}]", unset.unwrap_or("required")),
            (Some("0"), Some(meaning)) => format!(" [default: 0, {meaning}]"),
            (Some(text), _) => format!(" [default: {text}]"),
        };
        let present = argument(names)
            .value_name(kind.shape())
            .help_heading(*group)
            .help(format!("{help}{default}{env}"));
        // Who knows the name in the environment finds the flag too.
        let prefix = self.prefixes.iter().find_map(|prefix| names.key.strip_prefix(prefix));
        let alias = prefix.unwrap_or(names.key).to_ascii_lowercase().replace('_', "-");
        let present = if alias == names.flag { present } else { present.alias(alias) };
        let former = former.as_ref().map(|names| argument(names).hide(true));
        [Some(present), former].into_iter().flatten()
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
                ..asked_for(self.commands, matches)
            },
        );
        let path = matches.get_one::<String>(CONFIG).map(PathBuf::from);
        if let Some(path) = path.or_else(|| self.find_file()) {
            settings.layer_file(&path, self.read);
        }
        settings.layer_environment(self.prefixes, environment);
        let names = self.declarations().flat_map(|it| [Some(&it.names), it.former.as_ref()]);
        for flag in names.flatten().map(|names| names.flag) {
            if let Some(value) = matches.get_one::<String>(flag) {
                settings.layer_argument(flag, value);
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
            let (least, required) = if name.starts_with('[') { (0, false) } else { (1, true) };
            let name = name.trim_start_matches('[').trim_end_matches(']');
            Arg::new(OPERANDS)
                .value_name(name)
                .value_parser(any)
                .num_args(least..)
                .required(required)
        });
        Command::new(self.name)
            .about(self.about)
            .args(operands)
            .args(self.options.iter().map(CommandOption::argument))
            .subcommand_required(!self.commands.is_empty())
            .subcommands(self.commands.iter().map(Self::command))
    }
}

impl CommandOption {
    fn argument(&self) -> Arg {
        let argument = Arg::new(self.name).long(self.name).help(self.about);
        match self.value {
            Some(name) => argument.value_name(name),
            None => argument.action(ArgAction::SetTrue),
        }
    }

    /// Its value; an empty one for an option that has none.
    fn found(&self, matches: &ArgMatches) -> Option<String> {
        match self.value {
            Some(_) => matches.get_one::<String>(self.name).cloned(),
            None => matches.get_flag(self.name).then(String::new),
        }
    }
}

/// What a command line asks for: the names of the subcommand and of those that it is inside, and what
/// belongs to it.
fn asked_for(commands: &[Subcommand], matches: &ArgMatches) -> Invocation {
    let found = matches.subcommand().and_then(|(name, of_it)| {
        let command = commands.iter().find(|command| command.name == name)?;
        Some((command, of_it))
    });
    let Some((command, of_it)) = found else { return Invocation::default() };
    let inner = asked_for(command.commands, of_it);
    let subcommand = match inner.subcommand {
        None => {
            let options = command.options.iter();
            let options = options.filter_map(|option| Some((option.name, option.found(of_it)?)));
            return Invocation {
                subcommand: Some(command.name.to_owned()),
                operands: operands(of_it),
                options: options.collect(),
                ..Invocation::default()
            };
        }
        Some(inner) => Some(format!("{} {inner}", command.name)),
    };
    Invocation { subcommand, ..inner }
}

fn argument(names: &Names) -> Arg {
    Arg::new(names.flag).long(names.flag).global(true).allow_hyphen_values(true)
}

fn operands(matches: &ArgMatches) -> Vec<OsString> {
    let operands = matches.try_get_many(OPERANDS).ok().flatten();
    operands.into_iter().flatten().cloned().collect()
}
