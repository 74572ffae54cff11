//! The program as a process: what it refuses, with which words and exit code, and what it leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pki::testing::{Ca, LeafOptions};
use rustix::process::{getegid, geteuid};
use tempfile::TempDir;

/// Runs `pki --dir FOLDER ARGUMENTS`.
fn pki(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().expect("the program runs")
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pki"));
    command.arg("--dir").arg(folder).args(arguments.split(' '));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[track_caller]
fn succeed(folder: &Path, arguments: &str) -> String {
    let output = pki(folder, arguments);
    assert_eq!(text(&output.stderr), "", "{arguments}");
    assert_eq!(output.status.code(), Some(0), "{arguments}");
    text(&output.stdout)
}

/// Expects that the command ends with `code`, prints an error that has `expected` in it, and changes
/// nothing.
#[track_caller]
fn refuse(folder: &Path, arguments: &str, code: i32, expected: &str) {
    let before = contents(folder);
    let output = pki(folder, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {error}");
    assert!(error.starts_with("error: ") && error.contains(expected), "{arguments}: {error}");
    assert_eq!(text(&output.stdout), "", "{arguments}");
    assert_eq!(contents(folder), before, "{arguments}");
}

/// All files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut contents(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).expect("a file"));
        }
    }
    found
}

fn initialised() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    succeed(folder.path(), "init");
    folder
}

#[test]
fn what_exists_is_never_overwritten() {
    let folder = initialised();
    let folder = folder.path();
    succeed(folder, "server localhost");
    succeed(folder, "agency 2");
    refuse(folder, "init", 1, "ca.pem");
    refuse(folder, "server localhost", 1, "server.pem");
    refuse(folder, "agency 1 2 3", 1, "agency-2.pem");
}

#[test]
fn errors_say_what_is_wrong() {
    let empty = tempfile::tempdir().unwrap();
    refuse(empty.path(), "list", 1, "no certificate authority");
    refuse(empty.path(), "agency 1", 1, "init");
    let folder = initialised();
    let folder = folder.path();
    for (arguments, code, expected) in [
        ("server", 2, "<NAME>..."),
        ("server a_b 127.0.0.1.", 1, "\"127.0.0.1.\": expected a host name or an IP address"),
        ("agency", 2, "<N>..."),
        ("agency 0", 2, "'0'"),
        ("agency 4294967296", 2, "'4294967296'"),
        ("agency 1 --days 0", 2, "'0'"),
        ("agency 1 --days 3651", 1, "3651 days"),
        ("agency 1 --key rsa", 2, "p256, ed25519"),
        ("install server --to x", 1, "server.pem: there is no such file: issue it first"),
        ("install 7 --to x", 1, "by `pki agency 7`"),
        ("install ca --to x", 2, "\"ca\": expected server or the number of an agency"),
        ("install 0 --to x", 2, "agency 0"),
        ("install 7", 2, "--to <TO>"),
        (
            "install 7 --to x --owner root",
            2,
            "\"root\": expected the numbers of a user and a group",
        ),
        ("revoke agency-7.pem", 1, "\"agency-7.pem\": expected a serial"),
        ("revoke 4001", 1, "4001: no certificate of this authority"),
        ("frobnicate", 2, "frobnicate"),
    ] {
        refuse(folder, arguments, code, expected);
    }
    let other = tempfile::tempdir().unwrap();
    let domain = "init --trust-domain Loteria";
    refuse(other.path(), domain, 2, "expected a trust domain");
}

#[test]
fn a_file_that_is_no_certificate_of_this_authority_is_not_revoked() {
    let folder = initialised();
    let folder = folder.path();
    let (foreign, _) = Ca::default().issue(&LeafOptions::agency(1)).write(folder, "foreign");
    succeed(folder, "agency 1");
    let own = folder.join("agency-1.pem");
    // All or none.
    let arguments = format!("revoke {} {}", own.display(), foreign.display());
    refuse(folder, &arguments, 1, "no certificate of this authority");
    let list = folder.join("crl.pem");
    let arguments = format!("revoke {}", list.display());
    refuse(folder, &arguments, 1, "expected a certificate, found a PEM block \"X509 CRL\"");
    let arguments = format!("revoke {}", folder.join("issued.csv").display());
    refuse(folder, &arguments, 1, "expected a certificate, found no PEM block");
}

#[test]
fn serials_are_taken_in_any_form() {
    let folder = initialised();
    let folder = folder.path();
    succeed(folder, "agency 1 2 3");
    let rows = fs::read_to_string(folder.join("issued.csv")).unwrap();
    let serials: Vec<_> = rows.lines().skip(1).map(|row| &row[..32]).collect();
    let pairs: Vec<_> = (0..16).map(|at| &serials[1][2 * at..2 * at + 2]).collect();
    let forms = [serials[0].to_owned(), pairs.join(":"), serials[2].to_uppercase()];
    let printed = succeed(folder, &format!("revoke {}", forms.join(" ")));
    for (agency, serial) in (1..).zip(&serials) {
        assert!(
            printed.contains(&format!("{serial}: agency {agency}, revoked since ")),
            "{printed}"
        );
    }
    assert_eq!(succeed(folder, "list").matches("  revoked ").count(), 3);
}

