//! What TLS costs: handshakes with each provider, records through the layer and through rustls alone,
//! the memory of an idle connection.
//!
//! ```text
//! cargo bench -p tls                   everything
//! cargo bench -p tls -- handshake      what has this in its name: handshake, records or idle
//! cargo bench -p tls --features ring   the same, and handshakes with the other provider
//! ```
//!
//! Times are processor times of this thread, so that what else the machine does counts little.

mod handshakes;
mod idle;
mod pair;
mod parties;
mod records;

use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|text| text != "--bench").collect();
    if let Some(code) = idle::play(&arguments) {
        return code;
    }
    if arguments.is_empty() || arguments.iter().any(|word| "idle".contains(word.as_str())) {
        idle::run();
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    handshakes::measure(&mut criterion);
    records::measure(&mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}
