//! The languages of the page. Knows none of their words.

/// What the page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// The lottery's own.
    #[default]
    Spanish,
    /// `?lang=en`.
    English,
}
