//! What must hold, and what was promised so far: heard on the wire, and looked up in the ledger.
//! Knows bets and messages; nothing of schedule, network or disk.

use std::collections::{BTreeMap, BTreeSet};

use server::ledger::{State, load_bets};
use wire::{Agency, ErrorCode, FrameDecoder, Position, Response};

use crate::host::Ear;
use crate::network::LinkId;

const WINNING_NUMBER: u32 = 7574;

/// The fields of a bet.
pub(crate) type Fields = [Vec<u8>; wire::field::FIELDS];

/// A bet of an agency's input. Its document tells whose it is and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bet {
    pub(crate) number: u32,
    /// Born on a day that doesn't exist.
    pub(crate) bad: bool,
}

impl Bet {
    pub(crate) fn fields(self, agency: Agency, position: usize) -> Fields {
        let name = ["Ana", "Íñigo, \"Tito\"", "O'Higgins"][position % 3];
        let birthdate = if self.bad { "2001-02-29" } else { "2000-02-29" };
        let document = document(agency, position as u64);
        [name, "Paz", &document, birthdate, &self.number.to_string()]
            .map(|field| field.as_bytes().to_vec())
    }
}

fn document(agency: Agency, position: Position) -> String {
    format!("{agency}{position:06}")
}

/// Whose bet it is, and where it stands in its input.
fn origin(document: &[u8]) -> (Agency, Position) {
    let document = std::str::from_utf8(document).expect("digits");
    let (agency, position) = document.split_at(document.len() - 6);
    (agency.parse().expect("ours"), position.parse().expect("ours"))
}

/// What everybody was told.
#[derive(Debug)]
pub(crate) struct Promises {
    pub(crate) inputs: BTreeMap<Agency, Vec<Bet>>,
    /// How far each agency was told that it is confirmed.
    confirmed: BTreeMap<Agency, Position>,
    /// The winners that each agency was told, whole lists only.
    told: BTreeMap<Agency, Vec<Vec<u8>>>,
    /// How often each kind of answer was heard.
    pub(crate) answers: BTreeMap<&'static str, u64>,
    /// Changes with everything that was heard: the same seed must give the same.
    pub(crate) hash: u64,
    central: BTreeMap<LinkId, Line>,
    agency: BTreeMap<LinkId, Line>,
    /// Everybody had finished, as the ledger said last.
    pub(crate) everybody_finished: bool,
    /// Connections of those who don't keep to the order.
    pub(crate) strays: BTreeSet<LinkId>,
    /// Final refusals that speakers of an agency have heard, and not ended from yet.
    refusals: BTreeMap<Agency, u32>,
}

/// One connection's answers, as far as they have come.
#[derive(Debug, Default)]
struct Line {
    rest: Vec<u8>,
    winners: Vec<Vec<u8>>,
}

impl Line {
    /// Calls with each whole response.
    fn hear(&mut self, bytes: &[u8], mut each: impl FnMut(&Response<'_>, &mut Vec<Vec<u8>>)) {
        self.rest.extend_from_slice(bytes);
        let mut used = 0;
        let decoder = FrameDecoder::default();
        while let Some(frame) = decoder.decode(&self.rest[used..]).expect("the central's frames") {
            used += frame.used();
            each(&Response::decode(frame).expect("the central's messages"), &mut self.winners);
        }
        self.rest.drain(..used);
    }
}

impl Promises {
    pub(crate) fn new(inputs: BTreeMap<Agency, Vec<Bet>>) -> Self {
        Self {
            inputs,
            confirmed: BTreeMap::new(),
            told: BTreeMap::new(),
            answers: BTreeMap::new(),
            hash: 0,
            central: BTreeMap::new(),
            agency: BTreeMap::new(),
            everybody_finished: false,
            strays: BTreeSet::new(),
            refusals: BTreeMap::new(),
        }
    }

