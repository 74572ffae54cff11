//! Everything that can be set: each setting of an agency, declared once.
//!
//! Flags, `--help`, the keys of `config.yaml`, the names of the environment and the tables of
//! `docs/configuration.md` come from here (`make settings-docs` writes them). How settings go together is
//! [`config`](crate::config)'s.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use runtime::logging::{Format, LevelFilter};
use runtime::settings::{DURATION_MAX, Names, Program, Setting, Subcommand};
use tls::Name;
use wire::field::{FIELD_MAX, FIELDS};
use wire::{Agency, DRAW_NAME_FORM, DrawName};

use self::address::{addresses, hint_of_addresses};
use crate::yaml;

mod address;

/// Durations that are one.
const POSITIVE: RangeInclusive<Duration> = Duration::from_nanos(1)..=DURATION_MAX;

/// Durations and none.
const ANY: RangeInclusive<Duration> = Duration::ZERO..=DURATION_MAX;

/// The group of the fields of a single bet.
pub(crate) const BET: &str = "Bet of mode apuesta";

/// The key of the draw's name.
pub const DRAW_KEY: &str = "CLI_DRAW";

/// The subcommand that checks files.
pub const CHECK: &str = "check";

/// What the binary says of itself.
pub static PROGRAM: Program = Program {
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
        options: &[],
        commands: &[],
    }],
    read: yaml::read,
};

/// A mode without what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModeName {
    Echo,
    SingleBet,
    Lottery,
}