#[test]
fn the_list_says_what_has_expired() {
    let folder = initialised();
    let folder = folder.path();
    succeed(folder, "agency 1 2");
    let path = folder.join("issued.csv");
    let rows = fs::read_to_string(&path).unwrap();
    // As if the first had been issued long ago.
    let mut rows: Vec<_> = rows.lines().map(str::to_owned).collect();
    let serial = &rows[1][..32];
    rows[1] = format!("{serial},agency,1,2020-01-01T00:00:00Z,");
    fs::write(&path, rows.join("\n") + "\n").unwrap();
    let table = succeed(folder, "list");
    let states: Vec<_> =
        table.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
    assert_eq!(states, ["state", "valid", "expired", "valid", "valid"], "{table}");
}

#[test]
fn another_key_signs_nothing() {
    let (folder, other) = (initialised(), initialised());
    let folder = folder.path();
    let key = folder.join("private/ca.key");
    fs::copy(other.path().join("private/ca.key"), &key).unwrap();
    refuse(folder, "agency 1", 1, "expected the key of the authority's certificate, found another");
    fs::remove_file(&key).unwrap();
    refuse(folder, "crl", 1, "private/ca.key: can't read");
    // Nobody needs it to see what was issued.
    succeed(folder, "list");
}

/// The names of what is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn a_program_gets_what_it_needs_and_nothing_else() {
    let (authority, to) = (initialised(), tempfile::tempdir().unwrap());
    let (authority, to) = (authority.path(), to.path());
    succeed(authority, "server localhost");
    succeed(authority, "agency 1 2");
    let command = format!("install server 2 --to {}", to.display());
    let printed = succeed(authority, &command);
    let folders = ["server", "agency-2"].map(|name| to.join(name));
    let [server, agency] = folders.each_ref().map(|path| path.display());
    assert_eq!(printed, format!("{server}: certificate and key\n{agency}: certificate and key\n"));
    assert_eq!(names(to), ["agency-2", "server"]);
    assert_eq!(names(&folders[0]), ["ca.pem", "crl.pem", "server.key", "server.pem"]);
    assert_eq!(names(&folders[1]), ["agency-2.key", "agency-2.pem", "ca.pem", "crl.pem"]);
    // What is newer takes the place of what is there, and of what was left by a run that was killed.
    succeed(authority, "crl");
    fs::write(folders[0].join(".server.key.tmp"), "half").unwrap();
    succeed(authority, &command);
    for folder in folders {
        for name in names(&folder) {
            let [copy, original] = [&folder, authority].map(|at| fs::read(at.join(&name)).unwrap());
            assert_eq!(copy, original, "{name}");
            let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode() & 0o777;
            let expected = if name.contains("key") { 0o600 } else { 0o644 };
            assert_eq!(mode, expected, "{name}");
        }
    }
}

#[test]
fn copies_are_for_the_user_who_is_named() {
    let (authority, to) = (initialised(), tempfile::tempdir().unwrap());
    let (authority, to) = (authority.path(), to.path());
    succeed(authority, "agency 1");
    let folder = to.join("agency-1");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let [user, group] = [geteuid().as_raw(), getegid().as_raw()];
    let other = format!("install 1 --to {} --owner 65532:65533", to.display());
    if geteuid().is_root() {
        succeed(authority, &other);
        let key = fs::metadata(folder.join("agency-1.key")).unwrap();
        assert_eq!((key.uid(), key.gid(), key.mode() & 0o777), (65532, 65533, 0o600));
    } else {
        let output = pki(authority, &other);
        assert!(text(&output.stderr).contains("can't give away"), "{output:?}");
        assert_eq!(names(&folder), [""; 0]);
    }
    succeed(authority, &format!("install 1 --to {} --owner {user}:{group}", to.display()));
    let key = fs::metadata(folder.join("agency-1.key")).unwrap();
    assert_eq!((key.uid(), key.gid(), key.mode() & 0o777), (user, group, 0o600));
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o755);
}

/// A mode that is set after the file is there leaves a moment in which others can open it.
#[test]
fn keys_have_their_mode_from_the_first_byte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trace = folder.join("trace");
    for arguments in ["init", "server localhost", "agency 1"] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-A", "-e", "trace=open,openat,mkdir,mkdirat,/chmod", "-o"]);
        let command = command(folder, arguments);
        strace.arg(&trace).arg(command.get_program()).args(command.get_args());
        assert!(strace.output().expect("strace").status.success(), "{arguments}");
    }
    let calls = fs::read_to_string(&trace).unwrap();
    let of = |name: &str, call: &str| {
        let mut calls = calls.lines().filter(|line| line.contains(name) && line.contains(call));
        let found = calls.next().unwrap_or_else(|| panic!("no {call} of {name}"));
        assert_eq!(calls.next(), None);
        found.to_owned()
    };
    for key in ["private/ca.key\"", "server.key\"", "agency-1.key\""] {
        let call = of(key, "O_CREAT");
        assert!(call.contains("O_EXCL") && call.contains(", 0600)"), "{call}");
    }
    let call = of("private\"", "mkdir");
    assert!(call.contains(", 0700)"), "{call}");
    assert!(!calls.contains("chmod"), "{calls}");
}

#[test]
fn processes_wait_for_each_other() {
    let folder = initialised();
    let folder = folder.path();
    let start = |agency: u32| {
        let mut command = command(folder, &format!("agency {agency}"));
        command.stdout(Stdio::null()).spawn().expect("the program starts")
    };
    let children: Vec<_> = (1..=8).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(succeed(folder, "list").matches("  agency  ").count(), 8);
}

#[test]
fn a_closed_standard_output_is_no_failure() {
    let folder = initialised();
    let mut child = command(folder.path(), "agency 1").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(folder.path().join("agency-1.pem").exists());
}
