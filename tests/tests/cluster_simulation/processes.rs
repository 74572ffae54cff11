//! Centrals and agencies as processes: how each is configured, started and killed. Knows no schedule.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use client::config::{Config, Mode, Retry};
use client::connection::driver::Driver;
use client::exit_schedule::ExitDelays;
use client::log_budget::LogLimits;
use client::session::agency::{Agency as AgencySession, Pace};
use client::source::memory_source::MemorySource;
use cluster::ClusterStore;
use fastrand::Rng;
use reactor::testing::{MemoryLoop, MemoryNetwork};
use reactor::{Handler, Limits};
use server::central::{
    AgencyAddresses, Central, ClusterBackend, ClusterConfig, ProtocolConfig, VALUE_MIN,
};
use server::etcd_links::Member;
use server::store::Terms;
use server::winners_scan::PIECE_MIN;
use wire::{Agency, DrawName, FRAME_MAX};

use crate::gateway::{self, MEMBERS};
use crate::inputs::Fields;
use crate::oracle::DRAW;
use crate::recorded::{Recorded, Told};

/// How many centrals there are.
pub(crate) const CENTRALS: usize = 3;

/// Output above which a connection is read no more, and below which it is again.
const WRITE_BUFFER_HIGH: usize = 150;
const WRITE_BUFFER_LOW: usize = 50;

/// How long an agency waits for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an agency waits for the draw at one central.
const DRAW_WAIT: Duration = Duration::from_mins(1);

/// How long a central lets agencies wait for etcd.
const PATIENCE: Duration = Duration::from_secs(2);

type CentralLoop = MemoryLoop<Central<ClusterBackend>>;
type AgencyLoop = MemoryLoop<Driver<Recorded>>;

/// A central's process.
pub(crate) struct CentralProcess {
    pub(crate) event_loop: CentralLoop,
    /// It is stopped until then.
    pub(crate) stopped_until: Option<Instant>,
}

/// A process of an agency. An agency may have two.
pub(crate) struct AgencyProcess {
    pub(crate) agency: Agency,
    pub(crate) event_loop: AgencyLoop,
    pub(crate) told: Rc<RefCell<Told>>,
    /// The central that it was connected to last.
    pub(crate) central: Option<SocketAddr>,
}

/// How the connections of a killed process end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// Some of what it has sent arrives, and then the end: maybe in the middle of a frame.
    Fin,
    /// A reset.
    Reset,
    /// The other side doesn't learn of it: the machine has vanished.
    Silent,
}

/// Where a central listens.
pub(crate) fn address(central: usize) -> SocketAddr {
    let central = u8::try_from(central).expect("a few");
    SocketAddr::from(([10, 0, 0, central + 1], 12345))
}

fn draw() -> DrawName {
    DRAW.parse().expect("a name")
}

/// Starts a central.
pub(crate) fn start_central(
    network: &MemoryNetwork,
    index: usize,
    agencies: Agency,
    random: &mut Rng,
) -> CentralProcess {
    let endpoints = (0..MEMBERS).map(|member| gateway::address(member).to_string()).collect();
    let etcd = etcd::Config {
        first_endpoint: random.usize(..MEMBERS),
        // At times there isn't room for all agencies.
        max_requests: [4, 5, 64][random.usize(..3)],
        ..etcd::Config::new(endpoints)
    };
    let config = cluster::Config::new(etcd, DRAW, agencies, &format!("central-{index}"));
    let config = cluster::Config { winners_page: random.u32(1..4), ..config };
    let mut sessions = random.fork();
    let store = ClusterStore::new(config, Box::new(move || sessions.u64(..)));
    let member = |member| Member { address: gateway::address(member), layer: None };
    let config = ClusterConfig {
        terms: Terms { agencies, draw: Some(draw()) },
        members: (0..MEMBERS).map(member).collect(),
        value_max: VALUE_MIN,
        gathered_max: 2 * VALUE_MIN,
        patience: PATIENCE,
        retry_delay: Duration::from_millis(100),
    };
    let backend = ClusterBackend::new(store.expect("a configuration"), config);
    let central = Central::over(backend, protocol_config());
    let mut event_loop = MemoryLoop::new(network, limits(random), central);
    event_loop.listen(address(index)).expect("no other process listens there");
    event_loop.start().expect("nothing stops a central");
    CentralProcess { event_loop, stopped_until: None }
}

