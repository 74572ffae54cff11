//! Clients of the admin listener that are slow, greedy, wrong or cunning: bounded like every other peer, and
//! nothing to the lottery beside them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kit::http::{get, receive};
use kit::log::lines;
use kit::process::{TIMEOUT, raise_descriptors};
use kit::tls_client::{TlsClient, client_config};
use pki::testing::Ca;
use socket2::{SockRef, Socket};

use crate::attack::{Attack, mebibytes};
use crate::conversation::{HOSTILE, connect_to, own_address};
use crate::flood::{Peer, Reading, repeat, run, single_bytes};
use crate::honest::Phase;
use crate::scale;

/// `SERVER_ADMIN_CONNECTIONS` by default.
const CONNECTIONS: usize = 256;

/// Those that everybody may have: the last ones are kept for the health check.
const ROOM: usize = CONNECTIONS - 8;

/// Addresses that attacks come from in turn, because one may have half of the connections.
const ADDRESSES: [u8; 3] = [HOSTILE, HOSTILE + 10, HOSTILE + 20];

/// Connections of an attack that is to leave room for an operator.
const MANY: usize = CONNECTIONS - 16;

/// Connections that are so few that slow heads have all the time that there is for them.
const FEW: usize = CONNECTIONS / 2 - 8;

/// Requests that a connection may make and have another one behind them.
const REQUESTS: u64 = 999;

/// `SERVER_ADMIN_MAX_HEAD_SIZE` by default.
const HEAD_MAX: usize = 16 << 10;

/// Most that the buffers of the admin listener's connections hold, and a tenth.
const BUFFERED_MAX: usize = (64 << 20) / 10 * 11;

const BUFFERED_BOUND: &str = "64 MiB of buffers and a tenth";

/// What the server has beside its buffers, more than at its start.
const BESIDE: usize = 8 << 20;

/// The kernel takes little, and the server has to keep the rest.
const SMALL_BUFFERS: (&str, &str) = ("SERVER_SOCKET_BUFFER_SIZE", "16KiB");

/// Threads of an attack that waits for each answer.
const THREADS: usize = 4;

/// One attack on the admin listener.
struct AdminAttack {
    attack: Attack,
    /// Memory before it.
    before: usize,
    /// Connections so far.
    connects: AtomicUsize,
}

impl AdminAttack {
    fn begin(name: &'static str, settings: &[(&str, &str)]) -> Self {
        raise_descriptors();
        let attack = Attack::begin_at_admin(name, settings);
        attack.forget_peak();
        let before = attack.server.anonymous_memory();
        Self { attack, before, connects: AtomicUsize::new(0) }
    }

    /// The address whose turn it is.
    fn address(&self) -> u8 {
        ADDRESSES[self.connects.fetch_add(1, Ordering::Relaxed) % ADDRESSES.len()]
    }

    fn connect(&self) -> TcpStream {
        connect_to(self.attack.admin(), self.address(), |_| Ok(())).expect("it listens")
    }

    /// With hardly any room for what is sent to it, nor for what it sends: the server has to keep the one,
    /// and takes the other or leaves it.
    fn connect_stingily(&self) -> TcpStream {
        let few = |socket: &Socket| {
            SockRef::from(socket).set_send_buffer_size(4 << 10)?;
            SockRef::from(socket).set_recv_buffer_size(4 << 10)
        };
        connect_to(self.attack.admin(), self.address(), few).expect("it listens")
    }

    /// Ends it: it may have taken so much memory, and nothing of the log.
    fn end(self, bound: &str, measured: &str, most: usize, mut broken: Vec<String>) {
        let taken = self.attack.peak().map_or(usize::MAX, |peak| peak.saturating_sub(self.before));
        if taken > most {
            broken.push(format!("{} more", mebibytes(taken)));
        }
        let measured = format!("{measured}: {} more", mebibytes(taken));
        let port = self.attack.admin().port();
        let log = self.attack.end(bound, &measured, broken);
        let hostile = ADDRESSES.map(|address| own_address(port, address));
        let is_hostile = |ip| hostile.contains(&ip);
        let logged = lines(&log).find(|line| line.value("ip").is_some_and(is_hostile));
        assert!(logged.is_none(), "no client of this listener fills the log: {logged:?}");
    }
}

/// Requests, each with the status code of its only answer.
type Requests = Vec<(Vec<u8>, u16)>;

