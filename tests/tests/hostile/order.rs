//! Requests whose responses could overtake each other.

use std::io::{Read, Write};
use std::net::TcpStream;

use wire::{MAGIC, Request};

use crate::attack::Attack;
use crate::conversation::{HOSTILE, connect_from, introduce};
use crate::scale;
use kit::conversation::Conversation;
use kit::frames::{batch, bytes, end};

/// The agency that asks; it isn't the honest one.
const AGENCY: u32 = 2;

/// Its winning bets.
const WINNERS: u64 = 6_000;

fn winners() -> Vec<u8> {
    bytes(&Request::Winners)
}

/// An attack on a central whose draw was held: the agency has stored winning bets and ended its input.
fn drawn(name: &'static str) -> (Attack, Conversation<TcpStream>) {
    let mut attack = Attack::begin(name, &[("SERVER_AGENCIES", "2")]);
    let (mut agency, _) = introduce(&attack.server, HOSTILE, AGENCY);
    for position in (0..WINNERS).step_by(150) {
        let documents: Vec<_> = (position..position + 150).map(document).collect();
        let bets: Vec<_> = documents.iter().map(|document| (&document[..], "7574")).collect();
        assert_eq!(agency.ask(&batch(position, &bets)), format!("stored {}", position + 150));
    }
    assert_eq!(agency.ask(&end(WINNERS)), format!("finished {WINNERS} 0"));
    attack.draw();
    (attack, agency)
}

/// Each response has been looked at by then.
fn end_attack(attack: Attack, measured: &str) {
    attack.end("responses in the order of their requests", measured, Vec::new());
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
    let (attack, mut agency) = drawn("an END behind a question for winners");
    let lists = scale(20, 1_000);
    for _ in 0..lists {
        agency.send(&[winners(), end(WINNERS)].concat());
        receive_winners(&mut agency);
        assert_eq!(agency.receive(), format!("finished {WINNERS} 0"));
    }
    end_attack(attack, &format!("{lists} lists of {WINNERS} winners, an END behind each"));
}

#[test]
fn two_hundred_lists_read_late_come_before_the_end_asked_later() {
    const LISTS: usize = 200;
    let (attack, mut agency) = drawn("lists that are read late, and an END behind them");
    agency.send(&winners().repeat(LISTS));
    // The first of them is on its way, and more than the buffers hold behind it.
    agency.0.peek(&mut [0]).expect("winners");
    agency.send(&end(WINNERS));
    for _ in 0..LISTS {
        receive_winners(&mut agency);
    }
    assert_eq!(agency.receive(), format!("finished {WINNERS} 0"));
    end_attack(attack, &format!("{LISTS} lists of {WINNERS} winners"));
}

#[test]
fn winners_come_before_the_error_of_a_bad_request_behind_the_question() {
    let (attack, mut agency) = drawn("a bad request behind questions for winners");
    let rounds = scale(20, 1_000);
    for _ in 0..rounds {
        agency.send(&[winners(), winners(), vec![MAGIC, 0x77, 0, 4]].concat());
        receive_winners(&mut agency);
        receive_winners(&mut agency);
        assert_eq!(agency.receive(), "error UnknownKind");
        assert_eq!(agency.receive(), "end");
        (agency, _) = introduce(&attack.server, HOSTILE, AGENCY);
    }
    end_attack(attack, &format!("{} lists of {WINNERS} winners", 2 * rounds));
}

#[test]
fn half_a_line_gets_its_error_line_when_its_time_is_over() {
    let attack =
        Attack::begin("half lines until their time is over", &[("SERVER_FRAME_TIMEOUT", "200ms")]);
    let count = scale(100, 5_000);
    let half_line = |_| {
        let mut stream = connect_from(&attack.server, HOSTILE);
        stream.write_all(b"half a li").expect("sent");
        stream
    };
    let streams: Vec<_> = (0..count).map(half_line).collect();
    for mut stream in streams {
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("an error line, and the end");
        assert!(response.starts_with("error: ") && response.ends_with('\n'), "{response:?}");
    }
    end_attack(attack, &format!("{count} error lines"));
}

#[test]
fn after_the_draw_new_bets_and_another_end_are_errors() {
    let (attack, mut agency) = drawn("bets and other ends after the draw");
    let rounds = scale(20, 1_000);
    assert_eq!(agency.ask(&end(WINNERS)), format!("finished {WINNERS} 0"), "the same as before");
    for request in [batch(WINNERS, &[("1", "7")]), end(WINNERS + 1)].iter().cycle().take(rounds) {
        let (mut agency, welcome) = introduce(&attack.server, HOSTILE, AGENCY);
        assert_eq!(welcome, format!("welcome {WINNERS} rejected 0 Drawn"));
        assert_eq!(agency.ask(request), "error Drawn");
        assert_eq!(agency.receive(), "end");
    }
    end_attack(attack, &format!("{rounds} requests, each refused"));
}
