//! Handshakes that are slow, begun and left, or of something else than TLS 1.3.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use kit::certificates::Certificates;
use kit::conversation::{Conversation, failure};
use kit::frames::{batch, end, hello};
use kit::server::Server;
use kit::tls_client::{
    ByteByByte, ClientConfig, ClientSessionMemoryCache, ClientSessionStore, HandshakeKind,
    TlsClient, client_config,
};
use rustls::client::{Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{NamedGroup, ServerConfig, ServerConnection};

use crate::world::{World, read_all};

/// The bytes of a `ClientHello` that would be answered.
fn client_hello(world: &World) -> Vec<u8> {
    TlsClient::new(world.server.connect(), &world.config(None)).take_unsent()
}

/// The alerts that TLS has sent in plaintext, the last of which is fatal.
fn plaintext_alert(bytes: &[u8]) -> u8 {
    let [0x15, _, _, 0, 2, 2, alert] = bytes else { panic!("no alert alone: {bytes:x?}") };
    *alert
}

const PROTOCOL_VERSION: u8 = 70;

/// An alert in plaintext that says that nothing more is sent.
const CLOSE_NOTIFY: [u8; 7] = [0x15, 3, 3, 0, 2, 1, 0];

#[test]
fn half_a_client_hello_for_ever() {
    let mut world = World::with("required", &[("SERVER_TLS_HANDSHAKE_TIMEOUT", "200ms")]);
    let hello = client_hello(&world);
    for cut in [1, 5, hello.len() / 2, hello.len() - 1] {
        let mut socket = world.server.connect();
        socket.write_all(&hello[..cut]).expect("sent");
        assert_eq!(read_all(&socket), CLOSE_NOTIFY, "{cut} bytes");
        world.goes_on();
    }
    world.end_with_line(&[
        "action: receive_message | result: fail | ip: 127.0.0.1 | ",
        "error: waited too long for the end of the TLS handshake",
    ]);
}

#[test]
fn a_client_hello_and_nothing_more() {
    let mut world = World::with("required", &[("SERVER_TLS_HANDSHAKE_TIMEOUT", "200ms")]);
    let mut socket = world.server.connect();
    socket.write_all(&client_hello(&world)).expect("sent");
    let flight = read_all(&socket);
    assert_eq!(flight[..2], [0x16, 3], "it was answered, and then closed");
    world.goes_on();
    world.end_with_line(&["error: waited too long for the end of the TLS handshake"]);
}

#[test]
fn a_byte_of_a_client_hello_now_and_then_gains_no_time() {
    let mut world = World::with("required", &[("SERVER_TLS_HANDSHAKE_TIMEOUT", "300ms")]);
    let hello = client_hello(&world);
    let mut socket = world.server.connect();
    // It ends before its ClientHello does, which would take a minute.
    let cut_off = hello.iter().any(|byte| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        socket.write_all(&[*byte]).is_err()
    });
    assert!(cut_off, "{} bytes were taken", hello.len());
    world.goes_on();
    world.end();
}

#[test]
fn a_client_hello_byte_by_byte() {
    let mut world = World::new();
    // And so with all that follows: certificate, signature, requests.
    let socket = ByteByByte::new(world.server.connect());
    let config = world.config(Some(world.certificates.agency(2)));
    let client = TlsClient::connect(socket, &config).expect("a handshake");
    let (mut agency, welcome) = Conversation::introduced(client, 2);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
    assert_eq!(agency.ask(&end(0)), "finished 0 0");
    world.goes_on();
    world.end();
}

#[test]
fn a_thousand_handshakes_begun_and_left() {
    const LEFT: usize = 1000;
    let mut world = World::with(
        "required",
        &[("SERVER_LISTEN_BACKLOG", "1024"), ("SERVER_MAX_HANDSHAKES", "100")],
    );
    let hello = client_hello(&world);
    let begun: Vec<TcpStream> = (0..LEFT)
        .map(|_| {
            let mut socket = world.server.connect();
            socket.write_all(&hello).expect("sent");
            socket
        })
        .collect();
    // An agency comes meanwhile, and does all it has to do.
    let (mut agency, welcome) = world.introduce(2);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
    assert_eq!(agency.ask(&end(0)), "finished 0 0");
    world.goes_on();
    // Those that began first made room: their connections have ended.
    for mut socket in &begun[..LEFT - 200] {
        socket.read_to_end(&mut Vec::new()).expect("an end");
    }
    world.end_with_line(&["close_connection | result: fail", "evicted: its handshake"]);
}

/// A `ClientHello` of TLS 1.2: without `supported_versions` there is no other.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let suites = [0xC0, 0x2B, 0xC0, 0x2F, 0xC0, 0x2C, 0xC0, 0x30];
    let groups = [0, 10, 0, 6, 0, 4, 0, 29, 0, 23];
    let signatures = [0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1];
    let extensions = [&groups[..], &signatures].concat();
    let sized =
        |bytes: &[u8]| [&u16::try_from(bytes.len()).expect("short").to_be_bytes(), bytes].concat();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &sized(&suites), &[1, 0], &sized(&extensions)].concat();
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    [&[0x16, 3, 1], &sized(&message)[..]].concat()
}

