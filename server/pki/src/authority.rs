//! A certificate authority in a folder: makes it, issues certificates, installs them, revokes them.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, PublicKeyData as _, SanType,
};

use crate::certificate::{Certificate, RevocationList};
use crate::error::Error;
use crate::files::{self, Owner, Readers, failed};
use crate::key::KeyKind;
use crate::names::{ServerName, TrustDomain};
use crate::register::{Entry, Kind, Register};
use crate::serial::Serial;
use crate::template;
use crate::validity::{CA_DAYS, CRL_DAYS, LEAF_DAYS, Validity, whole_seconds};

const CERTIFICATE: &str = "ca.pem";
const PRIVATE: &str = "private";
const KEY: &str = "private/ca.key";
const LIST: &str = "crl.pem";
const LIST_NUMBER: &str = "crl-number";
const REGISTER: &str = "issued.csv";

/// What a new authority is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The domain that agencies' names are in. `loteria` by default.
    pub trust_domain: TrustDomain,
    /// The kind of its key.
    pub key: KeyKind,
    /// How long its certificate is valid: [`CA_DAYS`] by default.
    pub days: u16,
    /// How long its first revocation list is valid: [`CRL_DAYS`] by default.
    pub crl_days: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trust_domain: TrustDomain::default(),
            key: KeyKind::default(),
            days: CA_DAYS,
            crl_days: CRL_DAYS,
        }
    }
}

/// What a new certificate of a central or an agency is to be.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The kind of its key.
    pub key: KeyKind,
    /// How long it is valid: [`LEAF_DAYS`] by default.
    pub days: u16,
}

impl Default for Leaf {
    fn default() -> Self {
        Self { key: KeyKind::default(), days: LEAF_DAYS }
    }
}

/// The program that a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The central.
    Server,
    /// An agency, by its number.
    Agency(u32),
}

impl Holder {
    /// The name of its files, without their endings, and of its folder.
    fn stem(self) -> String {
        match self {
            Self::Server => "server".to_owned(),
            Self::Agency(agency) => format!("agency-{agency}"),
        }
    }

    /// The command that issues its certificate.
    fn command(self) -> String {
        match self {
            Self::Server => "server NAME...".to_owned(),
            Self::Agency(agency) => format!("agency {agency}"),
        }
    }
}

impl FromStr for Holder {
    type Err = Error;

    /// `server`, or an agency's number.
    fn from_str(text: &str) -> Result<Self, Error> {
        match (text, text.parse()) {
            ("server", _) => Ok(Self::Server),
            (_, Ok(0)) => Err(Error::AgencyZero),
            (_, Ok(agency)) => Ok(Self::Agency(agency)),
            _ => Err(Error::NoHolder(text.to_owned())),
        }
    }
}

/// A certificate that was issued, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of the key, which only its owner may read.
    pub key: PathBuf,
    /// When the certificate expires.
    pub expires: SystemTime,
}

/// What a revocation has done.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// The certificates, in the order in which they were named.
    pub revoked: Vec<Entry>,
    /// The new list, which has them.
    pub list: RevocationList,
}

/// A certificate authority in a folder.
///
/// Whatever signs holds a lock on the authority's key meanwhile, so that processes that use the same
/// folder wait for each other.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    certificate: Certificate,
    trust_domain: TrustDomain,
}

/// The authority's key, and the lock on it.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    _lock: File,
}

/// A certificate to issue.
struct Request {
    kind: Kind,
    /// What the list of issued certificates calls it.
    name: String,
    /// The name of its files, without their endings.
    stem: String,
    common_name: String,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
}

impl Authority {
    /// Makes an authority: its key, its certificate and an empty revocation list. `folder` is made if it
    /// isn't there.
    ///
    /// # Errors
    /// When any of its files is there already, or one can't be written.
    pub fn create(folder: &Path, options: &Options) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(failed(folder, "create"))?;
        let files = [CERTIFICATE, PRIVATE, LIST, LIST_NUMBER, REGISTER];
        files::refuse_existing(files.map(|name| folder.join(name)))?;
        let serial = Serial::random()?;
        let name = template::authority_name(&options.trust_domain, &serial);
        let mut params = template::authority(&name, &serial, Validity::days(options.days), 0);
        let made = "the authority's certificate";
        // As SPIFFE wants it; it is also where the domain is read from later.
        let uri = template::uri(&options.trust_domain.uri()).map_err(Error::signing(made))?;
        params.subject_alt_names = vec![uri];
        let key = options.key.generate()?;
        let certificate = params.self_signed(&key).map_err(Error::signing(made))?;

