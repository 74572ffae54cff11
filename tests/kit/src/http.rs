//! HTTP as a client of the admin listener needs it: a request, and its response taken apart.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::log;

/// A response.
#[derive(Debug)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body; empty when only the head was read.
    pub body: String,
}

/// The port of the admin listener, as the log says it.
pub fn admin_port(log: &str) -> u16 {
    let line = log::successes(log, "listen_admin").next();
    line.and_then(|line| line.value("port")).expect("an admin listener")
}

/// A request by GET.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

/// Reads a head, up to and without its empty line.
///
/// # Errors
/// Those of the stream.
pub fn receive_head(stream: &mut impl Read) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    head.truncate(head.len() - 4);
    Ok(String::from_utf8(head).expect("text"))
}

/// The next response. It must say how long its body is.
///
/// # Errors
/// Those of the stream.
pub fn receive(stream: &mut impl Read) -> io::Result<Response> {
    let head = receive_head(stream)?;
    let mut response = parse(&head);
    let length = response.headers["content-length"].parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    response.body = String::from_utf8(body).expect("text");
    Ok(response)
}

/// The response to a request by GET.
///
/// # Errors
/// Those of the stream.
pub fn ask(stream: &mut (impl Read + Write), target: &str) -> io::Result<Response> {
    stream.write_all(get(target).as_bytes())?;
    receive(stream)
}

/// A response without its body.
pub fn parse(head: &str) -> Response {
    let mut lines = head.split("\r\n");
    let first = lines.next().expect("a line");
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Response {
        status: status.and_then(|status| status.parse().ok()).expect("a status code"),
        headers: headers.collect(),
        body: String::new(),
    }
}

/// The metrics in a response as they are written, by their names with labels.
pub fn metrics(text: &str) -> BTreeMap<String, String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.to_owned())
    });
    pairs.collect()
}
