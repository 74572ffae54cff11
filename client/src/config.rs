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
    /// Where the central listens: host and port, not resolved.
    pub address: String,
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
            address: layers.get(&settings::SERVER_ADDRESS)?,
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

    /// `None` without TLS, and when something is missing or wrong, which is then remembered.
    fn tls(layers: &mut Settings) -> Option<TlsConfig> {
        if !layers.get(&settings::TLS)? {
            Self::doubt_unused_files(layers);
            return None;
        }
        let authorities = layers.get(&settings::TLS_CA);
        let (own, name) = (Self::own_files(layers), Self::server_name(layers));
        let options = ClientOptions {
            own,
            servers: TrustFiles {
                authorities: authorities?,
                revocations: layers.get_if_set(&settings::TLS_CRL),
                allow_expired_lists: false,
            },
        };
        Some(TlsConfig { options, name: name? })
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

    fn server_name(layers: &mut Settings) -> Option<Name> {
        let setting = &settings::TLS_SERVER_NAME;
        if layers.is_set(setting) {
            return layers.get(setting);
        }
        let address = layers.get(&settings::SERVER_ADDRESS)?;
        let (host, _) = address.rsplit_once(':')?;
        let name = Name::parse(host).ok();
        if name.is_none() {
            let expected = "with TLS, a host that a certificate can be for; or set";
            layers.reject(&settings::SERVER_ADDRESS, expected, setting);
        }
        name
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
        let TlsConfig { options, name } = tls(&[]).unwrap();
        assert_eq!((options.own, name), (None, Name::parse("server").unwrap()));
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
            assert_eq!(tls(arguments).unwrap().name, Name::parse(expected).unwrap(), "{expected}");
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
}