#[test]
fn tls_1_2() {
    let mut world = World::new();
    let mut socket = world.server.connect();
    socket.write_all(&client_hello_of_tls_1_2()).expect("sent");
    assert_eq!(plaintext_alert(&read_all(&socket)), PROTOCOL_VERSION);
    world.goes_on();
    world.end_with_line(&[
        "close_connection | result: fail | ip: 127.0.0.1 | reason: the peer speaks no TLS 1.3",
    ]);
}

#[test]
fn something_else_behind_the_first_byte() {
    let mut world = World::new();
    for bytes in [
        &[0x16; 100][..],
        &[0x16, 3, 1, 0, 0],
        &[0x16, 3, 1, 0xFF, 0xFF],
        &[0x16, 3, 3, 0x40, 1],
        &[0x16, 3, 1, 0, 4, 2, 0, 0, 0],
        b"\x16hola\n",
    ] {
        let mut socket = world.server.connect();
        socket.write_all(bytes).expect("sent");
        socket.shutdown(std::net::Shutdown::Write).expect("half-closed");
        drop(read_all(&socket));
        world.goes_on();
    }
    world.end();
}

#[test]
fn tls_to_a_central_without() {
    let certificates = Certificates::new(1);
    let server = Server::start(&[]);
    let config = Arc::new(client_config(certificates.ca(), None));
    let mut client = TlsClient::new(server.connect(), &config);
    let hello = client.take_unsent();
    client.send_raw(&hello).expect("sent");
    let answer = read_all(client.socket());
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "error: this central takes no TLS (SERVER_TLS=off)\n"
    );
    let log = server.stop();
    let line =
        "refuse_connection | result: fail | ip: 127.0.0.1 | error: this central takes no TLS";
    assert!(log.contains(line), "{log}");
}

/// Keeps what rustls keeps for a resumption, and counts the tickets.
#[derive(Debug)]
struct Tickets {
    kept: ClientSessionMemoryCache,
    received: Mutex<Vec<u32>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.kept.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept.kx_hint(server)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {
        unreachable!("TLS 1.3");
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.received.lock().expect("no panic").push(ticket.max_early_data_size());
        self.kept.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept.take_tls13_ticket(server)
    }
}

#[test]
fn a_connection_resumed_after_revocation() {
    let mut world = World::new();
    let tickets =
        Arc::new(Tickets { kept: ClientSessionMemoryCache::new(10), received: Mutex::default() });
    let mut config = client_config(world.certificates.ca(), Some(world.certificates.agency(2)));
    config.resumption = Resumption::store(tickets.clone());
    config.enable_early_data = true;
    let config = Arc::new(config);
    for _ in 0..2 {
        let client = TlsClient::connect(world.server.connect(), &config).expect("a handshake");
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        let (mut agency, welcome) = Conversation::introduced(client, 2);
        assert!(welcome.starts_with("welcome 0 "), "{welcome}");
        // Whatever the server sends behind its handshake has come before this.
        assert_eq!(agency.ask(&end(0)), "finished 0 0");
    }
    assert_eq!(
        *tickets.received.lock().expect("no panic"),
        Vec::<u32>::new(),
        "no ticket: nothing to resume, no early data"
    );
    let serial = world.certificates.agency(2).serial.clone();
    world.certificates.revoke(&[&serial]);
    world.reload();
    world.server.wait_for("action: reload | result: success");
    let client = TlsClient::connect(world.server.connect(), &config).expect("the client's part");
    assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
    assert_eq!(Conversation(client).outcome(), ["alert CertificateRevoked"]);
    world.goes_on();
    world.end_with_line(&["close_connection | result: fail", "it is revoked"]);
}

/// Has a server with the central's own certificate give tickets that allow early data: the central
/// gives none.
fn take_tickets_elsewhere(world: &World, config: &Arc<ClientConfig>) {
    let own = world.certificates.server();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.key.clone()));
    let mut server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has it")
        .with_no_client_auth()
        .with_single_cert(own.chain.iter().map(|der| der.clone().into()).collect(), key)
        .expect("the key is the certificate's");
    server.max_early_data_size = 1000;
    let mut server = ServerConnection::new(Arc::new(server)).expect("it can be used");
    let (here, mut there) = UnixStream::pair().expect("a pair");
    let serving = std::thread::spawn(move || {
        while server.is_handshaking() {
            server.complete_io(&mut there).expect("a handshake");
        }
        server.writer().write_all(b"x").expect("taken");
        server.complete_io(&mut there).expect("sent");
    });
    let mut client = TlsClient::connect(here, config).expect("a handshake");
    // Behind the tickets.
    client.read_exact(&mut [0]).expect("a byte");
    serving.join().expect("it served");
}

#[test]
fn early_data_with_the_ticket_of_another_server() {
    let mut world = World::new();
    let mut config = client_config(world.certificates.ca(), Some(world.certificates.agency(2)));
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(10)));
    config.enable_early_data = true;
    let config = Arc::new(config);
    take_tickets_elsewhere(&world, &config);
    let mut client = TlsClient::new(world.server.connect(), &config);
    assert!(client.write_early(&[hello(2), batch(0, &[("99", "7")])].concat()), "it has a ticket");
    let outcome = match client.finish() {
        Ok(client) => {
            assert!(!client.is_early_data_accepted());
            assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
            let (_, welcome) = Conversation::introduced(client, 2);
            welcome
        }
        Err(error) => failure(&error),
    };
    assert_eq!(outcome, "welcome 0 rejected 0 Open");
    world.goes_on();
    world.end();
}
