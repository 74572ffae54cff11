//! Ledgers made by real centrals, and the commands.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use kit::frames::{batch, end, hello, responses};
use kit::process::output;
use kit::server::{Server, command};
use serde_json::Value;
use tempfile::TempDir;

/// A central for two agencies, and the bets of its ledger: 40 of agency 1, of which 4 win; one batch of 2 of
/// agency 2, which was rejected, and one of 3.
pub(crate) fn central(environment: &[(&str, &str)]) -> Server {
    let two = [("SERVER_AGENCIES", "2")];
    let server = Server::start(&[&two[..], environment].concat());
    let ten: Vec<_> = (0..10).map(|index| ("12345678", ["7", "7574"][index / 9])).collect();
    let mut requests = hello(1);
    (0..4).for_each(|round| requests.extend(batch(10 * round, &ten)));
    assert_eq!(sent(&server, &requests).last().expect("a response"), "stored 40");
    let bad = batch(0, &[("12345678", "7"), ("1.234", "7")]);
    let good = batch(2, &[("1", "7"), ("2", "7"), ("3", "8")]);
    let answers = sent(&server, &[hello(2), bad, good].concat());
    assert_eq!(answers.last().expect("a response"), "stored 5", "{answers:?}");
    server
}

/// Sends requests and ends the input; the responses, in words.
pub(crate) fn sent(server: &Server, requests: &[u8]) -> Vec<String> {
    let mut stream = server.connect();
    stream.write_all(requests).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).expect("it ends");
    responses(&answers).0
}

/// Ends both agencies: the draw runs.
pub(crate) fn draw(server: &Server) {
    for (agency, total) in [(1, 40), (2, 5)] {
        let answers = sent(server, &[hello(agency), end(total)].concat());
        assert!(answers[1].starts_with("finished "), "{answers:?}");
    }
}

/// A ledger at rest, in a folder of its own.
pub(crate) struct Rest(pub(crate) TempDir);

impl Rest {
    /// Of a central that has ended in order.
    pub(crate) fn closed() -> Self {
        let mut server = central(&[]);
        let folder = server.take_folder();
        server.stop();
        Self(folder)
    }

    /// Of a central that was killed.
    pub(crate) fn killed() -> Self {
        let mut server = central(&[]);
        let folder = server.take_folder();
        drop(server);
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn rows(&self) -> PathBuf {
        self.path("bets.csv")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.path("bets.csv.wal")
    }
}

/// How a command has ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `server ledger ARGUMENTS...`.
pub(crate) fn ledger<A: AsRef<OsStr>>(verb: &str, arguments: &[A]) -> Said {
    ledger_with(&[], verb, arguments)
}

pub(crate) fn ledger_with<A: AsRef<OsStr>>(
    environment: &[(&str, &str)],
    verb: &str,
    arguments: &[A],
) -> Said {
    let output = output(command(environment).args(["ledger", verb]).args(arguments));
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("it ended by itself");
    Said { code, out: text(output.stdout), err: text(output.stderr) }
}

/// What a check says of a ledger that is good.
pub(crate) fn checked(path: &Path) -> Value {
    let said = ledger("check", &[path.as_os_str(), OsStr::new("--json")]);
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.out).expect("JSON")
}

/// A command that must go well.
pub(crate) fn done<A: AsRef<OsStr>>(verb: &str, arguments: &[A]) -> Said {
    let said = ledger(verb, arguments);
    assert_eq!(said.code, 0, "{said:?}");
    said
}
