//! Layers of a few settings, with files of lines `name=value`.

use std::ffi::OsString;
use std::time::Duration;

use super::*;

crate::settings! {
    static TABLE;

    "Ports" {
        PORT: u16 = Names::new("X_PORT", "port", "port")
            .number(1..=65_535)
            .noun("a port")
            .default("1")
            .formerly(Names::new("X_DOOR", "old.door", "door"))
            .help("Port");
    }
    "Others" {
        NAME: String = Names::new("X_NAME", "the.name", "name")
            .text("NAME", "a name", |text| Some(text.to_owned()))
            .help("Name");
        SPAN: Duration = Names::new("X_FULL_SPAN", "span", "span")
            .duration(Duration::ZERO..=DURATION_MAX)
            .default("5m")
            .shared_as("Y_SPAN")
            .help("Span");
    }
}

fn read(text: &str) -> Contents {
    let mut contents = Contents::default();
    for (line, text) in (1..).zip(text.lines()) {
        let Some((name, value)) = text.split_once('=') else {
            contents.errors.push(FileError::at(line, "no equals sign"));
            continue;
        };
        let section = name.split_once('/');
        let value = match value {
            "[]" => RawValue::Invalid(InvalidValue {
                shown: b"[]".to_vec(),
                reason: "it is a list".to_owned(),
            }),
            "~" => RawValue::Empty,
            text => RawValue::Text(text.to_owned()),
        };
        contents.entries.push(Entry {
            name: section.map_or(name, |(_, name)| name).to_owned(),
            foreign_section: section.map(|(section, _)| section.to_owned()),
            line,
            value,
        });
    }
    contents
}

const PROGRAM: Program = Program {
    name: "x",
    version: "1",
    about: "about",
    file_name: "no-such-file",
    prefixes: &["X_"],
    table: TABLE,
    commands: &[
        Subcommand {
            name: "look",
            about: "Look around",
            operands: None,
            options: &[],
            commands: &[],
        },
        Subcommand {
            name: "read",
            about: "Read files",
            operands: Some("FILE"),
            options: &[],
            commands: &[],
        },
        Subcommand {
            name: "box",
            about: "A box of tools",
            operands: None,
            options: &[],
            commands: &[Subcommand {
                name: "open",
                about: "Open it",
                operands: Some("[KEY]"),
                options: &[
                    CommandOption { name: "wide", value: None, about: "Wide" },
                    CommandOption { name: "hand", value: Some("N"), about: "By which hand" },
                ],
                commands: &[],
            }],
        },
    ],
    read,
};

fn settings(arguments: &[&str], environment: &[(&str, &str)]) -> Settings {
    let arguments = [&["x"], arguments].concat();
    let matches = PROGRAM.command().try_get_matches_from(arguments).unwrap();
    PROGRAM.layer(&matches, environment.iter().map(|(name, value)| (name.into(), value.into())))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Everything that is wrong, when all three are asked for.
fn errors(settings: &mut Settings) -> String {
    let read = settings.read(TABLE, |_| Some(()));
    read.map_or_else(|errors| errors.to_string(), |()| String::new())
}

#[test]
fn the_later_layer_wins() {
    let file = file("port=2\n");
    let config = ["--config", file.path().to_str().unwrap()];
    let port = |arguments: &[&str], environment: &[(&str, &str)]| {
        settings(arguments, environment).get(&PORT)
    };
    assert_eq!(port(&[], &[]), Some(1));
    assert_eq!(port(&config, &[]), Some(2));
    assert_eq!(port(&config, &[("X_PORT", "3")]), Some(3));
    let all = [&config[..], &["--port", "4"]].concat();
    assert_eq!(port(&all, &[("X_PORT", "3")]), Some(4));
}

#[test]
fn errors_name_place_key_value_and_what_was_expected_all_at_once() {
    let file = file("PORT=abc\nthe.nam=1\nother/port=3\n");
    let path = file.path().to_str().unwrap();
    let mut found = settings(&["--config", path], &[]);
    let text = errors(&mut found);
    let warnings: Vec<_> = found.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            format!("unknown: {path}:2: the.nam (did you mean the.name?)"),
            format!(
                "unknown: {path}:3: [other] port (its section isn't read: only [DEFAULT] is, move it there)"
            ),
        ]
    );
    assert_eq!(
        text,
        format!(
            "error: {path}:1: port = \"abc\": expected a port, 1 to 65535\n\
             error: X_NAME is not set: expected a name, as the.name in the file, environment \
             variable X_NAME or --name\n"
        )
    );
    let text = errors(&mut settings(&["--port", "-1", "--name", "n"], &[]));
    assert_eq!(text, "error: command line: --port = \"-1\": expected a port, 1 to 65535\n");
}

