//! TLS towards the central: begins it on a new connection, says what its failure means and which file
//! or setting to look at, reads the files again, and warns of what ends soon.
//!
//! Knows no session, no address and no attempt.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use reactor::{Layer, LayerError, TimerId};
use runtime::log_line;
use runtime::logging::{Fail, Level, Line, Pairs, Success};
use tls::certificate::Certificate;
use tls::expiry::until_next_warning;
use tls::problem::{LoadError, Problem};
use tls::timestamp::Clock;
use tls::{ClientTls, Fault, TlsError, TlsLayer};

use crate::config::TlsConfig;

/// Fires when it is to be looked again what ends soon.
pub(crate) const EXPIRY: TimerId = TimerId(6);

/// What connections to the central are secured with: the files as they were read last.
#[derive(Debug)]
pub struct Security {
    config: TlsConfig,
    clock: Clock,
    tls: ClientTls,
}

/// A central that has proved who it is, as the log shows it.
#[derive(Debug)]
pub(crate) struct Identity(Certificate);

impl Pairs for Identity {
    fn add_to(&self, line: Line) -> Line {
        line.with("serial", self.0.serial()).with("expires", self.0.not_after())
    }
}

impl Security {
    /// Reads all files. Certificates are compared with the time of `clock`.
    ///
    /// # Errors
    /// What is wrong with which file, and which setting names it.
    pub fn load(config: &TlsConfig, clock: Clock) -> Result<Self, SecurityError> {
        let tls = ClientTls::load(config.options.clone(), clock.clone())
            .map_err(|error| SecurityError::new(config, error))?;
        Ok(Self { config: config.clone(), clock, tls })
    }

    /// TLS for a connection that was established.
    ///
    /// # Errors
    /// When it can't be had.
    pub(crate) fn layer(&self) -> Result<Box<dyn Layer>, LayerError> {
        Ok(Box::new(TlsLayer::client(self.tls.config(), self.config.name.server_name())?))
    }

    /// Who has shown these certificates, its own first; `None` when that can't be read.
    pub(crate) fn identify(chain: &[&[u8]]) -> Option<Identity> {
        chain.first().and_then(|own| Certificate::from_der(own).ok()).map(Identity)
    }

    /// Whether one of these certificates is revoked by the lists in force: a connection may be older
    /// than they are.
    pub(crate) fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        self.tls.is_revoked(chain)
    }

    /// What to look at after a failure that is about certificates, for the end of its message.
    pub(crate) fn remedy(&self, error: &TlsError) -> String {
        let files = &self.config.options;
        match error.fault() {
            Some(Fault::Authority) => format!(
                "; CLI_TLS_CA is {}: it must hold the certificate of the authority that the central's \
                 is of",
                files.servers.authorities.display()
            ),
            Some(Fault::Name) => {
                "; set CLI_TLS_SERVER_NAME to one of its names, if it is the right \
                                  central (without it the host of CLI_SERVER_ADDRESS counts)"
                    .to_owned()
            }
            Some(Fault::Time) => "; look at the clock of this machine, and at the central's \
                                  certificate (SERVER_TLS_CERT)"
                .to_owned(),
            Some(Fault::Revocation) => format!(
                "; CLI_TLS_CRL is {}: if that is the newest list, the central needs another certificate",
                shown(files.servers.revocations.as_deref())
            ),
            Some(Fault::Certificate) => {
                "; look at the central's certificate (SERVER_TLS_CERT)".to_owned()
            }
            None => self.own_remedy(),
        }
    }

    /// The same when it is the agency's own certificate that isn't good.
    fn own_remedy(&self) -> String {
        match (&self.config.options.own, self.tls.certificate()) {
            (Some(files), Some(own)) => format!(
                "; CLI_TLS_CERT is {}, with serial {}, valid from {} to {}",
                files.certificate.display(),
                own.serial(),
                own.not_before(),
                own.not_after()
            ),
            _ => "; set CLI_TLS_CERT and CLI_TLS_KEY to this agency's certificate and its key"
                .to_owned(),
        }
    }

    /// Reads all files again, for the connections from now on, and logs what came of it. What can't be
    /// used leaves in force what was there before.
    pub(crate) fn reload(&mut self) {
        match self.tls.reload() {
            Ok(tls) => {
                self.tls = tls;
                log_line!(Level::Info, self.reloaded());
                self.warn_of_expiry();
            }
            Err(error) => {
                let error = SecurityError::new(&self.config, error);
                let line = Line::new("reload", Fail).with("cause", "SIGHUP").with("error", error);
                log_line!(Level::Error, line);
            }
        }
    }

    fn reloaded(&self) -> Line {
        let own = self.tls.certificate();
        let lists = self.tls.revocation_lists().iter().fold(String::new(), |mut text, list| {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{} {}", list.issuer(), list.version());
            text
        });
        Line::new("reload", Success)
            .with("cause", "SIGHUP")
            .with_some("serial", own.map(Certificate::serial))
            .with_some("expires", own.map(Certificate::not_after))
            .with_some("lists", Some(lists).filter(|lists| !lists.is_empty()))
    }

    /// Logs what ends soon; returns how long until it is to be looked again.
    pub(crate) fn warn_of_expiry(&self) -> Duration {
        let (expiries, now) = (self.tls.expiries(), self.clock.now());
        for expiry in expiries.iter().filter(|expiry| expiry.is_near(now)) {
            log_line!(Level::Warn, expiry.line(now));
        }
        until_next_warning(&expiries, now)
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(|| "not set".to_owned(), |path| path.display().to_string())
}

/// A file that can't be used, and the setting that names it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {error}{}", advice(.error))]
pub struct SecurityError {
    setting: &'static str,
    error: LoadError,
}

impl SecurityError {
    fn new(config: &TlsConfig, error: LoadError) -> Self {
        let files = &config.options;
        let own = files.own.as_ref();
        let is_that = |path: Option<&Path>| path == Some(&error.path);
        let is_key = matches!(*error.problem, Problem::OpenKey { .. } | Problem::WrongKey { .. });
        // The key may be in the certificate's file.
        let setting = if !is_key && is_that(own.map(|own| &*own.certificate)) {
            "CLI_TLS_CERT"
        } else if is_that(own.map(|own| &*own.key)) {
            "CLI_TLS_KEY"
        } else if is_that(files.servers.revocations.as_deref()) {
            "CLI_TLS_CRL"
        } else {
            "CLI_TLS_CA"
        };
        Self { setting, error }
    }
}

fn advice(error: &LoadError) -> &'static str {
    match *error.problem {
        Problem::OpenKey { .. } => ", or set CLI_TLS_ALLOW_OPEN_KEY to on",
        _ => "",
    }
}
