//! Memory of a connection that says nothing: rustls's object alone, under the loop, under tokio.
//!
//! Each in a process of its own, with many connections; what it holds more than before is divided by
//! their number. The kernel's memory isn't in it, nor what all share.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kit::process::{free_port, memory, raise_descriptors};
use reactor::{CloseReason, ConnectionId, Context, EventLoop, Handler, Limits};
use rustls::{ClientConnection, Connection, ServerConfig, StreamOwned};
use tls::TlsLayer;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::{Framed, LinesCodec};

use crate::pair::{self, Pair};
use crate::parties::{Certificates, Exchange, Parties, Signature};

const IDLE: usize = 9_000;

/// Lines that each connection echoes before it is idle: one, or also one that fills a record.
const LINES: [(&str, usize); 2] =
    [("after a line of 64 B", 64), ("after one of 16 KiB", 16 * 1024)];

const LINE_MAX: usize = 64 * 1024;

const BACKLOG: u32 = 1024;

const EXCHANGE: Exchange = Exchange::AwsX25519;

/// The part of `/proc/PID/status` that isn't of files.
const ANONYMOUS: &str = "RssAnon:";

/// Who holds the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Object,
    Loop,
    Tokio,
}

impl Holder {
    const ALL: [Self; 3] = [Self::Object, Self::Loop, Self::Tokio];

    fn name(self) -> &'static str {
        match self {
            Self::Object => "rustls's object alone",
            Self::Loop => "the layer in the loop",
            Self::Tokio => "tokio-rustls, LinesCodec",
        }
    }

    fn role(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Loop => "loop",
            Self::Tokio => "tokio",
        }
    }
}

pub(crate) fn run() {
    raise_descriptors();
    for holder in Holder::ALL {
        for ((after, _), bytes) in LINES.iter().zip(measure(holder)) {
            let name = holder.name();
            let line = format!("idle: {name:<26} {after:<22} {bytes:>8} B for each of {IDLE}\n");
            runtime::console::print(&line);
        }
    }
}

/// This bench starts itself anew as the holder that these arguments name.
pub(crate) fn play(arguments: &[String]) -> Option<ExitCode> {
    let [role, port, folder] = arguments else { return None };
    let holder = Holder::ALL.into_iter().find(|holder| holder.role() == role)?;
    let parties = Parties::with(EXCHANGE, Certificates::read(Path::new(folder)));
    let port = port.parse().ok()?;
    let outcome = match holder {
        Holder::Object => hold_objects(&parties),
        Holder::Loop => hold_in_loop(port, parties),
        Holder::Tokio => hold_in_tokio(port, &parties),
    };
    // They run until they are killed.
    Some(ExitCode::from(u8::from(outcome.is_err())))
}

/// A holder, killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already only when something is wrong, and that shows elsewhere.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes for each connection after each of [`LINES`].
fn measure(holder: Holder) -> Vec<usize> {
    let folder = tempfile::tempdir().expect("a folder");
    Certificates::new(Signature::P256).write(folder.path());
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().expect("it has a name"));
    command.arg(holder.role()).arg(port.to_string()).arg(folder.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut process = Process(child);
    if holder == Holder::Object {
        let mut output = String::new();
        let stdout = process.0.stdout.as_mut().expect("it is piped");
        stdout.read_to_string(&mut output).expect("figures");
        return output.split_whitespace().map(|figure| figure.parse().expect("one")).collect();
    }
    let parties = Parties::with(EXCHANGE, Certificates::read(folder.path()));
    let address = (Ipv4Addr::LOCALHOST, port).into();
    measure_peers(process.0.id(), || Peer::connect(address, &parties))
}

