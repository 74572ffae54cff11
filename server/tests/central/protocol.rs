//! Requests in, responses out: their order and durability, every breach of the protocol, deadlines.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kit::frames::{batch, bytes, end, hello, hello_of, hello_of_version};
use proptest::prelude::*;
use reactor::{ConnectionId, Handler as _};
use server::central::{AgencyAddresses, ProtocolConfig};
use server::lottery::Entry;
use wire::{FRAME_MAX, FrameDecoder, MAGIC, Request, Response};

use crate::memory_store::{Disk, MemoryStore};
use crate::world::{CONFIG, World};

const TWO: [(&str, &str); 2] = [("1", "7574"), ("2", "5")];
const BAD: [(&str, &str); 2] = [("1", "7574"), ("x", "5")];

#[test]
fn bets_are_stored_confirmed_and_drawn() {
    let mut world = World::new(2);
    let (one, two) = (world.agency(1), world.agency(2));
    assert_eq!(world.responses(one), ["welcome 0 rejected 0 Open"]);
    world.send(one, &batch(0, &TWO));
    world.send(one, &[end(2), bytes(&Request::Winners)].concat());
    assert_eq!(
        world.responses(one),
        ["stored 2", "finished 2 0"],
        "no winner is sent before the draw"
    );
    world.send(two, &batch(0, &[("3", "7574"), ("4", "7574")]));
    world.send(two, &[end(2), bytes(&Request::Winners)].concat());
    let received = ["welcome 0 rejected 0 Open", "stored 2", "finished 2 0", "winners true 3,4"];
    assert_eq!(world.responses(two), received);
    assert_eq!(world.responses(one), ["winners true 1"], "only its own");
    let rows = "1,Ana,Paz,1,2000-01-01,7574\r\n1,Ana,Paz,2,2000-01-01,5\r\n\
                2,Ana,Paz,3,2000-01-01,7574\r\n2,Ana,Paz,4,2000-01-01,7574\r\n";
    assert_eq!(String::from_utf8(world.disk.borrow().rows.clone()).unwrap(), rows);
    // Again, and again from a new connection: the same response.
    world.send(one, &bytes(&Request::Winners));
    assert_eq!(world.responses(one), ["winners true 1"]);
    let again = world.agency(1);
    world.send(again, &bytes(&Request::Winners));
    assert_eq!(world.responses(again), ["welcome 2 rejected 0 Drawn", "winners true 1"]);
}

#[test]
fn no_answer_leaves_before_its_commit_is_durable() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.responses(one);
    world.arrive(one, &batch(0, &TWO));
    assert!(world.responses(one).is_empty(), "the turn has not ended");
    world.disk.borrow_mut().held_back = true;
    world.end_turn();
    world.end_turn();
    assert!(world.responses(one).is_empty(), "the ledger has not said that it is durable");
    world.disk.borrow_mut().held_back = false;
    world.end_turn();
    assert_eq!(world.responses(one), ["stored 2"]);
}

#[test]
fn after_a_failed_sync_nothing_is_committed_and_nothing_answered() {
    // Every batch is committed at once: several commits in one turn.
    let mut world = World::with(1, ProtocolConfig { group_commit_bytes: 1, ..CONFIG });
    let one = world.agency(1);
    world.responses(one);
    let before = world.disk.borrow().commits;
    world.disk.borrow_mut().broken = true;
    world.arrive(one, &[batch(0, &TWO), batch(2, &TWO), batch(4, &TWO)].concat());
    let ended = world.turn();
    assert!(ended.unwrap_err().to_string().contains("input/output error"));
    assert_eq!(world.disk.borrow().commits, before + 1, "it isn't tried again");
    assert!(world.responses(one).is_empty());
}

#[test]
fn a_batch_behind_one_that_found_no_room_is_unavailable_in_the_same_turn() {
    let mut world = World::with(1, ProtocolConfig { group_commit_bytes: 1, ..CONFIG });
    let one = world.agency(1);
    world.responses(one);
    world.disk.borrow_mut().full = true;
    world.send(one, &[batch(0, &TWO), batch(2, &TWO), end(4)].concat());
    let received = world.responses(one);
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|response| response.starts_with("unavailable 0")), "{received:?}");
    world.disk.borrow_mut().full = false;
    world.send(one, &batch(0, &TWO));
    assert_eq!(world.responses(one), ["stored 2"]);
}

