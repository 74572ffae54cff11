//! The manual pages as a reader has them: groff, which `man` shows them by, finds nothing wrong, and every
//! setting is there in each of its names.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use packaging::installed::{CLIENT, Installed, SERVER};
use packaging::pages;

/// A page in plain text, without breaks inside words, as a terminal would show it.
fn shown(page: &[u8]) -> String {
    let mut groff = Command::new("groff");
    // The pages are UTF-8; every warning that there is; lines so long that none is broken.
    groff.args(["-Kutf8", "-man", "-ww", "-Tutf8", "-rLL=2000n", "-rHY=0", "-P-c", "-P-b", "-P-u"]);
    groff.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut groff = groff.spawn().expect("groff is installed: apt-get install groff-base");
    let mut stdin = groff.stdin.take().expect("piped");
    let page = page.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&page).expect("it reads"));
    let output = groff.wait_with_output().expect("it ends");
    writing.join().expect("written");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

fn all() -> Vec<(String, String)> {
    let pages = pages::all().expect("memory takes everything");
    let name =
        |path: &Path| path.file_name().and_then(|name| name.to_str()).expect("text").to_owned();
    pages.iter().map(|(path, page)| (name(path), shown(page))).collect()
}

#[test]
fn each_page_has_no_warning_and_says_what_it_is_of() {
    let pages = all();
    let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "loteria-server.1",
        "loteria-client.1",
        "loteria-pki.1",
        "loteria-pki-init.1",
        "loteria-pki-server.1",
        "loteria-pki-agency.1",
        "loteria-pki-install.1",
        "loteria-pki-revoke.1",
        "loteria-pki-crl.1",
        "loteria-pki-list.1",
    ];
    assert_eq!(names, expected);
    for (name, page) in &pages {
        let of = name.trim_end_matches(".1");
        assert!(page.contains(&format!("{of} - ")), "{name}: {page}");
        assert!(page.contains("Lotería Nacional"), "{name}");
    }
}

#[test]
fn every_setting_is_there_in_each_of_its_names() {
    let pages = all();
    for installed in [SERVER, CLIENT] {
        let Installed { name, program, .. } = installed;
        let (_, page) =
            pages.iter().find(|(page, _)| *page == format!("{name}.1")).expect("a page");
        for declaration in program.table.iter().map(|setting| setting.declaration()) {
            let names = declaration.names;
            let flag = format!("--{}=", names.flag);
            for wanted in
                [&*flag, names.key, names.file_key, declaration.help, &declaration.range()]
            {
                assert!(page.contains(wanted), "{name}: no {wanted}");
            }
        }
        for command in program.commands {
            assert!(page.contains(&format!("{name} {}", command.name)), "{name}: {}", command.name);
            for inner in command.commands {
                let inner = format!("{} {}", command.name, inner.name);
                assert!(page.contains(&format!("{name} {inner}")), "{name}: {inner}");
            }
        }
    }
}
