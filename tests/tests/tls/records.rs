//! Records that are cut, repeated, replayed, or none that TLS 1.3 has.

use std::io::{Read, Write};
use std::net::Shutdown;

use kit::conversation::Conversation;
use kit::frames::{batch, hello, responses};
use kit::tls_client::{
    AlertDescription, ContentType, HandshakeKind, RECORD_HEADER, RECORD_MAX, RawRecords,
};

use crate::world::World;

/// The second agency, introduced, with its keys in hand.
fn raw_agency(world: &World) -> RawRecords {
    let (agency, welcome) = world.introduce(2);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
    agency.0.into_raw()
}

fn bets(position: u64, count: u64) -> Vec<u8> {
    let documents: Vec<_> = (position..position + count).map(|at| format!("{at:020}")).collect();
    let bets: Vec<_> = documents.iter().map(|document| (&document[..], "7")).collect();
    batch(position, &bets)
}

/// The second agency has had nothing stored.
fn has_stored_nothing(world: &World) {
    let (_, welcome) = world.introduce(2);
    assert_eq!(welcome, "welcome 0 rejected 0 Open");
}

#[test]
fn cut_within_a_record_of_a_batch() {
    let mut world = World::new();
    let whole = bets(0, 50);
    for cut in [1, RECORD_HEADER, 100, 1] {
        let (mut agency, _) = world.introduce(2);
        let record = agency.0.seal(&whole);
        // The last one lacks its last byte.
        let cut = if cut == 1 { record.len() - 1 } else { cut };
        agency.0.send_raw(&record[..cut]).expect("sent");
        agency.0.socket().shutdown(Shutdown::Write).expect("half-closed");
        assert_eq!(agency.outcome(), ["cut"], "{cut} bytes of it");
        world.goes_on();
        has_stored_nothing(&world);
    }
    world.end_with_line(&["close_connection | result: fail", "in the middle of a TLS record"]);
}

#[test]
fn cut_between_two_records_of_a_batch() {
    let mut world = World::new();
    let (mut agency, _) = world.introduce(2);
    let whole = bets(0, 50);
    let (first, _) = whole.split_at(1000);
    agency.send(first);
    agency.0.socket().shutdown(Shutdown::Write).expect("half-closed");
    // TCP's end comes without TLS's: for half a frame that makes no difference.
    assert_eq!(agency.outcome(), ["error Malformed", "end"]);
    world.goes_on();
    has_stored_nothing(&world);
    world.end();
}

#[test]
fn ended_by_tls_in_the_middle_of_a_batch() {
    let mut world = World::new();
    let (mut agency, _) = world.introduce(2);
    let whole = bets(0, 50);
    let (first, second) = whole.split_at(1000);
    let bytes = [agency.0.seal(first), agency.0.seal_end()].concat();
    // What follows the end counts for nothing, and so does what isn't TLS at all.
    agency.0.send_raw(&[&bytes[..], second].concat()).expect("sent");
    agency.0.socket().shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(agency.outcome(), ["error Malformed", "end"]);
    world.goes_on();
    has_stored_nothing(&world);
    world.end();
}

#[test]
fn cut_behind_a_whole_batch_it_is_stored() {
    let mut world = World::new();
    let (mut agency, _) = world.introduce(2);
    agency.send(&[batch(0, &[("99", "7")]), bets(1, 50)[..1000].to_vec()].concat());
    agency.0.socket().shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(agency.outcome(), ["stored 1", "error Malformed", "end"]);
    world.goes_on();
    let (_, welcome) = world.introduce(2);
    assert_eq!(welcome, "welcome 1 rejected 0 Open");
}

