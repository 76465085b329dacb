//! The SMTP listener from outside: real sockets and a recording handler.

mod dialogues;
mod harness;
mod limits;
mod upstream;
