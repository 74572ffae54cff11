//! One address that takes all the room there is, and many that come and go.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::attack::{Attack, attacked_command};
use crate::conversation::{HOSTILE, connect_with};
use crate::honest::Latencies;
use crate::log_bound;
use crate::scale;
use kit::conversation::Conversation;
use kit::frames::{batch, hello};
use kit::process::{TIMEOUT, output, raise_descriptors};
use kit::server::Server;

/// An address that the server has never seen.
const NEWCOMER: u8 = 4;

/// Where an agency comes from that the server knows.
const AGENCY: u8 = 5;

/// Loopback is limited like any other address.
const LIMITED: (&str, &str) = ("SERVER_UNLIMITED_ADDRESSES", "");

/// Kinds of lines that these attacks make: accepted, waiting for connections, refused for three
/// reasons, evicted, echoed, batch stored, batch and request received.
const KINDS: usize = 10;

/// An attack with this setting on a server whose log is bounded.
fn begin(name: &'static str, setting: (&str, &str)) -> Attack {
    Attack::begin(name, &[&log_bound::SETTINGS[..], &[LIMITED, setting]].concat())
}

fn try_connect(server: &Server, host: u8) -> Option<TcpStream> {
    connect_with(server, host, |_| Ok(())).ok()
}

/// One line there and back, on a connection of its own.
fn try_echo(server: &Server, host: u8) -> std::io::Result<()> {
    let mut stream = connect_with(server, host, |_| Ok(()))?;
    stream.write_all(b"hola\n")?;
    let mut response = [0; 5];
    stream.read_exact(&mut response)?;
    assert_eq!(&response, b"hola\n");
    Ok(())
}

/// A newcomer that comes again until it is served; how long that took is added to `latencies`.
fn echo(server: &Server, latencies: &mut Latencies) -> std::io::Result<()> {
    let begun = Instant::now();
    while let Err(error) = try_echo(server, NEWCOMER) {
        if begun.elapsed() > TIMEOUT {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    latencies.add(begun.elapsed());
    Ok(())
}

/// How the health check ends, by a code or by a signal.
fn health_check(server: &Server) -> ExitStatus {
    let (_, port) = server
        .address()
        .rsplit_once(':')
        .map(|(ip, port)| (ip.to_owned(), port.to_owned()))
        .expect("a port");
    let mut command: Command = attacked_command(&[("SERVER_PORT", &port)]);
    command.arg("healthcheck");
    output(&mut command).status
}

/// A newcomer, the health check and an agency must get in; returns those that don't.
fn who_is_locked_out(server: &Server, latencies: &mut Latencies) -> Vec<String> {
    let mut locked_out = Vec::new();
    if let Err(error) = echo(server, latencies) {
        locked_out.push(format!("a newcomer: {error}"));
    }
    let checked = health_check(server);
    if !checked.success() {
        locked_out.push(format!("the health check: {checked}"));
    }
    let response = store(server).unwrap_or_else(|error| error.to_string());
    if response != "stored 1" {
        locked_out.push(format!("an agency: {response}"));
    }
    locked_out
}

/// The response to an agency that comes to store a bet.
fn store(server: &Server) -> std::io::Result<String> {
    let mut agency = Conversation(connect_with(server, AGENCY, |_| Ok(()))?);
    agency.try_ask(&hello(2))?;
    agency.try_ask(&batch(0, &[("1", "7")]))
}

#[test]
fn silent_connections_of_one_address_lock_no_other_out() {
    raise_descriptors();
    let count = scale(2_000, 10_000);
    let places = scale("1500", "9000");
    let attack = begin("silent connections from one address", ("SERVER_MAX_CONNECTIONS", places));
    let silent: Vec<_> = (0..count).filter_map(|_| try_connect(&attack.server, HOSTILE)).collect();
    let mut latencies = Latencies::default();
    let mut broken = who_is_locked_out(&attack.server, &mut latencies);
    broken.extend(log_bound::exceeded(&attack, KINDS));
    let open = silent.iter().filter(|stream| is_open(stream)).count();
    let measured = format!("{count} connects, {open} stay open; a newcomer waits {latencies}");
    attack.end("`SERVER_MAX_CONNECTIONS_PER_ADDRESS`", &measured, broken);
}

#[test]
fn silent_connections_of_many_addresses_lock_no_other_out() {
    raise_descriptors();
    let count = scale(2_000, 10_000);
    let places = scale("1500", "9000");
    let attack =
        begin("silent connections from many addresses", ("SERVER_MAX_CONNECTIONS", places));
    assert_eq!(store(&attack.server).expect("a response"), "stored 1");
    let hosts = (100..=250).cycle();
    let silent: Vec<_> =
        hosts.take(count).filter_map(|host| try_connect(&attack.server, host)).collect();
    let mut latencies = Latencies::default();
    let mut broken = who_is_locked_out(&attack.server, &mut latencies);
    broken.extend(log_bound::exceeded(&attack, KINDS));
    let open = silent.iter().filter(|stream| is_open(stream)).count();
    let measured = format!("{count} connects, {open} stay open; a newcomer waits {latencies}");
    attack.end("the longest silent makes room, and a reserve", &measured, broken);
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("set");
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Threads that connect and close as fast as they can. When the backlog is full, the kernel tries
/// again a second later.
const CHURNING: usize = 16;

/// Connects and closes as fast as it can, while newcomers come one after the other.
fn churn(name: &'static str, backlog: &str) {
    let attack = begin(name, ("SERVER_LISTEN_BACKLOG", backlog));
    let (stop, connects) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut latencies, mut newcomers, mut broken) = (Latencies::default(), 0_u64, Vec::new());
    let address = attack.server.address();
    std::thread::scope(|scope| {
        for _ in 0..CHURNING {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // From the address that the kernel chooses, 127.0.0.1; whatever comes of it.
                    let _ = TcpStream::connect(&address);
                    connects.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < scale(Duration::from_millis(500), Duration::from_secs(30)) {
            newcomers += 1;
            if let Err(error) = echo(&attack.server, &mut latencies) {
                broken.push(format!("newcomer {newcomers} wasn't served: {error}"));
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let connects = connects.into_inner();
    let measured = format!("{connects} connects; {newcomers} newcomers wait {latencies}");
    broken.extend(log_bound::exceeded(&attack, KINDS));
    attack.end("the kernel's backlog", &measured, broken);
}

#[test]
fn newcomers_get_in_while_others_come_and_go_with_a_short_backlog() {
    churn("connects that close at once, backlog 5", "5");
}

#[test]
fn newcomers_get_in_while_others_come_and_go_with_a_long_backlog() {
    churn("connects that close at once, backlog 1024", "1024");
}
