//! `make install` into folders of the test's own: what is there, that systemd finds nothing wrong with its
//! units, that the programs understand the configuration, and that bash completes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kit::programs::binary;
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// An installation, of programs that do nothing.
struct Installation {
    folder: TempDir,
}

impl Installation {
    fn new() -> Self {
        let installation = Self { folder: tempfile::tempdir().expect("a folder") };
        let programs = installation.path("programs");
        fs::create_dir(&programs).expect("made");
        for program in ["server", "client", "pki"] {
            fs::write(programs.join(program), "#!/bin/sh\n").expect("written");
        }
        let made = packaging::pages::all().expect("memory takes everything").into_iter();
        for (path, text) in made.chain(packaging::completions::all()) {
            let path = installation.path("manual").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        let output = installation.run("install");
        assert!(output.status.success(), "{}", text(&output.stderr));
        installation
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, task: &str) -> Output {
        let mut command = Command::new(repository().join("server/packaging/install.sh"));
        command.arg(task).env("PREFIX", self.path("usr")).env("SYSCONFDIR", self.path("etc"));
        command.env("PROGRAMS", self.path("programs")).env("MANUAL", self.path("manual"));
        command.output().expect("a shell")
    }

    /// All files below what was installed.
    fn files(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.path("usr"), self.path("etc")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let path = path.strip_prefix(self.folder.path()).expect("below it");
                    found.insert(path.to_str().expect("text").to_owned());
                }
            }
        }
        found
    }

    /// What systemd's own tool says of units.
    fn analyze(&self, arguments: &[&str]) -> Output {
        let units = self.path("usr/lib/systemd/system");
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()));
        command.current_dir(units).output().expect("systemd is installed: apt-get install systemd")
    }
}

#[test]
fn everything_is_in_its_place_and_goes_again() {
    let installation = Installation::new();
    let files = installation.files();
    for expected in [
        "usr/bin/loteria-server",
        "usr/bin/loteria-client",
        "usr/bin/loteria-pki",
        "usr/share/man/man1/loteria-server.1",
        "usr/share/man/man1/loteria-pki-init.1",
        "usr/share/bash-completion/completions/loteria-client",
        "usr/share/zsh/site-functions/_loteria-server",
        "usr/share/fish/vendor_completions.d/loteria-pki.fish",
        "usr/lib/systemd/system/loteria-server.service",
        "usr/lib/systemd/system/loteria-server.socket",
        "usr/lib/systemd/system/loteria-agency@.service",
        "usr/lib/sysusers.d/loteria.conf",
        "etc/loteria/server.ini",
        "etc/loteria/agency.yaml",
    ] {
        assert!(files.contains(expected), "no {expected} among {files:?}");
    }
    for unit in files.iter().filter(|file| file.contains("/systemd/")) {
        let unit = fs::read_to_string(installation.path(unit)).expect("a unit");
        for place in ["@bindir@", "@sysconfdir@", "@hardening@"] {
            assert!(!unit.contains(place), "{unit}");
        }
    }
    fs::write(installation.path("etc/loteria/server.ini"), "[DEFAULT]\n").expect("written");
    assert!(installation.run("install").status.success());
    let kept =
        fs::read_to_string(installation.path("etc/loteria/server.ini")).expect("it is there");
    assert_eq!(kept, "[DEFAULT]\n", "the operator's stays");
    let output = installation.run("uninstall");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(installation.files(), BTreeSet::from(["etc/loteria/server.ini".to_owned()]));
}

#[test]
fn without_programs_it_says_what_to_do() {
    let installation = Installation::new();
    fs::remove_file(installation.path("programs/pki")).expect("it is there");
    let output = installation.run("install");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("programs/pki: run make build man first"));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let installation = Installation::new();
    for unit in ["loteria-server.service", "loteria-server.socket", "loteria-agency@7.service"] {
        let output = installation.analyze(&["verify", "--man=no", unit]);
        // What it finds in this machine's own units is none of ours.
        let errors = text(&output.stderr);
        let ours: Vec<_> = errors.lines().filter(|line| line.contains("loteria")).collect();
        assert!(ours.is_empty(), "{unit}: {errors}");
    }
}

#[test]
fn services_can_do_little_beside_their_work() {
    let installation = Installation::new();
    for unit in ["loteria-server.service", "loteria-agency@7.service"] {
        let output = installation.analyze(&["security", "--offline=true", "--threshold=15", unit]);
        assert!(output.status.success(), "{unit}: {}", text(&output.stdout));
        assert!(text(&output.stdout).contains("Overall exposure level"), "{unit}");
    }
}

#[test]
fn the_programs_understand_the_configuration() {
    let installation = Installation::new();
    for (program, config) in [("server", "server.ini"), ("client", "agency.yaml")] {
        let mut command = Command::new(binary(program));
        command.env_clear().env("CLI_ID", "7").arg("--check-config");
        command.arg("--config").arg(installation.path("etc/loteria").join(config));
        let output = command.output().expect("it starts");
        let (shown, errors) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{shown}{errors}");
        let is_warning =
            |line: &str| line.starts_with("warning: ") || line.starts_with("unknown: ");
        assert!(!shown.lines().chain(errors.lines()).any(is_warning), "{shown}{errors}");
        assert!(shown.contains("/var/lib/loteria"), "{shown}");
    }
}

#[test]
fn the_unit_and_its_socket_agree_with_the_configuration() {
    let packaging = repository().join("server/packaging");
    let read = |name: &str| fs::read_to_string(packaging.join(name)).expect("a file");
    let socket = read("systemd/loteria-server.socket");
    let address = socket.lines().find_map(|line| line.strip_prefix("ListenStream="));
    let (ip, port) = address.and_then(|address| address.split_once(':')).expect("an address");
    let config = read("etc/server.ini");
    for line in [format!("SERVER_BIND = {ip}"), format!("SERVER_PORT = {port}")] {
        assert!(config.lines().any(|found| found == line), "no {line}");
    }
}

#[test]
fn bash_completes_flags_and_values() {
    // What the shell does behind the tab key.
    const SCRIPT: &str = "source \"$1\"; COMP_WORDS=(loteria-server $2 \"$3\")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        function=$(complete -p loteria-server | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        \"$function\" loteria-server \"$3\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let installation = Installation::new();
    let file = installation.path("usr/share/bash-completion/completions/loteria-server");
    for (before, word, expected) in [
        ("", "--storage", "--storage-path"),
        ("--tls", "", "optional"),
        ("", "health", "healthcheck"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", SCRIPT, "bash"]).arg(&file).args([before, word]);
        let output = bash.output().expect("bash");
        let completed = text(&output.stdout);
        assert!(
            completed.lines().any(|line| line == expected),
            "{before} {word}: {completed}{}",
            text(&output.stderr)
        );
    }
}
