//! Signals as one more source in the poll, and what each of them means.
//!
//! | signal | meaning |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | the loop ends in order, a second one at once ([`ShutdownSignals`]) |
//! | SIGPWR, SIGXCPU, SIGALRM | the same: power fails (and LXC stops a container so), processor time is used up, the time that `alarm` gave before `exec` is over |
//! | SIGHUP | as the program says: [`Hangup`] |
//! | SIGUSR1, SIGUSR2 | [`Handler::on_signal`](crate::Handler::on_signal) |
//! | SIGXFSZ | nothing: the write that went beyond `ulimit -f` fails with EFBIG, which a program can handle and say |
//! | SIGIO, SIGPROF, SIGVTALRM, SIGSTKFLT | nothing: nobody here asks for them |
//!
//! By default each of these ends the process on the spot and without a word. What is left at that
//! says so by itself (SIGKILL, and what follows an error of the program) or only holds the process
//! (SIGSTOP, SIGTSTP); SIGPIPE is ignored by Rust.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Registry;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Maskable};
use rustix::process::Signal as Number;
use signal_hook_mio::v1_0::Signals as Source;

/// Those that end the loop.
const STOPS: [(Number, &str); 6] = [
    (Number::TERM, "SIGTERM"),
    (Number::INT, "SIGINT"),
    (Number::QUIT, "SIGQUIT"),
    (Number::POWER, "SIGPWR"),
    (Number::XCPU, "SIGXCPU"),
    (Number::ALARM, "SIGALRM"),
];

/// Those that do nothing.
const IGNORED: [Number; 5] =
    [Number::XFSZ, Number::IO, Number::PROF, Number::VTALARM, Number::STKFLT];

/// How often the handler is called for one signal: what it logs then must not fill the log.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a signal that asks for the end counts as the same one when it comes again.
///
/// `timeout` sends its signal to its child and then to the process group, in which the child is, so
/// the child gets it twice, microseconds apart; a shell script and a terminal that both pass Ctrl-C
/// on do the same. That is one wish and not two. A person who is out of patience takes longer than
/// this to press a key again, or chooses another signal.
pub const REPEAT_SPAN: Duration = Duration::from_millis(100);

/// A signal that asks something of a handler that goes on running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// SIGHUP: by convention, to read again what was configured.
    Hangup,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

/// What SIGHUP means to a program. One that is ignored when the program starts, as by `nohup`, stays
/// so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// The terminal is gone, and with it the person that the program works for: the loop ends like
    /// by SIGTERM.
    Shutdown,
    /// Nothing is gone, as a daemon has no terminal: [`Signal::Hangup`].
    Notify,
}

/// The signals of the process.
pub(crate) struct Signals {
    source: Source,
    hangup: Hangup,
    notices: Notices,
}

