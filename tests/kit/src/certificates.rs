//! Certificates of a test's central and agencies, in files as the programs read them.

use std::fs;
use std::path::{Path, PathBuf};

use pki::Serial;
use pki::testing::{Ca, Certified, CrlOptions, LeafOptions};

/// An authority, what it has issued, and the folder of the files.
#[derive(Debug)]
pub struct Certificates {
    folder: tempfile::TempDir,
    ca: Ca,
    server: Certified,
    agencies: Vec<Certified>,
    revoked: Vec<Serial>,
    /// The number of the last revocation list.
    lists: u64,
}

impl Certificates {
    /// A new authority, with certificates for a central on this machine and for agencies 1 to
    /// `agencies`, and a revocation list without any.
    pub fn new(agencies: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = Ca::default();
        fs::write(folder.path().join("ca.pem"), ca.pem()).expect("written");
        let server = ca.issue(&LeafOptions::server());
        server.write(folder.path(), "server");
        let agencies = (1..=agencies).map(|agency| {
            let certified = ca.issue(&LeafOptions::agency(agency));
            certified.write(folder.path(), &format!("agency-{agency}"));
            certified
        });
        let agencies = agencies.collect();
        let mut certificates = Self { ca, server, agencies, folder, revoked: Vec::new(), lists: 0 };
        certificates.write_list();
        certificates
    }

    /// The authority.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// The central's certificate.
    pub fn server(&self) -> &Certified {
        &self.server
    }

    /// The certificate of an agency.
    pub fn agency(&self, agency: u32) -> &Certified {
        &self.agencies[agency as usize - 1]
    }

    /// Path of a file of the folder: `ca.pem`, `crl.pem`, `server.pem`, `server.key`, and
    /// `agency-1.pem`, `agency-1.key` and so on.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Folder of the files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Revokes certificates, beside those that were revoked before: writes the next list.
    pub fn revoke(&mut self, serials: &[&Serial]) {
        self.revoked.extend(serials.iter().copied().cloned());
        self.write_list();
    }

    fn write_list(&mut self) {
        self.lists += 1;
        let options = CrlOptions {
            number: self.lists,
            revoked: self.revoked.clone(),
            ..CrlOptions::default()
        };
        self.write("crl.pem", &self.ca.crl(&options).pem);
    }

    /// Replaces a file of the folder, as a whole.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, text).expect("written");
        fs::rename(new, self.path(name)).expect("replaced");
    }

    /// Settings of a central that takes TLS, with `SERVER_TLS` of this value.
    pub fn server_settings(&self, tls: &str) -> Vec<(&'static str, String)> {
        let file = |name| self.path(name).display().to_string();
        vec![
            ("SERVER_TLS", tls.to_owned()),
            ("SERVER_TLS_CERT", file("server.pem")),
            ("SERVER_TLS_KEY", file("server.key")),
            ("SERVER_TLS_CLIENT_CA", file("ca.pem")),
            ("SERVER_TLS_CRL", file("crl.pem")),
        ]
    }

    /// Settings of an agency's program that identifies itself with this certificate, by the name of
    /// its files.
    pub fn client_settings(&self, name: &str) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.path(name).display().to_string();
        vec![
            ("CLI_TLS", "on".to_owned()),
            ("CLI_TLS_CA", file("ca.pem")),
            ("CLI_TLS_CERT", file(&format!("{name}.pem"))),
            ("CLI_TLS_KEY", file(&format!("{name}.key"))),
        ]
    }
}