        // Of two that make one at the same time, the second ends here.
        create_private(&folder.join(PRIVATE))?;
        files::create(&folder.join(KEY), Readers::Owner, &key.serialize_pem())?;
        files::create(&folder.join(CERTIFICATE), Readers::Everybody, &certificate.pem())?;
        files::sync_folder(&folder.join(PRIVATE))?;
        Register::new(&folder.join(REGISTER)).write()?;
        files::replace(&folder.join(LIST_NUMBER), "0\n")?;
        let authority = Self::open(folder)?;
        authority.reissue_crl(options.crl_days)?;
        Ok(authority)
    }

    /// Opens the authority in `folder`. Its key isn't read before something is signed.
    ///
    /// # Errors
    /// When there is none, or its certificate can't be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(CERTIFICATE);
        if !path.exists() {
            return Err(Error::NoAuthority { folder: folder.to_owned(), missing: CERTIFICATE });
        }
        let certificate = Certificate::read(&path)?;
        let domain = match &certificate.uris[..] {
            [uri] => uri.strip_prefix("spiffe://").and_then(|domain| domain.parse().ok()),
            _ => None,
        };
        let trust_domain = domain.ok_or_else(|| Error::Unexpected {
            path,
            expected: "a certificate whose one URI is spiffe:// and a trust domain",
            found: format!("the URIs {:?}", certificate.uris),
        })?;
        Ok(Self { folder: folder.to_owned(), certificate, trust_domain })
    }

    /// The domain that agencies' names are in.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The serial of the authority's own certificate.
    pub fn serial(&self) -> &Serial {
        &self.certificate.serial
    }

    /// When the authority's certificate expires.
    pub fn expires(&self) -> SystemTime {
        self.certificate.until
    }

    /// The file of the authority's certificate.
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    /// The file of the authority's key.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join(KEY)
    }

    /// The file of the revocation list.
    pub fn crl_path(&self) -> PathBuf {
        self.folder.join(LIST)
    }

    /// What was issued, in that order.
    ///
    /// # Errors
    /// When the list can't be read.
    pub fn entries(&self) -> Result<Vec<Entry>, Error> {
        Ok(self.register()?.entries)
    }

    /// The revocation list that is in force.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn revocation_list(&self) -> Result<RevocationList, Error> {
        RevocationList::read(&self.crl_path())
    }

    /// Issues a central's certificate, for these host names and addresses: `server.pem` and
    /// `server.key`.
    ///
    /// # Errors
    /// When there is no name, one is none, the files exist or can't be written, or the certificate would
    /// outlive the authority's.
    pub fn issue_server<N: AsRef<str>>(&self, names: &[N], leaf: &Leaf) -> Result<Issued, Error> {
        let names: Vec<ServerName> =
            names.iter().map(|name| name.as_ref().parse()).collect::<Result<_, _>>()?;
        let first = names.first().ok_or(Error::NoServerNames)?;
        let texts: Vec<_> = names.iter().map(ToString::to_string).collect();
        let request = Request {
            kind: Kind::Server,
            name: texts.join(" "),
            stem: Holder::Server.stem(),
            common_name: first.to_string(),
            names: names
                .iter()
                .map(template::server_name)
                .collect::<Result<_, _>>()
                .map_err(Error::signing("the central's names"))?,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        };
        let mut issued = self.issue(vec![request], leaf)?;
        Ok(issued.remove(0))
    }

    /// Issues the certificate of agency `agency`: `agency-N.pem` and `agency-N.key`.
    ///
    /// # Errors
    /// As [`Self::issue_agencies`].
    pub fn issue_agency(&self, agency: u32, leaf: &Leaf) -> Result<Issued, Error> {
        let mut issued = self.issue_agencies(&[agency], leaf)?;
        Ok(issued.remove(0))
    }

    /// Issues the certificates of several agencies, in the order of their numbers. If a file of any of
    /// them exists, none is issued.
    ///
    /// # Errors
    /// When a number is 0, the files exist or can't be written, or the certificates would outlive the
    /// authority's.
    pub fn issue_agencies(&self, agencies: &[u32], leaf: &Leaf) -> Result<Vec<Issued>, Error> {
        let agencies: BTreeSet<_> = agencies.iter().copied().collect();
        let requests = agencies.into_iter().map(|agency| self.agency_request(agency));
        self.issue(requests.collect::<Result<_, _>>()?, leaf)
    }

    fn agency_request(&self, agency: u32) -> Result<Request, Error> {
        if agency == 0 {
            return Err(Error::AgencyZero);
        }
        let uri = template::uri(&self.trust_domain.agency_uri(agency));
        let stem = Holder::Agency(agency).stem();
        Ok(Request {
            kind: Kind::Agency,
            name: agency.to_string(),
            common_name: stem.clone(),
            stem,
            names: vec![uri.map_err(Error::signing("the agency's name"))?],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
        })
    }

    /// Issues certificates: all, or none unless a file can't be written.
    fn issue(&self, requests: Vec<Request>, leaf: &Leaf) -> Result<Vec<Issued>, Error> {
        let validity = Validity::days(leaf.days);
        if validity.until > self.certificate.until {
            let until = humantime::format_rfc3339_seconds(self.certificate.until).to_string();
            return Err(Error::OutlivesAuthority { days: leaf.days, until });
        }
        let signer = self.lock()?;
        let paths = requests.iter().flat_map(|request| self.paths(&request.stem));
        files::refuse_existing(paths)?;
        let mut register = self.register()?;
        let mut made = Vec::new();
        for request in requests {
            let serial = Serial::random()?;
            let key = leaf.key.generate()?;
            let Request { kind, name, stem, common_name, names, usage } = request;
            let params = template::leaf(&common_name, &serial, validity, names, vec![usage]);
            let certificate = signer.sign(&params, &key)?;
            let expires = validity.until;
            register.entries.push(Entry {
                serial: serial.clone(),
                kind,
                name,
                expires,
                revoked: None,
            });
            let [certificate_path, key_path] = self.paths(&stem);
            let issued = Issued { serial, certificate: certificate_path, key: key_path, expires };
            made.push((issued, certificate, key.serialize_pem()));
        }
        // What was issued is known before it can be used: it could never be revoked otherwise.
        register.write()?;
        for (issued, certificate, key) in &made {
            files::create(&issued.key, Readers::Owner, key)?;
            files::create(&issued.certificate, Readers::Everybody, certificate)?;
        }
        files::sync_folder(&self.folder)?;
        Ok(made.into_iter().map(|(issued, ..)| issued).collect())
    }

    /// Copies what a program needs into a folder of its own below `to`, `server` or `agency-N`: the
    /// authority's certificate and revocation list, its own certificate and its key. Copies that are there
    /// are replaced. Returns the folder.
    ///
    /// The files are `owner`'s, if there is one, which only a privileged process may do; `owner` may also
    /// enter the folder.
    ///
    /// # Errors
    /// When the certificate wasn't issued, or a file can't be read or written.
    pub fn install(
        &self,
        holder: Holder,
        to: &Path,
        owner: Option<Owner>,
    ) -> Result<PathBuf, Error> {
        let [certificate, key] = self.paths(&holder.stem());
        if !certificate.exists() {
            return Err(Error::NotIssued { path: certificate, command: holder.command() });
        }
        let folder = to.join(holder.stem());
        fs::create_dir_all(&folder).map_err(failed(&folder, "create"))?;
        if owner.is_some() {
            let entered = Permissions::from_mode(0o755);
            fs::set_permissions(&folder, entered).map_err(failed(&folder, "open"))?;
        }
        let copies = [
            (self.certificate_path(), Readers::Everybody),
            (self.crl_path(), Readers::Everybody),
            (certificate, Readers::Everybody),
            (key, Readers::Owner),
        ];
        for (path, readers) in copies {
            let name = path.file_name().unwrap_or_default();
            files::copy(&path, &folder.join(name), readers, owner)?;
        }
        files::sync_folder(&folder)?;
        Ok(folder)
    }

    /// Revokes certificates, and reissues the revocation list, to be valid for `days` days. One that is
    /// revoked already stays so since the same time.
    ///
    /// # Errors
    /// When one wasn't issued here (none is revoked then), or a file can't be written.
    pub fn revoke(&self, serials: &[Serial], days: u16) -> Result<Revocation, Error> {
        let signer = self.lock()?;
        let mut register = self.register()?;
        let now = whole_seconds(SystemTime::now());
        let mut revoked = Vec::new();
        for serial in serials {
            let entry = register.find(serial);
            let entry = entry.ok_or_else(|| Error::UnknownSerial(serial.to_string()))?;
            entry.revoked.get_or_insert(now);
            revoked.push(entry.clone());
        }
        register.write()?;
        Ok(Revocation { revoked, list: self.write_crl(&signer, &register, days)? })
    }

    /// Reissues the revocation list, to be valid for `days` days.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn reissue_crl(&self, days: u16) -> Result<RevocationList, Error> {
        let signer = self.lock()?;
        self.write_crl(&signer, &self.register()?, days)
    }

    fn write_crl(
        &self,
        signer: &Signer,
        register: &Register,
        days: u16,
    ) -> Result<RevocationList, Error> {
        let number_path = self.folder.join(LIST_NUMBER);
        let last = files::read(&number_path)?;
        let number = last.trim().parse::<u64>().ok().and_then(|last| last.checked_add(1));
        let number = number.ok_or_else(|| Error::Unexpected {
            path: number_path.clone(),
            expected: "the number of the last revocation list",
            found: format!("{last:?}"),
        })?;
        let revoked = register.entries.iter();
        let revoked = revoked.filter_map(|entry| Some((entry.serial.clone(), entry.revoked?)));
        let validity = Validity::days(days);
        let pem = template::revocation_list(number, validity, revoked)
            .signed_by(&signer.issuer)
            .and_then(|list| list.pem())
            .map_err(Error::signing("the revocation list"))?;
        // A number that is lost is no harm; one that is used twice is.
        files::replace(&number_path, &format!("{number}\n"))?;
        files::replace(&self.crl_path(), &pem)?;
        Ok(RevocationList { path: self.crl_path(), number, until: validity.until })
    }

    /// Waits until no other process signs, and reads the key.
    fn lock(&self) -> Result<Signer, Error> {
        let path = self.key_path();
        let mut file = File::open(&path).map_err(failed(&path, "read"))?;
        file.lock().map_err(failed(&path, "lock"))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed(&path, "read"))?;
        let unexpected = |found: String| Error::Unexpected {
            path: path.clone(),
            expected: "the key of the authority's certificate",
            found,
        };
        let key = KeyPair::from_pem(&text).map_err(|error| unexpected(error.to_string()))?;
        if key.subject_public_key_info() != self.certificate.public_key {
            return Err(unexpected("another".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der[..].into(), key);
        Ok(Signer { issuer: issuer.map_err(Error::signing(CERTIFICATE))?, _lock: file })
    }

    fn register(&self) -> Result<Register, Error> {
        Register::read(&self.folder.join(REGISTER))
    }

    fn paths(&self, stem: &str) -> [PathBuf; 2] {
        ["pem", "key"].map(|ending| self.folder.join(format!("{stem}.{ending}")))
    }
}

impl Signer {
    /// The certificate as PEM.
    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Result<String, Error> {
        let certificate = params.signed_by(key, &self.issuer);
        Ok(certificate.map_err(Error::signing("a certificate"))?.pem())
    }
}

/// Makes a folder that only its owner may enter.
fn create_private(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(vec![path.to_owned()]),
        _ => failed(path, "create")(error),
    })
}
