//! The lottery protocol of one connection: its agency, whether its requests are taken, how many replies
//! it is owed.
//!
//! ```text
//!                    pause_for_storage
//!           ┌───────────────────────────────> AwaitsStorage ──┐
//!   intake: Open                                              │ resume
//!           └───────────────────────────────> AwaitsWinners ──┤
//!             ^      await_winners                            │
//!             └───────────────────────────────────────────────┘
//!
//!   agency: None ──introduce──> Some, for good
//! ```
//!
//! Knows no lottery and no other connection.

use wire::{Agency, ErrorCode, Frame, FrameDecoder, FrameError, Position};

use super::identity::Security;
use super::protocol_error::ProtocolError;
use super::reply::Reply;
use crate::lottery::Refusal;

/// A connection that speaks it.
#[derive(Debug, Default)]
pub(crate) struct LotterySession {
    decoder: FrameDecoder,
    agency: Option<Agency>,
    security: Security,
    /// A request had no effect, so the ones that were on their way behind it have none either.
    unavailable: bool,
    /// Replies to it that wait for the storage.
    owed: u32,
    intake: Intake,
}

/// Whether requests are taken. While they aren't, nothing is read from the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Intake {
    #[default]
    Open,
    /// Too much waits for the storage.
    AwaitsStorage,
    /// It has asked for winners, and gets them before anything else.
    AwaitsWinners,
}

impl LotterySession {
    /// A session of a peer of whom so much is known.
    pub(crate) fn new(security: Security) -> Self {
        Self { security, ..Self::default() }
    }

    /// What is known of who the peer is.
    pub(crate) fn security(&self) -> &Security {
        &self.security
    }

