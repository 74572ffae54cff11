//! Options of TCP sockets: what leaves at once, how a vanished peer is noticed, how much the kernel holds.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use socket2::{SockRef, Socket, TcpKeepalive};

/// Probes that a dead peer leaves unanswered before its connection fails.
pub(crate) const KEEPALIVE_PROBES: u32 = 3;

/// Time between two such probes.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Idle times after which the kernel can begin to probe, in whole seconds: `MAX_TCP_KEEPIDLE`.
const KEEPALIVE: RangeInclusive<u64> = 1..=32_767;

/// Sets what every connection has: small writes leave at once, and a peer that vanished without a
/// word is noticed.
pub(crate) fn set(socket: &SockRef<'_>, keepalive: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if keepalive.is_zero() {
        return Ok(());
    }
    let seconds = keepalive.as_secs().clamp(*KEEPALIVE.start(), *KEEPALIVE.end());
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(seconds))
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )
}

/// Sets the kernel's buffers in both directions; zero leaves them to the kernel. To be called before
/// the socket listens: the window that a connection offers is agreed upon at its beginning.
pub(crate) fn set_buffers(socket: &Socket, bytes: usize) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    socket.set_send_buffer_size(bytes)?;
    socket.set_recv_buffer_size(bytes)
}
