//! The tables of the documentation, from the tables of the programs.
//!
//! A page marks their place: `<!-- begin NAME -->` and `<!-- end NAME -->`, each in a line of its
//! own. A test of each program holds the page to its table, or writes it. `--help` is held to it too.

use std::fmt::Write as _;
use std::path::Path;

use super::Program;
use super::setting::{Declaration, Names, Table};

/// Set in the environment of a test, it writes the page instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";

/// Compares the sections of a page with the texts that belong there, each beside its section's name.
/// With `UPDATE_DOCS` in the environment it writes them instead.
///
/// # Errors
/// What differs, and how to write it.
///
/// # Panics
/// When the page can't be read or written, or lacks a section.
pub fn check(page: &Path, sections: &[(&str, String)]) -> Result<(), String> {
    let before = std::fs::read_to_string(page).expect("the page is there");
    let mut after = before.clone();
    for (name, text) in sections {
        after = with_section(&after, name, text);
    }
    if after == before {
        return Ok(());
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(page, after).expect("the page can be written");
        return Ok(());
    }
    let differing = after.lines().zip(before.lines()).find(|(after, before)| after != before);
    let (expected, found) = differing.unwrap_or_default();
    Err(format!(
        "{} isn't what the programs say of themselves: `make settings-docs` writes it.\nexpected: {expected}\nfound:    {found}",
        page.display()
    ))
}

/// Columns of the terminal that `--help` is checked for.
const COLUMNS: usize = 100;

/// Checks that every default is a value that its setting takes, and that every setting has one line of
/// `--help`.
///
/// # Errors
/// The first setting of which that isn't so.
pub fn check_help(program: &Program) -> Result<(), String> {
    let help = program.command().term_width(COLUMNS).render_help().to_string();
    for setting in program.table {
        let declaration = setting.declaration();
        let flag = format!("--{} <", declaration.names.flag);
        if let Some(default) = declaration.default.filter(|default| !setting.accepts(default)) {
            return Err(format!("{flag}: its default, {default}, isn't a value"));
        }
        let line = help.lines().find(|line| line.contains(&flag)).unwrap_or_default();
        if !(line.contains(declaration.help) && line.ends_with(']')) {
            return Err(format!("{flag}: expected one line of {COLUMNS} columns, found {line:?}"));
        }
    }
    Ok(())
}

/// The page, with `text` between the marks of a section.
fn with_section(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let parts = page.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = parts.unwrap_or_else(|| panic!("the page has no section {name}"));
    format!("{before}{begin}{text}{end}{after}")
}

/// A heading and a table for each group.
pub fn tables(table: Table) -> String {
    let mut text = String::new();
    for group in groups(table) {
        write!(text, "\n### {}\n\n", group[0].group).expect("a String takes everything");
        text.push_str(&table_of(&group));
    }
    text.push('\n');
    text
}

/// What settings were called before they were renamed.
pub fn former_names(table: Table) -> String {
    let declarations = table.iter().map(|setting| setting.declaration());
    let renamed = declarations.filter_map(|now| Some((now.former?, now.names)));
    let rows = renamed.map(|(before, now)| format!("| {} | {} |\n", name(before), name(now)));
    format!("\n| before | now |\n|---|---|\n{}\n", rows.collect::<String>())
}

/// Settings by the headings that they are listed under, in the order of the table.
pub fn groups(table: Table) -> Vec<Vec<&'static Declaration>> {
    let mut groups: Vec<Vec<&Declaration>> = Vec::new();
    for declaration in table.iter().map(|setting| setting.declaration()) {
        match groups.iter_mut().find(|group| group[0].group == declaration.group) {
            Some(group) => group.push(declaration),
            None => groups.push(vec![declaration]),
        }
    }
    groups
}

/// Of a group without limits, the columns that only limits have are left out.
fn table_of(group: &[&Declaration]) -> String {
    let with_limits = group.iter().any(|declaration| declaration.limit.is_some());
    let mut text = "| name | default | values | what it is |".to_owned();
    text.push_str(if with_limits { " when it is reached | why it is there |\n" } else { "\n" });
    text.push_str(if with_limits { "|---|---|---|---|---|---|\n" } else { "|---|---|---|---|\n" });
    for declaration in group {
        text.push_str(&row(declaration, with_limits));
    }
    text
}

fn row(declaration: &Declaration, with_limits: bool) -> String {
    let Declaration { names, shared, default, unset, help, details, limit, .. } = declaration;
    let shared = shared.map_or_else(String::new, |names| format!(" or `{}`", names.key));
    let (name, range) = (format!("{}{shared}", name(*names)), declaration.range());
    let separator = if details.is_empty() { "" } else { "; " };
    let default = default.or(*unset).unwrap_or("");
    let mut row = format!("| {name} | {default} | {range} | {help}{separator}{details} |");
    if with_limits {
        let (reached, reason) = limit.map_or(("", ""), |limit| (limit.reached, limit.reason));
        write!(row, " {reached} | {reason} |").expect("a String takes everything");
    }
    row.push('\n');
    row
}

/// The name in the environment, and before it that in the file where it is another one.
fn name(names: Names) -> String {
    let Names { key, file_key, .. } = names;
    if key == file_key { format!("`{key}`") } else { format!("`{file_key}`, `{key}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        static TABLE;

        "One" {
            PORT: u16 = Names::new("X_PORT", "X_PORT", "port")
                .number(0..=9)
                .zero("any")
                .default("1")
                .formerly(Names::new("X_DOOR", "X_DOOR", "door"))
                .help("Port")
                .limit("it ends", "a reason");
            NAME: u8 = Names::new("X_NAME", "the.name", "name")
                .number(0..=9)
                .shared_as("Y_NAME")
                .help("Name")
                .details("a digit");
        }
        "Two" {
            LAST: u8 =
                Names::new("X_LAST", "X_LAST", "last").number(0..=9).unset("none").help("Last");
        }
    }

    #[test]
    fn a_group_has_a_heading_and_the_columns_that_it_needs() {
        assert_eq!(
            tables(TABLE),
            "\n### One\n\n\
             | name | default | values | what it is | when it is reached | why it is there |\n\
             |---|---|---|---|---|---|\n\
             | `X_PORT` | 1 | 0 to 9 (0: any) | Port | it ends | a reason |\n\
             | `the.name`, `X_NAME` or `Y_NAME` |  | 0 to 9 | Name; a digit |  |  |\n\
             \n### Two\n\n\
             | name | default | values | what it is |\n\
             |---|---|---|---|\n\
             | `X_LAST` | none | 0 to 9 | Last |\n\n"
        );
        assert_eq!(
            former_names(TABLE),
            "\n| before | now |\n|---|---|\n| `X_DOOR` | `X_PORT` |\n\n"
        );
    }

    #[test]
    fn what_stands_between_the_marks_is_compared_and_nothing_else() {
        let page = tempfile::NamedTempFile::new().unwrap();
        let text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n";
        std::fs::write(page.path(), text).unwrap();
        assert_eq!(check(page.path(), &[("x", "old\n".to_owned())]), Ok(()));
        let error = check(page.path(), &[("x", "new\n".to_owned())]).unwrap_err();
        assert!(error.ends_with("\nexpected: new\nfound:    old"), "{error}");
        assert_eq!(with_section(text, "x", ""), "a\n<!-- begin x -->\n<!-- end x -->\nb\n");
    }
}
