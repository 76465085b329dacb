//! The SMTP listener from outside: real sockets, a reception that remembers.

mod dialogues;
mod harness;
mod limits;
mod upstream;
