//! Guesses what a file is instead of UTF-8 text, by its first bytes or an invalid one.

/// The most likely encoding of a byte that isn't UTF-8, of those usual for Spanish: each has the Spanish
/// letters at other codes.
pub fn guess(byte: u8) -> Option<&'static str> {
    match byte {
        // ü é É Ñ ñ á í ó ú.
        0x81 | 0x82 | 0x90 | 0xA0..=0xA5 => Some("code page 850"),
        // Ñ á é í ñ ó ú ü in Mac OS Roman; É and Ü of code page 850 are rarer.
        0x84 | 0x87 | 0x8E | 0x92 | 0x96 | 0x97 | 0x9C | 0x9F => Some("Mac OS Roman"),
        // Unassigned in all of these, or ASCII.
        0x8D | 0x8F | 0x9D | ..=0x7F => None,
        // Á É Í Ó Ú Ü Ñ á é í ó ú ü ñ and other letters from 0xC0 on; signs.
        _ => Some("Windows-1252"),
    }
}

/// The kind of a file that isn't UTF-8 text at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Text in another encoding, by its name for `iconv`.
    Text(&'static str),
    /// Something else, in words.
    Other(&'static str),
}

/// Magic numbers; a longer one before its own prefix.
const BEGINNINGS: [(&[u8], FileKind); 16] = [
    (b"\xFF\xFE\0\0", FileKind::Text("UTF-32LE")),
    (b"\0\0\xFE\xFF", FileKind::Text("UTF-32BE")),
    (b"\xFF\xFE", FileKind::Text("UTF-16LE")),
    (b"\xFE\xFF", FileKind::Text("UTF-16BE")),
    (b"\x1F\x8B", FileKind::Other("a gzip file: unpack it")),
    (b"BZh", FileKind::Other("a bzip2 file: unpack it")),
    (b"\xFD7zXZ", FileKind::Other("an xz file: unpack it")),
    (b"\x28\xB5\x2F\xFD", FileKind::Other("a zstd file: unpack it")),
    (b"7z\xBC\xAF", FileKind::Other("a 7z archive: unpack it")),
    (b"Rar!", FileKind::Other("a rar archive: unpack it")),
    (
        b"PK\x03\x04",
        FileKind::Other("a zip archive or a spreadsheet: unpack it, or save it as CSV"),
    ),
    (b"\xD0\xCF\x11\xE0", FileKind::Other("a spreadsheet: save it as CSV")),
    (b"%PDF", FileKind::Other("a PDF: save the data as CSV")),
    (b"SQLite format 3", FileKind::Other("a database: save the data as CSV")),
    (b"{\"", FileKind::Other("JSON: save the data as CSV")),
    (b"[{", FileKind::Other("JSON: save the data as CSV")),
];

/// The kind of a file with this beginning, unless it may be CSV in UTF-8.
pub fn kind(head: &[u8]) -> Option<FileKind> {
    if let Some((_, kind)) = BEGINNINGS.iter().find(|(beginning, _)| head.starts_with(beginning)) {
        return Some(*kind);
    }
    if !head.is_empty() && head.iter().all(|byte| *byte == 0) {
        return Some(FileKind::Other("empty blocks, of a broken copy or disk: copy it again"));
    }
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let begins = |tag: &str| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    if ["<!doctype", "<html", "<?xml", "<table"].into_iter().any(begins) {
        return Some(FileKind::Other("a web page or XML: save the data as CSV"));
    }
    wide(head)
}

/// UTF-16 without a byte order mark: nearly every other byte is NUL.
fn wide(head: &[u8]) -> Option<FileKind> {
    let (pairs, _) = head.as_chunks::<2>();
    let nuls = |half: usize| pairs.iter().filter(|pair| pair[half] == 0).count();
    let (first, second, most) = (nuls(0), nuls(1), pairs.len() * 3 / 4);
    match pairs.len() {
        ..4 => None,
        _ if second >= most && first == 0 => Some(FileKind::Text("UTF-16LE")),
        _ if first >= most && second == 0 => Some(FileKind::Text("UTF-16BE")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_recognised_by_their_beginning() {
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| {
            "Ana,Pérez,3".encode_utf16().flat_map(bytes).collect::<Vec<_>>()
        };
        let text = |name| Some(FileKind::Text(name));
        assert_eq!(kind(&utf_16(u16::to_le_bytes)), text("UTF-16LE"));
        assert_eq!(kind(&utf_16(u16::to_be_bytes)), text("UTF-16BE"));
        assert_eq!(kind(&[&b"\xFF\xFE"[..], &utf_16(u16::to_le_bytes)].concat()), text("UTF-16LE"));
        assert_eq!(kind(&[&b"\xFE\xFF"[..], &utf_16(u16::to_be_bytes)].concat()), text("UTF-16BE"));
        assert_eq!(kind(b"\xFF\xFE\0\0A\0\0\0"), text("UTF-32LE"));
        for other in [
            &b"\x1F\x8B\x08"[..],
            b"PK\x03\x04\x14",
            b"\n <!DOCTYPE html>",
            b"\xEF\xBB\xBF<?xml version",
            b"{\"bets\":",
        ] {
            assert!(matches!(kind(other), Some(FileKind::Other(_))), "{other:?}");
        }
        for good in ["", "Ana", "Ana,Paz,1,2000-01-01,7\n", "\u{feff}Ana,Paz", "<3,Paz"] {
            assert_eq!(kind(good.as_bytes()), None);
        }
    }

    #[test]
    fn the_letters_of_spanish_identify_their_encoding() {
        for byte in *b"\xC1\xC9\xCD\xD3\xDA\xDC\xD1\xE1\xE9\xED\xF3\xFA\xFC\xF1" {
            assert_eq!(guess(byte), Some("Windows-1252"));
        }
        for byte in *b"\x82\xA0\xA1\xA2\xA3\xA4\xA5\x81" {
            assert_eq!(guess(byte), Some("code page 850"));
        }
        for byte in *b"\x87\x8E\x92\x97\x9C\x96\x84" {
            assert_eq!(guess(byte), Some("Mac OS Roman"));
        }
        for byte in *b"\x80\x93\x94\xA7\xB0" {
            assert_eq!(guess(byte), Some("Windows-1252"), "the euro sign and others");
        }
        assert_eq!((guess(0x8D), guess(b'a')), (None, None));
    }
}
