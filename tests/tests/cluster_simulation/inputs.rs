//! Agencies' inputs, and the rows that are to be stored of them. A bet's document says whose it is, and its
//! position. Knows nothing of centrals, and forms rows by itself.

use fastrand::Rng;
use wire::Agency;
use wire::field::FIELDS;

/// The fields of a bet, in the order in which they travel.
pub(crate) type Fields = [Vec<u8>; FIELDS];

const WINNING_NUMBER: u32 = 7574;

/// First names, and what each is in a row.
const NAMES: [(&str, &str); 3] =
    [("Ana", "Ana"), ("Íñigo, \"Tito\"", "\"Íñigo, \"\"Tito\"\"\""), ("O'Higgins", "O'Higgins")];

/// Most bets of an agency.
const BETS_MAX: usize = 40;

/// A bet of an agency.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bet {
    number: u32,
    /// Born on a day that doesn't exist.
    pub(crate) is_bad: bool,
}

impl Bet {
    pub(crate) fn wins(self) -> bool {
        self.number == WINNING_NUMBER
    }

    pub(crate) fn fields(self, agency: Agency, position: usize) -> Fields {
        let birthdate = if self.is_bad { "2001-02-29" } else { "2000-02-29" };
        let (name, document) = (NAMES[position % 3].0, document(agency, position));
        [name, "Paz", &document, birthdate, &self.number.to_string()]
            .map(|field| field.as_bytes().to_vec())
    }

    /// Its row, if it is stored.
    pub(crate) fn row(self, agency: Agency, position: usize) -> String {
        let (name, document) = (NAMES[position % 3].1, document(agency, position));
        format!("{agency},{name},Paz,{document},2000-02-29,{}\r\n", self.number)
    }
}

pub(crate) fn document(agency: Agency, position: usize) -> String {
    format!("{agency}{position:06}")
}

/// Any input.
pub(crate) fn input(random: &mut Rng) -> Vec<Bet> {
    let has_bad = random.u8(..3) == 0;
    // Every bet wins at times: lists of several pages.
    let luck = if random.u8(..4) == 0 { 1 } else { 5 };
    (0..random.usize(..BETS_MAX))
        .map(|_| Bet {
            number: if random.u8(..luck) == 0 { WINNING_NUMBER } else { random.u32(..7_000) },
            is_bad: has_bad && random.u8(..15) == 0,
        })
        .collect()
}
