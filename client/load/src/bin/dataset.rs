//! Makes agency files: `dataset --agencies 5 --bets 2000 --seed 1 --out .data`.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use load::dataset::{self, Plan};
use load::generated::{Cksum, Generated};
use runtime::{console, logging};

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
    let argument = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).default_value(default).help(help)
    };
    Command::new("dataset")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Makes agency files out of a seed")
        .args([
            argument("agencies", "5", "Files to make: agency-1.csv and so on")
                .value_parser(value_parser!(u32).range(0..=10_000)),
            argument("bets", "2000", "Bets in each: a number, or MIN..MAX").value_parser(range),
            argument("winners", "1..4", "Winning bets in each: a number, or MIN..MAX")
                .value_parser(range),
            argument("seed", "1", "The same seed makes the same files")
                .value_parser(value_parser!(u64)),
            argument("out", ".data", "Folder to put them into")
                .value_parser(value_parser!(PathBuf)),
            Arg::new("keep")
                .long("keep")
                .action(ArgAction::SetTrue)
                .help("Leave files that exist as they are"),
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .conflicts_with("keep")
                .help("Overwrite files that this program hasn't made, too"),
        ])
        .after_help(
            "A file that it hasn't made, or that was changed since, is never overwritten \
            without --force: it lists what it makes in .generated.",
        )
}

fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let range = least.parse().ok().zip(most.parse().ok()).filter(|(least, most)| least <= most);
    let (least, most) = range.ok_or("expected a number, or MIN..MAX with MIN <= MAX")?;
    Ok(least..=most)
}

fn run(matches: &ArgMatches) -> Result<(), String> {
    let range =
        |name: &str| matches.get_one::<RangeInclusive<u32>>(name).expect("it has a default");
    let plan = Plan {
        bets: range("bets").clone(),
        winners: range("winners").clone(),
        seed: *matches.get_one("seed").expect("it has a default"),
    };
    let folder: &PathBuf = matches.get_one("out").expect("it has a default");
    fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    let mut list = Generated::open(folder).map_err(|error| named(folder, &error))?;
    let agencies: u32 = *matches.get_one("agencies").expect("it has a default");
    let files = (1..=agencies).map(|agency| (agency, folder.join(format!("agency-{agency}.csv"))));
    let keep = matches.get_flag("keep");
    let files: Vec<_> = files.filter(|(_, path)| !(keep && exists(path))).collect();
    if !matches.get_flag("force") {
        refuse_foreign(&plan, &files, &list)?;
    }
    for (agency, path) in &files {
        let written = write(&plan, *agency, path, &mut list);
        let written = written.map_err(|error| named(path, &error))?;
        let bets = counted(written.bets, "bet");
        let winners = counted(written.winners, "winner");
        console::print(&format!("{}: {bets}, {winners}\n", path.display()));
    }
    if files.is_empty() {
        return Ok(());
    }
    let path = list.path().to_owned();
    list.tidy().map_err(|error| named(&path, &error))
}

fn named(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Whether there is something by that name, be it a link to nowhere.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Refuses to overwrite a file that this program hasn't made, and wouldn't make now. Nothing is written
/// then.
fn refuse_foreign(plan: &Plan, files: &[(u32, PathBuf)], list: &Generated) -> Result<(), String> {
    let mut foreign = Vec::new();
    for (agency, path) in files.iter().filter(|(_, path)| exists(path) && !list.has(path)) {
        let mut planned = Cksum::default();
        dataset::write(plan, *agency, &mut planned).map_err(|error| named(path, &error))?;
        if !Cksum::of(path).is_ok_and(|found| found == planned) {
            foreign.push(path.display().to_string());
        }
    }
    if foreign.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not made by this program, or changed since: {}. Nothing was written. Move them away, or \
         overwrite them: --force, by make FORCE=1",
        foreign.join(", ")
    ))
}

/// Writes a file under its own name only when it is whole.
fn write(
    plan: &Plan,
    agency: u32,
    path: &Path,
    list: &mut Generated,
) -> io::Result<dataset::Written> {
    let unfinished = path.with_file_name(format!(".agency-{agency}.csv.tmp"));
    let written = dataset::write(plan, agency, BufWriter::new(File::create(&unfinished)?))?;
    list.add(path, Cksum::of(&unfinished)?)?;
    fs::rename(&unfinished, path)?;
    Ok(written)
}
