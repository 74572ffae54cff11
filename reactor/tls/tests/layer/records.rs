//! What comes in records after the handshake.

use reactor::Layer as _;
use rustls::{AlertDescription, Error, InvalidMessage, PeerMisbehaved};
use tls::TlsError;

use crate::credentials::Credentials;
use crate::end::End;
use crate::forger::{ALERT, DATA, Forger, HANDSHAKE};
use crate::handshakes::hello_of_tls_1_2;
use crate::pair::Pair;

const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// The server has failed for this reason, and says so in its last record.
fn assert_refused(mut server: End, forger: &mut Forger, why: &Error, alert: AlertDescription) {
    let Some(TlsError::Protocol(error)) = &server.failure else { panic!("{:?}", server.failure) };
    assert_eq!(error, why);
    assert!(server.layer.unsent() > 0);
    let said = server.write();
    assert_eq!(forger.open(&said), [(ALERT, vec![2, alert.into()])]);
    assert_eq!(server.layer.unsent(), 0);
}

#[test]
fn any_number_of_bytes() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let mut sent = Vec::new();
    for length in [1, 0, 2, 100, 16 * 1024, 0, 0, 16 * 1024 - 1] {
        let text = vec![b'.'; length];
        let record = forger.record(DATA, &text);
        server.receive(&record);
        sent.extend(text);
    }
    assert!(server.failure.is_none());
    assert_eq!(server.received, sent);
}

#[test]
fn empty_records_are_taken_as_long_as_they_are_few() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    for _ in 0..32 {
        server.receive(&forger.record(DATA, b""));
    }
    server.receive(&forger.record(DATA, b"1"));
    for _ in 0..32 {
        server.receive(&forger.record(DATA, b""));
    }
    assert!(server.failure.is_none());
    assert_eq!(server.received, b"1");
    server.receive(&forger.record(DATA, b""));
    let many = Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments);
    assert!(matches!(&server.failure, Some(TlsError::Protocol(error)) if *error == many));
}

#[test]
fn a_record_that_holds_too_much() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let record = forger.record(DATA, &vec![b'.'; 16 * 1024 + 1]);
    server.receive(&record);
    assert_eq!(server.received, b"");
    assert_refused(
        server,
        &mut forger,
        &Error::PeerSentOversizedRecord,
        AlertDescription::RecordOverflow,
    );
}

/// It is refused before it has come.
#[test]
fn a_record_that_says_it_is_too_long() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    server.receive(&[23, 3, 3, 0xff, 0xff]);
    assert_refused(
        server,
        &mut forger,
        &Error::InvalidMessage(InvalidMessage::MessageTooLarge),
        AlertDescription::DecodeError,
    );
}

#[test]
fn bytes_that_were_changed() {
    let credentials = Credentials::new();
    let record_length = Forger::connect(&credentials).1.record(DATA, b"12345").len();
    // Type and version are the same in all records, and whatever they are changes nothing.
    for at in 3..record_length {
        let (mut server, mut forger) = Forger::connect(&credentials);
        let good = forger.record(DATA, b"good");
        let mut bad = forger.record(DATA, b"12345");
        bad[at] ^= 1;
        server.receive(&[good, bad, vec![0; 1000]].concat());
        assert_eq!(server.received, b"good", "byte {at}");
        assert!(server.failure.is_some(), "byte {at}");
        let said = server.write();
        assert!(matches!(&forger.open(&said)[..], [(ALERT, _)]), "byte {at}");
    }
}

#[test]
fn garbage() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    server.receive(b"\x17\x03\x03\x00\x20not a word of this is encrypted!");
    assert_refused(server, &mut forger, &Error::DecryptError, AlertDescription::BadRecordMac);
}

