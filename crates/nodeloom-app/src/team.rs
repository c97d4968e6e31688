//! Teams: each with a data key of its own, made with it and destroyed with it.

use nodeloom_crypto::Purpose;
use nodeloom_domain::{
    FieldErrors, Name, Role, TeamId, Timestamp,
    audit::AuditEvent,
    policy::{self, Action, Actor, Resource},
};
use nodeloom_store::{MembershipRow, StoreError, TeamRow};
use serde::Serialize;

use crate::{App, AppError, Ctx, keys::data_key};

/// A team, as lists show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamView {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<TeamRow> for TeamView {
    fn from(row: TeamRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            created_at: row.created_at,
        }
    }
}

/// What a deleted team took with it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamDeletion {
    /// The team.
    pub id: TeamId,
    /// Its name until now.
    pub name: String,
    /// Deleted credentials.
    pub credentials: u64,
    /// Deleted sealed values, older versions included.
    pub values: u64,
    /// Destroyed data keys.
    pub keys: u64,
    /// Memberships that ended.
    pub members: u64,
    /// Whether the database has also let go of the deleted bytes in its own files.
    pub scrubbed: bool,
    /// What the deletion cannot reach.
    pub notice: &'static str,
}

const NOTICE: &str = "Backups, WAL archives and replicas that are older than this still hold the \
     team's values and its wrapped keys, and still open under the root key, until they expire.";