    /// Whoever listens where the central's answers leave.
    pub(crate) fn leaving(&mut self) -> Leaving<'_> {
        Leaving(self)
    }

    /// Whoever listens where they arrive.
    pub(crate) fn arriving(&mut self) -> Arriving<'_> {
        Arriving(self)
    }

    pub(crate) fn knows_winners(&self, agency: Agency) -> bool {
        self.told.contains_key(&agency)
    }

    fn promise(&mut self, agency: Agency, consumed: Position) {
        let confirmed = self.confirmed.entry(agency).or_default();
        *confirmed = consumed.max(*confirmed);
    }

    /// A speaker has failed: because it was refused, or because some of its bets were. Whoever keeps
    /// to the order has no other reason, whatever happens to network and central.
    pub(crate) fn excuse(&mut self, agency: Agency, strays: bool) {
        let refusals = self.refusals.entry(agency).or_default();
        let told_of_rejected =
            self.told.contains_key(&agency) && self.inputs[&agency].iter().any(|bet| bet.bad);
        let excused = *refusals > 0 || strays || told_of_rejected;
        assert!(excused, "agency {agency} has given up");
        *refusals = refusals.saturating_sub(1);
    }

    fn note(&mut self, link: LinkId, agency: Agency, response: &Response<'_>) {
        let name = match *response {
            Response::Welcome { consumed, .. } => {
                self.promise(agency, consumed);
                "welcome"
            }
            Response::Stored { consumed } => {
                self.promise(agency, consumed);
                "stored"
            }
            Response::Rejected { consumed, .. } => {
                self.promise(agency, consumed);
                "rejected"
            }
            Response::Unavailable { .. } => "unavailable",
            Response::Finished { .. } => {
                let total = self.inputs[&agency].len() as u64;
                self.promise(agency, total);
                "finished"
            }
            Response::Winners(winners) => {
                assert!(self.everybody_finished, "winners before everybody has finished");
                for document in winners.documents() {
                    let (owner, _) = origin(document);
                    assert_eq!(owner, agency, "somebody else's winner");
                }
                "winners"
            }
            Response::UnknownError { code, reason } => panic!("unknown error {code}: {reason}"),
            Response::Error { code, reason } => match code {
                ErrorCode::Superseded => "superseded",
                ErrorCode::Timeout => "too slow",
                ErrorCode::Malformed => "cut frame",
                ErrorCode::Gap if self.strays.contains(&link) => "gap",
                ErrorCode::Overlap if self.strays.contains(&link) => "overlap",
                other => panic!("agency {agency} was refused with {other:?}: {reason}"),
            },
        };
        *self.answers.entry(name).or_default() += 1;
        self.mix(name.len() as u64 ^ u64::from(agency) << 8);
    }

    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    /// Everything that the ledger holds, against the inputs and against what was promised.
    pub(crate) fn check(&mut self, rows: &[u8], state: &State) {
        let found = self.positions(rows);
        for (&agency, input) in &self.inputs {
            let account = state.account(agency);
            let stored = found.get(&agency).map_or(&[][..], Vec::as_slice);
            assert!(
                stored.is_sorted_by(|one, next| one < next),
                "{agency}: out of order, or twice"
            );
            assert_eq!(account.stored, stored.len() as u64, "agency {agency}: rows");
            assert_eq!(account.consumed, account.stored + account.rejected, "agency {agency}");
            assert!(account.consumed <= input.len() as u64, "agency {agency}: more than was sent");
            let confirmed = self.confirmed.get(&agency).copied().unwrap_or_default();
            assert!(
                account.consumed >= confirmed,
                "agency {agency}: {confirmed} were confirmed, {} are left",
                account.consumed
            );
            let stored: BTreeSet<_> = stored.iter().copied().collect();
            check_rejected(input, &stored, account.consumed);
            if account.finished {
                assert_eq!(account.consumed, input.len() as u64, "agency {agency}: ended early");
            }
        }
        let finished = self.inputs.keys().all(|&agency| state.account(agency).finished);
        assert_eq!(state.drawn, finished, "the draw runs with the last end, and no earlier");
        self.everybody_finished = finished;
    }

    /// Positions of the bets in the ledger, which must be those that were sent.
    fn positions(&self, rows: &[u8]) -> BTreeMap<Agency, Vec<Position>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        load_bets(rows, |stored| {
            let (agency, position) = origin(stored.bet.document);
            assert_eq!(agency, stored.agency, "a bet under another agency");
            let index = usize::try_from(position).expect("small");
            let sent = self.inputs[&agency][index];
            let [first_name, last_name, _, birthdate, _] = sent.fields(agency, index);
            let bet = &stored.bet;
            assert_eq!(
                [bet.first_name.text, bet.last_name.text, bet.birthdate],
                [&first_name[..], &last_name, &birthdate]
            );
            assert_eq!(bet.number, sent.number.to_string().as_bytes());
            found.entry(agency).or_default().push(position);
        })
        .expect("every row is a bet");
        found
    }

    /// At the end: everybody has been told exactly its own winners.
    pub(crate) fn check_winners(&self, rows: &[u8]) {
        let found = self.positions(rows);
        for (agency, input) in &self.inputs {
            let stored = found.get(agency).map_or(&[][..], Vec::as_slice);
            let winners: Vec<_> = (stored.iter())
                .filter(|position| {
                    input[usize::try_from(**position).expect("small")].number == WINNING_NUMBER
                })
                .map(|position| document(*agency, *position).into_bytes())
                .collect();
            assert_eq!(self.told.get(agency), Some(&winners), "winners of agency {agency}");
        }
    }
}

