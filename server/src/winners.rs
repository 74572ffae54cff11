//! Documents of the winners, agency by agency, in ledger order.
//!
//! Kept while bets are stored rather than looked for at the draw, so that the draw takes no time
//! however many bets there are. Memory grows with the winners, one bet in ten thousand or so.

use std::collections::BTreeMap;

use wire::{Agency, WinnersBuilder};

/// Winning documents by agency.
#[derive(Debug, Clone, Default)]
pub struct WinnersByAgency {
    lists: BTreeMap<Agency, Documents>,
}

/// Documents of one agency, each behind its length in one byte: one allocation for all.
#[derive(Debug, Clone, Default)]
struct Documents {
    packed: Vec<u8>,
    count: u64,
}

/// How far the list of an agency has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    offset: usize,
}

impl WinnersByAgency {
    /// Adds a winner.
    ///
    /// # Panics
    /// When the document is over 255 bytes: no valid bet has such a one.
    pub fn push(&mut self, agency: Agency, document: &[u8]) {
        let list = self.lists.entry(agency).or_default();
        list.packed.push(u8::try_from(document.len()).expect("a checked document is short"));
        list.packed.extend_from_slice(document);
        list.count += 1;
    }

    /// How many winners an agency has.
    pub fn count(&self, agency: Agency) -> u64 {
        self.lists.get(&agency).map_or(0, |list| list.count)
    }

    /// Appends one frame with the winners from `cursor` on, and moves it. Says whether that was the
    /// last frame of the list. A list of none is one empty frame.
    pub fn write_frame(&self, agency: Agency, cursor: &mut Cursor, out: &mut Vec<u8>) -> bool {
        let packed = self.lists.get(&agency).map_or(&[][..], |list| &list.packed);
        let mut frame = WinnersBuilder::new(out);
        while let Some((&length, rest)) = packed[cursor.offset..].split_first() {
            let length = usize::from(length);
            if !frame.push(&rest[..length]) {
                break;
            }
            cursor.offset += 1 + length;
        }
        let last = cursor.offset == packed.len();
        frame.finish(last);
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{FRAME_MAX, FrameDecoder, Response};

    fn told(winners: &WinnersByAgency, agency: Agency) -> (Vec<String>, usize) {
        let (mut cursor, mut bytes, mut frames) = (Cursor::default(), Vec::new(), 1);
        while !winners.write_frame(agency, &mut cursor, &mut bytes) {
            frames += 1;
        }
        let (mut input, mut documents) = (&bytes[..], Vec::new());
        while let Some(frame) = FrameDecoder::default().decode(input).unwrap() {
            assert!(frame.used() <= FRAME_MAX);
            let Ok(Response::Winners(found)) = Response::decode(frame) else { panic!() };
            documents.extend(found.documents().map(|one| String::from_utf8(one.into()).unwrap()));
            input = &input[frame.used()..];
            assert_eq!(found.last, input.is_empty());
        }
        (documents, frames)
    }

    #[test]
    fn nobody_won_is_one_empty_frame() {
        assert_eq!(told(&WinnersByAgency::default(), 1), (vec![], 1));
    }

    #[test]
    fn a_long_list_spans_frames_and_keeps_its_order() {
        let mut winners = WinnersByAgency::default();
        let documents: Vec<_> = (0..5000).map(|number| format!("{number:08}")).collect();
        for document in &documents {
            winners.push(3, document.as_bytes());
            winners.push(4, b"1");
        }
        let (told_of, frames) = told(&winners, 3);
        assert_eq!(told_of, documents);
        assert_eq!(frames, 6);
        assert_eq!((winners.count(3), winners.count(5)), (5000, 0));
    }
}
