//! The admin listener of a real central, as clients of HTTP find it.
//!
//! | file | what it is for |
//! |---|---|
//! | `world` | a central with its admin listener, agencies |
//! | `resources` | what each resource is, and what is refused |
//! | `figures` | metrics and readiness: that they say what is so |
//! | `documented` | that the documentation lists the metrics that there are |
//! | `events` | pages that are kept up to date |
//! | `crowds` | more than there may be, and clients that misbehave |
//! | `foreign` | clients that aren't ours |

mod crowds;
mod documented;
mod events;
mod figures;
mod foreign;
mod resources;
mod world;