/// Starts a process of an agency, which calls one central after the other.
pub(crate) fn start_agency(
    network: &MemoryNetwork,
    agency: Agency,
    bets: Vec<Fields>,
    random: &mut Rng,
) -> AgencyProcess {
    let pace = Pace {
        max_amount: random.u16(1..=9),
        window: random.usize(1..=5),
        period: Duration::from_millis(if random.u8(..4) == 0 { 10 } else { 0 }),
    };
    let session = AgencySession::new(agency, pace, MemorySource::new(bets)).of_draw(Some(draw()));
    let told = Rc::default();
    let session = Recorded::new(session, Rc::clone(&told));
    let first = random.usize(..CENTRALS);
    let driver = Driver::new(session, &config(agency, pace, first), random.u64(..), None);
    let number = u8::try_from(agency).expect("a few");
    let event_loop = MemoryLoop::new(network, limits(random), driver);
    let mut event_loop = event_loop.at(Ipv4Addr::new(10, 2, 0, number).into());
    let Ok(()) = event_loop.start();
    AgencyProcess { agency, event_loop, told, central: None }
}

/// A process is killed, and its connections end.
pub(crate) fn kill<H: Handler>(network: &MemoryNetwork, process: MemoryLoop<H>, random: &mut Rng) {
    let disconnect = [Disconnect::Fin, Disconnect::Reset, Disconnect::Silent][random.usize(..3)];
    for (link, side) in process.ids().into_iter().filter_map(|id| process.link(id)) {
        match disconnect {
            Disconnect::Fin => {
                let kept = random.usize(..=network.in_flight_len(link, side));
                network.truncate_in_flight(link, side, kept);
            }
            Disconnect::Reset => network.break_off(link),
            Disconnect::Silent => network.vanish(link),
        }
    }
    // Closes its sockets.
    drop(process);
}

/// Limits of a loop that are reached often.
fn limits(random: &mut Rng) -> Limits {
    Limits {
        max_connections: 64,
        read_budget: random.usize(64..=4096),
        max_unconsumed: 2 * FRAME_MAX,
        write_buffer_high: WRITE_BUFFER_HIGH,
        write_buffer_low: WRITE_BUFFER_LOW,
        ..Limits::default()
    }
}

fn protocol_config() -> ProtocolConfig {
    ProtocolConfig {
        echo_keep_alive: false,
        max_line_size: 1000,
        first_byte_timeout: Some(Duration::from_mins(1)),
        handshake_timeout: Some(Duration::from_mins(1)),
        frame_timeout: Some(Duration::from_secs(30)),
        idle_timeout: Some(Duration::from_mins(5)),
        agency_addresses: AgencyAddresses::ANY,
        group_commit_bytes: 1024,
        max_pending_replies: 8,
        commit_retry_delay: Duration::from_millis(100),
        write_buffer_high: WRITE_BUFFER_HIGH,
        winners_budget: PIECE_MIN,
        refusal_log_interval: Duration::from_secs(10),
        waiting_log_interval: Some(Duration::from_mins(1)),
        max_log_lines: 50,
        log_interval: Duration::from_mins(10),
    }
}

fn config(id: Agency, pace: Pace, first: usize) -> Config {
    let addresses = (0..CENTRALS).map(|index| address((first + index) % CENTRALS).to_string());
    Config {
        id,
        draw: Some(draw()),
        addresses: addresses.collect(),
        loop_amount: 0,
        loop_period: pace.period,
        level: log::LevelFilter::Off,
        format: runtime::logging::Format::Text,
        max_amount: pace.max_amount,
        window: pace.window,
        mode: Mode::Lottery { path: "in memory".into() },
        data_check: false,
        quiet_delay: Duration::ZERO,
        retry: Retry {
            min_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(2),
            max_attempts: 0,
        },
        response_timeout: RESPONSE_TIMEOUT,
        draw_wait: DRAW_WAIT,
        exit_delays: ExitDelays::default(),
        log_limits: LogLimits::default(),
        tls: None,
    }
}
