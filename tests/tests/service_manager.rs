//! Both programs under a service manager that the test plays: what it hears, when it hears nothing, and
//! sockets that it passes on, at which a restart loses no connection.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use kit::client::Client;
use kit::frames::{ask, end, hello};
use kit::http;
use kit::log::{run_error, successes};
use kit::process::{TIMEOUT, finish, free_port, output};
use kit::programs::binary;
use kit::server::{Server, command};
use kit::service_manager::{ServiceManager, activated_server};
use kit::strace;
use rustix::process::Signal;

/// Long enough for a turn of the loop on a busy machine, short enough to be waited for a few times.
const WATCHDOG_USEC: &str = "400000";

fn is_status(message: &str) -> bool {
    message.starts_with("STATUS=")
}

/// A central that has just begun to listen, and what its service manager has heard by then.
fn started(service: &ServiceManager, environment: &[(&str, &str)]) -> (Server, Vec<String>) {
    let name = service.name();
    let server = Server::start(&[environment, &[("NOTIFY_SOCKET", &name)]].concat());
    (server, service.wait_for("READY=1"))
}

#[test]
fn a_start_may_take_long_and_is_ready_once_it_listens() {
    let service = ServiceManager::new();
    let (server, heard) = started(&service, &[("SERVER_AGENCIES", "2")]);
    assert_eq!(heard[0], "EXTEND_TIMEOUT_USEC=60000000");
    let [.., last, ready] = &heard[..] else { panic!("{heard:?}") };
    assert!(heard[1].starts_with("STATUS=recovering the ledger: "), "{heard:?}");
    assert!(last.starts_with("STATUS=recovering") || last.starts_with("EXTEND"), "{heard:?}");
    assert_eq!(ready, "READY=1\n");
    // It could be called before that was heard.
    drop(server.connect());
}

