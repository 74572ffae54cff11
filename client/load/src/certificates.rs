//! Certificates for a lottery on this machine, of an authority in a folder that is thrown away.

use std::path::PathBuf;
use std::process::Command;

use pki::{Authority, Leaf, Options};
use wire::Agency;

/// The folder of the certificates.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Issues those of a central and so many agencies into a folder.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn issue(folder: PathBuf, agencies: Agency) -> Result<Self, pki::Error> {
        let authority = Authority::create(&folder, &Options::default())?;
        authority.issue_server(&["localhost", "127.0.0.1", "::1"], &Leaf::default())?;
        let agencies: Vec<_> = (1..=agencies).collect();
        authority.issue_agencies(&agencies, &Leaf::default())?;
        Ok(Self { folder })
    }

    /// Has a central take TLS alone.
    pub fn set_for_central(&self, command: &mut Command) {
        command.env("SERVER_TLS", "required");
        self.set_files(
            command,
            &[
                ("SERVER_TLS_CERT", "server.pem"),
                ("SERVER_TLS_KEY", "server.key"),
                ("SERVER_TLS_CLIENT_CA", "ca.pem"),
                ("SERVER_TLS_CRL", "crl.pem"),
            ],
        );
    }

    /// Has an agency use TLS.
    pub fn set_for_agency(&self, command: &mut Command, agency: Agency) {
        command.env("CLI_TLS", "on");
        self.set_files(
            command,
            &[
                ("CLI_TLS_CA", "ca.pem"),
                ("CLI_TLS_CRL", "crl.pem"),
                ("CLI_TLS_CERT", &format!("agency-{agency}.pem")),
                ("CLI_TLS_KEY", &format!("agency-{agency}.key")),
            ],
        );
    }

    fn set_files(&self, command: &mut Command, files: &[(&str, &str)]) {
        for (setting, file) in files {
            command.env(setting, self.folder.join(file));
        }
    }
}
