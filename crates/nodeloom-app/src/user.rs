//! The people of the instance: made, changed, kept out, let in again, deleted. Somebody always
//! stays who administers the instance, and each team that had an active ADMIN keeps one.

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    Email, FieldErrors, Timestamp, UserId,
    audit::AuditEvent,
    policy::{self, Action, Actor, Permit, Resource},
};
use nodeloom_store::{Tx, UserChanges, UserRow, UserState};
use serde::Serialize;

use crate::{App, AppError, Ctx, MyTeam, password, set_up::person_name};

/// Most people of one page.
const MAX_SIZE: u32 = 1_000;
/// Most characters of a search.
const MAX_SEARCH_CHARS: usize = 200;

/// A person, as an administrator of the instance sees them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// Their id.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// Whether they may sign in.
    pub active: bool,
    /// Whether they administer the instance.
    pub instance_admin: bool,
    /// Whether they may sign in by password where everybody else must use single sign-on.
    pub break_glass: bool,
    /// Whether they have a password.
    pub has_password: bool,
    /// Whether they have a second factor.
    pub has_second_factor: bool,
    /// The last sign-in.
    pub last_sign_in_at: Option<Timestamp>,
    /// When the record was made.
    pub created_at: Timestamp,
}

impl From<UserRow> for UserView {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            active: row.state == UserState::Active,
            instance_admin: row.instance_admin,
            break_glass: row.break_glass,
            has_password: !row.password_hash.is_empty(),
            has_second_factor: row.totp_generation.is_some(),
            last_sign_in_at: row.last_sign_in_at,
            created_at: row.created_at,
        }
    }
}

/// A person and their teams.
#[derive(Debug, Clone, Serialize)]
pub struct UserDetails {
    /// The person.
    #[serde(flatten)]
    pub user: UserView,
    /// Their teams, by name.
    pub teams: Vec<MyTeam>,
}

/// Whom to list.
#[derive(Debug)]
pub struct ListUsers {
    /// Part of the address or the name.
    pub search: Option<String>,
    /// Which page, from 0.
    pub page: u32,
    /// People a page, 1 to 1,000.
    pub size: u32,
}

/// One page.
#[derive(Debug)]
pub struct UserList {
    /// By address.
    pub items: Vec<UserView>,
    /// How many match on all pages.
    pub total: u64,
}

/// Somebody to make.
#[derive(Debug, Default)]
pub struct NewUser {
    /// Their address.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// Their password, 12 to 256 characters; without one they sign in by single sign-on alone.
    pub password: Option<Secret<String>>,
    /// Whether they administer the instance.
    pub instance_admin: bool,
}

/// What is to change of a person; nothing stays as it is.
#[derive(Debug, Default)]
pub struct UserChange {
    /// Their address.
    pub email: Option<String>,
    /// Given name; may be empty.
    pub first_name: Option<String>,
    /// Family name; may be empty.
    pub last_name: Option<String>,
    /// Whether they may sign in by password where everybody else must use single sign-on.
    pub break_glass: Option<bool>,
    /// Whether they administer the instance.
    pub instance_admin: Option<bool>,
}

impl UserChange {
    /// The actions that this change needs.
    fn actions(&self) -> Vec<Action> {
        let record = self.email.is_some()
            || self.first_name.is_some()
            || self.last_name.is_some()
            || self.break_glass.is_some();
        let mut actions = Vec::new();
        if record {
            actions.push(Action::UserUpdate);
        }
        if self.instance_admin.is_some() {
            actions.push(Action::InstanceGrant);
        }
        actions
    }
}

/// A write transaction about one person, who is held.
struct Work {
    tx: Tx,
    actor: Actor,
    user: UserRow,
    now: Timestamp,
}