#[test]
fn a_record_that_is_replayed() {
    let mut world = World::new();
    let mut agency = raw_agency(&world);
    let record = agency.seal(ContentType::ApplicationData, &batch(0, &[("99", "7")]));
    agency.socket().write_all(&record).expect("sent");
    let (content, response) = agency.receive().expect("a response");
    assert_eq!(
        (content, &responses(&response).0[..]),
        (ContentType::ApplicationData, &["stored 1".to_owned()][..])
    );
    agency.socket().write_all(&record).expect("sent");
    assert_eq!(agency.receive_alert().expect("an alert"), AlertDescription::BadRecordMac);
    world.goes_on();
    let (_, welcome) = world.introduce(2);
    assert_eq!(welcome, "welcome 1 rejected 0 Open", "stored once");
}

/// The second agency sends a record that TLS 1.3 doesn't have there.
fn refused_record(content: ContentType, plain: &[u8], alert: AlertDescription) {
    let mut world = World::new();
    let mut agency = raw_agency(&world);
    // Behind it a batch, which must have no effect.
    let records = [
        agency.seal(content, plain),
        agency.seal(ContentType::ApplicationData, &batch(0, &[("99", "7")])),
    ];
    agency.socket().write_all(&records.concat()).expect("sent");
    assert_eq!(agency.receive_alert().expect("an alert"), alert);
    world.goes_on();
    has_stored_nothing(&world);
    world.end_with_line(&["close_connection | result: fail | ip: 127.0.0.1 | reason: the peer breaks the TLS protocol: "]);
}

#[test]
fn records_out_of_order() {
    let mut world = World::new();
    let mut agency = raw_agency(&world);
    let first = agency.seal(ContentType::ApplicationData, &batch(0, &[("99", "7")]));
    let second = agency.seal(ContentType::ApplicationData, &batch(1, &[("98", "7")]));
    agency.socket().write_all(&[second, first].concat()).expect("sent");
    assert_eq!(agency.receive_alert().expect("an alert"), AlertDescription::BadRecordMac);
    world.goes_on();
    has_stored_nothing(&world);
    world.end();
}

#[test]
fn a_changed_record() {
    let mut world = World::new();
    let mut agency = raw_agency(&world);
    let mut record = agency.seal(ContentType::ApplicationData, &batch(0, &[("99", "7")]));
    record[RECORD_HEADER + 3] ^= 1;
    agency.socket().write_all(&record).expect("sent");
    assert_eq!(agency.receive_alert().expect("an alert"), AlertDescription::BadRecordMac);
    world.goes_on();
    has_stored_nothing(&world);
    world.end();
}

#[test]
fn a_record_that_is_too_long() {
    let content = ContentType::ApplicationData;
    refused_record(content, &vec![0; RECORD_MAX + 1], AlertDescription::RecordOverflow);
}

/// A `ClientHello` is handshake message 1, and so on.
fn handshake_message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

#[test]
fn renegotiation_by_another_client_hello() {
    let world = World::new();
    let hello = kit::tls_client::TlsClient::new(world.server.connect(), &world.config(None));
    let mut hello = hello;
    let hello = hello.take_unsent()[RECORD_HEADER..].to_vec();
    drop(world);
    refused_record(ContentType::Handshake, &hello, AlertDescription::UnexpectedMessage);
}

#[test]
fn renegotiation_by_hello_request() {
    let request = handshake_message(0, b"");
    refused_record(ContentType::Handshake, &request, AlertDescription::UnexpectedMessage);
}

#[test]
fn a_client_hello_in_plaintext_after_the_handshake() {
    let mut world = World::new();
    let mut agency = raw_agency(&world);
    let mut hello = kit::tls_client::TlsClient::new(world.server.connect(), &world.config(None));
    agency.socket().write_all(&hello.take_unsent()).expect("sent");
    // Nothing comes in plaintext any more: it counts as a record that somebody has changed.
    assert_eq!(agency.receive_alert().expect("an alert"), AlertDescription::BadRecordMac);
    world.goes_on();
    has_stored_nothing(&world);
    world.end();
}

