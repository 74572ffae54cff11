//! What is reported to the central.

use std::fmt;

use crate::account::Account;
use crate::error::Error;

/// How far the lottery is for an agency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It may commit.
    Open,
    /// Its END was taken, and it waits for the draw.
    Finished,
    /// The draw was held.
    Drawn,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// etcd was reached, and the draw is as configured. Once.
    Ready,
    /// Answers [`hello`](crate::ClusterStore::hello).
    Opened {
        /// Which agency.
        agency: u32,
        /// Its account: with a session of this central's, if the phase is open.
        account: Account,
        /// What it may do.
        phase: Phase,
    },
    /// Answers [`commit`](crate::ClusterStore::commit): it is durable.
    Committed {
        /// Which agency.
        agency: u32,
        /// Its account now.
        account: Account,
    },
    /// Answers [`end`](crate::ClusterStore::end): it is durable.
    Ended {
        /// Which agency.
        agency: u32,
        /// Its account now.
        account: Account,
    },
    /// Answers hello, commit or end: another session has the account, here or at another central. The
    /// agency isn't served here any more, until it says hello again. It shall do so soon: a slow central
    /// may have been late to begin that session, with no agency behind it.
    Superseded {
        /// Which agency.
        agency: u32,
    },
    /// Answers commit or end: the draw was held without it. The agency isn't served here any more, until
    /// it says hello again.
    Closed {
        /// Which agency.
        agency: u32,
        /// Its account.
        account: Account,
    },
    /// Answers hello, commit or end: nothing was written, and nothing will be. After a hello the agency
    /// isn't served here any more, until it says hello again: about once a second is enough. Otherwise it
    /// goes on from this account.
    Unavailable {
        /// Which agency.
        agency: u32,
        /// Its account, as far as it is known.
        account: Account,
        /// Why, for a person.
        reason: &'static str,
    },
    /// The draw was held. Once.
    Drawn {
        /// The central that held it.
        by: String,
    },
    /// Answers [`winners`](crate::ClusterStore::winners).
    Winners {
        /// Which agency.
        agency: u32,
        /// The next ones of its winners' documents.
        documents: Documents,
        /// Whether there are no more.
        is_last: bool,
    },
    /// Accounts of all centrals' agencies, some at a time, as a poll found them: for a view.
    Accounts(Vec<(u32, Account)>),
    /// So many agencies have finished, as a poll found.
    Finished(u32),
    /// The central has to stop: nothing is done any more. The last event.
    Stopped(Error),
}

/// Documents of winning bets, in the order of the bets, each with a line feed behind it. `Debug` shows
/// how many bytes there are, not what is in them: they are people's.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Documents(pub Vec<u8>);

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("len", &self.0.len()).finish()
    }
}

impl Event {
    /// The agency that it answers.
    pub(crate) fn agency(&self) -> Option<u32> {
        match self {
            Self::Opened { agency, .. }
            | Self::Committed { agency, .. }
            | Self::Ended { agency, .. }
            | Self::Superseded { agency }
            | Self::Closed { agency, .. }
            | Self::Unavailable { agency, .. }
            | Self::Winners { agency, .. } => Some(*agency),
            Self::Ready
            | Self::Drawn { .. }
            | Self::Accounts(_)
            | Self::Finished(_)
            | Self::Stopped(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_shows_documents() {
        let documents = Documents(b"30904465\n".to_vec());
        let event = Event::Winners { agency: 3, documents, is_last: true };
        let expected = "Winners { agency: 3, documents: Documents { len: 9 }, is_last: true }";
        assert_eq!(format!("{event:?}"), expected);
        assert_eq!(event.agency(), Some(3));
    }
}