runtime::settings! {
    /// All settings of an agency.
    pub static TABLE;

    "General" {
        ID: Agency = Names::new("CLI_ID", "id", "id")
            .number(1..=Agency::MAX as u64)
            .noun("an agency's number")
            .help("Number of this agency");
        DRAW: Option<DrawName> = Names::new(DRAW_KEY, "draw", "draw")
            .parsed("NAME", DRAW_NAME_FORM, draw_name)
            .hint(hint_of_draw_name)
            .default("")
            .help("Name of the draw that the bets are for")
            .details("as the central's `SERVER_DRAW`, which refuses the agency otherwise; with nothing, the unnamed draw");
        SERVER_ADDRESS: Vec<String> = Names::new("CLI_SERVER_ADDRESS", "server.address", "server-address")
            .parsed(
                "HOST:PORT,...",
                "HOST:PORT, the port from 1 to 65535, an IPv6 address in brackets, or up to 16 of them with \
                 commas between",
                addresses,
            )
            .hint(hint_of_addresses)
            .help("Where the central listens, or each of several")
            .details("`server:12345` in the shipped file; [agencies of several centrals](operations.md#agencies-of-several-centrals) begin at different ones");
        LOOP_AMOUNT: u32 = Names::new("CLI_LOOP_AMOUNT", "loop.amount", "loop-amount")
            .number(0..=u32::MAX as u64)
            .default("5")
            .help("Messages of mode echo");
        LOOP_PERIOD: Duration = Names::new("CLI_LOOP_PERIOD", "loop.period", "loop-period")
            .duration(ANY)
            .default("0s")
            .help("Pause between messages or batches");
        LOG_LEVEL: LevelFilter = Names::new("CLI_LOG_LEVEL", "log.level", "log-level")
            .level()
            .default("INFO")
            .help("Minimum log level")
            .details("WARN means WARNING, CRITICAL means ERROR, TRACE means DEBUG");
        LOG_FORMAT: Format = Names::new("CLI_LOG_FORMAT", "log.format", "log-format")
            .parsed("text|json", "text or json", |text| text.parse().ok())
            .default("text")
            .shared_as("LOGGING_FORMAT")
            .help("Form of log lines")
            .details("`json`: one object a line, see [log lines as JSON](operations.md#log-lines-as-json)");
        MODE: ModeName = Names::new("CLI_MODE", "mode", "mode")
            .parsed("loteria|apuesta|echo", "loteria, apuesta or echo", mode_named)
            .default("loteria")
            .help("What to do")
            .details("`loteria`: the file, then the winners; `apuesta`: one bet; `echo`: the loop of messages");
    }

    "Batches" {
        BATCH_MAXAMOUNT: u16 = Names::new("CLI_BATCH_MAXAMOUNT", "batch.maxAmount", "batch-max-amount")
            .number(1..=u16::MAX as u64)
            .default("100")
            .help("Most bets in a batch")
            .details("8 KiB are never exceeded");
        BATCH_WINDOW: usize = Names::new("CLI_BATCH_WINDOW", "batch.window", "batch-window")
            .number(1..=1024)
            .default("8")
            .help("Most batches without a response")
            .details("1 when there is a pause");
    }

    "File of bets" {
        DATA_PATH: String = Names::new("CLI_DATA_PATH", "data.path", "data-path")
            .text("PATH", "a path; {id} stands for the agency's number", |text| Some(text.to_owned()))
            .default(".data/agency-{id}.csv")
            .help("The file")
            .details("a regular one: it is read twice; `{draw}` in it stands for the draw's name");
        DATA_CHECK: bool = Names::new("CLI_DATA_CHECK", "data.check", "data-check")
            .boolean("on or off")
            .default("on")
            .help("Check all bets before the first is sent")
            .details("`off` leaves them to the central, batch by batch, see [files of bets](operations.md#files-of-bets)");
        DATA_QUIET_DELAY: Duration = Names::new("CLI_DATA_QUIET_DELAY", "data.quiet.delay", "data-quiet-delay")
            .duration(ANY)
            .default("2s")
            .help("Age of a file whose last line has no end")
            .details("it must have been left alone this long: it may still be written");
    }

    "Connection" {
        RETRY_MIN_DELAY: Duration = Names::new("CLI_RETRY_MIN_DELAY", "retry.minDelay", "retry-min-delay")
            .duration(POSITIVE)
            .default("100ms")
            .formerly(Names::new("CLI_RETRY_MIN", "retry.min", "retry-min"))
            .help("First pause between attempts to connect")
            .details("doubled each time, with jitter");
        RETRY_MAX_DELAY: Duration = Names::new("CLI_RETRY_MAX_DELAY", "retry.maxDelay", "retry-max-delay")
            .duration(POSITIVE)
            .default("5s")
            .formerly(Names::new("CLI_RETRY_MAX", "retry.max", "retry-max"))
            .help("Longest pause between attempts to connect");
        RETRY_MAX_ATTEMPTS: u32 =
            Names::new("CLI_RETRY_MAX_ATTEMPTS", "retry.maxAttempts", "retry-max-attempts")
                .number(0..=u32::MAX as u64)
                .zero("no limit")
                .default("0")
                .formerly(Names::new("CLI_RETRY_LIMIT", "retry.limit", "retry-limit"))
                .help("Failed attempts in a row to give up at")
                .details("one with progress begins a new row");
        RESPONSE_TIMEOUT: Duration =
            Names::new("CLI_RESPONSE_TIMEOUT", "response.timeout", "response-timeout")
                .duration(POSITIVE)
                .default("60s")
                .help("From a request to its response's last byte")
                .details("that of the name server too; waiting for the draw has no limit");
        DRAW_WAIT: Duration = Names::new("CLI_DRAW_WAIT", "draw.wait", "draw-wait")
            .duration(POSITIVE)
            .default("30s")
            .help("Wait for the draw at one of several centrals")
            .details("then the next one is asked: one that is frozen says nothing; unused with one address");
    }

    "TLS" {
        TLS: bool = Names::new("CLI_TLS", "tls.enabled", "tls")
            .boolean("on or off")
            .default("off")
            .help("Whether connections use TLS 1.3");
        TLS_CA: PathBuf = Names::new("CLI_TLS_CA", "tls.ca", "tls-ca")
            .text("PATH", "the path of a file", file)
            .unset("needed with TLS")
            .help("Who issues the central's certificate")
            .details("PEM: the certificates of one authority or more");
        TLS_CERT: String = Names::new("CLI_TLS_CERT", "tls.cert", "tls-cert")
            .text("PATH", "a path; {id} stands for the agency's number", |text| Some(text.to_owned()))
            .unset("needed with tls-key")
            .help("The agency's certificate")
            .details("PEM; behind it those of the authorities between it and its root; without both the central takes no bets");
        TLS_KEY: String = Names::new("CLI_TLS_KEY", "tls.key", "tls-key")
            .text("PATH", "a path; {id} stands for the agency's number", |text| Some(text.to_owned()))
            .unset("needed with tls-cert")
            .help("Its private key")
            .details("PEM: PKCS #8, PKCS #1 or SEC 1, without passphrase; may be in the certificate's file");
        TLS_CRL: PathBuf = Names::new("CLI_TLS_CRL", "tls.crl", "tls-crl")
            .text("PATH", "the path of a file", file)
            .unset("none")
            .help("Revocation lists of who issues the central's")
            .details("PEM, one of each authority, also of those between; without it no revocation is noticed");
        TLS_SERVER_NAME: Name = Names::new("CLI_TLS_SERVER_NAME", "tls.serverName", "tls-server-name")
            .parsed("NAME", "a host's name or an IP address", |text| Name::parse(text.trim()).ok())
            .unset("host of server-address")
            .help("Who the central must be")
            .details("one of the names or addresses in its certificate");
        TLS_ALLOW_OPEN_KEY: bool =
            Names::new("CLI_TLS_ALLOW_OPEN_KEY", "tls.allowOpenKey", "tls-allow-open-key")
                .boolean("on or off")
                .default("off")
                .help("Take a key that others can read")
                .details("or write, others than its owner; for secrets that are mounted with fixed permissions");
    }

    "End" {
        ANNOUNCE_DELAY: Duration = Names::new("CLI_ANNOUNCE_DELAY", "announce.delay", "announce-delay")
            .duration(ANY)
            .default("0s")
            .formerly(Names::new("CLI_ANNOUNCE_AFTER", "announce.after", "announce-after"))
            .help("Don't log the result earlier than this after start")
            .details("the work itself never waits");
        EXIT_DELAY: Duration = Names::new("CLI_EXIT_DELAY", "exit.delay", "exit-delay")
            .duration(ANY)
            .default("0s")
            .help("Delay between logging the result and exiting")
            .details("a signal cuts both delays short");
    }

    "Log" {
        MAX_LOG_LINES: u64 = Names::new("CLI_MAX_LOG_LINES", "log.maxLines", "max-log-lines")
            .number(1..=1_000_000_000)
            .default("500000")
            .help("Lines of a kind per interval")
            .limit(
                "more lines of this kind are counted, see [log lines](operations.md#log-lines)",
                "a central that repeats itself can't fill the log",
            );
        LOG_INTERVAL: Duration = Names::new("CLI_LOG_INTERVAL", "log.interval", "log-interval")
            .duration(POSITIVE)
            .default("10m")
            .help("The interval of max-log-lines")
            .limit("as many lines of each kind are logged again", "bounds the lines of a kind in a day");
        SUPPRESSED_LOG_INTERVAL: Duration =
            Names::new("CLI_SUPPRESSED_LOG_INTERVAL", "log.suppressedInterval", "suppressed-log-interval")
                .duration(POSITIVE)
                .default("10s")
                .formerly(Names::new("CLI_REPORT_PERIOD", "log.reportPeriod", "report-period"))
                .help("Between two counts of lines not logged")
                .limit("what was suppressed meanwhile is logged as a count", "a count is a line, not ten thousand");
    }

    BET {
        NOMBRE: String = Names::new("NOMBRE", "apuesta.nombre", "nombre")
            .text("NAME", "a first name of at most 255 bytes", field)
            .help("First name");
        APELLIDO: String = Names::new("APELLIDO", "apuesta.apellido", "apellido")
            .text("NAME", "a last name of at most 255 bytes", field)
            .help("Last name");
        DOCUMENTO: String = Names::new("DOCUMENTO", "apuesta.documento", "documento")
            .text("DIGITS", "a document of 1 to 20 digits", field)
            .help("Document");
        NACIMIENTO: String = Names::new("NACIMIENTO", "apuesta.nacimiento", "nacimiento")
            .text("DATE", "a date, YYYY-MM-DD", field)
            .help("Birthdate");
        NUMERO: String = Names::new("NUMERO", "apuesta.numero", "numero")
            .text("NUMBER", "a number, 0 to 4294967295", field)
            .help("Number");
    }
}