#[test]
fn key_updates_without_end() {
    let mut world = World::new();
    let (mut agency, _) = world.introduce(2);
    let updates: Vec<_> = (0..100).map(|_| agency.0.seal_key_update()).collect();
    let batch = agency.0.seal(&batch(0, &[("99", "7")]));
    agency.0.send_raw(&[updates.concat(), batch].concat()).expect("sent");
    // rustls says nothing to that.
    assert_eq!(agency.outcome(), ["cut"]);
    world.goes_on();
    has_stored_nothing(&world);
    world.end_with_line(&["close_connection | result: fail", "TooManyKeyUpdateRequests"]);
}

#[test]
fn a_key_update_is_answered() {
    let world = World::with("required", &[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let mut client = world.connect(None);
    for _ in 0..100 {
        let bytes = [client.seal_key_update(), client.seal(b"hola\n")].concat();
        client.send_raw(&bytes).expect("sent");
        let mut response = [0; 5];
        client.read_exact(&mut response).expect("it comes back");
        assert_eq!(&response, b"hola\n");
    }
    world.end();
}

#[test]
fn empty_records_without_end() {
    let mut world = World::new();
    let mut agency = raw_agency(&world);
    let records: Vec<_> =
        (0..1000).map(|_| agency.seal(ContentType::ApplicationData, b"")).collect();
    // Whether it takes them or ends it, it goes on with others.
    let _ = agency.socket().write_all(&records.concat());
    world.goes_on();
    has_stored_nothing(&world);
    world.end();
}

#[test]
fn a_record_of_16_kib_split_over_segments_at_every_byte() {
    let world = World::with("required", &[("SERVER_ECHO_KEEP_ALIVE", "true")]);
    let mut client = world.connect(None);
    client.socket().set_nodelay(true).expect("set");
    let line = [vec![b'x'; RECORD_MAX - 1], vec![b'\n']].concat();
    let mut response = vec![0; line.len()];
    let length = client.seal(&line).len();
    // That one was never sent: another client begins anew.
    let mut client = world.connect(None);
    client.socket().set_nodelay(true).expect("set");
    for at in 1..length {
        let record = client.seal(&line);
        assert_eq!(record.len(), length, "one record");
        client.send_raw(&record[..at]).expect("sent");
        client.send_raw(&record[at..]).expect("sent");
        client.read_exact(&mut response).expect("it comes back");
        assert!(response == line, "cut at {at}");
    }
    assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
}

#[test]
fn a_record_that_never_ends() {
    let settings = [
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_FIRST_BYTE_TIMEOUT", "300ms"),
        ("SERVER_IDLE_TIMEOUT", "300ms"),
    ];
    let mut world = World::with("required", &settings);
    for has_spoken in [false, true] {
        let mut client = world.connect(None);
        if has_spoken {
            client.write_all(b"hola\n").expect("sent");
            client.read_exact(&mut [0; 5]).expect("it comes back");
        }
        let record = client.seal(&[b'x'; RECORD_MAX]);
        client.send_raw(&record[..record.len() - 1]).expect("sent");
        let mut response = Vec::new();
        client.read_to_end(&mut response).expect("an end in order");
        assert_eq!(response, b"");
        world.goes_on();
    }
    world.end_with_line(&["receive_message | result: fail", "waited too long for a line or frame"]);
}

#[test]
fn a_record_of_16_kib_byte_by_byte() {
    let world = World::new();
    let mut client = world.connect(None);
    client.socket().set_nodelay(true).expect("set");
    let line = [vec![b'x'; RECORD_MAX - 1], vec![b'\n']].concat();
    for byte in client.seal(&line) {
        client.send_raw(&[byte]).expect("sent");
    }
    let mut response = Vec::new();
    client.read_to_end(&mut response).expect("an end in order");
    assert!(response == line);
}

#[test]
fn a_whole_conversation_in_records_of_one_byte() {
    let mut world = World::new();
    let client = world.connect(Some(world.certificates.agency(2)));
    let mut conversation = Conversation(client);
    for byte in [hello(2), batch(0, &[("99", "7")])].concat() {
        conversation.send(&[byte]);
    }
    let responses = [conversation.receive(), conversation.receive()];
    assert_eq!(responses, ["welcome 0 rejected 0 Open", "stored 1"]);
    world.goes_on();
}
