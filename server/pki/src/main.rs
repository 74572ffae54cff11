//! The program `pki`: an authority's commands. What they do is the library's; this file is how they are
//! called, and what they print.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pki::{
    Authority, CA_DAYS, CRL_DAYS, Entry, Error, Holder, Issued, KeyKind, LEAF_DAYS, Leaf, Options,
    Owner, RevocationList, Serial, TrustDomain, serial_of,
};
use runtime::{console, logging};

/// Most days that anything can be valid: a hundred years.
const DAYS_MAX: i64 = 36_500;

fn main() -> ExitCode {
    logging::catch_panics();
    let matches = command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
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

fn run(matches: &ArgMatches) -> Result<(), String> {
    let folder: &PathBuf = matches.get_one("dir").expect("it is required");
    let (command, arguments) = matches.subcommand().expect("one is required");
    let result = match command {
        "init" => create(folder, arguments),
        "server" => issue_server(folder, arguments),
        "agency" => issue_agencies(folder, arguments),
        "install" => install_all(folder, arguments),
        "revoke" => return revoke_all(folder, arguments),
        "crl" => reissue(folder, arguments),
        _ => return show(folder),
    };
    result.map_err(|error| error.to_string())
}

fn create(folder: &Path, arguments: &ArgMatches) -> Result<(), Error> {
    let trust_domain: &TrustDomain = arguments.get_one("trust-domain").expect("a default");
    let options = Options {
        trust_domain: trust_domain.clone(),
        key: key_of(arguments),
        days: days_of(arguments, "days"),
        crl_days: days_of(arguments, "crl-days"),
    };
    let authority = Authority::create(folder, &options)?;
    console::print(&format!(
        "{}: the authority of {}, serial {}, valid until {}\n\
         {}: its key, which can make any agency: keep it away from the central's machine\n",
        authority.certificate_path().display(),
        trust_domain.uri(),
        authority.serial(),
        text(authority.expires()),
        authority.key_path().display(),
    ));
    print_list(&authority.revocation_list()?);
    Ok(())
}

fn issue_server(folder: &Path, arguments: &ArgMatches) -> Result<(), Error> {
    let names: Vec<_> = arguments.get_many::<String>("name").expect("it is required").collect();
    let issued = Authority::open(folder)?.issue_server(&names, &leaf_of(arguments))?;
    print_issued(&issued);
    Ok(())
}

fn issue_agencies(folder: &Path, arguments: &ArgMatches) -> Result<(), Error> {
    let agencies = arguments.get_many::<u32>("agency").expect("it is required");
    let agencies: Vec<_> = agencies.copied().collect();
    let issued = Authority::open(folder)?.issue_agencies(&agencies, &leaf_of(arguments))?;
    issued.iter().for_each(print_issued);
    Ok(())
}

fn install_all(folder: &Path, arguments: &ArgMatches) -> Result<(), Error> {
    let holders = arguments.get_many::<Holder>("holder").expect("it is required");
    let to: &PathBuf = arguments.get_one("to").expect("it is required");
    let owner = arguments.get_one::<Owner>("owner").copied();
    let authority = Authority::open(folder)?;
    for holder in holders {
        let installed = authority.install(*holder, to, owner)?;
        console::print(&format!("{}: certificate and key\n", installed.display()));
    }
    Ok(())
}

fn revoke_all(folder: &Path, arguments: &ArgMatches) -> Result<(), String> {
    let certificates = arguments.get_many::<String>("certificate").expect("it is required");
    let serials: Vec<_> = certificates.map(|text| serial(text)).collect::<Result<_, _>>()?;
    let days = days_of(arguments, "days");
    let authority = Authority::open(folder);
    let revocation = authority.and_then(|authority| authority.revoke(&serials, days));
    let revocation = revocation.map_err(|error| error.to_string())?;
    for entry in &revocation.revoked {
        let Entry { serial, kind, name, .. } = entry;
        let since = entry.revoked.map(text).unwrap_or_default();
        console::print(&format!("{serial}: {} {name}, revoked since {since}\n", kind.name()));
    }
    print_list(&revocation.list);
    Ok(())
}

/// The serial that an argument of `revoke` means.
fn serial(text: &str) -> Result<Serial, String> {
    if let Ok(serial) = text.parse() {
        return Ok(serial);
    }
    if !Path::new(text).exists() {
        return Err(format!("{text:?}: expected a serial in hexadecimal digits, or a file"));
    }
    serial_of(Path::new(text)).map_err(|error| error.to_string())
}

fn reissue(folder: &Path, arguments: &ArgMatches) -> Result<(), Error> {
    let list = Authority::open(folder)?.reissue_crl(days_of(arguments, "days"))?;
    print_list(&list);
    Ok(())
}

fn show(folder: &Path) -> Result<(), String> {
    let (table, list) = Authority::open(folder)
        .and_then(|authority| Ok((table(&authority)?, authority.revocation_list()?)))
        .map_err(|error| error.to_string())?;
    let now = SystemTime::now();
    let is_expired =
        if list.until < now { "expired: renew it with the command crl" } else { "valid" };
    let list = format!("{}, {is_expired}\n", described(&list));
    console::try_print(&(table + &list)).map_err(|error| format!("standard output: {error}"))
}

/// A row for the authority, and one for each certificate that it has issued.
fn table(authority: &Authority) -> Result<String, Error> {
    let domain = authority.trust_domain();
    let now = SystemTime::now();
    let until = |expires| (text(expires), if expires < now { "expired" } else { "valid" });
    let row = |serial: &Serial, kind: &str, name: &str, expires, revoked: Option<_>| {
        let (expires, state) = until(expires);
        let state = revoked.map_or(state.to_owned(), |since| format!("revoked {}", text(since)));
        [serial.to_string(), kind.to_owned(), name.to_owned(), expires, state]
    };
    let heading = ["serial", "kind", "name", "expires", "state"].map(str::to_owned);
    let ca = row(authority.serial(), "ca", domain.as_str(), authority.expires(), None);
    let mut rows = vec![heading, ca];
    for Entry { serial, kind, name, expires, revoked } in authority.entries()? {
        rows.push(row(&serial, kind.name(), &name, expires, revoked));
    }
    Ok(aligned(&rows))
}

/// The rows with two spaces between columns, each as wide as its widest field.
fn aligned(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let mut table = String::new();
    for row in rows {
        for (field, width) in row.iter().zip(widths) {
            // Writing to a text can't fail.
            let _ = write!(table, "{field:width$}  ");
        }
        table += &row[4];
        table.push('\n');
    }
    table
}

fn print_issued(issued: &Issued) {
    console::print(&format!(
        "{}, {}: serial {}, valid until {}\n",
        issued.certificate.display(),
        issued.key.display(),
        issued.serial,
        text(issued.expires),
    ));
}

fn print_list(list: &RevocationList) {
    console::print(&format!("{}\n", described(list)));
}

fn described(list: &RevocationList) -> String {
    format!("{}: revocation list {}, until {}", list.path.display(), list.number, text(list.until))
}

fn text(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn leaf_of(arguments: &ArgMatches) -> Leaf {
    Leaf { key: key_of(arguments), days: days_of(arguments, "days") }
}

fn days_of(arguments: &ArgMatches, name: &str) -> u16 {
    *arguments.get_one(name).expect("it has a default")
}

fn key_of(arguments: &ArgMatches) -> KeyKind {
    let name: &String = arguments.get_one("key").expect("it has a default");
    name.parse().expect("one of the possible values")
}
