//! TLS towards the central: begins it on a new connection, says what its failure means and which file
//! or setting to look at, reads the files again, and warns of what ends soon.
//!
//! Knows no session, no address and no attempt.

use std::path::Path;
use std::time::Duration;

use reactor::{Layer, LayerError, TimerId};
use runtime::log_line;
use runtime::logging::{Fail, Level, Line, Pairs, Success};
use tls::certificate::Certificate;
use tls::timestamp::Clock;
use tls::{ClientTls, Fault, SettingError, SettingNames, TlsError, TlsLayer, TrustFiles, expiry};

use crate::config::TlsConfig;

/// Fires when it is to be looked again what ends soon.
pub(crate) const EXPIRY: TimerId = TimerId(6);

/// What the settings are called.
const SETTINGS: SettingNames = SettingNames {
    certificate: "CLI_TLS_CERT",
    key: "CLI_TLS_KEY",
    authorities: "CLI_TLS_CA",
    revocations: "CLI_TLS_CRL",
    program: "the agency",
    if_key_is_open: "set CLI_TLS_ALLOW_OPEN_KEY to on",
    if_list_expired: "get a new one, or set no CLI_TLS_CRL: then no revocation is noticed",
};

const OF_CENTRALS_AUTHORITY: &str =
    "it must hold the certificate of the authority that the central's is of";

const OTHER_NAME: &str = "; set CLI_TLS_SERVER_NAME to one of its names, if it is the right central \
                          (without it the host of CLI_SERVER_ADDRESS counts)";

const OTHER_TIME: &str =
    "; look at the clock of this machine, and at the central's certificate (SERVER_TLS_CERT)";

const IF_NEWEST: &str = "if that is the newest list, the central needs another certificate";

const BAD_CERTIFICATE: &str = "; look at the central's certificate (SERVER_TLS_CERT)";

/// What connections to the central are secured with: the files as they were read last.
#[derive(Debug)]
pub struct Certificates {
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

impl Certificates {
    /// Reads all files, and logs what is in force. Certificates are compared with the time of `clock`.
    ///
    /// # Errors
    /// What is wrong with which file, and which setting names it.
    pub fn load(config: &TlsConfig, clock: Clock) -> Result<Self, SettingError> {
        let tls = ClientTls::load(config.options.clone(), clock.clone())
            .map_err(|error| SettingError::new(&SETTINGS, error))?;
        log_line!(Level::Debug, Line::new("load_certificates", Success).with_all(&tls.in_force()));
        Ok(Self { config: config.clone(), clock, tls })
    }

    /// TLS for a connection that was established, to the central of this index in the configuration.
    ///
    /// # Errors
    /// When it can't be had.
    pub(crate) fn layer(&self, central: usize) -> Result<Box<dyn Layer>, LayerError> {
        let name = self.config.names[central].server_name();
        Ok(Box::new(TlsLayer::client(self.tls.config(), name)?))
    }

    /// Who has shown these certificates, its own first; `None` when that can't be read.
    pub(crate) fn identify(chain: &[&[u8]]) -> Option<Identity> {
        chain.first().and_then(|own| Certificate::from_der(own).ok()).map(Identity)
    }

    /// The URIs of the agency's own certificate, if it shows one.
    pub(crate) fn own_uris(&self) -> Option<&[String]> {
        self.tls.certificate().map(Certificate::uris)
    }

    /// Whether one of these certificates is revoked by the lists in force: a connection may be older
    /// than they are.
    pub(crate) fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        self.tls.is_revoked(chain)
    }

    /// What to look at after a failure that is about certificates, for the end of its message.
    pub(crate) fn remedy(&self, error: &TlsError) -> String {
        let TrustFiles { authorities, revocations, .. } = &self.config.options.servers;
        let list = || revocations.as_deref().unwrap_or(Path::new("not set")).display();
        match error.fault() {
            Some(Fault::Authority) => {
                let file = authorities.display();
                format!("; CLI_TLS_CA is {file}: {OF_CENTRALS_AUTHORITY}")
            }
            Some(Fault::Name) => OTHER_NAME.to_owned(),
            Some(Fault::Time) => OTHER_TIME.to_owned(),
            Some(Fault::Revoked) => format!("; CLI_TLS_CRL is {}: {IF_NEWEST}", list()),
            Some(Fault::RevocationList) => {
                format!("; CLI_TLS_CRL is {}: get the operator's newest list", list())
            }
            Some(Fault::Certificate) => BAD_CERTIFICATE.to_owned(),
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

    /// Reads all files again, for the connections from now on, and logs what came of it. Returns whether
    /// they can be used; otherwise what was there before stays in force.
    pub(crate) fn reload(&mut self) -> bool {
        match self.tls.reload() {
            Ok(tls) => {
                self.tls = tls;
                let line = Line::new("reload", Success).with("cause", "SIGHUP");
                log_line!(Level::Info, line.with_all(&self.tls.in_force()));
                true
            }
            Err(error) => {
                let error = SettingError::new(&SETTINGS, error);
                let line = Line::new("reload", Fail).with("cause", "SIGHUP").with("error", error);
                let in_force = self.tls.certificate().map(Certificate::serial);
                log_line!(Level::Error, line.with_some("in_force", in_force));
                false
            }
        }
    }

    /// Logs what ends soon; returns how long until it is to be looked again.
    pub(crate) fn warn_of_expiry(&self) -> Duration {
        expiry::warn(&self.tls.expiries(), self.clock.now())
    }
}
