//! From a released request to its destination: workers on a real store, real files and sockets.

mod harness;
mod help_desk;
mod hooks;
mod pauses;
mod receiver;
mod runs;
mod workers;
