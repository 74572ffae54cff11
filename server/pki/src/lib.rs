//! Certificates for a lottery: a certificate authority in a folder.
