//! What an operator gets wrong in the configuration of the central, by the real binary, is reported with
//! file and line, and never read as something else.

use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::Command;

use kit::process::output;
use kit::programs::binary;
use kit::server::Server;

/// A folder with a `config.ini`, and the central run in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(config: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.ini"), config).expect("written");
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("server"));
        command.args(arguments).env_clear().current_dir(self.0.path());
        command.stderr(std::process::Stdio::piped());
        command
    }

    /// The exit code, and both streams.
    fn check(&self, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let mut command = self.command(&["--check-config"]);
        command.envs(environment.iter().copied());
        outcome(command)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into()).collect()
    }
}

fn outcome(mut command: Command) -> (Option<i32>, String, String) {
    let output = output(&mut command);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn files_are_read_as_they_are_meant() {
    for (config, shown) in [
        (
            &b"[DEFAULT]\nserver_port = 9999\nserver_ip = server\nserver_listen_backlog = 5\nlogging_level=DEBUG"[..],
            "SERVER_PORT = 9999    (config.ini:2)\n",
        ),
        (b"\xEF\xBB\xBF[DEFAULT]\r\nSERVER_PORT: 9999\r\n", "SERVER_PORT = 9999    (config.ini:2)\n"),
        (b"[DEFAULT]\r\rSERVER_PORT = 9999", "SERVER_PORT = 9999    (config.ini:3)\n"),
        (
            b"[DEFAULT]\n# why\nSERVER_STORAGE_PATH = /data/lote #2/bets.csv\n",
            "SERVER_STORAGE_PATH = /data/lote #2/bets.csv    (config.ini:3)\n",
        ),
        (
            b"[DEFAULT]\nSERVER_STORAGE_PATH = 100%%.csv\n",
            "SERVER_STORAGE_PATH = 100%.csv    (config.ini:2)\n",
        ),
        (
            b"[DEFAULT]\nSERVER_IDLE_TIMEOUT = 90s\n",
            "SERVER_IDLE_TIMEOUT = 90s    (config.ini:2), read as 1m 30s\n",
        ),
        (
            b"[DEFAULT]\nSERVER_MAX_LINE_SIZE = 131072\n",
            "SERVER_MAX_LINE_SIZE = 131072    (config.ini:2), read as 128KiB\n",
        ),
        (
            b"[DEFAULT]\nSERVER_STORAGE_PATH = \"bets.csv\"\n",
            "warning: config.ini:2: SERVER_STORAGE_PATH = \"\"bets.csv\"\": its quotation marks are part of it\n",
        ),
        (
            b"[DEFAULT]\nSERVER_LOG_SIZE = 2MiB\n",
            "SERVER_WAL_SEGMENT_SIZE = 2MiB    (config.ini:2)\n",
        ),
        (
            b"[DEFAULT]\nSERVER_LOG_SIZE = 2MiB\n",
            "warning: config.ini:2: SERVER_LOG_SIZE = \"2MiB\": it was renamed to SERVER_WAL_SEGMENT_SIZE\n",
        ),
        (
            b"[DEFAULT]\nSERVER_PROT = 9999\n",
            "unknown: config.ini:2: SERVER_PROT (did you mean SERVER_PORT?)\n",
        ),
        (
            b"[server]\nSERVER_PORT = 9999\n",
            "unknown: config.ini:2: [server] SERVER_PORT (its section isn't read: only [DEFAULT] is, move it there)\n",
        ),
    ] {
        let (code, shown_all, errors) = Place::new(config).check(&[]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{shown}");
        assert!(shown_all.contains(shown), "{shown} in {shown_all}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_line() {
    for (config, error) in [
        (
            &b"[DEFAULT]\nSERVER_PORT = 9999 ; puerto\n"[..],
            "config.ini:2: SERVER_PORT = \"9999 ; puerto\": expected a TCP port, 0 to 65535 (0: any free one); a comment needs a line of its own",
        ),
        (
            b"[DEFAULT]\nSERVER_PORT = 9999\nserver_port = 8888\n",
            "config.ini:3: duplicate key server_port, first in line 2",
        ),
        (b"[a]\n[b]\n[a]\n", "config.ini:3: duplicate section [a], first in line 1"),
        (
            b"[DEFAULT]\nSERVER_PORT 9999\n",
            "config.ini:2: expected NAME = VALUE, found no = or : in \"SERVER_PORT 9999\"",
        ),
        (
            b"SERVER_PORT = 9999\n",
            "config.ini:1: expected the section [DEFAULT] before the first key",
        ),
        (
            b"[DEFAULT]\nSERVER_IP = server\n  SERVER_PORT = 9999\n",
            "config.ini:2: SERVER_IP = \"server\\nSERVER_PORT = 9999\": expected a name; it goes on in the next lines, which are indented",
        ),
        (
            b"[DEFAULT]\nSERVER_STORAGE_PATH = %(HOME)s/bets.csv\n",
            "config.ini:2: SERVER_STORAGE_PATH = \"%(HOME)s/bets.csv\": expected the path of a file; %(name)s isn't taken: write what it stands for",
        ),
        (
            b"[DEFAULT]\n# Nicol\xE1s\n",
            "config.ini:2: expected UTF-8, found byte 0xE1, looks like Windows-1252 at column 8",
        ),
        (b"\xFF\xFE[\0D\0", "config.ini: expected UTF-8, found UTF-16"),
        (b"[DEFAULT]\nSERVER_PORT = 1\0\n", "config.ini:2: found a NUL byte at column 16"),
        (
            b"[DEFAULT]\nSERVER_MAX_LINE_SIZE = 2GiB\n",
            "config.ini:2: SERVER_MAX_LINE_SIZE = \"2GiB\": expected a number of bytes above 0 and at most 1GiB, as 65536, 64KiB or 1MiB",
        ),
        (
            b"[DEFAULT]\nSERVER_IDLE_TIMEOUT = 30\n",
            "config.ini:2: SERVER_IDLE_TIMEOUT = \"30\": expected a duration up to 365d, as 500ms, 30s or 5m (0: no limit); it has no unit",
        ),
    ] {
        let place = Place::new(config);
        let (code, _, errors) = place.check(&[]);
        assert_eq!((code, errors), (Some(2), format!("error: {error}\n")));
        // The same without being asked to look.
        let (code, log, errors) = outcome(place.command(&[]));
        assert_eq!((code, log.as_str(), errors), (Some(2), "", format!("error: {error}\n")));
        assert_eq!(place.files(), [PathBuf::from("config.ini")]);
    }
}

#[test]
fn a_value_of_the_environment_is_what_it_looks_like_or_refused() {
    let place = Place::new(b"");
    for (name, value, error) in [
        (
            "SERVER_STORAGE_PATH",
            "bets.csv\r",
            "bets.csv\\r\": expected the path of a file; it has a control character, \\r",
        ),
        (
            "SERVER_STORAGE_PATH",
            "",
            "\": expected the path of a file; an empty value isn't the default, leave the setting out for it",
        ),
        ("SERVER_STORAGE_PATH", "data/", "data/\": expected the path of a file"),
        (
            "SERVER_PORT",
            "12345\r",
            "12345\\r\": expected a TCP port, 0 to 65535 (0: any free one); it has a control character, \\r",
        ),
        (
            "SERVER_PORT",
            "\"12345\"",
            "\"12345\"\": expected a TCP port, 0 to 65535 (0: any free one); its quotation marks are part of it",
        ),
        ("SERVER_PORT", "65536", "65536\": expected a TCP port, 0 to 65535 (0: any free one)"),
        (
            "LOGGING_LEVEL",
            "",
            "\": expected DEBUG, INFO, WARNING, ERROR or OFF; an empty value isn't the default, leave the setting out for it",
        ),
    ] {
        let (code, shown, errors) = place.check(&[(name, value)]);
        let expected = format!("error: environment variable {name} = \"{error}\n");
        assert_eq!((code, errors), (Some(2), expected));
        assert!(shown.contains(&format!("{name} = ")), "all is shown: {shown}");
    }
    let mut command = place.command(&[]);
    command.env("SERVER_STORAGE_PATH", std::ffi::OsString::from_vec(b"Nicol\xE1s.csv".to_vec()));
    let (code, _, errors) = outcome(command);
    let expected = "error: environment variable SERVER_STORAGE_PATH = \"Nicol\\xe1s.csv\": expected the path of a file; it isn't UTF-8\n";
    assert_eq!((code, errors.as_str()), (Some(2), expected));
    assert_eq!(place.files(), [PathBuf::from("config.ini")]);
}

#[test]
fn names_of_the_environment_that_are_not_read_are_reported_and_others_are_not() {
    let (code, shown, _) = Place::new(b"").check(&[
        ("server_port", "1"),
        ("SERVER_PROT", "1"),
        ("LOGGING_DESTINATION", "1"),
        ("CLI_IDD", "1"),
        ("SERVER_SERVICE_HOST", "10.0.0.1"),
        ("SERVER_PORT_12345_TCP_ADDR", "10.0.0.1"),
    ]);
    assert_eq!(code, Some(0));
    let mut warnings: Vec<_> = shown.lines().filter(|line| line.starts_with("unknown")).collect();
    warnings.sort_unstable();
    assert_eq!(
        warnings,
        [
            "unknown: environment variable LOGGING_DESTINATION",
            "unknown: environment variable SERVER_PROT (did you mean SERVER_PORT?)",
            "unknown: environment variable server_port (names are exact here: SERVER_PORT)",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_all_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    // What Docker makes in the place of a file that is to be mounted and isn't there.
    std::fs::create_dir(folder.path().join("config.ini")).expect("made");
    let place = Place(folder);
    let (code, _, errors) = place.check(&[("SERVER_WRITE_BUFFER_LOW", "1MiB")]);
    let expected = "error: config.ini: can't read it: must be a regular file, found a directory\n";
    assert_eq!((code, errors.as_str()), (Some(2), expected));
}

#[test]
fn warnings_and_a_lottery_without_agencies_are_logged() {
    let mut server =
        Server::start(&[("SERVER_AGENCIES", "0"), ("SERVER_PROT", "1"), ("SERVER_IP", "'server'")]);
    server.wait_for("accept_connections");
    let log = server.stop();
    for line in [
        " WARNING  action: config | result: fail | unknown_key: environment variable SERVER_PROT | hint: did you mean SERVER_PORT?\n",
        " WARNING  action: config | result: success | key: environment variable SERVER_IP | value: 'server' | warning: its quotation marks are part of it\n",
        " | state: echo | agencies: 0 | finished: 0 | with_bets: 0 | bets: 0 | note: there is no draw and every bet is refused, lines are echoed\n",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
}
