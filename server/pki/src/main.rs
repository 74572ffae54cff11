//! The program `pki`.

fn main() {}
