//! Invitations into a team, by a link that works once.

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    Email, FieldErrors, InvitationId, Role, TeamId, Timestamp, UserId,
    audit::{AuditEvent, Origin, Outcome},
    policy::{self, Action, Resource},
};
use nodeloom_store::{InvitationRow, MembershipRow, Tx, UserRow, UserState};
use serde::Serialize;

use crate::{
    App, AppError, Ctx, Me, SessionToken,
    keys::system,
    password,
    session::{Lifetime, actor_of, me, parse_token, random_secret, token_text},
    set_up::person_name,
    user::{email_conflict, parse_email},
};

const PREFIX: &str = "nlinv_";
const KIND: &str = "invitation";
const DAY_SECONDS: i64 = 24 * 60 * 60;
const DEFAULT_DAYS: u32 = 7;
const MAX_DAYS: u32 = 30;

/// Somebody to invite.
#[derive(Debug)]
pub struct NewInvitation {
    /// Their address.
    pub email: String,
    /// The role that they get.
    pub role: Role,
    /// How long the link works, 1 to 30 days; nothing: 7.
    pub expires_in_days: Option<u32>,
}

/// An invitation, without its code.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// Into which team.
    pub team_id: TeamId,
    /// For whom.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
    /// `open`, `accepted`, `revoked` or `expired`.
    pub state: &'static str,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An invitation that was just made.
#[derive(Debug)]
pub struct MadeInvitation {
    /// The code for the link: shown this once.
    pub code: Secret<String>,
    /// The invitation.
    pub view: InvitationView,
}

/// What has to happen before the invited is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvitedStep {
    /// Nobody has the address: choose a name and a password.
    NewAccount,
    /// The invited is signed in: join.
    Join,
    /// Somebody has the address and is not signed in here.
    SignIn,
    /// Somebody else is signed in here.
    OtherAccount,
}

/// What an invitation says to whoever holds its link.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invited {
    /// The team's name.
    pub team_name: String,
    /// The role that it gives.
    pub role: Role,
    /// For whom.
    pub email: String,
    /// Who made it.
    pub invited_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What has to happen next.
    pub next: InvitedStep,
}

/// Somebody who accepts, where nobody has the address yet.
#[derive(Debug)]
pub struct NewPerson {
    /// Their password, 12 to 256 characters; needed for a new account.
    pub password: Option<Secret<String>>,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
}

/// Somebody who joined.
#[derive(Debug)]
pub struct Joined {
    /// The text of a new session, where an account was made.
    pub token: Option<Secret<String>>,
    /// The person and their teams.
    pub me: Me,
}

