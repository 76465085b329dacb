//! TLS of a client that trusts the system's certificate authorities or, if an operator configured that, any
//! certificate.

use rustls::ClientConfig;

use super::Cause;
use crate::server_trust::{ServerTrust, system_authorities};

/// TLS configuration of a client. With `verify`, the certificate must be valid for the server's name.
pub fn client(verify: bool) -> Result<ClientConfig, Cause> {
    let trust = if verify {
        ServerTrust::Name(system_authorities())
    } else {
        ServerTrust::Anything
    };
    let config = trust.client_config();
    config.map_err(|cause| Cause::of_destination(&format!("TLS: {cause}")))
}
