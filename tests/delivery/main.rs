//! From a released request to its destination: workers on a real store, real files and sockets.

mod desk;
mod harness;
mod hooks;
mod receiver;
mod workers;
