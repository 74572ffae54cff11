//! What can be set: names, defaults and meanings, all in one table.

use std::net::{Ipv4Addr, SocketAddrV6};
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;
use runtime::settings::{self, Program, Setting, SettingErrors, Settings, Subcommand};
use wire::Agency;

use crate::exit_schedule::ExitDelays;
use crate::log_budget::LogLimits;
use crate::yaml;

/// The shortest span that is one.
const INSTANT: Duration = Duration::from_nanos(1);

const SPAN: &str = "a span of time above 0 and up to 365d, as 500ms, 30s or 5m";

const PAUSE: &str = "a span of time up to 365d, as 0s, 500ms or 5s";

/// Declares each setting as a constant and all of them as the table.
macro_rules! table {
    ($($name:ident = ($key:literal, $file_key:literal, $flag:literal, $default:expr, $expected:expr, $help:literal);)*) => {
        $(static $name: Setting = Setting {
            key: $key, file_key: $file_key, flag: $flag, default: $default, expected: $expected, help: $help,
        };)*
        /// All settings of the client.
        pub static TABLE: &[Setting] = &[$(Setting {
            key: $key, file_key: $file_key, flag: $flag, default: $default, expected: $expected, help: $help,
        }),*];
    };
}

table! {
    ID = ("CLI_ID", "id", "id", None, "an agency's number, 1 to 4294967295", "Which agency this is");
    ADDRESS = ("CLI_SERVER_ADDRESS", "server.address", "server-address", None, "HOST:PORT, the port from 1 to 65535, an IPv6 address in brackets", "Where the central listens");
    AMOUNT = ("CLI_LOOP_AMOUNT", "loop.amount", "loop-amount", Some("5"), "a number, 0 to 4294967295", "Messages of the echo loop");
    PERIOD = ("CLI_LOOP_PERIOD", "loop.period", "loop-period", Some("0s"), PAUSE, "Pause between one message or batch and the next");
    LEVEL = ("CLI_LOG_LEVEL", "log.level", "log-level", Some("INFO"), "DEBUG, INFO, WARNING, ERROR or OFF", "Least important lines that are logged");
    MAX_AMOUNT = ("CLI_BATCH_MAXAMOUNT", "batch.maxAmount", "batch-max-amount", Some("100"), "a number, 1 to 65535", "Most bets in a batch; 8 KiB are never exceeded");
    WINDOW = ("CLI_BATCH_WINDOW", "batch.window", "batch-window", Some("8"), "a number, 1 to 1024", "Batches that may be unanswered at the same time");
    MODE = ("CLI_MODE", "mode", "mode", Some("loteria"), "loteria, apuesta or echo", "What to do");
    DATA = ("CLI_DATA_PATH", "data.path", "data-path", Some(".data/agency-{id}.csv"), "a path; {id} stands for the agency's number", "The agency's bets");
    DATA_CHECK = ("CLI_DATA_CHECK", "data.check", "data-check", Some("on"), "on or off", "Whether all bets are checked before the first is sent; off: the central judges them, batch by batch");
    QUIET_DELAY = ("CLI_DATA_QUIET_DELAY", "data.quiet.delay", "data-quiet-delay", Some("2s"), PAUSE, "How long nobody must have written to a file whose last line has no end");
    RETRY_MIN = ("CLI_RETRY_MIN_DELAY", "retry.minDelay", "retry-min-delay", Some("100ms"), SPAN, "Pause before the first new attempt to reach the central");
    RETRY_MAX = ("CLI_RETRY_MAX_DELAY", "retry.maxDelay", "retry-max-delay", Some("5s"), SPAN, "Longest pause between two attempts");
    RETRY_LIMIT = ("CLI_RETRY_MAX_ATTEMPTS", "retry.maxAttempts", "retry-max-attempts", Some("0"), "a number, 0 to 4294967295 (0: no limit)", "Failed attempts in a row after which the agency gives up");
    TIMEOUT = ("CLI_RESPONSE_TIMEOUT", "response.timeout", "response-timeout", Some("60s"), SPAN, "How long an answer may take; the draw may take for ever");
    ANNOUNCE_AFTER = ("CLI_ANNOUNCE_DELAY", "announce.delay", "announce-delay", Some("0s"), PAUSE, "Age of the run before which its result isn't logged");
    EXIT_DELAY = ("CLI_EXIT_DELAY", "exit.delay", "exit-delay", Some("0s"), PAUSE, "What the program stays after its result is logged");
    MAX_LOG_LINES = ("CLI_MAX_LOG_LINES", "log.maxLines", "max-log-lines", Some("500000"), "a number, 1 to 1000000000", "Lines of each kind that are logged in CLI_LOG_INTERVAL; more are counted");
    LOG_INTERVAL = ("CLI_LOG_INTERVAL", "log.interval", "log-interval", Some("10m"), SPAN, "Time after which as many lines of each kind are logged again");
    REPORT_PERIOD = ("CLI_SUPPRESSED_LOG_INTERVAL", "log.suppressedInterval", "suppressed-log-interval", Some("10s"), SPAN, "How often the number of lines that weren't logged is");
    NOMBRE = ("NOMBRE", "apuesta.nombre", "nombre", None, "a first name of at most 255 bytes", "First name of the bet in mode apuesta");
    APELLIDO = ("APELLIDO", "apuesta.apellido", "apellido", None, "a last name of at most 255 bytes", "Last name of the bet in mode apuesta");
    DOCUMENTO = ("DOCUMENTO", "apuesta.documento", "documento", None, "a document of 1 to 20 digits", "Document of the bet in mode apuesta");
    NACIMIENTO = ("NACIMIENTO", "apuesta.nacimiento", "nacimiento", None, "a date, YYYY-MM-DD", "Birthdate of the bet in mode apuesta");
    NUMERO = ("NUMERO", "apuesta.numero", "numero", None, "a number, 0 to 4294967295", "Number of the bet in mode apuesta");
}

