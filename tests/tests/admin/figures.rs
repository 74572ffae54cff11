//! Metrics and readiness say what is so: after a lottery, after a crash, on a full disk.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::frames::batch;

use crate::world::{Central, finish, send, wait_until};

const AGENCIES: u32 = 3;

/// Agencies 1 to 3 send 150, 250 and 350 bets, of which 4, 5 and 6 win, and one rejected batch each.
fn hold_lottery(central: &Central) {
    for agency in 1..=AGENCIES {
        let mut conversation = central.agency(agency);
        send(&mut conversation, 0, 50, 3 + agency as usize);
        for at in 0..u64::from(agency) {
            send(&mut conversation, 50 + at * 100, 100, 0);
        }
        let position = 50 + u64::from(agency) * 100;
        let rejected = conversation.ask(&batch(position, &[("12345678", "7"), ("12345678", "x")]));
        assert!(rejected.starts_with(&format!("rejected {} ", position + 2)), "{rejected}");
        finish(&mut conversation, position + 2);
    }
}

/// What the ledger says, whichever process looks at it.
const GAUGES: [(&str, &str); 15] = [
    ("loteria_ledger_bets", "750"),
    ("loteria_ledger_rejected_bets", "6"),
    ("loteria_agencies", "3"),
    ("loteria_draw_info{draw=\"\"}", "1"),
    ("loteria_draw_done", "1"),
    ("loteria_winners", "15"),
    ("loteria_ready", "1"),
    ("loteria_agencies_by_phase{phase=\"drawn\"}", "3"),
    ("loteria_agencies_by_phase{phase=\"waiting\"}", "0"),
    ("loteria_agency_bets{agency=\"1\"}", "150"),
    ("loteria_agency_bets{agency=\"2\"}", "250"),
    ("loteria_agency_bets{agency=\"3\"}", "350"),
    ("loteria_agency_rejected_bets{agency=\"2\"}", "2"),
    ("loteria_agency_finished{agency=\"3\"}", "1"),
    ("loteria_admin_streams", "0"),
];

/// What a process has counted, after the lottery.
const COUNTERS: [(&str, &str); 7] = [
    ("loteria_bets_stored_total", "750"),
    ("loteria_bets_rejected_total", "6"),
    ("loteria_batches_total{outcome=\"stored\"}", "9"),
    ("loteria_batches_total{outcome=\"rejected\"}", "3"),
    ("loteria_batches_total{outcome=\"duplicate\"}", "0"),
    ("loteria_batches_total{outcome=\"unavailable\"}", "0"),
    ("loteria_commit_failures_total", "0"),
];

#[test]
fn gauges_outlive_a_crash_and_counters_begin_again() {
    let central = Central::start(AGENCIES, &[]);
    hold_lottery(&central);
    central.wait_for_metric("loteria_draw_done", "1");
    let metrics = central.metrics();
    for (name, value) in GAUGES.into_iter().chain(COUNTERS) {
        assert_eq!(metrics[name], value, "{name}");
    }
    assert!(metrics.contains_key("loteria_draw_timestamp_seconds"));
    assert_ne!(metrics["loteria_commit_duration_seconds_count"], "0");

    let central = central.kill_and_restart(AGENCIES);
    central.wait_for_metric("loteria_draw_done", "1");
    let metrics = central.metrics();
    for (name, value) in GAUGES {
        assert_eq!(metrics[name], value, "{name} after the crash");
    }
    for (name, _) in COUNTERS {
        assert_eq!(metrics[name], "0", "{name} after the crash");
    }
    let status = central.status();
    assert_eq!(status["lottery"]["stored"], 750);
    assert_eq!(status["lottery"]["winners"], 15);
    assert_eq!(status["agencies"][2]["winners"], 6);
    assert_eq!(status["agencies"][0]["last_progress"], serde_json::Value::Null);
    central.server.stop();
}