#[test]
fn one_commit_holds_all_batches_of_a_turn() {
    let mut world = World::new(3);
    let agencies = [world.agency(1), world.agency(2), world.agency(3)];
    let before = world.disk.borrow().commits;
    for agency in agencies {
        world.arrive(agency, &[batch(0, &TWO), batch(2, &TWO)].concat());
    }
    world.end_turn();
    assert_eq!(world.disk.borrow().commits, before + 1);
    for agency in agencies {
        assert_eq!(world.responses(agency)[1..], ["stored 2", "stored 4"]);
    }
}

#[test]
fn what_was_consumed_is_confirmed_again_and_not_stored_again() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.send(one, &batch(0, &TWO));
    let rows = world.disk.borrow().rows.len();
    world.send(one, &batch(0, &TWO));
    world.send(one, &batch(1, &TWO[1..]));
    assert_eq!(world.responses(one)[1..], ["stored 2", "stored 2", "stored 2"]);
    assert_eq!(world.disk.borrow().rows.len(), rows);
}

#[test]
fn a_batch_with_a_bad_bet_is_consumed_and_rejected_whole() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.send(one, &[batch(0, &BAD), batch(2, &TWO)].concat());
    assert_eq!(world.responses(one)[1..], ["rejected 2 index 1 Document", "stored 4"]);
    world.send(one, &[end(4), bytes(&Request::Winners)].concat());
    assert_eq!(world.responses(one), ["finished 2 2", "winners true 1"], "once, not twice");
}

#[test]
fn every_breach_of_the_protocol_is_an_error_and_ends_the_connection() {
    let oversized = [MAGIC, 3, 0x20, 0x01];
    let surplus = {
        let mut frame = batch(0, &TWO);
        frame.push(9);
        let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
        frame[2..4].copy_from_slice(&length);
        frame
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("Oversized", oversized.to_vec()),
        ("UnknownKind", vec![MAGIC, 0x7f, 0, 4]),
        ("Malformed", vec![MAGIC, 1, 0, 3]),
        ("Malformed", [hello(1), b"x".to_vec()].concat()),
        ("Malformed", [hello(1), surplus].concat()),
        ("Malformed", vec![MAGIC, 1, 0, 10, 2, 0, 0, 0, 1, 0]),
        ("Version", hello_of_version(0, 1)),
        ("Version", hello_of_version(9, 1)),
        ("Version", vec![MAGIC, 1, 0, 5, 3]),
        ("WrongDraw", hello_of(1, "x")),
        ("WrongDraw", hello_of(3, "x")),
        ("UnknownAgency", hello(0)),
        ("UnknownAgency", hello(3)),
        ("NotIntroduced", batch(0, &TWO)),
        ("NotIntroduced", end(0)),
        ("AlreadyIntroduced", [hello(1), hello(1)].concat()),
        ("Gap", [hello(1), batch(1, &TWO)].concat()),
        ("Gap", [hello(1), batch(u64::MAX, &TWO)].concat()),
        ("Overlap", [hello(1), batch(0, &TWO), batch(1, &TWO)].concat()),
        ("WrongTotal", [hello(1), batch(0, &TWO), end(1)].concat()),
        ("NotFinished", [hello(1), bytes(&Request::Winners)].concat()),
        ("Finished", [hello(1), batch(0, &TWO), end(2), batch(2, &TWO)].concat()),
    ];
    for (expected, said) in cases {
        let mut world = World::new(2);
        let (other, bad) = (world.agency(2), world.open());
        world.send(bad, &said);
        let received = world.responses(bad);
        assert_eq!(received.last(), Some(&format!("error {expected}")), "{said:?}");
        assert!(world.is_closed(bad));
        world.send(other, &batch(0, &TWO));
        assert_eq!(world.responses(other)[1..], ["stored 2"], "others never notice");
    }
}

/// Whatever else is wrong with it: which agencies there are is another draw's matter.
#[test]
fn an_agency_of_another_draw_is_refused_and_its_bets_are_not_taken() {
    const SERVED: &str = "2026-11-27";
    let longest = "x".repeat(64);
    for (mut world, own, others) in [
        (
            World::new(2),
            hello(1),
            vec![hello_of(1, SERVED), hello_of(3, "a"), hello_of(1, &longest)],
        ),
        (
            World::of_draw(2, SERVED),
            hello_of(1, SERVED),
            vec![
                hello(1),
                hello(3),
                hello_of(1, "2026-11-26"),
                hello_of(1, "2026-11-27."),
                hello_of(1, "2026-11-2"),
                hello_of(1, &longest),
            ],
        ),
    ] {
        let agency = world.open();
        world.send(agency, &own);
        assert_eq!(world.responses(agency), ["welcome 0 rejected 0 Open"]);
        for said in others {
            let other = world.open();
            world.send(other, &[&said[..], &batch(0, &TWO), &end(2)].concat());
            assert_eq!(world.responses(other), ["error WrongDraw"], "{said:?}");
            assert!(world.is_closed(other));
        }
        assert!(world.disk.borrow().rows.is_empty());
        world.send(agency, &batch(0, &TWO));
        assert_eq!(world.responses(agency), ["stored 2"], "it wasn't superseded");
    }
}