/// Bets that were consumed and aren't stored: each run of them stood in rejected batches, so there
/// is a bad one in it, and no bad one is stored.
fn check_rejected(input: &[Bet], stored: &BTreeSet<Position>, consumed: Position) {
    let mut run = Vec::new();
    for position in 0..=consumed {
        let index = usize::try_from(position).expect("small");
        if position < consumed && !stored.contains(&position) {
            run.push(input[index]);
            continue;
        }
        assert!(run.is_empty() || run.iter().any(|bet| bet.bad), "good bets are missing: {run:?}");
        assert!(position == consumed || !input[index].bad, "a bad bet is stored");
        run.clear();
    }
}

/// Listens where the central's answers leave it: from then on it is bound by them.
pub(crate) struct Leaving<'p>(&'p mut Promises);

impl Ear for Leaving<'_> {
    fn hear(&mut self, link: LinkId, agency: Agency, bytes: &[u8]) {
        let mut said = self.0.central.remove(&link).unwrap_or_default();
        said.hear(bytes, |response, _| self.0.note(link, agency, response));
        self.0.central.insert(link, said);
    }
}

/// Listens where they arrive.
pub(crate) struct Arriving<'p>(&'p mut Promises);

impl Ear for Arriving<'_> {
    fn hear(&mut self, link: LinkId, agency: Agency, bytes: &[u8]) {
        let mut said = self.0.agency.remove(&link).unwrap_or_default();
        let (told, refusals) = (&mut self.0.told, &mut self.0.refusals);
        said.hear(bytes, |response, so_far| {
            if matches!(response, Response::Error { code, .. } if !code.is_transient()) {
                *refusals.entry(agency).or_default() += 1;
            }
            let Response::Winners(winners) = response else { return };
            so_far.extend(winners.documents().map(<[u8]>::to_vec));
            if winners.last {
                let list = std::mem::take(so_far);
                let before = told.insert(agency, list.clone());
                assert!(before.is_none_or(|before| before == list), "the winners have changed");
            }
        });
        self.0.agency.insert(link, said);
    }
}

/// Nobody listens.
pub(crate) struct Deaf;

impl Ear for Deaf {
    fn hear(&mut self, _: LinkId, _: Agency, _: &[u8]) {}
}
