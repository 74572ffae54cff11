//! Serves echo connections: lines in, lines out.

use reactor::{ConnectionId, Context};

use super::connection_log;
use super::echo::{EchoLog, Echoed, End};
use super::shared::Shared;

/// Echoes the lines that are whole in `input`; returns how many bytes were taken.
pub(crate) fn on_data(
    cx: &mut impl Context,
    shared: &mut Shared,
    connection: ConnectionId,
    input: &[u8],
) -> usize {
    echo(cx, shared, connection, input, End::NotYet)
}

/// The peer sends nothing more: echoes the last line, which needs no newline, and closes.
pub(crate) fn on_eof(
    cx: &mut impl Context,
    shared: &mut Shared,
    connection: ConnectionId,
    rest: &[u8],
) {
    echo(cx, shared, connection, rest, End::Reached);
    shared.close(cx, connection);
}

/// A connection that isn't an agency's was silent for too long, or for the rest of a line.
pub(crate) fn on_deadline(cx: &mut impl Context, shared: &mut Shared, connection: ConnectionId) {
    let Some(session) = shared.sessions.get(connection) else { return };
    let reason = session.timeout_reason();
    connection_log::log_silence(&mut shared.log, session.ip(), reason);
    if session.is_partial() {
        cx.send(connection, format!("error: {reason}\n").as_bytes());
    }
    shared.close(cx, connection);
}

fn echo(
    cx: &mut impl Context,
    shared: &mut Shared,
    connection: ConnectionId,
    input: &[u8],
    end: End,
) -> usize {
    let Shared { config, sessions, log: budget, .. } = shared;
    let Some(session) = sessions.get(connection) else { return input.len() };
    let (ip, level) = (session.ip(), session.log_level());
    let Some(echo) = session.echo() else { return input.len() };
    let mut log = EchoLog { budget, ip, level };
    let send = |bytes: &[u8]| cx.send(connection, bytes);
    match echo.receive(input, end, config.echo_keep_alive, &mut log, send) {
        Echoed::Consumed(count) => count,
        Echoed::Done => {
            shared.close(cx, connection);
            input.len()
        }
    }
}
