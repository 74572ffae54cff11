//! The admin listener of a real central, as clients of HTTP find it.
//!
//! | file | what it is for |
//! |---|---|
//! | `world` | a central with its admin listener, agencies |
//! | `resources` | what each resource is, and what is refused |
//! | `figures` | metrics and readiness: that they say what is so |
//! | `values` | metrics by value: each is brought about, and read |
//! | `health` | `server healthcheck` of a central that is ready, and of one that isn't |
//! | `https` | the same over TLS |
//! | `totals` | the same after a whole lottery of real agencies |
//! | `privacy` | that no name and no document is in anything that is served |
//! | `documented` | that the documentation lists the metrics that there are |
//! | `events` | pages that are kept up to date |
//! | `crowds` | more than there may be, and clients that misbehave |
//! | `foreign` | clients that aren't ours |

mod crowds;
mod documented;
mod events;
mod figures;
mod foreign;
mod health;
mod https;
mod privacy;
mod resources;
mod totals;
mod values;
mod world;
