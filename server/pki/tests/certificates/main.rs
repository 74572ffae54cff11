//! What is made, judged by those who have to accept or refuse it.

mod authority;
mod documentation;
mod program;
mod testing;
mod verify;
