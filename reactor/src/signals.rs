//! Signals as one more source in the poll, and what each of them means.
//!
//! | signal | meaning |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | the loop shuts down; a second one ends it at once ([`ShutdownSignals`]) |
//! | SIGPWR, SIGXCPU, SIGALRM | the same: power fails (and LXC stops a container so), processor time is used up, an `alarm` from before `exec` has expired |
//! | SIGHUP | the program chooses: [`Hangup`] |
//! | SIGUSR1, SIGUSR2 | [`Handler::on_signal`](crate::Handler::on_signal) |
//! | SIGXFSZ | nothing: the write that went beyond `ulimit -f` fails with EFBIG, which a program can handle and log |
//! | SIGIO, SIGPROF, SIGVTALRM, SIGSTKFLT | nothing: no part of the program uses them |
//!
//! By default each of these ends the process at once and without a word. The others keep their
//! default: a shell reports their end (SIGKILL, and those of a program's own errors), or they only
//! stop the process (SIGSTOP, SIGTSTP); Rust ignores SIGPIPE.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Registry;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Maskable};
use rustix::process::Signal as Number;
use signal_hook_mio::v1_0::Signals as Source;

/// Signals that shut the loop down.
const SHUTDOWN: [(Number, &str); 6] = [
    (Number::TERM, "SIGTERM"),
    (Number::INT, "SIGINT"),
    (Number::QUIT, "SIGQUIT"),
    (Number::POWER, "SIGPWR"),
    (Number::XCPU, "SIGXCPU"),
    (Number::ALARM, "SIGALRM"),
];

/// Signals that do nothing.
const IGNORED: [Number; 5] =
    [Number::XFSZ, Number::IO, Number::PROF, Number::VTALARM, Number::STKFLT];

/// The least time between two calls of the handler for one signal: its log lines must not fill the log.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a shutdown signal that comes again counts as the same one.
///
/// `timeout` sends its signal to its child and then to the child's process group, so the child gets
/// it twice, microseconds apart; a shell script and a terminal that both forward Ctrl-C do the same.
/// That is one request and not two. An impatient person takes longer than this to press a key again,
/// or chooses another signal.
pub const REPEAT_SPAN: Duration = Duration::from_millis(100);

/// A signal that is passed to the handler, and doesn't end the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// SIGHUP: by convention, to reload the configuration.
    Hangup,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

/// What SIGHUP means to a program. If it is ignored when the program starts, as by `nohup`, it stays
/// ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// The terminal is gone, and with it the person that the program works for: the loop shuts down
    /// as by SIGTERM.
    Shutdown,
    /// A daemon has no terminal: the handler gets [`Signal::Hangup`].
    Notify,
}

/// The signals of the process.
pub(crate) struct Signals {
    source: Source,
    hangup: Hangup,
    notices: Notices,
}

impl Signals {
    /// Handles the signals, whose default action ends the process at once.
    pub(crate) fn register(
        registry: &Registry,
        token: mio::Token,
        hangup: Hangup,
    ) -> io::Result<Self> {
        let mut numbers = vec![Number::USR1.as_raw(), Number::USR2.as_raw()];
        numbers.extend(SHUTDOWN.map(|(number, _)| number.as_raw()));
        if !is_ignored(Number::HUP) {
            numbers.push(Number::HUP.as_raw());
        }
        let mut source = with_blocked(&numbers, || {
            for number in IGNORED {
                // A handler without effect: an interrupted system call is resumed.
                signal_hook::flag::register(number.as_raw(), Arc::default())?;
            }
            Source::new(&numbers)
        })?;
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self { source, hangup, notices: Notices::default() })
    }

    /// Names of the shutdown signals that have come since the last call; the others are recorded as
    /// notices. Several of one kind between two calls count once, as signals do.
    pub(crate) fn take_shutdown_signals(&mut self) -> impl Iterator<Item = &'static str> {
        let (notices, hangup) = (&mut self.notices, self.hangup);
        self.source.pending().filter_map(move |number| {
            match (Number::from_named_raw(number)?, hangup) {
                (Number::HUP, Hangup::Shutdown) => Some("SIGHUP"),
                (Number::HUP, Hangup::Notify) => notices.record(Signal::Hangup),
                (Number::USR1, _) => notices.record(Signal::User1),
                (Number::USR2, _) => notices.record(Signal::User2),
                (number, _) => {
                    SHUTDOWN.into_iter().find(|(stop, _)| *stop == number).map(|(_, name)| name)
                }
            }
        })
    }

    /// A signal that is to be passed to the handler now.
    pub(crate) fn take_notice(&mut self, now: Instant) -> Option<Signal> {
        self.notices.take(now)
    }

    /// Time until the next one.
    pub(crate) fn next_notice(&self, now: Instant) -> Option<Duration> {
        self.notices.next(now)
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

/// Runs this while these signals are blocked.
///
/// A signal between the installation of a handler and of its action would run a handler that does
/// nothing yet: it would be lost, and nothing sends it again.
fn with_blocked<T>(numbers: &[i32], run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let signals = numbers.iter().map(|number| Maskable::try_from(*number));
    let before = signals.collect::<Result<SigSet, _>>()?.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let result = run();
    before.thread_set_mask()?;
    result
}

/// Whether this process was started with a signal ignored, as by `nohup`. Known on Linux; false
/// elsewhere.
pub fn is_ignored(number: Number) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_in_mask(&status, "SigIgn:", number)
}