impl App {
    /// The invitations of a team, newest first.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a team that is not the caller's to see, [`AppError::Denied`].
    pub async fn list_invitations(
        &self,
        ctx: &Ctx,
        team: TeamId,
    ) -> Result<Vec<InvitationView>, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, of) = (Action::InvitationRead, Resource::Team(team));
        self.allow(&actor, action, of, ctx, None, self.now())
            .await?;
        self.store()
            .find_team(team)
            .await?
            .ok_or(AppError::NotFound)?;
        let rows = self.store().invitations_of(team).await?;
        Ok(rows.into_iter().map(|row| self.view_of(row)).collect())
    }

    /// Invites somebody into a team. An open invitation of the same address into the team
    /// ends.
    ///
    /// # Errors
    /// [`AppError::Invalid`] names field and rule; [`AppError::NotFound`],
    /// [`AppError::Denied`].
    pub async fn create_invitation(
        &self,
        ctx: &Ctx,
        team: TeamId,
        new: NewInvitation,
    ) -> Result<MadeInvitation, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, of) = (Action::InvitationCreate, Resource::Team(team));
        self.allow(&actor, action, of, ctx, None, self.now())
            .await?;
        let mut errors = FieldErrors::default();
        let email = parse_email(&mut errors, &new.email);
        let days = new.expires_in_days.unwrap_or(DEFAULT_DAYS);
        if !(1..=MAX_DAYS).contains(&days) {
            errors.push("expiresInDays", "range", "must be from 1 to 30");
        }
        errors.into_result()?;
        let email = email.ok_or_else(|| AppError::internal("an unchecked address"))?;
        let secret = random_secret()?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        tx.lock_team(team).await?.ok_or(AppError::NotFound)?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, of, now)?;
        if let Some(user) = tx.find_user_by_email(&email).await?
            && tx.find_membership(team, user.id).await?.is_some()
        {
            let message = "is the address of a member of the team already";
            return Err(FieldErrors::one("email", "member", message).into());
        }
        let index = self.keys().index();
        let mut row = InvitationRow {
            id: InvitationId::generate(now),
            team_id: team,
            email: email.as_str().to_owned(),
            role: new.role,
            tag: [0; 32],
            index_key_id: index.id(),
            created_at: now,
            created_by: actor.user_id(),
            created_by_name: actor.audited().name,
            expires_at: now.plus_seconds(i64::from(days) * DAY_SECONDS),
            accepted_at: None,
            revoked_at: None,
        };
        // EXPOSE: goes into the HMAC and nowhere else.
        let secret_bytes = secret.expose();
        row.tag = index.tag(
            &kind(&row),
            row.id.as_bytes(),
            team.as_bytes(),
            secret_bytes,
        );
        tx.insert_invitation(&permit, &row).await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(team)
            .on("invitation", row.id.as_bytes(), row.email.clone())
            .with("role", row.role.as_str())
            .with("expiresAt", row.expires_at.to_string());
        self.commit(tx, &event).await?;
        Ok(MadeInvitation {
            code: token_text(PREFIX, row.id.as_bytes(), &secret),
            view: self.view_of(row),
        })
    }

    /// Takes an invitation back: its link stops at once.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an invitation that is not open any more, or of a team that
    /// is not the caller's to see; [`AppError::Denied`].
    pub async fn revoke_invitation(&self, ctx: &Ctx, id: InvitationId) -> Result<(), AppError> {
        let actor = self.actor(ctx).await?;
        let row = self.store().find_invitation(id).await?;
        let row = row.ok_or(AppError::NotFound)?;
        let (action, of) = (Action::InvitationRevoke, Resource::Team(row.team_id));
        self.allow(&actor, action, of, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, of, now)?;
        if !tx.revoke_invitation(&permit, row.team_id, id, now).await? {
            return Err(AppError::NotFound);
        }
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on("invitation", id.as_bytes(), row.email);
        self.commit(tx, &event).await
    }

    /// What an invitation says, to whoever holds its code. `session` is what the browser
    /// brought along.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `code`, alike for a code that is wrong, used, revoked or
    /// over; [`AppError::Throttled`] after too many of them.
    pub async fn read_invitation(
        &self,
        code: &str,
        session: Option<&SessionToken>,
        origin: &Origin,
    ) -> Result<Invited, AppError> {
        let row = self.open_invitation(code, origin).await?;
        let team = self.store().find_team(row.team_id).await?;
        let team = team.ok_or_else(spent)?;
        let email = stored_email(&row)?;
        let known = self.store().find_user_by_email(&email).await?;
        let here = self.signed_in_here(session).await?;
        let next = match (known.map(|user| user.id), here) {
            (None, _) => InvitedStep::NewAccount,
            (Some(invited), Some(here)) if invited == here => InvitedStep::Join,
            (Some(_), Some(_)) => InvitedStep::OtherAccount,
            (Some(_), None) => InvitedStep::SignIn,
        };
        Ok(Invited {
            team_name: team.name,
            role: row.role,
            email: row.email,
            invited_by: row.created_by_name,
            expires_at: row.expires_at,
            next,
        })
    }

    /// Accepts an invitation. Where nobody has its address, an account is made and signed in;
    /// otherwise the person must be signed in already, and joins.
    ///
    /// # Errors
    /// As [`App::read_invitation`]; [`AppError::Invalid`] also for name and password, and on
    /// `code` with the rule `sign-in`, `other-account`, `member` or `single-sign-on`.
    pub async fn accept_invitation(
        &self,
        code: &str,
        person: NewPerson,
        session: Option<&SessionToken>,
        origin: &Origin,
        user_agent: Option<&str>,
    ) -> Result<Joined, AppError> {
        let row = self.open_invitation(code, origin).await?;
        let email = stored_email(&row)?;
        match self.store().find_user_by_email(&email).await? {
            Some(user) => self.join(&row, user.id, session, origin).await,
            None => {
                self.join_anew(&row, &email, person, origin, user_agent)
                    .await
            }
        }
    }

    async fn join(
        &self,
        row: &InvitationRow,
        invited: UserId,
        session: Option<&SessionToken>,
        origin: &Origin,
    ) -> Result<Joined, AppError> {
        let refuse = |rule: &str, message: &str| FieldErrors::one("code", rule, message).into();
        let mut tx = self.store().begin().await?;
        self.use_up(&mut tx, row).await?;
        let found = match session {
            Some(token) => {
                let found = tx.session_with_user(token.id()).await?;
                self.known(token, found).ok().map(|(_, found)| found)
            }
            None => None,
        };
        let Some(found) = found else {
            let message = "is for somebody with an account: sign in, then accept";
            return Err(refuse("sign-in", message));
        };
        if found.user.id != invited {
            let message = "is for another address than the one that is signed in";
            return Err(refuse("other-account", message));
        }
        if found.memberships.iter().any(|m| m.team == row.team_id) {
            let message = "is into a team that you are a member of already";
            return Err(refuse("member", message));
        }
        let events = self.add(&mut tx, row, &found.user, origin).await?;
        let now_in = tx.session_with_user(found.session.id).await?;
        let now_in = now_in.ok_or(AppError::Unauthenticated)?;
        self.commit_all(tx, &events).await?;
        Ok(Joined {
            token: None,
            me: me(&now_in),
        })
    }

    async fn join_anew(
        &self,
        row: &InvitationRow,
        email: &Email,
        person: NewPerson,
        origin: &Origin,
        user_agent: Option<&str>,
    ) -> Result<Joined, AppError> {
        if self.is_password_off() {
            let message = "people sign in here by single sign-on: do that first, then open the \
                           link again";
            return Err(FieldErrors::one("code", "single-sign-on", message).into());
        }
        let mut errors = FieldErrors::default();
        let first_name = person_name(&mut errors, "firstName", &person.first_name);
        let last_name = person_name(&mut errors, "lastName", &person.last_name);
        match &person.password {
            None => errors.push("password", "required", "must be present for a new account"),
            Some(password) => {
                if let Err(refused) = password::check(password, email.as_str()) {
                    errors.0.extend(refused.0);
                }
            }
        }
        errors.into_result()?;
        let password = person.password;
        let password = password.ok_or_else(|| AppError::internal("an unchecked password"))?;
        let password_hash = password::hash(password).await?;
        let now = self.now();
        let user = UserRow {
            id: UserId::generate(now),
            email: email.as_str().to_owned(),
            first_name,
            last_name,
            password_hash,
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
        let mut tx = self.store().begin().await?;
        self.use_up(&mut tx, row).await?;
        let permit = policy::invited(row.team_id);
        tx.insert_user(&permit, &user)
            .await
            .map_err(email_conflict)?;
        let mut events = vec![
            AuditEvent::new(now, actor_of(&user), "user.create", origin)
                .on("user", user.id.as_bytes(), user.email.clone())
                .with("method", "invitation"),
        ];
        events.extend(self.add(&mut tx, row, &user, origin).await?);
        let own = policy::signed_in(user.id);
        tx.note_sign_in(&own, user.id, now).await?;
        let lifetime = Lifetime {
            created_at: now,
            authenticated_at: now,
        };
        let (token, me) = self
            .new_session(&mut tx, &own, user.id, lifetime, origin, user_agent)
            .await?;
        events.push(
            AuditEvent::new(now, actor_of(&user), "session.create", origin).on(
                "session",
                token.id().as_bytes(),
                "",
            ),
        );
        self.commit_all(tx, &events).await?;
        Ok(Joined {
            token: Some(token.text()),
            me,
        })
    }

    /// Marks the invitation as used, holding its team. Of two who come at once, one is through.
    async fn use_up(&self, tx: &mut Tx, row: &InvitationRow) -> Result<(), AppError> {
        tx.lock_team(row.team_id).await?.ok_or_else(spent)?;
        let permit = policy::invited(row.team_id);
        let first = tx.use_invitation(&permit, row.team_id, row.id, self.now());
        if first.await? { Ok(()) } else { Err(spent()) }
    }

    /// Puts the person into the team.
    async fn add(
        &self,
        tx: &mut Tx,
        row: &InvitationRow,
        user: &UserRow,
        origin: &Origin,
    ) -> Result<Vec<AuditEvent>, AppError> {
        let now = self.now();
        let membership = MembershipRow {
            user_id: user.id,
            team_id: row.team_id,
            role: row.role,
            created_at: now,
        };
        tx.insert_membership(&policy::invited(row.team_id), &membership)
            .await?;
        let event =
            |action| AuditEvent::new(now, actor_of(user), action, origin).in_team(row.team_id);
        Ok(vec![
            event(Action::InvitationAccept.as_str()).on(
                "invitation",
                row.id.as_bytes(),
                row.email.clone(),
            ),
            event("membership.create")
                .on("user", user.id.as_bytes(), user.email.clone())
                .with("role", row.role.as_str()),
        ])
    }

    async fn signed_in_here(
        &self,
        session: Option<&SessionToken>,
    ) -> Result<Option<UserId>, AppError> {
        let Some(token) = session else {
            return Ok(None);
        };
        let found = self.store().session_with_user(token.id()).await?;
        Ok(self
            .known(token, found)
            .ok()
            .map(|(_, found)| found.user.id))
    }

    /// The open invitation of this code. Every other code is answered alike, and counted.
    async fn open_invitation(
        &self,
        code: &str,
        origin: &Origin,
    ) -> Result<InvitationRow, AppError> {
        let attempt = self.visits(origin.address.as_deref()).failed;
        self.check_attempt(&attempt).await?;
        let parsed = parse_token(PREFIX, code.trim());
        let row = match &parsed {
            Some((id, _)) => self.store().find_invitation(*id).await?,
            None => None,
        };
        let is_genuine = |row: &InvitationRow| {
            let open = row.accepted_at.is_none() && row.revoked_at.is_none();
            let key = self.keys().index_key(row.index_key_id);
            let (Some((id, secret)), Some(key)) = (&parsed, key) else {
                return false;
            };
            // EXPOSE: goes into the HMAC and nowhere else.
            let secret = secret.expose();
            let team = row.team_id;
            open && self.now() < row.expires_at
                && key.verify(&kind(row), id.as_bytes(), team.as_bytes(), secret, &row.tag)
        };
        if let Some(row) = row.filter(is_genuine) {
            return Ok(row);
        }
        let now = self.now();
        let mut tx = self.store().begin().await?;
        self.count_failure(&mut tx, &attempt, now).await?;
        let action = Action::InvitationAccept.as_str();
        let event = AuditEvent::new(now, system(), action, origin).ended(Outcome::Refused);
        self.commit(tx, &event).await?;
        Err(spent())
    }

    fn view_of(&self, row: InvitationRow) -> InvitationView {
        let state = match (row.accepted_at, row.revoked_at) {
            (Some(_), _) => "accepted",
            (None, Some(_)) => "revoked",
            (None, None) if row.expires_at <= self.now() => "expired",
            (None, None) => "open",
        };
        InvitationView {
            id: row.id,
            team_id: row.team_id,
            email: row.email,
            role: row.role,
            state,
            created_by: row.created_by_name,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

/// The tag's kind holds all that the invitation gives, so that whoever can write the database
/// can neither widen nor re-address it. The address stands last: it may hold a slash.
fn kind(row: &InvitationRow) -> String {
    let expires = row.expires_at.as_micros();
    format!("{KIND}/{}/{expires}/{}", row.role, row.email)
}

fn stored_email(row: &InvitationRow) -> Result<Email, AppError> {
    Email::parse(&row.email).map_err(|_| AppError::internal("a stored address is none"))
}

fn spent() -> AppError {
    let message = "this link is wrong, used, revoked or over; ask for a new one";
    FieldErrors::one("code", "expired", message).into()
}
