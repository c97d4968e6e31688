//! Who asks, and from where: the first argument of every use-case.

use nodeloom_domain::audit::Origin;

use crate::{ApiToken, Once, session::SessionToken};

/// One request or command.
pub struct Ctx {
    /// Request id and address, for the audit trail.
    pub origin: Origin,
    /// The proof of who asks. It is checked inside each use-case, against the
    /// database as it stands then.
    pub who: Who,
    /// The key under which a create is done once, however often it is asked for.
    pub once: Option<Once>,
}

impl Ctx {
    /// One request or command.
    #[must_use]
    pub const fn new(origin: Origin, who: Who) -> Self {
        Self {
            origin,
            who,
            once: None,
        }
    }
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
