//! The program `pki`: an authority's commands. What they do is the library's, and so is how they are called;
//! this file is what they print.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::ArgMatches;
use pki::{
    Authority, Entry, Error, Holder, Issued, KeyKind, Leaf, Options, Owner, RevocationList, Serial,
    TrustDomain, command_line, serial_of,
};
use runtime::{console, logging};

fn main() -> ExitCode {
    logging::catch_panics();
    let matches = command_line::command().get_matches();
    match run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
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
