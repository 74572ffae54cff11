//! Attacks on TLS and on who an agency is, against the real programs over loopback, and peers that
//! others wrote. [docs/testing.md](../../../docs/testing.md#attacks-on-tls) lists them.
//!
//! An honest agency, which has shown its certificate, has a bet stored before, beside and behind each
//! attack. At the end the central must end in order, with its bets in the ledger and no others.

mod files;
mod foreign;
mod handshakes;
mod identities;
mod records;
mod relay;
mod reloads;
mod world;
