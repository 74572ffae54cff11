//! Connections that are made, secured and closed again, beside the same without a network.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kit::certificates::Certificates;
use load::swarm::handshakes::{Handshakes, LINE, Plan};
use load::swarm::{Measured, cpu::Watch};
use reactor::Layer;
use rustix::time::{ClockId, clock_gettime};
use rustls::{ServerConfig, ServerConnection};

use super::{FILES, load_server, security, start};
use crate::contender::Kind;
use crate::table::median;
use crate::{RUNS, print};

/// Handshakes of a run.
const HANDSHAKES: u32 = 2_000;

/// Connections at a time that they are made on.
const AT_A_TIME: usize = 20;

/// A server's processor time of a connection that is made and closed, beside that of one in memory.
pub(super) fn measure(certificates: &Certificates) {
    const SERVERS: [(&str, Kind); 3] = [
        ("bare mio + rustls loop", Kind::SecuredEcho),
        ("central", Kind::Central),
        ("tokio-rustls", Kind::TokioEcho),
    ];
    let (mut in_memory, mut times) = (Vec::new(), SERVERS.map(|_| Vec::new()));
    for _ in 0..RUNS {
        in_memory.push(connections_in_memory(certificates));
        for ((_, kind), times) in SERVERS.iter().zip(&mut times) {
            let measured = connections(certificates, *kind);
            let cpu = measured.cpu.expect("the process under load is watched");
            times.push(cpu.as_secs_f64() / f64::from(HANDSHAKES));
        }
    }
    print(
        "tls: a connection, of a mutual handshake and an echoed line: the server's processor time",
    );
    print_handshake("rustls in memory", &in_memory, &in_memory);
    for ((name, _), times) in SERVERS.iter().zip(&times) {
        print_handshake(name, times, &in_memory);
    }
    print("");
}

fn print_handshake(name: &str, seconds: &[f64], in_memory: &[f64]) {
    let ratios = in_memory.iter().zip(seconds).map(|(memory, own)| memory / own);
    let (own, ratio) = (median(seconds.to_vec()), median(ratios.collect()));
    print(&format!(
        "  {name:<28} {:>8.1} us {:>8.0} /s of a core {ratio:>7.2}",
        own * 1e6,
        1.0 / own
    ));
}

/// Over sockets.
fn connections(certificates: &Certificates, kind: Kind) -> Measured {
    let contender = start(certificates, kind, true);
    let plan = Plan {
        address: contender.address(),
        connections: AT_A_TIME,
        handshakes: HANDSHAKES.into(),
        timeout: Duration::from_mins(1),
    };
    let watch = Some(Watch::process(contender.pid()));
    let swarm = Handshakes::new(plan, security(certificates), watch);
    swarm.run().unwrap_or_else(|error| panic!("{error}"))
}

/// Seconds of processor time that a server takes for such a connection without a network.
fn connections_in_memory(certificates: &Certificates) -> f64 {
    let security = security(certificates);
    let settings = certificates.server_settings("required");
    let path = |name: &str| settings.iter().find(|(found, _)| *found == name).map(|(_, path)| path);
    let [certificate, key, authorities, list] =
        FILES.map(|name| PathBuf::from(path(name).expect("a setting")));
    let server = load_server(certificate, key, authorities, list).expect("good files");
    let mut total = Duration::ZERO;
    for index in 0..HANDSHAKES {
        let mut client = security.layer(index as usize).expect("good files");
        total += converse(server.config(), &mut *client);
    }
    total.as_secs_f64() / f64::from(HANDSHAKES)
}

/// The processor time of a server's side of a connection that echoes a line.
fn converse(config: &Arc<ServerConfig>, client: &mut dyn Layer) -> Duration {
    let mut total = Duration::ZERO;
    let (mut wire, mut plain, mut has_sent) = (Vec::new(), vec![0; 64 * 1024], false);
    let mut server = timed(&mut total, || ServerConnection::new(Arc::clone(config)));
    let server = server.as_mut().expect("a configuration");
    let mut server_open = true;
    while server_open {
        if !client.is_handshaking() && !std::mem::replace(&mut has_sent, true) {
            client.send(&[IoSlice::new(LINE)]);
        }
        while client.unsent() > 0 {
            client.write_to(&mut wire).expect("a vector takes all");
        }
        server_open = timed(&mut total, || serve(server, &mut wire).expect("the client is good"));
        let received = client.receive(&wire, &mut plain);
        assert!(received.failure.is_none(), "the server is good");
        wire.clear();
        if received.length == LINE.len() {
            client.close();
        }
    }
    total
}

/// Takes what has come, and puts what is to be sent in its place. Returns whether the client goes on.
fn serve(server: &mut ServerConnection, wire: &mut Vec<u8>) -> io::Result<bool> {
    let (mut rest, mut plain) = (&wire[..], [0; LINE.len()]);
    let mut is_open = true;
    while !rest.is_empty() && is_open {
        server.read_tls(&mut rest)?;
        let state = server.process_new_packets().map_err(io::Error::other)?;
        is_open = !state.peer_has_closed();
        if state.plaintext_bytes_to_read() > 0 {
            server.reader().read_exact(&mut plain)?;
            server.writer().write_all(&plain)?;
        }
    }
    if !is_open {
        server.send_close_notify();
    }
    wire.clear();
    while server.wants_write() {
        server.write_tls(wire)?;
    }
    Ok(is_open)
}

fn timed<T>(total: &mut Duration, call: impl FnOnce() -> T) -> T {
    let before = thread_time();
    let returned = call();
    *total += thread_time().saturating_sub(before);
    returned
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.expect("not negative"), nanos.expect("below a second"))
}
