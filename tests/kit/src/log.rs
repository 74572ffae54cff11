//! The programs' log lines, as tests look for them.

use runtime::logging::{LineResult, LogLine};

/// The lines of a log about this action, with result `success`.
pub fn successes<'l>(log: &'l str, action: &str) -> impl Iterator<Item = LogLine<'l>> {
    with_result(log, action, LineResult::Success)
}

/// The same with result `in_progress`.
pub fn in_progress<'l>(log: &'l str, action: &str) -> impl Iterator<Item = LogLine<'l>> {
    with_result(log, action, LineResult::InProgress)
}

/// The whole lines of a log: a last one without its newline is still being written.
pub fn lines(log: &str) -> impl Iterator<Item = LogLine<'_>> {
    LogLine::all(&log[..log.rfind('\n').map_or(0, |end| end + 1)])
}

fn with_result<'l>(
    log: &'l str,
    action: &str,
    result: LineResult,
) -> impl Iterator<Item = LogLine<'l>> {
    lines(log).filter(move |line| line.is(action, result))
}

/// The error that a program has ended with.
pub fn run_error(log: &str) -> &str {
    let mut ends = with_result(log, "run", LineResult::Fail);
    let end = ends.next().unwrap_or_else(|| panic!("it hasn't failed: {log}"));
    end.field("error").expect("the reason")
}
