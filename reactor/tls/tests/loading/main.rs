//! What a program loads from its files, and when it takes new ones.

mod handshakes;
mod problems;
mod reloads;
mod world;
