//! The metrics that `docs/monitoring.md` lists are those that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use kit::certificates::Certificates;
use runtime::settings::docs;

use crate::world::{Central, finish, send};

/// Labels whose values come from outside: the table doesn't list these.
const OPEN_LABELS: [&str; 3] = ["agency", "le", "version"];

/// A family of metrics, as it is exposed.
#[derive(Debug, Default)]
struct Family {
    name: String,
    kind: String,
    help: String,
    /// Of each label the values, in their order.
    labels: BTreeMap<String, Vec<String>>,
}

impl Family {
    fn note_label(&mut self, label: &str, value: &str) {
        let values = self.labels.entry(label.to_owned()).or_default();
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }

    fn labels(&self) -> String {
        let labels =
            self.labels.iter().filter(|(label, _)| *label != "le").map(|(label, values)| {
                if OPEN_LABELS.contains(&&**label) {
                    return format!("`{label}`");
                }
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                format!("`{label}`: {}", values.join(", "))
            });
        labels.collect::<Vec<_>>().join("; ")
    }
}

/// The families of an exposition, in their order.
fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a text");
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, help, ..Family::default() });
            continue;
        }
        let family = families.last_mut().expect("its help comes first");
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            kind.rsplit_once(' ').expect("a name and a type").1.clone_into(&mut family.kind);
        } else if let Some((_, labels)) = line.split_once('{') {
            let labels = labels.split_once('}').expect("it ends").0;
            for label in labels.split("\",") {
                let (label, value) = label.split_once("=\"").expect("a name and a value");
                family.note_label(label, value.trim_end_matches('"'));
            }
        }
    }
    families
}

fn table(families: &[Family]) -> String {
    let mut table = "| metric | type | labels | what it is |\n|---|---|---|---|\n".to_owned();
    for family in families {
        let Family { name, kind, help, .. } = family;
        let labels = family.labels();
        writeln!(table, "| `{name}` | {kind} | {labels} | {help} |")
            .expect("a String takes everything");
    }
    table
}

/// With everything that a central may have, so that every metric has a sample.
#[test]
fn metrics_in_docs() {
    let certificates = Certificates::new(1);
    let tls = certificates.server_settings("optional");
    let mut settings: Vec<_> = tls.iter().map(|(name, value)| (*name, &**value)).collect();
    settings.push(("SERVER_MAX_LEDGER_SIZE", "1073741824"));
    let central = Central::start(1, &settings);
    let mut agency = central.agency(1);
    send(&mut agency, 0, 1, 1);
    finish(&mut agency, 1);
    central.wait_for_metric("loteria_draw_done", "1");
    let families = families(&central.get("/metrics").body);
    let names: BTreeSet<_> = families.iter().map(|family| &family.name).collect();
    assert_eq!(names.len(), families.len());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
    docs::check(&page, &[("metrics", table(&families))]).unwrap();
    central.server.stop();
}
