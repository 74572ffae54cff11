//! Three centrals and four agencies that hop between them, until all have their winners.

mod agency;
mod central;
mod faults;
mod mutations;
mod network;
mod oracle;
mod real;
mod simulated;
mod traffic;
mod world;
