//! Who waits for the disk: the central's loop, or a thread of its own. The same central twice, in this
//! program, because its binary has no setting for that; each bet is synced before it is confirmed.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use ledger::{Durability, Options};
use load::swarm::lottery;
use reactor::Limits;
use server::central::{AgencyAddresses, Central, LedgerBackend, ProtocolConfig};
use server::disk_thread;
use server::lottery::Lottery;
use server::lottery::winners::WinnerIndex;
use server::store::{FileStore, Opened, ReadRows as _};
use wire::Agency;

use crate::contender::{Contender, Kind};
use crate::table::{Run, Table};
use crate::{RUNS, load, undisturbed};

/// Number of agencies for whose draw the run waits: tells this program's central.
const AGENCIES: &str = "SERVER_AGENCIES";

/// The central's defaults, as far as they matter here.
const SEGMENT_SIZE: u64 = 8 << 20;
const SOCKET_BUFFER_SIZE: usize = 256 << 10;
const BACKLOG: u32 = 1024;
const PROTOCOL: ProtocolConfig = ProtocolConfig {
    echo_keep_alive: false,
    max_line_size: 64 << 10,
    first_byte_timeout: Some(Duration::from_mins(1)),
    handshake_timeout: Some(Duration::from_secs(10)),
    frame_timeout: Some(Duration::from_secs(30)),
    idle_timeout: Some(Duration::from_mins(5)),
    agency_addresses: AgencyAddresses::ANY,
    group_commit_bytes: 512 << 10,
    max_pending_replies: 1 << 16,
    commit_retry_delay: Duration::from_millis(100),
    write_buffer_high: 256 << 10,
    winners_budget: 256 << 10,
    refusal_log_interval: Duration::from_secs(10),
    waiting_log_interval: Some(Duration::from_mins(1)),
    max_log_lines: 500_000,
    log_interval: Duration::from_mins(10),
};

/// The first is what the other is compared with.
const SIDES: [Kind; 2] = [Kind::SyncingLoop, Kind::SyncingThread];

/// Agencies, batches under way of each, and batches of each.
const LOADS: [(u32, usize, u64); 3] = [(1, 1, 4_000), (1, 16, 20_000), (50, 8, 1_000)];

/// Serves until it is killed.
///
/// # Errors
/// There is no port, no file or no thread to be had.
pub(crate) fn serve(port: u16, folder: &Path, has_thread: bool) -> io::Result<()> {
    let limits = Limits { socket_buffer_size: SOCKET_BUFFER_SIZE, ..Limits::default() };
    let mut event_loop = runtime::event_loop(limits)?;
    let agencies = std::env::var(AGENCIES).ok().and_then(|text| text.parse().ok());
    let agencies = agencies.ok_or(io::ErrorKind::InvalidInput)?;
    let mut central = central(&folder.join("bets.csv"), agencies, has_thread)?;
    event_loop.listen((Ipv4Addr::LOCALHOST, port).into(), BACKLOG)?;
    event_loop.run(&mut central).map(drop).map_err(io::Error::other)
}

fn central(
    path: &Path,
    agencies: Agency,
    has_thread: bool,
) -> io::Result<Central<LedgerBackend<FileStore<File>>>> {
    let options = Options::unbounded(Durability::Synced, SEGMENT_SIZE);
    let opened = FileStore::open(path, options, agencies, |_| {}, |_| ControlFlow::Continue(()));
    let Opened { store, state, .. } = opened.map_err(io::Error::other)?;
    let (rows, wal) = store.descriptors()?;
    let lottery = Lottery::new(agencies, state, store.rows_len(), WinnerIndex::default());
    let central = Central::new(lottery, store, PROTOCOL);
    Ok(if has_thread { central.with_disk_thread(disk_thread::spawn(rows, wal)?) } else { central })
}

/// Bets, one batch at a time and many.
pub(crate) fn run(publish: impl Fn(&Table)) {
    for (agencies, window, batches) in LOADS {
        let name = format!("syncing: lottery {agencies} x {window}, sync always");
        let mut table = Table::new(name, "bet", SIDES.map(Kind::name).to_vec());
        for _ in 0..RUNS {
            table.add_round(SIDES.map(|side| run_once(side, agencies, window, batches)).to_vec());
        }
        publish(&table);
    }
}

fn run_once(side: Kind, agencies: u32, window: usize, batches: u64) -> Run {
    let count = agencies.to_string();
    undisturbed(
        || Contender::start(side, "always", &[(AGENCIES, &count)]),
        |contender| {
            let plan = lottery::Plan { window, max_amount: u16::MAX, batches };
            let measured = load(contender, lottery::Agency::members(&plan, agencies));
            Run::new(&measured, measured.tally.bets)
        },
    )
}
