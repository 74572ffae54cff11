//! An echo server in one file: `cargo run -p reactor --example echo -- 127.0.0.1:7000`, then
//! `nc 127.0.0.1 7000`. Ctrl-C ends it in order.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use reactor::{CloseReason, EventLoop, Hangup, Io, Limits, Service, StopCause, Token};

/// Longest silence of a peer.
const IDLE: Duration = Duration::from_mins(1);

struct Echo;

impl Service for Echo {
    type Fatal = Infallible;

    fn opened(&mut self, io: &mut impl Io, connection: Token, _peer: SocketAddr) {
        io.set_deadline(connection, Some(IDLE));
    }

    fn received(&mut self, io: &mut impl Io, connection: Token, input: &[u8]) -> usize {
        io.set_deadline(connection, Some(IDLE));
        io.send(connection, input);
        input.len()
    }

    fn ended(&mut self, io: &mut impl Io, connection: Token, _rest: &[u8]) {
        io.close(connection);
    }

    fn expired(&mut self, io: &mut impl Io, connection: Token) {
        io.abort(connection);
    }

    fn closed(&mut self, _io: &mut impl Io, _connection: Token, _reason: &CloseReason) {}

    fn stopping(&mut self, _io: &mut impl Io, _cause: StopCause) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let mut event_loop = EventLoop::new(Limits::default())?;
    event_loop.handle_signals(Hangup::Stops)?;
    writeln!(io::stdout(), "listening at {}", event_loop.listen(address.parse()?, 128)?)?;
    // Whether the end was in order or forced by a second signal makes no difference here.
    let _ = event_loop.run(&mut Echo)?;
    Ok(())
}
