//! `docs/monitoring.md` names every field of `/status.json`, every problem, and every status code.

use std::collections::BTreeSet;
use std::fs;

use admin::events::{KEEP_ALIVE, RETRY};
use admin::status::{Phase, Problem, Stage};
use admin::view::NotReady;
use serde::Serialize;
use serde_json::Value;

use crate::central::Central;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/monitoring.md");
    fs::read_to_string(path).expect("the page")
}

/// The first cell of each row of the section's tables.
fn first_cells(section: &str) -> Vec<String> {
    let page = page();
    let begin = page.split_once(&format!("\n## {section}\n")).expect("the section").1;
    let rows = begin.split("\n## ").next().into_iter().flat_map(str::lines);
    let cells = rows.filter_map(|row| row.strip_prefix("| ")?.split(" |").next());
    cells.map(str::to_owned).collect()
}

/// The names of all fields, those of objects with the object's name before them.
fn fields(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => fields(value, &format!("{prefix}{name}."), found),
            Value::Array(list) => {
                found.insert(format!("{prefix}{name}"));
                for element in list {
                    fields(element, "", found);
                }
            }
            _ => _ = found.insert(format!("{prefix}{name}")),
        }
    }
}

#[test]
fn every_field_is_documented() {
    let status = serde_json::to_value(Central::new(1).status).expect("JSON");
    let mut expected = BTreeSet::new();
    fields(&status, "", &mut expected);
    let rows = first_cells("status.json");
    let names = rows.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

fn name(value: impl Serialize) -> String {
    let text = serde_json::to_value(value).expect("JSON");
    format!("`{}`", text.as_str().expect("a name"))
}

#[test]
fn every_value_is_documented() {
    let page = page();
    let problems = [
        Problem::Stopping,
        Problem::Recovering,
        Problem::StorageFailing,
        Problem::LedgerFull,
        Problem::ConnectionsFull,
        Problem::CertificateExpired,
        Problem::CertificateExpiring,
        Problem::LogDropped,
    ];
    let stages = [Stage::Echo, Stage::Open, Stage::Drawn].map(name);
    let phases = [Phase::Waiting, Phase::Sending, Phase::Finished, Phase::Drawn].map(name);
    for name in problems.map(name).iter().chain(&stages).chain(&phases) {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn every_reason_not_to_be_ready_is_documented() {
    let reasons =
        [NotReady::Recovering, NotReady::StorageFailing, NotReady::LedgerFull, NotReady::Stopping];
    let reasons = reasons.map(|reason| format!("`{reason}`"));
    let cells = first_cells("Resources");
    let found: Vec<_> = cells.iter().skip_while(|cell| *cell != "line").skip(1).collect();
    assert_eq!(found, reasons.iter().collect::<Vec<_>>());
}

/// What a stream begins with, and what it is kept alive by.
#[test]
fn events_without_news_are_documented_as_they_are_sent() {
    let page = page();
    for sent in [RETRY, KEEP_ALIVE] {
        let sent = str::from_utf8(sent).expect("text");
        assert!(page.contains(&format!("\n{}\n", sent.trim_end())), "{sent}");
    }
}

#[test]
fn status_codes_are_documented_in_order() {
    let codes = first_cells("Status codes");
    let expected =
        ["code", "200", "400", "404", "405", "408", "414", "417", "421", "431", "503", "505"];
    assert_eq!(codes, expected);
}
