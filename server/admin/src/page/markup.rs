//! How values stand in markup. Knows nothing of the page.

/// Writes `text` so that it means itself between tags and in a quoted attribute.
pub(super) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// How much of `limit` is taken, 0 to 100.
pub(super) fn percent(taken: u64, limit: u64) -> String {
    let share = u128::from(taken) * 100 / u128::from(limit.max(1));
    if limit == 0 { "0".to_owned() } else { share.min(100).to_string() }
}
