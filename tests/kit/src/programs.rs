//! This workspace's programs, built from the sources as they are.
//!
//! Cargo names a program to the tests of its own package alone (`CARGO_BIN_EXE_...`), and what lies in
//! `target` may be missing or older than the sources. So whatever test first asks for a program has
//! cargo build them all, with the test's own profile and target folder, and takes the paths that cargo
//! names. Where they are fresh, as after the test before, that takes a fraction of a second.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Packages that have programs.
const PACKAGES: [&str; 3] = ["server", "client", "load"];

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");

/// Path of a program of this workspace. `HOSTILE_SERVER` names another server, to show what an older
/// one made of the same.
pub fn binary(name: &str) -> PathBuf {
    static PROGRAMS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    if let Some(path) = std::env::var_os("HOSTILE_SERVER").filter(|_| name == "server") {
        return path.into();
    }
    PROGRAMS.get_or_init(build)[name].clone()
}

/// Builds all programs; their paths by their names.
fn build() -> BTreeMap<String, PathBuf> {
    let test = std::env::current_exe().expect("it has a name");
    let [folder, target] = [2, 3].map(|depth| test.ancestors().nth(depth));
    let profile = folder.and_then(Path::file_name).expect("cargo puts tests into PROFILE/deps");
    // The one profile that isn't called like its folder.
    let profile = if profile == "debug" { "dev".into() } else { profile.to_owned() };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--bins", "--manifest-path", WORKSPACE])
        .args(PACKAGES.iter().flat_map(|package| ["--package", package]))
        .arg("--profile")
        .arg(profile)
        .arg("--target-dir")
        .arg(target.expect("cargo puts profiles into its target folder"))
        .arg("--message-format=json-render-diagnostics")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).expect("JSON");
    messages.lines().filter_map(executable).collect()
}

/// Name and path of the program in a message of cargo.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let (_, rest) = message.split_once(r#""executable":""#)?;
    let path = PathBuf::from(rest.split_once('"').expect("the end of a string").0);
    Some((path.file_name()?.to_str()?.to_owned(), path))
}
