//! How an agency treats a file that is long or wide.

use wire::Checksum;

use super::catch_up::BYTES_PER_TURN;
use super::*;
use crate::source::csv_source::CsvSource;

/// Rows of more than a kilobyte: a few thousand of them, and a turn on a slow disk is too long.
#[test]
fn a_turn_skips_a_bounded_part_of_the_file_however_wide_its_rows_are() {
    const ROWS: u64 = 4000;
    let wide = "x".repeat(250);
    let row = format!("{wide},{wide},{wide},{wide},{wide}\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), row.repeat(usize::try_from(ROWS).unwrap())).unwrap();
    let pace = Pace { max_amount: 100, window: 8, period: Duration::ZERO };
    let mut agency = Agency::new(1, pace, CsvSource::open(file.path()).unwrap());
    let (mut out, mut turns, mut offset) = (Vec::new(), 1, 0);
    agency.on_connect(&mut out);
    let checksum = Checksum::default();
    let welcome = Response::Welcome { consumed: ROWS, checksum, rejected: 0, phase: Phase::Open };
    let mut next = agency.on_response(&welcome, &mut out);
    while matches!(next, Ok(Action::Yield)) {
        let skipped = agency.input.position().source.offset - offset;
        assert!(skipped <= BYTES_PER_TURN + 8192, "{skipped} bytes in one turn");
        (offset, turns) = (offset + skipped, turns + 1);
        next = agency.resume(&mut out);
    }
    assert!(matches!(next, Err(Failure::OtherInput { .. })), "{next:?}");
    assert_eq!(turns, 1 + ROWS * row.len() as u64 / (BYTES_PER_TURN + 8192));
}

/// Rows of 64 bytes: 1024 of them are one reading of the file.
const LINE: &str = "Ana Maria,Paz de la Torre Fernandez y Gomez,301,2000-01-01,7574\n";

fn file(rows: usize) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LINE.repeat(rows)).unwrap();
    file
}

fn append(file: &tempfile::NamedTempFile) {
    // Behind its end: what has another length has changed, however coarse the file system's clock is.
    let mut end = std::fs::OpenOptions::new().append(true).open(file.path()).unwrap();
    std::io::Write::write_all(&mut end, LINE.as_bytes()).unwrap();
}

fn sending(file: &tempfile::NamedTempFile, period: Duration) -> Agency<CsvSource> {
    let pace = Pace { max_amount: 100, window: 2, period };
    let mut agency = Agency::new(1, pace, CsvSource::open(file.path()).unwrap());
    assert_eq!(agency.on_response(&WELCOME, &mut Vec::new()).unwrap(), Action::AwaitResponse);
    agency
}

const WELCOME: Response<'static> =
    Response::Welcome { consumed: 0, checksum: Checksum(0), rejected: 0, phase: Phase::Open };

fn stored_until_stopped(failure: &Failure) -> u64 {
    let Failure::InputFailed { error: InputError::Changed { .. }, stored, .. } = failure else {
        panic!("{failure}")
    };
    *stored
}

/// What was read before belongs to the file that was opened, what is read then doesn't: it isn't sent,
/// and the responses to what was are waited for.
#[test]
fn nothing_is_sent_of_a_file_that_has_changed_behind_the_first_reading() {
    let file = file(5000);
    file.as_file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let (mut agency, mut out) = (sending(&file, Duration::ZERO), Vec::new());
    append(&file);
    let mut consumed = 0;
    let failure = loop {
        consumed += 100;
        match agency.on_response(&Response::Stored { consumed }, &mut out) {
            Ok(next) => assert_eq!(next, Action::AwaitResponse),
            Err(failure) => break failure,
        }
    };
    assert_eq!((stored_until_stopped(&failure), consumed), (1000, 1000), "all that were sent");
    let advice = "run the agency again with a file that begins with the same 1000 bets";
    assert!(failure.to_string().contains(advice), "{failure}");
}

#[test]
fn each_connection_looks_at_the_file_again() {
    let file = file(500);
    let (mut agency, mut out) = (sending(&file, Duration::ZERO), Vec::new());
    append(&file);
    agency.on_connect(&mut Vec::new());
    let failure = agency.on_response(&WELCOME, &mut out).unwrap_err();
    assert_eq!((stored_until_stopped(&failure), out.len()), (0, 0));
}

/// A reading of the file may last for minutes then.
#[test]
fn after_a_pause_the_file_is_looked_at_again() {
    let file = file(500);
    let (mut agency, mut out) = (sending(&file, Duration::from_secs(9)), Vec::new());
    append(&file);
    let next = agency.on_response(&Response::Stored { consumed: 100 }, &mut out).unwrap();
    assert_eq!(next, Action::Pause(Duration::from_secs(9)));
    let failure = agency.resume(&mut out).unwrap_err();
    assert_eq!((stored_until_stopped(&failure), out.len()), (100, 0));
}

/// The responses were lost with the connection: the next WELCOME reports how far it came.
#[test]
fn what_was_stored_of_a_file_that_has_changed_is_known_after_a_lost_connection() {
    let file = file(1030);
    let (mut agency, mut out) = (sending(&file, Duration::ZERO), Vec::new());
    append(&file);
    for consumed in (100..=900).step_by(100) {
        let _ = agency.on_response(&Response::Stored { consumed }, &mut out).unwrap();
    }
    agency.on_connect(&mut Vec::new());
    out.clear();
    let welcome = Response::Welcome {
        consumed: 1000,
        checksum: Checksum(1),
        rejected: 100,
        phase: Phase::Open,
    };
    let failure = agency.on_response(&welcome, &mut out).unwrap_err();
    assert_eq!((stored_until_stopped(&failure), out.len()), (900, 0));
    assert!(failure.to_string().contains("900 bets of this agency are stored and 100 rejected, "));
}

/// Its file may be replaced for the next lottery then.
#[test]
fn an_agency_that_has_ended_needs_its_file_no_more() {
    let file = file(100);
    let (mut agency, mut out) = (sending(&file, Duration::ZERO), Vec::new());
    let _ = agency.on_response(&Response::Stored { consumed: 100 }, &mut out).unwrap();
    let _ = agency.on_response(&Response::Finished { stored: 100, rejected: 0 }, &mut out).unwrap();
    std::fs::remove_file(file.path()).unwrap();
    let checksum = agency.confirmed.checksum;
    agency.on_connect(&mut Vec::new());
    let welcome =
        Response::Welcome { consumed: 100, checksum, rejected: 0, phase: Phase::Finished };
    assert_eq!(agency.on_response(&welcome, &mut out).unwrap(), Action::AwaitResponse);
}
