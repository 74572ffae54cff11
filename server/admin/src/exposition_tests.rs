//! Whatever is written is read back by a parser of its own, and keeps the format's rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A family as the parser reads it.
#[derive(Debug, PartialEq)]
struct ReadFamily {
    name: String,
    kind: String,
    help: String,
    samples: Vec<ReadSample>,
}

/// Name, labels, value.
type ReadSample = (String, Vec<(String, String)>, f64);

/// Reads a whole exposition, as the format's page says, and fails on what it forbids.
fn read(text: &str) -> Vec<ReadFamily> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line ends");
    let mut families: Vec<ReadFamily> = Vec::new();
    let mut lines = text.split_terminator('\n').peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples.push(read_sample(line));
        }
        families.push(ReadFamily {
            name: name.to_owned(),
            kind: kind.to_owned(),
            help: unescape(help),
            samples,
        });
    }
    families.iter().for_each(check_family);
    let names: BTreeSet<_> = families.iter().map(|family| &family.name).collect();
    assert_eq!(names.len(), families.len(), "each family is there once");
    families
}

fn read_sample(line: &str) -> ReadSample {
    let name_end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    while let Some(pair) = rest.strip_prefix(['{', ',']) {
        let (label, quoted) = pair.split_once("=\"").unwrap();
        let end = end_of_quoted(quoted);
        labels.push((label.to_owned(), unescape(&quoted[..end])));
        rest = &quoted[end + 1..];
    }
    let value = rest.strip_prefix('}').unwrap_or(rest).strip_prefix(' ').unwrap();
    (name.to_owned(), labels, value.parse().unwrap())
}

/// Where the closing quote is.
fn end_of_quoted(text: &str) -> usize {
    let mut escaped = false;
    text.find(|character| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    })
    .unwrap()
}

fn unescape(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::new();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next().unwrap() {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                other => panic!("no such escape: {other:?}"),
            },
            other => other,
        });
    }
    plain
}

fn check_family(family: &ReadFamily) {
    let series: BTreeSet<_> =
        family.samples.iter().map(|(name, labels, _)| format!("{name}{labels:?}")).collect();
    assert_eq!(series.len(), family.samples.len(), "each series is there once: {family:?}");
    assert_eq!(family.name.ends_with("_total"), family.kind == "counter", "{}", family.name);
    match family.kind.as_str() {
        "histogram" => check_histogram(family),
        _ => assert!(family.samples.iter().all(|(name, ..)| *name == family.name)),
    }
}

fn check_histogram(family: &ReadFamily) {
    let (buckets, ends) = family.samples.split_at(family.samples.len() - 2);
    let [(sum, ..), (count, _, observed)] = ends else { unreachable!("two are split off") };
    assert_eq!(*sum, format!("{}_sum", family.name));
    assert_eq!(*count, format!("{}_count", family.name));
    let mut last = (f64::NEG_INFINITY, 0.0);
    for (name, labels, at_most) in buckets {
        assert_eq!(*name, format!("{}_bucket", family.name));
        let [(label, bound)] = labels.as_slice() else { panic!("labels: {labels:?}") };
        let bound = bound.parse().unwrap();
        assert!(label == "le" && last.0 < bound && last.1 <= *at_most, "{buckets:?}");
        last = (bound, *at_most);
    }
    assert_eq!(last, (f64::INFINITY, *observed), "the last bucket has no bound, and holds all");
}

