//! The configuration: what was set, as each part of the program takes it.
//!
//! What a value may be is said where its setting is declared, in [`settings`]; here is how settings
//! go together.

use std::path::PathBuf;
use std::time::Duration;

use runtime::logging::{Format, LevelFilter};
use runtime::settings::{Declared, Setting, SettingErrors, Settings};
use tls::{ClientOptions, KeyFiles, Name, TrustFiles};
use wire::{Agency, DrawName};

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
    /// Which draw its bets are for; `None` for the unnamed one.
    pub draw: Option<DrawName>,
    /// Where centrals listen, at least one: hosts and ports, not resolved, in the order in which this
    /// agency calls them.
    pub addresses: Vec<String>,
    /// Messages of the echo loop.
    pub loop_amount: u32,
    /// Pause between messages or batches.
    pub loop_period: Duration,
    /// Minimum level of the lines that are logged.
    pub level: LevelFilter,
    /// Their form.
    pub format: Format,
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
    /// How long to wait for the draw at one of several centrals before the next one is asked.
    pub draw_wait: Duration,
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
    /// What the certificate of the central at each address must be for, in the order of
    /// [`Config::addresses`].
    pub names: Vec<Name>,
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
    /// Their form.
    pub format: Format,
    /// How long a file whose last line has no end must have been left alone.
    pub quiet_delay: Duration,
}

