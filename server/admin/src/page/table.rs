//! The table of agencies and the buttons that choose rows of it, as markup.
//!
//! Every agency has a row, with its cells in the order of [`COLUMNS`]; `page.js` patches their texts.

use std::fmt::Write as _;

use super::markup::{escape, percent};
use super::standing::{Standing, State, needs_review};
use super::words::{self, Words};
use crate::status::{Agency, Phase};

/// The columns, as their classes and texts are named.
const COLUMNS: [&str; 7] = ["agency", "state", "stored", "rate", "rejected", "progress", "winners"];

pub(super) fn columns(words: &Words, out: &mut String) {
    for column in COLUMNS {
        let _ = write!(out, "<th scope=\"col\" class=\"{column}\">");
        escape(words.say(&format!("column_{column}")), out);
        out.push_str("</th>");
    }
}

pub(super) fn rows(standing: &Standing<'_>, words: &Words, out: &mut String) {
    let largest = standing.status.agencies.iter().map(|agency| agency.stored).max().unwrap_or(0);
    for (agency, state) in standing.by_urgency() {
        row(agency, state, largest, standing.status.time, words, out);
    }
}

fn row(agency: &Agency, state: State, largest: u64, time: f64, words: &Words, out: &mut String) {
    let nothing = words.say("nothing");
    let progress = agency.last_progress.map(|last| words.age(words::seconds_between(last, time)));
    let winners = agency.winners.map(|winners| words.number(winners));
    let _ = write!(
        out,
        "<tr class={state}><th scope=row>{number}</th><td><p><i></i>{label}</p></td>\
         <td><p>{stored}</p><progress max=100 value={share} aria-hidden=true></progress></td><td><p>{nothing}</p></td>\
         <td{some}><p>{rejected}</p></td><td><p>{progress}</p></td><td><p>{winners}</p></td></tr>",
        state = state.name(),
        number = agency.agency,
        label = words.say(&format!("state_{}", state.name())),
        stored = words.number(agency.stored),
        share = percent(agency.stored, largest),
        some = if agency.rejected > 0 { " class=some" } else { "" },
        rejected = words.number(agency.rejected),
        progress = progress.as_deref().unwrap_or(nothing),
        winners = winners.as_deref().unwrap_or(nothing),
    );
}

/// A button for each kind of agencies. They count the kinds for the eye, too, so they are there without
/// the script, which enables them.
pub(super) fn chips(standing: &Standing<'_>, words: &Words, out: &mut String) {
    let of_phase = |phase: Phase| standing.count(|agency, _| agency.phase == phase);
    let chips = [
        ("all", "all", standing.count(|_, _| true)),
        ("review", "review", standing.count(needs_review)),
        ("waiting", "waiting", of_phase(Phase::Waiting)),
        ("sending", "sending", of_phase(Phase::Sending)),
        ("finished", "finished", of_phase(Phase::Finished)),
        ("drawn", "drawn_chip", of_phase(Phase::Drawn)),
    ];
    for (kind, key, count) in chips {
        let hidden = if count == 0 && kind != "all" { " hidden" } else { "" };
        let _ = write!(
            out,
            "<button type=button data-kind={kind} aria-pressed={} disabled{hidden}><i></i>",
            kind == "all"
        );
        escape(words.say(key), out);
        let _ = write!(out, " <b>{}</b></button>", words.number(count));
    }
}
