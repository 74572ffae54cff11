//! The live page: the lottery at a glance, as one HTML document that needs nothing else.
//!
//! [`render`] writes the whole page as it is at one moment, complete without JavaScript; the script in
//! it follows `/events` and says the same things in the same words. Layout, look, behaviour and texts
//! are files of their own in `page/`. Knows nothing of HTTP and of where a [`Status`] comes from.

mod language;
mod markup;
mod standing;
mod table;
mod words;

use std::fmt::Write as _;
use std::sync::LazyLock;

pub use language::Language;

use crate::status::{Stage, Status, Usage};
use markup::{escape, percent};
use standing::Standing;
use words::Words;

/// What a browser may do with the page, for its `Content-Security-Policy` header: run this script,
/// apply this style sheet, and read from the central that sent it. Nothing else.
///
/// The hashes are those of `page/page.js` and `page/page.css` as they are sent; a test holds them to it.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-ZdPWEn4p6bmZbt6V0FlUGvZPM90CXAQcmvhQb+XIEC8='; \
    style-src 'sha256-75626XnmsG7gq3Ge4PwuehVadp+AsguGFWRNYdBiXW4='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const DOCUMENT: &str = include_str!("page/page.html");
static SCRIPT: LazyLock<String> = LazyLock::new(|| compact(include_str!("page/page.js")));
static STYLE: LazyLock<String> = LazyLock::new(|| compact(include_str!("page/page.css")));

/// What an agency takes of the page, about: its row, and its ball.
const AGENCY_BYTES: usize = 360;

/// Agencies up to which each has a ball with its number; more are dots.
const NUMBERED_BALLS: usize = 40;

/// Agencies up to which the balls are large, and show the winners after the draw.
const LARGE_BALLS: usize = 12;

/// Returns the page that shows `status`, in UTF-8. About 45 KiB and 360 bytes for each agency.
pub fn render(status: &Status, language: Language) -> String {
    let page = Page { status, words: Words::of(language), standing: Standing::of(status) };
    let fixed = DOCUMENT.len() + STYLE.len() + SCRIPT.len() + page.words.source().len();
    let mut out = String::with_capacity(fixed + 4096 + status.agencies.len() * AGENCY_BYTES);
    fill(DOCUMENT, &mut out, |name, out| page.write(name, out));
    out
}

/// Returns a script or style sheet without indentation and without lines of nothing but a comment: a
/// fifth of their size.
fn compact(source: &str) -> String {
    let is_comment =
        |line: &&str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.filter(|line| !is_comment(line)).flat_map(|line| [line, "\n"]).collect()
}

/// Copies `template` to `out`, and lets `write` write what stands for each `{{name}}`.
fn fill(template: &str, out: &mut String, mut write: impl FnMut(&str, &mut String)) {
    let mut rest = template;
    while let Some((before, marked)) = rest.split_once("{{") {
        let Some((name, after)) = marked.split_once("}}") else { break };
        out.push_str(before);
        write(name, out);
        rest = after;
    }
    out.push_str(rest);
}

/// What the page is made from.
struct Page<'a> {
    status: &'a Status,
    words: &'static Words,
    standing: Standing<'a>,
}

