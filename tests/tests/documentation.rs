//! The documentation against the repository: every file, folder and heading that a page points to
//! exists, so does every setting and source file that it names; every knob of a test, every dependency and every alarm
//! is documented;
//! every page is reached from the README, and the README stays short.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines that the README may have: it is an entrance, what is long has a page of its own.
const README_LINES_MAX: usize = 200;

fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    folder.expect("a workspace").canonicalize().expect("the repository")
}

/// All Markdown files below `folder`, but for what was built.
fn pages(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            // What tools leave in a work tree is no page of ours.
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if !is_hidden && name != "target" && name != "corpus" {
                found.append(&mut pages(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.insert(path);
        }
    }
    found
}

/// The page's lines that aren't in a code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchors that GitHub gives the page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (0..).map(|n| if n == 0 { anchor.clone() } else { format!("{anchor}-{n}") });
        anchors.extend(numbered.into_iter().find(|name| !anchors.contains(name)));
    }
    anchors
}

/// Targets of the page's links and images that lie in this repository.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for rest in line.split("](").skip(1) {
            let target = rest.split_once(')').expect("a link ends in its line").0;
            if !target.contains("://") {
                found.push(target.to_string());
            }
        }
    }
    found
}

/// The file that a link of `page` leads to, and the anchor there.
fn resolve<'a>(page: &Path, link: &'a str) -> (PathBuf, Option<&'a str>) {
    let (path, anchor) =
        link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() {
        page.to_path_buf()
    } else {
        page.parent().expect("a page is in a folder").join(path)
    };
    (file, anchor)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages(&repository()) {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            let (file, anchor) = resolve(&page, &link);
            let is_there = file.exists()
                && anchor.is_none_or(|anchor| {
                    fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(anchor))
                });
            if !is_there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut next = vec![repository().join("README.md")];
    while let Some(page) = next.pop() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            // A broken link is another test's concern.
            let Ok(file) = resolve(&page, &link).0.canonicalize() else { continue };
            if file.extension().is_some_and(|extension| extension == "md")
                && !reached.contains(&file)
            {
                next.push(file);
            }
        }
        reached.insert(page);
    }
    let lost: Vec<_> = pages(&repository()).difference(&reached).cloned().collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

/// Source files that the page names by their path from the repository's root, in code blocks too.
fn source_paths(text: &str) -> BTreeSet<&str> {
    let folders = ["wire/", "reactor/", "server/", "client/", "tests/", "docker/"];
    let endings = [".rs", ".py", ".sh", ".lua", ".toml", ".yaml"];
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let words = text.split(|c: char| !is_of_path(c)).map(|word| word.trim_start_matches("../"));
    let is_source = |word: &&str| {
        folders.iter().any(|folder| word.starts_with(folder))
            && endings.iter().any(|ending| word.ends_with(ending))
    };
    words.filter(is_source).collect()
}

#[test]
fn every_source_file_named_exists() {
    for page in pages(&repository()) {
        let text = fs::read_to_string(&page).expect("a page");
        let mut paths = source_paths(&text);
        paths.retain(|path| !repository().join(path).exists());
        assert!(paths.is_empty(), "{} names what isn't there: {paths:?}", page.display());
    }
}

/// Names in the page that look like settings, with their owners' prefixes.
fn setting_names(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let prefixes = ["SERVER_", "LOGGING_", "CLI_"];
    words
        .filter(|word| prefixes.iter().any(|p| word.len() > p.len() && word.starts_with(p)))
        .collect()
}

#[test]
fn every_setting_named_exists() {
    // What Docker and Kubernetes make for a service.
    let others = ["SERVER_SERVICE_HOST", "SERVER_PORT_12345_TCP"];
    let tables = server::settings::TABLE.iter().chain(client::settings::TABLE);
    let declarations: Vec<_> = tables.map(|setting| setting.declaration()).collect();
    let present = declarations.iter().map(|declaration| declaration.names.key);
    let known: BTreeSet<_> = present.chain(others).collect();
    let former: BTreeSet<_> =
        declarations.iter().filter_map(|declaration| Some(declaration.former?.key)).collect();
    for page in pages(&repository()) {
        // The changelog names settings that are called otherwise by now.
        if page.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = fs::read_to_string(&page).expect("a page");
        let names = setting_names(&text);
        let mut unknown: Vec<_> = names.difference(&known).copied().collect();
        // The page that says what settings were called before.
        if page.ends_with("configuration.md") {
            unknown.retain(|name| !former.contains(name));
        }
        assert!(unknown.is_empty(), "{} names no settings: {unknown:?}", page.display());
    }
}

/// Names of environment variables that a test reads by one of these calls.
fn variables(source: &str) -> BTreeSet<&str> {
    let calls = ["var(\"", "var_os(\"", "number(\""];
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let after = calls.iter().flat_map(|call| source.split(call).skip(1));
    let names = after.map(|rest| rest.split('"').next().unwrap_or_default());
    names.filter(|name| !name.is_empty() && name.chars().all(is_name)).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_knob_of_the_tests_is_documented() {
    // What a system sets, not a person for a test.
    let others = ["CARGO", "PATH"];
    let page = fs::read_to_string(repository().join("docs/testing.md")).expect("the page");
    for file in sources(&repository().join("tests")) {
        let source = fs::read_to_string(&file).expect("a source file");
        for name in variables(&source).into_iter().filter(|name| !others.contains(name)) {
            let row = format!("| `{name}` |");
            assert!(page.contains(&row), "{}: docs/testing.md lacks {name}", file.display());
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).expect("the workspace");
    let declared = manifest.split("[workspace.dependencies]").nth(1).expect("dependencies");
    let lines = declared.lines().take_while(|line| !line.starts_with('['));
    let is_foreign = |line: &&str| !line.starts_with('#') && !line.contains("path = ");
    let page = fs::read_to_string(repository().join("docs/architecture.md")).expect("the page");
    let table = page.split("## Dependencies").nth(1).expect("a section of dependencies");
    let named: BTreeSet<_> =
        table.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').collect();
    for (name, _) in lines.filter(is_foreign).filter_map(|line| line.split_once(" = ")) {
        assert!(named.contains(name), "docs/architecture.md says no reason for {name}");
    }
}

/// What follows a key in the lines of a YAML file.
fn values_of<'t>(text: &'t str, key: &str) -> BTreeSet<&'t str> {
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

#[test]
fn every_alarm_has_a_section_that_it_points_to() {
    let page = fs::read_to_string(repository().join("docs/monitoring.md")).expect("the page");
    let section = page.split("\n## Alarms\n").nth(1).expect("a section of alarms");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rules = repository().join("docker/prometheus/loteria.rules.yaml");
    let rules = fs::read_to_string(rules).expect("the rules");
    let alarms = values_of(&rules, "alert");
    assert!(!alarms.is_empty());
    let explained = section.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(alarms, explained, "the rules' alarms and the page's sections");
    let anchors = alarms.iter().map(|name| format!("docs/monitoring.md#{}", name.to_lowercase()));
    let pointers = values_of(&rules, "runbook").into_iter().map(str::to_owned);
    assert_eq!(pointers.collect::<BTreeSet<_>>(), anchors.collect());
}

#[test]
fn the_readme_is_short() {
    let text = fs::read_to_string(repository().join("README.md")).expect("the README");
    assert!(text.lines().count() <= README_LINES_MAX);
}
