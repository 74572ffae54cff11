//! Bytes through the layer, and through rustls without it: encrypted, decrypted.

use std::io::{IoSlice, Read as _, Write as _};
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use reactor::{KEPT_MAX, Layer as _, Received};
use rustls::Connection;
use tls::TlsLayer;

use crate::pair::{self, Pair, timed};
use crate::parties::{Exchange, Parties, SERVER_NAME, Signature};

/// Bytes that pass at a time: what the loop reads at most in one go.
const AMOUNT: usize = 64 * 1024;

/// Bytes in one of the loop's chunks of output.
const CHUNK: usize = 8 * 1024;

/// How the sender writes.
#[derive(Debug, Clone, Copy)]
struct Writes {
    name: &'static str,
    size: usize,
}

const WRITES: [Writes; 2] =
    [Writes { name: "16 KiB", size: 16 * 1024 }, Writes { name: "100 B", size: 100 }];

/// One way of passing bytes to and fro.
trait Endpoint {
    /// Sends `plain` in writes of this size.
    fn send(&mut self, plain: &[u8], size: usize, wire: &mut Vec<u8>);
    /// Returns how many bytes have come out.
    fn receive(&mut self, wire: &[u8], plain: &mut [u8]) -> usize;
}

/// Every write is a record, as one uses rustls.
impl Endpoint for Connection {
    fn send(&mut self, plain: &[u8], size: usize, wire: &mut Vec<u8>) {
        for piece in plain.chunks(size) {
            // Its buffer holds as much at a time by default.
            self.writer().write_all(piece).expect("it takes all");
            pair::write(self, wire);
        }
    }

    fn receive(&mut self, mut wire: &[u8], plain: &mut [u8]) -> usize {
        let mut length = 0;
        while !wire.is_empty() {
            self.read_tls(&mut wire).expect("nothing is left unread");
            let state = self.process_new_packets().expect("the peer is good");
            let count = state.plaintext_bytes_to_read();
            self.reader().read_exact(&mut plain[length..length + count]).expect("it is there");
            length += count;
        }
        length
    }
}

/// Writes gather in chunks until they are sent, as in the loop.
impl Endpoint for TlsLayer {
    fn send(&mut self, plain: &[u8], size: usize, wire: &mut Vec<u8>) {
        let mut gathered = Vec::with_capacity(plain.len());
        for piece in plain.chunks(size) {
            gathered.extend_from_slice(piece);
        }
        let chunks: Vec<_> = gathered.chunks(CHUNK).map(IoSlice::new).collect();
        assert_eq!(reactor::Layer::send(self, &chunks), plain.len());
        while self.unsent() > 0 {
            self.write_to(wire).expect("a vector takes all");
        }
    }

    fn receive(&mut self, wire: &[u8], plain: &mut [u8]) -> usize {
        let Received { length, failure } = reactor::Layer::receive(self, wire, plain);
        assert!(failure.is_none(), "the peer is good");
        length
    }
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let parties = Parties::new(Exchange::AwsX25519, Signature::P256);
    let mut group = criterion.benchmark_group("records");
    group.throughput(Throughput::Bytes(AMOUNT as u64));
    for writes in WRITES {
        let Pair { server, client, .. } = Pair::new(&parties);
        compare(&mut group, writes, "rustls", (server, client));
        compare(&mut group, writes, "layer", layers(&parties));
    }
    group.finish();
}

fn compare<E: Endpoint>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    writes: Writes,
    name: &str,
    (mut server, mut client): (E, E),
) {
    let (text, mut wire) = (vec![b'x'; AMOUNT], Vec::new());
    let mut plain = vec![0; AMOUNT + KEPT_MAX];
    let mut pass = || {
        let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
        timed(&mut sending, || server.send(&text, writes.size, &mut wire));
        for piece in wire.chunks(AMOUNT) {
            timed(&mut receiving, || client.receive(piece, &mut plain));
        }
        wire.clear();
        (sending, receiving)
    };
    group.bench_function(format!("send, writes of {}: {name}", writes.name), |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| pass().0).sum());
    });
    group.bench_function(format!("receive, writes of {}: {name}", writes.name), |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| pass().1).sum());
    });
}

fn layers(parties: &Parties) -> (TlsLayer, TlsLayer) {
    let name = SERVER_NAME.try_into().expect("a name");
    let mut server = TlsLayer::server(&parties.server).expect("a configuration");
    let mut client = TlsLayer::client(&parties.client, name).expect("a configuration");
    let (mut wire, mut plain) = (Vec::new(), vec![0; 2 * KEPT_MAX]);
    while server.is_handshaking() || client.is_handshaking() {
        pass(&mut client, &mut server, &mut wire, &mut plain);
        pass(&mut server, &mut client, &mut wire, &mut plain);
    }
    (server, client)
}

fn pass(from: &mut TlsLayer, to: &mut TlsLayer, wire: &mut Vec<u8>, plain: &mut [u8]) {
    while from.unsent() > 0 {
        from.write_to(wire).expect("a vector takes all");
    }
    Endpoint::receive(to, wire, plain);
    wire.clear();
}
