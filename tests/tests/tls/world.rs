//! A central that takes TLS, an honest agency beside every attack, and what must hold at its end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use kit::certificates::Certificates;
use kit::conversation::{Conversation, failure};
use kit::frames::{batch, hello};
use kit::inputs::read;
use kit::server::{Server, command};
use kit::tls_client::{ClientConfig, TlsClient, client_config};
use pki::testing::Certified;
use rustix::process::Signal;

/// The agency that is honest.
pub(crate) const HONEST: u32 = 1;

/// Agencies of every lottery here, each with a certificate.
pub(crate) const AGENCIES: u32 = 4;

pub(crate) type Agency = Conversation<TlsClient>;

/// The central, its certificates, and the honest agency, which is connected all the time.
pub(crate) struct World {
    pub(crate) certificates: Certificates,
    pub(crate) server: Server,
    honest: Agency,
    /// What echo is asked for with.
    echoes_with: Option<Certified>,
    /// Bets that were confirmed to it.
    stored: u64,
}

impl World {
    /// One that takes nothing but TLS.
    pub(crate) fn new() -> Self {
        Self::with("required", &[])
    }

    /// One with `SERVER_TLS` of this value, and further settings.
    pub(crate) fn with(tls: &str, settings: &[(&str, &str)]) -> Self {
        Self::of(Certificates::new(AGENCIES), tls, settings)
    }

    /// One with these certificates.
    pub(crate) fn of(certificates: Certificates, tls: &str, settings: &[(&str, &str)]) -> Self {
        let server = Server::start_command(central(&certificates, tls, settings));
        let (honest, welcome) = introduce(&server, &certificates, HONEST);
        assert_eq!(welcome, "welcome 0 rejected 0 Open");
        let is_anonymous = !settings.contains(&("SERVER_TLS_ANONYMOUS_ECHO", "false"));
        let echoes_with = (!is_anonymous).then(|| certificates.agency(HONEST).clone());
        let mut world = Self { certificates, server, honest, echoes_with, stored: 0 };
        world.goes_on();
        world
    }

    /// The honest agency has a bet stored, and an echo comes back, as if nothing were wrong.
    pub(crate) fn goes_on(&mut self) {
        let document = document(self.stored);
        let response = self.honest.ask(&batch(self.stored, &[(&document, "7")]));
        self.stored += 1;
        assert_eq!(response, format!("stored {}", self.stored), "the honest agency");
        assert_eq!(self.echo(), b"hola\n", "an echo");
    }

    /// What comes back of a line inside TLS. The central must say itself that it sends nothing more.
    fn echo(&self) -> Vec<u8> {
        let mut client = self.connect(self.echoes_with.as_ref());
        let bytes = [client.seal(b"hola\n"), client.seal_end()].concat();
        client.send_raw(&bytes).expect("sent");
        let mut response = Vec::new();
        client.read_to_end(&mut response).expect("an end in order");
        response
    }

    /// Settings of a client that trusts the authority, and shows this certificate.
    pub(crate) fn config(&self, own: Option<&Certified>) -> Arc<ClientConfig> {
        Arc::new(client_config(self.certificates.ca(), own))
    }

    /// A client that has completed its handshake.
    pub(crate) fn connect(&self, own: Option<&Certified>) -> TlsClient {
        self.try_connect(own).expect("a handshake")
    }

    pub(crate) fn try_connect(&self, own: Option<&Certified>) -> io::Result<TlsClient> {
        TlsClient::connect(self.server.connect(), &self.config(own))
    }

    /// An agency that has introduced itself, by its own certificate, and the response to that.
    pub(crate) fn introduce(&self, agency: u32) -> (Agency, String) {
        introduce(&self.server, &self.certificates, agency)
    }

    /// Everything that is answered to someone who shows this certificate, or none, and stores a bet as
    /// this agency; the last is how the connection ended.
    pub(crate) fn claim(&self, agency: u32, own: Option<&Certified>) -> Vec<String> {
        match self.try_connect(own) {
            Ok(client) => claim(client, agency),
            Err(error) => vec![failure(&error)],
        }
    }

    /// The same without TLS.
    pub(crate) fn claim_in_plaintext(&self, agency: u32) -> Vec<String> {
        claim(self.server.connect(), agency)
    }

    /// SIGHUP.
    pub(crate) fn reload(&self) {
        self.server.signal(Signal::HUP);
    }

    /// Ends the central, which must hold the honest agency's bets and nothing else. Its log.
    pub(crate) fn end(mut self) -> String {
        self.goes_on();
        let folder = self.server.take_folder();
        let log = self.server.stop();
        let found = read(&folder.path().join("bets.csv"));
        let expected = (0..self.stored).map(|index| {
            let document = document(index);
            [&HONEST.to_string(), "Ana", "Paz", &document, "2000-01-01", "7"].map(str::to_owned)
        });
        assert!(found.iter().eq(expected.collect::<Vec<_>>().iter()), "{found:?}: {log}");
        log
    }

    /// Like [`end`](Self::end); its log must have a line with all of these.
    pub(crate) fn end_with_line(self, parts: &[&str]) {
        let log = self.end();
        let has = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(log.lines().any(has), "no line with {parts:?}: {log}");
    }
}

/// The command of a central that takes TLS.
pub(crate) fn central(
    certificates: &Certificates,
    tls: &str,
    settings: &[(&str, &str)],
) -> std::process::Command {
    let agencies = AGENCIES.to_string();
    let mut command = command(&[("SERVER_AGENCIES", &agencies)]);
    command.envs(certificates.server_settings(tls)).envs(settings.iter().copied());
    command
}

fn introduce(server: &Server, certificates: &Certificates, agency: u32) -> (Agency, String) {
    let config = Arc::new(client_config(certificates.ca(), Some(certificates.agency(agency))));
    let client = TlsClient::connect(server.connect(), &config).expect("a handshake");
    Conversation::introduced(client, agency)
}

fn claim(stream: impl Read + Write, agency: u32) -> Vec<String> {
    let mut conversation = Conversation(stream);
    let requests = [hello(agency), batch(0, &[("99", "7574")])].concat();
    // It may have been refused before all of that is sent.
    let _ = conversation.0.write_all(&requests).and_then(|()| conversation.0.flush());
    conversation.outcome()
}

fn document(index: u64) -> String {
    format!("{:08}", 10_000_000 + index)
}

/// Everything that comes on a socket until it ends, which it must.
pub(crate) fn read_all(mut socket: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("an end, not a reset");
    bytes
}
