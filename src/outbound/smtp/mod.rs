//! Parts of an SMTP client: a connection, its replies, and the wire format of a message.

pub mod connection;
pub mod reply;
pub mod wire;
