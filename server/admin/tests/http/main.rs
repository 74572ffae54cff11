//! The admin listener without a socket: requests, events, and what is documented of them.

mod central;
mod documentation;
mod events;
mod session;