/// The fields of a single bet, in the order in which they travel.
pub(crate) static BET_FIELDS: [&Setting<String>; FIELDS] =
    [&NOMBRE, &APELLIDO, &DOCUMENTO, &NACIMIENTO, &NUMERO];

/// A path that can be that of a file: it doesn't end as those of folders do.
fn file(path: &str) -> Option<PathBuf> {
    let last = path.rsplit('/').next().unwrap_or_default();
    (!matches!(last, "" | "." | "..")).then(|| path.into())
}

/// A field of any content that fits into a request: the central validates it.
fn field(text: &str) -> Option<String> {
    (text.len() <= FIELD_MAX).then(|| text.to_owned())
}

#[expect(clippy::option_option, reason = "a name, none, or neither")]
fn draw_name(text: &str) -> Option<Option<DrawName>> {
    DrawName::parse_optional(text).ok()
}

/// What is wrong with the name.
fn hint_of_draw_name(text: &str) -> String {
    DrawName::parse_optional(text).map_or_else(|error| error.to_string(), |_| String::new())
}

fn mode_named(text: &str) -> Option<ModeName> {
    match text.trim() {
        "echo" => Some(ModeName::Echo),
        "apuesta" => Some(ModeName::SingleBet),
        "loteria" => Some(ModeName::Lottery),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