#[test]
fn a_subcommand_has_the_same_settings() {
    assert_eq!(settings(&[], &[]).subcommand(), None);
    for arguments in [&["look", "--port", "7"], &["--port", "7", "look"][..]] {
        let mut found = settings(arguments, &[]);
        assert_eq!(found.subcommand(), Some("look"));
        assert_eq!(found.get(&PORT), Some(7));
        assert!(!found.check_only());
    }
    assert!(settings(&["look", "--check-config"], &[]).check_only());
    assert!(settings(&["--check-config", "look"], &[]).check_only());
}

#[test]
fn a_subcommand_that_takes_operands_takes_any_number_but_none() {
    let found = settings(&["read", "a b", "--port", "7", "c"], &[]);
    assert_eq!(
        (found.subcommand(), found.operands()),
        (Some("read"), &["a b", "c"].map(Into::into)[..])
    );
    assert!(settings(&["look"], &[]).operands().is_empty());
    for bad in [&["x", "read"][..], &["x", "look", "a"], &["x", "a"]] {
        assert!(PROGRAM.command().try_get_matches_from(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_subcommand_inside_another_has_settings_operands_and_options() {
    let found = settings(&["box", "open", "--hand", "2", "a", "--wide", "b"], &[("X_PORT", "7")]);
    assert_eq!(found.subcommand(), Some("box open"));
    assert_eq!(found.operands(), ["a", "b"].map(OsString::from));
    assert_eq!((found.option("hand"), found.option("wide")), (Some("2"), Some("")));
    let mut found = settings(&["box", "--port", "8", "open"], &[]);
    assert_eq!((found.subcommand(), found.operands().len()), (Some("box open"), 0));
    assert_eq!((found.option("hand"), found.option("wide")), (None, None));
    assert_eq!(found.get(&PORT), Some(8));
    for bad in [&["x", "box"][..], &["x", "box", "shut"], &["x", "box", "open", "--hand"]] {
        assert!(PROGRAM.command().try_get_matches_from(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_name_in_the_environment_makes_a_flag_too() {
    let mut found = settings(&["--full-span", "3s"], &[]);
    assert_eq!(found.get(&SPAN), Some(Duration::from_secs(3)));
}

#[test]
fn what_is_only_wrong_without_the_file_is_not_reported() {
    let mut found = settings(&["--config", "/no/such/file"], &[("X_PORT", "0")]);
    assert_eq!(
        errors(&mut found),
        "error: /no/such/file: can't read it: No such file or directory (os error 2)\n\
         error: environment variable X_PORT = \"0\": expected a port, 1 to 65535\n"
    );
    let bad = file("no separator\nport=7\nport\n");
    let path = bad.path().to_str().unwrap();
    let mut found = settings(&["--config", path], &[]);
    found.get(&PORT);
    found.reject(&PORT, "less than", &SPAN);
    assert_eq!(
        errors(&mut found),
        format!("error: {path}:1: no equals sign\nerror: {path}:3: no equals sign\n")
    );
}

#[test]
fn a_value_that_is_no_text_is_reported_unless_it_is_overridden() {
    let file = file("port=[]\nthe.name=n\n");
    let path = file.path().to_str().unwrap();
    assert_eq!(
        errors(&mut settings(&["--config", path], &[])),
        format!("error: {path}:1: port = \"[]\": expected a port, 1 to 65535; it is a list\n")
    );
    assert_eq!(errors(&mut settings(&["--config", path, "--port", "1"], &[])), "");
}

#[test]
fn characters_by_mistake_are_refused_in_every_layer() {
    let file = file("the.name=a\tb\n");
    let config = ["--config", file.path().to_str().unwrap()];
    for (arguments, environment, shown) in [
        (&["--name", "n\r"][..], &[][..], "command line: --name = \"n\\r\""),
        (&[], &[("X_NAME", "bets.csv\r")], "environment variable X_NAME = \"bets.csv\\r\""),
        (&[], &[("X_NAME", "a\u{85}b")], "environment variable X_NAME = \"a\\u{85}b\""),
        (&config, &[], ":1: the.name = \"a\\tb\""),
    ] {
        let text = errors(&mut settings(arguments, environment));
        assert!(
            text.contains(shown) && text.contains("expected a name; it has a control"),
            "{text}"
        );
    }
    // Also when it isn't asked for.
    let mut found = settings(&[], &[("X_NAME", "n\n")]);
    assert!(found.read([], |_| Some(())).is_err());
}

#[test]
fn what_is_not_utf8_is_shown_as_it_is() {
    use std::os::unix::ffi::OsStringExt as _;
    let matches = PROGRAM.command().try_get_matches_from(["x"]).unwrap();
    let value = OsString::from_vec(b"Nicol\xE1s".to_vec());
    let mut found = PROGRAM.layer(&matches, [("X_NAME".into(), value)]);
    assert_eq!(
        errors(&mut found),
        "error: environment variable X_NAME = \"Nicol\\xe1s\": expected a name; it isn't UTF-8\n"
    );
    assert!(found.describe().contains("the.name = Nicol\\xe1s    (environment)\n"));
}

#[test]
fn a_flag_is_no_value_of_the_one_before() {
    for flag in ["--port", "--port=7", "--check-config", "-h"] {
        let text = errors(&mut settings(&["--name", flag], &[]));
        assert!(text.contains("--name has no value, another flag follows it"), "{text}");
    }
    assert_eq!(errors(&mut settings(&["--name", "-n"], &[])), "");
}

#[test]
fn the_cause_of_a_wrong_value_is_named() {
    for (value, hint) in [
        ("", "an empty value isn't the default, leave the setting out for it"),
        ("\"80\"", "its quotation marks are part of it"),
        ("'80'", "its quotation marks are part of it"),
        ("80\u{200b}", "it has a character that can't be seen"),
        ("\u{201c}80\u{201d}", "its quotation marks are part of it"),
        (
            "tcp://10.0.0.1:80",
            "looks like a service's own variable: Kubernetes sets none with enableServiceLinks: false",
        ),
    ] {
        let text = errors(&mut settings(&["--name", "n"], &[("X_PORT", value)]));
        let expected = format!(
            "error: environment variable X_PORT = \"{value}\": expected a port, 1 to 65535; {hint}\n"
        );
        assert_eq!(text, expected);
    }
    let file = file("port=80 ; puerto\n");
    let config = ["--config", file.path().to_str().unwrap(), "--name", "n", "--span", "5"];
    let text = errors(&mut settings(&config, &[]));
    assert!(text.contains(
        "\"80 ; puerto\": expected a port, 1 to 65535; a comment needs a line of its own\n"
    ));
    assert!(
        text.contains(
            "--span = \"5\": expected a duration up to 365d, as 500ms, 30s or 5m; it has no unit\n"
        ),
        "{text}"
    );
}

#[test]
fn a_text_that_is_most_likely_meant_otherwise_is_warned_of() {
    for (value, reason) in [
        ("\"Ana\"", "its quotation marks are part of it"),
        (" Ana", "it begins or ends with a blank, which is part of it"),
        ("Ana\u{a0}", "it begins or ends with a blank, which is part of it"),
        ("\"Ana", "its quotation mark is part of it"),
        ("Ana\u{200b}", "it has a character that can't be seen"),
    ] {
        let mut found = settings(&[], &[("X_NAME", value)]);
        assert_eq!(errors(&mut found), "");
        let warnings: Vec<_> = found.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [format!("warning: environment variable X_NAME = \"{value}\": {reason}")]
        );
    }
    for value in ["Ana", "D'Angelo", "O'", "a\"b"] {
        let mut found = settings(&[], &[("X_NAME", value)]);
        errors(&mut found);
        assert_eq!(found.warnings(), []);
    }
}

#[test]
fn check_config_shows_what_is_in_force_even_when_something_is_missing() {
    let file = file("port= 007\nthe.nam=1\n");
    let path = file.path().to_str().unwrap();
    let mut found = settings(&["--config", path], &[("X_FULL_SPAN", "300s")]);
    errors(&mut found);
    assert_eq!(
        found.describe(),
        format!(
            "port = \" 007\"    ({path}:1), read as 7\n\
             the.name =     (not set)\n\
             span = 300s    (environment), read as 5m\n\
             unknown: {path}:2: the.nam (did you mean the.name?)\n"
        )
    );
}

#[test]
fn a_former_name_is_taken_with_a_warning_and_gives_way_to_the_present_one() {
    let before = file("old.door=7\n");
    let path = before.path().to_str().unwrap().to_owned();
    let config = ["--config", path.as_str()];
    for (arguments, environment, origin, now) in [
        (&config[..], &[][..], format!("{path}:1: old.door"), "port"),
        (&[], &[("X_DOOR", "7")], "environment variable X_DOOR".to_owned(), "X_PORT"),
        (&["--door", "7"], &[], "command line: --door".to_owned(), "--port"),
    ] {
        let mut found = settings(arguments, environment);
        assert_eq!(found.get(&PORT), Some(7));
        let warnings: Vec<_> = found.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [format!("warning: {origin} = \"7\": it was renamed to {now}")]);
    }
    // In one layer the present name wins, whichever comes first; a later layer wins by either.
    for text in ["port=8\nold.door=7\n", "old.door=7\nport=8\n"] {
        let both = file(text);
        let config = ["--config", both.path().to_str().unwrap()];
        assert_eq!(settings(&config, &[]).get(&PORT), Some(8));
        assert_eq!(settings(&config, &[("X_DOOR", "9")]).get(&PORT), Some(9));
    }
    // An error names it as it was written.
    let text = errors(&mut settings(&["--name", "n"], &[("X_DOOR", "0")]));
    assert_eq!(text, "error: environment variable X_DOOR = \"0\": expected a port, 1 to 65535\n");
}

/// In the environment, and there alone.
#[test]
fn a_shared_name_is_taken_where_its_own_is_not_set() {
    let span = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut found = settings(arguments, environment);
        let value = found.get(&SPAN).map(|span| span.as_secs());
        assert!(found.warnings().is_empty(), "{:?}", found.warnings());
        value
    };
    let (own, shared) = (("X_FULL_SPAN", "2s"), ("Y_SPAN", "3s"));
    let file = file("span=1s\n");
    let config = ["--config", file.path().to_str().unwrap()];
    assert_eq!(span(&config, &[shared]), Some(3));
    assert_eq!(span(&[], &[shared, own]), Some(2));
    assert_eq!(span(&[], &[own, shared]), Some(2));
    assert_eq!(span(&["--span", "4s"], &[shared]), Some(4));
    let text = errors(&mut settings(&["--name", "n"], &[("Y_SPAN", "x")]));
    assert!(text.starts_with("error: environment variable Y_SPAN = \"x\": expected "), "{text}");
}

#[test]
fn help_is_a_line_for_each_setting_under_the_heading_of_its_group() {
    let help = PROGRAM.command().render_help().to_string();
    for lines in [
        "\nPorts:\n      --port <NUMBER>  Port [default: 1]\n\nOthers:\n",
        "      --name <NAME>      Name [required]\n      --span <DURATION>  Span [default: 5m] [env: X_FULL_SPAN]\n",
    ] {
        assert!(help.contains(lines), "{lines} in {help}");
    }
    assert!(!help.contains("door"), "{help}");
}
