//! The HTTP/1.1 of etcd's gateway: requests in a stream, and responses as bytes, as either version sends
//! them.

use serde_json::json;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// What it goes to, as `/v3/kv/txn`.
    pub resource: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// Finds requests in a stream that arrives in pieces.
#[derive(Debug, Default)]
pub struct RequestReader {
    held: Vec<u8>,
}

impl RequestReader {
    /// More bytes have arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next request that is whole.
    pub fn next_request(&mut self) -> Option<HttpRequest> {
        let end = self.held.windows(4).position(|at| at == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.held[..end]).expect("text");
        let resource = head.strip_prefix("POST ").and_then(|rest| rest.split(' ').next());
        let resource = resource.expect("the gateway is asked by POST").to_owned();
        let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.split('\r').next());
        let length: usize = length.and_then(|text| text.parse().ok()).expect("a length");
        let body = self.held.get(end..end + length)?.to_vec();
        self.held.drain(..end + length);
        Some(HttpRequest { resource, body })
    }
}

/// A response whose head says how long it is.
pub fn response(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} A\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The head of a response that comes in chunks: an error of 3.4, or a watch.
pub fn chunked_head(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} A\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes()
}

/// One chunk.
pub fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// The end of the chunks, with a trailer, as 3.4 has it.
pub fn last_chunk() -> Vec<u8> {
    b"0\r\nGrpc-Trailer-A: b\r\n\r\n".to_vec()
}

/// The status and the body of an error, with a code of gRPC.
pub fn refusal(status: u16, code: u32, message: &str) -> (u16, String) {
    (status, json!({ "error": message, "code": code, "message": message }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_however_they_are_cut() {
        let bytes = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}POST /b HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let (mut reader, mut found) = (RequestReader::default(), Vec::new());
        for byte in bytes {
            reader.feed(&[*byte]);
            found.extend(reader.next_request());
        }
        let request = |resource: &str, body: &[u8]| HttpRequest {
            resource: resource.to_owned(),
            body: body.to_vec(),
        };
        assert_eq!(found, [request("/a", b"{}"), request("/b", b"")]);
        assert_eq!(reader.next_request(), None);
    }
}
