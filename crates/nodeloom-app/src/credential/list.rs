//! Finding credentials. Nothing is decrypted here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodeloom_domain::{
    CredentialId, FieldErrors, TeamId, Timestamp,
    policy::{Action, Resource},
    search_terms, sort_key,
};
use nodeloom_store::{
    CredentialOrder, CredentialPlace, CredentialQuery, CredentialRow, CredentialSort,
};
use serde::Serialize;

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
    /// With this tag alone.
    pub tag: Option<String>,
    /// Whose names have a word that starts with each of these words.
    pub search: Option<String>,
    /// In which order.
    pub order: CredentialOrder,
    /// Only what comes behind the page that gave this: [`CredentialList::next`].
    pub cursor: Option<String>,
    /// Which page, from 0; of a search, or without a cursor.
    pub page: u32,
    /// Credentials a page, 1 to 1,000.
    pub size: u32,
}

impl ListCredentials {
    /// The first 200 credentials of a team by name.
    #[must_use]
    pub fn of(team: TeamId) -> Self {
        Self {
            team,
            kind: None,
            tag: None,
            search: None,
            order: CredentialOrder::default(),
            cursor: None,
            page: 0,
            size: 200,
        }
    }
}

/// One page.
#[derive(Debug)]
pub struct CredentialList {
    /// In the order that was asked for.
    pub items: Vec<CredentialView>,
    /// How many match on all pages.
    pub total: u64,
    /// Whether `total` was counted to the end; a broad search stops at 2,000.
    pub total_is_exact: bool,
    /// Leads to the next page, at the same cost however deep; nothing at the end and for a
    /// search, whose pages have numbers.
    pub next: Option<String>,
}

/// A tag of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagCount {
    /// In lower case, as it is found.
    pub tag: String,
    /// How many credentials have it.
    pub total: u64,
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
        let tag = list.tag.as_deref().map(|tag| sort_key(tag.trim()));
        if tag
            .as_ref()
            .is_some_and(|tag| tag.chars().count() > MAX_SEARCH_CHARS)
        {
            errors.push("tag", "too-long", "must have at most 200 characters");
        }
        let terms = search_terms(search);
        let mut after = None;
        if let Some(cursor) = &list.cursor {
            after = read_cursor(cursor, list.order);
            if !terms.is_empty() || list.page > 0 {
                let message = "goes with neither search nor page";
                errors.push("cursor", "conflict", message);
            } else if after.is_none() {
                let message = "must be one that a page of the same order gave";
                errors.push("cursor", "cursor", message);
            }
        }
        errors.into_result()?;
        let is_search = !terms.is_empty();
        let found = self
            .store()
            .list_credentials(&CredentialQuery {
                team: list.team,
                kind: list.kind,
                tag,
                terms,
                order: list.order,
                after,
                offset: u64::from(list.page) * u64::from(list.size),
                limit: u64::from(list.size),
            })
            .await?;
        let is_full = found.rows.len() == list.size as usize;
        let next = found
            .rows
            .last()
            .filter(|_| is_full && !is_search)
            .map(|row| write_cursor(row, list.order));
        Ok(CredentialList {
            items: found.rows.into_iter().map(Into::into).collect(),
            total: found.total,
            total_is_exact: found.total_is_exact,
            next,
        })
    }

    /// The tags of a team, at most 1,000, by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign team.
    pub async fn credential_tags(
        &self,
        ctx: &Ctx,
        team: TeamId,
    ) -> Result<Vec<TagCount>, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, of) = (Action::CredentialRead, Resource::Team(team));
        self.allow(&actor, action, of, ctx, None, self.now())
            .await?;
        let tags = self
            .store()
            .credential_tags(team, u64::from(MAX_SIZE))
            .await?;
        Ok(tags
            .into_iter()
            .map(|(tag, total)| TagCount { tag, total })
            .collect())
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

/// The place behind `row`, as text: order, time, id and sort key. Nothing secret is in it, and
/// whoever makes one up sees what they may list in any case.
fn write_cursor(row: &CredentialRow, order: CredentialOrder) -> String {
    let at = match order.by {
        CredentialSort::Updated => row.updated_at,
        CredentialSort::Created | CredentialSort::Name => row.created_at,
    };
    let key = match order.by {
        CredentialSort::Name => row.sort_key.as_str(),
        CredentialSort::Created | CredentialSort::Updated => "",
    };
    let text = format!("{}.{}.{}.{key}", word(order), at.as_micros(), row.id);
    URL_SAFE_NO_PAD.encode(text)
}

fn read_cursor(text: &str, order: CredentialOrder) -> Option<CredentialPlace> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut parts = text.splitn(4, '.');
    let (of, at, id, key) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if of != word(order) || key.contains('\0') {
        return None;
    }
    Some(CredentialPlace {
        sort_key: key.to_owned(),
        at: Timestamp::from_micros(at.parse().ok()?),
        id: id.parse().ok()?,
    })
}

const fn word(order: CredentialOrder) -> &'static str {
    match (order.by, order.descending) {
        (CredentialSort::Name, false) => "n",
        (CredentialSort::Name, true) => "N",
        (CredentialSort::Created, false) => "c",
        (CredentialSort::Created, true) => "C",
        (CredentialSort::Updated, false) => "u",
        (CredentialSort::Updated, true) => "U",
    }
}
