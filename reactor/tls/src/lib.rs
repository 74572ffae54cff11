//! TLS as a layer of a connection of the loop, by rustls.

mod error;
mod layer;
mod record;

pub use error::TlsError;
pub use layer::TlsLayer;
pub use record::HANDSHAKE;
