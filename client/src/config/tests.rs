//! What settings mean together, and what is wrong with them.

use super::*;
use crate::settings::PROGRAM;

fn layers(arguments: &[&str]) -> Settings {
    let arguments = [&["client"], arguments].concat();
    let matches = PROGRAM.command().try_get_matches_from(arguments).unwrap();
    PROGRAM.layer(&matches, [])
}

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config.yaml");

#[test]
fn the_shipped_file_lacks_nothing_but_the_agency() {
    let mut layers = layers(&["--config", SHIPPED, "--id", "3"]);
    assert!(layers.warnings().is_empty());
    let config = Config::new(&mut layers).unwrap();
    assert_eq!((config.addresses, config.loop_amount), (vec!["server:12345".into()], 5));
    assert_eq!(config.loop_period, Duration::ZERO);
    assert_eq!(config.mode, Mode::Lottery { path: ".data/agency-3.csv".into() });
}

#[test]
fn a_draw_has_a_name_or_none_and_the_path_of_the_file_may_have_it() {
    let base = ["--config", SHIPPED, "--id", "3"];
    let with = |arguments: &[&str]| {
        let mut layers = layers(&[&base, arguments].concat());
        let config = Config::new(&mut layers).map_err(|errors| errors.to_string())?;
        let Mode::Lottery { path } = config.mode else { panic!("{:?}", config.mode) };
        Ok::<_, String>((config.draw.map(|draw| draw.to_string()), path))
    };
    assert_eq!(with(&[]), Ok((None, ".data/agency-3.csv".into())));
    assert_eq!(with(&["--draw="]), Ok((None, ".data/agency-3.csv".into())));
    let path = "--data-path=data/{draw}/{id}-{draw}-{other}.csv";
    let expected =
        (Some("2026-11-27".to_owned()), "data/2026-11-27/3-2026-11-27-{other}.csv".into());
    assert_eq!(with(&["--draw", " 2026-11-27 ", path]), Ok(expected));
    let error = "error: command line: --data-path = \"data/{draw}/{id}-{draw}-{other}.csv\": expected \
                 a value without {draw}, or one in CLI_DRAW\n";
    assert_eq!(with(&[path]), Err(error.to_owned()));
    let error = "error: command line: --draw = \"a/b\": expected 1 to 64 of A-Z, a-z, 0-9, dots, \
                 dashes and underscores, not . nor .., or nothing; a draw's name is of A-Z, a-z, 0-9, \
                 dots, dashes and underscores, found 0x2f at index 1\n";
    assert_eq!(with(&["--draw", "a/b", path]), Err(error.to_owned()));
    for bad in ["..", ".", &"a".repeat(65), "a b", "ñ"] {
        assert!(with(&["--draw", bad]).unwrap_err().contains("--draw = "), "{bad}");
    }
}

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let mut layers = layers(&[
        "--config",
        SHIPPED,
        "--batch-max-amount",
        "0",
        "--mode",
        "x",
        "--retry-min-delay",
        "9s",
    ]);
    let text = Config::new(&mut layers).unwrap_err().to_string();
    assert_eq!(
        text,
        "error: CLI_ID is not set: expected an agency's number, 1 to 4294967295, as id in the \
         file, environment variable CLI_ID or --id\n\
         error: command line: --mode = \"x\": expected loteria, apuesta or echo\n\
         error: command line: --batch-max-amount = \"0\": expected a number, 1 to 65535\n\
         error: command line: --retry-min-delay = \"9s\": expected at most CLI_RETRY_MAX_DELAY\n"
    );
}

#[test]
fn a_bet_by_hand_needs_all_its_fields() {
    let mut layers =
        layers(&["--config", SHIPPED, "--id", "1", "--mode", "apuesta", "--nombre", "Ana"]);
    let text = Config::new(&mut layers).unwrap_err().to_string();
    for name in ["APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"] {
        assert!(text.contains(&format!("error: {name} is not set: expected ")), "{text}");
    }
    assert!(!text.contains("NOMBRE"));
}

const TLS: [&str; 8] =
    ["--config", SHIPPED, "--id", "3", "--tls", "on", "--tls-ca", "certs/ca.pem"];

fn tls(arguments: &[&str]) -> Result<TlsConfig, String> {
    let mut layers = layers(&[&TLS, arguments].concat());
    let config = Config::new(&mut layers).map_err(|errors| errors.to_string())?;
    assert!(layers.warnings().is_empty());
    Ok(config.tls.unwrap())
}

#[test]
fn tls_is_as_it_was_set() {
    let plain = Config::new(&mut layers(&TLS[..4])).unwrap();
    assert_eq!(plain.tls, None);
    let TlsConfig { options, names } = tls(&[]).unwrap();
    assert_eq!((options.own, names), (None, vec![Name::parse("server").unwrap()]));
    let ClientOptions { own, servers } = tls(&[
        "--tls-cert=certs/agency-{id}.pem",
        "--tls-key=certs/agency-{id}.key",
        "--tls-crl=crl.pem",
        "--tls-allow-open-key=on",
    ])
    .unwrap()
    .options;
    let own = own.unwrap();
    assert_eq!(own.certificate, PathBuf::from("certs/agency-3.pem"));
    assert_eq!((own.key, own.allow_open_key), ("certs/agency-3.key".into(), true));
    let revocations = Some("crl.pem".into());
    let authorities = "certs/ca.pem".into();
    let expected = TrustFiles { authorities, revocations, allow_expired_lists: false };
    assert_eq!(servers, expected);
}

