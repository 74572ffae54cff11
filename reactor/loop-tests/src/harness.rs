//! Runs tests one after the other in the process's main thread: for those that change what belongs
//! to the whole process.

#![expect(clippy::print_stdout, reason = "this is how a harness says what became of a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Runs each test, and says what became of it as the usual harness does.
pub fn run_all(tests: &[(&str, fn())]) -> ExitCode {
    let mut failed = 0;
    for (name, test) in tests {
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    println!("{} passed, {failed} failed", tests.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
