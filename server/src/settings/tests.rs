//! The table as it is declared: defaults, `--help`, the documentation.

use std::path::Path;

use runtime::settings::docs;

use super::{PROGRAM, TABLE};

#[test]
fn every_default_is_a_value_and_every_setting_has_a_line_of_help() {
    let help = PROGRAM.command().term_width(100).render_help().to_string();
    for setting in TABLE {
        let declaration = setting.declaration();
        let flag = format!("--{} <", declaration.names.flag);
        assert!(declaration.default.is_none_or(|text| setting.accepts(text)), "{flag}");
        let line = help.lines().find(|line| line.contains(&flag)).unwrap();
        assert!(line.contains(declaration.help) && line.ends_with(']'), "{line}");
    }
}

#[test]
fn settings_in_docs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let sections =
        [("server settings", docs::tables(TABLE)), ("server names", docs::former_names(TABLE))];
    docs::check(&page, &sections).unwrap();
}