#[test]
fn the_central_is_who_the_address_says_or_another_one() {
    for (arguments, expected) in [
        (&["--server-address", "central.example:5"][..], "central.example"),
        (&["--server-address", "10.0.0.1:5"], "10.0.0.1"),
        (&["--server-address", "[::1]:5"], "::1"),
        (&["--server-address", "[fe80::1%2]:5"], "fe80::1"),
        (&["--tls-server-name", "other"], "other"),
        (&["--tls-server-name", "::1", "--server-address", "lotería:5"], "::1"),
    ] {
        let names = vec![Name::parse(expected).unwrap()];
        assert_eq!(tls(arguments).unwrap().names, names, "{expected}");
    }
    assert_eq!(
        tls(&["--server-address", "lotería:5"]).unwrap_err(),
        "error: command line: --server-address = \"lotería:5\": expected with TLS, a host that a \
         certificate can be for; or set CLI_TLS_SERVER_NAME\n"
    );
    assert_eq!(
        tls(&["--tls-server-name", "a b"]).unwrap_err(),
        "error: command line: --tls-server-name = \"a b\": expected a host's name or an IP address\n"
    );
}

#[test]
fn each_of_several_centrals_is_who_its_address_says_or_all_are_another_one() {
    let names = |names: &[&str]| names.iter().map(|name| Name::parse(name).unwrap()).collect();
    let several = ["--server-address", "a.example:1,10.0.0.1:2, [::1]:3"];
    let hosts: Vec<_> = names(&["::1", "a.example", "10.0.0.1"]);
    assert_eq!(tls(&several).unwrap().names, hosts, "agency 3 begins at the third");
    let set = [&several[..], &["--tls-server-name", "other"]].concat();
    assert_eq!(tls(&set).unwrap().names, names(&["other"; 3]));
    assert_eq!(
        tls(&["--server-address", "a:1,lotería:5"]).unwrap_err(),
        "error: command line: --server-address = \"a:1,lotería:5\": expected with TLS, a host that a \
         certificate can be for, not lotería:5; or set CLI_TLS_SERVER_NAME\n"
    );
}

#[test]
fn an_agency_begins_at_a_central_by_its_number_and_goes_on_with_those_behind_it() {
    let order = |id: &str| {
        let mut layers =
            layers(&["--config", SHIPPED, "--id", id, "--server-address", "a:1,b:2,c:3"]);
        let config = Config::new(&mut layers).unwrap();
        let (shown, order) = (layers.describe(), config.addresses.join(","));
        let read_as = format!("server.address = a:1,b:2,c:3    (command line), read as {order}\n");
        assert_eq!(shown.contains(&read_as), order != "a:1,b:2,c:3", "{shown}");
        order
    };
    let orders = ["a:1,b:2,c:3", "b:2,c:3,a:1", "c:3,a:1,b:2"];
    assert_eq!(["1", "2", "3"].map(order), orders);
    assert_eq!(["4", "5", "4294967295"].map(order), orders);
}

#[test]
fn attempts_that_are_too_few_for_all_centrals_are_doubted() {
    let warnings = |attempts: &str| {
        let several = ["--server-address", "a:1,b:2,c:3", "--retry-max-attempts", attempts];
        let mut layers = layers(&[&["--config", SHIPPED, "--id", "2"][..], &several].concat());
        Config::new(&mut layers).unwrap();
        layers.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for enough in ["0", "3", "4"] {
        assert!(warnings(enough).is_empty(), "{enough}");
    }
    let [warning] = &warnings("2")[..] else { panic!("one warning") };
    assert!(warning.contains("not all of the 3 addresses in CLI_SERVER_ADDRESS are tried"));
}

#[test]
fn what_tls_lacks_is_named() {
    let lacks = |arguments: &[&str], expected: &str| {
        let mut layers = layers(arguments);
        let text = Config::new(&mut layers).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    };
    let ca =
        "error: CLI_TLS_CA is not set: expected the path of a file, needed with TLS, as tls.ca";
    lacks(&TLS[..6], ca);
    let key = "error: CLI_TLS_KEY is not set: expected a path; {id} stands for the agency's number, \
               needed with tls-cert, as tls.key in the file";
    lacks(&[&TLS[..], &["--tls-cert", "a.pem"]].concat(), key);
    lacks(&[&TLS[..], &["--tls-key", "a.key"]].concat(), "error: CLI_TLS_CERT is not set");
}

#[test]
fn files_without_tls_are_doubted() {
    let files = ["--tls-ca=a", "--tls-cert=b", "--tls-key=c", "--tls-crl=d"];
    let mut layers = layers(&[&TLS[..4], &files].concat());
    assert_eq!(Config::new(&mut layers).unwrap().tls, None);
    let warnings: Vec<_> = layers.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 4);
    let first = "warning: command line: --tls-ca = \"a\": it isn't used: CLI_TLS is off";
    assert_eq!(warnings[0], first);
}
