//! Names in certificates: of a central, of an agency, and of the domain that both belong to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::DnsName;

use crate::error::Error;

/// A central's name: what a client calls it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// A host name, in lower case. `*.` before it stands for any one label.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for ServerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => formatter.write_str(name),
            Self::Ip(address) => address.fmt(formatter),
        }
    }
}

impl FromStr for ServerName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        // A dot at its end is how a resolver is told not to search; certificates have none.
        let host = text.strip_prefix("*.").unwrap_or(text);
        if host.ends_with('.') || DnsName::try_from(host).is_err() {
            return Err(Error::NoServerName(text.to_owned()));
        }
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

/// The domain that agencies' names are in: `loteria` in `spiffe://loteria/agencia/3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the domain itself, which its authority has: a SPIFFE ID without a path.
    pub fn uri(&self) -> String {
        format!("spiffe://{}", self.0)
    }

    /// The name of agency `agency`.
    pub fn agency_uri(&self, agency: u32) -> String {
        format!("{}/agencia/{agency}", self.uri())
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self("loteria".to_owned())
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = Error;

    /// By the rules of the SPIFFE ID specification, section 2.1.
    fn from_str(text: &str) -> Result<Self, Error> {
        let is_of_domain =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if !(1..=255).contains(&text.len()) || !text.bytes().all(is_of_domain) {
            return Err(Error::NoTrustDomain(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses_are_told_apart() {
        let name = |text: &str| text.parse::<ServerName>().unwrap();
        assert_eq!(name("Server"), ServerName::Dns("server".into()));
        assert_eq!(name("*.loteria.example"), ServerName::Dns("*.loteria.example".into()));
        assert_eq!(name("127.0.0.1"), ServerName::Ip([127, 0, 0, 1].into()));
        assert_eq!(name("::1"), ServerName::Ip(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)));
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let long = "a.".repeat(127) + "ab";
        for text in
            ["", "a b", "a,b", "a.", "*", "*.*.b", "a*.b", "127.0.0.256", "[::1]", "ñ", &long]
        {
            assert!(text.parse::<ServerName>().is_err(), "{text}");
        }
    }

    #[test]
    fn trust_domains_are_those_of_spiffe() {
        let domain: TrustDomain = "lottery-2.example_1".parse().unwrap();
        assert_eq!(domain.agency_uri(7), "spiffe://lottery-2.example_1/agencia/7");
        for text in ["", "Loteria", "a/b", "a:1", "a b", "ñ", &"a".repeat(256)] {
            assert!(text.parse::<TrustDomain>().is_err(), "{text}");
        }
    }
}
