//! A mutual handshake in memory, the server's share of it and the client's.

use std::time::Duration;

use criterion::Criterion;

use crate::pair::Pair;
use crate::parties::{Exchange, Parties, Signature};

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    for exchange in Exchange::ALL {
        for signature in Signature::ALL {
            let parties = Parties::new(*exchange, signature);
            let name = format!("{}, {}", exchange.name(), signature.name());
            let mut side = |side: &str, time: fn(&Pair) -> Duration| {
                group.bench_function(format!("{name}: {side}"), |bencher| {
                    bencher
                        .iter_custom(|count| (0..count).map(|_| time(&Pair::new(&parties))).sum());
                });
            };
            side("server", |pair| pair.server_time);
            side("client", |pair| pair.client_time);
        }
    }
    group.finish();
}
