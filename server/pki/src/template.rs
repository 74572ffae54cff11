//! What stands in each kind of certificate.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};

use crate::names::{ServerName, TrustDomain};
use crate::serial::Serial;
use crate::validity::{Validity, date_time};

/// Digits of its serial that an authority's name holds.
const NAME_DIGITS: usize = 8;

/// An authority whose certificate signs itself. `levels` is how many authorities may stand between it
/// and a certificate of a central or an agency.
pub(crate) fn authority(
    name: &str,
    serial: &Serial,
    validity: Validity,
    levels: u8,
) -> CertificateParams {
    let mut params = common(name, serial, validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A name that no other authority has. A revocation list is found by its issuer's name: of two
/// authorities with one name, the list of one would be taken for the other's.
pub(crate) fn authority_name(domain: &TrustDomain, serial: &Serial) -> String {
    let digits: String = serial.to_string().chars().take(NAME_DIGITS).collect();
    format!("{domain} CA {digits}")
}

/// A certificate for one end of a connection.
pub(crate) fn leaf(
    name: &str,
    serial: &Serial,
    validity: Validity,
    names: Vec<SanType>,
    usages: Vec<ExtendedKeyUsagePurpose>,
) -> CertificateParams {
    let mut params = common(name, serial, validity);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = names;
    params.extended_key_usages = usages;
    params
}

fn common(name: &str, serial: &Serial, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.not_before = date_time(validity.from);
    params.not_after = date_time(validity.until);
    params
}

pub(crate) fn server_name(name: &ServerName) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        ServerName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        ServerName::Ip(address) => SanType::IpAddress(*address),
    })
}

pub(crate) fn uri(uri: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(uri.try_into()?))
}

/// A revocation list of these serials, each with the time since when it is revoked.
pub(crate) fn revocation_list(
    number: u64,
    validity: Validity,
    revoked: impl IntoIterator<Item = (Serial, SystemTime)>,
) -> CertificateRevocationListParams {
    let revoked = revoked.into_iter().map(|(serial, time)| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial.as_bytes()),
        revocation_time: date_time(time),
        reason_code: None,
        invalidity_date: None,
    });
    CertificateRevocationListParams {
        this_update: date_time(validity.from),
        next_update: date_time(validity.until),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}
