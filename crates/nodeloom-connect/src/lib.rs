//! Outbound connections: the guard that decides where nodeloom may connect, HTTP through it, and
//! the tests that sign in with a credential by its own protocol.
//!
//! Everything in nodeloom that opens a connection to an address that a person supplied goes
//! through [`guard::Guard`]: it resolves a name once, refuses private, loopback and metadata
//! addresses, and hands out the addresses it has checked. Nothing here resolves a name twice.
//!
//! [`placement::place`] puts a credential into a request, [`placement::test_plan`] says how one is
//! tested. HMAC, SHA-2 and RSA signatures towards other services are made here; what is stored is
//! sealed by `nodeloom-crypto` alone.
//!
//! [`Outbound`] holds what every such connection needs: the guard, whom TLS trusts, and the limits.

pub mod guard;
pub mod http;
mod outbound;
pub mod placement;
pub mod probe;
mod trust;
mod wire;

pub use outbound::{ConnectError, Limits, Outbound};
pub use trust::{Trust, TrustError, Verify, authorities};
