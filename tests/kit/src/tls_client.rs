//! A TLS client over a socket, with its records in the test's hands: it can send half of one, others
//! than it should, or end without a word.
//!
//! Shares no code with the programs' own TLS but rustls itself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use pki::testing::{Ca, Certified};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ProtocolVersion, RootCertStore};

pub use rustls::client::{ClientSessionMemoryCache, ClientSessionStore};
pub use rustls::{AlertDescription, ClientConfig, ContentType, HandshakeKind};

/// Bytes in front of a record's content.
pub const RECORD_HEADER: usize = 5;

/// Most bytes of plaintext in a record.
pub const RECORD_MAX: usize = 1 << 14;

/// Trusts this authority, and shows this certificate if there is one. Nothing is kept for a
/// resumption, and secrets may be [taken out](TlsClient::into_raw).
pub fn client_config(ca: &Ca, own: Option<&Certified>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().to_vec().into()).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has it")
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = own.chain.iter().map(|der| der.clone().into()).collect();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.key.clone()));
            builder.with_client_auth_cert(chain, key).expect("the key is the certificate's")
        }
    };
    config.resumption = Resumption::disabled();
    config.enable_secret_extraction = true;
    config
}

/// A socket that takes and gives a byte at a time, each in a segment of its own.
#[derive(Debug)]
pub struct ByteByByte(TcpStream);

impl ByteByByte {
    /// Of this socket.
    pub fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("set");
        Self(socket)
    }
}

impl Read for ByteByByte {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

impl Write for ByteByByte {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client. Reads and writes what is inside TLS.
#[derive(Debug)]
pub struct TlsClient<S = TcpStream> {
    tls: ClientConnection,
    socket: S,
}

impl<S: Read + Write> TlsClient<S> {
    /// A client that has sent nothing yet.
    pub fn new(socket: S, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("it can be used");
        Self { tls, socket }
    }

    /// A client whose handshake is complete. The server may still refuse its certificate: it says so
    /// to the first read.
    ///
    /// # Errors
    /// Those of the socket, and what is wrong with the server, as [`alert`] takes it apart.
    pub fn connect(socket: S, config: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::new(socket, config).finish()
    }

    /// Completes its handshake.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn finish(mut self) -> io::Result<Self> {
        while self.tls.is_handshaking() {
            self.flush()?;
            self.receive()?;
        }
        self.flush()?;
        Ok(self)
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket alone: what was to be sent and wasn't never is.
    pub fn into_socket(self) -> S {
        self.socket
    }

    /// Whether something waits for the socket to take it.
    pub fn has_unsent(&self) -> bool {
        self.tls.wants_write()
    }

    /// How the handshake went, when it is complete.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.tls.handshake_kind()
    }

    /// Puts bytes behind its `ClientHello`, for a server that it has a ticket of; returns whether it may.
    pub fn write_early(&mut self, plain: &[u8]) -> bool {
        self.tls.early_data().is_some_and(|mut early| early.write_all(plain).is_ok())
    }

    /// Whether the server has taken what was [written early](Self::write_early).
    pub fn is_early_data_accepted(&self) -> bool {
        self.tls.is_early_data_accepted()
    }

    /// The certificate that the server has shown, in DER.
    pub fn server_certificate(&self) -> Option<&[u8]> {
        self.tls.peer_certificates()?.first().map(|der| &**der)
    }

