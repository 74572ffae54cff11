//! The central's certificates: loads the files of `SERVER_TLS_*`, and says in the log what is in force.
//!
//! Decides who is trusted; what a connection may do then is the [`central`](crate::central)'s.

use std::time::Duration;

use reactor::{Layer, LayerError};
use runtime::log_line;
use runtime::logging::{Fail, Level, Line, Success};
use tls::certificate::Certificate;
use tls::expiry::{self, Expiry};
use tls::timestamp::Clock;
use tls::{ServerTls, SettingError, SettingNames, TlsLayer};

use crate::central::{Identity, IdentityError, Plaintext, Trust, agency_of};
use crate::config::TlsConfig;

/// What is in force.
#[derive(Debug)]
pub struct Certificates {
    config: TlsConfig,
    clock: Clock,
    tls: ServerTls,
    generation: u32,
}

/// What the settings are called.
const SETTINGS: SettingNames = SettingNames {
    certificate: "SERVER_TLS_CERT",
    key: "SERVER_TLS_KEY",
    authorities: "SERVER_TLS_CLIENT_CA",
    revocations: "SERVER_TLS_CRL",
    program: "the server",
    if_key_is_open: "set SERVER_TLS_ALLOW_OPEN_KEY to true",
    if_list_expired: "get a new one, or set SERVER_TLS_ALLOW_EXPIRED_CRL to true",
};

impl Certificates {
    /// Reads all files, and logs what is in force. Certificates are compared with the time of `clock`.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(config: &TlsConfig, clock: Clock) -> Result<Self, SettingError> {
        let tls = ServerTls::load(config.options.clone(), clock.clone())
            .map_err(|error| SettingError::new(&SETTINGS, error))?;
        let path = &config.options.own.certificate;
        let line = Line::new("load_certificates", Success).with_path("file", path);
        log_line!(Level::Info, line.with_all(&tls.in_force()));
        Ok(Self { config: config.clone(), clock, tls, generation: 0 })
    }
}

impl Trust for Certificates {
    fn plaintext(&self) -> Plaintext {
        self.config.plaintext
    }

    fn layer(&self) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(TlsLayer::server(self.tls.config())?))
    }

    fn identify(&self, chain: &[&[u8]]) -> Identity {
        let own = chain.first().copied().unwrap_or_default();
        match Certificate::from_der(own) {
            Ok(own) => Identity {
                serial: own.serial().to_string(),
                agency: agency_of(own.uris(), &self.config.trust_domain),
            },
            Err(error) => Identity {
                serial: "unknown".to_owned(),
                agency: Err(IdentityError::Unreadable { reason: error.to_string() }),
            },
        }
    }

    fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        self.tls.is_revoked(chain)
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn reload(&mut self) {
        match self.tls.reload() {
            Ok(tls) => {
                self.tls = tls;
                self.generation = self.generation.wrapping_add(1);
                let line = Line::new("reload", Success).with("cause", "SIGHUP");
                log_line!(Level::Info, line.with_all(&self.tls.in_force()));
            }
            Err(error) => {
                let error = SettingError::new(&SETTINGS, error);
                let line = Line::new("reload", Fail).with("cause", "SIGHUP").with("error", error);
                let in_force = self.tls.certificate().serial();
                log_line!(Level::Error, line.with("in_force", in_force));
            }
        }
    }

    fn expiries(&self) -> Vec<Expiry> {
        self.tls.expiries()
    }

    fn warn_of_expiry(&self) -> Duration {
        expiry::warn(&self.tls.expiries(), self.clock.now())
    }
}

#[cfg(test)]
mod tests;
