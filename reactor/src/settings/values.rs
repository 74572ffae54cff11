//! What a value may be, read from its text.

use std::time::Duration;

use log::LevelFilter;

/// A whole number within `range`.
pub fn number<T>(text: &str, range: impl std::ops::RangeBounds<T>) -> Option<T>
where
    T: std::str::FromStr + PartialOrd,
{
    text.trim().parse().ok().filter(|number| range.contains(number))
}

/// `true` or `false`, also as `1`/`0`, `yes`/`no`, `on`/`off`, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A span of time as `5s`, `1m 30s`, `500ms`; `0` needs no unit.
pub fn duration(text: &str) -> Option<Duration> {
    match text.trim() {
        "0" => Some(Duration::ZERO),
        text => humantime::parse_duration(text).ok(),
    }
}

/// A number of bytes as `65536`, `64KiB` or `1MiB`, at most 1 GiB: for what is held in memory.
pub fn bytes(text: &str) -> Option<usize> {
    const MOST: u64 = 1 << 30;
    large_bytes(text).filter(|bytes| *bytes <= MOST)?.try_into().ok()
}

/// A number of bytes as [`bytes`] has it, or as `64GiB`: for what stands on disk.
pub fn large_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let text = text.trim();
    let mut units = UNITS.iter();
    let with_unit = units.find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (digits, unit) = with_unit.unwrap_or((text, 1));
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// A log level, in Python's names or Rust's, in any case.
pub fn level(text: &str) -> Option<LevelFilter> {
    match text.trim().to_ascii_uppercase().as_str() {
        "WARNING" => Some(LevelFilter::Warn),
        "CRITICAL" => Some(LevelFilter::Error),
        name => name.parse().ok(),
    }
}

/// Any text that isn't empty.
pub fn text(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('\u{fffd}')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed_as_documented() {
        assert_eq!(number::<u16>(" 7 ", 1..=9), Some(7));
        assert_eq!(number::<u16>("10", 1..=9), None);
        assert_eq!(boolean("Yes"), Some(true));
        assert_eq!(boolean("2"), None);
        assert_eq!(duration("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        assert_eq!(duration("5"), None);
        assert_eq!(bytes("64KiB"), Some(65_536));
        assert_eq!(bytes("2 MiB"), Some(2 << 20));
        assert_eq!(bytes("99999MiB"), None);
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        assert_eq!(bytes("2GiB"), None);
        assert_eq!(large_bytes("64GiB"), Some(64 << 30));
        assert_eq!(large_bytes("99999999999GiB"), None);
        assert_eq!(level("warning"), Some(LevelFilter::Warn));
        assert_eq!(level("loud"), None);
        assert_eq!(text(""), None);
    }
}
