//! Every line of a peer goes to all others: `cargo run -p reactor --example chat -- 127.0.0.1:7000`, then
//! `nc 127.0.0.1 7000` in several terminals. Shows lines that arrive in pieces, and peers that don't read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use reactor::{CloseReason, ConnectionId, Context, EventLoop, Handler, Hangup, Limits};

/// Most unsent bytes of a peer that doesn't read; beyond it, the peer misses lines.
const UNSENT_MAX: usize = 64 * 1024;

#[derive(Default)]
struct Chat(BTreeMap<ConnectionId, SocketAddr>);

impl Handler for Chat {
    type Fatal = Infallible;

    fn on_open(&mut self, _cx: &mut impl Context, connection: ConnectionId, peer: SocketAddr) {
        self.0.insert(connection, peer);
    }

    /// Consumes whole lines only: the rest comes again when more of it has arrived.
    fn on_data(&mut self, cx: &mut impl Context, from: ConnectionId, input: &[u8]) -> usize {
        let whole = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in input[..whole].split_inclusive(|byte| *byte == b'\n') {
            let others = self.0.keys().filter(|to| **to != from);
            for &to in others {
                if cx.unsent(to) < UNSENT_MAX {
                    cx.send(to, &[format!("{}: ", self.0[&from]).as_bytes(), line].concat());
                }
            }
        }
        whole
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _rest: &[u8]) {
        cx.close(connection);
    }

    fn on_close(&mut self, _: &mut impl Context, connection: ConnectionId, _: &CloseReason) {
        self.0.remove(&connection);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let mut event_loop = EventLoop::new(Limits::default())?;
    event_loop.handle_signals(Hangup::Shutdown)?;
    writeln!(io::stdout(), "listening at {}", event_loop.listen(address.parse()?, 128)?)?;
    // Graceful or forced makes no difference here.
    let _ = event_loop.run(&mut Chat::default())?;
    Ok(())
}