#[test]
fn which_draws_differ_and_which_versions_are_spoken_is_said() {
    let reason = |mut world: World<MemoryStore>, said: &[u8]| {
        let peer = world.open();
        world.send(peer, said);
        let output = world.take_output(peer);
        let frame = FrameDecoder::default().decode(&output).unwrap().unwrap();
        let Ok(Response::Error { reason, .. }) = Response::decode(frame) else {
            panic!("{output:?}");
        };
        reason.to_owned()
    };
    let named = || World::of_draw(1, "hoy");
    assert_eq!(
        reason(named(), &hello_of(1, "ayer")),
        "this central serves draw hoy (SERVER_DRAW), found agency 1 of draw ayer"
    );
    assert_eq!(
        reason(named(), &hello(1)),
        "this central serves draw hoy (SERVER_DRAW), found agency 1 of the unnamed draw"
    );
    assert_eq!(
        reason(World::new(1), &hello_of(1, "ayer")),
        "this central serves the unnamed draw (SERVER_DRAW), found agency 1 of draw ayer"
    );
    for version in [0, 3, 255] {
        let expected = format!("this central speaks versions 1 and 2, found {version}");
        assert_eq!(reason(named(), &hello_of_version(version, 1)), expected);
    }
}

#[test]
fn from_another_address_an_agency_is_refused_after_what_no_agency_may_say() {
    let other: AgencyAddresses = "*=192.0.2.1".parse().unwrap();
    for (said, expected) in [
        (hello_of_version(9, 1), "error Version"),
        (hello_of(3, "x"), "error WrongDraw"),
        (hello(3), "error UnknownAgency"),
        (hello(1), "error WrongAddress"),
        (end(0), "error NotIntroduced"),
    ] {
        let config = ProtocolConfig { agency_addresses: other.clone(), ..CONFIG };
        let mut world = World::with(2, config);
        let one = world.open();
        world.send(one, &said);
        assert_eq!(world.responses(one), [expected]);
        assert!(world.is_closed(one));
    }
}

/// However little of it has come: a text never begins so.
#[test]
fn what_begins_tls_is_refused_with_a_line() {
    for said in [&b"\x16"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16hola\n"] {
        let mut world = World::new(1);
        let one = world.open();
        world.send(one, said);
        let line = String::from_utf8(world.take_output(one)).unwrap();
        assert_eq!(line, "error: this central takes no TLS (SERVER_TLS=off)\n");
        assert!(world.is_closed(one));
    }
    let mut world = World::new(1);
    let one = world.open();
    world.send(one, b"a\x16\n");
    assert_eq!(world.take_output(one), b"a\x16\n", "only the first byte decides");
}

#[test]
fn a_malformed_batch_stores_nothing() {
    let mut world = World::new(1);
    let one = world.agency(1);
    let mut frame = batch(0, &TWO);
    frame[13] = 3;
    world.send(one, &frame);
    assert_eq!(world.responses(one)[1..], ["error Malformed"]);
    assert!(world.disk.borrow().rows.is_empty());
    let again = world.agency(1);
    assert_eq!(world.responses(again), ["welcome 0 rejected 0 Open"]);
}

#[test]
fn after_the_draw_nothing_new_is_taken_and_what_is_known_is_confirmed_again() {
    for (said, received) in [
        (batch(2, &TWO), "error Drawn"),
        (batch(1, &TWO), "error Drawn"),
        (end(3), "error Drawn"),
        (end(2), "finished 2 0"),
        (batch(0, &TWO), "stored 2"),
    ] {
        let mut world = World::new(1);
        let one = world.agency(1);
        world.send(one, &[batch(0, &TWO), end(2)].concat());
        assert_eq!(world.responses(one)[1..], ["stored 2", "finished 2 0"]);
        world.send(one, &said);
        assert_eq!(world.responses(one), [received]);
    }
}

