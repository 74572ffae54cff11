//! [`TlsLayer`](tls::TlsLayer) as a handler's connection has it: alone, in the test's hands byte by
//! byte and call by call, and under a loop in memory.
//!
//! | file | what it is about |
//! |---|---|
//! | `credentials` | certificates, and what both sides are configured with |
//! | `end`, `pair` | one side without a loop, and two of them |
//! | `forger` | a client that encrypts whatever a test wants |
//! | `world` | a server that echoes and a client, in loops in memory |
//! | `cuts` | any cut of both directions, any order of readiness |
//! | `handshakes` | from the first byte to the last of the handshake |
//! | `resumption` | no session is resumed, nothing is replayed |
//! | `records` | what comes in records afterwards |
//! | `key_updates` | new keys on the way |
//! | `memory` | what it says it holds |
//! | `words` | every error, read aloud |
//! | `in_a_loop` | both sides under a loop |

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

mod credentials;
mod cuts;
mod end;
mod forger;
mod handshakes;
mod in_a_loop;
mod key_updates;
mod memory;
mod pair;
mod records;
mod resumption;
mod words;
mod world;
