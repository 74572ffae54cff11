//! What the kernel holds of a connection over loopback, as `/proc/net/tcp` shows it.

use std::fs;
use std::net::{SocketAddr, TcpStream};

/// Bytes that were written to this socket and that the other end hasn't read.
pub(crate) fn unread(stream: &TcpStream) -> u64 {
    let own = hexadecimal(stream.local_addr().expect("it is bound"));
    let other = hexadecimal(stream.peer_addr().expect("it was connected"));
    let table = fs::read_to_string("/proc/net/tcp").expect("on Linux");
    let sockets = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect());
    let held = sockets.map(|fields: Vec<_>| {
        let (unacknowledged, unread) = fields[4].split_once(':').expect("two queues");
        match (fields[1], fields[2]) {
            ends if ends == (&own, &other) => number(unacknowledged),
            ends if ends == (&other, &own) => number(unread),
            _ => 0,
        }
    });
    held.sum()
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("a hexadecimal number")
}

/// An address as the kernel writes it there: in the order that its bytes have in memory.
fn hexadecimal(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("{address} isn't of IPv4") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}
