//! Manual pages: of the central and the agency from the tables of their settings, of `pki` from its
//! command line.
//!
//! A page of a table's program says of each setting all that the documentation says of it, where it may
//! be set too: a command line as it describes itself knows nothing of files.

use std::io;
use std::path::PathBuf;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use runtime::settings::{CommandOption, Declaration, Subcommand, docs};

use crate::installed::{CLIENT, Installed, PKI, SERVER, pki_command};
use crate::markup::inlines;

const MANUAL: &str = "Lotería Nacional";

const SECTION: &str = "1";

/// What both programs end with.
const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "done, or shut down in order by a signal"),
    ("1", "something finally failed: the last line of the log says what"),
    ("2", "the configuration can't be used"),
    ("101", "an error of the program itself"),
    ("130", "a second signal forced the shutdown"),
];

/// What both make of signals.
const SIGNALS: [(&str, &str); 4] = [
    ("SIGTERM, SIGINT", "shut down in order; a second one ends the program at once"),
    ("SIGHUP", "with TLS: read certificates, keys and revocation lists again"),
    ("SIGUSR1", "log how far it is"),
    ("SIGUSR2", "log the event loop's counters"),
];

/// What both are told by a service manager.
const SERVICE_MANAGER: &str = "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`, `LISTEN_FDS`, `LISTEN_PID` \
and `LISTEN_FDNAMES` are a service manager's, see `sd_notify`(3) and `sd_listen_fds`(3). Sockets are for \
the central alone: the one called admin is the admin listener's, the other one that of agencies.";

/// All pages: their paths in the manual's folder, and their texts.
///
/// # Errors
/// None, when memory is written to.
pub fn all() -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut pages = Vec::new();
    for installed in [SERVER, CLIENT] {
        pages.push((path(installed.name), page(&installed)?));
    }
    let mut command = pki_command().disable_help_subcommand(true);
    command.build();
    pages.push((path(PKI), described(command.clone())?));
    for subcommand in command.get_subcommands() {
        pages.push((
            path(&format!("{PKI}-{}", subcommand.get_name())),
            described(subcommand.clone())?,
        ));
    }
    Ok(pages)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("man").join(format!("{name}.{SECTION}"))
}

/// A page of a command line as it describes itself.
fn described(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command).manual(MANUAL).source(source());
    man.render(&mut page)?;
    Ok(page)
}

fn source() -> String {
    format!("loteria {}", env!("CARGO_PKG_VERSION"))
}

/// A page of a program that has a table.
fn page(installed: &Installed) -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", [installed.name, SECTION, "", &source(), MANUAL]);
    write_head(&mut roff, installed);
    write_settings(&mut roff, installed);
    write_tail(&mut roff, installed);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn write_head(roff: &mut Roff, installed: &Installed) {
    let Installed { name, program, description, .. } = *installed;
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {}", program.about))]);
    roff.control("SH", ["SYNOPSIS"]);
    let options = || [roman(" ["), italic("OPTION"), roman("]...")];
    roff.text([vec![bold(name)], options().to_vec()].concat());
    for (command, Subcommand { operands, .. }) in commands(program.commands) {
        roff.control("br", []);
        let operands = operands.iter().flat_map(|operand| [roman(" "), italic(*operand)]);
        let mut line = vec![bold(format!("{name} {command}"))];
        line.extend(options());
        line.extend(operands);
        roff.text(line);
    }
    roff.control("SH", ["DESCRIPTION"]);
    write_paragraphs(roff, description);
    roff.control("SH", ["COMMANDS"]);
    for (command, Subcommand { about, options, .. }) in commands(program.commands) {
        write_item(roff, vec![bold(command)], &format!("{about}."));
        for CommandOption { name, value, about } in *options {
            let value = value.map_or_else(String::new, |value| format!("={value}"));
            write_line(roff, &format!("`--{name}{value}`: {about}."));
        }
    }
}

/// What can be asked for, each by its whole name: `ledger check`.
fn commands(all: &[Subcommand]) -> Vec<(String, &Subcommand)> {
    let mut found = Vec::new();
    for command in all {
        if command.commands.is_empty() {
            found.push((command.name.to_owned(), command));
        }
        let inner = commands(command.commands).into_iter();
        found.extend(inner.map(|(name, inner)| (format!("{} {name}", command.name), inner)));
    }
    found
}

