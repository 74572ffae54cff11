//! What peers are checked with: authorities, and the lists of what they have revoked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};

use crate::certificate::Certificate;
use crate::contents;
use crate::expiry::Expiry;
use crate::files::Reader;
use crate::problem::{LoadError, Problem, Role};
use crate::revocation_list::{self, RevocationList};
use crate::timestamp::Timestamp;

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFiles {
    /// The certificates of the authorities that a peer's certificate must come from.
    pub authorities: PathBuf,
    /// Their revocation lists. With a file, each authority must have one, an intermediate one too:
    /// whoever isn't known not to be revoked is refused. Without, nothing is looked up.
    pub revocations: Option<PathBuf>,
    /// Whether lists are used whose next ones should be there.
    pub allow_expired_lists: bool,
}

/// Authorities, and their revocation lists.
#[derive(Debug)]
pub(crate) struct Trust {
    authorities: Authorities,
    lists: Option<Lists>,
}

#[derive(Debug)]
struct Authorities {
    path: PathBuf,
    /// In the order of `roots`.
    certificates: Vec<Certificate>,
    roots: Arc<RootCertStore>,
}

#[derive(Debug)]
struct Lists {
    path: PathBuf,
    lists: Vec<RevocationList>,
}

impl Trust {
    /// # Errors
    /// A file can't be used; an authority has no list, or a list isn't the authority's, or expired.
    pub(crate) fn read(
        reader: &mut Reader,
        files: &TrustFiles,
        provider: &CryptoProvider,
        now: Timestamp,
    ) -> Result<Self, LoadError> {
        let authorities = Authorities::read(reader, &files.authorities)?;
        let lists = files.revocations.as_ref().map(|path| {
            let lists = Lists::read(reader, path)?;
            let checked = authorities.check_lists(&lists.lists, provider).and_then(|()| {
                if files.allow_expired_lists { Ok(()) } else { lists.check_in_date(now) }
            });
            checked.map_err(|problem| problem.of(Role::Revocations, path)).map(|()| lists)
        });
        Ok(Self { authorities, lists: lists.transpose()? })
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.authorities.roots)
    }

    /// All lists, as rustls reads them.
    pub(crate) fn list_ders(
        &self,
    ) -> impl Iterator<Item = CertificateRevocationListDer<'static>> + '_ {
        self.lists().iter().map(|list| list.der().clone())
    }

    pub(crate) fn authorities(&self) -> &[Certificate] {
        &self.authorities.certificates
    }

    pub(crate) fn lists(&self) -> &[RevocationList] {
        self.lists.as_ref().map_or(&[], |lists| &lists.lists)
    }

    /// Whether one of a peer's certificates, as it has shown them, is on a list, or can't be read.
    ///
    /// rustls isn't asked: it looks up nothing in the lists of a chain that has expired meanwhile.
    pub(crate) fn is_revoked(&self, chain: &[&[u8]]) -> bool {
        chain.iter().any(|der| {
            let der = CertificateDer::from(*der);
            let certificate = revocation_list::parse(&der);
            certificate.is_none_or(|it| self.lists().iter().any(|list| list.revokes(&it)))
        })
    }

    pub(crate) fn expiries(&self) -> impl Iterator<Item = Expiry> {
        let Authorities { path, certificates, .. } = &self.authorities;
        let certificates = certificates.iter().map(|it| Expiry::of_certificate(path, it));
        let lists = self
            .lists
            .iter()
            .flat_map(|Lists { path, lists }| lists.iter().map(|list| Expiry::of_list(path, list)));
        certificates.chain(lists)
    }

    /// A list gives way to no older one, and doesn't vanish unless its authority did: otherwise what
    /// was revoked would be valid again.
    pub(crate) fn check_successor(&self, new: &Self) -> Result<(), LoadError> {
        let Some(lists) = &new.lists else { return Ok(()) };
        let check = |old: &RevocationList| {
            let issuer = || old.issuer().to_owned();
            let of_same = lists.lists.iter().find(|list| list.is_about_the_same_as(old));
            match of_same {
                Some(list) if list.version().is_older_than(old.version()) => {
                    let (in_force, found) = (old.version().clone(), list.version().clone());
                    Err(Problem::OlderList { issuer: issuer(), in_force, found })
                }
                None if !self.was_withdrawn(old, new) => {
                    Err(Problem::ListGone { issuer: issuer() })
                }
                _ => Ok(()),
            }
        };
        let checked = self.lists().iter().try_for_each(check);
        checked.map_err(|problem| problem.of(Role::Revocations, &lists.path))
    }

    /// Whether the authority of a list is among these, and not among the new ones.
    fn was_withdrawn(&self, list: &RevocationList, new: &Self) -> bool {
        let has = |trust: &Self| trust.authorities.roots.roots.iter().any(|root| list.names(root));
        has(self) && !has(new)
    }
}

