//! Certificates in memory for tests: good ones, and every kind of bad one.
//!
//! Nothing is checked, and what can't be made panics. All fields have defaults that make a good
//! certificate; a test changes the one that it is about:
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use pki::Validity;
//! use pki::testing::{Ca, CrlOptions, LeafOptions};
//!
//! let ca = Ca::default();
//! let good = ca.issue(&LeafOptions::agency(3));
//! let now = SystemTime::now();
//! let hour = Duration::from_secs(3600);
//! let expired = ca.issue(&LeafOptions {
//!     validity: Validity { from: now - 2 * hour, until: now - hour },
//!     ..LeafOptions::agency(3)
//! });
//! let list = ca.crl(&CrlOptions { revoked: vec![good.serial.clone()], ..CrlOptions::default() });
//! # assert_ne!(good.chain, expired.chain);
//! # assert!(list.pem.starts_with("-----BEGIN X509 CRL-----"));
//! ```

#![allow(clippy::missing_panics_doc, reason = "what can't be made fails the test that wants it")]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::slice;

use rcgen::{Certificate, CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};

use crate::files::{self, Readers};
use crate::key::{self, KeyKind};
use crate::names::{ServerName, TrustDomain};
use crate::serial::Serial;
use crate::template;
use crate::validity::{CA_DAYS, CRL_DAYS, LEAF_DAYS, Validity};

/// Where a key comes from.
#[derive(Clone, Copy, Debug)]
pub enum KeySource {
    /// It is new.
    New(KeyKind),
    /// It is the Ed25519 key with these bytes. With fixed serials and times, certificates and lists are
    /// the same in every run.
    Ed25519([u8; 32]),
}

impl Default for KeySource {
    fn default() -> Self {
        Self::New(KeyKind::default())
    }
}

impl KeySource {
    fn key(self) -> KeyPair {
        match self {
            Self::New(kind) => kind.generate().expect("a key"),
            Self::Ed25519(bytes) => key::ed25519(&bytes).expect("a key"),
        }
    }
}

/// What an end of a connection may do with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// `serverAuth`.
    Server,
    /// `clientAuth`.
    Client,
}

/// What an authority is to be.
#[derive(Clone, Debug)]
pub struct CaOptions {
    /// Its name. Two with one name and different keys can be told apart by their signatures alone.
    pub name: String,
    /// Its key.
    pub key: KeySource,
    /// Its validity.
    pub validity: Validity,
    /// Its serial; a random one if `None`.
    pub serial: Option<Serial>,
}

impl Default for CaOptions {
    fn default() -> Self {
        Self {
            name: "test CA".to_owned(),
            key: KeySource::default(),
            validity: Validity::days(CA_DAYS),
            serial: None,
        }
    }
}

/// An authority in memory.
#[derive(Debug)]
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// What a certificate of this authority is sent with: itself, and those above it but for the root.
    chain: Vec<Certificate>,
}

impl Default for Ca {
    fn default() -> Self {
        Self::new(&CaOptions::default())
    }
}

impl Ca {
    /// A root.
    pub fn new(options: &CaOptions) -> Self {
        let (params, key) = authority(options);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate, chain: Vec::new() }
    }

    /// An authority below this one.
    #[must_use]
    pub fn intermediate(&self, options: &CaOptions) -> Self {
        let (mut params, key) = authority(options);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = [slice::from_ref(&certificate), &self.chain[..]].concat();
        Self { issuer: Issuer::new(params, key), certificate, chain }
    }

    /// Its certificate.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// What somebody makes of a leaf of this authority: an authority of his own, which it must not be
    /// taken for.
    #[must_use]
    pub fn impostor(&self, options: &LeafOptions) -> Self {
        let (params, key) = leaf(options, &serial(options.serial.as_ref()));
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = [slice::from_ref(&certificate), &self.chain[..]].concat();
        Self { issuer: Issuer::new(params, key), certificate, chain }
    }

    /// Issues a certificate.
    pub fn issue(&self, options: &LeafOptions) -> Certified {
        let serial = serial(options.serial.as_ref());
        let (params, key) = leaf(options, &serial);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = [&[certificate], &self.chain[..]].concat();
        Certified {
            chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            chain_pem: chain.iter().map(Certificate::pem).collect(),
            key: key.serialize_der(),
            key_pem: key.serialize_pem(),
            serial,
        }
    }

    /// Makes a revocation list.
    pub fn crl(&self, options: &CrlOptions) -> Crl {
        let since = options.validity.from;
        let revoked = options.revoked.iter().cloned().map(|serial| (serial, since));
        let params = template::revocation_list(options.number, options.validity, revoked);
        let list = params.signed_by(&self.issuer).expect("a revocation list");
        Crl { der: list.der().to_vec(), pem: list.pem().expect("PEM") }
    }
}