/// Sends each of them over and over, each on a connection of its own. It must be refused and have one answer,
/// whatever follows it, and the connection must end. Before that, as many that are answered.
fn refused(name: &'static str, bound: &str, requests: &Requests) {
    let each = scale(200, 20_000) / THREADS / requests.len() * requests.len();
    let mut attack = AdminAttack::begin(name, &[]);
    attack.attack.begin_phase(Phase::Harmless);
    send_all(&attack, &vec![(last("/healthz"), 200)], each);
    attack.attack.begin_phase(Phase::Attack);
    send_all(&attack, requests, each);
    let measured = format!("{} requests, each refused", each * THREADS);
    attack.end(bound, &measured, BESIDE, Vec::new());
}

/// On several threads, so many on each.
fn send_all(attack: &AdminAttack, requests: &Requests, each: usize) {
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for (request, status) in requests.iter().cycle().take(each) {
                    check_answered_once(attack.connect(), request, *status);
                }
            });
        }
    });
}

fn check_answered_once(mut stream: TcpStream, request: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
    stream.write_all(request).expect("sent");
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    let mut rest = &answers[..];
    let answer = receive(&mut rest).unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(answer.status, status, "{shown:?}");
    assert_eq!(String::from_utf8_lossy(rest), "", "{shown:?} has one answer");
}

/// The last request of its connection.
fn last(target: &str) -> Vec<u8> {
    with(&format!("GET {target} HTTP/1.1"), "Connection: close")
}

/// A request line with a header, and another request behind it.
fn with(line: &str, header: &str) -> Vec<u8> {
    format!("{line}\r\nHost: localhost\r\n{header}\r\n\r\n{}", get("/metrics")).into_bytes()
}

#[test]
fn wrong_methods() {
    let methods = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
    let request = |method| (with(&format!("{method} /metrics HTTP/1.1"), "Content-Length: 4"), 405);
    refused("wrong methods", "the first answer is the last", &methods.map(request).into());
}

#[test]
fn targets_that_lead_nowhere() {
    let long = format!("/{}", "a".repeat(8 << 10));
    let requests = vec![
        (last(&long), 414),
        (last(&format!("/metrics?{long}")), 414),
        (last("/../../etc/passwd"), 404),
        (last("/%2e%2e/%2e%2e/etc/passwd"), 404),
        (last("/metrics/../events"), 404),
        (last("//metrics"), 404),
        (last("http://evil.example/metrics"), 421),
        (last("http://localhost/../metrics"), 404),
    ];
    refused("paths of 8 KiB, `..`, absolute URIs", "a target has 2 KiB", &requests);
}

#[test]
fn bodies_and_requests_inside_them() {
    let get = |header| (with("GET /healthz HTTP/1.1", header), 400);
    let requests = vec![
        get("Transfer-Encoding: chunked\r\n\r\n0"),
        get("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff"),
        get("Content-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0"),
        get("Transfer-Encoding: xchunked"),
        get("Transfer-Encoding : chunked"),
        get("X: y\r\n Transfer-Encoding: chunked"),
        get("Content-Length: 44"),
        get("Content-Length: 0\r\nContent-Length: 44"),
        get("Content-Length: +0"),
        get("X: y\n\nGET /metrics HTTP/1.1"),
        get("Host: evil.example"),
    ];
    refused("chunked bodies, smuggled requests", "the first answer is the last", &requests);
}

#[test]
fn tls_where_http_is_spoken() {
    let name = "TLS to plain HTTP";
    let config = Arc::new(client_config(&Ca::default(), None));
    // What it says first doesn't depend on where it says it.
    let server = AdminAttack::begin("a ClientHello", &[]);
    let hello = TlsClient::new(server.connect(), &config).take_unsent();
    drop(server);
    refused(name, "the first byte", &vec![(hello, 400)]);
}

/// A head of so many bytes, and of as many headers as there may be.
fn head(bytes: usize) -> Vec<u8> {
    const HEADERS: usize = 99;
    let begin = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";
    let left = bytes - begin.len() - 2;
    let header = |at: usize| {
        let length = left / HEADERS + if at == 0 { left % HEADERS } else { 0 };
        format!("X: {}\r\n", "x".repeat(length - 5))
    };
    let headers: String = (0..HEADERS).map(header).collect();
    format!("{begin}{headers}\r\n").into_bytes()
}

/// Bytes of an answer to that.
fn answer_len(attack: &AdminAttack) -> u64 {
    let mut stream = attack.connect();
    stream.write_all(&last("/healthz")).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the end");
    answer.len() as u64 - "Connection: close\r\n".len() as u64
}

