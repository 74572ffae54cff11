//! A central with its admin listener, and agencies that do as told.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use kit::conversation::Conversation;
use kit::frames::{batch, end};
use kit::http::{Response, admin_port, get, metrics, receive};
use kit::process::TIMEOUT;
use kit::server::Server;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// Wins in every lottery.
pub(crate) const WINNING: &str = "7574";

/// A central, and where its admin listener is.
pub(crate) struct Central {
    pub(crate) server: Server,
    pub(crate) port: u16,
}

pub(crate) type Agency = Conversation<TcpStream>;

impl Central {
    /// One with so many agencies, and further settings.
    pub(crate) fn start(agencies: u32, settings: &[(&str, &str)]) -> Self {
        let agencies = agencies.to_string();
        let own = [("SERVER_AGENCIES", &*agencies), ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0")];
        Self::of(Server::start(&[&own, settings].concat()))
    }

    /// One that was started with an admin listener at a port that the kernel chooses.
    pub(crate) fn of(server: Server) -> Self {
        let port = admin_port(server.log_so_far());
        Self { server, port }
    }

    /// `kill -9`, and another one on the same ledger.
    pub(crate) fn kill_and_restart(self, agencies: u32) -> Self {
        let agencies = agencies.to_string();
        let own = [("SERVER_AGENCIES", &*agencies), ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0")];
        Self::of(self.server.kill_and_restart(&own))
    }

    /// A connection to the admin listener.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        stream.set_write_timeout(Some(TIMEOUT)).expect("set");
        stream
    }

    /// The response to these bytes, on a connection of their own.
    pub(crate) fn ask(&self, request: &str) -> Response {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        receive(&mut stream).expect("a response")
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(&get(target))
    }

    /// All metrics as they are written, by their names with labels.
    pub(crate) fn metrics(&self) -> BTreeMap<String, String> {
        metrics(&self.get("/metrics").body)
    }

    /// The value of a metric that is a whole number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let value = metrics.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        value.parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/status.json").body).expect("JSON")
    }

    /// Asks again and again until the metric has this value.
    pub(crate) fn wait_for_metric(&self, name: &str, value: &str) {
        wait_until(name, || self.metrics()[name] == value);
    }

    /// An agency that has introduced itself.
    pub(crate) fn agency(&self, agency: u32) -> Agency {
        let (conversation, welcome) = Conversation::introduced(self.server.connect(), agency);
        assert!(welcome.starts_with("welcome "), "{welcome}");
        conversation
    }
}

/// Bytes of the wal, which is made whole at the start: only the rows reach it.
const FILE_SIZE_MAX: u64 = 4096 + 2 * 1024 * 1024;

/// A limit on the size of files in place of a full disk.
impl Central {
    /// Nothing grows any more beyond what the wal has already.
    pub(crate) fn fill_disk(&self) {
        self.limit_files(Some(FILE_SIZE_MAX));
    }

    /// There is room again.
    pub(crate) fn make_room(&self) {
        self.limit_files(None);
    }

    fn limit_files(&self, current: Option<u64>) {
        let pid = Pid::from_raw(self.server.pid().try_into().expect("a number"));
        let limit = Rlimit { current, ..getrlimit(Resource::Fsize) };
        prlimit(pid, Resource::Fsize, limit).expect("it is our own");
    }

    /// Sends batches of an agency until one isn't stored, and returns up to where they were.
    pub(crate) fn send_until_refused(&self, agency: u32) -> u64 {
        const BETS: [(&str, &str); 200] = [("12345678", "7"); 200];
        let mut agency = self.agency(agency);
        let mut position = 0;
        // The central hangs up behind it, so that the agency tries again later.
        while agency.ask(&batch(position, &BETS)).starts_with("stored ") {
            position += BETS.len() as u64;
            assert!(position < 200_000, "nothing failed");
        }
        position
    }
}

/// Asks again and again until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} never came to be");
        std::thread::yield_now();
    }
}

/// Sends so many bets from this position on, of which the first `winning` win, and waits until they
/// are stored.
pub(crate) fn send(agency: &mut Agency, position: u64, bets: usize, winning: usize) {
    let bets: Vec<_> =
        (0..bets).map(|at| ("12345678", if at < winning { WINNING } else { "7" })).collect();
    let stored = agency.ask(&batch(position, &bets));
    assert_eq!(stored, format!("stored {}", position + bets.len() as u64));
}

/// Ends an agency's bets.
pub(crate) fn finish(agency: &mut Agency, total: u64) {
    let finished = agency.ask(&end(total));
    assert!(finished.starts_with("finished "), "{finished}");
}
