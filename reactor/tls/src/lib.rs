//! TLS as a layer of a connection of the loop, by rustls.
