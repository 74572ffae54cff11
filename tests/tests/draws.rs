//! Draws with names in real processes: several side by side on one machine, and what of one draw can't
//! get into another.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::client::Client;
use kit::frames::{batch, end, hello, hello_of, responses};
use kit::http::{self, admin_port};
use kit::inputs::{expected_rows, file, rows_of};
use kit::log::run_error;
use kit::process::{TIMEOUT, output};
use kit::programs::binary;
use kit::server::{Server, command};

const YESTERDAY: &str = "2026-11-26";
const TODAY: &str = "2026-11-27";
const AGENCIES: [u32; 2] = [1, 2];

/// A folder with one of each draw in it, which has a file for each agency.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        for (draw, bets) in [(YESTERDAY, 40), (TODAY, 60)] {
            let folder = files.folder(draw);
            fs::create_dir(&folder).expect("made");
            for agency in AGENCIES {
                file(&folder, agency, bets, 10);
            }
        }
        files
    }

    fn folder(&self, draw: &str) -> PathBuf {
        self.0.path().join(draw)
    }

    /// A path below it, for settings.
    fn path(&self, path: &str) -> String {
        self.0.path().join(path).to_str().expect("text").to_owned()
    }

    /// The central of a draw: the same settings for each, but for its name.
    fn central(&self, draw: &str) -> Server {
        let ledger = self.path("{draw}/bets.csv");
        Server::start(&[
            ("SERVER_DRAW", draw),
            ("SERVER_AGENCIES", "2"),
            ("SERVER_STORAGE_PATH", &ledger),
            ("LOGGING_LEVEL", "DEBUG"),
        ])
    }

    /// An agency of a draw, whose file is found by the name.
    fn agency(&self, id: u32, draw: &str, central: &Server) -> Client {
        let mut command = Command::new(binary("client"));
        command
            .env_clear()
            .env("CLI_ID", id.to_string())
            .env("CLI_DRAW", draw)
            .env("CLI_DATA_PATH", self.path("{draw}/agency-{id}.csv"))
            .env("CLI_SERVER_ADDRESS", central.address())
            .env("CLI_LOG_LEVEL", "DEBUG")
            .stdin(Stdio::null());
        Client::start(command)
    }
}

#[test]
fn two_draws_side_by_side_don_t_mix_and_yesterdays_file_does_not_get_into_todays() {
    let files = Files::new();
    let centrals = [YESTERDAY, TODAY].map(|draw| (draw, files.central(draw)));
    // Yesterday's agency calls today's central, and the other way round.
    for (own, other) in [(0, 1), (1, 0)] {
        let (draw, central) = (centrals[own].0, &centrals[other].1);
        let (code, log) = files.agency(1, draw, central).end();
        assert_eq!(code, Some(1), "{log}");
        let served = centrals[other].0;
        let expected = format!(
            "action: run | result: fail | error: the central refuses, code 22: this central serves draw \
             {served} (SERVER_DRAW), found agency 1 of draw {draw}; CLI_DRAW is {draw}: "
        );
        assert!(log.contains(&expected), "{log}");
        assert_eq!(
            log.matches("action: connect | result: success").count(),
            1,
            "not retried: {log}"
        );
    }
    let agencies = centrals.iter().flat_map(|(draw, central)| {
        AGENCIES.map(|agency| (*draw, files.agency(agency, draw, central)))
    });
    for (draw, agency) in agencies.collect::<Vec<_>>() {
        let (code, log) = agency.end();
        assert_eq!(code, Some(0), "{log}");
        let winners = if draw == TODAY { 6 } else { 4 };
        assert!(log.contains(&format!("| cant_ganadores: {winners}\n")), "{log}");
    }
    for (draw, central) in centrals {
        let log = central.stop();
        for line in ["sorteo | result: success", "open_ledger | result: success | path: "] {
            let line = log.lines().find(|it| it.contains(line)).expect("the line");
            assert!(line.ends_with(&format!(" | draw: {draw}")), "{line}");
        }
        let [config, opened] = ["action: config | ", "action: open_lottery | "]
            .map(|action| log.lines().find(|line| line.contains(action)).expect("the line"));
        assert!(config.ends_with(&format!(" | draw: {draw}")), "{config}");
        assert!(opened.ends_with(&format!(" | draw: {draw}")), "{opened}");
        assert!(log.contains(&format!("| code: 22 | error: this central serves draw {draw} ")));
        let folder = files.folder(draw);
        for agency in AGENCIES {
            let sent = expected_rows(&folder.join(format!("agency-{agency}.csv")), agency);
            assert_eq!(rows_of(&folder.join("bets.csv"), agency), sent, "{draw}, agency {agency}");
        }
    }
}

/// What a central sends to a client that says this, and nothing more.
fn answers(central: &Server, said: &[u8]) -> Vec<String> {
    let mut stream = central.connect();
    stream.write_all(said).expect("sent");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("answered");
    responses(&received).0
}

