//! The headers of one head, by their names.

use httparse::Header;

/// The headers of one request or response.
pub(crate) struct Headers<'h, 'a>(pub(crate) &'h [Header<'a>]);

impl<'a> Headers<'_, 'a> {
    /// The values of all headers with this name.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    }

    /// Whether nothing follows on this connection.
    pub(crate) fn asks_to_close(&self) -> bool {
        let mut options =
            self.all("Connection").flat_map(|value| value.split(|&byte| byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    }
}
