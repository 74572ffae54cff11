//! Texts of the documentation, which are Markdown, as they are in a manual page.
//!
//! Knows code between backticks and links, which is all that tables of settings have.

use clap_mangen::roff::{Inline, bold, roman};

/// The text of a line: code is bold, a link is what it is called.
pub fn inlines(text: &str) -> Vec<Inline> {
    let text = without_links(text);
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) }).collect()
}

/// Each `[name](target)` as `name`.
fn without_links(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, name, after)) = next_link(rest) {
        out.push_str(before);
        out.push_str(name);
        rest = after;
    }
    out + rest
}

/// What is before the first link, what it is called, and what is behind it.
fn next_link(text: &str) -> Option<(&str, &str, &str)> {
    let (middle, end) = text.split_once("](")?;
    let (before, name) = middle.rsplit_once('[')?;
    let (_, after) = end.split_once(')')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_bold_and_a_link_is_its_name() {
        let text =
            "`json`: one object, see [log lines](operations.md#a), and [more](b.md) with `x`";
        let expected =
            [bold("json"), roman(": one object, see log lines, and more with "), bold("x")];
        assert_eq!(inlines(text), expected);
    }

    #[test]
    fn brackets_that_are_no_link_stay() {
        assert_eq!(inlines("as [::1]:8080 (or not)"), [roman("as [::1]:8080 (or not)")]);
    }
}
