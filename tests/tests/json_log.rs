//! The log as JSON: what both programs write of a whole lottery, read by a parser that isn't ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use kit::inputs::file;
use kit::process::{free_port, output};
use kit::programs::binary;
use kit::server::command;
use runtime::logging::LogLine;
use rustix::process::{Pid, Signal, kill_process};

/// Action, result and keys of a line.
type Shape = (String, String, BTreeSet<String>);

/// What all lines have of their own.
const HEAD: [&str; 4] = ["time", "level", "action", "result"];

#[test]
fn every_line_of_a_lottery_is_an_object_and_says_what_the_text_says() {
    let (text, json) = (lottery("text", &[]), lottery("json", &[]));
    for (program, text, json) in [("central", &text[0], &json[0]), ("agency", &text[1], &json[1])] {
        let text: BTreeSet<_> = text.lines().map(shape_of_text).collect();
        let json: BTreeSet<_> = json.lines().map(shape_of_json).collect();
        assert_eq!(text, json, "the {program}'s lines");
        assert!(text.len() > 5, "{text:?}");
    }
}

/// One setting for both, which the agency's own goes before.
#[test]
fn an_agency_takes_the_form_that_the_environment_has_for_both_programs() {
    let [central, agency] = lottery("json", &[("CLI_LOG_FORMAT", "text")]);
    central.lines().for_each(|line| drop(shape_of_json(line)));
    agency.lines().for_each(|line| drop(shape_of_text(line)));
}

/// An error that ends the program is a line like the others.
#[test]
fn the_reason_of_an_end_is_an_object_too() {
    let mut client = Command::new(binary("client"));
    client.env_clear().args([
        "--log-format",
        "json",
        "--id",
        "1",
        "--server-address",
        "127.0.0.1:1",
    ]);
    let ended = output(client.env("CLI_DATA_PATH", "no such file\u{202e}").stdout(Stdio::piped()));
    let log = String::from_utf8(ended.stdout).expect("UTF-8");
    let (action, result, _) = shape_of_json(log.lines().last().expect("a line"));
    assert_eq!((&*action, &*result), ("run", "fail"), "{log}");
    assert!(log.contains("no such file") && !log.contains('\u{202e}'), "{log}");
}

/// Logs of the central and its one agency, from the start to the end: each has this form, unless the
/// agency's own settings say otherwise.
fn lottery(format: &str, of_agency: &[(&str, &str)]) -> [String; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port().to_string();
    let (mut central, mut stdout) = start_central(folder.path(), &port, format);
    let mut central_log = read_until_it_listens(&mut stdout);
    let mut agency = Command::new(binary("client"));
    agency
        .env_clear()
        .env("CLI_ID", "1")
        .env("CLI_SERVER_ADDRESS", format!("127.0.0.1:{port}"))
        .env("CLI_DATA_PATH", file(folder.path(), 1, 500, 100))
        .env("CLI_LOG_LEVEL", "DEBUG")
        .env("LOGGING_FORMAT", format)
        .envs(of_agency.iter().copied())
        .stdin(Stdio::null());
    let ended = output(agency.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert!(ended.status.success(), "{ended:?}");
    kill_process(Pid::from_child(&central), Signal::TERM).expect("it runs");
    stdout.read_to_string(&mut central_log).expect("UTF-8");
    assert!(central.wait().expect("it ends").success(), "{central_log}");
    [central_log, String::from_utf8(ended.stdout).expect("UTF-8")]
}

fn start_central(folder: &Path, port: &str, format: &str) -> (Child, BufReader<ChildStdout>) {
    let settings = [
        ("SERVER_PORT", port),
        ("SERVER_AGENCIES", "1"),
        ("LOGGING_LEVEL", "DEBUG"),
        ("LOGGING_FORMAT", format),
    ];
    let mut command = command(&settings);
    command.env("SERVER_STORAGE_PATH", folder.join("bets.csv")).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    (child, stdout)
}

fn read_until_it_listens(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut log = String::new();
    while !log.contains("action: listen |") && !log.contains("\"action\":\"listen\"") {
        assert!(stdout.read_line(&mut log).expect("UTF-8") > 0, "it has ended: {log}");
    }
    log
}

fn shape_of_text(line: &str) -> Shape {
    let line = LogLine::parse(line).unwrap_or_else(|| panic!("no line: {line}"));
    let keys = line.fields.iter().map(|(key, _)| (*key).to_owned()).collect();
    (line.action.to_owned(), line.result.name().to_owned(), keys)
}

/// Fails at a line that is no object of strings.
fn shape_of_json(line: &str) -> Shape {
    let members: BTreeMap<String, String> =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let [time, level, action, result] = HEAD.map(|key| members[key].clone());
    assert!(time.len() == "2024-08-21T22:11:15.123456Z".len() && time.ends_with('Z'), "{time}");
    assert!(["DEBUG", "INFO", "WARNING", "ERROR"].contains(&&*level), "{level}");
    let keys = members.into_keys().filter(|key| !HEAD.contains(&&**key)).collect();
    (action, result, keys)
}
