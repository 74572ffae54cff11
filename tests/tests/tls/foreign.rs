//! Peers that others wrote: OpenSSL's client, Python's ssl, sslscan.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use kit::certificates::Certificates;
use kit::inputs::{expected_rows, file, rows_of};
use kit::process::{finish, output};
use kit::server::Server;

use crate::world::{World, central};

const AGENCY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/agency.py");

/// `openssl s_client` with these arguments, to this central, with this input. It goes on until the
/// central closes.
fn s_client(world: &World, arguments: &[&str], input: &str) -> (Output, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-ign_eof", "-verify_return_error", "-verify_hostname", "localhost"]);
    command.arg("-CAfile").arg(world.certificates.path("ca.pem"));
    command.args(["-connect", &world.server.address()]).args(arguments);
    run(command, input)
}

/// Runs a program with this input; how it ended, and all that it wrote.
fn run(mut command: Command, input: &str) -> (Output, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is installed");
    // It may have ended before it reads its input.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = finish(child);
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

fn argument(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn openssl_is_echoed_over_tls_1_3_without_renegotiation_and_tickets() {
    let mut world = World::new();
    let (output, text) = s_client(&world, &[], "hola\n");
    assert!(output.status.success(), "{text}");
    for part in [
        "Verify return code: 0 (ok)",
        "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384",
        "Secure Renegotiation IS NOT supported",
        "Compression: NONE",
        "Acceptable client certificate CA names\nCN = test CA\n",
        "No ALPN negotiated",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!text.contains("New Session Ticket"), "{text}");
    assert!(text.lines().any(|line| line == "hola"), "{text}");
    world.goes_on();
    world.end();
}

#[test]
fn openssl_is_echoed_with_an_agencys_certificate() {
    let world = World::with("required", &[("SERVER_TLS_ANONYMOUS_ECHO", "false")]);
    let [certificate, key] =
        ["agency-2.pem", "agency-2.key"].map(|name| world.certificates.path(name));
    let own = ["-quiet", "-cert", argument(&certificate), "-key", argument(&key)];
    let (output, text) = s_client(&world, &own, "hola\n");
    assert!(output.status.success() && output.stdout == b"hola\n", "{text}");
}

#[test]
fn openssl_is_refused_with_every_older_version() {
    let mut world = World::new();
    for version in ["-tls1_2", "-tls1_1", "-tls1"] {
        let (output, text) = s_client(&world, &[version, "-cipher", "ALL:@SECLEVEL=0"], "hola\n");
        assert!(!output.status.success() && is_refusal(&text), "{text}");
        world.goes_on();
    }
    world.end_with_line(&[
        "close_connection | result: fail | ip: 127.0.0.1 | reason: the peer speaks no TLS 1.3",
    ]);
}

/// OpenSSL's words for an alert about versions, or about ciphers, of which an older version has others.
fn is_refusal(text: &str) -> bool {
    ["alert protocol version", "alert handshake failure"].iter().any(|alert| text.contains(alert))
}

#[test]
fn sslscan_finds_tls_1_3_alone_and_nothing_weak() {
    let mut world = World::new();
    let mut command = Command::new("sslscan");
    command.args(["--xml=-", "--no-colour", "--show-client-cas", "--show-sigs"]);
    command.arg(world.server.address());
    let found = output(&mut command);
    let xml = String::from_utf8(found.stdout).expect("text");
    let attribute = |element: &str, name: &str| -> Vec<String> {
        let lines =
            xml.lines().filter(|line| line.trim_start().starts_with(&format!("<{element} ")));
        let values =
            lines.map(|line| line.split_once(&format!(" {name}=\"")).expect("it has it").1);
        values.map(|rest| rest.split('"').next().expect("a value").to_owned()).collect()
    };
    let protocols: Vec<_> = attribute("protocol", "type")
        .into_iter()
        .zip(attribute("protocol", "version"))
        .zip(attribute("protocol", "enabled"))
        .map(|((kind, version), enabled)| format!("{kind} {version}: {enabled}"))
        .collect();
    assert_eq!(
        protocols,
        ["ssl 2: 0", "ssl 3: 0", "tls 1.0: 0", "tls 1.1: 0", "tls 1.2: 0", "tls 1.3: 1"],
        "{xml}"
    );
    assert_eq!(attribute("renegotiation", "supported"), ["0"], "{xml}");
    assert_eq!(attribute("heartbleed", "vulnerable"), ["0"], "{xml}");
    let mut ciphers = attribute("cipher", "cipher");
    ciphers.sort_unstable();
    assert_eq!(
        ciphers,
        ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
        "{xml}"
    );
    let strengths = attribute("cipher", "strength");
    assert!(
        strengths.iter().all(|strength| ["strong", "acceptable"].contains(&&strength[..])),
        "{xml}"
    );
    let bits = attribute("group", "bits").into_iter().chain(attribute("cipher", "bits"));
    assert!(
        bits.map(|bits| bits.parse::<u32>().expect("a number")).all(|bits| bits >= 128),
        "{xml}"
    );
    assert!(xml.contains("<ca>\n/CN=test CA\n"), "a client's certificate is asked for: {xml}");
    world.goes_on();
    world.end();
}

/// The Python agency.
fn agency(
    server: &Server,
    certificates: &Certificates,
    id: u32,
    name: &str,
    bets: &Path,
) -> Command {
    let (_, port) = server
        .address()
        .rsplit_once(':')
        .map(|(ip, port)| (ip.to_owned(), port.to_owned()))
        .expect("a port");
    let mut command = Command::new("python3");
    command.args([AGENCY, "localhost", &port, &id.to_string()]).arg(bets);
    command.arg(certificates.path("ca.pem"));
    command.args(["pem", "key"].map(|end| certificates.path(&format!("{name}.{end}"))));
    command
}

#[test]
fn python_does_a_whole_lottery() {
    let certificates = Certificates::new(2);
    let settings = [("SERVER_AGENCIES", "2")];
    let mut server = Server::start_command(central(&certificates, "required", &settings));
    let files = [1, 2].map(|id| file(certificates.folder(), id, 1000, 10));
    let agencies: Vec<_> = (1..)
        .zip(&files)
        .map(|(id, bets)| {
            let mut command = agency(&server, &certificates, id, &format!("agency-{id}"), bets);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("python3 is installed")
        })
        .collect();
    let ledger = server.take_folder();
    for ((id, child), bets) in (1..).zip(agencies).zip(&files) {
        let output = finish(child);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let expected = expected_rows(bets, id);
        assert_eq!(rows_of(&ledger.path().join("bets.csv"), id), expected);
        let winners = expected.iter().filter(|row| row[5] == "7574").map(|row| row[3].as_str());
        let printed = String::from_utf8(output.stdout).expect("text");
        assert!(printed.lines().eq(winners), "{printed}");
    }
    let log = server.stop();
    assert!(log.contains("action: sorteo | result: success"), "{log}");
}

#[test]
fn python_with_another_agencys_certificate() {
    let world = World::new();
    let bets = file(world.certificates.folder(), 2, 10, 2);
    let refused = output(&mut agency(&world.server, &world.certificates, 2, "agency-3", &bets));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("error 20: the certificate is agency 3's, not agency 2's"), "{error}");
    world.end();
}
