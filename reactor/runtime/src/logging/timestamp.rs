//! The second as text. Knows no line.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, SystemTime};

const LEN: usize = "2024-08-21 22:11:15".len();

/// A point in time as `2024-08-21 22:11:15`, in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamp {
    second: u64,
    text: [u8; LEN],
}

impl Timestamp {
    /// Now. Thousands of lines share a second: it is formatted once.
    pub(super) fn now() -> Self {
        thread_local! {
            static LAST: Cell<Timestamp> =
                const { Cell::new(Timestamp { second: u64::MAX, text: [b' '; LEN] }) };
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = LAST.get();
        if last.second == since.as_secs() {
            return last;
        }
        let now = Self::format(since.as_secs());
        LAST.set(now);
        now
    }

    fn format(second: u64) -> Self {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        // `2024-08-21T22:11:15Z`; the years after 9999, which have no such form, aren't met.
        let rfc3339 = humantime::format_rfc3339_seconds(time).to_string();
        let mut text = [b' '; LEN];
        text.copy_from_slice(&rfc3339.as_bytes()[..LEN]);
        text["2024-08-21".len()] = b' ';
        Self { second, text }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text).expect("humantime writes ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_the_form_that_the_tools_read() {
        assert_eq!(Timestamp::format(1_724_278_275).to_string(), "2024-08-21 22:11:15");
        assert_eq!(Timestamp::format(0).to_string(), "1970-01-01 00:00:00");
        assert_eq!(Timestamp::format(1_709_251_199).to_string(), "2024-02-29 23:59:59");
    }
}
