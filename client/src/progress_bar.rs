//! A progress bar, for a person at a terminal.

mod terminal;

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::logging;

use crate::progress::Progress;
use terminal::Terminal;

/// How often it is drawn in a second, at most.
const DRAWN_HZ: u8 = 20;

/// The bar. On standard error: log lines have standard output to themselves.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar when there is a terminal to show it on; plain log lines are all there is otherwise.
    pub fn on_terminal() -> Option<Self> {
        if !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        Self::new("bets confirmed")
    }

    /// A bar on standard error, of things that are called `what`; none where lines can't be drawn over.
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

    /// Shows how far it is, with the turn's log lines above it. The end clears it away.
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
