//! The load generator against the real central: what it counts is what the central has done.

use std::process::{Command, Output};

use kit::certificates::Certificates;
use kit::process::output;
use kit::programs::binary;
use kit::server::Server;
use serde_json::Value;

fn swarm(address: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("swarm"));
    command.args(arguments).args(["--address", address, "--timeout", "60s", "--json"]);
    output(&mut command)
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn lines_are_echoed_and_counted() {
    let server =
        Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true"), ("SERVER_LISTEN_BACKLOG", "64")]);
    let pid = server.pid().to_string();
    let load = ["--connections", "20", "--pipeline", "7", "--size", "100", "--lines", "50"];
    let options = ["--connecting", "20", "--pid", &pid];
    let output = swarm(&server.address(), &[&["echo"], &load[..], &options].concat());
    let report = report(&output);
    assert_eq!(report["messages"], 1000);
    assert!(report["latency_us"]["p99"].as_f64() >= report["latency_us"]["min"].as_f64());
    assert!(report["server_cpu_ns_per_message"].as_f64() > Some(0.0), "{report}");
    let log = server.stop();
    assert_eq!(log.matches("action: receive_message | result: success").count(), 1000);
}

#[test]
fn a_lottery_is_carried_to_its_draw_and_is_none_afterwards() {
    let server = Server::start(&[("SERVER_AGENCIES", "3")]);
    let load = ["lottery", "--agencies", "3", "--window", "4", "--max-amount", "9"];
    let arguments = [&load[..], &["--batches", "20"]].concat();
    let report = report(&swarm(&server.address(), &arguments));
    assert_eq!((&report["messages"], &report["bets"]), (&60.into(), &540.into()));
    let again = swarm(&server.address(), &arguments);
    let complaint = String::from_utf8(again.stderr).expect("text");
    assert!(complaint.contains("can't send bets, the draw has run: "), "{complaint}");
    assert_eq!(again.status.code(), Some(1));
    let rows = std::fs::read_to_string(server.folder().join("bets.csv")).expect("the ledger");
    assert_eq!(rows.lines().count(), 540);
    assert_eq!(server.stop().matches("action: sorteo | result: success").count(), 1);
}

#[test]
fn a_draw_with_a_name_takes_agencies_that_say_it() {
    let server = Server::start(&[("SERVER_AGENCIES", "2"), ("SERVER_DRAW", "hoy")]);
    let load = ["lottery", "--agencies", "2", "--max-amount", "9", "--batches", "2"];
    let refused = swarm(&server.address(), &load);
    let complaint = String::from_utf8(refused.stderr).expect("text");
    assert!(complaint.contains("this central serves draw hoy (SERVER_DRAW)"), "{complaint}");
    let report = report(&swarm(&server.address(), &[&load[..], &["--draw", "hoy"]].concat()));
    assert_eq!(report["bets"], 36);
}

#[test]
fn connections_are_spread_over_several_servers_in_turn() {
    let servers = [(); 2].map(|()| Server::start(&[("SERVER_ECHO_KEEP_ALIVE", "true")]));
    let addresses = servers.each_ref().map(Server::address).join(",");
    let pids = servers.each_ref().map(|server| server.pid().to_string()).join(",");
    let load = ["echo", "--connections", "5", "--lines", "10", "--pid", &pids];
    let report = report(&swarm(&addresses, &load));
    assert_eq!(report["messages"], 50);
    assert!(report["server_cpu_seconds"].as_f64() > Some(0.0), "{report}");
    let echoed = |server: Server| server.stop().matches("action: receive_message").count();
    assert_eq!(servers.map(echoed), [30, 20]);
}

#[test]
fn idle_connections_are_held() {
    let server = Server::start(&[("SERVER_LISTEN_BACKLOG", "1024")]);
    let report = report(&swarm(&server.address(), &["idle", "--connections", "100"]));
    assert_eq!((&report["connections"], &report["messages"]), (&100.into(), &0.into()));
    assert_eq!(report["latency_us"], Value::Null);
}