#[test]
fn families_look_as_prometheus_documents_them() {
    let mut out = Exposition::new();
    out.counter("loteria_bets_stored_total", "Bets stored since the start.").value(7_u64);
    out.gauge("loteria_ready", "Whether bets are taken: \\ is no slash,\nand \" a quote.")
        .value(true);
    out.gauge("loteria_connections", "Connections.")
        .labels(&[("protocol", &"echo"), ("state", &"a\"b\\c\nd")], 3_u32)
        .labels(&[("protocol", &"lottery"), ("state", &"open")], 4_usize);
    out.histogram("loteria_turn_duration_seconds", "Turns.").observed(
        [(1e-5, 1), (0.5, 3)],
        4,
        2.25,
    );
    assert_eq!(
        out.as_str(),
        r#"# HELP loteria_bets_stored_total Bets stored since the start.
# TYPE loteria_bets_stored_total counter
loteria_bets_stored_total 7
# HELP loteria_ready Whether bets are taken: \\ is no slash,\nand " a quote.
# TYPE loteria_ready gauge
loteria_ready 1
# HELP loteria_connections Connections.
# TYPE loteria_connections gauge
loteria_connections{protocol="echo",state="a\"b\\c\nd"} 3
loteria_connections{protocol="lottery",state="open"} 4
# HELP loteria_turn_duration_seconds Turns.
# TYPE loteria_turn_duration_seconds histogram
loteria_turn_duration_seconds_bucket{le="0.00001"} 1
loteria_turn_duration_seconds_bucket{le="0.5"} 3
loteria_turn_duration_seconds_bucket{le="+Inf"} 4
loteria_turn_duration_seconds_sum 2.25
loteria_turn_duration_seconds_count 4
"#
    );
    read(out.as_str());
}

#[test]
fn numbers_are_exact_and_short() {
    for (value, text) in [
        (Value::Integer(u64::MAX), "18446744073709551615"),
        (Value::Float(0.1), "0.1"),
        (Value::Float(1_764_219_138.25), "1764219138.25"),
        (Value::Float(3.0), "3"),
        (Value::Float(-0.0), "-0"),
        (Value::Float(5e-324), "5e-324"),
        (Value::Float(-1.5e300), "-1.5e300"),
        (Value::Float(f64::NAN), "NaN"),
        (Value::Float(f64::INFINITY), "+Inf"),
        (Value::Float(f64::NEG_INFINITY), "-Inf"),
    ] {
        assert_eq!(value.to_string(), text);
    }
}

/// What is no exposition fails in tests.
fn assert_misuse(what: &str, misuse: impl FnOnce(&mut Exposition) + std::panic::UnwindSafe) {
    let failed = std::panic::catch_unwind(move || misuse(&mut Exposition::new()));
    let reason = *failed.expect_err(what).downcast::<String>().unwrap();
    assert!(reason.contains(what), "{reason}");
}

#[test]
fn misuse_fails() {
    assert_misuse("a counter's name", |out| out.counter("bets", "B.").value(1_u64));
    assert_misuse("no gauge", |out| out.gauge("bets_total", "B.").value(1_u64));
    assert_misuse("no gauge", |out| out.gauge("bets_count", "B.").value(1_u64));
    assert_misuse("no histogram", |out| out.histogram("bets_sum", "B.").observed([], 0, 0.0));
    assert_misuse("no name of a metric", |out| out.gauge("a-b", "B.").value(1_u64));
    assert_misuse("no name of a metric", |out| out.gauge("9a", "B.").value(1_u64));
    assert_misuse("has no help", |out| out.gauge("bets", "").value(1_u64));
    assert_misuse("is there twice", |out| {
        out.gauge("bets", "B.").value(1_u64);
        out.gauge("bets", "B.").value(1_u64);
    });
    assert_misuse("twice: \nbets{a=\"b\"}", |out| {
        out.gauge("bets", "B.").labelled("a", "b", 1_u64).labelled("a", "b", 2_u64);
    });
    assert_misuse("no names of labels", |out| {
        out.gauge("bets", "B.").labelled("le", "1", 1_u64);
    });
    for buckets in [[(1.0, 0), (1.0, 0)], [(1.0, 2), (2.0, 1)], [(1.0, 1), (f64::INFINITY, 1)]] {
        assert_misuse("bets: ", move |out| {
            out.histogram("bets", "B.").observed(buckets, 3, 0.0);
        });
    }
}

/// What a family is made of.
#[derive(Debug, Clone)]
enum Samples {
    One(Value),
    Labelled(BTreeMap<(String, String), Value>),
    Histogram { increments: BTreeMap<u32, u32>, above: u32, sum: f64 },
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Float),
        Just(Value::Float(f64::NAN)),
        Just(Value::Float(f64::INFINITY)),
        (1..100_000_u32).prop_map(|number| Value::Float(f64::from(number) / 1000.0)),
    ]
}

