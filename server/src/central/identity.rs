//! Who a certificate says that a peer is: an agency, by the one URI among its names.
//!
//! `spiffe://loteria/agencia/7` is agency 7 of the trust domain `loteria`, in the form of
//! [SPIFFE](https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md). Knows no connection and
//! no lottery.

use wire::Agency;

/// What a certificate's path begins with, behind the trust domain.
const AGENCY_PATH: &str = "/agencia/";

/// What is known of who the peer of a connection is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Security {
    /// Nothing: there is no TLS.
    #[default]
    Plain,
    /// It has shown no certificate.
    Anonymous,
    /// It has shown one.
    Identified(Box<Identity>),
}

/// A peer that has shown a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate's serial number, in hexadecimal: what it is revoked by.
    pub serial: String,
    /// The agency that it names, or why it names none.
    pub agency: Result<Agency, IdentityError>,
}

/// Why a certificate names no agency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Which URI counts can't be told: exactly one must be there.
    #[error(
        "the certificate has {found} URIs among its names, expected exactly one, as \
         spiffe://{trust_domain}/agencia/7"
    )]
    Count {
        /// How many there are.
        found: usize,
        /// The operator's.
        trust_domain: String,
    },
    /// The URI is no agency's of this lottery.
    #[error(
        "the certificate names {}, expected an agency's URI, as spiffe://{trust_domain}/agencia/7",
        runtime::logging::Escaped(.found.as_bytes())
    )]
    Uri {
        /// The URI.
        found: String,
        /// The operator's.
        trust_domain: String,
    },
    /// It can't be read.
    #[error("the certificate can't be read: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
}

/// The agency that a certificate names with these URIs.
///
/// # Errors
/// Unless there is one URI, of this trust domain, with an agency's number as decimal digits without
/// leading zeros.
pub fn agency_of(uris: &[String], trust_domain: &str) -> Result<Agency, IdentityError> {
    let [uri] = uris else {
        let (found, trust_domain) = (uris.len(), trust_domain.to_owned());
        return Err(IdentityError::Count { found, trust_domain });
    };
    let agency = uri
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(trust_domain))
        .and_then(|path| path.strip_prefix(AGENCY_PATH))
        .and_then(number);
    agency.ok_or_else(|| {
        let (found, trust_domain) = (uri.clone(), trust_domain.to_owned());
        IdentityError::Uri { found, trust_domain }
    })
}

/// A number that is written in one way only: two certificates can't name the same agency differently.
fn number(digits: &str) -> Option<Agency> {
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (Agency::to_string(&number) == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agency(uris: &[&str]) -> Result<Agency, IdentityError> {
        let uris: Vec<_> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        agency_of(&uris, "loteria")
    }

    #[test]
    fn one_uri_of_the_trust_domain_names_an_agency() {
        for (uri, expected) in [("1", 1), ("7", 7), ("4294967295", Agency::MAX)] {
            assert_eq!(agency(&[&format!("spiffe://loteria/agencia/{uri}")]), Ok(expected));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for uri in [
            "spiffe://loteria/agencia/",
            "spiffe://loteria/agencia/0",
            "spiffe://loteria/agencia/01",
            "spiffe://loteria/agencia/+1",
            "spiffe://loteria/agencia/1/",
            "spiffe://loteria/agencia/1?a",
            "spiffe://loteria/agencia/ 1",
            "spiffe://loteria/agencia/4294967296",
            "spiffe://loteria/agencia/\u{661}",
            "spiffe://otra/agencia/1",
            "spiffe://loteria.otra/agencia/1",
            "spiffe://loteria/central/1",
            "SPIFFE://loteria/agencia/1",
            "https://loteria/agencia/1",
            "loteria/agencia/1",
            "",
        ] {
            let refused = agency(&[uri]);
            assert!(matches!(refused, Err(IdentityError::Uri { .. })), "{uri}: {refused:?}");
        }
        let one = "spiffe://loteria/agencia/1";
        for uris in [&[][..], &[one, one], &[one, "spiffe://loteria/agencia/2"]] {
            assert!(matches!(agency(uris), Err(IdentityError::Count { .. })), "{uris:?}");
        }
    }

    #[test]
    fn what_is_wrong_names_what_was_found_and_what_was_expected() {
        assert_eq!(
            agency(&["spiffe://otra/a\n"]).unwrap_err().to_string(),
            "the certificate names spiffe://otra/a\\n, expected an agency's URI, as \
             spiffe://loteria/agencia/7"
        );
        assert_eq!(
            agency(&[]).unwrap_err().to_string(),
            "the certificate has 0 URIs among its names, expected exactly one, as \
             spiffe://loteria/agencia/7"
        );
    }
}