#[test]
fn heads_of_16_kib() {
    let (connections, requests) = (scale(20, 100), scale(20, REQUESTS));
    let mut attack = AdminAttack::begin("heads of 16 KiB", &[]);
    let answers = answer_len(&attack) * requests;
    let ask = |attack: &AdminAttack, head: &[u8]| {
        let peer = || Peer::new(attack.connect(), repeat(head, requests), Reading::Bytes(answers));
        let mut peers: Vec<_> = (0..connections).map(|_| peer()).collect();
        run(&mut peers, Duration::from_mins(2));
        peers.iter().filter(|peer| !peer.is_done()).count()
    };
    attack.attack.begin_phase(Phase::Harmless);
    assert_eq!(ask(&attack, get("/healthz").as_bytes()), 0, "all are answered");
    attack.attack.begin_phase(Phase::Attack);
    let unanswered = ask(&attack, &head(HEAD_MAX));
    check_answered_once(attack.connect(), &head(HEAD_MAX + 1), 431);
    let broken = (unanswered > 0).then(|| format!("{unanswered} weren't answered"));
    let measured = format!("{connections} connections, {requests} requests each");
    let bound = "`SERVER_ADMIN_MAX_HEAD_SIZE`";
    attack.end(bound, &measured, CONNECTIONS * HEAD_MAX + BESIDE, broken.into_iter().collect());
}

#[test]
fn heads_that_lack_a_byte() {
    let attack = AdminAttack::begin("heads of 16 KiB that lack a byte", &[]);
    let mut half = head(HEAD_MAX);
    half.pop();
    let mut heads: Vec<_> = (0..FEW).map(|_| attack.connect()).collect();
    for stream in &mut heads {
        stream.write_all(&half).expect("taken");
    }
    attack.attack.wait_for(|progress| &progress.stored, 10);
    let answers = heads.iter_mut().map(|stream| {
        stream.write_all(b"\n").expect("taken");
        receive(stream).map_or(0, |answer| answer.status)
    });
    let answered = answers.filter(|status| *status == 200).count();
    drop(heads);
    let broken = (answered < FEW).then(|| format!("{answered} were answered"));
    let measured = format!("{FEW} of them, then the byte");
    let bound = "`SERVER_ADMIN_MAX_HEAD_SIZE`";
    attack.end(bound, &measured, CONNECTIONS * HEAD_MAX + BESIDE, broken.into_iter().collect());
}

#[test]
fn heads_byte_by_byte() {
    let bytes = scale(500, 8_000);
    let attack = AdminAttack::begin("heads byte by byte", &[("SERVER_ADMIN_HEAD_TIMEOUT", "5m")]);
    let (whole, answer) = (head(bytes.max(600)), answer_len(&attack));
    let peer = || Peer::new(attack.connect(), single_bytes(whole.clone()), Reading::Bytes(answer));
    let mut peers: Vec<_> = (0..FEW).map(|_| peer()).collect();
    run(&mut peers, Duration::from_mins(2));
    let answered = peers.iter().filter(|peer| peer.is_done()).count();
    drop(peers);
    let broken = (answered < FEW).then(|| format!("{answered} were answered"));
    let measured = format!("{FEW} heads of {} bytes", whole.len());
    let most = CONNECTIONS * HEAD_MAX + BESIDE;
    attack.end("`SERVER_ADMIN_MAX_HEAD_SIZE`", &measured, most, broken.into_iter().collect());
}

/// What became of a head that goes on and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dripped {
    GoesOn,
    /// It has had its answer: that it takes too long.
    CutOff,
    /// There was no room for its connection.
    Refused,
}

/// A head that goes on and on.
struct SlowHead(TcpStream);

impl SlowHead {
    fn begin(attack: &AdminAttack) -> Self {
        let mut stream = attack.connect();
        // The beginning may be refused already.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ");
        stream.set_nonblocking(true).expect("set");
        Self(stream)
    }

    /// Another byte of it.
    fn drip(&mut self) -> Dripped {
        if self.0.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let _ = self.0.write(b"x");
            return Dripped::GoesOn;
        }
        self.0.set_nonblocking(false).expect("set");
        match receive(&mut self.0) {
            Ok(answer) => {
                assert_eq!(answer.status, 408);
                Dripped::CutOff
            }
            Err(_) => Dripped::Refused,
        }
    }
}

