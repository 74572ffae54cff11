//! The table as it is declared: defaults, `--help`, the documentation.

use std::path::Path;

use runtime::settings::docs;

use super::{PROGRAM, TABLE};

#[test]
fn every_default_is_a_value_and_every_setting_has_a_line_of_help() {
    docs::check_help(&PROGRAM).unwrap();
}

#[test]
fn settings_in_docs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let sections =
        [("server settings", docs::tables(TABLE)), ("server names", docs::former_names(TABLE))];
    docs::check(&page, &sections).unwrap();
}
