//! How the program `pki` is called.
//!
//! Knows nothing of what comes of it.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::Holder;
use crate::files::Owner;
use crate::key::KeyKind;
use crate::names::TrustDomain;
use crate::validity::{CA_DAYS, CRL_DAYS, LEAF_DAYS};

/// Most days that anything can be valid: a hundred years.
const DAYS_MAX: i64 = 36_500;

/// All of it.
pub fn command() -> Command {
    Command::new("pki")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Certificates for a lottery: a certificate authority in a folder")
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The authority's folder"),
        )
        .subcommand_required(true)
        .subcommands([init(), server(), agency(), install(), revoke(), crl(), list()])
        .after_help(
            "Nothing that exists is overwritten, but for crl.pem, issued.csv and crl-number. Keys are \
             readable by their owner alone. Validity begins 5 minutes before now, because clocks \
             differ. Commands that run at the same time wait for each other.",
        )
}

fn init() -> Command {
    Command::new("init")
        .about("Makes an authority: ca.pem, private/ca.key, and an empty revocation list, crl.pem")
        .args([
            days("days", CA_DAYS, "How long the authority's certificate is valid"),
            crl_days("crl-days"),
            key("Kind of the authority's key"),
            Arg::new("trust-domain")
                .long("trust-domain")
                .value_name("NAME")
                .default_value("loteria")
                .value_parser(value_parser!(TrustDomain))
                .help("Domain of the agencies' names, as in spiffe://loteria/agencia/1"),
        ])
}

fn server() -> Command {
    Command::new("server").about("Issues a central's certificate: server.pem and server.key").args(
        [
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .action(ArgAction::Append)
                .help("Host name or IP address by which agencies reach the central"),
            days("days", LEAF_DAYS, "How long the certificate is valid"),
            key("Kind of the key"),
        ],
    )
}

fn agency() -> Command {
    Command::new("agency")
        .about("Issues agencies' certificates: agency-N.pem and agency-N.key")
        .args([
            Arg::new("agency")
                .value_name("N")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(value_parser!(u32).range(1..))
                .help("Number of an agency"),
            days("days", LEAF_DAYS, "How long the certificates are valid"),
            key("Kind of the keys"),
        ])
        .after_help("If a file of any of them exists, none is issued.")
}

fn install() -> Command {
    Command::new("install")
        .about("Copies what a program needs into a folder of its own: TO/server, TO/agency-N")
        .args([
            Arg::new("holder")
                .value_name("server|N")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(value_parser!(Holder))
                .help("The central, or the number of an agency"),
            Arg::new("to")
                .long("to")
                .value_name("TO")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Folder of these folders"),
            Arg::new("owner")
                .long("owner")
                .value_name("UID:GID")
                .value_parser(value_parser!(Owner))
                .help("User and group that the copies are for (as root) [default: one's own]"),
        ])
        .after_help(
            "Copied are the authority's certificate and revocation list, the program's own certificate \
             and its key. Copies that are there are replaced, each as a whole: a running program takes \
             the new ones when it gets SIGHUP.",
        )
}

fn revoke() -> Command {
    Command::new("revoke")
        .about("Revokes certificates, and reissues the revocation list")
        .args([
            Arg::new("certificate")
                .value_name("SERIAL|FILE")
                .required(true)
                .action(ArgAction::Append)
                .help("A serial in hexadecimal digits, or the path of a certificate"),
            crl_days("days"),
        ])
        .after_help(
            "If any of them wasn't issued by this authority, none is revoked. A central takes the new \
             list when it gets SIGHUP.",
        )
}

fn crl() -> Command {
    Command::new("crl")
        .about("Reissues the revocation list, crl.pem")
        .arg(crl_days("days"))
        .after_help(
            "A list expires, so that one that is withheld is noticed: a central refuses an expired \
             one. Run this well before, for example weekly, and send the central SIGHUP.",
        )
}

fn list() -> Command {
    Command::new("list").about("Shows what was issued, and which of it is valid")
}

fn days(name: &'static str, default: u16, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("DAYS")
        .default_value(default.to_string())
        .value_parser(value_parser!(u16).range(1..=DAYS_MAX))
        .help(help)
}

fn crl_days(name: &'static str) -> Arg {
    days(name, CRL_DAYS, "How long the revocation list is valid")
}

fn key(help: &'static str) -> Arg {
    Arg::new("key")
        .long("key")
        .value_name("KIND")
        .default_value(KeyKind::default().name())
        .value_parser(KeyKind::ALL.map(KeyKind::name))
        .help(help)
}