/// The subcommand that checks files.
pub const CHECK: &str = "check";

/// What the binary says of itself.
pub const PROGRAM: Program = Program {
    name: "client",
    version: env!("CARGO_PKG_VERSION"),
    about: "An agency of the lottery: sends its bets to the central and asks for its winners",
    file_name: "config.yaml",
    prefixes: &["CLI_"],
    table: TABLE,
    commands: &[Subcommand {
        name: CHECK,
        about: "Check files of bets by the central's rules, and end: 0 if all are good, 1 if not",
        operands: Some("FILE"),
    }],
    read: yaml::read,
};

/// What the client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The loop of numbered messages.
    Echo,
    /// One bet: its five fields, in the order in which they travel.
    SingleBet([String; wire::field::FIELDS]),
    /// The agency's file, then the winners.
    Lottery {
        /// The file.
        path: PathBuf,
    },
}

/// Everything that was set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which agency this is.
    pub id: Agency,
    /// Where the central listens: host and port, not resolved.
    pub address: String,
    /// Messages of the echo loop.
    pub loop_amount: u32,
    /// Pause between messages or batches.
    pub loop_period: Duration,
    /// Least important lines that are logged.
    pub level: LevelFilter,
    /// Most bets in a batch.
    pub max_amount: u16,
    /// Batches that may be unanswered.
    pub window: usize,
    /// What to do.
    pub mode: Mode,
    /// Whether all bets are checked before the first is sent.
    pub data_check: bool,
    /// How long nobody must have written to a file whose last line has no end.
    pub quiet_delay: Duration,
    /// How attempts are repeated.
    pub retry: Retry,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// How long the ending is drawn out.
    pub exit_delays: ExitDelays,
    /// How much of what a central can repeat is logged.
    pub log_limits: LogLimits,
}

/// How attempts to reach the central are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Pause before the first new attempt.
    pub min: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Failed attempts in a row after which to give up; 0 for never.
    pub limit: u32,
}

/// What the check of files needs of all settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckConfig {
    /// Least important lines that are logged.
    pub level: LevelFilter,
    /// How long nobody must have written to a file whose last line has no end.
    pub quiet_delay: Duration,
}