impl Signals {
    /// Takes the signals over from their default action, which ends the process on the spot.
    pub(crate) fn register(
        registry: &Registry,
        token: mio::Token,
        hangup: Hangup,
    ) -> io::Result<Self> {
        let mut numbers = vec![Number::USR1.as_raw(), Number::USR2.as_raw()];
        numbers.extend(STOPS.map(|(number, _)| number.as_raw()));
        if !is_ignored(Number::HUP) {
            numbers.push(Number::HUP.as_raw());
        }
        let mut source = with_blocked(&numbers, || {
            for number in IGNORED {
                // A handler that does nothing of note: a system call that is interrupted goes on.
                signal_hook::flag::register(number.as_raw(), Arc::default())?;
            }
            Source::new(&numbers)
        })?;
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self { source, hangup, notices: Notices::default() })
    }

    /// Names of those that have come since the last call and ask the loop to end; the others are
    /// noted. Several of one kind between two calls count once, as signals do.
    pub(crate) fn take_shutdown_signals(&mut self) -> impl Iterator<Item = &'static str> {
        let (notices, hangup) = (&mut self.notices, self.hangup);
        self.source.pending().filter_map(move |number| {
            match (Number::from_named_raw(number)?, hangup) {
                (Number::HUP, Hangup::Shutdown) => Some("SIGHUP"),
                (Number::HUP, Hangup::Notify) => notices.note(Signal::Hangup),
                (Number::USR1, _) => notices.note(Signal::User1),
                (Number::USR2, _) => notices.note(Signal::User2),
                (number, _) => {
                    STOPS.into_iter().find(|(stop, _)| *stop == number).map(|(_, name)| name)
                }
            }
        })
    }

    /// One that the handler is to be told of now.
    pub(crate) fn take_notice(&mut self, now: Instant) -> Option<Signal> {
        self.notices.take(now)
    }

    /// Time until there is one.
    pub(crate) fn next_notice(&self, now: Instant) -> Option<Duration> {
        self.notices.next(now)
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

/// Runs this while these signals wait, and lets them in then.
///
/// Between installing a handler and knowing what it is to do there is a moment in which a signal
/// would run a handler that does nothing yet: it would be lost, and nobody asks for the end twice.
fn with_blocked<T>(numbers: &[i32], run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let signals = numbers.iter().map(|number| Maskable::try_from(*number));
    let before = signals.collect::<Result<SigSet, _>>()?.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let result = run();
    before.thread_set_mask()?;
    result
}

/// Whether this process was started with a signal ignored, as by `nohup`. Linux tells it; elsewhere
/// none is.
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

/// The signals that have asked for the end.
#[derive(Debug, Default)]
pub(crate) struct ShutdownSignals {
    first: Option<(&'static str, Instant)>,
}

impl ShutdownSignals {
    /// The first of them.
    pub(crate) fn first(&self) -> Option<&'static str> {
        self.first.map(|(name, _)| name)
    }

    /// One has come; says whether the end must not be waited for any more.
    pub(crate) fn record(&mut self, name: &'static str, now: Instant) -> bool {
        let Some((first, at)) = self.first else {
            self.first = Some((name, now));
            return false;
        };
        name != first || now.saturating_duration_since(at) >= REPEAT_SPAN
    }
}

/// Signals that the handler hasn't been told of. The first of a kind is told at once, further ones
/// at the end of [`PERIOD`], as one.
#[derive(Debug, Default)]
struct Notices {
    kinds: [Notice; 3],
}

#[derive(Debug, Default, Clone, Copy)]
struct Notice {
    asked: bool,
    /// When the next may be told.
    next: Option<Instant>,
}

impl Notices {
    /// Notes one, and says that the loop isn't asked to end.
    fn note(&mut self, signal: Signal) -> Option<&'static str> {
        self.kinds[signal as usize].asked = true;
        None
    }

    fn take(&mut self, now: Instant) -> Option<Signal> {
        let signals = [Signal::Hangup, Signal::User1, Signal::User2];
        let due = |signal: &Signal| self.kinds[*signal as usize].wait(now) == Some(Duration::ZERO);
        let signal = signals.into_iter().find(due)?;
        self.kinds[signal as usize] = Notice { asked: false, next: Some(now + PERIOD) };
        Some(signal)
    }

    fn next(&self, now: Instant) -> Option<Duration> {
        self.kinds.iter().filter_map(|kind| kind.wait(now)).min()
    }
}

impl Notice {
    fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        self.asked.then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_many_as_one_when_the_period_is_over() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        assert_eq!((notices.take(start), notices.next(start)), (None, None));
        notices.note(Signal::User1);
        assert_eq!(notices.next(start), Some(Duration::ZERO));
        assert_eq!(notices.take(start), Some(Signal::User1));
        assert_eq!(notices.next(start), None);
        for _ in 0..1000 {
            notices.note(Signal::User1);
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
            notices.note(signal);
        }
        let told: Vec<_> = std::iter::from_fn(|| notices.take(now)).collect();
        assert_eq!(told, [Signal::Hangup, Signal::User1, Signal::User2]);
        notices.note(Signal::User2);
        notices.note(Signal::Hangup);
        assert_eq!(notices.next(now + PERIOD), Some(Duration::ZERO));
    }
}
