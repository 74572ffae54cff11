//! `config.ini` is read as Python's `ConfigParser` reads it: compared with what that was recorded to
//! make of some hundred files (`record.py` records it anew; no Python is needed here).

use std::collections::BTreeMap;

use Recorded::{Read, Refused};
use runtime::settings::RawValue;
use server::ini;

/// What Python makes of a file.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// Names in lower case and values of `[DEFAULT]`; `None` is an error of that one alone.
    Read(&'static [(&'static str, Option<&'static str>)]),
    /// The lines with errors; none are looked for behind a duplicate.
    Refused(&'static [usize]),
}

#[rustfmt::skip]
mod recorded {
    use super::Recorded::{self, Read, Refused};

    include!("recorded.rs");
}

/// What isn't taken although Python does: several lines, and what stands for another value.
fn is_refused_here(text: &str, value: &str) -> bool {
    value.contains('\n') || text.replace("%%", "").contains("%(")
}

#[test]
fn every_file_is_read_as_python_reads_it() {
    let (mut read, mut refused, mut stricter) = (0, 0, 0);
    for (text, recorded) in recorded::RECORDED {
        let contents = ini::read(text);
        let errors: Vec<_> = contents.errors.iter().filter_map(|error| error.line).collect();
        let values = match recorded {
            Refused(lines) => {
                assert!(lines.iter().all(|line| errors.contains(line)), "{text:?}: {contents:?}");
                refused += 1;
                continue;
            }
            Read(values) => values.iter().copied().collect::<BTreeMap<_, _>>(),
        };
        assert!(errors.is_empty(), "{text:?}: {contents:?}: {errors:?}");
        let ours = contents.entries.iter().filter(|entry| entry.foreign_section.is_none());
        let ours: BTreeMap<_, _> =
            ours.map(|entry| (entry.name.to_lowercase(), &entry.value)).collect();
        assert_eq!(ours.len(), values.len(), "{text:?}: {contents:?}");
        for (name, value) in values {
            match (ours[name], value) {
                (RawValue::Text(ours), Some(theirs)) => assert_eq!(ours, theirs, "{text:?}"),
                (RawValue::Invalid(_), None) => refused += 1,
                (RawValue::Invalid(_), Some(theirs)) => {
                    assert!(is_refused_here(text, theirs), "{text:?}: {theirs:?}");
                    stricter += 1;
                }
                (ours, _) => panic!("{text:?}: read as {ours:?}"),
            }
        }
        read += 1;
    }
    assert!(read > 100 && refused > 100 && stricter > 10, "{read} {refused} {stricter}");
}