impl CheckConfig {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        let (level, quiet_delay) = (layers.level(&LEVEL), layers.span(&QUIET_DELAY, ..));
        let config = level.zip(quiet_delay).map(|(level, quiet_delay)| Self { level, quiet_delay });
        layers.finish(config)
    }
}

impl Config {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        let config = Self::parse(layers);
        layers.finish(config)
    }

    fn parse(layers: &mut Settings) -> Option<Self> {
        let id = layers.number(&ID, 1..=Agency::MAX);
        let address = layers.require_or_hint(&ADDRESS, host_and_port, hint_of_address);
        let loop_amount = layers.number(&AMOUNT, ..);
        let loop_period = layers.span(&PERIOD, ..);
        let level = layers.level(&LEVEL);
        let max_amount = layers.number(&MAX_AMOUNT, 1..=u16::MAX);
        let window = layers.number(&WINDOW, 1..=1024);
        let min = layers.span(&RETRY_MIN, INSTANT..);
        let max = layers.span(&RETRY_MAX, INSTANT..);
        let limit = layers.number(&RETRY_LIMIT, ..);
        let response_timeout = layers.span(&TIMEOUT, INSTANT..);
        let announce_after = layers.span(&ANNOUNCE_AFTER, ..);
        let exit = layers.span(&EXIT_DELAY, ..);
        let log_limits = Self::log_limits(layers);
        let path = layers.text(&DATA, |_| true);
        let data_check = layers.boolean(&DATA_CHECK);
        let quiet_delay = layers.span(&QUIET_DELAY, ..);
        let mode = layers.require(&MODE, mode_named);
        let mode = match mode {
            None => None,
            Some(Named::Echo) => Some(Mode::Echo),
            Some(Named::SingleBet) => Self::bet(layers).map(Mode::SingleBet),
            Some(Named::Lottery) => path.zip(id).map(|(path, id)| {
                let path = path.replace("{id}", &id.to_string());
                layers.read_as(&DATA, path.clone());
                Mode::Lottery { path: path.into() }
            }),
        };
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            layers.reject(&RETRY_MIN, "at most CLI_RETRY_MAX_DELAY");
        }
        Some(Self {
            id: id?,
            address: address?,
            loop_amount: loop_amount?,
            loop_period: loop_period?,
            level: level?,
            max_amount: max_amount?,
            window: window?,
            mode: mode?,
            data_check: data_check?,
            quiet_delay: quiet_delay?,
            retry: Retry { min: min?, max: max?, limit: limit? },
            response_timeout: response_timeout?,
            exit_delays: ExitDelays { announce_after: announce_after?, exit: exit? },
            log_limits: log_limits?,
        })
    }

    fn log_limits(layers: &mut Settings) -> Option<LogLimits> {
        let max_lines = layers.number(&MAX_LOG_LINES, 1..=1_000_000_000_u64);
        let interval = layers.span(&LOG_INTERVAL, INSTANT..);
        let report_period = layers.span(&REPORT_PERIOD, INSTANT..);
        Some(LogLimits {
            max_lines: max_lines?,
            interval: interval?,
            report_period: report_period?,
        })
    }

    /// The bet is judged later; here it must only be there and fit.
    fn bet(layers: &mut Settings) -> Option<[String; wire::field::FIELDS]> {
        let short = |text: &str| text.len() <= wire::field::FIELD_MAX;
        let fields = [&NOMBRE, &APELLIDO, &DOCUMENTO, &NACIMIENTO, &NUMERO];
        let [nombre, apellido, documento, nacimiento, numero] =
            fields.map(|setting| layers.text(setting, short));
        Some([nombre?, apellido?, documento?, nacimiento?, numero?])
    }
}

/// A mode without what belongs to it.
enum Named {
    Echo,
    SingleBet,
    Lottery,
}

fn mode_named(text: &str) -> Option<Named> {
    match text.trim() {
        "echo" => Some(Named::Echo),
        "apuesta" => Some(Named::SingleBet),
        "loteria" => Some(Named::Lottery),
        _ => None,
    }
}

