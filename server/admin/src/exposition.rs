//! Metrics as Prometheus' text format 0.0.4.
//!
//! A family is begun, which writes its HELP and TYPE, and then takes its samples; it borrows the
//! [`Exposition`], so nothing of another family can come between. What types can't rule out (names,
//! a family or a series twice, buckets that fall) fails where debug assertions are on: in each test
//! that lets the metrics be written. Knows no metric and counts nothing.

use std::fmt::{self, Display, Write};

/// The `Content-Type` of an [`Exposition`]. Prometheus 3 takes no answer without it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics, family by family.
///
/// ```
/// let mut out = admin::exposition::Exposition::new();
/// out.counter("loteria_bets_stored_total", "Bets stored since the start.").value(7_u64);
/// out.gauge("loteria_agencies_by_phase", "Agencies by how far they are.")
///     .labelled("phase", "sending", 3_u64)
///     .labelled("phase", "finished", 2_u64);
/// assert!(out.as_str().ends_with("\nloteria_agencies_by_phase{phase=\"finished\"} 2\n"));
/// ```
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written so far; whole after each family.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Begins a family of numbers that never fall while the process lives. The name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "a counter's name ends in _total: {name}");
        self.family(name, help, "counter")
    }

    /// Begins a family of numbers that rise and fall. The name doesn't end in `_total`.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(!is_reserved(name), "the name says that it is no gauge: {name}");
        self.family(name, help, "gauge")
    }

    /// Begins a distribution. The name ends in its unit, `_seconds` for instance.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Histogram<'_> {
        debug_assert!(!is_reserved(name), "the name says that it is no histogram: {name}");
        Histogram(self.family(name, help, "histogram"))
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        debug_assert!(is_name(name), "no name of a metric: {name}");
        debug_assert!(!help.is_empty(), "{name} has no help");
        debug_assert!(!self.text.contains(&format!("# TYPE {name} ")), "{name} is there twice");
        put(&mut self.text, format_args!("# HELP {name} "));
        put(&mut Escaping { out: &mut self.text, quotes: false }, help);
        put(&mut self.text, format_args!("\n# TYPE {name} {kind}\n"));
        let start = self.text.len() - 1;
        Family { out: &mut self.text, name, start }
    }
}

/// A family of counters or gauges, which takes its samples.
#[derive(Debug)]
#[must_use = "a family without a sample says nothing"]
pub struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
    /// Where the line end before its samples is.
    start: usize,
}

impl Family<'_> {
    /// The only sample of a family without labels.
    pub fn value(mut self, value: impl Into<Value>) {
        self.sample("", &[], value.into());
    }

    /// The sample with one label, any text.
    pub fn labelled(
        &mut self,
        label: &str,
        text: impl Display,
        value: impl Into<Value>,
    ) -> &mut Self {
        self.labels(&[(label, &text)], value)
    }

    /// The sample with these labels, any texts.
    pub fn labels(
        &mut self,
        labels: &[(&str, &dyn Display)],
        value: impl Into<Value>,
    ) -> &mut Self {
        debug_assert!(
            labels.iter().all(|(label, _)| is_name(label) && *label != "le"),
            "no names of labels in {}",
            self.name
        );
        self.sample("", labels, value.into());
        self
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: Value) {
        let begin = self.out.len() - 1;
        put(self.out, format_args!("{}{suffix}", self.name));
        self.label_set(labels);
        debug_assert!(self.is_new_series(begin), "twice: {}", &self.out[begin..]);
        put(self.out, format_args!(" {value}\n"));
    }

    fn label_set(&mut self, labels: &[(&str, &dyn Display)]) {
        for (index, (label, text)) in labels.iter().enumerate() {
            put(self.out, format_args!("{}{label}=\"", if index == 0 { '{' } else { ',' }));
            put(&mut Escaping { out: self.out, quotes: true }, text);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
    }

    /// Whether the series that was just written, from the line end before it, is new in the family.
    fn is_new_series(&self, begin: usize) -> bool {
        let (earlier, series) = self.out.split_at(begin);
        !earlier[self.start..].contains(&format!("{series} "))
    }
}

/// A distribution, which takes its buckets.
#[derive(Debug)]
#[must_use = "a histogram without its buckets says nothing"]
pub struct Histogram<'a>(Family<'a>);

impl Histogram<'_> {
    /// What was observed: for each bucket its upper bound, rising, and how many observations weren't
    /// above it, the buckets below included; how many there were in all, and their sum. The bucket
    /// without a bound is made of their number.
    pub fn observed(
        mut self,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        count: u64,
        sum: impl Into<Value>,
    ) {
        let mut last = (f64::NEG_INFINITY, 0);
        for (bound, at_most) in buckets.into_iter().chain([(f64::INFINITY, count)]) {
            debug_assert!(last.0 < bound, "{}: bounds rise", self.0.name);
            debug_assert!(last.1 <= at_most, "{}: counts include those below", self.0.name);
            self.0.sample("_bucket", &[("le", &Value::Float(bound))], at_most.into());
            last = (bound, at_most);
        }
        self.0.sample("_sum", &[], sum.into());
        self.0.sample("_count", &[], count.into());
    }
}

/// A sample's number. Whole numbers are written exactly; Prometheus reads them as floats, which are
/// exact up to 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// Any number, infinite and NaN included.
    Float(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(value as u64)
    }
}

/// 0 or 1.
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) if value.is_nan() => f.write_str("NaN"),
            Self::Float(f64::INFINITY) => f.write_str("+Inf"),
            Self::Float(f64::NEG_INFINITY) => f.write_str("-Inf"),
            // Without an exponent, 1e300 would have 301 digits.
            Self::Float(value) if value == 0.0 || (1e-5..1e16).contains(&value.abs()) => {
                write!(f, "{value}")
            }
            Self::Float(value) => write!(f, "{value:e}"),
        }
    }
}

/// Writes into a string, which can't fail.
fn put(out: &mut impl Write, what: impl Display) {
    write!(out, "{what}").expect("a string takes everything");
}

/// Escapes what would end a line, or a label's text.
struct Escaping<'a> {
    out: &'a mut String,
    /// Whether the text stands in quotes.
    quotes: bool,
}

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '\\' => self.out.push_str(r"\\"),
                '\n' => self.out.push_str(r"\n"),
                '"' if self.quotes => self.out.push_str("\\\""),
                _ => self.out.push(character),
            }
        }
        Ok(())
    }
}

/// Endings that mean something else than a gauge or a whole histogram.
fn is_reserved(name: &str) -> bool {
    ["_total", "_bucket", "_sum", "_count"].iter().any(|ending| name.ends_with(ending))
}

/// The format allows capitals and colons, too; ours have none.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
