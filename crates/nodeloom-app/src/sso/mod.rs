//! Single sign-on by OpenID Connect: a flow that begins and ends in one browser, and the rules by
//! which an identity becomes a person here.

mod begin;
mod finish;
mod flow;
mod provision;
mod return_to;

pub use begin::{BegunSingleSignOn, Proof};
pub use finish::FinishedSingleSignOn;

use nodeloom_domain::{Role, audit::Origin};
use nodeloom_oauth::oidc::{Client, OidcError};
use nodeloom_store::StoreError;

use crate::{App, AppError, SessionToken};

/// One identity provider, and who may come in through it.
#[derive(Debug)]
pub struct SingleSignOn {
    /// The client at the provider.
    pub client: Client,
    /// The rules.
    pub rules: SingleSignOnRules,
}

/// By which rules an identity becomes a person.
#[derive(Debug, Clone, Default)]
pub struct SingleSignOnRules {
    /// What the provider is called on the button.
    pub name: String,
    /// The role of somebody who has no account yet; nothing: such people are refused.
    pub default_role: Option<Role>,
    /// The team, by name or id, of somebody who has no account yet; nothing: the oldest team.
    pub default_team: Option<String>,
    /// The domains of e-mail addresses that may come in, in lower case; none: all.
    pub allowed_domains: Vec<String>,
    /// Whether an account with the verified address is taken over by its first sign-in here.
    pub link_by_email: bool,
    /// Whether that goes for administrators of the instance and break-glass accounts too.
    pub link_administrators: bool,
    /// Whether passwords are for break-glass accounts alone.
    pub only: bool,
}

/// Somebody at a browser.
#[derive(Default)]
pub struct Browser {
    /// Request id and address.
    pub origin: Origin,
    /// The session that the browser shows.
    pub session: Option<SessionToken>,
    /// What the browser says of itself.
    pub user_agent: Option<String>,
}

/// Why a single sign-on did not end in a session.
///
/// The texts are for the person at the browser.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SingleSignOnProblem {
    /// No provider is configured.
    #[error("single sign-on is not set up here")]
    Off,
    /// The cookie, the state or both are not those of a flow under way: it ended, is too old, was
    /// finished before, or belongs to another browser.
    #[error("this sign-in has ended, was used before, or began in another browser")]
    NoSuchFlow,
    /// The person said no at the provider, or the provider said no.
    #[error("the identity provider did not let you in")]
    AccessDenied,
    /// The provider's answer was refused, or there is none.
    #[error("the identity provider's answer cannot be used")]
    Provider(#[source] OidcError),
    /// The provider does not vouch for the e-mail address.
    #[error("the identity provider has not verified your e-mail address")]
    EmailNotVerified,
    /// The domain of the address is not on the list.
    #[error("addresses of this domain are not accepted here")]
    DomainNotAllowed,
    /// Nobody here has the address, and accounts are not made by themselves.
    #[error("there is no account here for your e-mail address")]
    NoAccount,
    /// Somebody has the address, and may not be taken over by it.
    #[error("the account with your e-mail address is not linked to this identity")]
    NotLinked,
    /// An administrator of the instance or a break-glass account has the address, and such
    /// accounts are not taken over by an address alone.
    #[error("an administrator's account is not linked by its e-mail address")]
    AdministratorNotLinked,
    /// The team that new people join does not exist.
    #[error("the team of OIDC_DEFAULT_TEAM does not exist")]
    NoTeam,
    /// The person was deactivated.
    #[error("your account is deactivated")]
    Deactivated,
    /// There is no administrator yet.
    #[error("this instance is not set up yet")]
    NotSetUp,
    /// Everything that is not special to single sign-on.
    #[error(transparent)]
    App(#[from] AppError),
}

impl From<StoreError> for SingleSignOnProblem {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

impl SingleSignOnProblem {
    /// A short word for the audit trail and for the page that explains it; never changed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NoSuchFlow => "no-such-flow",
            Self::AccessDenied => "access-denied",
            Self::Provider(OidcError::Unreachable(_)) => "provider-unreachable",
            Self::Provider(_) => "provider-answer",
            Self::EmailNotVerified => "email-not-verified",
            Self::DomainNotAllowed => "domain-not-allowed",
            Self::NoAccount => "no-account",
            Self::NotLinked => "not-linked",
            Self::AdministratorNotLinked => "administrator-not-linked",
            Self::NoTeam => "no-team",
            Self::Deactivated => "deactivated",
            Self::NotSetUp => "not-set-up",
            Self::App(AppError::Throttled { .. }) => "too-many-attempts",
            Self::App(_) => "failed",
        }
    }

    /// Whether it is held against the address that it came from.
    const fn counts_as_failure(&self) -> bool {
        // Changing one's mind is no attack, and an outage is not the visitor's doing.
        !matches!(
            self,
            Self::AccessDenied
                | Self::App(_)
                | Self::Off
                | Self::NotSetUp
                | Self::NoTeam
                | Self::Provider(OidcError::Unreachable(_))
        )
    }
}

impl App {
    /// Lets people in through an identity provider, from now on and for as long as this instance
    /// is open. The first call counts.
    pub fn use_single_sign_on(&self, single_sign_on: SingleSignOn) {
        self.set_single_sign_on(single_sign_on);
    }

    /// The rules of single sign-on; nothing where there is none.
    #[must_use]
    pub fn single_sign_on_rules(&self) -> Option<&SingleSignOnRules> {
        self.single_sign_on().map(|sso| &sso.rules)
    }

    /// Whether there is a team for new people: `false` when the one that the rules name does not
    /// exist, `true` when they name none.
    ///
    /// # Errors
    /// [`AppError`] when the database cannot be read.
    pub async fn has_default_team(&self) -> Result<bool, AppError> {
        let rules = self.single_sign_on_rules();
        let Some(named) = rules.and_then(|rules| rules.default_team.as_deref()) else {
            return Ok(true);
        };
        let teams = self.store().list_teams().await?;
        Ok(teams.iter().any(|team| provision::is_named(team, named)))
    }

    /// Whether passwords are for break-glass accounts alone.
    pub(crate) fn is_password_off(&self) -> bool {
        self.single_sign_on_rules().is_some_and(|rules| rules.only)
    }

    fn require_single_sign_on(&self) -> Result<&SingleSignOn, SingleSignOnProblem> {
        self.single_sign_on().ok_or(SingleSignOnProblem::Off)
    }
}