    /// What it has to send, which isn't sent: at first its `ClientHello`.
    pub fn take_unsent(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).expect("memory takes everything");
        }
        bytes
    }

    /// These bytes in records, which aren't sent.
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(plain).expect("memory takes everything");
        self.take_unsent()
    }

    /// The record that says that nothing more is sent, which isn't sent itself.
    pub fn seal_end(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.take_unsent()
    }

    /// Changes the key that it sends with, and asks the server to do so too: two records that aren't
    /// sent.
    pub fn seal_key_update(&mut self) -> Vec<u8> {
        self.tls.refresh_traffic_keys().expect("the handshake is complete");
        self.take_unsent()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Takes from the socket once, and sends what comes of it; returns whether more can come.
    ///
    /// # Errors
    /// Those of the socket, and what is wrong with the server.
    pub fn receive(&mut self) -> io::Result<bool> {
        let count = loop {
            match self.tls.read_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        let processed = self.tls.process_new_packets();
        // An alert on a connection that the server has closed goes nowhere.
        let _ = self.flush();
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if count == 0 && self.tls.is_handshaking() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(count > 0)
    }
}

impl TlsClient {
    /// A client whose handshake is complete, with the keys in the test's hands.
    pub fn into_raw(mut self) -> RawRecords {
        self.flush().expect("sent");
        let suite = self.tls.negotiated_cipher_suite().and_then(|suite| suite.tls13());
        let aead = suite.expect("TLS 1.3 is established").aead_alg;
        let secrets = self.tls.dangerous_extract_secrets().expect("they may be taken out");
        let (sent, key) = secrets.tx;
        let mut encrypter = with_keys(key, |key, iv| aead.encrypter(key, iv));
        // AWS-LC takes the records in order, from the first on.
        for number in 0..sent {
            encrypter.encrypt(plain_message(ContentType::Handshake, b""), number).expect("taken");
        }
        let (received, key) = secrets.rx;
        let decrypter = with_keys(key, |key, iv| aead.decrypter(key, iv));
        RawRecords { socket: self.socket, encrypter, decrypter, sent, received }
    }
}

fn plain_message(content: ContentType, plain: &[u8]) -> OutboundPlainMessage<'_> {
    let version = ProtocolVersion::TLSv1_2;
    OutboundPlainMessage { typ: content, version, payload: plain.into() }
}

fn with_keys<T>(secrets: ConnectionTrafficSecrets, make: impl FnOnce(AeadKey, Iv) -> T) -> T {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => make(key, iv),
        _ => unreachable!("a suite of TLS 1.3"),
    }
}

impl<S: Read + Write> Read for TlsClient<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.receive()?;
        }
    }
}

impl<S: Read + Write> Write for TlsClient<S> {
    /// Takes nothing before the socket has taken what was written before.
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let count = self.tls.writer().write(plain)?;
        match self.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(count),
            result => result.map(|()| count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.socket)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// The alert that the server has ended a connection with, if that is what this error is.
pub fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// An established connection on which any record can be sent, whatever TLS says of it.
pub struct RawRecords {
    socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    sent: u64,
    received: u64,
}

impl RawRecords {
    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// A record of this type, which isn't sent.
    pub fn seal(&mut self, content: ContentType, plain: &[u8]) -> Vec<u8> {
        let message = plain_message(content, plain);
        let sealed = self.encrypter.encrypt(message, self.sent).expect("it takes any length");
        self.sent += 1;
        sealed.encode()
    }

    /// Sends a record of this type.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self, content: ContentType, plain: &[u8]) -> io::Result<()> {
        let record = self.seal(content, plain);
        self.socket.write_all(&record)
    }

    /// The next record.
    ///
    /// # Errors
    /// Those of the socket, of which one is the end of the stream.
    pub fn receive(&mut self) -> io::Result<(ContentType, Vec<u8>)> {
        let mut header = [0; RECORD_HEADER];
        self.socket.read_exact(&mut header)?;
        let [content, _, _, high, low] = header;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        self.socket.read_exact(&mut payload)?;
        let version = ProtocolVersion::TLSv1_2;
        let message = InboundOpaqueMessage::new(content.into(), version, &mut payload);
        let plain = self.decrypter.decrypt(message, self.received).expect("it is the server's");
        self.received += 1;
        Ok((plain.typ, plain.payload.to_vec()))
    }

    /// The alert that ends the connection, behind whatever comes before it.
    ///
    /// # Errors
    /// Those of the socket, of which one is the end of the stream.
    pub fn receive_alert(&mut self) -> io::Result<AlertDescription> {
        loop {
            let (content, plain) = self.receive()?;
            if content == ContentType::Alert {
                return Ok(plain[1].into());
            }
        }
    }
}

impl std::fmt::Debug for RawRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRecords").field("socket", &self.socket).finish_non_exhaustive()
    }
}
