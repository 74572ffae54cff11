//! The report of a run: a table for people, JSON for programs.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Measured;

/// Figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was done: `echo`, `lottery`, `idle` or `handshakes`.
    pub work: &'static str,
    /// Connections at the same time.
    pub connections: usize,
    /// Messages under way on each.
    pub pipeline: usize,
    /// From the first message to the last response.
    pub seconds: f64,
    /// Responses: lines, or frames; or handshakes.
    pub messages: u64,
    /// The same a second.
    pub messages_per_second: f64,
    /// Bets confirmed.
    pub bets: u64,
    /// Bets confirmed a second.
    pub bets_per_second: f64,
    /// Bytes sent and answered, in millions, a second.
    pub megabytes_per_second: f64,
    /// From sending to the response, in microseconds; none without messages.
    pub latency_us: Option<Latency>,
    /// Processor time that the watched process took.
    pub server_cpu_seconds: Option<f64>,
    /// The same for each message, in nanoseconds.
    pub server_cpu_ns_per_message: Option<f64>,
    /// The same for each bet, in nanoseconds.
    pub server_cpu_ns_per_bet: Option<f64>,
}

/// How long responses took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// The quickest.
    pub min: f64,
    /// Half of them were as quick.
    pub p50: f64,
    /// 90 in 100 were.
    pub p90: f64,
    /// 99 in 100 were.
    pub p99: f64,
    /// 999 in 1,000 were.
    pub p99_9: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    fn new(nanos: &Histogram<u64>) -> Option<Self> {
        let at = |quantile: f64| {
            Duration::from_nanos(nanos.value_at_quantile(quantile)).as_secs_f64() * 1e6
        };
        (!nanos.is_empty()).then(|| Self {
            min: Duration::from_nanos(nanos.min()).as_secs_f64() * 1e6,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: Duration::from_nanos(nanos.max()).as_secs_f64() * 1e6,
        })
    }
}

/// What was asked for, as the report repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// `echo`, `lottery`, `idle` or `handshakes`.
    pub work: &'static str,
    /// Connections.
    pub connections: usize,
    /// Messages under way on each.
    pub pipeline: usize,
}

impl Report {
    /// The figures of a run.
    pub fn new(subject: Subject, measured: &Measured) -> Self {
        let Measured { tally, time, cpu } = measured;
        let seconds = time.as_secs_f64();
        let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let share = |count: u64| {
            cpu.filter(|_| count > 0).map(|cpu| cpu.as_secs_f64() * 1e9 / approximate(count))
        };
        Self {
            work: subject.work,
            connections: subject.connections,
            pipeline: subject.pipeline,
            seconds,
            messages: tally.messages,
            messages_per_second: rate(approximate(tally.messages)),
            bets: tally.bets,
            bets_per_second: rate(approximate(tally.bets)),
            megabytes_per_second: rate(approximate(tally.bytes) / 1e6),
            latency_us: Latency::new(&tally.latency),
            server_cpu_seconds: cpu.map(|cpu| cpu.as_secs_f64()),
            server_cpu_ns_per_message: share(tally.messages),
            server_cpu_ns_per_bet: share(tally.bets),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read, exact up to 2^53")]
fn approximate(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, connections, pipeline, seconds, messages, bets, .. } = self;
        write!(f, "{work}: {connections} connections")?;
        if *pipeline > 0 {
            write!(f, ", {pipeline} under way on each")?;
        }
        writeln!(f)?;
        writeln!(f, "  time        {seconds:>14.3} s")?;
        let answered = match *work {
            "lottery" => "frames",
            "handshakes" => "handshakes",
            _ => "messages",
        };
        writeln!(f, "  {answered:<11} {messages:>14}   {:>14.0} /s", self.messages_per_second)?;
        if *bets > 0 {
            writeln!(f, "  bets        {bets:>14}   {:>14.0} /s", self.bets_per_second)?;
        }
        if *work != "handshakes" {
            writeln!(f, "  sent        {:>31.1} MB/s", self.megabytes_per_second)?;
        }
        if let Some(Latency { min, p50, p90, p99, p99_9, max }) = self.latency_us {
            writeln!(
                f,
                "  latency     min {min:.0}, 50 % {p50:.0}, 90 % {p90:.0}, 99 % {p99:.0}, 99.9 % {p99_9:.0}, max {max:.0} us"
            )?;
        }
        if let Some(cpu) = self.server_cpu_seconds {
            write!(f, "  server CPU  {cpu:>14.3} s")?;
            if let Some(nanos) = self.server_cpu_ns_per_message {
                write!(f, ", {nanos:.0} ns for each of these")?;
            }
            if let Some(nanos) = self.server_cpu_ns_per_bet {
                write!(f, ", {nanos:.1} ns a bet")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::Tally;
    use std::time::Instant;

    const SUBJECT: Subject = Subject { work: "lottery", connections: 2, pipeline: 8 };

    #[test]
    fn rates_are_counts_by_time() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        tally.answered(100, 1_000_000, now, now + Duration::from_micros(250));
        tally.answered(300, 3_000_000, now, now + Duration::from_micros(500));
        tally.bets = 4000;
        let (time, cpu) = (Duration::from_secs(2), Some(Duration::from_micros(800)));
        let report = Report::new(SUBJECT, &Measured { tally, time, cpu });
        assert!((report.messages_per_second - 200.0).abs() < 1e-9);
        assert!((report.megabytes_per_second - 2.0).abs() < 1e-9);
        assert_eq!(report.server_cpu_ns_per_bet.map(f64::round), Some(200.0));
        let latency = report.latency_us.expect("there are messages");
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.002;
        assert!(near(latency.min, 250.0) && near(latency.p99, 500.0), "{latency:?}");
        let table = report.to_string();
        assert!(table.contains("2000 /s") && table.contains("200.0 ns a bet"), "{table}");
    }

    #[test]
    fn nothing_measured_is_no_latency() {
        let measured = Measured { tally: Tally::default(), time: Duration::ZERO, cpu: None };
        let report = Report::new(SUBJECT, &measured);
        assert_eq!(report.latency_us, None);
        assert!(!report.to_string().contains("CPU"));
    }
}
