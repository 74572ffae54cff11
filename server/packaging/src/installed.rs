//! The programs as they are installed.
//!
//! Their names say whose they are: `server` and `client` could be anybody's in a folder that all
//! programs of a machine share. Cargo's names stay, which are those of the course.

use clap::Command;
use runtime::settings::Program;

/// A program of which a table says what can be set.
#[derive(Debug, Clone, Copy)]
pub struct Installed {
    /// What its binary is called.
    pub name: &'static str,
    /// The file that its unit has it read.
    pub config: &'static str,
    /// What it says of itself.
    pub program: &'static Program,
    /// What it is, in the manual's words.
    pub description: &'static [&'static str],
    /// Files that it has, each with what it is.
    pub files: &'static [(&'static str, &'static str)],
    /// Other pages.
    pub see_also: &'static [&'static str],
}

/// The central.
pub const SERVER: Installed = Installed {
    name: "loteria-server",
    config: "/etc/loteria/server.ini",
    program: &server::settings::PROGRAM,
    description: &[
        "The central takes bets from agencies over TCP, checks them, stores them durably and acknowledges \
         them. When all agencies have finished, it runs the draw and sends each agency its own winners. The \
         same port echoes lines.",
        "Without a command it runs until a signal ends it.",
    ],
    files: &[
        ("/etc/loteria/server.ini", "the configuration of loteria-server.service"),
        ("/var/lib/loteria/bets.csv", "the ledger; its write-ahead log is beside it"),
    ],
    see_also: &["loteria-client", "loteria-pki"],
};

/// An agency.
pub const CLIENT: Installed = Installed {
    name: "loteria-client",
    config: "/etc/loteria/agency.yaml",
    program: &client::settings::PROGRAM,
    description: &[
        "An agency sends the bets of its file to the central in batches, and waits for the draw and its \
         winners. It goes on where the central has stored its bets when it is started again.",
    ],
    files: &[
        ("/etc/loteria/agency.yaml", "the configuration of loteria-agency@N.service"),
        ("/var/lib/loteria-agency/agency-N.csv", "the bets of agency N"),
    ],
    see_also: &["loteria-server", "loteria-pki"],
};

/// What `pki` is called.
pub const PKI: &str = "loteria-pki";

impl Installed {
    /// The command line, by the name that is installed.
    pub fn command(&self) -> Command {
        self.program.command().name(self.name).bin_name(self.name)
    }
}

/// The command line of `pki`, by the name that is installed.
pub fn pki_command() -> Command {
    pki::command_line::command().name(PKI).bin_name(PKI)
}