fn write_settings(roff: &mut Roff, installed: &Installed) {
    let Installed { config, program, .. } = *installed;
    roff.control("SH", ["OPTIONS"]);
    let file = program.file_name;
    write_item(
        roff,
        vec![bold("--config"), roman("="), italic("PATH")],
        &format!(
            "The configuration file. Without it, `{file}` or `{}/{file}` in the working directory, if it \
             exists. The service reads `{config}`.",
            program.name
        ),
    );
    write_item(roff, vec![bold("--check-config")], "Show every setting with its origin, and end.");
    write_item(
        roff,
        vec![bold("-h"), roman(", "), bold("--help")],
        "Show a summary of this, and end.",
    );
    write_item(
        roff,
        vec![bold("-V"), roman(", "), bold("--version")],
        "Show the version, and end.",
    );
    write_paragraphs(
        roff,
        &[
            "Each of what follows can be set in the file, in the environment and on the command line; the \
           later one wins.",
        ],
    );
    for group in docs::groups(program.table) {
        roff.control("SS", [group[0].group]);
        for declaration in group {
            write_setting(roff, declaration);
        }
    }
}

fn write_setting(roff: &mut Roff, declaration: &Declaration) {
    let Declaration { names, shared, default, unset, help, details, limit, .. } = declaration;
    let shape = declaration.kind.shape();
    let separator = if details.is_empty() { "" } else { "; " };
    let flag = vec![bold(format!("--{}", names.flag)), roman("="), italic(shape)];
    write_item(roff, flag, &format!("{help}{separator}{details}."));
    let file = if names.file_key == names.key {
        "there and in the file".to_owned()
    } else {
        format!("there, `{}` in the file", names.file_key)
    };
    let shared = shared.map_or_else(String::new, |names| format!(" or `{}`", names.key));
    write_line(roff, &format!("In the environment: `{}`{shared} {file}.", names.key));
    let default = match (default, unset) {
        (Some(""), _) => "Default: nothing.".to_owned(),
        (Some(default), _) => format!("Default: `{default}`."),
        (None, unset) => format!("Without a value: {}.", unset.unwrap_or("it must be set")),
    };
    write_line(roff, &format!("Values: {}. {default}", declaration.range()));
    if let Some(limit) = limit {
        let (reached, reason) = (limit.reached, limit.reason);
        write_line(roff, &format!("When it is reached: {reached}. Why it is there: {reason}."));
    }
}

fn write_tail(roff: &mut Roff, installed: &Installed) {
    let Installed { files, see_also, .. } = *installed;
    roff.control("SH", ["EXIT STATUS"]);
    write_items(roff, &EXIT_STATUS);
    roff.control("SH", ["SIGNALS"]);
    write_items(roff, &SIGNALS);
    roff.control("SH", ["ENVIRONMENT"]);
    write_paragraphs(roff, &["What each option says, and"]);
    write_paragraphs(roff, &[SERVICE_MANAGER]);
    roff.control("SH", ["FILES"]);
    write_items(roff, files);
    roff.control("SH", ["SEE ALSO"]);
    let mut pages = Vec::new();
    for page in see_also {
        let separator = if pages.is_empty() { "" } else { ", " };
        pages.extend([roman(separator), bold(*page), roman(format!("({SECTION})"))]);
    }
    roff.text(pages);
}

fn write_items(roff: &mut Roff, items: &[(&str, &str)]) {
    for (term, text) in items {
        write_item(roff, vec![bold(*term)], text);
    }
}

fn write_item(roff: &mut Roff, term: Vec<Inline>, text: &str) {
    roff.control("TP", []);
    roff.text(term);
    roff.text(inlines(text));
}

/// One more line of the item before it.
fn write_line(roff: &mut Roff, text: &str) {
    roff.control("br", []);
    roff.text(inlines(text));
}

fn write_paragraphs(roff: &mut Roff, paragraphs: &[&str]) {
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text(inlines(paragraph));
    }
}
