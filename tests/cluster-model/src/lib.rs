//! The scheme by which several equal centrals serve one lottery over one etcd, as a model that
//! [`stateright`] explores exhaustively: every order of steps, within bounds, with requests lost,
//! late and repeated, answers lost, centrals frozen, woken and restarted, agencies that hop between
//! them.
//!
//! # The scheme
//!
//! Centrals keep nothing that counts: every fact of a lottery is in etcd, below a prefix of its own,
//! and any central serves any agency. There is no leader and no lock. Instead each transaction says
//! what it rests on, and etcd applies it only if that still holds: a central that was frozen, or cut
//! off, or is asked by an agency that has long gone elsewhere, can do no harm.
//!
//! | key | value | put by |
//! |---|---|---|
//! | `meta` | number of agencies | the first central that starts |
//! | `acct/<agency>` | session, consumed, stored, rejected, winners, finished | HELLO, commit, END |
//! | `bets/<agency>/<first position>` | bets, of one batch or of several that had gathered; no key if all were rejected | commit |
//! | `win/<agency>/<first position>` | the winning ones among them; no key if there are none | commit |
//! | `fin/<agency>` | empty | END |
//! | `closed` | which central held the draw | close |
//!
//! | transaction | only if | then | else |
//! |---|---|---|---|
//! | HELLO | the account is what was read, `closed` is absent, `meta` is the same | put the account with a session that never was: the *fence* | get account, `closed`, `meta` |
//! | commit | the account is what this session last wrote, `closed` is absent, `meta` is the same | put account, `bets/`, `win/` | the same |
//! | END | the same | put the account as finished, and `fin/`; count `fin/` | the same |
//! | close | `closed` is absent, `meta` is the same | put `closed` | get `closed`, `meta` |
//!
//! *The account is* compares its bytes: a session number never comes again, and within a session
//! `consumed` only grows, so no account is ever the same again. `meta` is the same if it was created
//! at the same revision.
//!
//! A HELLO that finds the agency finished, or the draw held, is answered without a transaction. One
//! that finds the session that it read, with something stored since, tries again.
//!
//! Who has counted as many `fin/` as there are agencies may close: none of them ever goes. A central
//! with waiting agencies looks now and then, in case the one that should have closed is dead. A central that
//! sees `closed` announces the draw and sends winners.
//!
//! What an answer to a transaction means, in this order ([`outcome`]):
//!
//! 1. it succeeded: done;
//! 2. the account is what we wanted to put: an earlier try of ours was applied; done;
//! 3. it has another session: superseded, the agency connects again;
//! 4. `closed` is there: the draw was held;
//! 5. it has our session and isn't what we wanted: UNAVAILABLE;
//! 6. it is gone, or `meta` isn't the same: the draw was deleted; the central stops, loudly;
//! 7. no answer: **the same bytes again**, until there is one. Nothing else settles what a transaction
//!    came to, because a late try may still be applied;
//! 8. "no space": this try has written nothing, UNAVAILABLE; but not if an earlier one is unknown.
//!
//! # The model
//!
//! | file | what it is for |
//! |---|---|
//! | [`store`] | etcd: keys, and transactions applied as a whole |
//! | [`transactions`] | the table above |
//! | [`outcome`] | the list above |
//! | [`request`] | a transaction from its first try until an answer settles it |
//! | [`central`] | a central |
//! | [`agency`] | an agency |
//! | [`world`] | the bounds: who takes part, what goes wrong how often |
//! | [`state`] | all that there is at a moment, and the steps that there are |
//! | [`lottery`], `steps`, `model` | which steps are possible, what each does, both for the checker |
//! | [`invariants`] | what must hold |
//! | [`scheme`], [`mutations`] | the scheme's choices, and what is found without each |
//!
//! A bet is known by its position in its agency's input, and each is a batch. The account's checksum
//! is left out: it follows from `consumed`. Reads are answered at once: one that is answered late
//! leads to the same transaction as one whose transaction is late.

#![allow(clippy::missing_panics_doc, reason = "what can't be in a model fails its test")]

pub mod agency;
pub mod central;
pub mod invariants;
pub mod lottery;
mod model;
pub mod mutations;
pub mod outcome;
pub mod request;
pub mod scheme;
pub mod state;
mod steps;
pub mod store;
pub mod transactions;
pub mod world;
