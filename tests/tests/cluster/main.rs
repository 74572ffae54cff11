//! Several centrals over real etcd, and agencies that know all of them, as real processes: what happens
//! when one of these is killed, stops answering or is cut off, and that the lottery doesn't notice.
//!
//! | file | what it is for |
//! |---|---|
//! | `site` | where the processes are |
//! | `processes` | a lottery's processes, and what must come of them |
//! | `rounds`, `cuts` | what goes wrong in the middle of one: with processes, with networks |
//! | `secured` | TLS and users towards etcd |
//! | `endings` | what ends a central, and with which words |

mod cuts;
mod endings;
mod processes;
mod rounds;
mod secured;
mod site;

use std::process::Command;

use kit::etcd::Cluster;
use kit::http::{self, admin_port};
use kit::process::output;
use kit::server::command;
use serde_json::Value;

use cuts::Cut;
use processes::{Lottery, settings};
use rounds::{BETS, BETS_OF_CAMPAIGN, Fault, play};
use site::{MEMBERS, Site};

#[test]
fn three_centrals_hold_one_draw_and_the_export_is_what_a_ledger_would_have() {
    let site = Site::loopback(Cluster::start(1));
    let mut lottery = Lottery::start(&site, "one-draw", 5, 2_000);
    lottery.wait_for_agencies();
    lottery.check(&site);
}

/// Lotteries of a campaign in one etcd, which keeps them all: then another one takes its place, before the
/// quota of 2 GB is reached.
const ROUNDS_OF_ETCD: usize = 20;

/// The faults of a run, of which there are so many kinds and these begin at an index, and how many bets each
/// agency has: each once, unless `CLUSTER_ROUNDS` says how many rounds there are in all.
fn plan(first: usize, kinds: usize) -> (Vec<usize>, usize) {
    let all = Fault::ALL.len() + Cut::ALL.len();
    let asked = std::env::var("CLUSTER_ROUNDS");
    let asked = asked.map(|text| text.parse().expect("CLUSTER_ROUNDS is a number of rounds"));
    let (rounds, bets) = asked.map_or((all, BETS), |rounds| (rounds, BETS_OF_CAMPAIGN));
    let own = first..first + kinds;
    let drawn = (0..rounds).map(|round| round % all).filter(|kind| own.contains(kind));
    (drawn.map(|kind| kind - first).collect(), bets)
}

#[test]
fn whatever_is_killed_frozen_or_gone_no_bet_is_lost_or_doubled() {
    let (faults, bets) = plan(0, Fault::ALL.len());
    for (part, faults) in faults.chunks(ROUNDS_OF_ETCD).enumerate() {
        let mut site = Site::loopback(Cluster::start(MEMBERS));
        for (round, fault) in faults.iter().map(|kind| Fault::ALL[*kind]).enumerate() {
            let pause = play(&mut site, &format!("round-{part}-{round}"), bets, |site, lottery| {
                rounds::strike(fault, site, lottery);
            });
            println!("{fault:?}: longest pause of an agency {} ms", pause.as_millis());
        }
    }
}

#[test]
fn whatever_is_cut_off_no_bet_is_lost_or_doubled() {
    let (cuts, bets) = plan(Fault::ALL.len(), Cut::ALL.len());
    for (part, cuts) in cuts.chunks(ROUNDS_OF_ETCD).enumerate() {
        let mut site = Site::networks();
        for (round, cut) in cuts.iter().map(|kind| Cut::ALL[*kind]).enumerate() {
            let pause = play(&mut site, &format!("cut-{part}-{round}"), bets, |site, lottery| {
                cuts::strike(cut, site, lottery);
            });
            site.hosts().mend_all();
            site.etcd.wait_until_whole();
            println!("{cut:?}: longest pause of an agency {} ms", pause.as_millis());
        }
    }
}

#[test]
fn a_central_that_is_configured_for_other_agencies_does_not_start() {
    let site = Site::loopback(Cluster::start(1));
    let mut lottery = Lottery::start(&site, "other", 2, 10);
    lottery.wait_for_agencies();
    let mut other = settings(&site, "other", 2);
    other.retain(|(name, _)| *name != "SERVER_AGENCIES");
    other.push(("SERVER_AGENCIES", "3".to_owned()));
    let other: Vec<_> = other.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ended = output(&mut command(&other));
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let log = String::from_utf8_lossy(&ended.stdout).into_owned();
    let expected = "expected a draw of 3 agencies, as configured, found one of 2";
    assert!(log.contains(expected), "{log}");
}

#[test]
fn what_the_store_counts_is_documented() {
    let site = Site::loopback(Cluster::start(1));
    let mut lottery = Lottery::start(&site, "counted", 2, 300);
    let mut settings = settings(&site, "counted", 2);
    settings.push(("SERVER_ADMIN_ADDRESS", "127.0.0.1:0".to_owned()));
    let mut central = processes::start_central(&settings);
    lottery.wait_for_agencies();
    central.wait_for("action: sorteo | result: success");
    let port = admin_port(central.log_so_far());
    let mut stream = kit::server::connect_from([127, 0, 0, 1].into(), port);
    let mut ask = || http::ask(&mut stream, "/metrics").expect("answered").body;
    // The accounts of other centrals' agencies come with the next poll.
    kit::process::wait_until("all bets are seen", || ask().contains("loteria_ledger_bets 600\n"));
    let metrics = ask();
    for sample in [
        "loteria_draw_done 1\n",
        "loteria_agencies_by_phase{phase=\"drawn\"} 2\n",
        "loteria_store_reachable 1\n",
    ] {
        assert!(metrics.contains(sample), "{sample}: {metrics}");
    }
    let documented = include_str!("../../../docs/cluster.md");
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# HELP loteria_store_"));
    let mut count = 0;
    for family in families {
        let (name, help) = family.split_once(' ').expect("a name and a text");
        let row = format!("| `loteria_store_{name}` | ");
        let row = documented.lines().find(|line| line.starts_with(&row));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {help} |"))), "{name}: {row:?}");
        count += 1;
    }
    let rows = documented.lines().filter(|line| line.starts_with("| `loteria_store_"));
    assert_eq!(count, rows.count(), "and no others");
}

