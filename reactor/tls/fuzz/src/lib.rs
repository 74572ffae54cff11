//! A loop in memory with one connection that passes TLS, the peer at its other end, and what may happen
//! to the bytes between them, as the fuzzer's input says.
//!
//! | file | what it is for |
//! |---|---|
//! | `credentials` | what both sides are configured with |
//! | `handler` | the side in the loop: an echo that a script interferes with |
//! | `input` | the fuzzer's bytes, as numbers and amounts |
//! | `peer` | the other side, and its bytes on their way, which may be changed |
//! | `world` | both, step by step, and what must hold after each |

mod credentials;
mod handler;
mod input;
mod peer;
mod world;

pub use input::Input;
pub use world::World;
