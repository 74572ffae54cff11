//! Names of causes in metrics: an interface that dashboards and alarms are written for.

use tls::Fault;
use wire::ErrorCode;

use crate::central::log_budget::Cause;

/// Each cause with its name.
pub(super) const CAUSE_NAMES: [(Cause, &str); 48] = [
    (Cause::Agency(ErrorCode::Malformed), "malformed"),
    (Cause::Agency(ErrorCode::Oversized), "oversized"),
    (Cause::Agency(ErrorCode::UnknownKind), "unknown_kind"),
    (Cause::Agency(ErrorCode::Version), "version"),
    (Cause::Agency(ErrorCode::UnknownAgency), "unknown_agency"),
    (Cause::Agency(ErrorCode::NotIntroduced), "not_introduced"),
    (Cause::Agency(ErrorCode::AlreadyIntroduced), "already_introduced"),
    (Cause::Agency(ErrorCode::Gap), "gap"),
    (Cause::Agency(ErrorCode::Overlap), "overlap"),
    (Cause::Agency(ErrorCode::Finished), "finished"),
    (Cause::Agency(ErrorCode::Drawn), "drawn"),
    (Cause::Agency(ErrorCode::WrongTotal), "wrong_total"),
    (Cause::Agency(ErrorCode::NotFinished), "not_finished"),
    (Cause::Agency(ErrorCode::Superseded), "superseded"),
    (Cause::Agency(ErrorCode::Timeout), "timeout"),
    (Cause::Agency(ErrorCode::ShuttingDown), "shutting_down"),
    (Cause::Agency(ErrorCode::TlsRequired), "tls_required"),
    (Cause::Agency(ErrorCode::CertificateRequired), "certificate_required"),
    (Cause::Agency(ErrorCode::CertificateRevoked), "certificate_revoked"),
    (Cause::Agency(ErrorCode::WrongAgency), "wrong_agency"),
    (Cause::Agency(ErrorCode::WrongAddress), "wrong_address"),
    (Cause::Agency(ErrorCode::WrongDraw), "wrong_draw"),
    (Cause::Agency(ErrorCode::StoreUnreachable), "store_unreachable"),
    (Cause::LongLine, "line_too_long"),
    (Cause::Tls, "tls_off"),
    (Cause::Plaintext, "plaintext"),
    (Cause::TlsFailed(None), "tls_failed"),
    (Cause::TlsFailed(Some(Fault::Authority)), "tls_other_authority"),
    (Cause::TlsFailed(Some(Fault::Name)), "tls_other_name"),
    (Cause::TlsFailed(Some(Fault::Time)), "tls_not_in_date"),
    (Cause::TlsFailed(Some(Fault::Revoked)), "tls_revoked"),
    (Cause::TlsFailed(Some(Fault::RevocationList)), "tls_no_revocation_list"),
    (Cause::TlsFailed(Some(Fault::Certificate)), "tls_bad_certificate"),
    (Cause::HandshakeEvicted, "handshake_evicted"),
    (Cause::Revoked, "revoked"),
    (Cause::Silence, "silence"),
    (Cause::WriteStalled, "write_stalled"),
    (Cause::InputOverflow, "input_overflow"),
    (Cause::BufferLimit, "buffer_limit"),
    (Cause::Evicted, "evicted"),
    (Cause::AddressConnections, "address_connections"),
    (Cause::AddressConnects, "address_connects"),
    (Cause::Reserved, "reserved"),
    (Cause::Full, "connections_full"),
    (Cause::NoDescriptors, "no_descriptors"),
    (Cause::NoMemory, "no_memory"),
    (Cause::AcceptFailed, "accept_failed"),
    (Cause::CommitFailed, "commit_failed"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use runtime::logging::budget::Kind as _;

    use super::*;
    use crate::central::log_budget::Kind;

    #[test]
    fn each_cause_has_one_name_of_its_own() {
        let names: BTreeSet<_> = CAUSE_NAMES.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), CAUSE_NAMES.len());
        let indices: BTreeSet<_> =
            CAUSE_NAMES.iter().map(|(cause, _)| Kind::from(*cause).index()).collect();
        let causes = Kind::COUNT - Kind::EVENTS;
        // A code of 0 doesn't exist, and has an index.
        assert_eq!(indices.len(), causes - 1);
        assert_eq!(indices.len(), CAUSE_NAMES.len());
    }
}
