//! What docs/keeping.md says to do when something is wrong: its commands are run as they are there, each on
//! a ledger with just that wrong.

use std::fs;
use std::path::Path;
use std::process::Command;

use kit::process::output;
use kit::programs::binary;
use serde_json::Value;

use crate::world::{Rest, checked, done};

/// What a heading of the page is for.
struct Situation {
    heading: &'static str,
    /// Brings it about.
    prepare: fn(&Rest),
    /// What must be so after the commands, which have said this.
    verify: fn(&Rest, &str),
}

const SITUATIONS: [Situation; 8] = [
    Situation {
        heading: "The ledger is damaged",
        prepare: |rest| {
            let mut rows = fs::read(rest.rows()).expect("rows");
            rows[20] ^= 1;
            fs::write(rest.rows(), rows).expect("written");
        },
        verify: |rest, said| {
            assert!(said.contains("damaged: ") && said.ends_with("good\n"), "{said}");
            assert_eq!(checked(&rest.rows())["bets"], 43);
            assert!(rest.path("damaged/bets.csv").exists());
        },
    },
    Situation {
        heading: "A file is missing",
        prepare: |rest| fs::remove_file(rest.wal()).expect("removed"),
        verify: |rest, said| {
            assert!(said.contains("bets.csv.wal is missing"), "{said}");
            assert_eq!(checked(&rest.rows())["bets"], 43);
        },
    },
    Situation {
        heading: "Rows were appended by another program",
        prepare: |rest| {
            let rows = fs::read(rest.rows()).expect("rows");
            let longer = [&rows, &b"1,Eva,Paz,7,2000-01-01,7574\r\n"[..]].concat();
            fs::write(rest.rows(), longer).expect("written");
        },
        verify: |rest, said| {
            assert!(said.ends_with("good\n"), "{said}");
            assert_eq!(checked(&rest.rows())["bets"], 43);
            let appended = fs::read_to_string(rest.path("appended")).expect("text");
            assert_eq!(appended, "1,Eva,Paz,7,2000-01-01,7574\r\n");
        },
    },
    Situation {
        heading: "The disk is full",
        prepare: |rest| fs::create_dir(rest.path("larger")).expect("made"),
        verify: |rest, said| {
            assert!(said.contains(", 0 of them copied now; verified"), "{said}");
            assert_eq!(checked(&rest.path("larger/bets.csv"))["bets"], 43);
        },
    },
    Situation {
        heading: "The machine is lost",
        prepare: |rest| {
            fs::remove_file(rest.rows()).expect("removed");
            fs::remove_file(rest.wal()).expect("removed");
        },
        verify: |rest, said| {
            assert!(said.contains("\"agencies\":2"), "{said}");
            assert_eq!(checked(&rest.rows())["bets"], 43);
        },
    },
    Situation {
        heading: "A wrong file",
        prepare: |rest| {
            done("restore", &[rest.path("copy"), rest.path("yesterday.csv")]);
            fs::write(rest.path("list.csv"), "a,b\n").expect("written");
        },
        verify: |_, said| {
            assert!(said.contains("\"draw\":null"), "{said}");
            assert!(said.contains("list.csv: it holds 4 bytes, but its wal"), "{said}");
        },
    },
    Situation {
        heading: "Rejected bets",
        prepare: |_| {},
        verify: |rest, said| {
            let of_two = said.lines().find(|line| line.starts_with("     2  ")).expect("a line");
            let counts: Vec<_> = of_two.split_whitespace().skip(1).take(3).collect();
            assert_eq!(counts, ["5", "3", "2"], "{said}");
            let stored = fs::read_to_string(rest.path("stored-of-2.csv")).expect("text");
            assert_eq!(stored.lines().count(), 3);
        },
    },
    Situation {
        heading: "A forgotten agency",
        prepare: |_| {},
        verify: |_, said| assert_eq!(said, "\"finished\":0\n"),
    },
];

/// The headings of the page's section, each with the commands below it.
fn commands() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keeping.md");
    let page = fs::read_to_string(page).expect("the page");
    let section = page.split("\n## When something is wrong\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let parts = section.split("\n### ").skip(1);
    let parts = parts.map(|part| {
        let (heading, text) = part.split_once('\n').expect("a heading");
        let blocks = text.split("```sh\n").skip(1);
        let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
        (heading.to_owned(), blocks.collect())
    });
    parts.collect()
}

/// Runs commands in the ledger's folder; what they have said. The last one must end with 0.
fn run(commands: &str, rest: &Rest) -> String {
    let script = format!("server() {{ \"$SERVER\" \"$@\"; }}\nexec 2>&1\n{commands}");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(rest.0.path());
    let output = output(bash.env("SERVER", binary("server")));
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{commands}\n{said}");
    said
}

#[test]
fn what_the_page_says_to_do_helps() {
    let commands = commands();
    let headings: Vec<_> = commands.iter().map(|(heading, _)| heading.as_str()).collect();
    let known = SITUATIONS.map(|situation| situation.heading);
    assert_eq!(headings, known, "the page's headings and the situations of this test");
    for (Situation { heading, prepare, verify }, (_, commands)) in SITUATIONS.iter().zip(&commands)
    {
        let rest = Rest::closed();
        done("backup", &[rest.rows(), rest.path("copy")]);
        prepare(&rest);
        assert!(!commands.is_empty(), "{heading}");
        verify(&rest, &run(commands, &rest));
    }
}

/// The same ledger to the page's table of what a check prints.
#[test]
fn the_page_shows_what_a_check_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keeping.md");
    let page = fs::read_to_string(page).expect("the page");
    let shown = page.split("$ server ledger check bets.csv\n").nth(1).expect("it is shown");
    let rest = Rest::closed();
    let printed = done("check", &[rest.rows()]).out;
    assert_eq!(shown.lines().next(), printed.lines().next());
    let words = |text: &str| -> Vec<String> {
        let ends = text.lines().filter_map(|line| Some(line.rsplit_once("bets.csv: ")?.1));
        let line = { ends }.next().expect("a line");
        let is_number = |word: &str| word.chars().all(|c| c.is_ascii_hexdigit() || c == ';');
        line.split(' ').filter(|word| !is_number(word)).map(str::to_owned).collect()
    };
    assert_eq!(words(shown), words(&printed));
    let report: Value = checked(&rest.rows());
    assert_eq!(report["result"], "good");
}