/// The same of a process, as its peers see it.
fn measure_peers(pid: u32, connect: impl Fn() -> Peer) -> Vec<usize> {
    // What the process asks for once and for all.
    let mut warm: Vec<_> = std::iter::repeat_with(&connect).take(9).collect();
    for peer in &mut warm {
        peer.echo(LINES[0].1);
    }
    drop(warm);
    let before = memory(pid, ANONYMOUS);
    let mut peers: Vec<_> = std::iter::repeat_with(connect).take(IDLE).collect();
    let figure = |(_, size): (_, usize)| {
        for peer in &mut peers {
            peer.echo(size);
        }
        memory(pid, ANONYMOUS).saturating_sub(before) / IDLE
    };
    LINES.map(figure).into()
}

/// A client, from its own side.
struct Peer(StreamOwned<ClientConnection, TcpStream>);

impl Peer {
    fn connect(address: SocketAddr, parties: &Parties) -> Self {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => return Self::shake_hands(stream, parties),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        }
    }

    fn shake_hands(mut stream: TcpStream, parties: &Parties) -> Self {
        let mut tls = pair::client(parties);
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut stream).expect("the server is good");
        }
        Self(StreamOwned::new(tls, stream))
    }

    /// Sends a line of so many bytes, and waits until it has come back.
    fn echo(&mut self, size: usize) {
        let mut line = vec![b'x'; size];
        line[size - 1] = b'\n';
        self.0.write_all(&line).expect("it takes input");
        self.0.read_exact(&mut line).expect("it echoes");
    }
}

/// The connections without anything around them; prints the figures.
fn hold_objects(parties: &Parties) -> io::Result<()> {
    drop(Pair::new(parties));
    let mut held = Vec::with_capacity(LINES.len() * IDLE);
    for count in 1..=LINES.len() {
        let before = memory(std::process::id(), ANONYMOUS);
        for _ in 0..IDLE {
            let Pair { mut server, mut client, .. } = Pair::new(parties);
            for (_, size) in &LINES[..count] {
                echo(&mut server, &mut client, *size)?;
            }
            held.push(server);
        }
        let grown = memory(std::process::id(), ANONYMOUS).saturating_sub(before);
        runtime::console::print(&format!("{} ", grown / IDLE));
    }
    Ok(())
}

fn echo(server: &mut Connection, client: &mut Connection, size: usize) -> io::Result<()> {
    let (mut line, mut wire) = (vec![b'x'; size], Vec::new());
    client.writer().write_all(&line)?;
    pair::write(client, &mut wire);
    pair::read(server, &wire);
    // A loop reads until the socket has nothing more: rustls frees memory then.
    assert!(server.read_tls(&mut Nothing).is_err());
    server.reader().read_exact(&mut line)?;
    server.writer().write_all(&line)?;
    pair::write(server, &mut wire);
    Ok(())
}

/// A socket that has nothing to read.
struct Nothing;

impl io::Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

/// Sends back what comes, through the layer.
struct Echo {
    config: Arc<ServerConfig>,
}

impl Handler for Echo {
    type Fatal = Infallible;

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        let layer = TlsLayer::server(&self.config).expect("a configuration");
        cx.start_layer(connection, Box::new(layer));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        cx.send(connection, input);
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _: &[u8]) {
        cx.close(connection);
    }

    fn on_close(&mut self, _: &mut impl Context, _: ConnectionId, _: &CloseReason) {}
}

fn hold_in_loop(port: u16, parties: Parties) -> io::Result<()> {
    let mut event_loop = EventLoop::new(Limits::default())?;
    event_loop.listen((Ipv4Addr::LOCALHOST, port).into(), BACKLOG)?;
    let ended = event_loop.run(&mut Echo { config: parties.server });
    ended.map(drop).map_err(io::Error::other)
}

fn hold_in_tokio(port: u16, parties: &Parties) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::clone(&parties.server));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A peer that fails loses its connection.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let lines = Framed::new(stream, LinesCodec::new_with_max_length(LINE_MAX));
                let (sink, stream) = lines.split();
                let _ = stream.forward(sink).await;
            });
        }
    })
}