#[test]
fn responses_keep_the_order_of_requests_before_and_after_the_draw() {
    let ask = bytes(&Request::Winners);
    let mut world = World::new(2);
    let (one, two) = (world.agency(1), world.agency(2));
    world.send(one, &[batch(0, &TWO), end(2)].concat());
    world.responses(one);
    // What follows the request for winners waits with it, and so does an error.
    world.send(one, &[ask.clone(), end(2), ask.clone()].concat());
    world.send(one, &[end(2), batch(9, &TWO), end(2)].concat());
    assert!(world.responses(one).is_empty() && !world.is_closed(one), "the draw is to come");
    world.send(two, &end(0));
    let received =
        ["winners true 1", "finished 2 0", "winners true 1", "finished 2 0", "error Drawn"];
    assert_eq!(world.responses(one), received);
    assert!(world.is_closed(one));
    world.responses(two);
    world.send(two, &[ask.clone(), end(0), ask].concat());
    assert_eq!(world.responses(two), ["winners true ", "finished 0 0", "winners true "]);
}

/// An agency that is refused and has ended its input still gets what it is owed, and then why.
#[test]
fn an_end_of_input_does_not_overtake_a_refusal() {
    for bad in [batch(99, &TWO), batch(1, &TWO), end(7), hello(1), vec![MAGIC, 0x7f, 0, 4]] {
        let mut world = World::with_disk(1, CONFIG);
        let one = world.open();
        world.arrive(one, &[hello(1), batch(0, &TWO), bad].concat());
        world.end_turn();
        world.end_input(one);
        assert!(!world.is_closed(one), "it is owed something");
        while world.disk_answers() {}
        let received = world.responses(one);
        assert_eq!(received[..2], ["welcome 0 rejected 0 Open", "stored 2"], "{received:?}");
        assert!(received[2].starts_with("error ") && received.len() == 3, "{received:?}");
        assert!(world.is_closed(one));
    }
}

/// The deadline of a frame that had begun ends no connection that is owed replies: they are frames,
/// and no line of text is sent between them.
#[test]
fn a_deadline_does_not_overtake_a_refusal() {
    let mut world = World::with_disk(1, CONFIG);
    let old = world.open();
    let frame = batch(2, &TWO);
    world.arrive(old, &[hello(1), batch(0, &TWO), frame[..9].to_vec()].concat());
    world.end_turn();
    let new = world.agency(1);
    world.expire(old);
    assert!(!world.is_closed(old), "it is owed something");
    while world.disk_answers() {}
    let responses = ["welcome 0 rejected 0 Open", "stored 2", "error Superseded"];
    assert_eq!(world.responses(old), responses);
    assert_eq!(world.responses(new), ["welcome 2 rejected 0 Open"]);
    assert!(world.is_closed(old));
}

/// Asked again and again, before the draw as well: the peer is held back, and nothing is kept of it.
#[test]
fn nothing_is_read_behind_a_request_for_winners_that_waits() {
    let mut world = World::new(2);
    let (one, two) = (world.agency(1), world.agency(2));
    let asked = bytes(&Request::Winners).repeat(1000);
    world.send(one, &[end(0), asked].concat());
    assert!(world.is_paused(one));
    assert_eq!(world.deadline(one), None, "it is the central that waits");
    world.send(two, &end(0));
    assert_eq!(world.responses(one).len(), "welcome, finished".split(',').count() + 1000);
    assert!(!world.is_paused(one));
}

#[test]
fn a_connection_superseded_while_it_waits_for_winners_gets_the_error_at_once() {
    let mut world = World::new(2);
    let old = world.agency(1);
    world.send(old, &[end(0), bytes(&Request::Winners)].concat());
    let new = world.agency(1);
    assert_eq!(world.responses(old)[1..], ["finished 0 0", "error Superseded"]);
    world.send(new, &bytes(&Request::Winners));
    let two = world.agency(2);
    world.send(two, &end(0));
    assert_eq!(world.responses(new), ["welcome 0 rejected 0 Finished", "winners true "]);
}

#[test]
fn a_slow_disk_holds_answers_back_and_nothing_else() {
    let mut world = World::with_disk(2, CONFIG);
    let (one, two) = (world.agency(1), world.agency(2));
    world.send(one, &batch(0, &TWO));
    assert!(world.responses(one)[1..].is_empty(), "the disk has been asked, and hasn't answered");
    // Meanwhile all others go on, and more is taken.
    world.send(two, &batch(0, &TWO));
    world.send(one, &batch(2, &TWO));
    let echo = world.open();
    world.send(echo, b"hola\n");
    assert_eq!(world.take_output(echo), b"hola\n");
    assert!(world.disk_answers());
    assert_eq!((world.responses(one), world.responses(two).len()), (vec!["stored 2".into()], 1));
    // The next sync covers what was taken meanwhile.
    assert!(world.disk_answers());
    assert_eq!(
        (world.responses(one), world.responses(two)),
        (vec!["stored 4".into()], vec!["stored 2".into()])
    );
    assert!(!world.disk_answers(), "everything is durable");
    assert_eq!(world.disk.borrow().commits, 2);
}

