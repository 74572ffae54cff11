//! The central's certificates: loads the files of `SERVER_TLS_*`, and says in the log what is in force.
//!
//! Decides who is trusted; what a connection may do then is the [`central`](crate::central)'s.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use reactor::{Layer, LayerError};
use runtime::log_line;
use runtime::logging::{Fail, Level, Line, Pairs, Success};
use runtime::regular_file::OpenError;
use tls::certificate::Certificate;
use tls::expiry::until_next_warning;
use tls::problem::{LoadError, Problem};
use tls::timestamp::Clock;
use tls::{ServerOptions, ServerTls, TlsLayer};

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

/// A file that can't be used, the setting that names it, and what can be done.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {error}{}", advice(.error))]
pub struct CertificatesError {
    setting: &'static str,
    #[source]
    error: LoadError,
}

impl Certificates {
    /// Reads all files, and logs what is in force. Certificates are compared with the time of `clock`.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(config: &TlsConfig, clock: Clock) -> Result<Self, CertificatesError> {
        let tls = ServerTls::load(config.options.clone(), clock.clone())
            .map_err(|error| CertificatesError::new(&config.options, error))?;
        let path = &config.options.own.certificate;
        let line = Line::new("load_certificates", Success).with_path("file", path);
        log_line!(Level::Info, line.with_all(&InForce(&tls)));
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
                log_line!(Level::Info, line.with_all(&InForce(&self.tls)));
            }
            Err(error) => {
                let error = CertificatesError::new(&self.config.options, error);
                let line = Line::new("reload", Fail).with("cause", "SIGHUP").with("error", error);
                let in_force = self.tls.certificate().serial();
                log_line!(Level::Error, line.with("in_force", in_force));
            }
        }
    }

    fn warn_of_expiry(&self) -> Duration {
        let (expiries, now) = (self.tls.expiries(), self.clock.now());
        for expiry in expiries.iter().filter(|expiry| expiry.is_near(now)) {
            log_line!(Level::Warn, expiry.line(now));
        }
        until_next_warning(&expiries, now)
    }
}

/// What is in force, for the log.
struct InForce<'a>(&'a ServerTls);

impl Pairs for InForce<'_> {
    fn add_to(&self, line: Line) -> Line {
        let (own, lists) = (self.0.certificate(), self.0.revocation_lists());
        let line = line
            .with_bytes("name", own.subject())
            .with("serial", own.serial())
            .with("expires", own.not_after())
            .with("authorities", self.0.authorities().len());
        if lists.is_empty() {
            return line.with("lists", "none, revoked certificates are taken");
        }
        let lists = lists.iter().map(|list| {
            let revoked = list.revoked();
            format!("{} {}, {revoked} revoked", list.issuer(), list.version())
        });
        line.with_bytes("lists", lists.collect::<Vec<_>>().join("; "))
    }
}

impl CertificatesError {
    fn new(options: &ServerOptions, error: LoadError) -> Self {
        let ServerOptions { own, clients, .. } = options;
        let is_of = |path: &Path| *path == *error.path;
        let setting = match &*error.problem {
            // The key may be in the certificate's file.
            Problem::OpenKey { .. } | Problem::WrongKey { .. } => "SERVER_TLS_KEY",
            _ if is_of(&own.certificate) => "SERVER_TLS_CERT",
            _ if is_of(&own.key) => "SERVER_TLS_KEY",
            _ if is_of(&clients.authorities) => "SERVER_TLS_CLIENT_CA",
            _ => "SERVER_TLS_CRL",
        };
        Self { setting, error }
    }
}

fn advice(error: &LoadError) -> String {
    match &*error.problem {
        Problem::OpenKey { .. } => ", or set SERVER_TLS_ALLOW_OPEN_KEY to true".to_owned(),
        Problem::ExpiredList { .. } => {
            ": get a new one, or set SERVER_TLS_ALLOW_EXPIRED_CRL to true".to_owned()
        }
        Problem::Open(OpenError::Io(error)) if error.kind() == ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!(": the server runs as user {user}, who must be able to read it")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