impl Page<'_> {
    /// Writes what stands for `{{name}}` in the document: a piece of markup, or a text, which is escaped.
    fn write(&self, name: &str, out: &mut String) {
        match name {
            "css" => out.push_str(&STYLE),
            "script" => out.push_str(&SCRIPT),
            "texts" => out.push_str(self.words.source()),
            "columns" => table::columns(self.words, out),
            "rows" => table::rows(&self.standing, self.words, out),
            "chips" => table::chips(&self.standing, self.words, out),
            "balls" => self.balls(out),
            "digits" => self.digits(out),
            _ => escape(&self.text(name), out),
        }
    }

    fn text(&self, name: &str) -> String {
        let (words, status) = (self.words, self.status);
        let (lottery, commits) = (&status.lottery, &status.commits);
        match name {
            "stage" => stage_name(lottery.stage).to_owned(),
            "level" => self.standing.level().name().to_owned(),
            "as_of" => words.with("as_of", &[("clock", &words::clock(status.time))]),
            "title" => self.title(),
            "draw" => self.draw(),
            "headline" => self.standing.headline(words),
            "also" => self.standing.also(words),
            "waits" => self.standing.waits(words),
            "total" => words.number(self.total()),
            "total_size" => total_size(&words.number(self.total())).to_owned(),
            "total_label" => words.plural(self.total_key(), self.total()),
            "winners" => self.winners(),
            "winners_label" => self.winners_label(),
            "winners_of" => self.winners_of(),
            "digits_size" => total_size(&self.winners()).to_owned(),
            "balls_size" => self.balls_size().to_owned(),
            "rejected" => words.number(lottery.rejected),
            "commit" => {
                commits.p50.map_or_else(|| words.say("nothing").to_owned(), |it| words.duration(it))
            }
            "commit_note" => commits.p99.map_or_else(
                || words.say("commit_none").to_owned(),
                |it| words.with("commit_note", &[("p99", &words.duration(it))]),
            ),
            "connections" => words.number(status.connections.open),
            "connections_note" => self.connections_note(),
            "connections_bar" => percent(status.connections.open, status.connections.limit),
            "buffers" => words.bytes(status.buffers.bytes),
            "buffers_note" => self.limit(&status.buffers),
            "buffers_bar" => percent(status.buffers.bytes, status.buffers.limit.unwrap_or(0)),
            "ledger" => words.bytes(status.ledger.bytes),
            "ledger_note" => self.limit(&status.ledger),
            "ledger_bar" => percent(status.ledger.bytes, status.ledger.limit.unwrap_or(0)),
            "uptime" => words.span(words::seconds_between(status.started, status.time)),
            "uptime_note" => words.with("uptime_note", &[("clock", &words::clock(status.started))]),
            "version" => words.with("version", &[("version", status.version)]),
            _ => words.say(name.strip_prefix("t.").unwrap_or(name)).to_owned(),
        }
    }

    /// What the draw is called; nothing for the unnamed one.
    fn draw(&self) -> String {
        let draw = self.status.lottery.draw.as_deref();
        draw.map(|draw| self.words.with("draw", &[("draw", draw)])).unwrap_or_default()
    }

    fn title(&self) -> String {
        let (draw, name) = (self.draw(), self.words.say("name"));
        if draw.is_empty() { name.to_owned() } else { format!("{draw} · {name}") }
    }

    /// The page's large number: bets, or connections where there is no lottery.
    fn total(&self) -> u64 {
        match self.status.lottery.stage {
            Stage::Echo => self.status.connections.open,
            Stage::Open | Stage::Drawn => self.status.lottery.stored,
        }
    }

    fn total_key(&self) -> &'static str {
        match self.status.lottery.stage {
            Stage::Echo => "open_connections",
            Stage::Open | Stage::Drawn => "stored",
        }
    }

    fn winners(&self) -> String {
        self.status.lottery.winners.map(|winners| self.words.number(winners)).unwrap_or_default()
    }

    fn winners_label(&self) -> String {
        self.status.lottery.winners.map_or_else(
            || self.words.say("winners_unknown").to_owned(),
            |winners| self.words.plural("winners", winners),
        )
    }

    fn winners_of(&self) -> String {
        let lottery = &self.status.lottery;
        let stored = self.words.number(lottery.stored);
        let agencies = self.words.number(lottery.agencies.into());
        self.words.with("winners_of", &[("stored", &stored), ("agencies", &agencies)])
    }

    fn connections_note(&self) -> String {
        let connections = &self.status.connections;
        let [limit, agencies, admin] = [connections.limit, connections.agencies, connections.admin]
            .map(|count| self.words.number(count));
        self.words.with(
            "connections_note",
            &[("limit", &limit), ("agencies", &agencies), ("admin", &admin)],
        )
    }

    fn limit(&self, usage: &Usage) -> String {
        usage.limit.map_or_else(
            || self.words.say("unlimited").to_owned(),
            |limit| self.words.with("of", &[("limit", &self.words.bytes(limit))]),
        )
    }

    /// The number of winners, a ball for each digit.
    fn digits(&self, out: &mut String) {
        for digit in self.winners().chars() {
            let tag = if digit.is_ascii_digit() { "i" } else { "s" };
            let _ = write!(out, "<{tag}>{digit}</{tag}>");
        }
    }

    fn balls_size(&self) -> &'static str {
        match self.status.agencies.len() {
            ..=LARGE_BALLS => "large",
            count if count <= NUMBERED_BALLS => "numbered",
            _ => "dots",
        }
    }

    /// A ball for each agency, by number. They repeat for the eye what the table says.
    fn balls(&self, out: &mut String) {
        let numbered = self.status.agencies.len() <= NUMBERED_BALLS;
        for (agency, state) in self.standing.by_number() {
            let _ = write!(out, "<i class={}>", state.name());
            if numbered {
                let winners =
                    agency.winners.map(|winners| self.words.number(winners)).unwrap_or_default();
                let _ = write!(out, "<b>{}</b><span>{winners}</span>", agency.agency);
            }
            out.push_str("</i>");
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Echo => "echo",
        Stage::Open => "open",
        Stage::Drawn => "drawn",
    }
}

/// The class that makes a large number fit: by its characters.
fn total_size(number: &str) -> &'static str {
    match number.len() {
        0..=3 => "tiny",
        4..=7 => "short",
        8..=10 => "middle",
        _ => "long",
    }
}

#[cfg(test)]
mod tests;
