//! Who asks, and from where: the first argument of every use-case.

use nodeloom_domain::audit::Origin;

use crate::{ApiToken, session::SessionToken};

/// One request or command.
pub struct Ctx {
    /// Request id and address, for the audit trail.
    pub origin: Origin,
    /// The proof of who asks. It is checked inside each use-case, against the
    /// database as it stands then.
    pub who: Who,
}

/// The proof of who asks.
pub enum Who {
    /// A browser's session.
    Session(SessionToken),
    /// A program, with an API token.
    Token(ApiToken),
    /// A command on the machine, run with the instance's key in hand.
    Operator {
        /// Name of the operating system's user.
        user: String,
        /// Name of the machine.
        host: String,
    },
}
