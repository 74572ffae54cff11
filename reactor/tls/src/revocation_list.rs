//! A list of revoked certificates: what it says, who signed it, and which of two is older.
//!
//! Knows no file. rustls looks up in the same lists at each handshake; here they are for what it
//! doesn't do: checking them when they are loaded, and certificates of connections that are open.

use std::fmt;

use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, TrustAnchor,
};
use webpki::{CertRevocationList, EndEntityCert, OwnedCertRevocationList};
use x509_parser::asn1_rs::{Any, BitString, FromDer};
use x509_parser::num_bigint::BigUint;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate::timestamp;
use crate::timestamp::Timestamp;

/// A revocation list.
#[derive(Debug)]
pub struct RevocationList {
    issuer: String,
    version: ListVersion,
    next_update: Timestamp,
    revoked: usize,
    der: CertificateRevocationListDer<'static>,
    /// For looking serials up.
    index: CertRevocationList<'static>,
}

/// Which of the lists that an authority has issued it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListVersion {
    /// Its number, if it has one: higher with each list.
    pub number: Option<ListNumber>,
    /// When it was issued.
    pub this_update: Timestamp,
}

/// The number of a list, of up to 20 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListNumber(BigUint);

/// Why bytes aren't a revocation list that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a whole revocation list of version 2 with a time of the next one (nextUpdate) and with \
     extensions, as `openssl ca -gencrl -crlexts` makes it, found one that isn't: {reason}"
)]
pub struct ListError {
    reason: String,
}

impl RevocationList {
    /// Reads a list in DER.
    ///
    /// # Errors
    /// When it isn't one, or of a kind that no certificate can be looked up in: one without a time of
    /// the next one, one of version 1, one that only has changes, one of several authorities.
    pub(crate) fn from_der(der: CertificateRevocationListDer<'static>) -> Result<Self, ListError> {
        let owned = OwnedCertRevocationList::from_der(&der).map_err(|error| unusable(&error))?;
        let (_, parsed) =
            CertificateRevocationList::from_der(&der).map_err(|error| unusable(&error))?;
        let Some(next_update) = parsed.next_update() else {
            return Err(unusable(&"no nextUpdate"));
        };
        Ok(Self {
            issuer: parsed.issuer().to_string(),
            version: ListVersion {
                number: parsed.crl_number().cloned().map(ListNumber),
                this_update: timestamp(parsed.last_update()),
            },
            next_update: timestamp(next_update),
            revoked: parsed.iter_revoked_certificates().count(),
            index: owned.into(),
            der,
        })
    }

    /// The authority that issued it, as `CN=lottery CA`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Which of that authority's lists it is.
    pub fn version(&self) -> &ListVersion {
        &self.version
    }

    /// When the next one is to be there, and this one expires.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// How many certificates are on it.
    pub fn revoked(&self) -> usize {
        self.revoked
    }

    pub(crate) fn der(&self) -> &CertificateRevocationListDer<'static> {
        &self.der
    }

    /// Whether it can't be relied on any more at that time.
    pub(crate) fn is_expired_at(&self, time: Timestamp) -> bool {
        time >= self.next_update
    }

    /// Whether it was issued in the name of that authority.
    pub(crate) fn names(&self, authority: &TrustAnchor<'_>) -> bool {
        self.index.issuer() == authority.subject.as_ref()
    }

    /// Whether another list is of the same authority and about the same certificates.
    pub(crate) fn is_about_the_same_as(&self, other: &Self) -> bool {
        let of = |list: &Self| {
            let scope = list.index.issuing_distribution_point().map(<[u8]>::to_vec);
            (list.index.issuer().to_vec(), scope)
        };
        of(self) == of(other)
    }

    /// Whether that authority has signed it.
    pub(crate) fn is_signed_by(
        &self,
        authority: &TrustAnchor<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let signed = Signed::from_der(&self.der);
        let key = PublicKey::from_contents(&authority.subject_public_key_info);
        signed.zip(key).is_some_and(|(signed, key)| signed.verify(&key, algorithms))
    }

    /// Whether a certificate is on it.
    pub(crate) fn revokes(&self, certificate: &EndEntityCert<'_>) -> bool {
        let is_issuer = self.index.issuer() == certificate.issuer();
        // The only error is a malformed list, and this one has been read to its end.
        is_issuer && !matches!(self.index.find_serial(certificate.serial()), Ok(None))
    }
}

fn unusable(error: &impl ToString) -> ListError {
    ListError { reason: error.to_string() }
}

/// A certificate as lists are looked up for it; `None` when it isn't one.
pub(crate) fn parse<'a>(der: &'a CertificateDer<'a>) -> Option<EndEntityCert<'a>> {
    EndEntityCert::try_from(der).ok()
}

impl ListVersion {
    /// Whether it precedes `other`: by its number, or by when it was issued. A new list that
    /// contradicts itself is taken for an old one.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let numbers = self.number.as_ref().zip(other.number.as_ref());
        self.this_update < other.this_update || numbers.is_some_and(|(this, other)| this < other)
    }
}

impl fmt::Display for ListVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = &self.number {
            write!(f, "number {number} ")?;
        }
        write!(f, "of {}", self.this_update)
    }
}

