//! Somebody between an agency and its central who cuts, changes or repeats what they send each other.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::certificates::Certificates;
use kit::client::Client;
use kit::inputs::{expected_rows, file, rows_of};
use kit::log::successes;
use kit::programs::binary;
use kit::server::Server;

use crate::world::central;

/// Bets of the agency, each in a batch of its own; every tenth wins.
const BETS: usize = 1500;

/// Connections that are spoiled, each a little later than the one before.
const SPOILED: usize = 8;

/// What is done to the bytes of one direction, from a position on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The stream ends there, as if its sender had ended it.
    Cut,
    /// One of its bytes is another.
    Changed,
    /// What came last comes again.
    Repeated,
}

/// Which direction is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToCentral,
    ToAgency,
}

/// Passes bytes on, and spoils them behind `position` if there is one.
fn pass(mut from: TcpStream, mut to: TcpStream, fault: Option<(Fault, usize)>) {
    let (mut passed, mut buffer) = (0, [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..count];
        let at = fault.filter(|(_, position)| (passed..passed + count).contains(position));
        passed += count;
        let Some((fault, position)) = at else {
            if to.write_all(bytes).is_err() {
                break;
            }
            continue;
        };
        let at = position + count - passed;
        let written = match fault {
            Fault::Cut => to.write_all(&bytes[..at]),
            Fault::Changed => {
                bytes[at] ^= 1;
                to.write_all(bytes)
            }
            Fault::Repeated => to.write_all(&[&bytes[..], bytes].concat()),
        };
        if fault == Fault::Cut || written.is_err() {
            break;
        }
    }
    // The other direction notices by itself.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Listens in the central's place. Spoils one direction of the first connections, the n-th of them
/// behind `first + n * step` bytes. Returns where it listens, and how many connections there were.
fn relay(
    server: &Server,
    direction: Direction,
    fault: Fault,
    (first, step): (usize, usize),
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, central) = (listener.local_addr().expect("bound").to_string(), server.address());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    std::thread::spawn(move || {
        for agency in listener.incoming().flatten() {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let Ok(central) = TcpStream::connect(&central) else { return };
            let fault = (number < SPOILED).then_some((fault, first + number * step));
            let of = |which| fault.filter(|_| which == direction);
            let [to_central, to_agency] = [Direction::ToCentral, Direction::ToAgency].map(of);
            let pair =
                (agency.try_clone().expect("a socket"), central.try_clone().expect("a socket"));
            std::thread::spawn(move || pass(agency, central, to_central));
            std::thread::spawn(move || pass(pair.1, pair.0, to_agency));
        }
    });
    (address, connections)
}

/// The agency comes to its end all the same, with its winners, and its bets are stored once.
fn survives(direction: Direction, fault: Fault, positions: (usize, usize)) {
    let certificates = Certificates::new(1);
    let settings = [("SERVER_AGENCIES", "1")];
    let mut server = Server::start_command(central(&certificates, "required", &settings));
    let (address, connections) = relay(&server, direction, fault, positions);
    let bets = file(certificates.folder(), 1, BETS, 10);
    let mut command = Command::new(binary("client"));
    command.env_clear().stdin(Stdio::null()).envs(certificates.client_settings("agency-1"));
    command.envs([("CLI_ID", "1"), ("CLI_SERVER_ADDRESS", &address[..])]);
    command.envs([("CLI_BATCH_MAXAMOUNT", "1"), ("CLI_BATCH_WINDOW", "8")]);
    command.envs([("CLI_RETRY_MIN_DELAY", "1ms"), ("CLI_RETRY_MAX_DELAY", "2ms")]);
    // A record that is said to be longer than it is never comes to an end.
    command.env("CLI_RESPONSE_TIMEOUT", "1s").env("CLI_DATA_PATH", &bets);
    let (code, log) = Client::start(command).end();
    assert_eq!(code, Some(0), "{log}");
    let winners: Vec<u64> = successes(&log, "consulta_ganadores")
        .map(|line| line.value("cant_ganadores").expect("a number"))
        .collect();
    assert_eq!(winners, [BETS as u64 / 10], "{log}");
    let ledger = server.take_folder();
    server.stop();
    assert_eq!(rows_of(&ledger.path().join("bets.csv"), 1), expected_rows(&bets, 1));
    assert!(connections.load(Ordering::Relaxed) > SPOILED, "every connection was spoiled: {log}");
}

/// Behind the handshake: what is changed in it looks like a central or an agency with a wrong key,
/// which ends an agency at once.
const ESTABLISHED: usize = 4000;

#[test]
fn an_agencys_bytes_are_cut() {
    survives(Direction::ToCentral, Fault::Cut, (100, 449));
}

#[test]
fn the_centrals_bytes_are_cut() {
    survives(Direction::ToAgency, Fault::Cut, (100, 449));
}

#[test]
fn an_agencys_bytes_are_changed() {
    survives(Direction::ToCentral, Fault::Changed, (ESTABLISHED, 37));
}

#[test]
fn the_centrals_bytes_are_changed() {
    survives(Direction::ToAgency, Fault::Changed, (ESTABLISHED, 37));
}

#[test]
fn an_agencys_bytes_are_repeated() {
    survives(Direction::ToCentral, Fault::Repeated, (ESTABLISHED, 37));
}

#[test]
fn the_centrals_bytes_are_repeated() {
    survives(Direction::ToAgency, Fault::Repeated, (ESTABLISHED, 37));
}
