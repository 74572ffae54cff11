//! Ends of inputs by the ten thousand: one costs the same, however many agencies have ended before.

use std::ops::Range;
use std::time::Duration;

use crate::attack::{Attack, attacked_command};
use crate::conversation::{HOSTILE, connect_from};
use crate::flood::{Peer, Reading, repeat, run};
use crate::scale;
use kit::frames::{end, hello};
use kit::process::raise_descriptors;
use kit::server::Server;

/// Agencies of the smaller lottery, and of the largest that there may be.
const FEW: u32 = 100;
const MANY: u32 = 10_000;

/// ENDs of which the time is taken: in ten small lotteries, or in a large one.
const ENDS_OF_FEW: u32 = 90;
const ENDS_OF_MANY: u32 = 10 * ENDS_OF_FEW;

/// How many times more an END may cost among [`MANY`] than among [`FEW`].
const FACTOR: u32 = 3;

/// Agencies that are connected at the same time before the time is taken.
const CROWD: u32 = 1_000;

/// Lets these agencies end their inputs at once. Processor time that the central takes for it.
fn end_inputs(server: &Server, agencies: Range<u32>) -> Duration {
    let connected = |agency| {
        let stream = connect_from(server, HOSTILE);
        Peer::new(stream, repeat(&hello(agency), 1), Reading::Frames(1))
    };
    let mut peers: Vec<_> = agencies.map(connected).collect();
    run(&mut peers, Duration::from_mins(1));
    let before = server.processor_time();
    for peer in &mut peers {
        peer.then(repeat(&end(0), 1), Reading::Frames(2));
    }
    run(&mut peers, Duration::from_mins(1));
    assert!(peers.iter().all(Peer::is_done), "each has ended its input");
    server.processor_time().saturating_sub(before)
}

/// Processor time of the last so many ENDs but one in a lottery, of a central that nobody else
/// visits: an operator who looks at ten thousand agencies costs more than they do.
fn time_of_last_ends(agencies: u32, ends: u32) -> Duration {
    let agencies_text = agencies.to_string();
    let settings = [("SERVER_AGENCIES", &agencies_text[..]), ("SERVER_SYNC", "never")];
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with_log_file(folder, attacked_command(&settings));
    let last = agencies - ends;
    for first in (1..last).step_by(CROWD as usize) {
        end_inputs(&server, first..last.min(first + CROWD));
    }
    let time = end_inputs(&server, last..agencies);
    server.stop();
    time
}

#[test]
fn ends_of_ten_thousand_agencies_are_answered() {
    raise_descriptors();
    let of_few: Duration =
        (0..ENDS_OF_MANY / ENDS_OF_FEW).map(|_| time_of_last_ends(FEW, ENDS_OF_FEW)).sum();
    let of_many = time_of_last_ends(MANY, ENDS_OF_MANY);
    let mut broken = Vec::new();
    if of_many > of_few * FACTOR {
        broken.push("an END costs more the more agencies there are".to_owned());
    }
    let agencies = scale(2_200, 9_900);
    let agencies_text = (agencies + 2).to_string();
    let settings = [("SERVER_AGENCIES", &agencies_text[..])];
    let attack = Attack::begin("very many agencies end at once", &settings);
    end_inputs(&attack.server, 2..2 + agencies);
    let (few, many) = (of_few / ENDS_OF_MANY, of_many / ENDS_OF_MANY);
    let measured =
        format!("{agencies} at once; an END of {FEW} agencies: {few:.1?}, of {MANY}: {many:.1?}");
    attack.end("one END costs the same", &measured, broken);
}