impl fmt::Display for ListNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The three parts of a list in DER: what is signed, how, and the signature.
struct Signed<'a> {
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn from_der(der: &'a [u8]) -> Option<Self> {
        let (_, list) = Any::from_der(der).ok()?;
        let (rest, _) = Any::from_der(list.data).ok()?;
        let message = &list.data[..list.data.len() - rest.len()];
        let (rest, algorithm) = Any::from_der(rest).ok()?;
        let signature = bits(rest)?;
        Some(Self { message, algorithm: algorithm.data, signature })
    }

    fn verify(
        &self,
        key: &PublicKey<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        algorithms.iter().any(|candidate| {
            candidate.signature_alg_id().as_ref() == self.algorithm
                && candidate.public_key_alg_id().as_ref() == key.algorithm
                && candidate.verify_signature(key.bits, self.message, self.signature).is_ok()
        })
    }
}

/// A public key with what it is a key of.
struct PublicKey<'a> {
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// From the contents of a `SubjectPublicKeyInfo`.
    fn from_contents(info: &'a [u8]) -> Option<Self> {
        let (rest, algorithm) = Any::from_der(info).ok()?;
        Some(Self { algorithm: algorithm.data, bits: bits(rest)? })
    }
}

/// The whole bytes of a bit string.
fn bits(der: &[u8]) -> Option<&[u8]> {
    let (_, any) = Any::from_der(der).ok()?;
    BitString::try_from(any.clone()).ok()?;
    // In front of them is how many bits of the last byte aren't used: none.
    any.data.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::provider;
    use pki::testing::{Ca, CaOptions, CrlOptions, KeySource, LeafOptions};
    use proptest::prelude::*;
    use rustls::RootCertStore;

    fn anchor(ca: &Ca) -> TrustAnchor<'static> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca.der().to_vec())).unwrap();
        roots.roots.remove(0)
    }

    fn read(der: &[u8]) -> Result<RevocationList, ListError> {
        RevocationList::from_der(der.to_vec().into())
    }

    fn is_signed(list: &RevocationList, ca: &Ca) -> bool {
        list.is_signed_by(&anchor(ca), provider().signature_verification_algorithms.all)
    }

    #[test]
    fn a_list_is_signed_by_its_authority_alone() {
        for key in [KeySource::default(), KeySource::Ed25519([7; 32])] {
            let ca = Ca::new(&CaOptions { key, ..CaOptions::default() });
            let list = read(&ca.crl(&CrlOptions::default()).der).unwrap();
            assert!(list.names(&anchor(&ca)) && is_signed(&list, &ca));
            // Of the same name.
            let other = Ca::default();
            assert!(list.names(&anchor(&other)) && !is_signed(&list, &other));
            let other = Ca::new(&CaOptions { name: "other".into(), ..CaOptions::default() });
            assert!(!list.names(&anchor(&other)) && !is_signed(&list, &other));
        }
    }

    #[test]
    fn a_list_says_what_is_on_it() {
        let ca = Ca::default();
        let [revoked, good] = [3, 4].map(|agency| ca.issue(&LeafOptions::agency(agency)));
        let options = CrlOptions {
            number: 1 << 40,
            revoked: vec![revoked.serial.clone()],
            ..CrlOptions::default()
        };
        let list = read(&ca.crl(&options).der).unwrap();
        assert_eq!((list.issuer(), list.revoked()), ("CN=test CA", 1));
        assert_eq!(list.next_update(), options.validity.until.into());
        let since = Timestamp::from(options.validity.from);
        assert_eq!(list.version().to_string(), format!("number 1099511627776 of {since}"));
        assert!(!list.is_expired_at(since) && list.is_expired_at(list.next_update()));
        for (certified, expected) in [(revoked, true), (good, false)] {
            let der = CertificateDer::from(certified.chain[0].as_slice());
            assert_eq!(list.revokes(&parse(&der).unwrap()), expected);
        }
    }

    #[test]
    fn the_older_of_two_lists_has_the_lower_number_or_the_earlier_time() {
        let version = |number: Option<u32>, second| ListVersion {
            number: number.map(|number| ListNumber(number.into())),
            this_update: Timestamp::from_unix(second),
        };
        let in_force = version(Some(300), 100);
        for (new, is_older) in [
            (version(Some(300), 100), false),
            (version(Some(301), 100), false),
            (version(Some(299), 101), true),
            (version(Some(301), 99), true),
            (version(None, 100), false),
            (version(None, 99), true),
        ] {
            assert_eq!(new.is_older_than(&in_force), is_older, "{new}");
        }
        assert!(!version(Some(1), 100).is_older_than(&version(None, 100)));
    }

    #[test]
    fn cut_bytes_are_no_list() {
        let whole = Ca::default().crl(&CrlOptions::default()).der;
        for length in 0..whole.len() {
            read(&whole[..length]).unwrap_err();
        }
        read(&[&whole[..], b"x"].concat()).unwrap_err();
    }

    proptest! {
        #[test]
        fn a_list_that_was_changed_is_not_signed(
            at in any::<prop::sample::Index>(),
            change in 1..=u8::MAX,
            noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = read(&noise);
            let ca = Ca::new(&CaOptions { key: KeySource::Ed25519([7; 32]), ..CaOptions::default() });
            let revoked = vec![pki::Serial::from_bytes(&[1, 2, 3]).unwrap()];
            let mut der = ca.crl(&CrlOptions { revoked, ..CrlOptions::default() }).der;
            let at = at.index(der.len());
            der[at] ^= change;
            if let Ok(list) = read(&der) {
                prop_assert!(!is_signed(&list, &ca));
            }
        }
    }
}