impl CheckConfig {
    /// Takes the configuration out of the layers.
    ///
    /// # Errors
    /// Everything that can't be used, together.
    pub fn new(layers: &mut Settings) -> Result<Self, SettingErrors> {
        static ASKED: [&dyn Declared; 3] =
            [&settings::LOG_LEVEL, &settings::LOG_FORMAT, &settings::DATA_QUIET_DELAY];
        layers.read(&ASKED, |layers| {
            Some(Self {
                level: layers.get(&settings::LOG_LEVEL)?,
                format: layers.get(&settings::LOG_FORMAT)?,
                quiet_delay: layers.get(&settings::DATA_QUIET_DELAY)?,
            })
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
        let tls = Self::tls(layers);
        Some(Self {
            id: layers.get(&settings::ID)?,
            draw: layers.get(&settings::DRAW)?,
            addresses: Self::addresses(layers)?,
            loop_amount: layers.get(&settings::LOOP_AMOUNT)?,
            loop_period: layers.get(&settings::LOOP_PERIOD)?,
            level: layers.get(&settings::LOG_LEVEL)?,
            format: layers.get(&settings::LOG_FORMAT)?,
            max_amount: layers.get(&settings::BATCH_MAXAMOUNT)?,
            window: layers.get(&settings::BATCH_WINDOW)?,
            mode: mode?,
            data_check: layers.get(&settings::DATA_CHECK)?,
            quiet_delay: layers.get(&settings::DATA_QUIET_DELAY)?,
            retry: retry?,
            response_timeout: layers.get(&settings::RESPONSE_TIMEOUT)?,
            draw_wait: layers.get(&settings::DRAW_WAIT)?,
            exit_delays: ExitDelays {
                announce: layers.get(&settings::ANNOUNCE_DELAY)?,
                exit: layers.get(&settings::EXIT_DELAY)?,
            },
            log_limits: LogLimits {
                max_lines: layers.get(&settings::MAX_LOG_LINES)?,
                interval: layers.get(&settings::LOG_INTERVAL)?,
                suppressed_interval: layers.get(&settings::SUPPRESSED_LOG_INTERVAL)?,
            },
            tls,
        })
    }

    fn mode(layers: &mut Settings) -> Option<Mode> {
        match layers.get(&settings::MODE)? {
            ModeName::Echo => Some(Mode::Echo),
            ModeName::SingleBet => Self::bet(layers).map(Mode::SingleBet),
            ModeName::Lottery => {
                let path = Self::data_path(layers)?;
                Some(Mode::Lottery { path })
            }
        }
    }

    /// The file of bets, in whose path `{draw}` stands for the draw's name as well.
    fn data_path(layers: &mut Settings) -> Option<PathBuf> {
        let setting = &settings::DATA_PATH;
        let (path, draw) = (Self::path_of_agency(layers, setting), layers.get(&settings::DRAW)?);
        let draw = draw.as_ref().map(DrawName::as_str);
        layers.fill(setting, &path?, "{draw}", draw, &settings::DRAW).map(PathBuf::from)
    }

    /// A path in which `{id}` stands for the agency's number.
    fn path_of_agency(layers: &mut Settings, setting: &'static Setting<String>) -> Option<String> {
        let (path, id) = (layers.get(setting)?, layers.get(&settings::ID)?.to_string());
        layers.fill(setting, &path, "{id}", Some(&id), &settings::ID)
    }

    /// The first is one by the agency's number, so that agencies spread over the centrals.
    fn addresses(layers: &mut Settings) -> Option<Vec<String>> {
        let (addresses, id) = (layers.get(&settings::SERVER_ADDRESS), layers.get(&settings::ID)?);
        let mut addresses = addresses?;
        if addresses.len() > 1 {
            let first = (id - 1) as usize % addresses.len();
            addresses.rotate_left(first);
            layers.read_as(&settings::SERVER_ADDRESS, addresses.join(","));
        }
        Some(addresses)
    }

    /// `None` without TLS, and when something is missing or wrong, which is then remembered.
    fn tls(layers: &mut Settings) -> Option<TlsConfig> {
        if !layers.get(&settings::TLS)? {
            Self::doubt_unused_files(layers);
            return None;
        }
        let authorities = layers.get(&settings::TLS_CA);
        let (own, names) = (Self::own_files(layers), Self::server_names(layers));
        let options = ClientOptions {
            own,
            servers: TrustFiles {
                authorities: authorities?,
                revocations: layers.get_if_set(&settings::TLS_CRL),
                allow_expired_lists: false,
            },
        };
        Some(TlsConfig { options, names: names? })
    }

    /// `None` without a certificate, which an echo doesn't need; and as above.
    fn own_files(layers: &mut Settings) -> Option<KeyFiles> {
        let files = [&settings::TLS_CERT, &settings::TLS_KEY];
        if !files.iter().any(|setting| layers.is_set(*setting)) {
            return None;
        }
        let [certificate, key] = files.map(|setting| Self::path_of_agency(layers, setting));
        let allow_open_key = layers.get(&settings::TLS_ALLOW_OPEN_KEY)?;
        Some(KeyFiles { certificate: certificate?.into(), key: key?.into(), allow_open_key })
    }

    /// One for each address: its host, unless a name is set, which is then that of all.
    fn server_names(layers: &mut Settings) -> Option<Vec<Name>> {
        let setting = &settings::TLS_SERVER_NAME;
        let name = layers.get_if_set(setting);
        let addresses = Self::addresses(layers)?;
        if layers.is_set(setting) {
            return Some(vec![name?; addresses.len()]);
        }
        let names = addresses.iter().map(|address| server_name(address).ok_or(address));
        let address = match names.collect() {
            Ok(names) => return Some(names),
            Err(address) => address,
        };
        let which = if addresses.len() > 1 { format!(", not {address}") } else { String::new() };
        let expected = format!("with TLS, a host that a certificate can be for{which}; or set");
        layers.reject(&settings::SERVER_ADDRESS, &expected, setting);
        None
    }

    /// Who sets files of certificates most likely wants TLS.
    fn doubt_unused_files(layers: &mut Settings) {
        let files: [&dyn Declared; 4] =
            [&settings::TLS_CA, &settings::TLS_CERT, &settings::TLS_KEY, &settings::TLS_CRL];
        for setting in files {
            layers.doubt(setting, "it isn't used: CLI_TLS is off");
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
        let max_attempts = layers.get(&settings::RETRY_MAX_ATTEMPTS)?;
        Self::doubt_few_attempts(layers, max_attempts);
        Some(Retry { min_delay, max_delay, max_attempts })
    }

    /// Who names several centrals most likely wants each of them to be called before the end.
    fn doubt_few_attempts(layers: &mut Settings, max_attempts: u32) {
        let count = layers.get(&settings::SERVER_ADDRESS).map_or(0, |addresses| addresses.len());
        if (1..count).contains(&(max_attempts as usize)) {
            let reason =
                format!("not all of the {count} addresses in CLI_SERVER_ADDRESS are tried");
            layers.doubt(&settings::RETRY_MAX_ATTEMPTS, &reason);
        }
    }
}

/// What a certificate of the central at this address must be for, if one can be.
fn server_name(address: &str) -> Option<Name> {
    let (host, _) = address.rsplit_once(':')?;
    Name::parse(host).ok()
}

#[cfg(test)]
mod tests;
