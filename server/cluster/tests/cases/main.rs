//! What a central's part of a lottery does in each case by itself, over etcd in memory.

mod beginning;
mod harness;
mod room;
mod sessions;
mod stops;
mod the_draw;