impl App {
    /// The teams that the caller may know of: all for an operator and an administrator of
    /// the instance, one's own for a person, one for a token.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn list_teams(&self, ctx: &Ctx) -> Result<Vec<TeamView>, AppError> {
        let actor = self.actor(ctx).await?;
        let mut teams = self.store().list_teams().await?;
        if let Actor::User {
            instance_admin,
            memberships,
            token,
            ..
        } = &actor
        {
            let sees_all = *instance_admin && token.is_none();
            teams.retain(|team| {
                let own = memberships.iter().any(|m| m.team == team.id);
                let in_reach = token.as_ref().is_none_or(|token| token.team == team.id);
                sees_all || own && in_reach
            });
        }
        Ok(teams.into_iter().map(TeamView::from).collect())
    }

    /// One team.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a team that is not the caller's to see.
    pub async fn team(&self, ctx: &Ctx, id: TeamId) -> Result<TeamView, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::TeamRead, Resource::Team(id));
        self.allow(&actor, action, team, ctx, None, self.now())
            .await?;
        let row = self.store().find_team(id).await?;
        row.map(TeamView::from).ok_or(AppError::NotFound)
    }

    /// Makes a team with its data key. A person who makes one becomes its first ADMIN.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `name`, [`AppError::TeamNameTaken`], [`AppError::Denied`].
    pub async fn create_team(&self, ctx: &Ctx, name: &str) -> Result<TeamView, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::TeamCreate, Resource::Instance);
        self.allow(&actor, action, instance, ctx, Some(name), self.now())
            .await?;
        if let Some(before) = self.created_before(ctx, &actor, "team").await? {
            return self.created_team(TeamId::from_bytes(before)).await;
        }
        let name = parse_name(name)?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, instance, now)?;
        let row = TeamRow {
            id: TeamId::generate(now),
            name: name.as_str().to_owned(),
            created_at: now,
        };
        let id = *row.id.as_bytes();
        match self.note_created(&mut tx, ctx, &actor, "team", &id).await {
            Err(AppError::Repeated) => {
                tx.rollback().await?;
                let before = self.created_before(ctx, &actor, "team").await?;
                let before = before.ok_or(AppError::Repeated)?;
                return self.created_team(TeamId::from_bytes(before)).await;
            }
            noted => noted?,
        }
        tx.insert_team(&permit, &row)
            .await
            .map_err(|error| name_conflict(error, &row.name))?;
        let roots = self.keys().roots();
        data_key(&mut tx, roots, Some(row.id), Purpose::Seal, self.clock()).await?;
        let mut events = vec![
            AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
                .in_team(row.id)
                .on("team", row.id.as_bytes(), row.name.clone()),
        ];
        if let Actor::User { id, email, .. } = &actor {
            let membership = MembershipRow {
                user_id: *id,
                team_id: row.id,
                role: Role::Admin,
                created_at: now,
            };
            tx.insert_membership(&permit, &membership).await?;
            events.push(
                AuditEvent::new(now, actor.audited(), "member.grant", &ctx.origin)
                    .in_team(row.id)
                    .on("user", id.as_bytes(), email.clone())
                    .with("role", Role::Admin.as_str()),
            );
        }
        self.commit_all(tx, &events).await?;
        Ok(row.into())
    }

    /// What the same request created before, as it stands now.
    async fn created_team(&self, id: TeamId) -> Result<TeamView, AppError> {
        let row = self.store().find_team(id).await?;
        row.map(TeamView::from).ok_or_else(|| AppError::DoneBefore {
            what: "team",
            id: id.to_string(),
        })
    }

    /// Gives a team another name.
    ///
    /// # Errors
    /// As [`App::create_team`], and [`AppError::NotFound`].
    pub async fn rename_team(
        &self,
        ctx: &Ctx,
        id: TeamId,
        name: &str,
    ) -> Result<TeamView, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::TeamUpdate, Resource::Team(id));
        self.allow(&actor, action, team, ctx, Some(name), self.now())
            .await?;
        let name = parse_name(name)?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let row = tx.lock_team(id).await?.ok_or(AppError::NotFound)?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, team, now)?;
        tx.rename_team(&permit, id, name.as_str(), now)
            .await
            .map_err(|error| name_conflict(error, name.as_str()))?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(id)
            .on("team", id.as_bytes(), name.as_str())
            .with("formerName", row.name);
        self.commit(tx, &event).await?;
        Ok(TeamView {
            id,
            name: name.as_str().to_owned(),
            created_at: row.created_at,
        })
    }

    /// Deletes a team with everything in it and destroys its data keys. `confirm` is the
    /// team's name. The sessions of its members end.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `confirm`, [`AppError::LastTeam`], [`AppError::NotFound`],
    /// [`AppError::Denied`]; with any of them nothing was deleted.
    pub async fn delete_team(
        &self,
        ctx: &Ctx,
        id: TeamId,
        confirm: &str,
    ) -> Result<TeamDeletion, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::TeamDelete, Resource::Team(id));
        self.allow(&actor, action, team, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        // Two teams deleted at once must not both see the other as the one that stays.
        tx.lock_instance().await?;
        let row = tx.lock_team(id).await?.ok_or(AppError::NotFound)?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, team, now)?;
        if row.name != confirm {
            let message = "must be the team's name, exactly";
            return Err(FieldErrors::one("confirm", "match", message).into());
        }
        if tx.list_teams().await?.len() < 2 {
            return Err(AppError::LastTeam);
        }
        let gone = tx.delete_team(&permit, id, now).await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(id)
            .on("team", id.as_bytes(), row.name.clone())
            .with("credentials", gone.credentials)
            .with("values", gone.values)
            .with("keys", gone.keys)
            .with("members", gone.members);
        self.commit(tx, &event).await?;
        let keys = self.store().data_keys().await?;
        let of_team = keys.iter().filter(|key| key.team_id == Some(id));
        self.keys()
            .forget(&of_team.map(|key| key.id).collect::<Vec<_>>());
        // The deletion stands, whatever becomes of this.
        let scrubbed = self.store().scrub().await.unwrap_or_else(|error| {
            tracing::warn!(%error, team.id = %id, "deleted rows are still in the database's files");
            false
        });
        Ok(TeamDeletion {
            id,
            name: row.name,
            credentials: gone.credentials,
            values: gone.values,
            keys: gone.keys,
            members: gone.members,
            scrubbed,
            notice: NOTICE,
        })
    }
}

fn parse_name(text: &str) -> Result<Name, AppError> {
    let refused =
        |rule: &str, message: String| AppError::from(FieldErrors::one("name", rule, message));
    let name = Name::parse(text).map_err(|error| refused(error.rule(), error.to_string()))?;
    // A deleted team is called by its id; and commands take either.
    if name.as_str().parse::<TeamId>().is_ok() {
        return Err(refused(
            "not-an-id",
            "must not have the form of an id".into(),
        ));
    }
    Ok(name)
}

fn name_conflict(error: StoreError, name: &str) -> AppError {
    if error.is_duplicate_in("teams") {
        AppError::TeamNameTaken { name: name.into() }
    } else {
        error.into()
    }
}