fn samples() -> impl Strategy<Value = Samples> {
    let text = || prop_oneof![any::<String>(), "[\\\\\"\n},a]{0,6}"];
    prop_oneof![
        values().prop_map(Samples::One),
        prop::collection::btree_map((text(), text()), values(), 0..6).prop_map(Samples::Labelled),
        (prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..6), any::<u32>(), any::<f64>())
            .prop_map(|(increments, above, sum)| Samples::Histogram { increments, above, sum }),
    ]
}

const NAMES: [[&str; 2]; 5] = [
    ["a_total", "a"],
    ["b_b_total", "b_b"],
    ["a_b_total", "a_b"],
    ["c9_seconds_total", "c9_seconds"],
    ["d_total", "d"],
];

fn number(value: Value) -> f64 {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "what a reader gets")]
        Value::Integer(value) => value as f64,
        Value::Float(value) => value,
    }
}

/// Writes the family; what a reader must get.
fn write_family(
    out: &mut Exposition,
    [counter, gauge]: [&'static str; 2],
    is_counter: bool,
    help: &str,
    samples: &Samples,
) -> ReadFamily {
    let (name, kind) = if is_counter { (counter, "counter") } else { (gauge, "gauge") };
    let begin = if is_counter { Exposition::counter } else { Exposition::gauge };
    let sample = |suffix: &str, labels: &[(&str, String)], value| {
        let labels = labels.iter().map(|(label, text)| ((*label).to_owned(), text.clone()));
        (format!("{name}{suffix}"), labels.collect(), value)
    };
    let (name, kind, samples) = match samples {
        Samples::One(value) => {
            begin(out, name, help).value(*value);
            (name, kind, vec![sample("", &[], number(*value))])
        }
        Samples::Labelled(series) => {
            let mut family = begin(out, name, help);
            let mut written = Vec::new();
            for ((first, second), value) in series {
                family.labels(&[("first", first), ("second", second)], *value);
                let labels = [("first", first.clone()), ("second", second.clone())];
                written.push(sample("", &labels, number(*value)));
            }
            (name, kind, written)
        }
        Samples::Histogram { increments, above, sum } => {
            let name = gauge;
            let sample = |suffix: &str, labels: Vec<(String, String)>, value| {
                (format!("{name}{suffix}"), labels, value)
            };
            let mut total = 0;
            let mut buckets = Vec::new();
            let mut written = Vec::new();
            for (bound, increment) in increments {
                total += u64::from(*increment);
                let bound = f64::from(*bound) / 8.0;
                buckets.push((bound, total));
                let le = vec![("le".to_owned(), Value::Float(bound).to_string())];
                written.push(sample("_bucket", le, number(total.into())));
            }
            total += u64::from(*above);
            let le = vec![("le".to_owned(), "+Inf".to_owned())];
            written.push(sample("_bucket", le, number(total.into())));
            written.push(sample("_sum", vec![], *sum));
            written.push(sample("_count", vec![], number(total.into())));
            out.histogram(name, help).observed(buckets, total, *sum);
            (name, "histogram", written)
        }
    };
    ReadFamily { name: name.to_owned(), kind: kind.to_owned(), help: help.to_owned(), samples }
}

proptest! {
    /// Whatever is written is read back: the same numbers and texts, in order.
    #[test]
    fn what_was_written_is_read(
        families in prop::collection::vec((any::<bool>(), "\\PC{0,4}[\\\\\n\"a]{1,4}", samples()), 0..5),
    ) {
        let mut out = Exposition::new();
        let mut written = Vec::new();
        for ((is_counter, help, samples), names) in families.iter().zip(NAMES) {
            written.push(write_family(&mut out, names, *is_counter, help, samples));
        }
        // Compared as text: NaN is no other NaN's equal.
        prop_assert_eq!(format!("{:?}", read(out.as_str())), format!("{written:?}"));
    }
}
