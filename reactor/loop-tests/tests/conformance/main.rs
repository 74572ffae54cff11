//! The loop in memory against the loop over the kernel: the same script runs over both, and the
//! handler gets the same calls, and the peers see the same.
//!
//! | file | what it is for |
//! |---|---|
//! | `interpreter` | the handler: it does what its input says |
//! | `security` | what is between the bytes of both sides and those that are compared |
//! | `secured` | a peer's end of a connection, whatever that is |
//! | `script` | what peers do, step by step; what came of it |
//! | `driver` | the two loops, as a script sees them |
//! | `scenarios` | one script for each rule |
//! | `random` | any scripts at all |
//!
//! Every script runs three times: without a layer, behind the toy layer, and over TLS, with its real
//! cryptography on both sides. Bytes on the wire are never compared, but how many there are is: that
//! they are random doesn't matter, because keys and certificates are of a kind that makes each handshake
//! as long as any other. So each of the three is compared between memory and kernel as it is, call by
//! call. Between the three, what a handler and the peers notice of a connection is compared: what is
//! delivered and consumed, the end and what was left over, deadlines, how it is closed, what peers read
//! and how that ends. Three things differ and are left out: handshakes; in which order connections have
//! their calls, because budgets count bytes on the wire; and that who closes a socket with the end of a
//! layer unread resets the connection. Scripts about just these things aren't compared between the three
//! (`compare_each`).
//!
//! A script runs in memory first. Over the kernel each step waits until as much has come of it as did
//! in memory, or in vain: so nothing here depends on how long the kernel takes, and what differs is
//! found when both records are compared.

mod driver;
mod interpreter;
mod random;
mod scenarios;
mod script;
mod secured;
mod security;
