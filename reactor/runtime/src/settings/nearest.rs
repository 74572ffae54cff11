//! The known name that an unknown one most resembles.

use super::setting::{Names, Table};

/// How alike two names must be, as clap has it for flags.
const ALIKE: f64 = 0.8;

/// Most slips in a name. Names with the same beginning are alike however they go on, and aren't meant.
const SLIPS_MAX: usize = 2;

/// The names of the setting that `name` probably means: one whose name it is elsewhere (in the environment, in
/// the file, on the command line), or is but for a letter or two.
pub(super) fn nearest(table: Table, name: &str) -> Option<&'static Names> {
    let name = folded(name);
    let likeness = |names: &Names| {
        let names = [names.key, names.file_key, names.flag].map(folded);
        let near = names.iter().filter(|known| is_near(known, &name));
        near.map(|known| strsim::jaro_winkler(known, &name)).fold(0.0, f64::max)
    };
    let all = table.iter().map(|setting| &setting.declaration().names);
    let scored = all.map(|names| (likeness(names), names));
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, names)| names)
}

/// A slip or two, or one that goes on where the other ends.
fn is_near(known: &str, name: &str) -> bool {
    let continues = known.starts_with(name) || name.starts_with(known);
    continues || strsim::osa_distance(known, name) <= SLIPS_MAX
}

/// Case and separators between words don't count.
fn folded(name: &str) -> String {
    let kept = name.chars().filter(|character| character.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        static TABLE;

        "All" {
            LINE: u16 = Names::new("SERVER_MAX_LINE_SIZE", "SERVER_MAX_LINE_SIZE", "max-line-size").number(1..=9);
            PORT: u16 = Names::new("SERVER_PORT", "SERVER_PORT", "port").number(1..=9);
            STORAGE: u16 =
                Names::new("SERVER_STORAGE_PATH", "SERVER_STORAGE_PATH", "storage-path").number(1..=9);
            AMOUNT: u16 = Names::new("CLI_BATCH_MAXAMOUNT", "batch.maxAmount", "batch-max-amount").number(1..=9);
            ID: u16 = Names::new("CLI_ID", "id", "id").number(1..=9);
        }
    }

    #[test]
    fn a_slip_or_a_name_from_elsewhere_is_understood() {
        for (name, expected) in [
            ("SERVR_PORT", "SERVER_PORT"),
            ("SERVER-PORT", "SERVER_PORT"),
            ("serverPort", "SERVER_PORT"),
            ("\u{feff}SERVER_PORT", "SERVER_PORT"),
            ("port", "SERVER_PORT"),
            ("SERVER_STORAGE", "SERVER_STORAGE_PATH"),
            ("batch.max_amount", "CLI_BATCH_MAXAMOUNT"),
            ("batch.max", "CLI_BATCH_MAXAMOUNT"),
            ("cli_id", "CLI_ID"),
        ] {
            assert_eq!(nearest(TABLE, name).map(|names| names.key), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_resembles_nothing_has_no_nearest() {
        for name in ["", "=", "x", "nonsense", "comentario", "SERVER_NAME", "SERVER_POOL_SIZE"] {
            assert_eq!(nearest(TABLE, name).map(|names| names.key), None, "{name}");
        }
        assert!(nearest(&[], "SERVER_PORT").is_none());
    }
}