/// What WELCOME reports is durable, also when more is under way.
#[test]
fn a_welcome_reports_nothing_that_may_still_be_lost() {
    let mut world = World::with_disk(1, CONFIG);
    let one = world.agency(1);
    world.send(one, &batch(0, &TWO));
    let again = world.open();
    world.send(again, &hello(1));
    assert!(world.responses(again).is_empty());
    world.send(again, &batch(2, &TWO));
    world.disk_answers();
    assert_eq!(world.responses(again), ["welcome 2 rejected 0 Open"]);
    world.disk_answers();
    assert_eq!(world.responses(again), ["stored 4"]);
}

#[test]
fn more_than_may_wait_for_the_disk_is_not_read() {
    let mut world = World::with_disk(1, ProtocolConfig { max_pending_replies: 3, ..CONFIG });
    let one = world.agency(1);
    let batches: Vec<u8> = (0..10).flat_map(|index| batch(2 * index, &TWO)).collect();
    world.send(one, &batches);
    assert!(world.is_paused(one));
    let mut received = world.responses(one);
    while world.disk_answers() {
        let more = world.responses(one);
        assert!(more.len() <= 3, "{more:?}");
        received.extend(more);
    }
    let expected: Vec<_> = (1..=10).map(|index| format!("stored {}", 2 * index)).collect();
    assert_eq!(received[1..], expected);
}

/// It is the disk that is slow, not the agency whose frame isn't whole.
#[test]
fn no_deadline_runs_while_an_agency_is_held_back() {
    let mut world = World::with_disk(2, ProtocolConfig { max_pending_replies: 1, ..CONFIG });
    let (one, two) = (world.agency(1), world.agency(2));
    let frame = batch(0, &TWO);
    world.send(one, &frame[..9]);
    assert_eq!(world.deadline(one), CONFIG.frame_timeout);
    world.send(two, &frame);
    // It is about to be read.
    world.send(one, &frame[9..10]);
    assert_eq!((world.is_paused(one), world.deadline(one)), (true, None));
    world.disk_answers();
    assert_eq!(world.deadline(one), CONFIG.frame_timeout, "from now on");
    world.send(one, &frame[10..]);
    world.disk_answers();
    assert_eq!(world.responses(one)[1..], ["stored 2"]);
}

#[test]
fn a_log_that_goes_on_in_its_other_half_makes_batches_wait() {
    for with_disk in [true, false] {
        let config = ProtocolConfig { group_commit_bytes: 1, ..CONFIG };
        let mut world =
            if with_disk { World::with_disk(1, config) } else { World::with(1, config) };
        let one = world.agency(1);
        world.disk_answers();
        world.responses(one);
        world.disk.borrow_mut().busy = true;
        world.send(one, &[batch(0, &TWO), batch(2, &TWO), end(4)].concat());
        assert!(world.responses(one).is_empty() && world.is_paused(one));
        world.disk.borrow_mut().busy = false;
        world.end_turn();
        while world.disk_answers() {}
        assert_eq!(world.responses(one), ["stored 2", "stored 4", "finished 4 0"]);
    }
}

/// The end waits for the disk, and replies that are owed leave first.
#[test]
fn a_shutdown_waits_for_the_disk_that_is_at_work() {
    let mut world = World::with_disk(1, CONFIG);
    let (one, echo) = (world.agency(1), world.open());
    world.send(one, &batch(0, &TWO));
    world.stop();
    assert!(!world.central().is_idle() && !world.is_closed(one));
    assert!(world.is_closed(echo));
    world.send(one, &batch(2, &TWO));
    while world.disk_answers() {}
    assert_eq!(world.responses(one)[1..], ["stored 2", "error ShuttingDown"]);
    assert!(world.central().is_idle() && world.is_closed(one));
}

#[test]
fn without_the_thread_that_waits_for_the_disk_nothing_goes_on() {
    let mut world = World::with_disk(1, CONFIG);
    let one = world.agency(1);
    world.arrive(one, &batch(0, &TWO));
    world.lose_disk_thread();
    assert!(world.turn().is_err());
}

#[test]
fn the_newer_connection_of_an_agency_supersedes_the_older() {
    let mut world = World::new(1);
    let old = world.agency(1);
    world.arrive(old, &batch(0, &TWO));
    let new = world.open();
    world.send(new, &hello(1));
    assert_eq!(world.responses(old)[1..], ["stored 2", "error Superseded"]);
    assert!(world.is_closed(old));
    assert_eq!(world.responses(new), ["welcome 2 rejected 0 Open"]);
    world.drop_connection(old);
    world.send(new, &batch(2, &TWO));
    assert_eq!(world.responses(new), ["stored 4"]);
}