#[test]
fn what_several_centrals_need_is_asked_for() {
    let ended = output(command(&[("SERVER_STORE", "etcd")]).arg("--check-config"));
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{text}");
    for name in ["SERVER_DRAW", "SERVER_ETCD_ENDPOINTS"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn a_central_without_etcd_is_not_ready_and_sends_its_agencies_elsewhere() {
    let site = Site::loopback(Cluster::start(1));
    let mut cut_off = settings(&site, "cut-off", 1);
    drop(site);
    cut_off.push(("SERVER_ADMIN_ADDRESS", "127.0.0.1:0".to_owned()));
    cut_off.push(("SERVER_ETCD_PATIENCE", "50ms".to_owned()));
    let central = processes::start_central(&cut_off);
    let port = admin_port(central.log_so_far());
    let mut stream = kit::server::connect_from([127, 0, 0, 1].into(), port);
    let ready = http::ask(&mut stream, "/readyz").expect("answered");
    assert_eq!(ready.status, 503);
    let mut agency = central.connect();
    let said = kit::frames::hello_of(1, "cut-off");
    assert_eq!(kit::frames::ask(&mut agency, &said), "error StoreUnreachable");
}

#[test]
fn a_central_shows_an_agency_that_sends_to_another_one_as_one_that_sends() {
    let site = Site::loopback(Cluster::start(1));
    let mut settings = settings(&site, "elsewhere", 2);
    settings.push(("SERVER_ADMIN_ADDRESS", "127.0.0.1:0".to_owned()));
    let [served, other] = [(); 2].map(|()| processes::start_central(&settings));
    let mut agency = served.connect();
    kit::frames::ask(&mut agency, &kit::frames::hello_of(1, "elsewhere"));
    let bets = [("30904465", "1"), ("30904466", "2")];
    assert_eq!(kit::frames::ask(&mut agency, &kit::frames::batch(0, &bets)), "stored 2");
    let port = admin_port(other.log_so_far());
    let mut stream = kit::server::connect_from([127, 0, 0, 1].into(), port);
    let mut shown = || -> Value {
        let body = http::ask(&mut stream, "/status.json").expect("answered").body;
        serde_json::from_str::<Value>(&body).expect("JSON")["agencies"].take()
    };
    kit::process::wait_until("the other central sees it", || shown()[0]["stored"] == 2);
    let [one, absent] = [0, 1].map(|index| shown()[index].clone());
    assert_eq!((&one["phase"], &one["connected"]), (&"sending".into(), &true.into()));
    assert!(one["last_progress"].is_f64(), "{one}");
    assert_eq!((&absent["connected"], &absent["last_progress"]), (&false.into(), &Value::Null));
}

/// The rows of a draw, as `server export` writes them.
fn export(site: &Site, settings: &[(&str, String)], file: &std::path::Path) -> String {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut command: Command = command(&settings);
    command.arg("export").arg(file);
    let ended = output(&mut site.operator(command));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    said
}

/// `server ledger check` with a central's settings: what it has printed, and its exit code.
fn check(settings: &[(&str, String)]) -> (Option<i32>, String) {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ended = output(command(&settings).args(["ledger", "check"]));
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8(said).expect("text"))
}

#[test]
fn a_draw_in_etcd_is_checked_against_its_accounts() {
    let site = Site::loopback(Cluster::start(1));
    let mut lottery = Lottery::start(&site, "checked", 2, 300);
    let settings = settings(&site, "checked", 2);
    let mut central = processes::start_central(&settings);
    lottery.wait_for_agencies();
    central.wait_for("action: sorteo | result: success");
    let (code, said) = check(&settings);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("draw checked: the draw has run\n"), "{said}");
    assert!(said.contains("   all           600           600             0"), "{said}");
    assert!(said.ends_with(": good\n"), "{said}");

    // Each of these by itself is found, and named.
    let key = |rest: &str| format!("/loteria/checked/{rest}");
    let is_damaged = |what: &str| {
        let (code, said) = check(&settings);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(what), "{what}: {said}");
    };
    site.etcd.put(0, &key("win/1/99999999999999999999"), "12345678\n");
    is_damaged("agency 1: expected ");
    site.etcd.delete(0, &key("win/1/99999999999999999999"));
    site.etcd.delete(0, &key("fin/2"));
    is_damaged("key /loteria/checked/fin/2: expected the key: its account is finished");
    site.etcd.put(0, &key("fin/2"), "");
    assert_eq!(check(&settings).0, Some(0));
    site.etcd.put(0, &key("bets/2/00000000000000000600"), "2,Ana,Paz,1,2000-01-01,7\r\n");
    is_damaged("bets/2/00000000000000000600: expected a position behind the rows before it");
}