impl App {
    /// A page of the people of the instance, by address.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but administrators of the instance and operators,
    /// [`AppError::Invalid`].
    pub async fn list_users(&self, ctx: &Ctx, list: ListUsers) -> Result<UserList, AppError> {
        self.may_manage(ctx, Action::UserRead).await?;
        let mut errors = FieldErrors::default();
        if !(1..=MAX_SIZE).contains(&list.size) {
            errors.push("size", "range", "must be from 1 to 1000");
        }
        let search = list.search.unwrap_or_default();
        if search.chars().take(MAX_SEARCH_CHARS + 1).count() > MAX_SEARCH_CHARS {
            errors.push("search", "too-long", "must have at most 200 characters");
        }
        errors.into_result()?;
        let size = u64::from(list.size);
        let (rows, total) = self
            .store()
            .list_users(&search, u64::from(list.page) * size, size)
            .await?;
        Ok(UserList {
            items: rows.into_iter().map(UserView::from).collect(),
            total,
        })
    }

    /// One person with their teams.
    ///
    /// # Errors
    /// As [`App::list_users`], and [`AppError::NotFound`].
    pub async fn user(&self, ctx: &Ctx, id: UserId) -> Result<UserDetails, AppError> {
        self.may_manage(ctx, Action::UserRead).await?;
        let row = self.store().find_user(id).await?;
        let user = row.ok_or(AppError::NotFound)?.into();
        let memberships = self.store().memberships_of(id).await?;
        let teams = memberships.into_iter().map(|m| MyTeam {
            team_id: m.team,
            team_name: m.team_name,
            role: m.role,
        });
        Ok(UserDetails {
            user,
            teams: teams.collect(),
        })
    }

    /// Makes a person, without a role in any team yet.
    ///
    /// # Errors
    /// [`AppError::Invalid`] names field and rule; [`AppError::EmailTaken`],
    /// [`AppError::Denied`].
    pub async fn create_user(&self, ctx: &Ctx, new: NewUser) -> Result<UserView, AppError> {
        let (create, grant) = (Action::UserCreate, Action::InstanceGrant);
        self.may_manage(ctx, create).await?;
        if new.instance_admin {
            self.may_manage(ctx, grant).await?;
        }
        let mut errors = FieldErrors::default();
        let email = parse_email(&mut errors, &new.email);
        let first_name = person_name(&mut errors, "firstName", &new.first_name);
        let last_name = person_name(&mut errors, "lastName", &new.last_name);
        if let Some(Err(refused)) = new
            .password
            .as_ref()
            .map(|p| password::check(p, &new.email))
        {
            errors.0.extend(refused.0);
        }
        errors.into_result()?;
        let email = email.ok_or_else(|| AppError::internal("an unchecked address"))?;
        let password_hash = match new.password {
            Some(password) => password::hash(password).await?,
            // No text hashes to it.
            None => String::new(),
        };
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, create, Resource::Instance, now)?;
        let mut row = UserRow {
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
        tx.insert_user(&permit, &row)
            .await
            .map_err(email_conflict)?;
        let mut events = vec![about(create, &row, &actor, ctx, now)];
        if new.instance_admin {
            let permit = policy::authorise(&actor, grant, Resource::Instance, now)?;
            tx.set_instance_admin(&permit, row.id, true, now).await?;
            row.instance_admin = true;
            events.push(about(grant, &row, &actor, ctx, now).with("instanceAdmin", true));
        }
        self.commit_all(tx, &events).await?;
        Ok(row.into())
    }

