//! Bar charts of the kept results, as SVG for the documentation.
//!
//! Written by hand: a page shows an SVG in a light or a dark colour scheme, which takes a style sheet
//! in the file, and drawing libraries have none.

use std::fmt::Write as _;

use crate::results::{Results, Row, path};

/// Colours of the bars in a light and in a dark scheme, by the contender's index in its group.
const COLOURS: [(&str, &str); 3] =
    [("#8c959f", "#6e7681"), ("#0969da", "#4493f8"), ("#bc4c00", "#db6d28")];

/// Distances, in the unit of the drawing.
const WIDTH: f64 = 760.0;
const LABELS: f64 = 150.0;
const FIGURES: f64 = 130.0;
const BAR: f64 = 11.0;
const GROUP_GAP: f64 = 12.0;
const HEAD: f64 = 74.0;

/// What a chart shows.
struct Chart {
    title: &'static str,
    note: &'static str,
    /// Contenders, in the order of their bars.
    contenders: &'static [&'static str],
    groups: Vec<Group>,
}

/// The bars of one load.
struct Group {
    label: String,
    /// Each contender's length and figure; none where it wasn't measured.
    bars: Vec<Option<(f64, String)>>,
}

/// Draws all charts anew.
pub(crate) fn draw() {
    let results = Results::read();
    for (name, chart) in [("echo.svg", echo(&results)), ("lottery.svg", lottery(&results))] {
        std::fs::write(path(name), chart.svg()).expect("written");
    }
}

fn echo(results: &Results) -> Chart {
    let contenders = &["bare mio loop", "central", "tokio LinesCodec"];
    let group = |rows: &[Row]| {
        let of = |name: &str| find(rows, name)?.cpu_ns;
        let yardstick = of(contenders[0])?;
        let bars =
            contenders.map(|name| of(name).map(|nanos| (nanos / yardstick, thousands(nanos))));
        let label = rows[0].load.strip_prefix("echo ")?.to_owned();
        Some(Group {
            label,
            bars: bars.map(|bar| bar.map(|(length, n)| (length, n + " ns"))).into(),
        })
    };
    Chart {
        title: "Echo: processor time of a line, against a bare loop under the same load",
        note: "connections × lines under way, size; shorter is better",
        contenders,
        groups: results.loads("echo ").filter_map(group).collect(),
    }
}

fn lottery(results: &Results) -> Chart {
    let contenders = &["bare mio loop, appending", "central", "bare mio loop, pre-filled"];
    let group = |rows: &[Row]| {
        let bar = |name: &str| {
            let millions = find(rows, name)?.per_second? / 1e6;
            let decimals = if millions < 1.0 { 2 } else { 1 };
            Some((millions, format!("{millions:.decimals$} M/s")))
        };
        let label = rows[0].load.strip_prefix("lottery ")?.to_owned();
        Some(Group { label, bars: contenders.map(bar).into() })
    };
    Chart {
        title: "Lottery: bets a second, beside loops that only write the same bytes",
        note: "agencies × batches under way, SERVER_SYNC; longer is better",
        contenders,
        groups: results.loads("lottery ").filter_map(group).collect(),
    }
}

fn find<'r>(rows: &'r [Row], contender: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.contender == contender)
}

/// A figure without decimals, with commas between thousands.
fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

impl Chart {
    fn svg(&self) -> String {
        let longest = self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let longest = longest.map(|(length, _)| *length).fold(0.0, f64::max);
        let (mut bars, mut y) = (String::new(), HEAD);
        for group in &self.groups {
            y = group.draw(&mut bars, y, (WIDTH - LABELS - FIGURES) / longest) + GROUP_GAP;
        }
        let Self { title, note, .. } = self;
        let (style, legend) = (style(), self.legend());
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{title}">
<style>
{style}</style>
<text class="title" x="0" y="18">{title}</text>
<text class="note" x="0" y="36">{note}</text>
{legend}{bars}</svg>
"#
        )
    }

    fn legend(&self) -> String {
        let mut legend = String::new();
        for (index, contender) in (0_u8..).zip(self.contenders) {
            let x = f64::from(index) * WIDTH / 3.0;
            let _ = writeln!(
                legend,
                r#"<rect class="bar{index}" x="{x:.0}" y="48" width="11" height="11"/><text x="{:.0}" y="58">{contender}</text>"#,
                x + 17.0
            );
        }
        legend
    }
}

impl Group {
    /// Draws the bars from `y` on; where they end.
    fn draw(&self, out: &mut String, mut y: f64, scale: f64) -> f64 {
        let bars = self.bars.iter().enumerate();
        let bars: Vec<_> = bars.filter_map(|(index, bar)| Some((index, bar.as_ref()?))).collect();
        let label = self.label.replace(" x ", " × ");
        let _ = writeln!(out, r#"<text x="0" y="{:.0}">{label}</text>"#, y + BAR - 1.0);
        for (index, (length, figure)) in bars {
            let width = (length * scale).max(1.0);
            let _ = writeln!(
                out,
                r#"<rect class="bar{index}" x="{LABELS}" y="{y:.0}" width="{width:.1}" height="{:.0}"/><text class="figure" x="{:.1}" y="{:.0}">{figure}</text>"#,
                BAR - 1.0,
                LABELS + width + 6.0,
                y + BAR - 2.0
            );
            y += BAR + 1.0;
        }
        y
    }
}

/// The style sheet, for both colour schemes.
fn style() -> String {
    let mut style = String::from(
        "text { font: 12px system-ui, sans-serif; fill: #1f2328 }\n\
         .title { font-size: 15px; font-weight: 600 }\n\
         .note, .figure { fill: #59636e }\n.figure { font-size: 10px }\n",
    );
    for (index, (light, _)) in COLOURS.iter().enumerate() {
        let _ = writeln!(style, ".bar{index} {{ fill: {light} }}");
    }
    style.push_str("@media (prefers-color-scheme: dark) {\ntext { fill: #f0f6fc }\n.note, .figure { fill: #9198a1 }\n");
    for (index, (_, dark)) in COLOURS.iter().enumerate() {
        let _ = writeln!(style, ".bar{index} {{ fill: {dark} }}");
    }
    style + "}\n"
}
