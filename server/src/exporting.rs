//! Reads a draw that etcd keeps: for `server export FILE`, which writes its rows as `bets.csv` of a ledger has
//! them, each agency's in order, and for a check.
//!
//! Everything is of one revision of etcd, so centrals may go on meanwhile. Rows that a ledger keeps are
//! exported by [`keeping`](crate::keeping).

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;

use cluster::{Export, ExportEvent};
use reactor::{CloseReason, ConnectionId, Context, Handler, Hangup, Outcome, RunError, TimerId};
use runtime::logging::{Level, Line, Success};
use runtime::{console, log_line};

use crate::config::{Config, EtcdConfig};
use crate::etcd_links::EtcdLinks;
use crate::joining::{self, JoinError};
use crate::whole_file::{self, WriteError};

/// Fires when etcd's client has something to do.
const STORE: TimerId = TimerId(0);

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// etcd can't be asked.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The loop can't be had.
    #[error("can't set up the event loop: {0}")]
    EventLoop(#[source] io::Error),
    /// The draw can't be read.
    #[error(transparent)]
    Read(#[from] cluster::Error),
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Waiting for etcd failed.
    #[error("waiting for etcd failed: {0}")]
    Wait(#[source] io::Error),
    /// A signal asked for the end before all was written.
    #[error("interrupted before everything was written")]
    Interrupted,
}

/// What a signal does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signals {
    /// It ends the process.
    EndAtOnce,
    /// The file that isn't complete is removed.
    EndInOrder,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Rows.
    pub bets: u64,
    /// Agencies that have finished.
    pub finished: u32,
    /// The revision of etcd that the rows are of.
    pub revision: i64,
}

/// Writes the rows of the draw to `to`, `-` for standard output.
///
/// # Errors
/// [`ExportError`]; there is no file then, or the one that was there before.
pub fn export(config: &Config, etcd: &EtcdConfig, to: &OsStr) -> Result<Exported, ExportError> {
    let signals = if whole_file::is_standard_output(to) {
        // Nothing is left behind, so that a signal ends it at once: whoever reads may have stopped.
        Signals::EndAtOnce
    } else {
        Signals::EndInOrder
    };
    whole_file::write(to, |path, out| {
        let mut out = BufWriter::new(out);
        let write_error = |source| WriteError { path: path.to_owned(), source };
        let (exported, _) = read(config, etcd, What::Rows, signals, |event| match event {
            ExportEvent::Rows(rows) => Ok(out.write_all(&rows).map_err(write_error)?),
            _ => Ok::<_, ExportError>(()),
        })?;
        out.flush().map_err(write_error)?;
        Ok(exported)
    })
}

/// What of a draw is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Its rows.
    Rows,
    /// All that is kept of it, which is compared with its accounts.
    Everything,
}

/// Hands what is read to `take`; says how much it was, and whether the draw was held, if everything was read.
///
/// # Errors
/// [`ExportError`], or that of `take`.
pub(crate) fn read<E>(
    config: &Config,
    etcd: &EtcdConfig,
    what: What,
    signals: Signals,
    take: impl FnMut(ExportEvent) -> Result<(), E>,
) -> Result<(Exported, bool), E>
where
    E: std::error::Error + From<ExportError>,
{
    let (store, links) = joining::export(config, etcd).map_err(ExportError::from)?;
    let store = if what == What::Everything { store.of_everything() } else { store };
    let mut event_loop =
        runtime::event_loop(config.limits.clone()).map_err(ExportError::EventLoop)?;
    if let Signals::EndInOrder = signals {
        event_loop.handle_signals(Hangup::Shutdown).map_err(ExportError::EventLoop)?;
    }
    let mut reading = Reading { store, links, take, done: None, has_complained: false };
    match event_loop.run(&mut reading) {
        Ok(Outcome::Graceful | Outcome::Forced) => {}
        Err(RunError::Handler(error)) => return Err(error),
        Err(RunError::Poll(error)) => return Err(ExportError::Wait(error).into()),
    }
    // However it has ended: what counts is whether all was read.
    let done = reading.done.ok_or(ExportError::Interrupted)?;
    let Exported { bets, finished, revision } = done.0;
    let line = Line::new("export", Success).with("bets", bets).with("finished", finished);
    log_line!(Level::Debug, line.with("of", config.terms.agencies).with("revision", revision));
    Ok(done)
}

struct Reading<F> {
    store: Export,
    links: EtcdLinks,
    take: F,
    /// All was read; whether the draw was held.
    done: Option<(Exported, bool)>,
    has_complained: bool,
}

impl<F> Reading<F> {
    /// Says once why etcd doesn't answer: nothing else tells the operator what is waited for.
    fn complain(&mut self, reason: &CloseReason) {
        let is_failure = matches!(
            reason,
            CloseReason::NotConnected(_) | CloseReason::Failed(_) | CloseReason::Layer(_)
        );
        if is_failure && self.done.is_none() && !self.has_complained {
            self.has_complained = true;
            console::complain(&format!("a member of etcd isn't reached, asking on: {reason}\n"));
        }
    }

    fn pump(&mut self, cx: &mut impl Context) {
        while let Some(action) = self.store.poll_action() {
            self.links.act(cx, &action);
        }
        let after = self.store.next_deadline().map(|at| at.saturating_duration_since(cx.now()));
        cx.set_timer(STORE, after);
    }

    fn take_events<E>(&mut self, cx: &mut impl Context) -> Result<(), E>
    where
        E: From<ExportError>,
        F: FnMut(ExportEvent) -> Result<(), E>,
    {
        while let Some(event) = self.store.poll_event() {
            match event {
                ExportEvent::Done { revision, bets, finished, is_drawn } => {
                    self.done = Some((Exported { bets, finished, revision }, is_drawn));
                    cx.shutdown();
                }
                ExportEvent::Failed(error) => return Err(ExportError::from(error).into()),
                event => (self.take)(event)?,
            }
        }
        Ok(())
    }
}

impl<E, F> Handler for Reading<F>
where
    E: std::error::Error + From<ExportError>,
    F: FnMut(ExportEvent) -> Result<(), E>,
{
    type Fatal = E;

    fn on_start(&mut self, cx: &mut impl Context) {
        self.store.start(cx.now());
        self.pump(cx);
    }

    fn on_open(&mut self, cx: &mut impl Context, connection: ConnectionId, _: SocketAddr) {
        if let Some(number) = self.links.on_open(cx, connection) {
            self.store.on_connected(number, cx.now());
        }
    }

    fn on_handshake(&mut self, cx: &mut impl Context, connection: ConnectionId) {
        if let Some(number) = self.links.number(connection) {
            self.store.on_connected(number, cx.now());
        }
    }

    fn on_data(&mut self, cx: &mut impl Context, connection: ConnectionId, input: &[u8]) -> usize {
        let Some(number) = self.links.number(connection) else { return input.len() };
        self.store.on_data(number, input, cx.now())
    }

    fn on_eof(&mut self, cx: &mut impl Context, connection: ConnectionId, _: &[u8]) {
        if let Some(number) = self.links.remove(cx, connection) {
            self.store.on_closed(number, cx.now());
        }
    }

    fn on_close(&mut self, cx: &mut impl Context, connection: ConnectionId, reason: &CloseReason) {
        if let Some(number) = self.links.remove(cx, connection) {
            self.complain(reason);
            self.store.on_closed(number, cx.now());
        }
    }

    fn on_timer(&mut self, cx: &mut impl Context, _: TimerId) {
        self.store.on_time(cx.now());
    }

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), E> {
        self.pump(cx);
        self.take_events(cx)
    }
}
