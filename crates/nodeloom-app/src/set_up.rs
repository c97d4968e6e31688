//! The first administrator: from the settings, or by a one-time link. No default
//! password, no public registration.

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    Email, FieldErrors, Name, Role, SetupId, UserId,
    audit::{AuditEvent, Origin, Outcome},
    policy::{self, Permit},
};
use nodeloom_store::{MembershipRow, SetupCodeRow, Tx, UserRow, UserState};

use crate::{
    App, AppError, SignedIn,
    keys::system,
    password,
    session::{Lifetime, actor_of, parse_token, random_secret, token_text},
};

/// How long a set-up link works, in seconds.
const CODE_SECONDS: i64 = 60 * 60;
const PREFIX: &str = "nlsetup_";
const KIND: &str = "set-up";
/// A set-up code belongs to nobody yet.
const NOBODY: [u8; 16] = [0; 16];

/// Who the first administrator shall be.
#[derive(Debug)]
pub struct NewAdmin {
    /// Their address.
    pub email: String,
    /// Their password: 12 to 256 characters.
    pub password: Secret<String>,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
}

/// A checked [`NewAdmin`].
struct Accepted {
    email: Email,
    hash: String,
    first_name: String,
    last_name: String,
}

impl App {
    /// Whether nobody can sign in yet.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] without a database.
    pub async fn needs_set_up(&self) -> Result<bool, AppError> {
        Ok(self.store().count_users().await? == 0)
    }

    /// Makes the first administrator, who is also administrator of the instance and
    /// `ADMIN` of its first team.
    ///
    /// # Errors
    /// [`AppError::Invalid`] names field and rule; [`policy::Denied::AlreadySetUp`]
    /// when there is a user.
    pub async fn create_first_admin(
        &self,
        admin: NewAdmin,
        origin: &Origin,
    ) -> Result<(), AppError> {
        let accepted = accept(admin).await?;
        let mut tx = self.store().begin().await?;
        let permit = first_admin(&mut tx).await?;
        let (user, events) = self
            .insert_admin(&mut tx, &permit, accepted, origin)
            .await?;
        tracing::info!(user.id = %user.id, "the first administrator was made from the settings");
        self.commit_all(tx, &events).await
    }

    /// Makes a one-time code for the set-up link; it works for one hour, and any
    /// earlier one ends.
    ///
    /// # Errors
    /// [`policy::Denied::AlreadySetUp`] when there is a user.
    pub async fn issue_set_up_code(&self, origin: &Origin) -> Result<Secret<String>, AppError> {
        let now = self.now();
        let secret = random_secret()?;
        let id = SetupId::generate(now);
        let index = self.keys().index();
        let mut tx = self.store().begin().await?;
        let permit = first_admin(&mut tx).await?;
        tx.delete_setup_codes(&permit).await?;
        // EXPOSE: goes into the HMAC and nowhere else.
        let tag = index.tag(KIND, id.as_bytes(), &NOBODY, secret.expose());
        let row = SetupCodeRow {
            id,
            tag,
            index_key_id: index.id(),
            created_at: now,
            expires_at: now.plus_seconds(CODE_SECONDS),
            used_at: None,
        };
        tx.insert_setup_code(&permit, &row).await?;
        let event = AuditEvent::new(now, system(), "set-up-link.create", origin).on(
            "set-up-link",
            id.as_bytes(),
            "",
        );
        self.commit(tx, &event).await?;
        Ok(token_text(PREFIX, id.as_bytes(), &secret))
    }

    /// Makes the first administrator by a set-up code, and signs them in.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on the field `code` when it is wrong, used or older than
    /// an hour; otherwise as [`App::create_first_admin`].
    pub async fn redeem_set_up_code(
        &self,
        code: &str,
        admin: NewAdmin,
        origin: &Origin,
        user_agent: Option<&str>,
    ) -> Result<SignedIn, AppError> {
        let attempt = self.attempt("set-up", origin.address.as_deref());
        self.check_attempt(&attempt).await?;
        // The code first: whoever has none learns nothing about passwords.
        let genuine = self.find_code(code).await?;
        let Some(row) = genuine else {
            let now = self.now();
            let mut tx = self.store().begin().await?;
            self.count_failure(&mut tx, &attempt, now).await?;
            let event =
                AuditEvent::new(now, system(), "set-up-link.use", origin).ended(Outcome::Refused);
            self.commit(tx, &event).await?;
            // Whether there is an administrator is public; a new link would not come then.
            if !self.needs_set_up().await? {
                return Err(policy::Denied::AlreadySetUp.into());
            }
            return Err(FieldErrors::one(
                "code",
                "expired",
                "this link is wrong, used or older than an hour; restart nodeloom to get a new one",
            )
            .into());
        };
        let accepted = accept(admin).await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let permit = first_admin(&mut tx).await?;
        if !tx.use_setup_code(&permit, row.id, now).await? {
            return Err(FieldErrors::one("code", "used", "this link has just been used").into());
        }
        let (user, mut events) = self
            .insert_admin(&mut tx, &permit, accepted, origin)
            .await?;
        let lifetime = Lifetime {
            created_at: now,
            authenticated_at: now,
        };
        let own = policy::signed_in(user.id);
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
        Ok(SignedIn {
            token: token.text(),
            me,
        })
    }

