//! The scheme's choices, each of which a mutation can take back.
//!
//! It must not know what comes of them: [`crate::mutations`] does.

use crate::store::{CentralId, Session};

/// What the transactions of an agency compare of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountCompare {
    /// Its bytes.
    Value,
    /// Its `mod_revision`.
    Revision,
    /// Nothing.
    None,
}

/// The scheme's choices. Each field is true in the scheme unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice by itself")]
pub struct Scheme {
    /// The value, in the scheme.
    pub account_compare: AccountCompare,
    /// HELLO, commit and END compare that `closed` is absent.
    pub writes_compare_closed: bool,
    /// The close compares that `closed` is absent.
    pub close_compares_closed: bool,
    /// Every transaction compares `meta`.
    pub compares_meta: bool,
    /// Every transaction that fails gets `meta` too.
    pub failure_gets_meta: bool,
    /// A central closes only when it has seen that all agencies have finished.
    pub counts_before_closing: bool,
    /// A central with waiting agencies reads count and `closed` now and then.
    pub polls: bool,
    /// And `meta`.
    pub polls_meta: bool,
    /// `meta` is read together with the winners.
    pub reads_meta_with_winners: bool,
    /// HELLO writes its session before WELCOME.
    pub hello_fences: bool,
    /// An account that is what we wanted to write is ours.
    pub recognises_own_bytes: bool,
    /// Every HELLO begins a session that never was.
    pub has_fresh_sessions: bool,
    /// False in the scheme: after a time-out, a read that doesn't show our bytes settles it.
    pub settles_unknown_by_reading: bool,
    /// False in the scheme: after a time-out, what has gathered meanwhile goes along.
    pub tries_again_with_other_bytes: bool,
    /// False in the scheme: "no space" settles earlier tries too.
    pub no_space_settles_unknown: bool,
}

impl Scheme {
    /// The scheme itself.
    pub const SOUND: Self = Self {
        account_compare: AccountCompare::Value,
        writes_compare_closed: true,
        close_compares_closed: true,
        compares_meta: true,
        failure_gets_meta: true,
        counts_before_closing: true,
        polls: true,
        polls_meta: true,
        reads_meta_with_winners: true,
        hello_fences: true,
        recognises_own_bytes: true,
        has_fresh_sessions: true,
        settles_unknown_by_reading: false,
        tries_again_with_other_bytes: false,
        no_space_settles_unknown: false,
    };

    /// The session that a HELLO begins; `fresh` never was a session of this agency.
    pub fn session(&self, central: CentralId, fresh: Session) -> Session {
        if self.has_fresh_sessions { fresh } else { Session::try_from(central).expect("a few") + 1 }
    }
}
