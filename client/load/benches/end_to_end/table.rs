//! Figures of alternating runs, as medians and as ratios to the first contender's.

use std::fmt;

use load::swarm::Measured;

use crate::results::Row;

/// What one run showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Processor time of the server for each message or bet, in nanoseconds.
    cpu: f64,
    /// Messages or bets a second.
    rate: f64,
    /// Microseconds that responses took on average.
    mean: f64,
    /// Microseconds that half of the responses took at most.
    p50: f64,
    /// Microseconds that 99 in 100 responses took at most.
    p99: f64,
    /// What others took of the machine meanwhile, as a share of one core.
    pub(crate) disturbance: f64,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "figures to be read")]
    pub(crate) fn new(measured: &Measured, count: u64) -> Self {
        let latency = |quantile| measured.tally.latency.value_at_quantile(quantile) as f64 / 1e3;
        let cpu = measured.cpu.expect("the process under load is watched");
        Self {
            cpu: cpu.as_secs_f64() * 1e9 / count as f64,
            rate: count as f64 / measured.time.as_secs_f64(),
            mean: measured.tally.latency.mean() / 1e3,
            p50: latency(0.5),
            p99: latency(0.99),
            disturbance: 0.0,
        }
    }
}

/// All runs of one load.
pub(crate) struct Table {
    name: String,
    unit: &'static str,
    contenders: Vec<&'static str>,
    /// In each round one run of each contender.
    rounds: Vec<Vec<Run>>,
}

impl Table {
    pub(crate) fn new(name: String, unit: &'static str, contenders: Vec<&'static str>) -> Self {
        Self { name, unit, contenders, rounds: Vec::new() }
    }

    pub(crate) fn add_round(&mut self, runs: Vec<Run>) {
        self.rounds.push(runs);
    }

    /// The medians, to be kept.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |(contender, name): (usize, &&str)| {
            let figure = |figure: fn(&Run) -> f64| Some(rounded(self.median(contender, figure)));
            Row {
                load: self.name.clone(),
                contender: (*name).to_owned(),
                cpu_ns: figure(|run| run.cpu),
                per_second: figure(|run| run.rate),
                mean_us: figure(|run| run.mean),
                p50_us: figure(|run| run.p50),
                p99_us: figure(|run| run.p99),
            }
        };
        self.contenders.iter().enumerate().map(row).collect()
    }

    fn median(&self, contender: usize, figure: fn(&Run) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| figure(&round[contender])).collect())
    }

    /// Median of the rounds' ratios of the first contender's figure to this one's.
    fn ratio(&self, contender: usize, figure: fn(&Run) -> f64) -> f64 {
        let ratios = self.rounds.iter().map(|round| figure(&round[0]) / figure(&round[contender]));
        median(ratios.collect())
    }
}

/// Figures as they are kept: to a tenth.
fn rounded(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// The middle one; of an even number, the upper of the two in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        writeln!(
            f,
            "{:<32} CPU/{unit:<8} ratio    {:>10}   ratio   mean ratio    p50 ratio    p99 ratio  others",
            self.name,
            format!("{unit}s/s"),
        )?;
        for (contender, name) in self.contenders.iter().enumerate() {
            let (cpu, rate) = (|run: &Run| run.cpu, |run: &Run| run.rate);
            write!(
                f,
                "  {:<28} {:>8.1} ns {:>7.2} {:>10.3} M {:>7.2}",
                name,
                self.median(contender, cpu),
                self.ratio(contender, cpu),
                self.median(contender, rate) / 1e6,
                1.0 / self.ratio(contender, rate),
            )?;
            let latencies = [|run: &Run| run.mean, |run: &Run| run.p50, |run: &Run| run.p99];
            for latency in latencies {
                let (median, ratio) =
                    (self.median(contender, latency), self.ratio(contender, latency));
                write!(f, " {median:>6.0} {ratio:>5.2}")?;
            }
            let others = self.rounds.iter().map(|round| round[contender].disturbance);
            writeln!(f, " {:>5.0} %", 100.0 * others.fold(0.0, f64::max))?;
        }
        Ok(())
    }
}
