//! What the loop does with a layer: in memory, where every turn and every cut is in the test's hands,
//! and over the kernel.
//!
//! | file | what it is about |
//! |---|---|
//! | `world` | a loop in memory whose handler a test scripts |
//! | `starting` | how a layer begins, and what is its input |
//! | `handshakes` | output, pauses and deadlines until the handshake is complete |
//! | `many_handshakes` | budgets and limits of all of them together |
//! | `input` | records, pauses, ends |
//! | `output` | backpressure, closing |
//! | `failures` | what breaks, in each state |
//! | `memory` | what layers hold |
//! | `over_the_kernel` | the same over real sockets |

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value in its message")]

mod failures;
mod handshakes;
mod input;
mod many_handshakes;
mod memory;
mod output;
mod over_the_kernel;
mod starting;
mod world;
