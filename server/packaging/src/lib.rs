//! What an installation has beside the programs that is made of what they say of themselves.
//!
//! | file | what it is for |
//! |---|---|
//! | [`installed`] | the programs as they are installed: other names than cargo's |
//! | [`pages`] | their manual pages |
//! | [`completions`] | their completions for bash, zsh and fish |
//! | [`markup`] | texts of the documentation as they are in a manual page |
//!
//! Beside it are the units of systemd (`systemd/`), the configuration that is installed (`etc/`), and what
//! installs and removes all of it (`install.sh`).
//!
//! Knows what the programs can be told, and nothing of what they do.

pub mod completions;
pub mod installed;
pub mod markup;
pub mod pages;