/// As many as there may be connections: new ones are refused until one of them is cut off.
#[test]
fn slow_heads_are_cut_off() {
    let (timeout, enough) = scale(("300ms", ROOM), ("10s", 2 * ROOM));
    let settings = [("SERVER_ADMIN_HEAD_TIMEOUT", timeout)];
    let attack = AdminAttack::begin("slow heads", &settings);
    let mut heads: Vec<_> = (0..ROOM).map(|_| SlowHead::begin(&attack)).collect();
    let (mut cut_off, deadline) = (0, Instant::now() + 6 * TIMEOUT);
    while cut_off < enough {
        assert!(Instant::now() < deadline, "{cut_off} were cut off");
        for head in &mut heads {
            let dripped = head.drip();
            cut_off += usize::from(dripped == Dripped::CutOff);
            if dripped != Dripped::GoesOn {
                *head = SlowHead::begin(&attack);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(heads);
    let measured = format!("{cut_off} of {ROOM} at a time");
    let most = CONNECTIONS * HEAD_MAX + BESIDE;
    attack.end("`SERVER_ADMIN_HEAD_TIMEOUT`", &measured, most, Vec::new());
}

/// Three times as many as a connection may make.
#[test]
fn pipelined_requests() {
    let connections = scale(4, 32);
    let attack = AdminAttack::begin("3,000 pipelined requests", &[]);
    let targets = ["GET /healthz", "GET /metrics", "HEAD /", "GET /status.json", "GET /readyz"];
    let request = |target| format!("{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let burst = targets.map(request).concat();
    let peer = || Peer::new(attack.connect(), repeat(burst.as_bytes(), 600), Reading::End);
    let mut peers: Vec<_> = (0..connections).map(|_| peer()).collect();
    run(&mut peers, Duration::from_mins(2));
    let ended = peers.iter().filter(|peer| peer.ended).count();
    let received: u64 = peers.iter().map(|peer| peer.received).sum();
    let broken = (ended < connections).then(|| format!("{ended} connections have ended"));
    let received = mebibytes(usize::try_from(received).expect("it fits"));
    drop(peers);
    let measured = format!("{connections} connections that read {received}");
    let bound = "1,000 requests of a connection, 256 KiB in a turn";
    attack.end(bound, &measured, BUFFERED_MAX + BESIDE, broken.into_iter().collect());
}

#[test]
fn answers_that_are_not_read() {
    let requests = scale(100, REQUESTS);
    let attack = AdminAttack::begin("pages that aren't read", &[SMALL_BUFFERS]);
    // Longer than it need be: what the server doesn't read any more, the kernel doesn't take for long.
    let long =
        format!("GET / HTTP/1.1\r\nX: {}\r\nHost: localhost\r\n\r\n", "x".repeat(HEAD_MAX / 2));
    let script = || repeat(long.as_bytes(), requests);
    let peer = || Peer::new(attack.connect_stingily(), script(), Reading::Never);
    let mut peers: Vec<_> = (0..MANY).map(|_| peer()).collect();
    run(&mut peers, Duration::from_mins(2));
    let cut_off = peers.iter().filter(|peer| peer.is_cut_off()).count();
    drop(peers);
    let measured = format!("{requests} requests on each of {MANY} connections, {cut_off} cut off");
    attack.end(BUFFERED_BOUND, &measured, BUFFERED_MAX + BESIDE, Vec::new());
}

/// Waits until there are no streams any more.
fn wait_for_no_streams(attack: &AdminAttack) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut stream = attack.connect();
        stream.write_all(&last("/metrics")).expect("sent");
        let metrics = receive(&mut stream).expect("an answer").body;
        if metrics.lines().any(|line| line == "loteria_admin_streams 0") {
            return;
        }
        assert!(Instant::now() < deadline, "streams that aren't read stay");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the first event holds alone is more than the kernel takes.
#[test]
fn streams_that_are_not_read() {
    let (count, agencies) = scale((200, "300"), (1_000, "1000"));
    let settings = [
        ("SERVER_AGENCIES", agencies),
        ("SERVER_ADMIN_CONNECTIONS", "1500"),
        ("SERVER_ADMIN_STREAMS", "1000"),
        SMALL_BUFFERS,
        ("SERVER_WRITE_TIMEOUT", scale("500ms", "5s")),
    ];
    let attack = AdminAttack::begin("streams that aren't read", &settings);
    let request = get("/events");
    let stream = || {
        let mut stream = attack.connect_stingily();
        stream.write_all(request.as_bytes()).expect("sent");
        stream
    };
    let streams: Vec<_> = (0..count).map(|_| stream()).collect();
    for stream in &streams {
        stream.peek(&mut [0]).expect("it has begun");
    }
    wait_for_no_streams(&attack);
    drop(streams);
    let measured = format!("{count} streams of {agencies} agencies, all cut off");
    attack.end(BUFFERED_BOUND, &measured, BUFFERED_MAX + BESIDE, Vec::new());
}
