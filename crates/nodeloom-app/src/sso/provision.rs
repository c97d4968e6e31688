//! From a verified identity to a person here: known, linked by address, or made.

use nodeloom_domain::{
    Email, Name, UserId,
    audit::{AuditEvent, Origin},
    policy,
};
use nodeloom_oauth::{SafeText, oidc::Identity};
use nodeloom_store::{MembershipRow, TeamRow, Tx, UserIdentityRow, UserRow, UserState};

use super::{SingleSignOnProblem as Problem, SingleSignOnRules};
use crate::{App, keys::system, session::actor_of};

/// The person that `identity` is, and the events of what had to be written for it.
pub(super) async fn person(
    app: &App,
    tx: &mut Tx,
    rules: &SingleSignOnRules,
    identity: &Identity,
    origin: &Origin,
) -> Result<(UserRow, Vec<AuditEvent>), Problem> {
    // What is no address here is nobody's, and the provider's word for it changes nothing.
    let email = Email::parse(&identity.email).map_err(|_| Problem::EmailNotVerified)?;
    if !is_allowed(rules, &email) {
        return Err(Problem::DomainNotAllowed);
    }
    let known = find(tx, identity).await?;
    if let Some(user) = known {
        return Ok((active(user)?, Vec::new()));
    }
    if tx.count_users().await? == 0 {
        // The first one in must be the administrator, by the set-up link.
        return Err(Problem::NotSetUp);
    }
    // Two first sign-ins at once: the second waits here, and finds what the first has made.
    tx.lock_instance().await?;
    if let Some(user) = find(tx, identity).await? {
        return Ok((active(user)?, Vec::new()));
    }
    let now = app.now();
    let (user, mut events) = match tx.find_user_by_email(&email).await? {
        Some(user) => {
            let user = active(user)?;
            // An address that the provider gave to somebody else does not give them the account.
            let is_linked = tx.has_identity_at(user.id, &identity.issuer).await?;
            if is_linked || !rules.link_by_email {
                return Err(Problem::NotLinked);
            }
            // The provider must not be able to give away the whole instance, nor the way in that
            // is kept for the day when the provider cannot be trusted.
            if (user.instance_admin || user.break_glass) && !rules.link_administrators {
                return Err(Problem::AdministratorNotLinked);
            }
            (user, Vec::new())
        }
        None => create(app, tx, rules, identity, &email, origin).await?,
    };
    let permit = policy::provisioned(user.id);
    let row = UserIdentityRow {
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        user_id: user.id,
        created_at: now,
    };
    tx.insert_user_identity(&permit, &row).await?;
    events.push(
        AuditEvent::new(now, actor_of(&user), "user.link", origin)
            .on("user", user.id.as_bytes(), user.email.clone())
            .with("issuer", identity.issuer.as_str())
            .with("subject", identity.subject.as_str()),
    );
    Ok((user, events))
}

async fn find(tx: &mut Tx, identity: &Identity) -> Result<Option<UserRow>, Problem> {
    let found = tx.find_user_by_identity(&identity.issuer, &identity.subject);
    Ok(found.await?)
}

fn active(user: UserRow) -> Result<UserRow, Problem> {
    match user.state {
        UserState::Active => Ok(user),
        _ => Err(Problem::Deactivated),
    }
}

fn is_allowed(rules: &SingleSignOnRules, email: &Email) -> bool {
    let domain = email.as_str().rsplit_once('@').map(|(_, domain)| domain);
    rules.allowed_domains.is_empty()
        || rules
            .allowed_domains
            .iter()
            .any(|allowed| Some(allowed.as_str()) == domain)
}

/// Makes an account without a password, with the default role in the default team.
async fn create(
    app: &App,
    tx: &mut Tx,
    rules: &SingleSignOnRules,
    identity: &Identity,
    email: &Email,
    origin: &Origin,
) -> Result<(UserRow, Vec<AuditEvent>), Problem> {
    let role = rules.default_role.ok_or(Problem::NoAccount)?;
    let team = default_team(tx, rules.default_team.as_deref()).await?;
    let now = app.now();
    let (first_name, last_name) = names(identity);
    let user = UserRow {
        id: UserId::generate(now),
        email: email.as_str().to_owned(),
        first_name,
        last_name,
        // No text hashes to it.
        password_hash: String::new(),
        state: UserState::Active,
        instance_admin: false,
        created_at: now,
        updated_at: now,
        break_glass: false,
        password_changed_at: None,
        last_sign_in_at: None,
        totp_generation: None,
        totp_last_step: None,
    };
    let permit = policy::provisioned(user.id);
    tx.insert_user(&permit, &user).await?;
    let membership = MembershipRow {
        user_id: user.id,
        team_id: team.id,
        role,
        created_at: now,
    };
    tx.insert_membership(&permit, &membership).await?;
    let about = |action| {
        AuditEvent::new(now, system(), action, origin).on(
            "user",
            user.id.as_bytes(),
            user.email.clone(),
        )
    };
    let events = vec![
        about("user.create").with("method", "oidc"),
        about("membership.create")
            .in_team(team.id)
            .with("role", role.as_str()),
    ];
    Ok((user, events))
}

/// The team that the setting names, by name or id; without one the oldest.
async fn default_team(tx: &mut Tx, named: Option<&str>) -> Result<TeamRow, Problem> {
    let mut teams = tx.list_teams().await?.into_iter();
    let found = match named {
        Some(text) => teams.find(|team| is_named(team, text)),
        None => teams.min_by_key(|team| (team.created_at, team.id)),
    };
    found.ok_or(Problem::NoTeam)
}

/// Whether a setting means this team.
pub(super) fn is_named(team: &TeamRow, named: &str) -> bool {
    team.name == named || team.id.to_string() == named
}

/// Given and family name; the whole name counts as given where the parts are absent.
fn names(identity: &Identity) -> (String, String) {
    let clean = |text: &Option<SafeText>| {
        text.as_ref()
            .and_then(|text| Name::parse(text.as_str()).ok())
            .map(|name| name.as_str().to_owned())
    };
    let (given, family) = (clean(&identity.given_name), clean(&identity.family_name));
    let given = match (given, &family) {
        (None, None) => clean(&identity.name),
        (given, _) => given,
    };
    (given.unwrap_or_default(), family.unwrap_or_default())
}