    /// Changes a person's record, or whether they administer the instance; whoever loses that
    /// is signed out. All of it happens, or nothing.
    ///
    /// # Errors
    /// [`AppError::LastAdmin`] where nobody would administer the instance,
    /// [`AppError::Invalid`], [`AppError::EmailTaken`], [`AppError::NotFound`],
    /// [`AppError::Denied`].
    pub async fn update_user(
        &self,
        ctx: &Ctx,
        id: UserId,
        change: UserChange,
    ) -> Result<UserView, AppError> {
        let actions = change.actions();
        if actions.is_empty() {
            return self.user(ctx, id).await.map(|details| details.user);
        }
        let mut work = self.work_on(ctx, &actions, id).await?;
        let mut events = Vec::new();
        if actions.contains(&Action::UserUpdate) {
            let permit = work.permit(Action::UserUpdate)?;
            let former = work.user.email.clone();
            let fields = work.change_record(&permit, &change).await?;
            let mut event = work.event(Action::UserUpdate, ctx).with("fields", fields);
            if former != work.user.email {
                event = event.with("formerEmail", former);
            }
            events.push(event);
        }
        if let Some(admin) = change.instance_admin {
            let permit = work.permit(Action::InstanceGrant)?;
            let former = work.user.instance_admin;
            let mut ended = 0;
            if former && !admin {
                work.require_other_instance_admin().await?;
                ended = work.end_sessions().await?;
            }
            work.tx
                .set_instance_admin(&permit, id, admin, work.now)
                .await?;
            work.user.instance_admin = admin;
            events.push(
                work.event(Action::InstanceGrant, ctx)
                    .with("instanceAdmin", admin)
                    .with("formerInstanceAdmin", former)
                    .with("endedSessions", ended),
            );
        }
        let view = work.user.into();
        self.commit_all(work.tx, &events).await?;
        Ok(view)
    }

    /// Keeps a person out: their sessions end and their API tokens stop at once, and the
    /// invitations that they made are revoked. Somebody who is kept out already stays so.
    ///
    /// # Errors
    /// [`AppError::LastAdmin`] for the last active administrator of the instance or of teams,
    /// which it names; [`AppError::NotFound`], [`AppError::Denied`].
    pub async fn deactivate_user(&self, ctx: &Ctx, id: UserId) -> Result<UserView, AppError> {
        let action = Action::UserDeactivate;
        let mut work = self.work_on(ctx, &[action], id).await?;
        if work.user.state == UserState::Active {
            work.require_others().await?;
        }
        self.set_state(ctx, work, action, UserState::Deactivated)
            .await
    }

    /// Lets a person in again: they sign in anew, and their API tokens work again.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Denied`].
    pub async fn reactivate_user(&self, ctx: &Ctx, id: UserId) -> Result<UserView, AppError> {
        let action = Action::UserReactivate;
        let work = self.work_on(ctx, &[action], id).await?;
        self.set_state(ctx, work, action, UserState::Active).await
    }

    async fn set_state(
        &self,
        ctx: &Ctx,
        mut work: Work,
        action: Action,
        state: UserState,
    ) -> Result<UserView, AppError> {
        if work.user.state == state {
            let view = work.user.into();
            work.tx.rollback().await?;
            return Ok(view);
        }
        let permit = work.permit(action)?;
        work.tx
            .set_user_state(&permit, work.user.id, state, work.now)
            .await?;
        // Also when somebody comes back: a sign-in that was under way when they were
        // deactivated may have left a session.
        let ended = work.end_sessions().await?;
        work.user.state = state;
        let event = work.event(action, ctx).with("endedSessions", ended);
        let view = work.user.into();
        self.commit(work.tx, &event).await?;
        Ok(view)
    }

    /// Deletes a person with everything that lets them in. What they made stays; what they
    /// own has no owner then. The audit trail keeps their address.
    ///
    /// # Errors
    /// As [`App::deactivate_user`].
    pub async fn delete_user(&self, ctx: &Ctx, id: UserId) -> Result<(), AppError> {
        let action = Action::UserDelete;
        let mut work = self.work_on(ctx, &[action], id).await?;
        if work.user.state == UserState::Active {
            work.require_others().await?;
        }
        let permit = work.permit(action)?;
        work.tx.delete_user(&permit, id, work.now).await?;
        let event = work.event(action, ctx);
        self.commit(work.tx, &event).await
    }

    async fn may_manage(&self, ctx: &Ctx, action: Action) -> Result<(), AppError> {
        let actor = self.actor(ctx).await?;
        self.allow(&actor, action, Resource::Instance, ctx, None, self.now())
            .await
    }

