//! What must hold, of the responses on the wire and of the rows in the ledger.
//! Knows bets and messages; nothing of schedule, network or disk.

use std::collections::{BTreeMap, BTreeSet};

use server::lottery::State;
use server::row::load_bets;
use wire::{Agency, ErrorCode, FrameDecoder, Position, Response};

use crate::network::{Caller, Conduct};

const WINNING_NUMBER: u32 = 7574;

/// The fields of a bet.
pub(crate) type Fields = [Vec<u8>; wire::field::FIELDS];

/// A bet of an agency's input. Its document says whose it is, and its position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bet {
    pub(crate) number: u32,
    /// Born on a day that doesn't exist.
    pub(crate) bad: bool,
}

impl Bet {
    pub(crate) fn fields(self, agency: Agency, position: usize) -> Fields {
        self.fields_with(&document(agency, position as u64), position)
    }

    /// The same with another document.
    fn fields_with(self, document: &str, position: usize) -> Fields {
        let name = ["Ana", "Íñigo, \"Tito\"", "O'Higgins"][position % 3];
        let birthdate = if self.bad { "2001-02-29" } else { "2000-02-29" };
        [name, "Paz", document, birthdate, &self.number.to_string()]
            .map(|field| field.as_bytes().to_vec())
    }
}

/// Added to an agency's number in the documents of its bets of another draw.
const ANOTHER_DRAW: Agency = 50;

/// The fields of a bet of another draw: it can be told in the ledger.
pub(crate) fn fields_of_another_draw(bet: Bet, agency: Agency, position: usize) -> Fields {
    bet.fields_with(&document(agency + ANOTHER_DRAW, position as u64), position)
}

fn document(agency: Agency, position: Position) -> String {
    format!("{agency}{position:06}")
}

/// Whose bet it is, and its position.
fn origin(document: &[u8]) -> (Agency, Position) {
    let document = std::str::from_utf8(document).expect("digits");
    let (agency, position) = document.split_at(document.len() - 6);
    (agency.parse().expect("ours"), position.parse().expect("ours"))
}

/// What the responses so far bind the central to.
#[derive(Debug)]
pub(crate) struct Invariants {
    pub(crate) inputs: BTreeMap<Agency, Vec<Bet>>,
    /// Position up to which each agency was sent a confirmation.
    confirmed: BTreeMap<Agency, Position>,
    /// The winners that each agency has received, whole lists only.
    winners: BTreeMap<Agency, Vec<Vec<u8>>>,
    /// How often each kind of response was sent.
    pub(crate) responses: BTreeMap<&'static str, u64>,
    /// Hash of all responses: the same seed must give the same.
    pub(crate) hash: u64,
    /// All agencies had finished, by the ledger's last state.
    pub(crate) all_finished: bool,
    /// Final refusals that processes of an agency have received, and not ended from yet.
    refusals: BTreeMap<Agency, u32>,
}

/// One connection's responses, as far as they have come.
#[derive(Debug, Default)]
pub(crate) struct ResponseStream {
    rest: Vec<u8>,
    winners: Vec<Vec<u8>>,
}

