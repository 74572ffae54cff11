//! Sessions with the central, as state machines without a connection.
//!
//! | file | what it is for |
//! |---|---|
//! | [`agency_session`] | what a session is: a state machine that reads responses and writes requests |
//! | [`agency`] | mode `loteria`: the whole input, then the winners |
//! | [`single_bet`] | mode `apuesta`: one bet by hand |
//! | [`failure`] | why it can't go on |

pub mod agency;
pub mod agency_session;
pub mod failure;
pub mod single_bet;
