//! What `server ledger` can do: its subcommands and their options, as the command line has them.
//!
//! What they do is in [`keeping`](crate::keeping).

use runtime::settings::{CommandOption, Subcommand};

/// The subcommand that the ones below are inside of.
pub(crate) const LEDGER: Subcommand = Subcommand {
    name: "ledger",
    about: "Look after a ledger: check, export, backup, restore",
    operands: None,
    options: &[],
    commands: COMMANDS,
};

/// Verifies a ledger, or a draw that etcd keeps.
pub const LEDGER_CHECK: &str = "ledger check";

/// Writes a ledger's rows into a file.
pub const LEDGER_EXPORT: &str = "ledger export";

/// Copies a ledger, also one that a central has open.
pub const LEDGER_BACKUP: &str = "ledger backup";

/// Makes a ledger of such a copy.
pub const LEDGER_RESTORE: &str = "ledger restore";

/// The option by which a report is JSON.
pub const JSON: &str = "json";

/// The option by which the rows of one agency are meant.
pub const ONE_AGENCY: &str = "agency";

const COMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "check",
        about: "Verify every byte of the ledger PATH, of the one configured without PATH, or of the draw \
                in etcd, and show its accounts: 0 good, 1 damaged, 2 can't be read. Changes nothing",
        operands: Some("[PATH]"),
        options: &[CommandOption { name: JSON, value: None, about: "Report as JSON" }],
        commands: &[],
    },
    Subcommand {
        name: "export",
        about: "Write the durable rows of the ledger PATH into FILE, or to standard output",
        operands: Some("PATH FILE"),
        options: &[CommandOption {
            name: ONE_AGENCY,
            value: Some("N"),
            about: "The rows of this agency alone",
        }],
        commands: &[],
    },
    Subcommand {
        name: "backup",
        about: "Copy the ledger PATH into the folder DEST, also while a central has it open, and verify \
                the copy; again into the same DEST, only what is new is copied",
        operands: Some("PATH DEST"),
        options: &[],
        commands: &[],
    },
    Subcommand {
        name: "restore",
        about: "Make the ledger PATH of the copy in the folder SRC, which is verified first; nothing is \
                overwritten",
        operands: Some("SRC PATH"),
        options: &[],
        commands: &[],
    },
];