#[test]
fn a_full_disk_confirms_nothing_and_loses_nothing() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.send(one, &batch(0, &TWO));
    world.disk.borrow_mut().full = true;
    world.send(one, &[batch(2, &TWO), batch(4, &TWO)].concat());
    // These were on their way before the agency knew.
    world.send(one, &[batch(6, &TWO), end(8)].concat());
    let unavailable = ["unavailable 2"; 4];
    assert_eq!(world.responses(one)[1..], [&["stored 2"][..], &unavailable].concat());
    world.disk.borrow_mut().full = false;
    world.send(one, &[batch(2, &TWO), end(4)].concat());
    assert_eq!(world.responses(one), ["stored 4", "finished 4 0"]);
    world.send(one, &bytes(&Request::Winners));
    assert_eq!(world.responses(one), ["winners true 1,1"]);
}

/// A central that waits after a failed commit, in which agency 1 has two bets.
fn world_that_waits(agencies: u32) -> (World, ConnectionId) {
    let config = ProtocolConfig { commit_retry_delay: Duration::from_millis(100), ..CONFIG };
    let mut world = World::with(agencies, config);
    let one = world.agency(1);
    world.send(one, &batch(0, &TWO));
    world.responses(one);
    (world, one)
}

#[test]
fn a_full_disk_is_not_asked_again_before_the_delay_has_passed() {
    let (mut world, one) = world_that_waits(1);
    world.disk.borrow_mut().full = true;
    world.send(one, &batch(2, &TWO));
    let attempts = world.disk.borrow().attempts;
    // As an agency does: from the position that was reported, again and again.
    for _ in 0..1000 {
        world.send(one, &[batch(0, &TWO), batch(2, &TWO), batch(4, &TWO), end(6)].concat());
    }
    assert_eq!(world.disk.borrow().attempts, attempts, "the disk wasn't asked");
    let round = ["stored 2", "unavailable 2", "unavailable 2", "unavailable 2"];
    assert_eq!(world.responses(one), [&["unavailable 2"][..], &round.repeat(1000)].concat());
    world.pass_time();
    world.send(one, &batch(2, &TWO));
    assert_eq!(world.disk.borrow().attempts, attempts + 1, "the delay had passed");
    assert_eq!(world.responses(one), ["unavailable 2"]);
    world.disk.borrow_mut().full = false;
    world.send(one, &batch(2, &TWO));
    assert_eq!(world.responses(one), ["unavailable 2"], "the next delay hasn't");
    world.pass_time();
    world.send(one, &batch(2, &TWO));
    assert_eq!(world.responses(one), ["stored 4"]);
}

#[test]
fn without_space_for_rows_agencies_end_and_the_draw_runs() {
    let (mut world, one) = world_that_waits(2);
    let two = world.agency(2);
    world.responses(two);
    world.disk.borrow_mut().full_for_rows = true;
    world.send(two, &batch(0, &TWO));
    world.send(one, &[end(2), bytes(&Request::Winners)].concat());
    assert_eq!(
        (world.responses(two), world.responses(one)),
        (only("unavailable 0"), only("finished 2 0"))
    );
    world.send(two, &batch(0, &TWO));
    world.send(two, &end(0));
    // A response said that a batch had no effect: the end is sent again from the position that it reported.
    assert_eq!(world.responses(two), ["unavailable 0", "finished 0 0"]);
    assert_eq!(world.responses(one), ["winners true 1"]);
}

fn only(word: &str) -> Vec<String> {
    vec![word.to_owned()]
}

#[test]
fn a_draw_that_could_not_be_committed_is_tried_again_by_itself() {
    let config = ProtocolConfig { commit_retry_delay: Duration::from_millis(100), ..CONFIG };
    let disk: Rc<RefCell<Disk>> = Rc::default();
    disk.borrow_mut().full = true;
    // As a crash may leave it: every agency has finished, and there was no draw.
    let ended = [Entry::Finished { agency: 1 }];
    let mut world = World::after(&ended, MemoryStore::new(&disk), 1, config);
    let one = world.agency(1);
    world.send(one, &bytes(&Request::Winners));
    world.end_turn();
    assert_eq!(disk.borrow().attempts, 1, "and none before the delay has passed");
    disk.borrow_mut().full = false;
    world.pass_time();
    assert_eq!(world.responses(one), ["welcome 0 rejected 0 Finished", "winners true "]);
}

