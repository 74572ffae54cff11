//! Where the lines of a head end, in either direction.
//!
//! An LF without its CR is refused: two readers could cut there differently.

/// An LF without its CR, at this byte of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BareLineFeed {
    pub(crate) at: usize,
}

/// Where the first empty line ends that has a line before it. The first `searched` bytes of the input
/// hold none, and no LF without its CR.
pub(crate) fn find(input: &[u8], searched: usize) -> Result<Option<usize>, BareLineFeed> {
    let from = searched.min(input.len());
    for found in memchr::memchr_iter(b'\n', &input[from..]) {
        let at = from + found;
        let line = &input[..at];
        if line.last() != Some(&b'\r') {
            return Err(BareLineFeed { at });
        }
        if line.ends_with(b"\r\n\r") {
            return Ok(Some(at + 1));
        }
    }
    Ok(None)
}