impl Authorities {
    fn read(reader: &mut Reader, path: &Path) -> Result<Self, LoadError> {
        let content = reader.read(Role::Authorities, path)?;
        let parsed = Self::parse(path, &content.bytes);
        parsed.map_err(|problem| problem.of(Role::Authorities, path))
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, Problem> {
        let mut roots = RootCertStore::empty();
        let mut certificates = Vec::new();
        for parsed in contents::certificates(text)? {
            if !parsed.certificate.is_authority() {
                let (line, subject) = (parsed.line, parsed.certificate.subject().to_owned());
                return Err(Problem::NotAnAuthority { line, subject });
            }
            roots
                .add(parsed.der)
                .map_err(|error| Problem::Refused { reason: error.to_string() })?;
            certificates.push(parsed.certificate);
        }
        Ok(Self { path: path.to_owned(), certificates, roots: Arc::new(roots) })
    }

    /// Each authority needs a list that it has signed. Lists of others may be those of intermediate
    /// ones, whose keys aren't known before a peer shows their certificates.
    fn check_lists(
        &self,
        lists: &[RevocationList],
        provider: &CryptoProvider,
    ) -> Result<(), Problem> {
        let roots = self.roots.roots.iter().zip(&self.certificates);
        for (root, certificate) in roots {
            self.check_lists_of(root, certificate, lists, provider)?;
        }
        Ok(())
    }

    fn check_lists_of(
        &self,
        root: &TrustAnchor<'_>,
        certificate: &Certificate,
        lists: &[RevocationList],
        provider: &CryptoProvider,
    ) -> Result<(), Problem> {
        let mut own = lists.iter().filter(|list| list.names(root)).peekable();
        let authorities = self.path.clone();
        if own.peek().is_none() {
            let authority = certificate.subject().to_owned();
            return Err(Problem::NoListOf { authority, authorities });
        }
        let algorithms = provider.signature_verification_algorithms.all;
        match own.find(|list| !list.is_signed_by(root, algorithms)) {
            Some(list) => {
                Err(Problem::ListSignature { issuer: list.issuer().to_owned(), authorities })
            }
            None => Ok(()),
        }
    }
}

impl Lists {
    fn read(reader: &mut Reader, path: &Path) -> Result<Self, LoadError> {
        let content = reader.read(Role::Revocations, path)?;
        let lists = contents::revocation_lists(&content.bytes)
            .and_then(|lists| only_once(&lists).map(|()| lists));
        let lists = lists.map_err(|problem| problem.of(Role::Revocations, path))?;
        Ok(Self { path: path.to_owned(), lists })
    }

    fn check_in_date(&self, now: Timestamp) -> Result<(), Problem> {
        match self.lists.iter().find(|list| list.is_expired_at(now)) {
            Some(list) => Err(Problem::ExpiredList {
                issuer: list.issuer().to_owned(),
                next_update: list.next_update(),
            }),
            None => Ok(()),
        }
    }
}

/// Of two lists for the same certificates only the first would be looked at.
fn only_once(lists: &[RevocationList]) -> Result<(), Problem> {
    let is_second = |(index, list): &(usize, &RevocationList)| {
        lists[..*index].iter().any(|before| before.is_about_the_same_as(list))
    };
    match lists.iter().enumerate().find(is_second) {
        Some((_, list)) => Err(Problem::SecondList { issuer: list.issuer().to_owned() }),
        None => Ok(()),
    }
}