#[test]
fn the_draw_waits_for_the_disk_too() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.disk.borrow_mut().full = true;
    world.send(one, &end(0));
    assert_eq!(world.responses(one)[1..], ["unavailable 0"]);
    world.disk.borrow_mut().full = false;
    world.send(one, &[end(0), bytes(&Request::Winners)].concat());
    assert_eq!(world.responses(one), ["finished 0 0", "winners true "]);
}

#[test]
fn a_peer_that_has_ended_its_input_still_gets_its_answers() {
    let mut world = World::new(2);
    let (one, two) = (world.agency(1), world.agency(2));
    world.arrive(one, &[end(0), bytes(&Request::Winners)].concat());
    world.end_input(one);
    assert!(!world.is_closed(one), "it waits for the draw");
    world.send(two, &end(0));
    assert_eq!(world.responses(one)[1..], ["finished 0 0", "winners true "]);
    assert!(world.is_closed(one));
    world.end_input(two);
    assert!(world.is_closed(two), "nothing is owed");
}

#[test]
fn an_end_inside_a_frame_is_an_error() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.send(one, &batch(0, &TWO)[..20]);
    world.end_input(one);
    assert_eq!(world.responses(one)[1..], ["error Malformed"]);
    assert!(world.disk.borrow().rows.is_empty());
}

#[test]
fn a_long_list_of_winners_is_written_as_it_is_read() {
    let mut world = World::new(1);
    // A frame: nearly all that waits for the peer waits in the loop.
    world.set_capacity(FRAME_MAX);
    let one = world.agency(1);
    let documents: Vec<String> = (0..3000).map(|number| format!("{number:012}")).collect();
    for (index, chunk) in documents.chunks(100).enumerate() {
        let bets: Vec<_> = chunk.iter().map(|document| (document.as_str(), "7574")).collect();
        world.send(one, &batch(100 * index as u64, &bets));
    }
    world.send(one, &end(3000));
    world.responses(one);
    let ask = bytes(&Request::Winners);
    world.send(one, &[ask.clone(), ask].concat());
    let mut received = Vec::new();
    // Two lists of 3000 documents of 13 bytes: far more than may wait at once.
    while received.len() < 2 * documents.len() {
        let backlog = world.unsent(one);
        assert!(backlog <= CONFIG.write_buffer_high + FRAME_MAX, "{backlog} bytes wait");
        for words in world.whole_responses(one) {
            let documents = words.strip_prefix("winners ").and_then(|rest| rest.split_once(' '));
            let (last, documents) = documents.expect("winners");
            received.extend(documents.split(',').map(str::to_owned));
            assert_eq!(
                last == "true",
                received.len().is_multiple_of(3000),
                "the last frame says so"
            );
        }
        world.end_turn();
    }
    assert_eq!(received[..3000], documents);
    assert_eq!(received[3000..], documents);
    assert!(world.take_output(one).is_empty());
}

#[test]
fn deadlines_fit_what_is_waited_for() {
    let mut world = World::new(1);
    let one = world.open();
    let deadline = |world: &World, id| world.deadline(id);
    assert_eq!(deadline(&world, one), CONFIG.first_byte_timeout);
    world.send(one, &hello(1)[..3]);
    assert_eq!(deadline(&world, one), CONFIG.frame_timeout);
    world.send(one, &hello(1)[3..]);
    assert_eq!(deadline(&world, one), None, "an agency may think");
    world.send(one, &batch(0, &TWO)[..9]);
    assert_eq!(deadline(&world, one), CONFIG.frame_timeout);
    world.expire(one);
    assert_eq!(world.responses(one)[1..], ["error Timeout"]);
    assert!(world.is_closed(one));
    let half = world.open();
    world.send(half, b"hol");
    world.expire(half);
    let received = String::from_utf8(world.take_output(half)).unwrap();
    assert_eq!(received, "error: waited too long for a whole line or frame\n");
    let silent = world.open();
    world.expire(silent);
    assert!(world.is_closed(silent) && world.take_output(silent).is_empty());
}

#[test]
fn a_shutdown_answers_what_is_under_way_and_says_why_it_ends() {
    let mut world = World::new(1);
    let one = world.agency(1);
    world.arrive(one, &batch(0, &TWO));
    world.stop();
    assert_eq!(world.responses(one)[1..], ["stored 2", "error ShuttingDown"]);
}

#[test]
fn echo_answers_one_line_and_closes() {
    let mut world = World::new(1);
    for (said, echoed) in [
        (&b"hola\n"[..], &b"hola\n"[..]),
        (b"\xff|\x01\r\n", b"\xff|\x01\r\n"),
        (b"one\ntwo\n", b"one\n"),
        (b"\n", b"\n"),
    ] {
        let one = world.open();
        world.send(one, said);
        assert_eq!(world.take_output(one), echoed);
        assert!(world.is_closed(one));
    }
}

