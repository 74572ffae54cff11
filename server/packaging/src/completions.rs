//! Completions of the installed programs, for bash, zsh and fish.
//!
//! They are files that a shell reads, made once: nothing is asked of a program while somebody types.

use std::path::PathBuf;

use clap::{Command, ValueHint};
use clap_complete::{Shell, generate};
use runtime::settings::Declaration;

use crate::installed::{CLIENT, Installed, PKI, SERVER, pki_command};

/// Shapes of values that are paths.
const PATHS: [&str; 2] = ["PATH", "FILE"];

/// All files: their paths, with the shell's folder, and their texts.
pub fn all() -> Vec<(PathBuf, Vec<u8>)> {
    let commands = [SERVER, CLIENT].map(|installed| (installed.name, command(&installed)));
    let commands = commands.into_iter().chain([(PKI, pki_command())]);
    commands.flat_map(|(name, command)| of(name, &command)).collect()
}

/// In each shell, as that finds it by the program's name.
fn of(name: &str, command: &Command) -> [(PathBuf, Vec<u8>); 3] {
    let path = |folder: &str, file: String| PathBuf::from(folder).join(file);
    [
        (Shell::Bash, path("bash", name.to_owned())),
        (Shell::Zsh, path("zsh", format!("_{name}"))),
        (Shell::Fish, path("fish", format!("{name}.fish"))),
    ]
    .map(|(shell, path)| {
        let mut text = Vec::new();
        generate(shell, &mut command.clone(), name, &mut text);
        (path, text)
    })
}

/// The command line, with what a shell can know of values. The program itself reads them as texts,
/// from wherever they come, and says more of a wrong one than a command line can.
fn command(installed: &Installed) -> Command {
    let declarations = installed.program.table.iter().map(|setting| setting.declaration());
    declarations.fold(installed.command(), with_values)
}

fn with_values(command: Command, declaration: &Declaration) -> Command {
    let shape = declaration.kind.shape();
    command.mut_arg(declaration.names.flag, |arg| {
        if PATHS.contains(&shape.as_str()) {
            return arg.value_hint(ValueHint::FilePath);
        }
        if !shape.contains('|') {
            return arg;
        }
        arg.value_parser(shape.split('|').map(str::to_owned).collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_has_a_file_for_each_shell_with_all_its_flags() {
        let files = all();
        assert_eq!(files.len(), 9);
        for installed in [SERVER, CLIENT] {
            let named = |(path, _): &&(PathBuf, Vec<u8>)| {
                path.file_name().is_some_and(|name| {
                    name.to_string_lossy().trim_start_matches('_').starts_with(installed.name)
                })
            };
            let files: Vec<_> = files.iter().filter(named).collect();
            assert_eq!(files.len(), 3);
            for (path, text) in files {
                let text = String::from_utf8_lossy(text);
                for setting in installed.program.table {
                    let flag = setting.declaration().names.flag;
                    assert!(text.contains(flag), "{}: no {flag}", path.display());
                }
            }
        }
    }

    #[test]
    fn values_that_are_words_are_completed() {
        let files = all();
        let (_, bash) =
            files.iter().find(|(path, _)| path.ends_with("bash/loteria-server")).unwrap();
        assert!(String::from_utf8_lossy(bash).contains("off optional required"));
    }
}
