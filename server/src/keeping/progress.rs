//! How far a command has come, as one line of a terminal at standard error that is drawn again and again.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ledger::Progress;
use runtime::console;

/// Pause between two drawings.
const INTERVAL: Duration = Duration::from_millis(100);

/// Characters of the bar.
const WIDTH: u64 = 30;

/// Takes the line away.
const CLEAR: &str = "\r\x1b[2K";

/// The line; nothing at all where standard error is no terminal.
#[derive(Debug)]
pub struct ProgressLine {
    next: Option<Instant>,
    is_drawn: bool,
}

impl ProgressLine {
    /// One that isn't drawn yet: what takes less than the pause needs none.
    pub fn new() -> Self {
        let next = std::io::stderr().is_terminal().then(|| Instant::now() + INTERVAL);
        Self { next, is_drawn: false }
    }

    /// Draws it, if it is time to.
    pub fn show(&mut self, progress: Progress) -> ControlFlow<()> {
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + INTERVAL);
            self.is_drawn = true;
            console::complain(&format!("{CLEAR}{}", line(progress)));
        }
        ControlFlow::Continue(())
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.is_drawn {
            console::complain(CLEAR);
        }
    }
}

impl Default for ProgressLine {
    fn default() -> Self {
        Self::new()
    }
}

fn line(Progress { step, done, total }: Progress) -> String {
    let done = u128::from(done.min(total));
    let part = |whole: u64| {
        let part = done * u128::from(whole) / u128::from(total.max(1));
        usize::try_from(part).unwrap_or_default()
    };
    let (filled, percent) = (part(WIDTH), part(100));
    let empty = usize::try_from(WIDTH).unwrap_or_default() - filled;
    format!("{}{} {percent:>3}% {step}", "█".repeat(filled), "░".repeat(empty))
}

#[cfg(test)]
mod tests {
    use ledger::Step;

    use super::*;

    #[test]
    fn the_line_says_how_much_is_done_of_what() {
        let shown = |done, total| line(Progress { step: Step::ReadRows, done, total });
        let empty = "░".repeat(30);
        assert_eq!(shown(0, 0), format!("{empty}   0% read the rows"));
        let half = format!("{}{}  50% read the rows", "█".repeat(15), "░".repeat(15));
        assert_eq!(shown(1, 2), half);
        assert_eq!(shown(9, 3), format!("{} 100% read the rows", "█".repeat(30)));
        assert!(shown(u64::MAX - 1, u64::MAX).contains(" 99% "));
    }
}