    async fn find_code(&self, code: &str) -> Result<Option<SetupCodeRow>, AppError> {
        let Some((id, secret)) = parse_token(PREFIX, code.trim()) else {
            return Ok(None);
        };
        let id: SetupId = id;
        let row = self.store().find_setup_code(id).await?;
        Ok(row.filter(|row| {
            row.used_at.is_none()
                && self.now() < row.expires_at
                && self.keys().index_key(row.index_key_id).is_some_and(|key| {
                    // EXPOSE: goes into the HMAC and nowhere else.
                    key.verify(KIND, id.as_bytes(), &NOBODY, secret.expose(), &row.tag)
                })
        }))
    }

    async fn insert_admin(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        admin: Accepted,
        origin: &Origin,
    ) -> Result<(UserRow, Vec<AuditEvent>), AppError> {
        let now = self.now();
        let team = tx
            .list_teams()
            .await?
            .into_iter()
            .min_by_key(|team| (team.created_at, team.id))
            .ok_or_else(|| AppError::internal("the instance has no team"))?;
        let user = UserRow {
            id: UserId::generate(now),
            email: admin.email.as_str().to_owned(),
            first_name: admin.first_name,
            last_name: admin.last_name,
            password_hash: admin.hash,
            state: UserState::Active,
            instance_admin: true,
            created_at: now,
            updated_at: now,
            break_glass: true,
            password_changed_at: None,
            last_sign_in_at: None,
            totp_generation: None,
            totp_last_step: None,
        };
        tx.insert_user(permit, &user).await?;
        let membership = MembershipRow {
            user_id: user.id,
            team_id: team.id,
            role: Role::Admin,
            created_at: now,
        };
        tx.insert_membership(permit, &membership).await?;
        let events = vec![
            AuditEvent::new(now, system(), "user.create", origin)
                .on("user", user.id.as_bytes(), user.email.clone())
                .with("instanceAdmin", true),
            AuditEvent::new(now, system(), "membership.create", origin)
                .in_team(team.id)
                .on("user", user.id.as_bytes(), user.email.clone())
                .with("role", Role::Admin.as_str()),
        ];
        Ok((user, events))
    }
}

/// The permit of whoever comes first: on PostgreSQL two transactions could both count
/// nobody.
async fn first_admin(tx: &mut Tx) -> Result<Permit, AppError> {
    tx.lock_instance().await?;
    Ok(policy::first_admin(tx.count_users().await?)?)
}

/// Checks every field and hashes the password.
async fn accept(admin: NewAdmin) -> Result<Accepted, AppError> {
    let mut errors = FieldErrors::default();
    let email = Email::parse(&admin.email)
        .map_err(|error| errors.push("email", error.rule(), error.to_string()))
        .ok();
    if let Err(refused) = password::check(&admin.password, &admin.email) {
        errors.0.extend(refused.0);
    }
    let first_name = person_name(&mut errors, "firstName", &admin.first_name);
    let last_name = person_name(&mut errors, "lastName", &admin.last_name);
    errors.into_result()?;
    let email = email.ok_or_else(|| AppError::internal("an unchecked address"))?;
    Ok(Accepted {
        email,
        hash: password::hash(admin.password).await?,
        first_name,
        last_name,
    })
}

/// A part of a person's name, which may be empty.
pub(crate) fn person_name(errors: &mut FieldErrors, field: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    match Name::parse(text) {
        Ok(name) => name.as_str().to_owned(),
        Err(error) => {
            errors.push(field, error.rule(), error.to_string());
            String::new()
        }
    }
}
