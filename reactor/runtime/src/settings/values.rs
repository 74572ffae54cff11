//! What a value may be, read from its text, and how it is written.

use std::time::Duration;

use log::LevelFilter;

/// The longest duration: with more, the clock itself would overflow.
pub const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

/// The largest size: more than any disk has, and no sum of a few of them overflows.
pub const SIZE_MAX: u64 = 1 << 50;

const UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A whole number within `range`.
pub fn number<T>(text: &str, range: impl std::ops::RangeBounds<T>) -> Option<T>
where
    T: std::str::FromStr + PartialOrd,
{
    text.trim().parse().ok().filter(|number| range.contains(number))
}

/// `true` or `false`, also as `1`/`0`, `yes`/`no`, `on`/`off`, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A duration as `5s`, `1m 30s`, `500ms`, up to [`DURATION_MAX`]; `0` needs no unit. Months and years
/// aren't taken: their `M` would be read for minutes.
pub(super) fn duration(text: &str) -> Option<Duration> {
    match text.trim() {
        "0" => Some(Duration::ZERO),
        text if units_of(text).any(is_of_calendar) => None,
        text => humantime::parse_duration(text).ok().filter(|it| *it <= DURATION_MAX),
    }
}

/// What is wrong with the units of a duration.
pub(super) fn hint_of_duration(text: &str) -> String {
    if let Some(unit) = units_of(text).find(|unit| is_of_calendar(unit)) {
        return format!("\"{unit}\" is no unit here: s, m, h or d");
    }
    match humantime::parse_duration(text) {
        Err(humantime::DurationError::UnknownUnit { unit, .. }) if unit.is_empty() => {
            "it has no unit".to_owned()
        }
        Err(humantime::DurationError::UnknownUnit { unit, .. }) => {
            format!("\"{unit}\" is no unit: ms, s, m, h or d")
        }
        Ok(duration) if duration > DURATION_MAX => "it is too long".to_owned(),
        _ => String::new(),
    }
}

fn units_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphabetic()).filter(|unit| !unit.is_empty())
}

fn is_of_calendar(unit: &str) -> bool {
    unit == "M" || unit.starts_with("month") || unit.starts_with('y')
}

/// A duration as it can be set: `1h 30m`. Without months and years, unlike `humantime`'s own.
pub(super) fn write_duration(duration: Duration) -> String {
    const UNITS: [(&str, u128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let mut rest = duration.as_nanos();
    let mut parts = Vec::new();
    for (name, nanos) in UNITS {
        if rest >= nanos {
            parts.push(format!("{}{name}", rest / nanos));
            rest %= nanos;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A number of bytes as `65536`, `64KiB` or `64GiB`, at most [`SIZE_MAX`].
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let mut units = UNITS.iter();
    let with_unit = units.find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (digits, unit) = with_unit.unwrap_or((text, 1));
    let bytes = digits.trim().parse::<u64>().ok()?.checked_mul(unit)?;
    Some(bytes).filter(|bytes| *bytes <= SIZE_MAX)
}

/// What is wrong with the unit of a size.
pub(super) fn hint_of_size(text: &str) -> String {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
    let known = UNITS.iter().any(|(known, _)| *known == unit);
    if unit.is_empty() || unit.len() == text.len() || known {
        return String::new();
    }
    format!("\"{unit}\" is no unit: KiB, MiB, GiB, TiB, or none for bytes")
}

/// A size as it can be set, in its largest whole unit.
pub fn write_size(bytes: u64) -> String {
    let whole = UNITS.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// A log level, in Python's names or Rust's, in any case.
pub(super) fn level(text: &str) -> Option<LevelFilter> {
    match text.trim().to_ascii_uppercase().as_str() {
        "WARNING" => Some(LevelFilter::Warn),
        "CRITICAL" => Some(LevelFilter::Error),
        name => name.parse().ok(),
    }
}

/// A level as the log's lines have it.
pub(super) fn write_level(level: LevelFilter) -> &'static str {
    match level {
        LevelFilter::Off => "OFF",
        LevelFilter::Error => "ERROR",
        LevelFilter::Warn => "WARNING",
        LevelFilter::Info => "INFO",
        LevelFilter::Debug | LevelFilter::Trace => "DEBUG",
    }
}

/// Any text that isn't empty.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('\u{fffd}')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_parsed_as_documented() {
        assert_eq!(number::<u16>(" 7 ", 1..=9), Some(7));
        assert_eq!(number::<u16>("10", 1..=9), None);
        for text in ["0x10", "1_000", "1e3", "5.0", "1,000", "", "--1"] {
            assert_eq!(number::<u64>(text, ..), None, "{text}");
        }
        assert_eq!(boolean("Yes"), Some(true));
        assert_eq!(boolean("2"), None);
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("2 MiB"), Some(2 << 20));
        assert_eq!(size("1GiB"), Some(1 << 30));
        assert_eq!(size("64GiB"), Some(64 << 30));
        assert_eq!(size("1024TiB"), Some(1 << 50));
        assert_eq!(size("1025TiB"), None);
        assert_eq!(size("99999999999GiB"), None);
        assert_eq!(level("warning"), Some(LevelFilter::Warn));
        assert_eq!(level("loud"), None);
        assert_eq!(text(""), None);
    }

    #[test]
    fn durations_have_units_and_an_end() {
        for (text, seconds) in [("1m 30s", 90), ("0", 0), ("0m20s", 20), ("365d", 31_536_000)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for (text, hint) in [
            ("5", "it has no unit"),
            ("5x", "\"x\" is no unit: ms, s, m, h or d"),
            ("5M", "\"M\" is no unit here: s, m, h or d"),
            ("1year", "\"year\" is no unit here: s, m, h or d"),
            ("366d", "it is too long"),
            ("-5s", ""),
            ("", ""),
        ] {
            assert_eq!((duration(text), hint_of_duration(text).as_str()), (None, hint), "{text}");
        }
    }

    #[test]
    fn a_wrong_unit_of_a_size_is_named() {
        for (text, unit) in [("64KB", "KB"), ("1.5MiB", ".5MiB"), ("64 kib", "kib"), ("1m", "m")] {
            assert_eq!(size(text), None);
            let hint = format!("\"{unit}\" is no unit: KiB, MiB, GiB, TiB, or none for bytes");
            assert_eq!(hint_of_size(text), hint);
        }
        for text in ["", "x", "-1", "9999999999GiB"] {
            assert_eq!(hint_of_size(text), "", "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(bytes in 0..=SIZE_MAX, shift in 0..50_u32) {
            for bytes in [bytes, bytes >> shift << shift] {
                prop_assert_eq!(size(&write_size(bytes)), Some(bytes));
            }
        }

        #[test]
        fn durations_are_read_as_they_are_written(seconds in 0..=31_536_000_u64, nanos in 0..1_000_000_000_u32) {
            let written = Duration::new(seconds, nanos).min(DURATION_MAX);
            prop_assert_eq!(duration(&write_duration(written)), Some(written));
        }

        #[test]
        fn any_text_is_judged(text in "[0-9a-zA-Z. -]{0,12}|.{0,8}") {
            duration(&text);
            hint_of_duration(&text);
            hint_of_size(&text);
        }
    }
}
