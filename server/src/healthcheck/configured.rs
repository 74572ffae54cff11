//! What a server with a certain configuration is asked, and where. Knows no socket.

use super::{Check, Unhealthy, check, reachable};
use crate::config::{AdminConfig, Config};

/// Asks the server with this configuration how it is.
///
/// # Errors
/// [`Unhealthy`].
pub fn check_server(config: &Config) -> Result<(), Unhealthy> {
    let Some(AdminConfig { address, tls, .. }) = &config.admin else {
        return check(Check::Echo, config.address);
    };
    let resolved = address.resolve();
    let resolved =
        resolved.map_err(|source| Unhealthy::NoAddress { address: address.clone(), source })?;
    // Over IPv6 the check has no address that it is known by, and would be refused without TLS.
    if *tls && reachable(resolved.ip()).is_ipv6() {
        return check(Check::Echo, config.address);
    }
    check(Check::Readiness, resolved)
}
