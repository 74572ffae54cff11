//! The page on certificates: its commands print what it says, and the certificates that it makes with
//! openssl are accepted and refused as those of `pki` are.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use rustls::CertificateError;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::verify::{Trust, central, chain};

const PROGRAM: &str = "target/release/pki";

/// The code blocks of a section of the page, up to the next heading of any level: their languages, and
/// what they hold.
fn blocks(heading: &str) -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = fs::read_to_string(page).expect("the page");
    let section = page.split(&format!("\n{heading}\n")).nth(1).expect("the section");
    let mut blocks = Vec::new();
    for (at, part) in section.split("```").enumerate() {
        if at % 2 == 0 {
            if part.contains("\n#") {
                break;
            }
            continue;
        }
        let (language, text) = part.split_once('\n').expect("a code block");
        blocks.push((language.to_owned(), text.to_owned()));
    }
    blocks
}

/// The text with all serials and times alike.
fn normalised(text: &str) -> String {
    // A column is as wide as its widest field: serials and times have one width each.
    let is_serial = |word: &str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let is_time = |word: &str| word.len() == 20 && word.ends_with('Z') && word.contains('T');
    let word = |word: &str| match word {
        serial if is_serial(serial) => "SERIAL".to_owned(),
        time if is_time(time) => "TIME".to_owned(),
        other => other.to_owned(),
    };
    let separated = text.split_inclusive([' ', ',', '\n']);
    let words = separated.map(|part| {
        let text = part.trim_end_matches([' ', ',', '\n']);
        // What follows a serial in `revoke`'s output is a colon.
        let (bare, colon) = text.strip_suffix(':').map_or((text, ""), |bare| (bare, ":"));
        format!("{}{colon}{}", word(bare), &part[text.len()..])
    });
    words.collect()
}

fn both(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

#[test]
fn the_commands_print_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let (_, transcript) = blocks("## Certificates").into_iter().next().unwrap();
    let mut printed = String::new();
    for command in transcript.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let words: Vec<_> = command.split(' ').collect();
        assert_eq!(words[0], PROGRAM);
        let mut program = Command::new(env!("CARGO_BIN_EXE_pki"));
        let output = program.args(&words[1..]).current_dir(folder.path()).output().unwrap();
        writeln!(printed, "$ {command}").unwrap();
        printed += &both(&output);
    }
    assert_eq!(normalised(&printed), normalised(&transcript));
    for command in ["init", "server", "agency", "revoke", "list"] {
        assert!(transcript.contains(&format!(" --dir pki {command}")), "{command} isn't shown");
    }
}

/// Does all that the page does by hand.
fn by_hand() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let script: String = blocks("### By hand, with openssl")
        .into_iter()
        .filter_map(|(language, text)| (language == "sh").then_some(text))
        .collect();
    assert!(script.contains("openssl"), "{script}");
    let mut shell = Command::new("sh");
    let output = shell.args(["-euc", &script]).current_dir(folder.path()).output().expect("sh");
    assert!(output.status.success(), "{}", both(&output));
    folder
}

#[test]
fn what_openssl_makes_is_as_good() {
    let folder = by_hand();
    let path = |name: &str| folder.path().join(name);
    let trust = Trust::read(&path("ca.pem"), &path("crl.pem"));
    for name in ["central.example", "192.0.2.7"] {
        trust.server(&chain(&path("server.pem")), name).unwrap();
    }
    let agency = chain(&path("agency-1.pem"));
    trust.client(&agency).unwrap();
    let revoked = trust.client(&chain(&path("agency-2.pem")));
    assert_eq!(revoked, Err(rustls::Error::InvalidCertificate(CertificateError::Revoked)));

    let central = central(folder.path(), &path("ca.pem"), &path("crl.pem"));
    assert!(central.is_revoked(&[&chain(&path("agency-2.pem"))[0]]));

    let (_, parsed) = X509Certificate::from_der(&agency[0]).unwrap();
    let names = parsed.subject_alternative_name().unwrap().expect("names");
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://loteria/agencia/1")]);
    for key in ["private/ca.key", "server.key", "agency-1.key"] {
        let mode = fs::metadata(path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) -> Output {
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split(' ')).current_dir(folder).output().expect("openssl")
}

#[test]
fn openssl_accepts_what_pki_makes() {
    for key in ["p256", "ed25519"] {
        let folder = tempfile::tempdir().unwrap();
        for arguments in ["init", "server localhost ::1", "agency 1 2", "revoke agency-2.pem"] {
            let mut program = Command::new(env!("CARGO_BIN_EXE_pki"));
            program.args(["--dir", "."]).args(arguments.split(' ')).current_dir(folder.path());
            if !arguments.starts_with("revoke") {
                program.args(["--key", key]);
            }
            let output = program.output().unwrap();
            assert!(output.status.success(), "{}", both(&output));
        }
        let verify = |arguments: &str| {
            let checks = "verify -x509_strict -CAfile ca.pem -CRLfile crl.pem -crl_check";
            openssl(folder.path(), &format!("{checks} {arguments}"))
        };
        for good in [
            "-purpose sslserver -verify_hostname localhost server.pem",
            "-purpose sslserver -verify_ip ::1 server.pem",
            "-purpose sslclient agency-1.pem",
        ] {
            let output = verify(good);
            assert!(output.status.success(), "{key}: {good}: {}", both(&output));
        }
        for (bad, reason) in [
            ("-purpose sslclient agency-2.pem", "certificate revoked"),
            ("-purpose sslclient server.pem", "certificate purpose"),
            ("-purpose sslserver agency-1.pem", "certificate purpose"),
        ] {
            let output = verify(bad);
            assert!(!output.status.success() && both(&output).contains(reason), "{key}: {bad}");
        }
        for file in ["private/ca.key", "server.key", "agency-1.key"] {
            let output = openssl(folder.path(), &format!("pkey -in {file} -noout -check"));
            assert!(output.status.success(), "{key}: {file}: {}", both(&output));
        }
        let output = openssl(folder.path(), "crl -in crl.pem -noout -crlnumber");
        assert_eq!(both(&output).trim(), "crlNumber=0x02");
    }
}