/// Not a URL, and of an IPv6 address it must be plain where it ends and the port begins.
fn host_and_port(text: &str) -> Option<String> {
    let text = text.trim();
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_port || settings::number::<u16>(port, 1..).is_none() {
        return None;
    }
    let good = match host.strip_prefix('[') {
        Some(_) => text.parse::<SocketAddrV6>().is_ok(),
        None => is_name(host),
    };
    good.then(|| text.to_owned())
}

/// What is missing of an address, if that is all that is wrong with it.
fn hint_of_address(text: &str) -> String {
    let (host, port) = text.trim().rsplit_once(':').unwrap_or((text.trim(), ""));
    let hint = match port {
        _ if host.is_empty() || !is_name(host) => "",
        "" => "it has no port: write HOST:PORT, as server:12345",
        zero if zero.bytes().all(|digit| digit == b'0') => {
            "nothing listens at port 0: write the port that the central listens at (SERVER_PORT)"
        }
        _ => "",
    };
    hint.to_owned()
}

/// A name for the resolver, or an IPv4 address: without what can only be part of something else. Of
/// numbers the system's look-up makes other addresses: `010.0.0.1` is 8.0.0.1 to it, and `1` 0.0.0.1.
fn is_name(host: &str) -> bool {
    let strange = |character: char| character.is_whitespace() || ":/@[]?#\"'".contains(character);
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_number = last.strip_prefix("0x").map_or_else(
        || last.bytes().all(|digit| digit.is_ascii_digit()),
        |hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()),
    );
    let is_address = host.parse::<Ipv4Addr>().is_ok();
    is_address || !is_number && !host.contains(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(arguments: &[&str]) -> Settings {
        let arguments = [&["client"], arguments].concat();
        let matches = PROGRAM.command().try_get_matches_from(arguments).unwrap();
        PROGRAM.layer(&matches, [])
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in [
            "h:1",
            "central.example:65535",
            "10.0.0.1:5",
            "[::1]:5",
            "[fe80::1%2]:5",
            " h:5 ",
            "1abc:5",
            "h1.:5",
        ] {
            assert_eq!(host_and_port(good).as_deref(), Some(good.trim()), "{good}");
        }
        for bad in [
            "",
            "h",
            "h:",
            ":5",
            "h:0",
            "h:65536",
            "h:+5",
            "h:5:6",
            "::1:5",
            "[::1]",
            "[::1:5",
            "[h]:5",
            "http://h:5",
            "h:5/",
            "h h:5",
            "\"h:5\"",
            "user@h:5",
            "010.0.0.1:5",
            "1:5",
            "127.1:5",
            "0x7f000001:5",
            "10.0.0.256:5",
            ".:5",
        ] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
        for (bad, hint) in [
            ("h", "it has no port"),
            ("h:", "it has no port"),
            ("10.0.0.1", "it has no port"),
            ("h:0", "port 0"),
            ("h:00", "port 0"),
        ] {
            assert!(hint_of_address(bad).contains(hint), "{bad}");
        }
        for bad in ["", ":5", "h:65536", "\"h:5\"", "http://h", "::1", "[::1]"] {
            assert_eq!(hint_of_address(bad), "", "{bad}");
        }
    }

    const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config.yaml");

    #[test]
    fn the_shipped_file_lacks_nothing_but_the_agency() {
        let mut layers = layers(&["--config", SHIPPED, "--id", "3"]);
        assert!(layers.warnings().is_empty());
        let config = Config::new(&mut layers).unwrap();
        assert_eq!((config.address.as_str(), config.loop_amount), ("server:12345", 5));
        assert_eq!(config.loop_period, Duration::ZERO);
        assert_eq!(config.mode, Mode::Lottery { path: ".data/agency-3.csv".into() });
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
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
             error: command line: --batch-max-amount = \"0\": expected a number, 1 to 65535\n\
             error: command line: --mode = \"x\": expected loteria, apuesta or echo\n\
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
}