impl ResponseStream {
    /// Calls `each` with every response that is whole now.
    fn decode(&mut self, bytes: &[u8], mut each: impl FnMut(&Response<'_>, &mut Vec<Vec<u8>>)) {
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

/// An agency of another draw gets nothing but the refusal; or, when its HELLO doesn't come in whole, what
/// anybody gets.
fn check_refused(caller: Caller, response: &Response<'_>) {
    let Response::Error { code, .. } = response else {
        panic!("{caller:?} got something: {response:?}");
    };
    let expected = [ErrorCode::WrongDraw, ErrorCode::Malformed, ErrorCode::Timeout];
    assert!(expected.contains(code), "{caller:?} was refused with {code:?}");
}

impl Invariants {
    pub(crate) fn new(inputs: BTreeMap<Agency, Vec<Bet>>) -> Self {
        Self {
            inputs,
            confirmed: BTreeMap::new(),
            winners: BTreeMap::new(),
            responses: BTreeMap::new(),
            hash: 0,
            all_finished: false,
            refusals: BTreeMap::new(),
        }
    }

    /// Observes what the central sends: from then on it is bound by it.
    pub(crate) fn observe_sent(&mut self, caller: Caller, bytes: &[u8]) {
        let mut stream = ResponseStream::default();
        stream.decode(bytes, |response, _| self.check_response(caller, response));
        assert!(stream.rest.is_empty(), "the central sends whole frames");
    }

    /// Observes what an agency receives on a connection.
    pub(crate) fn observe_received(
        &mut self,
        caller: Caller,
        stream: &mut ResponseStream,
        bytes: &[u8],
    ) {
        let agency = caller.agency;
        if caller.conduct == Conduct::OfAnotherDraw {
            return stream.decode(bytes, |response, _| check_refused(caller, response));
        }
        let (complete, refusals) = (&mut self.winners, &mut self.refusals);
        stream.decode(bytes, |response, so_far| {
            if matches!(response, Response::Error { code, .. } if !code.is_transient()) {
                *refusals.entry(agency).or_default() += 1;
            }
            let Response::Winners(winners) = response else { return };
            so_far.extend(winners.documents().map(<[u8]>::to_vec));
            if winners.last {
                let list = std::mem::take(so_far);
                let before = complete.insert(agency, list.clone());
                assert!(before.is_none_or(|before| before == list), "the winners have changed");
            }
        });
    }

    pub(crate) fn has_winners(&self, agency: Agency) -> bool {
        self.winners.contains_key(&agency)
    }

    fn confirm(&mut self, agency: Agency, consumed: Position) {
        let confirmed = self.confirmed.entry(agency).or_default();
        *confirmed = consumed.max(*confirmed);
    }

    /// An agency's process has failed: because it was refused, or because some of its bets were. One
    /// that behaves has no other reason, whatever happens to network and central.
    pub(crate) fn agency_failed(&mut self, Caller { agency, conduct }: Caller) {
        if conduct == Conduct::OfAnotherDraw {
            return;
        }
        let refusals = self.refusals.entry(agency).or_default();
        let knows_rejected =
            self.winners.contains_key(&agency) && self.inputs[&agency].iter().any(|bet| bet.bad);
        let has_reason = *refusals > 0 || conduct == Conduct::Misbehaving || knows_rejected;
        assert!(has_reason, "agency {agency} has given up");
        *refusals = refusals.saturating_sub(1);
    }

    fn check_response(&mut self, caller: Caller, response: &Response<'_>) {
        let Caller { agency, conduct } = caller;
        if conduct == Conduct::OfAnotherDraw {
            check_refused(caller, response);
        }
        let misbehaves = conduct == Conduct::Misbehaving;
        let name = match *response {
            Response::Welcome { consumed, .. } => {
                self.confirm(agency, consumed);
                "welcome"
            }
            Response::Stored { consumed } => {
                self.confirm(agency, consumed);
                "stored"
            }
            Response::Rejected { consumed, .. } => {
                self.confirm(agency, consumed);
                "rejected"
            }
            Response::Unavailable { .. } => "unavailable",
            Response::Finished { .. } => {
                let total = self.inputs[&agency].len() as u64;
                self.confirm(agency, total);
                "finished"
            }
            Response::Winners(winners) => {
                assert!(self.all_finished, "winners before all agencies have finished");
                for document in winners.documents() {
                    let (owner, _) = origin(document);
                    assert_eq!(owner, agency, "a winner of another agency");
                }
                "winners"
            }
            Response::UnknownError { code, reason } => panic!("unknown error {code}: {reason}"),
            Response::Error { code, reason } => match code {
                ErrorCode::Superseded => "superseded",
                ErrorCode::Timeout => "too slow",
                ErrorCode::Malformed => "cut frame",
                ErrorCode::WrongDraw if conduct == Conduct::OfAnotherDraw => "another draw",
                ErrorCode::Gap if misbehaves => "gap",
                ErrorCode::Overlap if misbehaves => "overlap",
                other => panic!("agency {agency} was refused with {other:?}: {reason}"),
            },
        };
        *self.responses.entry(name).or_default() += 1;
        self.mix(name.len() as u64 ^ u64::from(agency) << 8);
    }

    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    /// Everything that the ledger holds, against the inputs and against what was confirmed.
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
        self.all_finished = finished;
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

    /// At the end: each agency has received exactly its own winners.
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
            assert_eq!(self.winners.get(agency), Some(&winners), "winners of agency {agency}");
        }
    }
}

/// Bets that were consumed and aren't stored: each run of them was in rejected batches, so there
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
