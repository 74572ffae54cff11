//! A client that completes its handshake, and then encrypts whatever a test wants.

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks,
    OutboundPlainMessage,
};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion};

use crate::credentials::{Credentials, server_name};
use crate::end::End;
use crate::pair;

pub(crate) struct Forger {
    to_server: (Box<dyn MessageEncrypter>, u64),
    from_server: (Box<dyn MessageDecrypter>, u64),
}

/// Types of records, as they are on the wire.
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;

impl Forger {
    /// A server that has completed its handshake with one.
    pub(crate) fn connect(credentials: &Credentials) -> (End, Self) {
        let mut server = pair::server(&credentials.server());
        let config = credentials.client_with(|config| config.enable_secret_extraction = true);
        let mut client = ClientConnection::new(config, server_name()).unwrap();
        while client.is_handshaking() || client.wants_write() {
            let mut up = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut up).unwrap();
            }
            server.receive(&up);
            let down = server.write();
            let mut down = &down[..];
            while !down.is_empty() {
                client.read_tls(&mut down).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        assert!(server.failure.is_none(), "{:?}", server.failure);
        (server, Self::of(client))
    }

    fn of(client: ClientConnection) -> Self {
        let suite = client.negotiated_cipher_suite().unwrap().tls13().unwrap();
        let secrets = client.dangerous_extract_secrets().unwrap();
        let (key, iv) = key_and_iv(secrets.tx.1);
        let to_server = (suite.aead_alg.encrypter(key, iv), secrets.tx.0);
        let (key, iv) = key_and_iv(secrets.rx.1);
        Self { to_server, from_server: (suite.aead_alg.decrypter(key, iv), secrets.rx.0) }
    }

    /// A record of this type.
    pub(crate) fn record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: ContentType::from(kind),
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(content),
        };
        let (encrypter, number) = &mut self.to_server;
        *number += 1;
        encrypter.encrypt(message, *number - 1).unwrap().encode()
    }

    /// What is in the records that the other side has sent: their types and contents.
    pub(crate) fn open(&mut self, wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut wire = wire.to_vec();
        let (mut rest, mut opened) = (&mut wire[..], Vec::new());
        while !rest.is_empty() {
            let length = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            let (record, later) = rest.split_at_mut(length);
            let message = InboundOpaqueMessage::new(
                ContentType::from(record[0]),
                ProtocolVersion::TLSv1_2,
                &mut record[5..],
            );
            let (decrypter, number) = &mut self.from_server;
            let plain = decrypter.decrypt(message, *number).unwrap();
            *number += 1;
            opened.push((u8::from(plain.typ), plain.payload.to_vec()));
            rest = later;
        }
        opened
    }
}

fn key_and_iv(secrets: ConnectionTrafficSecrets) -> (AeadKey, Iv) {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => panic!("an unknown cipher"),
    }
}
