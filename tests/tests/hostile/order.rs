//! Requests whose responses could overtake each other, and ends by the ten thousand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wire::{MAGIC, Request};

use crate::attack::{Attack, attacked_command};
use crate::conversation::{HOSTILE, connect_from, introduce};
use crate::flood::{Peer, Reading, repeat, run};
use crate::scale;
use kit::conversation::Conversation;
use kit::frames::{batch, bytes, end, hello};
use kit::process::raise_descriptors;
use kit::server::Server;

/// Processor time of one END, when so many agencies of a lottery end at once.
fn time_of_an_end(attack: &Attack, first: u32, count: u32) -> Duration {
    let agencies = first..first + count;
    let mut peers: Vec<_> = agencies
        .map(|agency| {
            let stream = connect_from(&attack.server, HOSTILE);
            Peer::new(stream, repeat(&hello(agency), 1), Reading::Frames(1))
        })
        .collect();
    run(&mut peers, Duration::from_mins(1));
    let before = attack.processor_time().expect("it runs");
    for peer in &mut peers {
        peer.then(repeat(&end(0), 1), Reading::Frames(2));
    }
    run(&mut peers, Duration::from_mins(1));
    assert!(peers.iter().all(Peer::is_done), "each has ended its input");
    attack.processor_time().expect("it runs").saturating_sub(before) / count
}

#[test]
fn ends_of_ten_thousand_agencies_are_answered() {
    raise_descriptors();
    let (few, many) = scale((200, 2_000), (1_000, 8_900));
    let agencies = (few + many + 2).to_string();
    let attack = Attack::begin("very many agencies end at once", &[("SERVER_AGENCIES", &agencies)]);
    let one_of_few = time_of_an_end(&attack, 2, few);
    let one_of_many = time_of_an_end(&attack, 2 + few, many);
    let measured = format!("an END of {few}: {one_of_few:?}, of {many}: {one_of_many:?}");
    attack.end("one END costs the same", &measured, Vec::new());
}

const WINNERS: u64 = 6_000;

fn winners() -> Vec<u8> {
    bytes(&Request::Winners)
}

/// A server whose draw was held: its only agency has stored winning bets and ended its input.
fn drawn() -> (Server, Conversation<TcpStream>) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with_log_file(folder, attacked_command(&[("SERVER_AGENCIES", "1")]));
    let (mut agency, _) = introduce(&server, HOSTILE, 1);
    for position in (0..WINNERS).step_by(150) {
        let documents: Vec<_> = (position..position + 150).map(document).collect();
        let bets: Vec<_> = documents.iter().map(|document| (&document[..], "7574")).collect();
        assert_eq!(agency.ask(&batch(position, &bets)), format!("stored {}", position + 150));
    }
    assert_eq!(agency.ask(&end(WINNERS)), format!("finished {WINNERS} 0"));
    (server, agency)
}

fn document(index: u64) -> String {
    (10_000_000 + index).to_string()
}

/// Takes one list of winners, which must be whole.
fn receive_winners(agency: &mut Conversation<TcpStream>) {
    let mut found = Vec::new();
    loop {
        let response = agency.receive();
        let list =
            response.strip_prefix("winners ").unwrap_or_else(|| panic!("{response} in a list"));
        let (ends, documents) = list.split_once(' ').expect("whether it is the last");
        found.extend(documents.split(',').map(str::to_owned));
        if ends == "true" {
            return assert!(found.into_iter().eq((0..WINNERS).map(document)));
        }
    }
}

#[test]
fn winners_come_before_the_end_that_was_sent_behind_the_question() {
    let (server, mut agency) = drawn();
    agency.send(&[winners(), end(WINNERS)].concat());
    receive_winners(&mut agency);
    assert_eq!(agency.receive(), format!("finished {WINNERS} 0"));
    server.stop();
}

#[test]
fn two_hundred_lists_read_late_come_before_the_end_asked_later() {
    let (server, mut agency) = drawn();
    agency.send(&winners().repeat(200));
    // The first of them is on its way, and more than the buffers hold behind it.
    agency.0.peek(&mut [0]).expect("winners");
    agency.send(&end(WINNERS));
    for _ in 0..200 {
        receive_winners(&mut agency);
    }
    assert_eq!(agency.receive(), format!("finished {WINNERS} 0"));
    server.stop();
}

#[test]
fn winners_come_before_the_error_of_a_bad_request_behind_the_question() {
    let (server, mut agency) = drawn();
    agency.send(&[winners(), winners(), vec![MAGIC, 0x77, 0, 4]].concat());
    receive_winners(&mut agency);
    receive_winners(&mut agency);
    assert_eq!(agency.receive(), "error UnknownKind");
    assert_eq!(agency.receive(), "end");
    server.stop();
}

#[test]
fn half_a_line_gets_its_error_line_when_its_time_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment = [("SERVER_FRAME_TIMEOUT", "200ms")];
    let server = Server::start_with_log_file(folder, attacked_command(&environment));
    let mut stream = connect_from(&server, HOSTILE);
    stream.write_all(b"half a li").expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("an error line, and the end");
    assert!(response.starts_with("error: ") && response.ends_with('\n'), "{response:?}");
    server.stop();
}

#[test]
fn after_the_draw_new_bets_and_another_end_are_errors() {
    let (server, mut agency) = drawn();
    assert_eq!(agency.ask(&end(WINNERS)), format!("finished {WINNERS} 0"), "the same as before");
    for request in [batch(WINNERS, &[("1", "7")]), end(WINNERS + 1)] {
        let (mut agency, welcome) = introduce(&server, HOSTILE, 1);
        assert_eq!(welcome, format!("welcome {WINNERS} rejected 0 Drawn"));
        assert_eq!(agency.ask(&request), "error Drawn");
        assert_eq!(agency.receive(), "end");
    }
    server.stop();
}
