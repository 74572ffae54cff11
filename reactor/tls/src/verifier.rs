//! Bounds what it costs to check a peer's certificates, and tells a list that can't be used from a
//! certificate that isn't good.
//!
//! rustls looks for a way from the peer's certificate to an authority before it knows that the peer has
//! the certificate's key: anybody can have it look. With hundreds of certificates in between, as fit
//! into one handshake message, that takes seconds.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

/// Most certificates between a peer's and its authority's. Authorities have one or two between; the
/// ways through four are 64 at most.
const INTERMEDIATES_MAX: usize = 4;

/// More certificates than anybody needs.
#[derive(Debug)]
struct LongChain {
    found: usize,
}

impl fmt::Display for LongChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found;
        write!(
            f,
            "expected at most {INTERMEDIATES_MAX} certificates between it and its authority, found {found}"
        )
    }
}

impl std::error::Error for LongChain {}

/// The list that would say whether a certificate is revoked can't be used.
#[derive(Debug)]
struct UnusableList(CertificateError);

impl fmt::Display for UnusableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::error::reason(&self.0))
    }
}

impl std::error::Error for UnusableList {}

fn check_length(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    match intermediates.len() {
        ..=INTERMEDIATES_MAX => Ok(()),
        found => Err(other(LongChain { found })),
    }
}

fn other(reason: impl std::error::Error + Send + Sync + 'static) -> Error {
    CertificateError::Other(OtherError(Arc::new(reason))).into()
}

/// An expired list is the operator's to replace, and no fault of the client: it gets another alert than
/// a client whose authority isn't trusted, and may try again.
fn excuse(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(
            error @ (CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. }),
        ) => other(UnusableList(error)),
        error => error,
    }
}

/// Checks clients.
#[derive(Debug)]
pub(crate) struct BoundedClientVerifier(pub(crate) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for BoundedClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_length(intermediates)?;
        self.0.verify_client_cert(end_entity, intermediates, now).map_err(excuse)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Checks servers.
#[derive(Debug)]
pub(crate) struct BoundedServerVerifier(pub(crate) Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for BoundedServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_length(intermediates)?;
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