/// Killed in the middle, with a batch that was rejected before: what the ledger knows is the input, and the
/// counters are what each process has done of it.
#[test]
fn totals_are_the_input_though_the_central_was_killed_half_way() {
    let central = Central::start(1, &[]);
    let mut agency = central.agency(1);
    send(&mut agency, 0, 100, 2);
    let rejected = agency.ask(&batch(100, &[("12345678", "x")]));
    assert!(rejected.starts_with("rejected 101 "), "{rejected}");
    send(&mut agency, 101, 50, 1);
    assert_eq!(central.metrics()["loteria_bets_stored_total"], "150");

    let central = central.kill_and_restart(1);
    let mut agency = central.agency(1);
    // What was stored already is sent again, as by an agency that has missed the reply.
    send(&mut agency, 101, 50, 1);
    send(&mut agency, 151, 70, 3);
    finish(&mut agency, 221);
    central.wait_for_metric("loteria_draw_done", "1");
    let metrics = central.metrics();
    for (name, value) in [
        ("loteria_ledger_bets", "220"),
        ("loteria_ledger_rejected_bets", "1"),
        ("loteria_winners", "6"),
        ("loteria_bets_stored_total", "70"),
        ("loteria_bets_rejected_total", "0"),
        ("loteria_batches_total{outcome=\"duplicate\"}", "1"),
        ("loteria_batches_total{outcome=\"stored\"}", "1"),
    ] {
        assert_eq!(metrics[name], value, "{name}");
    }
    central.server.stop();
}

fn promtool() -> PathBuf {
    let unpacked =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/prometheus/usr/bin/promtool");
    if unpacked.exists() { unpacked } else { "promtool".into() }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let central = Central::start(AGENCIES, &[]);
    hold_lottery(&central);
    let metrics = central.get("/metrics").body;
    let mut promtool = Command::new(promtool());
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("`.ci/setup test` sees to promtool");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(metrics.as_bytes()).expect("read");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_full_disk_is_not_ready_until_there_is_space() {
    let central = Central::start(1, &[("SERVER_COMMIT_RETRY_DELAY", "1ms")]);
    assert_eq!(central.get("/readyz").status, 200);
    central.fill_disk();
    let position = central.send_until_refused(1);
    // The central may try again at once, and stays not ready: nothing has been stored.
    let metrics_before = central.metrics();
    wait_until("a turn", || {
        central.metrics()["loteria_turns_total"] != metrics_before["loteria_turns_total"]
    });
    let not_ready = central.get("/readyz");
    assert_eq!(not_ready.status, 503);
    let line = not_ready.body;
    assert_eq!(line, "storage failing: commits fail and are tried again\n");
    assert_eq!(central.get("/healthz").status, 200, "the loop turns");
    let metrics = central.metrics();
    assert_ne!(metrics["loteria_commit_failures_total"], "0");
    assert_ne!(metrics["loteria_batches_total{outcome=\"unavailable\"}"], "0");
    central.make_room();
    let stored = format!("stored {}", position + 1);
    let bet = batch(position, &[("12345678", "7")]);
    wait_until("a bet stored", || central.agency(1).ask(&bet) == stored);
    assert_eq!(central.get("/readyz").body, "ready\n");
    assert_eq!(central.metrics()["loteria_ready"], "1");
    central.server.stop();
}

#[test]
fn a_full_ledger_is_not_ready_from_the_start_and_until_the_draw() {
    let central = Central::start(1, &[]);
    send(&mut central.agency(1), 0, 10, 0);
    let bytes = central.metrics()["loteria_ledger_bytes"].clone();
    let limit = [("SERVER_MAX_LEDGER_SIZE", &*bytes)];
    let full = Central::of(central.server.kill_and_restart(&[
        ("SERVER_AGENCIES", "1"),
        ("SERVER_ADMIN_ADDRESS", "127.0.0.1:0"),
        limit[0],
    ]));
    let answer = full.get("/readyz");
    assert_eq!((answer.status, &*answer.body), (503, "ledger full: it has reached its limit\n"));
    assert!(
        full.server
            .log_so_far()
            .contains("| warning: no bet is taken: raise SERVER_MAX_LEDGER_SIZE")
    );
    finish(&mut full.agency(1), 10);
    wait_until("the draw", || full.get("/readyz").body == "ready\n");
    full.server.stop();
}
