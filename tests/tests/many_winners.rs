//! Nearly every bet wins, and the central has little memory: it draws, sends each agency its winners,
//! and does so again after it was killed. `make winners` runs it with ten million.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kit::process::memory;
use kit::server::{Server, command};
use wire::{Agency, BatchBuilder, Bet, FrameDecoder, Push, Request, Response};

const AGENCIES: Agency = 5;

/// Winners of all agencies together, unless `WINNERS` is set.
const WINNERS: u64 = 300_000;

/// All the memory that the central may have: of its own, of libraries and of its program, used or
/// not.
const MEMORY: usize = 64 << 20;

/// One bet among so many doesn't win.
const LOSERS: u64 = 16;

/// The default, which the harness makes smaller.
const LOG_SIZE: &str = "8MiB";

fn winners_of_each() -> u64 {
    let all = std::env::var("WINNERS").map_or(WINNERS, |text| text.parse().expect("a number"));
    all / u64::from(AGENCIES)
}

fn document(agency: Agency, index: u64) -> String {
    format!("{agency}{index:08}")
}

/// The bets of an agency: how many must be made for so many winners, and which of them win.
fn bets_of_each() -> u64 {
    winners_of_each() * LOSERS / (LOSERS - 1)
}

fn wins(index: u64) -> bool {
    index % LOSERS != 3
}

/// The batch that begins at `position`.
fn batch(agency: Agency, position: u64) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    for index in position..bets_of_each() {
        let document = document(agency, index);
        // Names are what a row could be misread by.
        let name = if index % 1000 == 0 { "\"Paz\", 7574" } else { "Paz" };
        let number = if wins(index) { "7574" } else { "75740" };
        let fields = ["Ana", name, &document, "2000-01-01", number].map(str::as_bytes);
        if batch.push(&Bet::from_fields(fields)) != Ok(Push::Added) {
            break;
        }
    }
    batch
}

/// Sends everything that an agency has, and that nothing follows.
fn send_bets(mut stream: TcpStream, agency: Agency) {
    let mut bytes = Vec::new();
    Request::Hello { agency, draw: None }.encode(&mut bytes);
    let mut position = 0;
    while position < bets_of_each() {
        let batch = batch(agency, position);
        Request::Batch(batch.batch(position)).encode(&mut bytes);
        position += u64::from(batch.count());
        stream.write_all(&bytes).expect("it takes them");
        bytes.clear();
    }
    Request::End { total: position }.encode(&mut bytes);
    stream.write_all(&bytes).expect("it takes that too");
    stream.shutdown(Shutdown::Write).expect("it is open");
}

/// Calls with each response until the connection ends.
fn responses(stream: TcpStream, mut each: impl FnMut(Response<'_>)) {
    let mut reader = BufReader::new(stream);
    let mut frame = vec![0; 4];
    loop {
        frame.truncate(4);
        if reader.read_exact(&mut frame).is_err() {
            return;
        }
        frame.resize(usize::from(u16::from_be_bytes([frame[2], frame[3]])), 0);
        reader.read_exact(&mut frame[4..]).expect("the rest of the frame");
        let decoded = FrameDecoder::default().decode(&frame).expect("a frame");
        each(Response::decode(decoded.expect("a whole one")).expect("a response"));
    }
}

/// Stores all bets of all agencies.
fn store(server: &Server) {
    thread::scope(|scope| {
        for agency in 1..=AGENCIES {
            let stream = server.connect();
            let writer = stream.try_clone().expect("another descriptor");
            scope.spawn(move || send_bets(writer, agency));
            scope.spawn(move || {
                let mut last = String::new();
                responses(stream, |response| last = format!("{response:?}"));
                let expected =
                    format!("{:?}", Response::Finished { stored: bets_of_each(), rejected: 0 });
                assert_eq!(last, expected);
            });
        }
    });
}

/// Asks for the winners of an agency: all of its own must come, in order, and none of another.
fn check_winners(mut stream: TcpStream, agency: Agency) {
    let mut request = Vec::new();
    Request::Hello { agency, draw: None }.encode(&mut request);
    Request::Winners.encode(&mut request);
    stream.write_all(&request).expect("sent");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut expected = (0..bets_of_each()).filter(|index| wins(*index));
    let mut complete = false;
    responses(stream, |response| {
        let Response::Winners(winners) = response else { return };
        assert!(!complete, "something follows the last frame");
        for found in winners.documents() {
            let index = expected.next().expect("more than there are");
            assert_eq!(found, document(agency, index).as_bytes());
        }
        complete = winners.last;
    });
    assert!(complete && expected.next().is_none(), "agency {agency}: the list isn't complete");
}

/// All agencies ask at once, while lines are echoed. Returns the longest that one took.
fn check_all_winners(server: &Server) -> Duration {
    thread::scope(|scope| {
        let ask = |agency| {
            let stream = server.connect();
            scope.spawn(move || check_winners(stream, agency))
        };
        let asking: Vec<_> = (1..=AGENCIES).map(ask).collect();
        let (mut echo, mut longest) = (server.connect(), Duration::ZERO);
        while asking.iter().any(|thread| !thread.is_finished()) {
            let sent = Instant::now();
            echo.write_all(b"hola\n").expect("sent");
            let mut line = [0; 5];
            echo.read_exact(&mut line).expect("echoed while winners are sent");
            assert_eq!(&line, b"hola\n");
            longest = longest.max(sent.elapsed());
        }
        longest
    })
}

/// A central's command that gives itself no more memory than that.
fn command_within_memory() -> Command {
    let environment = [
        ("SERVER_AGENCIES", "5"),
        ("SERVER_ECHO_KEEP_ALIVE", "true"),
        ("SERVER_WAL_SEGMENT_SIZE", LOG_SIZE),
        // Echoed lines would be most of the log.
        ("SERVER_MAX_LOG_LINES", "100"),
    ];
    let server = command(&environment);
    let mut shell = Command::new("bash");
    shell.arg("-c").arg("ulimit -v $1; exec \"$0\"").arg(server.get_program());
    shell.arg((MEMORY / 1024).to_string()).env_clear();
    shell.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn millions_of_winners_are_sent_in_little_memory_also_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start_with_log_file(folder, command_within_memory());
    let mut begun = Instant::now();
    let mut print_costs = |what: &str, server: &Server| {
        let peak = |name| memory(server.pid(), name) / 1024;
        let (took, resident, mapped) = (begun.elapsed(), peak("VmHWM:"), peak("VmPeak:"));
        let processor = server.processor_time();
        eprintln!(
            "{what:>8}: {took:>8.2?}, {processor:.2?} of processor since its start, \
             at most {resident} KiB used, {mapped} KiB mapped"
        );
        begun = Instant::now();
    };
    eprintln!("{} winners, {} bets", 5 * winners_of_each(), 5 * bets_of_each());
    store(&server);
    print_costs("stored", &server);
    for _ in 0..2 {
        let longest = check_all_winners(&server);
        print_costs("sent", &server);
        eprintln!("{:>8}: an echoed line took {longest:.2?} at most meanwhile", "");
        server = server.kill_and_start(command_within_memory());
        print_costs("started", &server);
    }
    let log = server.stop();
    assert_eq!(log.matches("action: sorteo | result: success").count(), 1);
}
