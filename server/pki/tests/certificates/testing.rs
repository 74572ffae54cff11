//! The builder of odd certificates: each is refused for what is odd about it, and for nothing else.

use std::time::{Duration, SystemTime};

use crate::verify::Trust;
use pki::testing::{Ca, CaOptions, Certified, CrlOptions, KeySource, LeafOptions, Usage};
use pki::{KeyKind, Serial, Validity};
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;

const HOUR: Duration = Duration::from_hours(1);

fn chain(certified: &Certified) -> Vec<CertificateDer<'static>> {
    certified.chain.iter().cloned().map(Into::into).collect()
}

fn judged(ca: &Ca, options: &LeafOptions) -> Result<(), rustls::Error> {
    let list = ca.crl(&CrlOptions::default());
    Trust::new(ca.der(), &list.der).client(&chain(&ca.issue(options)))
}

#[test]
fn the_defaults_are_good() {
    for key in [KeyKind::P256, KeyKind::Ed25519].map(KeySource::New) {
        let ca = Ca::new(&CaOptions { key, ..CaOptions::default() });
        judged(&ca, &LeafOptions { key, ..LeafOptions::agency(3) }).unwrap();
        let server = ca.issue(&LeafOptions { key, ..LeafOptions::server() });
        let trust = Trust::new(ca.der(), &ca.crl(&CrlOptions::default()).der);
        for name in ["localhost", "127.0.0.1", "::1"] {
            trust.server(&chain(&server), name).unwrap();
        }
    }
}

#[test]
fn what_is_odd_is_refused() {
    let ca = Ca::default();
    let now = SystemTime::now();
    let good = LeafOptions::agency(3);
    let refusal = |options: &LeafOptions| match judged(&ca, options) {
        Err(rustls::Error::InvalidCertificate(error)) => format!("{error:?}"),
        other => panic!("{other:?}"),
    };
    let validity = Validity { from: now - 2 * HOUR, until: now - HOUR };
    assert!(refusal(&LeafOptions { validity, ..good.clone() }).starts_with("Expired"));
    let validity = Validity { from: now + HOUR, until: now + 2 * HOUR };
    assert!(refusal(&LeafOptions { validity, ..good.clone() }).starts_with("NotValidYet"));
    let usages = vec![Usage::Server];
    assert!(refusal(&LeafOptions { usages, ..good.clone() }).starts_with("InvalidPurpose"));
}

#[test]
fn another_authority_is_unknown() {
    let (ca, other) = (Ca::default(), Ca::default());
    let trust = Trust::new(ca.der(), &ca.crl(&CrlOptions::default()).der);
    let refused = trust.client(&chain(&other.issue(&LeafOptions::agency(3))));
    // Of the same name, so that its signature is looked at.
    let expected = [CertificateError::BadSignature, CertificateError::UnknownIssuer]
        .map(rustls::Error::InvalidCertificate);
    assert!(refused.as_ref().is_err_and(|error| expected.contains(error)), "{refused:?}");
}

#[test]
fn an_intermediate_authority_is_sent_along() {
    let root = Ca::default();
    let between = CaOptions { name: "between".into(), ..CaOptions::default() };
    let lower = CaOptions { name: "lower".into(), ..CaOptions::default() };
    let between = root.intermediate(&between);
    let lower = between.intermediate(&lower);
    let agency = lower.issue(&LeafOptions::agency(3));
    assert_eq!(agency.chain.len(), 3);
    let mut trust = Trust::new(root.der(), &root.crl(&CrlOptions::default()).der);
    trust.lists.extend([&between, &lower].map(|ca| ca.crl(&CrlOptions::default()).der.into()));
    trust.client(&chain(&agency)).unwrap();
}

#[test]
fn a_seeded_key_makes_the_same_certificate_again() {
    let now = SystemTime::UNIX_EPOCH + 500_000 * HOUR;
    let validity = Validity { from: now, until: now + HOUR };
    let serial = Serial::from_bytes(&[7]);
    let made = || {
        let key = KeySource::Ed25519([1; 32]);
        let ca = CaOptions { key, validity, serial: serial.clone(), ..CaOptions::default() };
        let key = KeySource::Ed25519([2; 32]);
        let leaf = LeafOptions { key, validity, serial: serial.clone(), ..LeafOptions::agency(3) };
        let ca = Ca::new(&ca);
        (ca.der().to_vec(), ca.issue(&leaf))
    };
    assert_eq!(made(), made());
    let (ca, agency) = made();
    let list = Ca::new(&CaOptions { key: KeySource::Ed25519([1; 32]), ..CaOptions::default() })
        .crl(&CrlOptions { validity, ..CrlOptions::default() });
    let trust = Trust { now: now + HOUR / 2, ..Trust::new(&ca, &list.der) };
    trust.client(&chain(&agency)).unwrap();
}
