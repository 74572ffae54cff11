//! No file of a crate imports one that imports it, directly or round about: each can be read, and
//! tested, after those that it uses.
//!
//! Reads `use` declarations and paths that begin with `crate`, `self` or `super`, as rustfmt lays
//! them out. A re-export isn't an import: a path through it leads to the file that has the item.
//! Unit tests aren't looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of all crates' sources.
const SOURCES: [&str; 17] = [
    "wire/src",
    "wire/http1/src",
    "reactor/src",
    "reactor/loop-tests/src",
    "reactor/runtime/src",
    "reactor/tls/src",
    "server/src",
    "server/admin/src",
    "server/cluster/src",
    "server/etcd/src",
    "server/ledger/src",
    "server/packaging/src",
    "server/pki/src",
    "client/src",
    "client/load/src",
    "tests/kit/src",
    "tests/cluster-model/src",
];

/// A crate's modules by their paths, `a::b`; the crate itself has an empty one.
type Modules = BTreeMap<String, Module>;

/// What one file imports.
#[derive(Default)]
struct Module {
    imports: BTreeSet<String>,
    reexports: BTreeSet<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_path_buf()
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(parent, _)| parent)
}

/// Reads the modules below `folder`, which is that of `module`.
fn read(folder: &Path, module: &str, modules: &mut Modules) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if path.is_dir() {
            read(&path, &join(module, &stem), modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = match stem.as_str() {
                "main" | "tests" => continue,
                "lib" | "mod" => module.to_owned(),
                _ => join(module, &stem),
            };
            let source = fs::read_to_string(&path).expect("a source file");
            modules.insert(name, parse(&source));
        }
    }
}

fn parse(source: &str) -> Module {
    let mut module = Module::default();
    let mut lines =
        source.lines().take_while(|line| *line != "#[cfg(test)]" && *line != "mod tests {");
    while let Some(line) = lines.next() {
        let code = line.split("//").next().unwrap_or_default().trim();
        // A line of a text may begin with this word too.
        let is_path =
            |tree: &&str| tree.split(['{', ';']).next().is_some_and(|at| at.contains("::"));
        let (visibility, tree) = code.split_once("use ").unwrap_or((code, ""));
        let is_reexport =
            visibility == "pub " || visibility.starts_with("pub(") && visibility.ends_with(") ");
        let declared = Some(tree).filter(is_path).filter(|_| visibility.is_empty() || is_reexport);
        let Some(tree) = declared else {
            module.imports.extend(paths(code));
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.ends_with(';') {
            tree.push_str(lines.next().expect("a declaration ends").trim());
        }
        let found = if is_reexport { &mut module.reexports } else { &mut module.imports };
        expand("", tree.trim_end_matches(';'), found);
    }
    module
}

/// Paths in a line of code that begin at the crate or at a module.
fn paths(code: &str) -> impl Iterator<Item = String> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let words =
        words.filter(|word| ["crate::", "self::", "super::"].iter().any(|at| word.starts_with(at)));
    words.map(str::to_owned)
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
fn expand(prefix: &str, tree: &str, out: &mut BTreeSet<String>) {
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        if !path.is_empty() {
            out.insert(format!("{prefix}{path}"));
        }
        return;
    };
    let (prefix, mut depth, mut start) = (format!("{prefix}{}", before.trim()), 0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                expand(&prefix, &group[start..at], out);
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module that `path` leads to when `from` names it, behind re-exports; `None` for one of
/// another crate.
fn resolve(modules: &Modules, from: &str, path: &str) -> Option<String> {
    let mut names: Vec<_> = path.split("::").collect();
    names.reverse();
    let mut module = match *names.last()? {
        "crate" => String::new(),
        "self" | "super" => from.to_owned(),
        first if modules.contains_key(&join(from, first)) => from.to_owned(),
        _ => return None,
    };
    while let Some(name) = names.pop() {
        match name {
            "crate" | "self" => {}
            "super" => {
                module = parent(&module).to_owned();
            }
            _ if modules.contains_key(&join(&module, name)) => module = join(&module, name),
            _ => {
                let reexports = modules.get(&module)?.reexports.iter();
                let ending = format!("::{name}");
                let reexport = reexports.into_iter().find(|reexport| reexport.ends_with(&ending));
                let Some(reexport) = reexport else { break };
                let Some(behind) = resolve(modules, &module, reexport) else { break };
                module = behind;
            }
        }
    }
    Some(module)
}

/// The files that a file imports.
fn imported(modules: &Modules, name: &str) -> BTreeSet<String> {
    let imports = modules[name].imports.iter();
    imports.filter_map(|path| resolve(modules, name, path)).filter(|other| other != name).collect()
}

/// A way from `last` in `way` back to its first module, if there is one.
fn cycle(
    graph: &BTreeMap<&str, BTreeSet<String>>,
    way: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    let Some(last) = way.last().cloned() else { return false };
    for next in graph.get(last.as_str()).into_iter().flatten() {
        if *next == way[0] {
            return true;
        }
        if seen.insert(next.clone()) {
            way.push(next.clone());
            if cycle(graph, way, seen) {
                return true;
            }
            way.pop();
        }
    }
    false
}

#[test]
fn no_imports_go_round_in_a_circle() {
    let mut found = Vec::new();
    for folder in SOURCES {
        let mut modules = Modules::new();
        read(&repository().join(folder), "", &mut modules);
        let names = modules.keys().map(|name| (name.as_str(), imported(&modules, name)));
        let graph: BTreeMap<_, _> = names.collect();
        for name in modules.keys() {
            let mut way = vec![name.clone()];
            if cycle(&graph, &mut way, &mut BTreeSet::new()) && way.iter().min() == Some(name) {
                found.push(format!("{folder}: {}", way.join(" -> ")));
            }
        }
    }
    assert!(found.is_empty(), "imports in a circle:\n{}", found.join("\n"));
}

#[test]
fn a_tree_of_imports_is_all_its_paths() {
    let mut found = BTreeSet::new();
    expand("", "crate::{a::{B, c::D}, e}", &mut found);
    assert_eq!(found, ["crate::a::B", "crate::a::c::D", "crate::e"].map(str::to_owned).into());
}

#[test]
fn a_path_leads_behind_re_exports() {
    let mut modules = Modules::new();
    modules.insert(String::new(), parse("pub use a::Thing;\nmod a;"));
    modules.insert("a".to_owned(), parse("use crate::b::{self, Other};"));
    modules.insert("b".to_owned(), parse("fn f() -> crate::Thing {}\nuse std::io;"));
    assert_eq!(imported(&modules, "a"), ["b".to_owned()].into());
    assert_eq!(imported(&modules, "b"), ["a".to_owned()].into());
}