    /// The next frame of `input`, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// As of [`FrameDecoder::decode`].
    pub(crate) fn decode<'i>(&self, input: &'i [u8]) -> Result<Option<Frame<'i>>, FrameError> {
        self.decoder.decode(input)
    }

    /// Whether the stream may end with `rest` unconsumed.
    ///
    /// # Errors
    /// As of [`FrameDecoder::finish`].
    pub(crate) fn finish(&self, rest: &[u8]) -> Result<(), FrameError> {
        self.decoder.finish(rest)
    }

    /// Whether what is known of the peer lets it introduce itself as this agency. `certified` is
    /// whether the agency has shown a certificate before, on whatever connection: since then its number
    /// alone isn't enough.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_identity(
        &self,
        agency: Agency,
        certified: bool,
    ) -> Result<(), ProtocolError> {
        let identity = match &self.security {
            Security::Identified(identity) => identity,
            Security::Plain | Security::Anonymous if certified => {
                let reason = format!("agency {agency} has shown a certificate before");
                return Err(ProtocolError::new(ErrorCode::CertificateRequired, reason));
            }
            Security::Plain | Security::Anonymous => return Ok(()),
        };
        let reason = match &identity.agency {
            Ok(named) if *named == agency => return Ok(()),
            Ok(named) => format!("the certificate is agency {named}'s, not agency {agency}'s"),
            Err(error) => error.to_string(),
        };
        Err(ProtocolError::new(ErrorCode::WrongAgency, reason))
    }

    /// Whether it has shown a certificate.
    pub(crate) fn is_identified(&self) -> bool {
        matches!(self.security, Security::Identified(_))
    }

    /// Who it introduced itself as.
    pub(crate) fn agency(&self) -> Option<Agency> {
        self.agency
    }

    /// It is this agency from now on.
    ///
    /// # Errors
    /// Who it introduced itself as before.
    pub(crate) fn introduce(&mut self, agency: Agency) -> Result<(), Agency> {
        if let Some(known) = self.agency {
            return Err(known);
        }
        self.agency = Some(agency);
        Ok(())
    }

    /// Whether its requests are taken, and what it waits for otherwise.
    pub(crate) fn intake(&self) -> Intake {
        self.intake
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.intake != Intake::Open
    }

    /// Takes no request until the storage has caught up. Returns `false` when none is taken anyway.
    pub(crate) fn pause_for_storage(&mut self) -> bool {
        let is_open = !self.is_paused();
        if is_open {
            self.intake = Intake::AwaitsStorage;
        }
        is_open
    }

    /// Takes no request before the winners have been sent.
    pub(crate) fn await_winners(&mut self) {
        self.intake = Intake::AwaitsWinners;
    }

    /// Takes requests again.
    pub(crate) fn resume(&mut self) {
        self.intake = Intake::Open;
    }

    /// The reply to a request whose outcome is this. A request that was sent before its agency knew
    /// that an earlier one had no effect has none either, and isn't refused: the agency resumes from
    /// `consumed`.
    ///
    /// # Errors
    /// The refusal, when it is the agency's fault.
    pub(crate) fn resolve(
        &mut self,
        outcome: Result<Reply, Refusal>,
        consumed: impl FnOnce() -> Position,
    ) -> Result<Reply, Refusal> {
        match outcome {
            Err(Refusal::Gap { .. } | Refusal::WrongTotal { .. } | Refusal::NotFinished { .. })
                if self.unavailable =>
            {
                let reason = "an earlier request had no effect".into();
                let is_batch = matches!(outcome, Err(Refusal::Gap { .. }));
                return Ok(Reply::Unavailable { consumed: consumed(), reason, is_batch });
            }
            Ok(Reply::Unavailable { .. }) => self.unavailable = true,
            Ok(Reply::Duplicate { .. }) | Err(_) => {}
            Ok(_) => self.unavailable = false,
        }
        outcome
    }

    /// A request whose reply is queued had no effect after all. Returns whether the connection waits
    /// for winners: none will come.
    pub(crate) fn note_unavailable(&mut self) -> bool {
        self.unavailable = true;
        self.intake == Intake::AwaitsWinners
    }

    /// A reply to it was queued.
    pub(crate) fn reply_queued(&mut self) {
        self.owed += 1;
    }

    /// A queued reply was sent.
    pub(crate) fn reply_sent(&mut self) {
        self.owed -= 1;
    }

    /// Whether replies to it are queued.
    pub(crate) fn is_owed_replies(&self) -> bool {
        self.owed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::central::identity::{Identity, agency_of};

    const GAP: Refusal = Refusal::Gap { expected: 3, found: 5 };

    fn unavailable() -> Reply {
        Reply::Unavailable { consumed: 3, reason: "full".into(), is_batch: true }
    }

    #[test]
    fn a_certificate_names_the_agency_and_nobody_else_may_claim_it_then() {
        let identified = |agency| {
            let identity = Identity { serial: "1f".into(), agency };
            LotterySession::new(Security::Identified(Box::new(identity)))
        };
        let code = |session: &LotterySession, agency, certified| {
            session.check_identity(agency, certified).map_err(|error| error.code)
        };
        let own = identified(Ok(3));
        assert_eq!(code(&own, 3, true), Ok(()));
        assert_eq!(code(&own, 4, false), Err(ErrorCode::WrongAgency));
        let reason = own.check_identity(4, false).unwrap_err().reason;
        assert_eq!(reason, "the certificate is agency 3's, not agency 4's");
        let none = identified(agency_of(&[], "loteria"));
        assert_eq!(code(&none, 3, false), Err(ErrorCode::WrongAgency));
        let plain = LotterySession::default();
        assert_eq!(code(&plain, 3, false), Ok(()));
        assert_eq!(code(&plain, 3, true), Err(ErrorCode::CertificateRequired));
    }

    #[test]
    fn it_introduces_itself_once() {
        let mut session = LotterySession::default();
        assert_eq!(session.agency(), None);
        assert_eq!(session.introduce(7), Ok(()));
        assert_eq!((session.introduce(7), session.introduce(8)), (Err(7), Err(7)));
        assert_eq!(session.agency(), Some(7));
    }

    #[test]
    fn what_was_sent_behind_a_request_without_effect_is_not_held_against_it() {
        let mut session = LotterySession::default();
        assert_eq!(session.resolve(Err(GAP), || 3), Err(GAP), "nothing has failed yet");
        assert_eq!(session.resolve(Ok(unavailable()), || 3), Ok(unavailable()));
        let duplicate = Reply::Duplicate { consumed: 1 };
        assert_eq!(session.resolve(Ok(duplicate.clone()), || 3), Ok(duplicate));
        let wrong_total = Refusal::WrongTotal { expected: 3, found: 5 };
        for refusal in [GAP, wrong_total, Refusal::NotFinished { agency: 7 }] {
            let excused = session.resolve(Err(refusal), || 3).unwrap();
            assert!(matches!(excused, Reply::Unavailable { consumed: 3, .. }), "{excused:?}");
        }
        assert_eq!(session.resolve(Err(Refusal::Drawn), || 3), Err(Refusal::Drawn));
        let finished = Reply::Finished { stored: 3, rejected: 0 };
        assert_eq!(session.resolve(Ok(finished.clone()), || 3), Ok(finished));
        assert_eq!(session.resolve(Err(GAP), || 3), Err(GAP), "it knew");
    }

    #[test]
    fn a_commit_without_effect_ends_the_wait_for_winners() {
        let mut session = LotterySession::default();
        assert!(!session.note_unavailable());
        session.await_winners();
        assert!(session.note_unavailable());
        assert!(session.resolve(Err(GAP), || 3).is_ok());
    }

    #[test]
    fn who_awaits_winners_is_not_paused_for_the_storage() {
        let mut session = LotterySession::default();
        assert!(session.pause_for_storage() && session.is_paused());
        assert!(!session.pause_for_storage());
        session.resume();
        assert!(!session.is_paused());
        session.await_winners();
        assert!(session.is_paused() && !session.pause_for_storage());
    }
}