    /// One at a time in the whole instance: two who take the right from each other must not
    /// both count the other. The instance is held first, then the person, then teams.
    async fn work_on(&self, ctx: &Ctx, actions: &[Action], id: UserId) -> Result<Work, AppError> {
        for action in actions {
            self.may_manage(ctx, *action).await?;
        }
        let now = self.now();
        let mut tx = self.store().begin().await?;
        tx.lock_instance().await?;
        // After the lock: whoever was waited for may have taken the right away.
        let actor = self.actor_in(&mut tx, ctx).await?;
        for action in actions {
            let _permit = policy::authorise(&actor, *action, Resource::Instance, now)?;
        }
        let user = tx.lock_user(id).await?.ok_or(AppError::NotFound)?;
        Ok(Work {
            tx,
            actor,
            user,
            now,
        })
    }
}

impl Work {
    fn permit(&self, action: Action) -> Result<Permit, AppError> {
        let permit = policy::authorise(&self.actor, action, Resource::Instance, self.now)?;
        Ok(permit)
    }

    /// Writes the new record; returns the names of the fields that were named.
    async fn change_record(
        &mut self,
        permit: &Permit,
        change: &UserChange,
    ) -> Result<Vec<&'static str>, AppError> {
        let mut errors = FieldErrors::default();
        let mut fields = Vec::new();
        let email = change.email.as_deref().unwrap_or(&self.user.email);
        let email = parse_email(&mut errors, email);
        if change.email.is_some() {
            fields.push("email");
        }
        if let Some(first) = &change.first_name {
            fields.push("firstName");
            self.user.first_name = person_name(&mut errors, "firstName", first);
        }
        if let Some(last) = &change.last_name {
            fields.push("lastName");
            self.user.last_name = person_name(&mut errors, "lastName", last);
        }
        if let Some(break_glass) = change.break_glass {
            fields.push("breakGlass");
            self.user.break_glass = break_glass;
        }
        errors.into_result()?;
        let email = email.ok_or_else(|| AppError::internal("an unchecked address"))?;
        let changes = UserChanges {
            email: &email,
            first_name: &self.user.first_name,
            last_name: &self.user.last_name,
            break_glass: self.user.break_glass,
        };
        self.tx
            .update_user(permit, self.user.id, changes, self.now)
            .await
            .map_err(email_conflict)?;
        self.user.email = email.as_str().to_owned();
        Ok(fields)
    }

    /// Refuses where nobody but this person administers the instance.
    async fn require_other_instance_admin(&mut self) -> Result<(), AppError> {
        let needed = self.user.instance_admin && self.user.state == UserState::Active;
        if needed && self.tx.other_instance_admins(self.user.id).await? == 0 {
            return Err(AppError::LastAdmin {
                of: "the instance".into(),
            });
        }
        Ok(())
    }

    /// Refuses where the instance or a team has no other administrator.
    async fn require_others(&mut self) -> Result<(), AppError> {
        self.require_other_instance_admin().await?;
        let teams = self.tx.teams_that_need(self.user.id).await?;
        if teams.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = teams.iter().map(|name| format!("\"{name}\"")).collect();
        let word = if teams.len() == 1 { "team" } else { "teams" };
        Err(AppError::LastAdmin {
            of: format!("the {word} {}", names.join(", ")),
        })
    }

    async fn end_sessions(&mut self) -> Result<u64, AppError> {
        let keeper = policy::housekeeping();
        Ok(self.tx.delete_sessions_of(&keeper, self.user.id).await?)
    }

    fn event(&self, action: Action, ctx: &Ctx) -> AuditEvent {
        about(action, &self.user, &self.actor, ctx, self.now)
    }
}

fn about(action: Action, user: &UserRow, actor: &Actor, ctx: &Ctx, now: Timestamp) -> AuditEvent {
    AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin).on(
        "user",
        user.id.as_bytes(),
        user.email.clone(),
    )
}

/// A checked address; what is wrong with it goes to `errors`.
pub(crate) fn parse_email(errors: &mut FieldErrors, text: &str) -> Option<Email> {
    Email::parse(text)
        .map_err(|error| errors.push("email", error.rule(), error.to_string()))
        .ok()
}

pub(crate) fn email_conflict(error: nodeloom_store::StoreError) -> AppError {
    if error.is_duplicate_in("users") {
        AppError::EmailTaken
    } else {
        error.into()
    }
}