#[test]
fn more_connections_than_descriptors_are_no_load() {
    let server = Server::start(&[("SERVER_LISTEN_BACKLOG", "1024")]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "ulimit -n 30; exec \"$0\" \"$@\""]).arg(binary("swarm"));
    shell.args(["idle", "--connections", "100", "--address", &server.address()]);
    let output = output(&mut shell);
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert!(complaint.contains("Too many open files"), "{complaint}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

#[test]
fn no_figures_without_a_server_or_when_it_hangs_up() {
    let refused = swarm("127.0.0.1:1", &["idle", "--connections", "3"]);
    let complaint = String::from_utf8(refused.stderr).expect("text");
    assert!(complaint.contains("to 127.0.0.1:1 ended: not connected"), "{complaint}");
    // Without keep-alive the server answers one line and closes.
    let server = Server::start(&[]);
    let closed = swarm(&server.address(), &["echo", "--connections", "1", "--lines", "2"]);
    assert_eq!((closed.status.code(), closed.stdout.len()), (Some(1), 0));
    let complaint = String::from_utf8(closed.stderr).expect("text");
    assert!(
        complaint.starts_with("error: connection 1 of 1") && complaint.contains("KEEP_ALIVE=true"),
        "{complaint}"
    );
}

/// A central that takes TLS alone.
fn secured(certificates: &Certificates, settings: &[(&str, &str)]) -> Server {
    let files = certificates.server_settings("required");
    let files = files.iter().map(|(name, value)| (*name, value.as_str()));
    Server::start(&files.chain(settings.iter().copied()).collect::<Vec<_>>())
}

/// What makes it speak TLS, with the certificate and key of these names.
fn tls(certificates: &Certificates, own: &str) -> Vec<String> {
    let file = |name: &str| certificates.path(name).display().to_string();
    let (certificate, key) = (format!("{own}.pem"), format!("{own}.key"));
    [("--tls-ca", "ca.pem"), ("--tls-cert", &certificate), ("--tls-key", &key)]
        .into_iter()
        .flat_map(|(argument, name)| [argument.to_owned(), file(name)])
        .collect()
}

fn secured_swarm(server: &Server, arguments: &[&str], tls: &[String]) -> Output {
    let tls = tls.iter().map(String::as_str);
    swarm(&server.address(), &arguments.iter().copied().chain(tls).collect::<Vec<_>>())
}

#[test]
fn a_lottery_over_tls_shows_a_certificate_for_each_agency() {
    let certificates = Certificates::new(3);
    let server = secured(&certificates, &[("SERVER_AGENCIES", "3")]);
    let load = ["lottery", "--agencies", "3", "--max-amount", "9", "--batches", "20"];
    let one = secured_swarm(&server, &load, &tls(&certificates, "agency-1"));
    let complaint = String::from_utf8(one.stderr).expect("text");
    assert!(complaint.contains("the server refused: "), "{complaint}");
    assert_eq!((one.status.code(), one.stdout.len()), (Some(1), 0));
    let each = tls(&certificates, "agency-{id}");
    assert_eq!(report(&secured_swarm(&server, &load, &each))["bets"], 540);
    assert_eq!(server.stop().matches("action: sorteo | result: success").count(), 1);
}

#[test]
fn handshakes_are_counted_when_the_central_has_answered_over_them() {
    let certificates = Certificates::new(5);
    let server = secured(&certificates, &[]);
    let load = ["handshakes", "--connections", "5", "--handshakes", "40"];
    let report = report(&secured_swarm(&server, &load, &tls(&certificates, "agency-{id}")));
    assert_eq!((&report["connections"], &report["messages"]), (&5.into(), &40.into()));
    assert!(report["latency_us"]["min"].as_f64() > Some(0.0), "{report}");
    let two = format!("{0},{0}", server.address());
    let own = tls(&certificates, "agency-{id}");
    let arguments: Vec<_> = load.iter().copied().chain(own.iter().map(String::as_str)).collect();
    let complaint = String::from_utf8(swarm(&two, &arguments).stderr).expect("text");
    assert!(complaint.contains("handshakes are made with one address"), "{complaint}");
    let log = server.stop();
    assert_eq!(log.matches("action: receive_message | result: success").count(), 40);
}

#[test]
fn no_figures_of_a_central_that_isnt_trusted_or_trusts_nobody() {
    let (certificates, others) = (Certificates::new(1), Certificates::new(1));
    let server = secured(&certificates, &[]);
    let load = ["handshakes", "--connections", "1", "--handshakes", "1"];
    let [own, other] = [&certificates, &others].map(|files| tls(files, "agency-1"));
    for (arguments, expected) in [
        (other.clone(), "certificate isn't trusted"),
        // The central's authority, and a certificate of another one.
        ([&own[..2], &other[2..]].concat(), "the peer refuses: "),
        (own[2..].to_vec(), "TLS needs --tls-ca too"),
        (Vec::new(), "handshakes need --tls-ca"),
    ] {
        let output = secured_swarm(&server, &load, &arguments);
        let complaint = String::from_utf8(output.stderr).expect("text");
        assert!(complaint.contains(expected), "{expected}: {complaint}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    }
}
