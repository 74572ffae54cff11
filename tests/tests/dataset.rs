//! The generator beside files that it hasn't made: these are never overwritten or removed unasked.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use kit::process::output;
use kit::programs::binary;

const OWN: &str = "Ana,Paz,1,2000-01-01,7\n";

fn dataset(folder: &Path, arguments: &[&str]) -> Output {
    let common = ["--agencies", "2", "--bets", "3", "--out", ".data"];
    output(Command::new(binary("dataset")).current_dir(folder).args(common).args(arguments))
}

/// `make clean` there, without its `cargo clean`.
fn clean(folder: &Path) -> Output {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut make = Command::new("make");
    make.current_dir(folder).arg("--file").arg(repository.join("Makefile"));
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").args(["clean", "CARGO=true"]);
    fs::create_dir_all(folder.join(".ci")).expect("a folder");
    fs::copy(repository.join(".ci/clean-dataset"), folder.join(".ci/clean-dataset"))
        .expect("copied");
    output(&mut make)
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder.join(".data")).expect("a folder");
    let name = |file: fs::DirEntry| file.file_name().into_string().expect("text");
    let mut names: Vec<_> = files.map(|file| name(file.expect("a file"))).collect();
    names.sort_unstable();
    names
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_was_generated_is_generated_anew_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(".data/agency-1.csv");
    let mut contents = Vec::new();
    for seed in ["1", "2", "1"] {
        let made = dataset(folder.path(), &["--seed", seed, "--winners", "1"]);
        assert!(made.status.success(), "{made:?}");
        assert!(text(&made.stdout).contains("agency-1.csv: 3 bets, 1 winner\n"), "{made:?}");
        contents.push(fs::read(&file).expect("made"));
    }
    assert!(contents[0] != contents[1] && contents[0] == contents[2]);
    assert_eq!(names(folder.path()), [".generated", "agency-1.csv", "agency-2.csv"]);
    let cleaned = clean(folder.path());
    assert!(cleaned.status.success() && !text(&cleaned.stdout).contains("stays"), "{cleaned:?}");
    assert!(names(folder.path()).is_empty(), "{cleaned:?}");
}

#[test]
fn what_was_not_generated_is_neither_overwritten_nor_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join(".data/agency-2.csv");
    fs::create_dir(folder.path().join(".data")).expect("a folder");
    fs::write(&own, OWN).expect("written");
    let refused = dataset(folder.path(), &[]);
    assert_eq!(refused.status.code(), Some(1));
    let error = text(&refused.stderr);
    assert!(error.contains(": .data/agency-2.csv. Nothing was written."), "{error}");
    assert!(error.contains("FORCE=1") && !error.contains("agency-1.csv"), "{error}");
    assert_eq!(names(folder.path()), ["agency-2.csv"]);

    assert!(dataset(folder.path(), &["--keep"]).status.success());
    let cleaned = clean(folder.path());
    assert!(text(&cleaned.stdout).contains(".data/agency-2.csv stays"), "{cleaned:?}");
    assert_eq!(names(folder.path()), ["agency-2.csv"]);
    assert_eq!(fs::read_to_string(&own).expect("text"), OWN);

    assert!(dataset(folder.path(), &["--force"]).status.success());
    assert!(dataset(folder.path(), &["--seed", "2"]).status.success(), "it is generated now");
}

#[test]
fn a_generated_file_that_was_edited_is_a_persons_own() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(dataset(folder.path(), &[]).status.success());
    let file = folder.path().join(".data/agency-1.csv");
    let edited = fs::read_to_string(&file).expect("text") + OWN;
    fs::write(&file, &edited).expect("written");
    assert_eq!(dataset(folder.path(), &["--seed", "2"]).status.code(), Some(1));
    assert!(clean(folder.path()).status.success());
    assert_eq!(names(folder.path()), ["agency-1.csv"]);
    assert_eq!(fs::read_to_string(&file).expect("text"), edited);
}

/// Files of the time before there was a list, or whose list is lost.
#[test]
fn a_file_that_would_be_made_the_same_is_no_loss() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(dataset(folder.path(), &[]).status.success());
    fs::remove_file(folder.path().join(".data/.generated")).expect("it is there");
    assert_eq!(dataset(folder.path(), &["--seed", "2"]).status.code(), Some(1));
    assert!(dataset(folder.path(), &[]).status.success());
    assert!(dataset(folder.path(), &["--seed", "2"]).status.success());
}

#[test]
fn a_link_to_nowhere_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join(".data")).expect("a folder");
    let link = folder.path().join(".data/agency-1.csv");
    std::os::unix::fs::symlink("later.csv", &link).expect("a link");
    assert_eq!(dataset(folder.path(), &[]).status.code(), Some(1));
    assert!(dataset(folder.path(), &["--keep"]).status.success());
    assert!(link.is_symlink());
}
