//! Serves what is between a connection's first byte and its protocol when that is TLS: begins the
//! handshake, learns who the peer is, and ends connections whose certificate was revoked.

use reactor::{ConnectionId, Context};
use runtime::log_line;
use runtime::logging::{Fail, Level, Line};
use wire::ErrorCode;

use super::connection_log;
use super::identity::Security;
use super::log_budget::Cause;
use super::protocol_error::ProtocolError;
use super::session::Protocol;
use super::shared::Shared;
use super::trust::{Plaintext, Trust};

/// Begins TLS on a connection whose first byte asks for it, if this central takes it.
pub(crate) fn begin(
    cx: &mut impl Context,
    shared: &mut Shared,
    trust: Option<&dyn Trust>,
    connection: ConnectionId,
) {
    let Some(trust) = trust else { return refuse(cx, shared, connection, Cause::Tls) };
    match trust.layer() {
        Ok(layer) => {
            if let Some(session) = shared.sessions.get(connection) {
                session.begin_tls(trust.generation());
            }
            cx.start_layer(connection, layer);
        }
        Err(error) => {
            if shared.log.allows(Cause::TlsFailed(None)) {
                log_line!(Level::Error, Line::new("tls_handshake", Fail).with("error", error));
            }
            shared.close(cx, connection);
        }
    }
}

/// The handshake is complete: from now on it is known who the peer is, if it has shown a certificate.
pub(crate) fn on_handshake(
    cx: &mut impl Context,
    shared: &mut Shared,
    trust: &dyn Trust,
    connection: ConnectionId,
) {
    let chain = cx.peer_certificates(connection);
    let Some(session) = shared.sessions.get(connection) else { return };
    // What it began with may have been replaced by a list that names it.
    let judged_by = session.tls_generation();
    let revoked = judged_by != Some(trust.generation()) && trust.is_revoked(&chain);
    let security = match chain[..] {
        [] => Security::Anonymous,
        _ => Security::Identified(Box::new(trust.identify(&chain))),
    };
    session.secure(security);
    if revoked {
        return refuse(cx, shared, connection, Cause::Revoked);
    }
    cx.set_deadline(connection, shared.config.first_byte_timeout);
}

/// Why a connection that has just begun a protocol is refused, if it is.
pub(crate) fn refusal(
    shared: &mut Shared,
    trust: Option<&dyn Trust>,
    connection: ConnectionId,
    was: Protocol,
) -> Option<ProtocolError> {
    let session = shared.sessions.get(connection)?;
    match was {
        Protocol::Unknown => {
            let refused = trust.is_some_and(|trust| trust.plaintext() == Plaintext::Refused);
            // The health check is this program itself, on this machine; whoever else may use its
            // address gets echo, and nothing more.
            let is_health_check = session.is_probe() && session.protocol() == Protocol::Echo;
            let refused = refused && !is_health_check && session.protocol() != Protocol::Tls;
            refused
                .then(|| ProtocolError::new(ErrorCode::TlsRequired, Cause::Plaintext.to_string()))
        }
        Protocol::Secured => {
            let anonymous = session.lottery()?.security() == &Security::Anonymous;
            let reason = "an agency shows its certificate: set CLI_TLS_CERT and CLI_TLS_KEY";
            anonymous.then(|| ProtocolError::new(ErrorCode::CertificateRequired, reason))
        }
        _ => None,
    }
}

/// Refuses a connection that isn't an agency's, in words that its user may get to see.
pub(crate) fn refuse(
    cx: &mut impl Context,
    shared: &mut Shared,
    connection: ConnectionId,
    cause: Cause,
) {
    let Some(session) = shared.sessions.get(connection) else { return };
    connection_log::log_refused(&mut shared.log, session.ip(), cause);
    cx.send(connection, format!("error: {cause}\n").as_bytes());
    shared.close(cx, connection);
}

/// The connections whose certificate the list in force names.
pub(crate) fn revoked(cx: &impl Context, shared: &Shared, trust: &dyn Trust) -> Vec<ConnectionId> {
    let mut connections = shared.sessions.open();
    connections.retain(|connection| {
        let chain = cx.peer_certificates(*connection);
        !chain.is_empty() && trust.is_revoked(&chain)
    });
    connections
}
