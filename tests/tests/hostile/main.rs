//! Peers, disks and signals that are hostile, against the real binary over loopback: each costs
//! what the limits say and nothing else.
//!
//! Every attack runs beside an honest agency, an honest echo peer and an operator who looks at the
//! admin listener, and prints a row of a table: what bounds it, and what was measured. The bounds are
//! asserted, and that every honest request is answered rightly and nothing is lost. How long the
//! honest ones wait is only measured; an operator waits for the central a second at most.
//!
//! `cargo test` runs a short form; `make hostile`, which sets `HOSTILE=full`, the attacks in their
//! full size. `HOSTILE_SERVER` names another binary to attack, `HOSTILE_TABLE` a file for the rows.

mod attack;
mod conversation;
mod ended;
mod flood;
mod honest;
mod kernel_queues;
mod log_bound;
mod operator;
mod turns;

mod addresses;
mod admin;
mod buffers;
mod clock;
mod disk;
mod ends;
mod half_lines;
mod logging;
mod order;
mod rejections;
mod repetition;
mod signals;
mod slow;
mod stalled_log;
mod tls;
mod winners;

/// How large an attack is: so much in the short form, so much in full.
fn scale<T>(short: T, full: T) -> T {
    if std::env::var_os("HOSTILE").is_some_and(|form| form == "full") { full } else { short }
}
