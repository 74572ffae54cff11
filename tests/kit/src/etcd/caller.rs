//! How a test itself asks a member of etcd: by a connection of its own, or by `curl` where that can't reach
//! the member, or the member wants TLS. Knows HTTP; nothing of what is asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use crate::networks::Host;
use crate::process::{TIMEOUT, output};

/// How a member is asked.
#[derive(Debug)]
pub(super) enum Caller {
    /// By a connection.
    Socket,
    /// By `curl`.
    Curl {
        /// On this host; `None` for this machine.
        host: Option<Host>,
        /// Further arguments.
        arguments: Vec<String>,
    },
}

impl Caller {
    pub(super) fn from_host(host: Host) -> Self {
        Self::Curl { host: Some(host), arguments: Vec::new() }
    }

    pub(super) fn over_tls(ca: &str, certificate: &str, key: &str) -> Self {
        let arguments = ["--cacert", ca, "--cert", certificate, "--key", key];
        Self::Curl { host: None, arguments: arguments.map(str::to_owned).to_vec() }
    }

    /// The response, head and body, to who has this token; nothing when there is none. HTTP/1.0: no chunks,
    /// and the response ends with the connection.
    pub(super) fn call(
        &self,
        scheme: &str,
        address: SocketAddr,
        resource: &str,
        body: &str,
        token: Option<&str>,
    ) -> Option<String> {
        let header = token.map(|token| format!("Authorization: {token}"));
        match self {
            Self::Socket => by_socket(address, resource, body, header.as_deref()),
            Self::Curl { host, arguments } => {
                let mut curl = Command::new("curl");
                curl.args([
                    "--silent",
                    "--include",
                    "--http1.0",
                    "--no-alpn",
                    "--noproxy",
                    "*",
                    "--data",
                    body,
                ])
                .args(["--max-time", &TIMEOUT.as_secs().to_string()])
                .args(arguments)
                .args(header.iter().flat_map(|header| ["--header", header]))
                .arg(format!("{scheme}://{address}{resource}"));
                if let Some(host) = host {
                    curl = host.command(&curl);
                }
                let ended = output(&mut curl);
                let response = String::from_utf8(ended.stdout).expect("text");
                ended.status.success().then_some(response)
            }
        }
    }
}

fn by_socket(
    address: SocketAddr,
    resource: &str,
    body: &str,
    header: Option<&str>,
) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let length = body.len();
    let header = header.map(|header| format!("{header}\r\n")).unwrap_or_default();
    let head = format!("POST {resource} HTTP/1.0\r\n{header}Content-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    Some(response)
}
