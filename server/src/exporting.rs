//! `server export FILE`: writes the rows of a draw that etcd keeps, as `bets.csv` of a ledger has them,
//! each agency's in order.
//!
//! Everything is of one revision of etcd, so centrals may go on meanwhile. A file is complete or isn't
//! there: it is written beside its place and moved there at the end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster::{Export, ExportEvent};
use reactor::{CloseReason, ConnectionId, Context, Handler, Hangup, Outcome, RunError, TimerId};
use runtime::logging::{Level, Line, Success};
use runtime::{console, log_line};

use crate::config::{Config, EtcdConfig};
use crate::etcd_links::EtcdLinks;
use crate::joining::{self, JoinError};

/// What a file's name ends with until it is complete.
const PARTIAL: &str = ".partial";

/// Fires when etcd's client has something to do.
const STORE: TimerId = TimerId(0);

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The settings aren't those of a lottery in etcd.
    #[error("SERVER_STORE = file: expected etcd: a ledger's rows are in its bets.csv already")]
    Ledger,
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
    #[error("{}: expected to write it: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Waiting for etcd failed.
    #[error("waiting for etcd failed: {0}")]
    Wait(#[source] io::Error),
    /// A signal asked for the end before all was written.
    #[error("interrupted before everything was written")]
    Interrupted,
}

/// What a signal does.
#[derive(Debug, Clone, Copy)]
enum Signals {
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
pub fn export(config: &Config, to: &OsString) -> Result<Exported, ExportError> {
    let etcd = config.etcd.as_ref().ok_or(ExportError::Ledger)?;
    if to == "-" {
        // Nothing is left behind, so that a signal ends it at once: whoever reads may have stopped.
        let path = Path::new("standard output");
        return run(config, etcd, path, io::stdout().lock(), Signals::EndAtOnce);
    }
    let mut partial = to.clone();
    partial.push(PARTIAL);
    let (path, partial) = (Path::new(to), PathBuf::from(partial));
    let write_error = |source| ExportError::Write { path: partial.clone(), source };
    let file = File::create(&partial).map_err(write_error)?;
    let exported = run(config, etcd, &partial, &file, Signals::EndInOrder).and_then(|exported| {
        file.sync_all().and_then(|()| std::fs::rename(&partial, path)).map_err(write_error)?;
        Ok(exported)
    });
    if exported.is_err() {
        // Of no use; that it can't be removed changes nothing about the error.
        let _ = std::fs::remove_file(&partial);
    }
    exported
}

fn run(
    config: &Config,
    etcd: &EtcdConfig,
    path: &Path,
    out: impl Write,
    signals: Signals,
) -> Result<Exported, ExportError> {
    let (store, links) = joining::export(config, etcd)?;
    let mut event_loop =
        runtime::event_loop(config.limits.clone()).map_err(ExportError::EventLoop)?;
    if let Signals::EndInOrder = signals {
        event_loop.handle_signals(Hangup::Shutdown).map_err(ExportError::EventLoop)?;
    }
    let out = BufWriter::new(out);
    let mut exporting =
        Exporting { store, links, out, path, exported: None, has_complained: false };
    match event_loop.run(&mut exporting) {
        Ok(Outcome::Graceful | Outcome::Forced) => {}
        Err(RunError::Handler(error)) => return Err(error),
        Err(RunError::Poll(error)) => return Err(ExportError::Wait(error)),
    }
    // However it has ended: what counts is whether all was written.
    let exported = exporting.exported.ok_or(ExportError::Interrupted)?;
    let Exported { bets, finished, revision } = exported;
    let line = Line::new("export", Success).with("bets", bets).with("finished", finished);
    log_line!(Level::Debug, line.with("of", config.terms.agencies).with("revision", revision));
    Ok(exported)
}

struct Exporting<'p, W: Write> {
    store: Export,
    links: EtcdLinks,
    out: BufWriter<W>,
    /// For messages.
    path: &'p Path,
    exported: Option<Exported>,
    has_complained: bool,
}

impl<W: Write> Exporting<'_, W> {
    /// Says once why etcd doesn't answer: nothing else tells the operator what is waited for.
    fn complain(&mut self, reason: &CloseReason) {
        let is_failure = matches!(
            reason,
            CloseReason::NotConnected(_) | CloseReason::Failed(_) | CloseReason::Layer(_)
        );
        if is_failure && self.exported.is_none() && !self.has_complained {
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

    fn take_events(&mut self, cx: &mut impl Context) -> Result<(), ExportError> {
        let write_error = |source| ExportError::Write { path: self.path.to_owned(), source };
        while let Some(event) = self.store.poll_event() {
            match event {
                ExportEvent::Rows(rows) => self.out.write_all(&rows).map_err(write_error)?,
                ExportEvent::Done { revision, bets, finished } => {
                    self.out.flush().map_err(write_error)?;
                    self.exported = Some(Exported { bets, finished, revision });
                    cx.shutdown();
                }
                ExportEvent::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl<W: Write> Handler for Exporting<'_, W> {
    type Fatal = ExportError;

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

    fn before_flush(&mut self, cx: &mut impl Context) -> Result<(), ExportError> {
        self.pump(cx);
        self.take_events(cx)
    }
}
