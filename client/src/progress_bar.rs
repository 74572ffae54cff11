//! A progress bar on a terminal.

mod terminal;

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::logging;

use crate::progress::Progress;
use terminal::Terminal;

/// Most draws per second.
const DRAWN_HZ: u8 = 20;

/// The bar. On standard error: standard output is for log lines.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar, if standard output and standard error are terminals.
    pub fn on_terminal() -> Option<Self> {
        if !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        Self::new("bets confirmed")
    }

    /// A bar that counts `what`, if the terminal can redraw a line.
    pub fn new(what: &str) -> Option<Self> {
        if std::env::var_os("TERM").is_none_or(|name| name == "dumb") {
            return None;
        }
        let template =
            format!("{{bar:30}} {{percent:>3}}% {{msg}} {what}, {{elapsed}} (about {{eta}} left)");
        let style = ProgressStyle::with_template(&template).ok()?;
        let screen =
            ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::open().ok()?), DRAWN_HZ);
        Some(Self { bar: ProgressBar::with_draw_target(Some(0), screen).with_style(style) })
    }

    /// Draws it, below the log lines that are waiting. Clears it when the run is `over`.
    pub fn show(&self, progress: Progress, over: bool) {
        if over {
            return self.bar.finish_and_clear();
        }
        if logging::is_waiting() {
            self.bar.suspend(logging::flush);
        }
        self.bar.set_length(progress.size);
        self.bar.set_position(progress.bytes);
        self.bar.set_message(progress.bets.to_string());
    }
}