/// A client of TLS 1.2 would begin another handshake so.
#[test]
fn a_hello_after_the_handshake() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let hello = &hello_of_tls_1_2()[5..];
    server.receive(&forger.record(HANDSHAKE, hello));
    let Some(TlsError::Protocol(Error::InappropriateHandshakeMessage { .. })) = server.failure
    else {
        panic!("{:?}", server.failure)
    };
    let said = server.write();
    let alert = vec![2, AlertDescription::UnexpectedMessage.into()];
    assert_eq!(forger.open(&said), [(ALERT, alert)]);
    // Nor in clear.
    let (mut server, _) = Forger::connect(&Credentials::new());
    server.receive(&hello_of_tls_1_2());
    assert!(server.failure.is_some());
}

#[test]
fn types_of_records_that_have_no_business_here() {
    for kind in [0, 20, 24, 25, 255] {
        let (mut server, mut forger) = Forger::connect(&Credentials::new());
        server.receive(&forger.record(kind, &[1]));
        assert!(server.failure.is_some(), "{kind}");
    }
}

#[test]
fn what_follows_the_end_is_ignored_and_replies_still_leave() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let wire = [
        forger.record(DATA, b"1"),
        forger.record(ALERT, &CLOSE_NOTIFY),
        forger.record(DATA, b"2"),
        vec![0xff; 100],
    ];
    server.receive(&wire.concat());
    assert!(server.layer.has_peer_ended());
    server.receive(&forger.record(DATA, b"3"));
    server.receive(&vec![0xff; 20_000]);
    assert_eq!(server.received, b"1");
    assert_eq!(server.send(b"late"), 4);
    server.close();
    let said = server.write();
    assert_eq!(forger.open(&said), [(DATA, b"late".to_vec()), (ALERT, CLOSE_NOTIFY.to_vec())]);
    server.finish();
    assert!(server.failure.is_none());
}

/// Bytes that end between records are like an end; within one, somebody may have cut them.
#[test]
fn the_bytes_end() {
    let credentials = Credentials::new();
    let length = Forger::connect(&credentials).1.record(DATA, b"123").len();
    for cut in 0..=length {
        let (mut server, mut forger) = Forger::connect(&credentials);
        let wire = [forger.record(DATA, b"1"), forger.record(DATA, b"123")[..cut].to_vec()];
        server.receive(&wire.concat());
        server.finish();
        match server.failure {
            None => assert!(cut == 0 || cut == length, "cut at {cut}"),
            Some(TlsError::Truncated { found }) => assert_eq!(found, cut),
            Some(other) => panic!("cut at {cut}: {other}"),
        }
    }
}

#[test]
fn the_peer_refuses() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    let wire = [forger.record(DATA, b"1"), forger.record(ALERT, &[2, 80])];
    server.receive(&wire.concat());
    assert_eq!(server.received, b"1");
    let Some(TlsError::Alert(alert)) = server.failure else { panic!("{:?}", server.failure) };
    assert_eq!(alert, AlertDescription::InternalError);
}

/// Handshake messages in pieces, with something between them.
#[test]
fn nothing_may_come_between_the_parts_of_a_message() {
    let (mut server, mut forger) = Forger::connect(&Credentials::new());
    server.receive(&forger.record(HANDSHAKE, &[24, 0, 0]));
    assert!(server.failure.is_none());
    server.receive(&forger.record(DATA, b"1"));
    let between = Error::PeerMisbehaved(PeerMisbehaved::MessageInterleavedWithHandshakeMessage);
    assert!(matches!(&server.failure, Some(TlsError::Protocol(error)) if *error == between));
}

/// A side that has said that nothing follows, and what it says then.
#[test]
fn both_end() {
    let mut pair = Pair::established(&Credentials::new());
    assert_eq!(pair.client.send(b"last"), 4);
    pair.client.close();
    pair.run();
    assert!(pair.server.layer.has_peer_ended() && !pair.client.layer.has_peer_ended());
    assert_eq!(pair.server.received, b"last");
    assert_eq!(pair.server.send(b"reply"), 5);
    pair.server.close();
    pair.run();
    assert!(pair.client.layer.has_peer_ended());
    assert_eq!(pair.client.received, b"reply");
}
