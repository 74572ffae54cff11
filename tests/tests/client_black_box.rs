//! Real agencies against a real central on loopback, as an operator sees them.

use std::io::{BufRead, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use kit::inputs::{expected_rows, file, rows_of};
use kit::log::successes;
use kit::process::output;
use kit::programs::binary;
use kit::reads;
use kit::server::Server;
use rustix::process::{Pid, Signal, kill_process};

fn client(server: &Server, agency: u32, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary("client"));
    command.env_clear().env("CLI_ID", agency.to_string());
    command.env("CLI_SERVER_ADDRESS", server.address()).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn agency(server: &Server, agency: u32, path: &Path, max_amount: &str) -> Child {
    let path = path.to_str().expect("a plain name");
    let environment = [("CLI_DATA_PATH", path), ("CLI_BATCH_MAXAMOUNT", max_amount)];
    client(server, agency, &environment).spawn().expect("it starts")
}

fn finish(child: Child) -> (Option<i32>, String) {
    log_of(kit::process::finish(child))
}

fn log_of(output: Output) -> (Option<i32>, String) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

fn ledger_of(server: &Server, agency: u32) -> Vec<Vec<String>> {
    rows_of(&server.folder().join("bets.csv"), agency)
}

#[test]
fn five_agencies_store_draw_and_learn_their_own_winners_and_so_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "5")]);
    let inputs: Vec<_> = [(1, 1000, 100), (2, 777, 50), (3, 1, 1), (4, 300, 1000), (5, 0, 1)]
        .into_iter()
        .map(|(agency, bets, lucky)| {
            (agency, file(folder.path(), agency, bets, lucky), bets / lucky)
        })
        .collect();
    for run in 1..=2 {
        let children: Vec<_> = inputs
            .iter()
            .zip(["7", "40", "100", "1000", "1"])
            .map(|((id, path, _), max_amount)| agency(&server, *id, path, max_amount))
            .collect();
        for (child, (id, path, winners)) in children.into_iter().zip(&inputs) {
            let (code, log) = finish(child);
            let expected = format!(
                "action: consulta_ganadores | result: success | cant_ganadores: {winners}\n"
            );
            assert_eq!((code, log.matches(&expected).count()), (Some(0), 1), "run {run}: {log}");
            assert_eq!(ledger_of(&server, *id), expected_rows(path, *id), "run {run}");
        }
    }
    let log = server.stop();
    assert_eq!(log.matches("action: sorteo | result: success\n").count(), 1);
    let taken: usize = successes(&log, "apuesta_recibida")
        .map(|line| line.value::<usize>("cantidad").expect("a number"))
        .sum();
    assert_eq!(taken, 1000 + 777 + 1 + 300);
}

#[test]
fn a_bad_bet_costs_its_batch_and_the_agency_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    for bad in [
        "Ana,Paz,1,2000-01-01,x",
        "Ana,Paz,1,2000-02-30,1",
        ",Paz,1,2000-01-01,1",
        "Ana,Paz,A1,2000-01-01,1",
    ] {
        let server = Server::start(&[("SERVER_AGENCIES", "1")]);
        let path = folder.path().join("agency-1.csv");
        let good = "Luz,Sol,2,2000-01-01,7574";
        std::fs::write(&path, [good, bad, good, good, ""].join("\n")).expect("written");
        let data = path.to_str().expect("a plain name");
        let environment =
            [("CLI_DATA_PATH", data), ("CLI_BATCH_MAXAMOUNT", "2"), ("CLI_DATA_CHECK", "off")];
        let (code, log) = finish(client(&server, 1, &environment).spawn().expect("it starts"));
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("action: apuesta_enviada | result: fail | cantidad: 2 | posicion: 1"),
            "{log}"
        );
        assert!(
            log.contains("action: consulta_ganadores | result: success | cant_ganadores: 2\n"),
            "{log}"
        );
        assert_eq!(ledger_of(&server, 1).len(), 2);
        let log = server.stop();
        assert!(log.contains("action: apuesta_recibida | result: fail | cantidad: 2\n"), "{log}");
        assert!(
            log.contains("action: apuesta_recibida | result: success | cantidad: 2\n"),
            "{log}"
        );
    }
}

