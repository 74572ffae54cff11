//! Whatever one says, all others hear: `cargo run -p reactor --example chat -- 127.0.0.1:7000`, then
//! `nc 127.0.0.1 7000` in several terminals. Shows lines that arrive in pieces, and peers that don't read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use reactor::{
    CloseReason, ConnectionId, Context, EventLoop, Handler, Hangup, Limits, ShutdownCause,
};

/// Most bytes that wait for one who doesn't read; then it misses lines.
const BACKLOG_MAX: usize = 64 * 1024;

#[derive(Default)]
struct Chat(BTreeMap<ConnectionId, SocketAddr>);

impl Handler for Chat {
    type Fatal = Infallible;

    fn on_open(&mut self, _cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        self.0.insert(connection, peer);
    }

    /// Takes whole lines alone: the rest comes again when more of it has arrived.
    fn on_data(&mut self, cx: &mut impl Context, from: ConnectionId, input: &[u8]) -> usize {
        let whole = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in input[..whole].split_inclusive(|byte| *byte == b'\n') {
            let others = self.0.keys().filter(|to| **to != from);
            for &to in others {
                if cx.unsent(to) < BACKLOG_MAX {
                    cx.send(to, &[format!("{}: ", self.0[&from]).as_bytes(), line].concat());
                }
            }
        }
        whole
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _rest: &[u8]) {
        cx.close(connection);
    }

    fn on_deadline(&mut self, _cx: &mut impl Context, _connection: ConnectionId) {}

    fn on_close(
        &mut self,
        _cx: &mut impl Context,
        connection: ConnectionId,
        _reason: &CloseReason,
    ) {
        self.0.remove(&connection);
    }

    fn on_shutdown(&mut self, _cx: &mut impl Context, _cause: ShutdownCause) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let mut event_loop = EventLoop::new(Limits::default())?;
    event_loop.handle_signals(Hangup::Shutdown)?;
    writeln!(io::stdout(), "listening at {}", event_loop.listen(address.parse()?, 128)?)?;
    // Whether the end was in order or forced by a second signal makes no difference here.
    let _ = event_loop.run(&mut Chat::default())?;
    Ok(())
}
