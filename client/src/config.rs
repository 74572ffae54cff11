//! The configuration: what was set, as each part of the program takes it.
//!
//! What a value may be is said where its setting is declared, in [`settings`]; here is how settings
//! go together.

use std::path::PathBuf;
use std::time::Duration;

use runtime::logging::LevelFilter;
use runtime::settings::{Declared, SettingErrors, Settings};
use tls::{ClientOptions, Name};
use wire::Agency;

use crate::exit_schedule::ExitDelays;
use crate::log_budget::LogLimits;
use crate::settings::{self, ModeName};

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
    /// Minimum level of the lines that are logged.
    pub level: LevelFilter,
    /// Most bets in a batch.
    pub max_amount: u16,
    /// Batches that may be unanswered.
    pub window: usize,
    /// What to do.
    pub mode: Mode,
    /// Whether all bets are checked before the first is sent.
    pub data_check: bool,
    /// How long a file whose last line has no end must have been left alone.
    pub quiet_delay: Duration,
    /// How attempts are repeated.
    pub retry: Retry,
    /// How long a response may take.
    pub response_timeout: Duration,
    /// How long the ending is drawn out.
    pub exit_delays: ExitDelays,
    /// How much of what a central can repeat is logged.
    pub log_limits: LogLimits,
    /// TLS towards the central; `None` for plaintext.
    pub tls: Option<TlsConfig>,
}

/// How connections to the central are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The files, and what is accepted.
    pub options: ClientOptions,
    /// What the central's certificate must be for.
    pub name: Name,
}

/// How attempts to reach the central are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Pause before the first new attempt.
    pub min_delay: Duration,
    /// Longest pause.
    pub max_delay: Duration,
    /// Failed attempts in a row after which to give up; 0 for never.
    pub max_attempts: u32,
}

/// What the check of files needs of all settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckConfig {
    /// Minimum level of the lines that are logged.
    pub level: LevelFilter,
    /// How long a file whose last line has no end must have been left alone.
    pub quiet_delay: Duration,
}

impl CheckConfig {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        static ASKED: [&dyn Declared; 2] = [&settings::LOG_LEVEL, &settings::DATA_QUIET_DELAY];
        layers.read(&ASKED, |layers| {
            let level = layers.get(&settings::LOG_LEVEL)?;
            Some(Self { level, quiet_delay: layers.get(&settings::DATA_QUIET_DELAY)? })
        })
    }
}

impl Config {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        // The bet's fields belong to one mode alone.
        let is_asked = |setting: &&&dyn Declared| setting.declaration().group != settings::BET;
        layers.read(settings::TABLE.iter().filter(is_asked), Self::take)
    }

    fn take(layers: &mut Settings) -> Option<Self> {
        let mode = Self::mode(layers);
        let retry = Self::retry(layers);
        Some(Self {
            id: layers.get(&settings::ID)?,
            address: layers.get(&settings::SERVER_ADDRESS)?,
            loop_amount: layers.get(&settings::LOOP_AMOUNT)?,
            loop_period: layers.get(&settings::LOOP_PERIOD)?,
            level: layers.get(&settings::LOG_LEVEL)?,
            max_amount: layers.get(&settings::BATCH_MAXAMOUNT)?,
            window: layers.get(&settings::BATCH_WINDOW)?,
            mode: mode?,
            data_check: layers.get(&settings::DATA_CHECK)?,
            quiet_delay: layers.get(&settings::DATA_QUIET_DELAY)?,
            retry: retry?,
            response_timeout: layers.get(&settings::RESPONSE_TIMEOUT)?,
            exit_delays: ExitDelays {
                announce: layers.get(&settings::ANNOUNCE_DELAY)?,
                exit: layers.get(&settings::EXIT_DELAY)?,
            },
            log_limits: LogLimits {
                max_lines: layers.get(&settings::MAX_LOG_LINES)?,
                interval: layers.get(&settings::LOG_INTERVAL)?,
                suppressed_interval: layers.get(&settings::SUPPRESSED_LOG_INTERVAL)?,
            },
            tls: None,
        })
    }

    fn mode(layers: &mut Settings) -> Option<Mode> {
        match layers.get(&settings::MODE)? {
            ModeName::Echo => Some(Mode::Echo),
            ModeName::SingleBet => Self::bet(layers).map(Mode::SingleBet),
            ModeName::Lottery => {
                let (path, id) = (layers.get(&settings::DATA_PATH)?, layers.get(&settings::ID)?);
                let path = path.replace("{id}", &id.to_string());
                layers.read_as(&settings::DATA_PATH, path.clone());
                Some(Mode::Lottery { path: path.into() })
            }
        }
    }

    /// The central validates the bet; here its fields must only be there and fit.
    fn bet(layers: &mut Settings) -> Option<[String; wire::field::FIELDS]> {
        let [nombre, apellido, documento, nacimiento, numero] =
            settings::BET_FIELDS.map(|setting| layers.get(setting));
        Some([nombre?, apellido?, documento?, nacimiento?, numero?])
    }

    fn retry(layers: &mut Settings) -> Option<Retry> {
        let (shortest, longest) = (&settings::RETRY_MIN_DELAY, &settings::RETRY_MAX_DELAY);
        let (min_delay, max_delay) = (layers.get(shortest)?, layers.get(longest)?);
        if min_delay > max_delay {
            layers.reject(shortest, "at most", longest);
        }
        Some(Retry {
            min_delay,
            max_delay,
            max_attempts: layers.get(&settings::RETRY_MAX_ATTEMPTS)?,
        })
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!((config.address.as_str(), config.loop_amount), ("server:12345", 5));
        assert_eq!(config.loop_period, Duration::ZERO);
        assert_eq!(config.mode, Mode::Lottery { path: ".data/agency-3.csv".into() });
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
}
