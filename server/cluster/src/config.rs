//! Which draw is kept, for how many agencies, and the limits of one central.

use std::time::Duration;

/// How often a central looks how far the lottery is.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How many keys of winners are read at once: each is of one commit.
pub const WINNERS_PAGE: u32 = 32;

/// How many accounts a poll reads at most; the next one goes on behind them.
pub const ACCOUNTS_PAGE: u32 = 1000;

/// Bytes of a draw's name at most.
pub const DRAW_MAX: usize = 64;

/// Bytes of a central's name at most.
pub const CENTRAL_MAX: usize = 255;

/// Requests that are kept free for what no agency asks for: `meta`, the poll, and the draw.
pub const RESERVED_REQUESTS: usize = 3;

/// Bytes that a request is taken to have, besides what is stored by it.
pub const SMALL_REQUEST_BYTES: usize = 8 << 10;

/// Which draw is kept, for how many agencies, and the limits of one central.
#[derive(Debug, Clone)]
pub struct Config {
    /// etcd's members, and the limits of its client. It must take more than [`RESERVED_REQUESTS`]
    /// requests, of [`SMALL_REQUEST_BYTES`] each.
    pub etcd: etcd::Config,
    /// The draw's name, a part of each key: 1 to [`DRAW_MAX`] bytes of `A-Z a-z 0-9 . _ -`.
    pub draw: String,
    /// How many agencies have to finish, at least 1. Their numbers go from 1 up to it.
    pub agencies: u32,
    /// This central, for people: it is kept with the draw that it holds. 1 to [`CENTRAL_MAX`] bytes.
    pub central: String,
    /// How often the central looks how far the lottery is, above 0; [`POLL_INTERVAL`].
    pub poll_interval: Duration,
    /// How many keys of winners are read at once, at least 1; [`WINNERS_PAGE`].
    pub winners_page: u32,
}

impl Config {
    /// With everything as it is by default.
    pub fn new(etcd: etcd::Config, draw: &str, agencies: u32, central: &str) -> Self {
        Self {
            etcd,
            draw: draw.to_owned(),
            agencies,
            central: central.to_owned(),
            poll_interval: POLL_INTERVAL,
            winners_page: WINNERS_PAGE,
        }
    }

    /// Whether it can be worked with.
    ///
    /// # Errors
    /// [`ConfigError`], but for [`ConfigError::Etcd`].
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !is_draw_name(&self.draw) {
            let found = self.draw.escape_default().to_string();
            return Err(ConfigError::Draw { found });
        }
        if self.central.is_empty() || self.central.len() > CENTRAL_MAX {
            return Err(ConfigError::Central { found: self.central.len() });
        }
        let zeros = [
            ("agencies", self.agencies == 0),
            ("poll_interval", self.poll_interval.is_zero()),
            ("winners_page", self.winners_page == 0),
        ];
        if let Some((name, _)) = zeros.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Zero { name });
        }
        let least_bytes = (RESERVED_REQUESTS + 1) * SMALL_REQUEST_BYTES;
        let leasts = [
            ("max_requests", RESERVED_REQUESTS + 1, self.etcd.max_requests),
            ("max_request_bytes", least_bytes, self.etcd.max_request_bytes),
        ];
        match leasts.into_iter().find(|(_, least, found)| found < least) {
            Some((name, least, found)) => Err(ConfigError::TooSmall { name, least, found }),
            None => Ok(()),
        }
    }
}

fn is_draw_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=DRAW_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The client of etcd can't work with its part.
    #[error(transparent)]
    Etcd(#[from] etcd::ConfigError),
    /// The draw's name can't be a part of keys.
    #[error("expected a draw of 1 to {DRAW_MAX} bytes of A-Z a-z 0-9 . _ -, found \"{found}\"")]
    Draw {
        /// The name, escaped.
        found: String,
    },
    /// The central's name is empty or too long.
    #[error("expected a central's name of 1 to {CENTRAL_MAX} bytes, found {found}")]
    Central {
        /// Its bytes.
        found: usize,
    },
    /// Nothing could ever be done.
    #[error("expected {name} above 0, found 0")]
    Zero {
        /// Which setting.
        name: &'static str,
    },
    /// A limit of etcd's client leaves no room for agencies.
    #[error("expected {name} of etcd's client from {least} on, found {found}")]
    TooSmall {
        /// Which limit.
        name: &'static str,
        /// Its least value.
        least: usize,
        /// Its value.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(etcd::Config::new(vec!["a:1".to_owned()]), "2026-11-27", 5, "central-1")
    }

    #[test]
    fn what_can_not_be_worked_with_is_named() {
        assert_eq!(config().check(), Ok(()));
        for draw in ["", "a/b", "ñ", &"x".repeat(DRAW_MAX + 1)] {
            let error = Config { draw: draw.to_owned(), ..config() }.check();
            assert!(matches!(error, Err(ConfigError::Draw { .. })), "{draw}: {error:?}");
        }
        let central = Config { central: String::new(), ..config() }.check();
        assert_eq!(central, Err(ConfigError::Central { found: 0 }));
        for (name, config) in [
            ("agencies", Config { agencies: 0, ..config() }),
            ("poll_interval", Config { poll_interval: Duration::ZERO, ..config() }),
            ("winners_page", Config { winners_page: 0, ..config() }),
        ] {
            assert_eq!(config.check(), Err(ConfigError::Zero { name }));
        }
    }

    #[test]
    fn limits_leave_room_for_agencies_beside_what_is_reserved() {
        let with = |max_requests, max_request_bytes| {
            let etcd = etcd::Config { max_requests, max_request_bytes, ..config().etcd };
            Config { etcd, ..config() }.check().err().map(|error| error.to_string())
        };
        let bytes = (RESERVED_REQUESTS + 1) * SMALL_REQUEST_BYTES;
        assert_eq!(with(RESERVED_REQUESTS + 1, bytes), None);
        let requests = "expected max_requests of etcd's client from 4 on, found 3";
        assert_eq!(with(RESERVED_REQUESTS, bytes).as_deref(), Some(requests));
        assert!(with(RESERVED_REQUESTS + 1, bytes - 1).is_some());
    }
}
