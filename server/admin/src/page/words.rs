//! Words and numbers of a language: the texts of `es.json` and `en.json`, and how amounts are written.
//!
//! Knows nothing of the page. `page.js` writes amounts by the same rules.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::language::Language;

static SPANISH: LazyLock<Words> = LazyLock::new(|| Words::from_json(include_str!("es.json")));
static ENGLISH: LazyLock<Words> = LazyLock::new(|| Words::from_json(include_str!("en.json")));

/// Agencies that a sentence names before it counts the others.
const NAMED_AGENCIES: usize = 7;

const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 60 * SECONDS_PER_MINUTE;
const SECONDS_PER_DAY: u64 = 24 * SECONDS_PER_HOUR;

/// Progress younger than this is of now.
const NOW_SECONDS: u64 = 5;

/// The texts of a language.
#[derive(Debug)]
pub(super) struct Words {
    source: &'static str,
    texts: BTreeMap<String, String>,
}

impl Words {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::Spanish => &SPANISH,
            Language::English => &ENGLISH,
        }
    }

    fn from_json(source: &'static str) -> Self {
        let texts = serde_json::from_str(source).unwrap_or_default();
        Self { source, texts }
    }

    /// The texts as the file has them, for the script.
    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    /// The text of `key`. A key without one stands for itself; a test looks for those.
    pub(super) fn say<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// The text of `key` with each `{name}` replaced by its value.
    pub(super) fn with(&self, key: &str, values: &[(&str, &str)]) -> String {
        values.iter().fold(self.say(key).to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    }

    /// The text of `key`, or of `key_one` for a single one.
    pub(super) fn plural(&self, key: &str, count: u64) -> String {
        if count == 1 {
            self.say(&format!("{key}_one")).to_owned()
        } else {
            self.say(key).to_owned()
        }
    }

    /// A sentence of agencies: the text of `key_one`, `key_many`, or `key_more` where they are too many
    /// to name.
    pub(super) fn of_agencies(&self, key: &str, agencies: &[u32]) -> String {
        let named =
            if agencies.len() > NAMED_AGENCIES + 1 { NAMED_AGENCIES } else { agencies.len() };
        let numbers: Vec<String> = agencies.iter().take(named).map(u32::to_string).collect();
        let more = agencies.len() - named;
        if more > 0 {
            let more = self.number(u64::try_from(more).unwrap_or(u64::MAX));
            return self
                .with(&format!("{key}_more"), &[("list", &numbers.join(", ")), ("more", &more)]);
        }
        let form = if agencies.len() == 1 { "one" } else { "many" };
        self.with(&format!("{key}_{form}"), &[("list", &self.list(&numbers))])
    }

    /// `1, 2 y 3`.
    fn list(&self, items: &[String]) -> String {
        match items {
            [] => String::new(),
            [only] => only.clone(),
            [first @ .., last] => format!("{} {} {last}", first.join(", "), self.say("and")),
        }
    }

    /// `1.234.567`.
    pub(super) fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push_str(self.say("thousands"));
            }
            grouped.push(digit);
        }
        grouped
    }

    /// `tenths` as `4,2`; from 10 on without the tenths.
    fn tenths(&self, tenths: u64) -> String {
        if tenths >= 100 {
            return self.number(tenths / 10);
        }
        format!("{}{}{}", tenths / 10, self.say("decimal"), tenths % 10)
    }

    /// `1,5 MiB`.
    pub(super) fn bytes(&self, bytes: u64) -> String {
        if bytes < 1024 {
            return format!("{bytes} B");
        }
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let fits = |power: u32| bytes >> (10 * power) < 1024;
        let power = (1..4).find(|power| fits(*power)).unwrap_or(4);
        let tenths = (u128::from(bytes) * 10) >> (10 * power);
        let unit = units[power as usize - 1];
        format!("{} {unit}", self.tenths(u64::try_from(tenths).unwrap_or(u64::MAX)))
    }

    /// A latency: `420 µs`, `4,2 ms`, `1,2 s`.
    pub(super) fn duration(&self, seconds: f64) -> String {
        let micros = u64::try_from(duration(seconds).as_micros()).unwrap_or(u64::MAX);
        match micros {
            0..1_000 => format!("{micros} µs"),
            1_000..1_000_000 => format!("{} ms", self.tenths(micros / 100)),
            _ => format!("{} s", self.tenths(micros / 100_000)),
        }
    }

    /// A span of time in its largest unit: `40 s`, `3 min`.
    pub(super) fn span(&self, seconds: u64) -> String {
        let (unit, key) = match seconds {
            0..SECONDS_PER_MINUTE => (1, "second"),
            SECONDS_PER_MINUTE..SECONDS_PER_HOUR => (SECONDS_PER_MINUTE, "minute"),
            SECONDS_PER_HOUR..SECONDS_PER_DAY => (SECONDS_PER_HOUR, "hour"),
            _ => (SECONDS_PER_DAY, "day"),
        };
        format!("{} {}", self.number(seconds / unit), self.say(key))
    }

    /// How long ago: `ahora`, `10 s`, `3 min`. Coarse below a minute, so that it changes rarely.
    pub(super) fn age(&self, seconds: u64) -> String {
        match seconds {
            0..NOW_SECONDS => self.say("now").to_owned(),
            NOW_SECONDS..10 => self.span(5),
            10..SECONDS_PER_MINUTE => self.span(seconds / 10 * 10),
            _ => self.span(seconds),
        }
    }
}

/// A duration of `seconds`; 0 for what is none.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Whole seconds from `earlier` to `later`; 0 if it isn't earlier.
pub(super) fn seconds_between(earlier: f64, later: f64) -> u64 {
    duration(later - earlier).as_secs()
}

/// The time of day of a time since 1970, in UTC: `05:12:33`.
pub(super) fn clock(time: f64) -> String {
    let of_day = duration(time).as_secs() % SECONDS_PER_DAY;
    let (hours, minutes) = (of_day / SECONDS_PER_HOUR, of_day / SECONDS_PER_MINUTE % 60);
    format!("{hours:02}:{minutes:02}:{:02}", of_day % 60)
}