/// An agency from before draws had names says version 1, as one of the unnamed draw does today.
#[test]
fn version_1_is_served_for_the_unnamed_draw_alone() {
    let bets = [("12345678", "7")];
    let said = |hello: Vec<u8>| [hello, batch(0, &bets), end(1)].concat();
    let unnamed = Server::start(&[("SERVER_AGENCIES", "2"), ("LOGGING_LEVEL", "DEBUG")]);
    assert_eq!(answers(&unnamed, &said(hello_of(1, TODAY))), ["error WrongDraw"]);
    let served = ["welcome 0 rejected 0 Open", "stored 1", "finished 1 0"];
    assert_eq!(answers(&unnamed, &said(hello(1))), served);
    let named = Server::start(&[("SERVER_AGENCIES", "2"), ("SERVER_DRAW", TODAY)]);
    assert_eq!(answers(&named, &said(hello(1))), ["error WrongDraw"]);
    assert_eq!(answers(&named, &said(hello_of(1, TODAY))), served);
    let log = unnamed.stop();
    assert!(!log.contains("draw: "), "no line of the unnamed draw has the key: {log}");
    let log = named.stop();
    assert!(log.contains(&format!(" | draw: {TODAY}\n")), "{log}");
}

#[test]
fn an_operator_sees_which_draw_it_is() {
    for (draw, json, metric, shown) in [
        ("", "null", "loteria_draw_info{draw=\"\"} 1\n", ["", ""]),
        (
            TODAY,
            "\"2026-11-27\"",
            "loteria_draw_info{draw=\"2026-11-27\"} 1\n",
            ["Sorteo 2026-11-27", "Draw 2026-11-27"],
        ),
    ] {
        let admin = ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0");
        let central = Server::start(&[("SERVER_DRAW", draw), admin]);
        let port = admin_port(central.log_so_far());
        let ask = |target: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
            stream.set_read_timeout(Some(TIMEOUT)).expect("set");
            http::ask(&mut stream, target).expect("a response").body
        };
        assert!(ask("/metrics").contains(metric));
        let status = ask("/status.json");
        assert!(status.contains(&format!("\"draw\":{json}}}")), "{status}");
        for (target, shown) in ["/", "/?lang=en"].into_iter().zip(shown) {
            assert!(ask(target).contains(&format!("<p id=\"draw\">{shown}</p>")), "{target}");
        }
        central.stop();
    }
}

/// The error of a central that must not start with this ledger; the files must stay as they are.
fn refused(ledger: &Path, environment: &[(&str, &str)]) -> String {
    let read = || [ledger.to_owned(), ledger.with_extension("csv.wal")].map(|it| fs::read(it).ok());
    let before = read();
    let mut central = command(environment);
    central.env("SERVER_STORAGE_PATH", ledger);
    let output = output(&mut central);
    let log = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(read() == before, "the ledger has changed");
    run_error(&log).to_owned()
}

#[test]
fn a_central_does_not_go_on_with_the_ledger_of_another_draw() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("bets.csv");
    let path = ledger.to_str().expect("text");
    let of_yesterday =
        [("SERVER_DRAW", YESTERDAY), ("SERVER_AGENCIES", "2"), ("SERVER_STORAGE_PATH", path)];
    for killed in [false, true] {
        let central = Server::start(&of_yesterday);
        answers(&central, &[hello_of(1, YESTERDAY), batch(0, &[("1", "7")])].concat());
        if killed {
            drop(central);
        } else {
            central.stop();
        }
        let start = format!("ledger: {path}: it is of draw {YESTERDAY}, found ");
        let text = refused(&ledger, &[("SERVER_DRAW", TODAY), ("SERVER_AGENCIES", "2")]);
        assert!(text.starts_with(&format!("{start}draw {TODAY} configured: ")), "{text}");
        assert!(text.contains(&format!("set SERVER_DRAW={YESTERDAY} to go on")), "{text}");
        let text = refused(&ledger, &[("SERVER_AGENCIES", "2")]);
        assert!(text.starts_with(&format!("{start}the unnamed draw configured: ")), "{text}");
    }
    assert_eq!(rows_of(&ledger, 1).len(), 1);
}

#[test]
fn a_path_with_a_draw_in_it_needs_a_draw() {
    for (program, path, draw) in
        [("server", "SERVER_STORAGE_PATH", "SERVER_DRAW"), ("client", "CLI_DATA_PATH", "CLI_DRAW")]
    {
        let mut command = Command::new(binary(program));
        command.env_clear().stdin(Stdio::null()).env(path, "a/{draw}.csv");
        command.env("CLI_ID", "1").env("CLI_SERVER_ADDRESS", "127.0.0.1:1");
        let output = output(&mut command);
        let text = String::from_utf8(output.stderr).expect("text");
        assert_ne!(output.status.code(), Some(0), "{text}");
        let expected = format!("expected a value without {{draw}}, or one in {draw}\n");
        assert!(text.contains(path) && text.ends_with(&expected), "{text}");
    }
}
