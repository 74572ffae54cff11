//! An echo server in one file: `cargo run -p reactor --example echo -- 127.0.0.1:7000`, then
//! `nc 127.0.0.1 7000`. Ctrl-C ends it in order.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use reactor::{CloseReason, ConnectionId, Context, EventLoop, Handler, Hangup, Limits};

/// Longest silence of a peer.
const IDLE: Duration = Duration::from_mins(1);

struct Echo;

impl Handler for Echo {
    type Fatal = Infallible;

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _peer: SocketAddr) {
        cx.set_deadline(connection, Some(IDLE));
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        cx.set_deadline(connection, Some(IDLE));
        cx.send(connection, input);
        input.len()
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _rest: &[u8]) {
        cx.close(connection);
    }

    fn on_deadline(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        cx.abort(connection);
    }

    fn on_close(
        &mut self,
        _cx: &mut impl Context,
        _connection: ConnectionId,
        _reason: &CloseReason,
    ) {
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let mut event_loop = EventLoop::new(Limits::default())?;
    event_loop.handle_signals(Hangup::Shutdown)?;
    writeln!(io::stdout(), "listening at {}", event_loop.listen(address.parse()?, 128)?)?;
    // Graceful or forced makes no difference here.
    let _ = event_loop.run(&mut Echo)?;
    Ok(())
}
