//! The promise of the admin listener: no name and no document is in anything that it serves, from the first
//! bet to the draw and behind it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use kit::frames::{bytes, end, hello, responses};
use kit::http::get;
use wire::{BatchBuilder, Bet, Push, Request};

use crate::world::{Central, WINNING};

const AGENCIES: u32 = 3;

/// Bets of each agency.
const BETS: usize = 400;

/// What all documents begin with: longer than any number that is served has in common with it by chance.
const DOCUMENT: &str = "98765432109";

/// What a bet has of a person: none of it is a part of anything else that is served.
struct Person {
    first_name: String,
    last_name: String,
    document: String,
    birthdate: &'static str,
}

impl Person {
    fn of(agency: u32, at: usize) -> Self {
        Self {
            first_name: format!("Zoraida{agency}x{at}"),
            last_name: format!("Quiñónez{agency}x{at}"),
            document: format!("{DOCUMENT}{agency}{at:08}"),
            birthdate: "1903-08-27",
        }
    }

    /// A batch of such bets, of which the first wins; a bad number has the central name what is wrong.
    fn batch(agency: u32, from: usize, count: usize, is_bad: bool) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for at in from..from + count {
            let person = Self::of(agency, at);
            let number = if at == from { WINNING } else { "12" };
            let number = if is_bad { "Zoraida" } else { number };
            let fields = [
                &*person.first_name,
                &*person.last_name,
                &*person.document,
                person.birthdate,
                number,
            ];
            assert_eq!(builder.push(&Bet::from_fields(fields.map(str::as_bytes))), Ok(Push::Added));
        }
        bytes(&Request::Batch(builder.batch(from as u64)))
    }
}

/// What everybody's data begin with, as they are and as JSON may write them.
const TRACES: [&str; 5] = ["Zoraida", "Qui\u{f1}", "Qui\\u", "1903-08-27", DOCUMENT];

/// Sends all bets of an agency and asks for its winners, while the others do.
fn play(central: &Central, agency: u32) {
    let mut stream = central.server.connect();
    let mut said = hello(agency);
    for from in (0..BETS).step_by(50) {
        said.extend(Person::batch(agency, from, 50, false));
    }
    said.extend(Person::batch(agency, BETS, 2, true));
    said.extend(end(BETS as u64 + 2));
    said.extend(bytes(&Request::Winners));
    stream.write_all(&said).expect("sent");
    let mut input = Vec::new();
    loop {
        let found = responses(&input).0;
        if let Some(winners) = found.iter().find(|response| response.starts_with("winners ")) {
            let document = Person::of(agency, 0).document;
            assert!(winners.contains(&document), "{winners}");
            return;
        }
        let mut chunk = [0; 4096];
        let count = kit::reads::read(&mut stream, &mut chunk).expect("it answers");
        assert!(count > 0, "it has ended: {found:?}");
        input.extend_from_slice(&chunk[..count]);
    }
}

#[test]
fn nothing_that_is_served_says_who_has_bet() {
    let central = Central::start(AGENCIES, &[("LOGGING_LEVEL", "DEBUG")]);
    let mut stream = central.connect();
    stream.write_all(get("/events").as_bytes()).expect("sent");
    let ends = AtomicBool::new(false);
    let mut served = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = String::new();
            while !ends.load(Ordering::Relaxed) {
                for target in ["/", "/?lang=en", "/status.json", "/metrics", "/readyz", "/nothing"]
                {
                    let response = central.get(target);
                    seen.extend([format!("{:?}", response.headers), response.body]);
                }
            }
            seen
        });
        let central = &central;
        let played = (1..=AGENCIES).map(|agency| scope.spawn(move || play(central, agency)));
        let played: Vec<_> = played.collect();
        for one in played {
            one.join().expect("it is served");
        }
        ends.store(true, Ordering::Relaxed);
        looking.join().expect("it is answered")
    });
    served.extend(["/", "/status.json", "/metrics"].map(|target| central.get(target).body));
    // The last event is the one of the shutdown: the stream has had all of them.
    let log = central.server.stop();
    assert!(log.contains("action: sorteo | result: success"), "{log}");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        served.push_str(&line);
    }
    assert!(
        served.contains("event: change") && served.contains("\"stage\":\"drawn\""),
        "it was looked at"
    );
    assert!(served.contains("loteria_winners 24"), "8 batches of each agency have a winner");
    for trace in TRACES {
        assert!(!served.contains(trace), "{trace} is served");
    }
}