#[test]
fn its_line_says_what_the_draw_waits_for() {
    let service = ServiceManager::new();
    let (server, _) = started(&service, &[("SERVER_AGENCIES", "2")]);
    assert_eq!(service.next(), "STATUS=open: faltan 2 agencias of 2");
    for (agency, expected) in [(1, "open: falta 1 agencia of 2"), (2, "sorteo: held")] {
        let mut stream = server.connect();
        ask(&mut stream, &hello(agency));
        ask(&mut stream, &end(0));
        service.wait_for(&format!("STATUS={expected}"));
    }
    server.signal(Signal::TERM);
    let heard = service.wait_for("STOPPING=1");
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[test]
fn a_start_that_fails_says_why() {
    let service = ServiceManager::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let name = service.name();
    let mut central = command(&[("SERVER_PORT", &port), ("NOTIFY_SOCKET", &name)]);
    let log = String::from_utf8(output(&mut central).stdout).expect("text");
    assert!(run_error(&log).contains("Address already in use"), "{log}");
    assert_eq!(service.next(), "STOPPING=1\n");
    let status = service.next();
    assert!(status.starts_with("STATUS=failed: can't listen at 127.0.0.1:"), "{status}");
}

#[test]
fn a_reload_is_announced_and_over() {
    let service = ServiceManager::new();
    let (mut server, _) = started(&service, &[]);
    server.signal(Signal::HUP);
    let heard = service.wait_for("RELOADING=1");
    let reloading = heard.last().expect("one at least");
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(service.next(), "READY=1\n");
    server.wait_for("action: reload | result: success");
}

/// Waits for so many signs of life, among which nothing else is.
fn watch(service: &ServiceManager, count: usize) {
    for _ in 0..count {
        assert_eq!(service.next(), "WATCHDOG=1");
    }
}

#[test]
fn an_idle_loop_shows_that_it_turns_and_a_stopped_one_does_not() {
    let service = ServiceManager::new();
    let environment = [("WATCHDOG_USEC", WATCHDOG_USEC), ("SERVER_AGENCIES", "0")];
    let (mut server, _) = started(&service, &environment);
    service.wait_for("STATUS=echo");
    watch(&service, 5);
    server.suspend();
    service.drain();
    assert_eq!(service.hears_within(Duration::from_secs(1)), None);
    server.signal(Signal::CONT);
    watch(&service, 2);
    server.signal(Signal::USR2);
    server.wait_for("action: count");
    let counts = successes(server.log_so_far(), "count").next().expect("a line");
    let idle: u64 = counts.value("idle_turns").expect("a number");
    assert!(idle < 5, "to wake for the watchdog isn't idle: {idle}");
}

/// strace makes it wait in the middle of the loop, where a thread of its own would go on.
#[test]
fn a_loop_that_is_stuck_shows_nothing() {
    let service = ServiceManager::new();
    let name = service.name();
    let central = command(&[("NOTIFY_SOCKET", &name), ("WATCHDOG_USEC", WATCHDOG_USEC)]);
    let hang = "--inject=/^epoll_p?wait$:delay_enter=60000000:when=20";
    let arguments = ["--trace=/^epoll_p?wait$", hang].map(str::to_owned);
    let traced = strace::traced(&central, Path::new("/dev/null"), &arguments);
    let server = Server::start_command(traced);
    service.wait_for("WATCHDOG=1");
    // It is stuck when it has been silent for longer than ever before.
    let silent = (0..1000).any(|_| service.hears_within(Duration::from_secs(2)).is_none());
    assert!(silent);
    let mut stream = server.connect();
    stream.write_all(b"is anybody there\n").expect("the kernel takes it");
    assert_eq!(service.hears_within(Duration::from_secs(1)), None);
    strace::untrace(server.pid());
}

#[test]
fn what_cannot_be_used_is_a_warning_and_the_central_serves() {
    for (environment, expected) in [
        (("NOTIFY_SOCKET", "vsock:2:1"), "NOTIFY_SOCKET: expected a path"),
        (("NOTIFY_SOCKET", "/nonexistent/notify"), "No such file or directory"),
    ] {
        let log = Server::start(&[environment]).stop();
        let warnings: Vec<_> =
            log.lines().filter(|line| line.contains("notify_service_manager")).collect();
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(warnings[0].contains("WARNING") && warnings[0].contains(expected), "{log}");
    }
    let service = ServiceManager::new();
    let (server, _) = started(&service, &[("WATCHDOG_USEC", "soon")]);
    assert!(server.stop().contains("WATCHDOG_USEC: expected microseconds, from 1 on, found soon"));
}

fn echoes(mut stream: TcpStream, line: &str) {
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    stream.write_all(format!("{line}\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert_eq!(answer, format!("{line}\n"));
}

#[test]
fn at_a_passed_socket_no_connection_is_lost_while_no_central_runs() {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = socket.local_addr().expect("bound");
    let connect = || TcpStream::connect_timeout(&address, TIMEOUT).expect("it is listened at");
    for round in ["before the first", "between two"] {
        let early = connect();
        let mut server = Server::start_command(activated_server(&[&socket], None, &[]));
        assert_eq!(server.address(), address.to_string());
        echoes(early, round);
        echoes(connect(), "while it runs");
        server.signal(Signal::TERM);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn the_admin_listeners_socket_is_known_by_its_name() {
    let sockets = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a port"));
    let [admin, lottery] = sockets.each_ref();
    let admin_port = admin.local_addr().expect("bound").port();
    let configured = format!("127.0.0.1:{admin_port}");
    let environment = [("SERVER_ADMIN_ADDRESS", &*configured)];
    let names = Some("admin:loteria-server.socket");
    let server = Server::start_command(activated_server(&[admin, lottery], names, &environment));
    assert_eq!(server.address(), lottery.local_addr().expect("bound").to_string());
    echoes(server.connect(), "hola");
    let mut stream = TcpStream::connect(admin.local_addr().expect("bound")).expect("it listens");
    let response = http::ask(&mut stream, "/readyz").expect("answered");
    assert_eq!(response.status, 200);
    let log = server.stop();
    assert!(!log.contains("WARNING"), "{log}");
}

#[test]
fn another_port_than_is_configured_is_a_warning() {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = socket.local_addr().expect("bound").port();
    let environment = [("SERVER_PORT", "1")];
    let log = Server::start_command(activated_server(&[&socket], None, &environment)).stop();
    let warning = format!("the passed socket is at port {port}, and SERVER_PORT says 1: ");
    assert!(log.contains(&warning), "{log}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let mut central = command(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    central.stdin(OwnedFd::from(socket.try_clone().expect("a descriptor")));
    let server = Server::start_command(central);
    assert_ne!(server.address(), socket.local_addr().expect("bound").to_string());
    echoes(server.connect(), "hola");
}

/// How a central ends that must not start, and leaves nothing behind.
fn refusal(mut command: Command) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    command.env("SERVER_STORAGE_PATH", folder.path().join("bets.csv")).stdout(Stdio::piped());
    // Its standard error is the way of a socket.
    let output = finish(command.spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
    run_error(str::from_utf8(&output.stdout).expect("text")).to_owned()
}

#[test]
fn what_nobody_would_serve_is_refused() {
    let sockets = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a port"));
    let [one, two] = sockets.each_ref();
    for (command, expected) in [
        (
            activated_server(&[one, two], Some("one:two"), &[]),
            "the passed socket two: expected one socket",
        ),
        (
            activated_server(&[one, two], None, &[]),
            "the passed socket unknown: expected one socket",
        ),
        (
            activated_server(&[one, two], Some("one:admin"), &[]),
            "the passed socket admin: SERVER_ADMIN_ADDRESS is off",
        ),
        (
            activated_server(&[one], Some("one:two"), &[]),
            "LISTEN_FDNAMES = one:two: expected 1 names",
        ),
        (
            activated_server(&[], None, &[("LISTEN_FDS", "many")]),
            "LISTEN_FDS = many: expected how many",
        ),
        // Standard input is the null device there.
        (
            activated_server(&[], None, &[("LISTEN_FDS", "1")]),
            "the passed socket unknown: expected one of TCP",
        ),
    ] {
        let error = refusal(command);
        assert!(error.starts_with(expected), "{error}");
    }
}

fn agency(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(binary("client"));
    command.env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

#[test]
fn an_agency_says_where_it_is() {
    let server = Server::start(&[("SERVER_AGENCIES", "2")]);
    let service = ServiceManager::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agency-1.csv");
    std::fs::write(&path, "Ana,Paz,30904465,1999-03-17,7574\n").expect("written");
    let (name, address) = (service.name(), server.address());
    let client = Client::start(agency(&[
        ("NOTIFY_SOCKET", &name),
        ("WATCHDOG_USEC", WATCHDOG_USEC),
        ("CLI_ID", "1"),
        ("CLI_SERVER_ADDRESS", &address),
        ("CLI_DATA_PATH", path.to_str().expect("text")),
        ("CLI_DATA_QUIET_DELAY", "0s"),
    ]));
    assert_eq!(service.next(), "READY=1\n");
    let heard = service.wait_for("STATUS=agencia 1: waiting for draw");
    let expected =
        "STATUS=agencia 1: waiting for draw, 100 % of the file, 1 bets confirmed; connection: open";
    assert_eq!(heard.last().map(String::as_str), Some(expected));
    assert!(heard.iter().all(|message| is_status(message) || message == "WATCHDOG=1"), "{heard:?}");
    service.drain();
    watch(&service, 3);
    client.signal(Signal::TERM);
    service.wait_for("STOPPING=1");
    client.ends_because_of("SIGTERM");
}

#[test]
fn an_agency_whose_central_is_down_is_ready_and_turns() {
    let service = ServiceManager::new();
    let port = free_port();
    let (name, address) = (service.name(), format!("127.0.0.1:{port}"));
    let _client = Client::start(agency(&[
        ("NOTIFY_SOCKET", &name),
        ("WATCHDOG_USEC", WATCHDOG_USEC),
        ("CLI_ID", "1"),
        ("CLI_MODE", "echo"),
        ("CLI_SERVER_ADDRESS", &address),
        ("CLI_RETRY_MAX_ATTEMPTS", "0"),
        ("CLI_RETRY_MIN_DELAY", "1m"),
        ("CLI_RETRY_MAX_DELAY", "1m"),
    ]));
    assert_eq!(service.next(), "READY=1\n");
    watch(&service, 4);
}

#[test]
fn an_agency_that_fails_says_why() {
    let service = ServiceManager::new();
    let name = service.name();
    let client = Client::start(agency(&[
        ("NOTIFY_SOCKET", &name),
        ("CLI_ID", "1"),
        ("CLI_SERVER_ADDRESS", "127.0.0.1:1"),
        ("CLI_DATA_PATH", "/nonexistent/agency-1.csv"),
    ]));
    assert_eq!(client.end().0, Some(1));
    let heard = service.wait_for("STATUS=failed: ");
    assert!(heard.iter().all(|message| !message.contains("READY")), "{heard:?}");
}
