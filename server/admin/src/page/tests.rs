//! Tests of the page as it is rendered; how it behaves in a browser is tested in `tests/browser`.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::status::{Agency, Commits, Connections, Lottery, Phase, Problem};

const LANGUAGES: [Language; 2] = [Language::Spanish, Language::English];

/// Noon of a day.
const NOON: f64 = 1_780_056_000.0;

fn agency(number: u32, phase: Phase) -> Agency {
    Agency {
        agency: number,
        phase,
        connected: true,
        stored: 0,
        rejected: 0,
        last_progress: None,
        winners: None,
    }
}

/// A lottery of `count` agencies that all send.
fn lottery(count: u32) -> Status {
    Status {
        time: NOON,
        started: NOON - 7200.0,
        version: "0.1.0",
        ready: true,
        problems: Vec::new(),
        lottery: Lottery {
            stage: Stage::Open,
            agencies: count,
            finished: 0,
            stored: 1_234_567,
            rejected: 0,
            winners: None,
            drawn: None,
            draw: None,
        },
        commits: Commits { count: 12, p50: Some(0.000_42), p99: Some(0.004_25) },
        connections: Connections { open: 5, limit: 1024, agencies: 5, admin: 2 },
        buffers: Usage { bytes: 1_572_864, limit: Some(1 << 30) },
        ledger: Usage { bytes: 900, limit: None },
        agencies: (1..=count).map(|number| agency(number, Phase::Sending)).collect(),
    }
}

/// The same when it is over, with 3 winners for each agency.
fn drawn(count: u32) -> Status {
    let mut status = lottery(count);
    status.lottery.stage = Stage::Drawn;
    status.lottery.winners = Some(3 * u64::from(count));
    status.lottery.drawn = Some(NOON - 60.0);
    for agency in &mut status.agencies {
        (agency.phase, agency.winners) = (Phase::Drawn, Some(3));
    }
    status
}

/// The text between `before` and the next tag.
fn text_after<'a>(page: &'a str, before: &str) -> &'a str {
    let (_, after) = page.split_once(before).unwrap_or_else(|| panic!("no {before} in the page"));
    after.split('<').next().unwrap_or_default()
}

fn headline(status: &Status, language: Language) -> String {
    text_after(&render(status, language), "<p id=\"headline\"><i></i><span>").to_owned()
}

fn waits(status: &Status, language: Language) -> String {
    text_after(&render(status, language), "<p id=\"waits\">").to_owned()
}

/// The numbers of the table's rows, in its order.
fn rows(page: &str) -> Vec<u32> {
    page.split("<th scope=row>")
        .skip(1)
        .map(|row| row.split('<').next().unwrap_or_default().parse().expect("a number"))
        .collect()
}

/// A lottery of 1,000 agencies, of which the first `missing` miss.
fn missing(missing: usize) -> Status {
    let mut status = lottery(1000);
    for agency in status.agencies.iter_mut().skip(missing) {
        agency.phase = Phase::Finished;
    }
    status
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

#[test]
fn the_policy_allows_this_script_and_style_and_nothing_else() {
    let expected = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&SCRIPT),
        hash(&STYLE)
    );
    assert_eq!(CONTENT_SECURITY_POLICY, expected, "page.js or page.css has changed");
}

#[test]
fn the_script_and_style_are_in_the_page_as_they_were_hashed() {
    for language in LANGUAGES {
        let page = render(&lottery(5), language);
        assert!(page.contains(&format!("<script>{}</script>", *SCRIPT)));
        assert!(page.contains(&format!("<style>{}</style>", *STYLE)));
        assert_eq!(page.matches("<script").count(), 2, "the script, and the texts");
        assert!(!page.contains(" style="), "the policy forbids styles in attributes");
    }
    assert!(!SCRIPT.contains("</") && !STYLE.contains("</"), "it would end the element");
}

/// And one without a name has nothing in its place.
#[test]
fn a_draw_with_a_name_is_named_first_and_in_the_title() {
    for (language, shown) in
        [(Language::Spanish, "Sorteo 2026-11-27"), (Language::English, "Draw 2026-11-27")]
    {
        let mut status = lottery(2);
        let page = render(&status, language);
        assert_eq!(text_after(&page, "<p id=\"draw\">"), "");
        assert_eq!(text_after(&page, "<title>"), "Lotería Nacional");
        status.lottery.draw = Some("2026-11-27".to_owned());
        let page = render(&status, language);
        assert_eq!(text_after(&page, "<p id=\"draw\">"), shown);
        assert_eq!(text_after(&page, "<title>"), format!("{shown} · Lotería Nacional"));
    }
}

