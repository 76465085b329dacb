//! The SMTP listener from outside: real sockets, a reception that remembers.

mod dialogues;
mod house;
mod limits;
mod upstream;
