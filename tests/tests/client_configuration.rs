//! What an operator gets wrong in the configuration of an agency is reported, by the real binary, with
//! file and line, and never read as something else.

use std::process::{Command, Stdio};

use kit::process::output;
use kit::programs::binary;

/// What `--check-config` prints of a `config.yaml`: its exit code, what is in force, and the errors.
fn check(config: &str, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("config.yaml"), config).expect("written");
    let mut command = Command::new(binary("client"));
    command.arg("--check-config").env_clear().current_dir(folder.path()).stderr(Stdio::piped());
    command.envs(environment.iter().copied());
    let output = output(&mut command);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const NEEDED: [(&str, &str); 2] = [("CLI_ID", "1"), ("CLI_SERVER_ADDRESS", "server:12345")];

const COURSE: &str = "server:\n  address: \"server:12345\"\nloop:\n  amount: 5\n  period: \"5s\"\nlog:\n  level: \"info\"\nbatch:\n  maxAmount: 50";

#[test]
fn the_courses_file_is_read_whatever_the_case_of_its_keys() {
    for config in
        [COURSE, &COURSE.to_uppercase().replace("5S", "5s"), &COURSE.replace('\n', "\r\n")]
    {
        let (code, shown, errors) = check(config, &NEEDED[..1]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert!(!shown.contains("unknown"), "{shown}");
        for line in [
            "loop.amount = 5    (config.yaml:4)\n",
            "loop.period = 5s    (config.yaml:5)\n",
            "batch.maxAmount = 50    (config.yaml:9)\n",
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
        assert!(
            shown.to_lowercase().contains("server.address = server:12345    (config.yaml:2)\n")
        );
    }
}

#[test]
fn a_bet_in_the_file_is_what_was_written() {
    let bet = "mode: apuesta\napuesta:\n  nombre: True\n  apellido: No\n  documento: 030904465\n  nacimiento: 1999-03-17\n  numero: 0x1d96\n";
    let (code, shown, _) = check(bet, &NEEDED);
    assert_eq!(code, Some(0));
    for value in [
        "nombre = True",
        "apellido = No",
        "documento = 030904465",
        "nacimiento = 1999-03-17",
        "numero = 0x1d96",
    ] {
        assert!(shown.contains(&format!("apuesta.{value}    (config.yaml:")), "{shown}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_line() {
    let amount = "expected a number, 0 to 4294967295";
    let level = "expected DEBUG, INFO, WARNING, ERROR or OFF";
    for (config, error) in [
        ("loop:\n  amount: 5.0\n  period: 5s\n", format!("2: loop.amount = \"5.0\": {amount}")),
        ("loop:\n  amount: 1_000\n", format!("2: loop.amount = \"1_000\": {amount}")),
        ("loop: {amount: 0x10}\n", format!("1: loop.amount = \"0x10\": {amount}")),
        ("loop.amount: 1e3\n", format!("1: loop.amount = \"1e3\": {amount}")),
        ("log:\n  level: [DEBUG]\n", format!("2: log.level = \"[DEBUG]\": {level}; it is a list")),
        ("log:\n  level: {a: b}\n", format!("2: log.level = \"{{a: b}}\": {level}; it is a section")),
        ("log:\n  level:\n", format!("2: log.level = \"\": {level}; an empty value isn't the default, leave the setting out for it")),
        ("log:\n  level: ~\n", format!("2: log.level = \"\": {level}; an empty value isn't the default, leave the setting out for it")),
        ("log:\n  level: true\n", format!("2: log.level = \"true\": {level}")),
        ("log:\n  level: !x INFO\n", format!("2: log.level = \"!\": {level}; its tag isn't known")),
        ("log: INFO\n", "1: log = \"INFO\": expected a section, with level, format, maxLines, interval, suppressedInterval".to_owned()),
        ("batch:\n  maxAmount: 50\nbatch:\n  window: 2\n", "3: duplicate key batch, first in line 1".to_owned()),
        ("batch:\n  maxAmount: 50\n  maxamount: 2\n", "3: duplicate key batch.maxamount, first in line 2".to_owned()),
        ("batch:\n  window: 2\nbatch.window: 3\n", "3: duplicate key batch.window, first in line 2".to_owned()),
        ("data:\n  path: \"a\\tb\"\n", "2: data.path = \"a\\tb\": expected a path; {id} stands for the agency's number; it has a control character, \\t".to_owned()),
        ("loop:\n  period: 5\n", "2: loop.period = \"5\": expected a duration up to 365d, as 500ms, 30s or 5m; it has no unit".to_owned()),
        ("loop:\n  period: 5M\n", "2: loop.period = \"5M\": expected a duration up to 365d, as 500ms, 30s or 5m; \"M\" is no unit here: s, m, h or d".to_owned()),
    ] {
        let (code, shown, errors) = check(config, &NEEDED);
        assert_eq!((code, errors), (Some(2), format!("error: config.yaml:{error}\n")));
        assert!(shown.contains("id = 1    (environment)\n"), "all is shown: {shown}");
    }
}

#[test]
fn a_file_that_cannot_be_understood_is_all_that_is_wrong() {
    for config in ["id: [\n", "- id\n", "id: 1\n---\nid: 2\n", "server:\n\taddress: x\n"] {
        let (code, shown, errors) = check(config, &[]);
        assert_eq!((code, errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(errors.starts_with("error: config.yaml:"), "{errors}");
        assert!(shown.contains("id =     (not set)\n"), "{shown}");
    }
}

#[test]
fn what_is_missing_is_named_beside_what_is_there() {
    let (code, shown, errors) = check("sever:\n  address: x:1\n", &[("CLI_LOOP_AMOUNT", "7")]);
    assert_eq!(code, Some(2));
    assert!(shown.contains("loop.amount = 7    (environment)\n"), "{shown}");
    let unknown = "unknown: config.yaml:2: sever.address (did you mean server.address?)\n";
    assert!(shown.contains(unknown), "{shown}");
    assert_eq!(errors.matches(" is not set: expected ").count(), 2, "{errors}");
}

#[test]
fn quotation_marks_that_came_with_a_value_are_reported() {
    let environment =
        [("CLI_MODE", "apuesta"), ("NOMBRE", "\"Santiago Lionel\""), ("APELLIDO", "Lorca")];
    let rest = [("DOCUMENTO", "30904465"), ("NACIMIENTO", "1999-03-17"), ("NUMERO", "7574")];
    let (code, shown, _) = check("", &[&NEEDED[..], &environment, &rest].concat());
    assert_eq!(code, Some(0));
    let expected = "warning: environment variable NOMBRE = \"\"Santiago Lionel\"\": its quotation marks are part of it\n";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn the_flag_is_found_by_the_name_in_the_environment() {
    for flag in ["--batch-max-amount", "--batch-maxamount"] {
        let mut command = Command::new(binary("client"));
        command.args([flag, "7", "--check-config"]).env_clear().stderr(Stdio::null());
        let output = output(&mut command);
        let shown = String::from_utf8(output.stdout).expect("text");
        assert!(shown.contains("batch.maxAmount = 7    (command line)\n"), "{shown}");
    }
}