#[test]
fn nothing_is_fetched_from_elsewhere() {
    for language in LANGUAGES {
        let page = render(&drawn(3), language);
        for reference in ["http:", "https:", "src=", "url(", "@import", "\"//"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}

#[test]
fn a_page_without_rows_is_small() {
    for language in LANGUAGES {
        let mut status = lottery(0);
        status.problems =
            vec![Problem::StorageFailing, Problem::CertificateExpired, Problem::LogDropped];
        let size = render(&status, language).len();
        assert!(size <= 50_000, "{size} bytes");
    }
}

#[test]
fn a_row_is_small() {
    let size = |count| render(&drawn(count), Language::Spanish).len();
    let row = (size(10_000) - size(5_000)) / 5_000;
    assert!(row <= AGENCY_BYTES, "{row} bytes");
}

#[test]
fn every_agency_has_a_row_and_a_ball() {
    for count in [0, 1, 5, 12, 13, 40, 41, 1000, 10_000] {
        let page = render(&lottery(count), Language::Spanish);
        assert_eq!(rows(&page), (1..=count).collect::<Vec<_>>());
        let (_, balls) = page.split_once("id=\"balls\"").expect("balls");
        let (balls, _) = balls.split_once("</div>").expect("an end");
        assert_eq!(balls.matches("<i class=send>").count(), count as usize);
    }
}

#[test]
fn every_marker_is_filled_and_every_key_has_its_text() {
    for language in LANGUAGES {
        for status in [lottery(0), lottery(5), drawn(5)] {
            let page = render(&status, language);
            let document = page.replace(STYLE.as_str(), "").replace(SCRIPT.as_str(), "");
            let (document, _) = document.split_once("<script type").expect("texts");
            for trace in ["{{", "}}", "t.", "column_", "state_", "link_", "_one"] {
                assert!(!document.contains(trace), "{trace} in {document}");
            }
        }
    }
}

#[test]
fn both_languages_have_the_same_texts_with_the_same_values() {
    let values = |text: &str| -> BTreeSet<String> {
        text.split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let [spanish, english] = LANGUAGES.map(|language| {
        let texts: std::collections::BTreeMap<String, String> =
            serde_json::from_str(Words::of(language).source()).expect("an object of texts");
        texts.into_iter().map(|(key, text)| (key, values(&text))).collect::<Vec<_>>()
    });
    assert_eq!(spanish, english);
    assert!(spanish.len() > 80);
}

#[test]
fn the_script_uses_only_texts_that_are_there() {
    let words = Words::of(Language::Spanish);
    for key in SCRIPT.split("texts.").skip(1).map(|rest| {
        rest.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .next()
            .unwrap_or_default()
    }) {
        assert!(key == "textContent" || words.source().contains(&format!("\"{key}\":")), "{key}");
    }
}

#[test]
fn texts_are_safe_in_the_document() {
    for language in LANGUAGES {
        assert!(!Words::of(language).source().contains('<'), "it might end the script element");
    }
}

#[test]
fn the_version_is_escaped() {
    let mut status = lottery(1);
    status.version = "<script>alert('1')</script>&\"";
    let page = render(&status, Language::English);
    assert!(page.contains("Central &lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
    assert!(!page.contains("alert('1')"));
}

#[test]
fn the_language_is_spanish_unless_asked() {
    assert_eq!(Language::default(), Language::Spanish);
    let page = render(&lottery(2), Language::default());
    assert!(page.contains("<html lang=\"es\"") && page.contains("href=\"?lang=en\""));
    assert!(page.contains(">Agencias<") && page.contains("apuestas guardadas"));
    let page = render(&lottery(2), Language::English);
    assert!(page.contains("<html lang=\"en\"") && page.contains("href=\"?lang=es\""));
    assert!(page.contains(">Agencies<") && page.contains("bets stored"));
}

#[test]
fn what_the_draw_waits_for_is_named_or_counted() {
    let cases = [
        (
            0,
            "No falta ninguna agencia: comienza el sorteo.",
            "No agency is missing: the draw begins.",
        ),
        (1, "Para el sorteo falta la agencia 1.", "The draw waits for agency 1."),
        (2, "Para el sorteo faltan las agencias 1 y 2.", "The draw waits for agencies 1 and 2."),
        (
            8,
            "Para el sorteo faltan las agencias 1, 2, 3, 4, 5, 6, 7 y 8.",
            "The draw waits for agencies 1, 2, 3, 4, 5, 6, 7 and 8.",
        ),
        (
            12,
            "Para el sorteo faltan las agencias 1, 2, 3, 4, 5, 6, 7 y 5 más.",
            "The draw waits for agencies 1, 2, 3, 4, 5, 6, 7 and 5 more.",
        ),
        (
            1000,
            "Para el sorteo faltan las agencias 1, 2, 3, 4, 5, 6, 7 y 993 más.",
            "The draw waits for agencies 1, 2, 3, 4, 5, 6, 7 and 993 more.",
        ),
    ];
    for (count, spanish, english) in cases {
        assert_eq!(waits(&missing(count), Language::Spanish), spanish);
        assert_eq!(waits(&missing(count), Language::English), english);
    }
}

#[test]
fn the_draw_is_dated_when_this_process_held_it() {
    assert_eq!(waits(&drawn(2), Language::Spanish), "El sorteo se hizo a las 11:59:00 UTC.");
    let mut status = drawn(2);
    status.lottery.drawn = None;
    assert_eq!(waits(&status, Language::English), "The draw was held.");
}

#[test]
fn the_verdict_is_the_worst_that_is_wrong() {
    let mut status = lottery(9);
    assert_eq!(headline(&status, Language::Spanish), "Todo en orden.");

    status.agencies[3].connected = false;
    status.agencies[6].connected = false;
    assert_eq!(
        headline(&status, Language::Spanish),
        "Las agencias 4 y 7 se desconectaron antes de terminar."
    );

    status.ready = false;
    assert_eq!(headline(&status, Language::English), "The central takes no bets.");

    status.problems = vec![Problem::LogDropped, Problem::StorageFailing];
    let page = render(&status, Language::English);
    assert_eq!(
        text_after(&page, "<p id=\"headline\"><i></i><span>"),
        "The disk takes nothing: bets wait, and it is tried again."
    );
    assert_eq!(
        text_after(&page, "<p id=\"also\">"),
        "Log lines are lost: nobody reads them. Agencies 4 and 7 were cut off before they finished."
    );
    assert!(page.contains("data-level=\"bad\""));
}

#[test]
fn each_problem_has_words_of_its_own() {
    let mut seen = BTreeSet::new();
    for problem in [
        Problem::Stopping,
        Problem::Recovering,
        Problem::StorageFailing,
        Problem::LedgerFull,
        Problem::ConnectionsFull,
        Problem::CertificateExpired,
        Problem::CertificateExpiring,
        Problem::LogDropped,
    ] {
        let status = Status { problems: vec![problem], ..lottery(1) };
        for language in LANGUAGES {
            assert!(seen.insert(headline(&status, language)), "{problem:?}");
        }
        // The script finds the text by the name that is in the JSON.
        let name = serde_json::to_string(&problem).expect("a name");
        assert!(Words::of(Language::Spanish).source().contains(&format!("{name}:")), "{name}");
    }
}

#[test]
fn a_ledger_that_fills_is_said_before_it_is_full() {
    for (taken, said) in [
        (89, "All is well."),
        (90, "The ledger is nearly full."),
        (99, "The ledger is nearly full."),
        (100, "The ledger is nearly full."),
    ] {
        let status = Status { ledger: Usage { bytes: taken, limit: Some(100) }, ..lottery(1) };
        assert_eq!(headline(&status, Language::English), said, "{taken}");
    }
    // The last batch that didn't fit says it, whatever room there is for smaller ones.
    let ledger = Usage { bytes: 99, limit: Some(100) };
    let status = Status { ledger, problems: vec![Problem::LedgerFull], ready: false, ..lottery(1) };
    let said = headline(&status, Language::English);
    assert_eq!(said, "The ledger is full: no more bets are stored.");
}

#[test]
fn a_central_that_reads_its_ledger_says_that_alone() {
    let unknown = Status::unknown("0.1.0", NOON, NOON);
    let status = Status { problems: vec![Problem::Recovering], ..unknown };
    let said = headline(&status, Language::English);
    assert_eq!(said, "The central reads its ledger; then it takes bets.");
    let page = render(&status, Language::English);
    assert_eq!(text_after(&page, "<p id=\"also\">"), "");
    assert_eq!(text_after(&page, "<p id=\"waits\">"), "");
}

#[test]
fn an_agency_is_quiet_after_a_minute() {
    let mut status = lottery(2);
    status.agencies[1].last_progress = Some(NOON - 60.5);
    assert_eq!(headline(&status, Language::English), "All is well.");
    status.agencies[1].last_progress = Some(NOON - 61.0);
    assert_eq!(
        headline(&status, Language::English),
        "Agency 2 has made no progress for more than a minute."
    );
}

#[test]
fn agencies_to_look_at_come_first() {
    let mut status = lottery(8);
    status.agencies[0].phase = Phase::Finished;
    status.agencies[1].phase = Phase::Waiting;
    status.agencies[2].phase = Phase::Waiting;
    status.agencies[2].connected = false;
    status.agencies[4].last_progress = Some(NOON - 120.0);
    status.agencies[5].connected = false;
    (status.agencies[6].phase, status.agencies[6].rejected) = (Phase::Finished, 3);
    assert_eq!(rows(&render(&status, Language::Spanish)), [6, 5, 7, 3, 2, 4, 8, 1]);
}

#[test]
fn a_row_says_everything_of_its_agency() {
    let mut status = drawn(2);
    status.agencies[1] = Agency {
        stored: 1500,
        rejected: 20,
        last_progress: Some(NOON - 185.0),
        winners: Some(1234),
        ..agency(2, Phase::Drawn)
    };
    let page = render(&status, Language::Spanish);
    let expected = "<tr class=won><th scope=row>2</th><td><p><i></i>Sorteada</p></td>\
        <td><p>1.500</p><progress max=100 value=100 aria-hidden=true></progress></td><td><p>—</p></td>\
        <td class=some><p>20</p></td><td><p>3 min</p></td><td><p>1.234</p></td></tr>";
    assert!(page.contains(expected), "{page}");
}

#[test]
fn the_winners_are_large_and_spoken_once() {
    let mut status = drawn(2);
    status.lottery.winners = Some(1234);
    let page = render(&status, Language::Spanish);
    assert!(page.contains("<span class=\"unseen\">1.234</span>"));
    assert!(page.contains("<i>1</i><s>.</s><i>2</i><i>3</i><i>4</i>"));
    assert!(page.contains("entre 1.234.567 apuestas de 2 agencias"));

    status.lottery.winners = Some(1);
    assert!(render(&status, Language::Spanish).contains(">apuesta ganadora<"));
}

#[test]
fn without_a_lottery_the_page_shows_connections() {
    let mut status = lottery(0);
    status.lottery.stage = Stage::Echo;
    status.connections.open = 1;
    let page = render(&status, Language::English);
    assert!(page.contains("data-stage=\"echo\""));
    assert_eq!(text_after(&page, "<b id=\"total\" class=\"tiny\">"), "1");
    assert!(page.contains(">open connection<"));
    assert_eq!(
        waits(&status, Language::English),
        "There is no draw: the central returns each line that it receives."
    );
}

#[test]
fn amounts_are_written_as_their_language_does() {
    let [spanish, english] = LANGUAGES.map(Words::of);
    for (number, written) in [(0, "0"), (999, "999"), (1000, "1.000"), (1_234_567, "1.234.567")] {
        assert_eq!(spanish.number(number), written);
        assert_eq!(english.number(number), written.replace('.', ","));
    }
    for (bytes, written) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_572_864, "1.5 MiB"),
        (10_485_759, "9.9 MiB"),
        (10_485_760, "10 MiB"),
        (1 << 40, "1.0 TiB"),
        (u64::MAX, "16,777,215 TiB"),
    ] {
        assert_eq!(english.bytes(bytes), written);
    }
    for (seconds, written) in [
        (0.0, "0 µs"),
        (0.000_42, "420 µs"),
        (0.004_25, "4,2 ms"),
        (0.042, "42 ms"),
        (1.25, "1,2 s"),
        (-1.0, "0 µs"),
        (f64::NAN, "0 µs"),
    ] {
        assert_eq!(spanish.duration(seconds), written);
    }
    for (seconds, written) in [
        (4, "now"),
        (5, "5 s"),
        (19, "10 s"),
        (59, "50 s"),
        (60, "1 min"),
        (7199, "1 h"),
        (200_000, "2 d"),
    ] {
        assert_eq!(english.age(seconds), written);
    }
    assert_eq!(words::clock(NOON + 3661.9), "13:01:01");
}

proptest! {
    #[test]
    fn what_is_escaped_means_itself(text in "\\PC*") {
        let mut escaped = String::new();
        escape(&text, &mut escaped);
        let harmless = !escaped.contains(['<', '>', '"', '\'']);
        prop_assert!(harmless);
        let back = escaped
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&");
        prop_assert_eq!(back, text);
    }

    #[test]
    fn a_template_is_copied_but_for_its_markers(parts in prop::collection::vec("[a-z<{}]{0,6}", 1..6)) {
        let parts: Vec<String> = parts.iter().map(|part| part.replace("{{", "{").trim_end_matches('{').to_owned()).collect();
        let mut out = String::new();
        fill(&parts.join("{{name}}"), &mut out, |name, out| {
            assert_eq!(name, "name");
            out.push('!');
        });
        prop_assert_eq!(out, parts.join("!"));
    }
}
