//! Finding credentials. Nothing is decrypted here.

use nodeloom_domain::{
    CredentialId, FieldErrors, TeamId,
    policy::{Action, Resource},
    search_terms,
};
use nodeloom_store::CredentialQuery;

use super::{CredentialView, find_kind};
use crate::{App, AppError, Ctx};

/// Most credentials of one page.
const MAX_SIZE: u32 = 1_000;
/// Most characters of a search.
const MAX_SEARCH_CHARS: usize = 200;

/// What to list.
#[derive(Debug)]
pub struct ListCredentials {
    /// Of this team.
    pub team: TeamId,
    /// Of this type alone.
    pub kind: Option<String>,
    /// Whose names have a word that starts with each of these words.
    pub search: Option<String>,
    /// Which page, from 0.
    pub page: u32,
    /// Credentials a page, 1 to 1,000.
    pub size: u32,
}

/// One page.
#[derive(Debug)]
pub struct CredentialList {
    /// By name, case aside.
    pub items: Vec<CredentialView>,
    /// How many match on all pages.
    pub total: u64,
    /// Whether `total` was counted to the end; a broad search stops at 2,000.
    pub total_is_exact: bool,
}

impl App {
    /// A page of a team's credentials.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign team, [`AppError::Invalid`].
    pub async fn list_credentials(
        &self,
        ctx: &Ctx,
        list: ListCredentials,
    ) -> Result<CredentialList, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::CredentialRead, Resource::Team(list.team));
        self.allow(&actor, action, team, ctx, None, self.now())
            .await?;
        let mut errors = FieldErrors::default();
        if !(1..=MAX_SIZE).contains(&list.size) {
            errors.push("size", "range", "must be from 1 to 1000");
        }
        if let Some(kind) = &list.kind
            && let Err(unknown) = find_kind(kind)
        {
            errors.0.extend(unknown.0);
        }
        let search = list.search.as_deref().unwrap_or_default();
        if search.chars().take(MAX_SEARCH_CHARS + 1).count() > MAX_SEARCH_CHARS {
            errors.push("search", "too-long", "must have at most 200 characters");
        }
        errors.into_result()?;
        let found = self
            .store()
            .list_credentials(&CredentialQuery {
                team: list.team,
                kind: list.kind,
                terms: search_terms(search),
                offset: u64::from(list.page) * u64::from(list.size),
                limit: u64::from(list.size),
            })
            .await?;
        Ok(CredentialList {
            items: found.rows.into_iter().map(Into::into).collect(),
            total: found.total,
            total_is_exact: found.total_is_exact,
        })
    }

    /// The metadata of one credential.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign id, alike.
    pub async fn credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
    ) -> Result<CredentialView, AppError> {
        let (row, _) = self.permitted(ctx, id, Action::CredentialRead).await?;
        Ok(row.into())
    }

    /// The credential of a team by its exact name, for commands.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when the team has none of that name.
    pub async fn find_credential_by_name(
        &self,
        ctx: &Ctx,
        team: TeamId,
        name: &str,
    ) -> Result<CredentialView, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team_of) = (Action::CredentialRead, Resource::Team(team));
        self.allow(&actor, action, team_of, ctx, None, self.now())
            .await?;
        let row = self.store().find_credential_by_name(team, name).await?;
        row.map(Into::into).ok_or(AppError::NotFound)
    }
}