#[test]
fn an_input_that_is_not_the_one_sent_before_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let path = file(folder.path(), 1, 100, 10);
    assert_eq!(finish(agency(&server, 1, &path, "30")).0, Some(0));
    let original = std::fs::read_to_string(&path).expect("text");
    for (edited, expected) in [
        (
            original.replace("00000011", "00000012"),
            "it isn't the one that was sent before. Send the",
        ),
        (original.lines().take(50).collect::<Vec<_>>().join("\n") + "\n", "the input has only 50"),
        (
            original.clone() + "Ana,Paz,1,2000-01-01,1\r\n",
            "but the input has more. For another lottery stop the central, remove its bets.csv and",
        ),
        (original.clone() + "Ana,Paz\r\n", "1 of 101 rows are bad: nothing was sent"),
    ] {
        std::fs::write(&path, edited).expect("written");
        let (code, log) = finish(agency(&server, 1, &path, "30"));
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("action: run | result: fail | error: ") && log.contains(expected),
            "{log}"
        );
    }
    assert_eq!(ledger_of(&server, 1).len(), 100);
}

#[test]
fn a_central_that_is_killed_and_restarted_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment = [("SERVER_AGENCIES", "2")];
    let mut server = Server::start(&environment);
    let inputs =
        [(1, file(folder.path(), 1, 20_000, 1000)), (2, file(folder.path(), 2, 15_000, 500))];
    let children: Vec<_> =
        inputs.iter().map(|(id, path)| agency(&server, *id, path, "7")).collect();
    for round in 0..5_u64 {
        // So far at least must they come between two kills.
        let ledger = server.folder().join("bets.csv");
        while ledger.metadata().expect("it exists").len() < (round + 1) * 100_000 {
            std::thread::yield_now();
        }
        server = server.kill_and_restart(&environment);
    }
    for (child, winners) in children.into_iter().zip([20, 30]) {
        let (code, log) = finish(child);
        let expected = format!("cant_ganadores: {winners}\n");
        assert!(code == Some(0) && log.contains(&expected), "{code:?} {log}");
        assert!(log.contains("action: connect | result: in_progress"), "it was cut off");
    }
    for (id, path) in &inputs {
        assert_eq!(ledger_of(&server, *id), expected_rows(path, *id));
    }
    server.stop();
}