#[test]
fn echo_takes_the_end_of_input_for_the_end_of_the_line() {
    let mut world = World::new(1);
    let one = world.open();
    world.send(one, b"no newline");
    world.end_input(one);
    assert_eq!(world.take_output(one), b"no newline\n");
    let empty = world.open();
    world.end_input(empty);
    assert!(world.take_output(empty).is_empty() && world.is_closed(empty));
}

#[test]
fn echo_refuses_a_line_without_an_end() {
    let mut world = World::new(1);
    for (length, refused) in [(999, false), (1000, false), (1001, true)] {
        let one = world.open();
        world.send(one, &vec![b'x'; length]);
        assert_eq!(world.is_closed(one), refused, "{length}");
        let output = String::from_utf8(world.take_output(one)).unwrap();
        assert_eq!(output.starts_with("error: a line is at most 1000 bytes"), refused);
    }
}

/// Sends a stream that is cut into pieces of these lengths, with the rest behind them.
fn check_cuts(cuts: &[usize]) {
    let said = [
        batch(0, &TWO),
        batch(2, &BAD),
        batch(0, &TWO),
        batch(4, &TWO),
        end(6),
        bytes(&Request::Winners),
    ]
    .concat();
    // WELCOME reports the position when the turn ends: it comes first by itself.
    let mut world = World::new(1);
    let one = world.agency(1);
    let mut rest = &said[..];
    for &cut in cuts {
        let (head, tail) = rest.split_at(cut.min(rest.len()));
        world.send(one, head);
        rest = tail;
    }
    world.send(one, rest);
    let expected = [
        "welcome 0 rejected 0 Open",
        "stored 2",
        "rejected 4 index 1 Document",
        "stored 2",
        "stored 6",
        "finished 4 2",
        "winners true 1,1",
    ];
    assert_eq!(world.responses(one), expected);
}

#[test]
fn a_stream_that_is_not_cut() {
    check_cuts(&[]);
}

proptest! {
    /// The draw comes with the last agency's end that is committed, whichever commits fail, and
    /// whether several ends share one.
    #[test]
    fn the_draw_comes_with_the_last_end_that_is_committed(
        turns in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(1..5_u32, 0..6)), 0..12,
        ),
    ) {
        let mut world = World::new(4);
        let connections = [1, 2, 3, 4].map(|agency| world.agency(agency));
        let mut finished = [false; 4];
        for (full, ends) in turns {
            world.disk.borrow_mut().full = full;
            for agency in ends {
                let index = agency as usize - 1;
                world.arrive(connections[index], &end(0));
                finished[index] |= !full;
            }
            world.end_turn();
            prop_assert_eq!(world.central().lottery().committed().drawn, finished == [true; 4]);
        }
    }

    /// However the stream is cut, the responses are the same.
    #[test]
    fn cuts_leave_no_trace(cuts in prop::collection::vec(1..40_usize, 0..60)) {
        check_cuts(&cuts);
    }

    /// Keep-alive: every line comes back, in order, however it is cut.
    #[test]
    fn echo_keeps_alive_when_configured(
        lines in prop::collection::vec("[a-zñ|]{1,20}", 1..10),
        cut in 1..30_usize,
    ) {
        let mut world = World::with(1, ProtocolConfig { echo_keep_alive: true, ..CONFIG });
        let said = lines.join("\n") + "\n";
        let one = world.open();
        for piece in said.as_bytes().chunks(cut) {
            world.send(one, piece);
        }
        prop_assert_eq!(String::from_utf8(world.take_output(one)).unwrap(), said);
        prop_assert!(!world.is_closed(one));
    }

    /// Whatever a peer says, the central lives, and others are served.
    #[test]
    fn nothing_that_is_said_harms_the_central(
        said in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                Just(hello(1)),
                (0..6_u64).prop_map(|position| batch(position, &TWO)),
                (0..6_u64).prop_map(end),
                (0..8_u8, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(kind, body)| {
                    let length = u8::try_from(4 + body.len()).unwrap();
                    [&[MAGIC, kind, 0, length][..], &body].concat()
                }),
            ],
            0..12,
        ),
    ) {
        let mut world = World::new(2);
        let bad = world.open();
        for bytes in &said {
            world.send(bad, bytes);
        }
        let honest = world.agency(2);
        world.send(honest, &batch(0, &TWO));
        prop_assert_eq!(world.responses(honest), ["welcome 0 rejected 0 Open", "stored 2"]);
    }
}