/// Whether a signal is in the mask of this name (`SigIgn:`, `SigCgt:`) in `/proc/PID/status`.
pub fn is_in_mask(status: &str, name: &str, number: Number) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(name));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (number.as_raw() - 1) != 0)
}

/// The shutdown signals that have come.
#[derive(Debug, Default)]
pub(crate) struct ShutdownSignals {
    first: Option<(&'static str, Instant)>,
}

impl ShutdownSignals {
    /// The first of them.
    pub(crate) fn first(&self) -> Option<&'static str> {
        self.first.map(|(name, _)| name)
    }

    /// Records one. Returns whether it ends the loop at once.
    pub(crate) fn record(&mut self, name: &'static str, now: Instant) -> bool {
        let Some((first, at)) = self.first else {
            self.first = Some((name, now));
            return false;
        };
        name != first || now.saturating_duration_since(at) >= REPEAT_SPAN
    }
}

/// Signals that are to be passed to the handler. The first of a kind is passed at once, further ones
/// at the end of [`PERIOD`], as one.
#[derive(Debug, Default)]
struct Notices {
    kinds: [Notice; 3],
}

#[derive(Debug, Default, Clone, Copy)]
struct Notice {
    pending: bool,
    /// When the next may be passed.
    next: Option<Instant>,
}

impl Notices {
    /// Records one. Returns no name, because it doesn't shut the loop down.
    fn record(&mut self, signal: Signal) -> Option<&'static str> {
        self.kinds[signal as usize].pending = true;
        None
    }

    fn take(&mut self, now: Instant) -> Option<Signal> {
        let signals = [Signal::Hangup, Signal::User1, Signal::User2];
        let due = |signal: &Signal| self.kinds[*signal as usize].wait(now) == Some(Duration::ZERO);
        let signal = signals.into_iter().find(due)?;
        self.kinds[signal as usize] = Notice { pending: false, next: Some(now + PERIOD) };
        Some(signal)
    }

    fn next(&self, now: Instant) -> Option<Duration> {
        self.kinds.iter().filter_map(|kind| kind.wait(now)).min()
    }
}

impl Notice {
    fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        self.pending.then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_passed_at_once_and_many_as_one_when_the_period_is_over() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        assert_eq!((notices.take(start), notices.next(start)), (None, None));
        notices.record(Signal::User1);
        assert_eq!(notices.next(start), Some(Duration::ZERO));
        assert_eq!(notices.take(start), Some(Signal::User1));
        assert_eq!(notices.next(start), None);
        for _ in 0..1000 {
            notices.record(Signal::User1);
            assert_eq!(notices.take(start), None);
        }
        let later = start + PERIOD / 4;
        assert_eq!(notices.next(later), Some(PERIOD * 3 / 4));
        assert_eq!(notices.take(start + PERIOD), Some(Signal::User1));
        assert_eq!(notices.take(start + 9 * PERIOD), None);
    }

    #[test]
    fn the_same_signal_twice_is_one_for_a_moment_and_another_never_is() {
        let start = Instant::now();
        let almost = start + REPEAT_SPAN * 99 / 100;
        let mut signals = ShutdownSignals::default();
        assert!(!signals.record("SIGTERM", start));
        assert!(!signals.record("SIGTERM", start) && !signals.record("SIGTERM", almost));
        assert!(signals.record("SIGINT", start));
        assert!(signals.record("SIGTERM", start + REPEAT_SPAN), "counted from the first");
        assert_eq!(signals.first(), Some("SIGTERM"));
    }

    #[test]
    fn one_kind_does_not_wait_for_another() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        for signal in [Signal::User2, Signal::Hangup, Signal::User1] {
            notices.record(signal);
        }
        let passed: Vec<_> = std::iter::from_fn(|| notices.take(now)).collect();
        assert_eq!(passed, [Signal::Hangup, Signal::User1, Signal::User2]);
        notices.record(Signal::User2);
        notices.record(Signal::Hangup);
        assert_eq!(notices.next(now + PERIOD), Some(Duration::ZERO));
    }
}