fn authority(options: &CaOptions) -> (CertificateParams, KeyPair) {
    let serial = serial(options.serial.as_ref());
    // Room for authorities below.
    let levels = 8;
    let params = template::authority(&options.name, &serial, options.validity, levels);
    (params, options.key.key())
}

fn leaf(options: &LeafOptions, serial: &Serial) -> (CertificateParams, KeyPair) {
    let dns = options.dns.iter().map(|name| ServerName::Dns(name.clone()));
    let hosts = dns.chain(options.addresses.iter().copied().map(ServerName::Ip));
    let hosts = hosts.map(|name| template::server_name(&name).expect("ASCII"));
    let uris = options.uris.iter().map(|uri| template::uri(uri).expect("ASCII"));
    let names: Vec<SanType> = hosts.chain(uris).collect();
    let usages = options.usages.iter().map(|usage| match usage {
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    });
    let params = template::leaf(&options.name, serial, options.validity, names, usages.collect());
    (params, options.key.key())
}

fn serial(chosen: Option<&Serial>) -> Serial {
    chosen.cloned().unwrap_or_else(|| Serial::random().expect("random bytes"))
}

/// What a certificate is to be.
#[derive(Clone, Debug)]
pub struct LeafOptions {
    /// The subject's common name, which nobody reads.
    pub name: String,
    /// Host names.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// URIs.
    pub uris: Vec<String>,
    /// Extended key usages; no such extension if there are none.
    pub usages: Vec<Usage>,
    /// Its validity.
    pub validity: Validity,
    /// Its serial; a random one if `None`.
    pub serial: Option<Serial>,
    /// Its key.
    pub key: KeySource,
}

impl LeafOptions {
    /// One without any name or usage.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            dns: Vec::new(),
            addresses: Vec::new(),
            uris: Vec::new(),
            usages: Vec::new(),
            validity: Validity::days(LEAF_DAYS),
            serial: None,
            key: KeySource::default(),
        }
    }

    /// That of an agency in the default trust domain, `loteria`.
    pub fn agency(agency: u32) -> Self {
        Self {
            uris: vec![TrustDomain::default().agency_uri(agency)],
            usages: vec![Usage::Client],
            ..Self::new(&format!("agency-{agency}"))
        }
    }

    /// That of a central on this machine: `localhost`, 127.0.0.1 and `::1`.
    pub fn server() -> Self {
        Self {
            dns: vec!["localhost".to_owned()],
            addresses: vec![[127, 0, 0, 1].into(), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)],
            usages: vec![Usage::Server],
            ..Self::new("localhost")
        }
    }
}

/// A certificate, its key, and the authorities between it and the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The certificates in DER, the leaf first, without the root.
    pub chain: Vec<Vec<u8>>,
    /// The same as PEM, one after the other.
    pub chain_pem: String,
    /// The key as PKCS #8 in DER.
    pub key: Vec<u8>,
    /// The same as PEM.
    pub key_pem: String,
    /// The leaf's serial.
    pub serial: Serial,
}

impl Certified {
    /// Writes `NAME.pem` and `NAME.key`, the key with mode 0600, and returns their paths. Overwrites.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let [certificate, key] = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
        fs::write(&certificate, &self.chain_pem).expect("the certificate is written");
        if key.exists() {
            fs::remove_file(&key).expect("the old key is removed");
        }
        files::create(&key, Readers::Owner, &self.key_pem).expect("the key is written");
        (certificate, key)
    }
}

/// What a revocation list is to be.
#[derive(Clone, Debug)]
pub struct CrlOptions {
    /// Its number.
    pub number: u64,
    /// From `thisUpdate` to `nextUpdate`.
    pub validity: Validity,
    /// The serials that it revokes, since the beginning of its validity.
    pub revoked: Vec<Serial>,
}

impl Default for CrlOptions {
    fn default() -> Self {
        Self { number: 1, validity: Validity::days(CRL_DAYS), revoked: Vec::new() }
    }
}

/// A revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The list in DER.
    pub der: Vec<u8>,
    /// The list as PEM.
    pub pem: String,
}
