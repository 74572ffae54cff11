//! How much log an attack may make: so many lines of a kind as they are, and counts of the others.

use std::time::Duration;

use crate::attack::{Attack, mebibytes};

/// Lines of a kind that are logged as they are.
pub(crate) const LINES: usize = 1_000;

/// Each period, a count of each kind may be logged.
const PERIOD: Duration = Duration::from_secs(2);

/// What a server is started with whose log is bounded so.
pub(crate) const SETTINGS: [(&str, &str); 3] = [
    ("SERVER_MAX_LOG_LINES", "1000"),
    ("SERVER_LOG_INTERVAL", "1h"),
    ("SERVER_REFUSAL_LOG_INTERVAL", "2s"),
];

pub(crate) const BOUND: &str = "`SERVER_MAX_LOG_LINES` of a kind";

/// What the lines of these attacks, none of which shows a long value, are shorter than.
const LINE_LENGTH: usize = 250;

/// Lines of start and end, and of what happens once.
const OTHERS: usize = 100;

/// What is logged beyond the bound by an attack that makes lines of so many kinds, the honest peers'
/// among them.
pub(crate) fn exceeded(attack: &Attack, kinds: usize) -> Option<String> {
    let periods = attack.elapsed().as_secs() / PERIOD.as_secs() + 1;
    let counts = kinds * usize::try_from(periods).expect("not for ever");
    let most = (kinds * LINES + counts + OTHERS) * LINE_LENGTH;
    let bytes = usize::try_from(attack.log_bytes()).expect("it fits");
    (bytes > most).then(|| format!("{} of log, at most {}", mebibytes(bytes), mebibytes(most)))
}
