//! `manual FOLDER`: writes manual pages and completions of the installed programs into a folder, in `man`,
//! `bash`, `zsh` and `fish` below it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, Command, value_parser};
use packaging::{completions, pages};
use runtime::console;

fn main() -> ExitCode {
    let folder = Arg::new("folder").value_name("FOLDER").required(true);
    let matches = Command::new("manual")
        .about("Writes manual pages and completions into a folder")
        .arg(folder.value_parser(value_parser!(PathBuf)))
        .get_matches();
    let folder: &PathBuf = matches.get_one("folder").expect("it is required");
    match write_all(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("error: {}: {error}\n", folder.display()));
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    for (path, text) in pages::all()?.into_iter().chain(completions::all()) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("it is in a folder"))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}