#[test]
fn sigterm_ends_an_agency_that_waits_for_the_draw() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let path = file(folder.path(), 1, 10, 1);
    let environment =
        [("CLI_DATA_PATH", path.to_str().expect("plain")), ("CLI_LOG_LEVEL", "DEBUG")];
    let mut child = client(&server, 1, &environment).spawn().expect("it starts");
    let mut log = reads::lines(child.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains("action: finish | result: success") {
        assert!(log.read_line(&mut text).expect("text") > 0, "{text}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    log.read_to_string(&mut text).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
    for line in [
        "action: close_connection | result: success",
        "action: close_file | result: success | path: ",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("consulta_ganadores"));
}

#[test]
fn a_result_that_is_held_back_is_logged_when_the_client_is_asked_to_end() {
    let server = Server::start(&[("SERVER_AGENCIES", "1")]);
    let file = file(server.folder(), 1, 3, 3);
    let bet = ["Ana", "Paz", "12345678", "2000-01-01", "7"];
    let fields = ["NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"];
    let bet: Vec<_> = fields.into_iter().zip(bet).chain([("CLI_MODE", "apuesta")]).collect();
    let lottery = [("CLI_DATA_PATH", file.to_str().expect("a plain name"))];
    for (mode, result) in [
        (&[("CLI_MODE", "echo")][..], "action: loop_finished | result: success"),
        (&lottery[..], "action: consulta_ganadores | result: success | cant_ganadores: 1"),
    ] {
        assert_held_back(client(&server, 1, mode), result);
    }
    let server = Server::start(&[]);
    assert_held_back(client(&server, 2, &bet), "action: apuesta_enviada | result: success");
}

/// The connection ends, and only then, when asked to end, the client logs the result.
fn assert_held_back(mut command: Command, result: &str) {
    let hold = [("CLI_ANNOUNCE_DELAY", "1h"), ("CLI_LOOP_AMOUNT", "1"), ("CLI_LOG_LEVEL", "DEBUG")];
    let mut child = command.envs(hold).spawn().expect("it starts");
    let (mut log, mut text) = (reads::lines(child.stdout.take().expect("piped")), String::new());
    while !text.contains("action: close_connection") {
        assert!(log.read_line(&mut text).expect("text") > 0, "{text}");
    }
    assert!(!text.contains(result), "too early: {text}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    log.read_to_string(&mut text).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
    assert_eq!(text.matches(result).count(), 1, "{text}");
}

#[test]
fn the_echo_loop_sends_and_gets_every_message() {
    let server = Server::start(&[]);
    let environment = [("CLI_MODE", "echo"), ("CLI_LOOP_AMOUNT", "3"), ("CLI_LOG_LEVEL", "DEBUG")];
    let (code, log) = log_of(output(&mut client(&server, 4, &environment)));
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains(
            "action: config | result: success | client_id: 4 | server_address: 127.0.0.1:"
        )
    );
    assert!(log.contains("| loop_amount: 3 | loop_period: 0s | log_level: DEBUG"), "{log}");
    for number in 1..=3 {
        let line = format!(
            "action: receive_message | result: success | client_id: 4 | msg: [CLIENT 4] Message N°{number}\n"
        );
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
    assert!(log.contains("action: loop_finished | result: success | client_id: 4\n"));
    assert_eq!(server.stop().matches("action: receive_message | result: success").count(), 3);
}

#[test]
fn one_bet_by_hand_is_stored_once() {
    let server = Server::start(&[]);
    let environment = [
        ("CLI_MODE", "apuesta"),
        ("NOMBRE", "Santiago Lionel"),
        ("APELLIDO", "Lorca"),
        ("DOCUMENTO", "30904465"),
        ("NACIMIENTO", "1999-03-17"),
        ("NUMERO", "7574"),
    ];
    for _ in 0..2 {
        let (code, log) = log_of(output(&mut client(&server, 1, &environment)));
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(
            "action: apuesta_enviada | result: success | dni: 30904465 | numero: 7574\n"
        ));
    }
    let bad = [&environment[..5], &[("NUMERO", "x")]].concat();
    let (code, log) = log_of(output(&mut client(&server, 2, &bad)));
    assert_eq!(code, Some(1));
    let line =
        "action: check_data | result: fail | field: number | value: x | error: not only digits";
    assert!(log.contains(line) && log.contains("nothing was sent"), "{log}");
    // Left to the central's judgement.
    let bad = [&bad[..], &[("CLI_DATA_CHECK", "off")]].concat();
    let (code, log) = log_of(output(&mut client(&server, 2, &bad)));
    assert_eq!(code, Some(1));
    assert!(log.contains("action: apuesta_enviada | result: fail | dni: 30904465 | numero: x | error: number: expected"), "{log}");
    let log = server.stop();
    let line = "action: apuesta_almacenada | result: success | dni: 30904465 | numero: 7574\n";
    assert_eq!(log.matches(line).count(), 1, "{log}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let mut command = Command::new(binary("client"));
    let refused = output(command.env_clear().env("CLI_BATCH_MAXAMOUNT", "0"));
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8(refused.stderr).expect("text");
    assert!(text.contains("error: CLI_ID is not set"), "{text}");
    assert!(
        text.contains(
            "error: environment variable CLI_BATCH_MAXAMOUNT = \"0\": expected a number, 1 to 65535"
        ),
        "{text}"
    );

    let server = Server::start(&[]);
    let environment = [("CLI_DATA_PATH", "/no/such/file")];
    let (code, log) = log_of(output(&mut client(&server, 1, &environment)));
    assert_eq!(code, Some(1));
    assert!(log.contains("/no/such/file: can't be opened"), "{log}");
    assert!(log.contains(": set CLI_DATA_PATH (data.path in the file) to "), "{log}");
}
