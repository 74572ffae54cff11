//! `server ledger`: a ledger is checked, exported, copied and restored, at rest and while a central has it
//! open, by the real programs.
//!
//! | file | what it is for |
//! |---|---|
//! | `world` | ledgers made by real centrals, and the commands |
//! | `checks` | `check`, and what it says of damage |
//! | `exports` | `export` |
//! | `copies` | `backup` and `restore` |
//! | `under_load` | backups while the central is killed |
//! | `versions` | ledgers of every version there was, and a reader that isn't ours |
//! | `situations` | the commands of docs/operations.md, in the situations that they are for |

mod checks;
mod copies;
mod exports;
mod situations;
mod under_load;
mod versions;
mod world;
