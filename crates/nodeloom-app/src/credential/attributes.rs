//! What people say about a credential: checked, and put into its row.

use nodeloom_domain::{
    FieldErrors, Timestamp, UserId,
    attributes::{parse_hosts, parse_notes, parse_tags},
};
use nodeloom_store::{CredentialAttributes, CredentialRow, Tx};

use crate::AppError;

/// Attributes to set; what is `None` stays as it is. The inner `None` clears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeChange {
    /// Who answers for it: an active member of the team.
    pub owner: Option<Option<UserId>>,
    /// Free text.
    pub notes: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// The only hosts it may be sent to.
    pub hosts: Option<Vec<String>>,
    /// Values can be replaced and never shown. Cannot be taken back.
    pub restricted: Option<bool>,
    /// When it stops to work.
    pub expires_at: Option<Option<Timestamp>>,
    /// When its values should have been replaced.
    pub rotate_by: Option<Option<Timestamp>>,
}

/// Attributes that passed their checks.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckedAttributes(AttributeChange);

impl AttributeChange {
    /// Checks every text; all refusals at once.
    pub(super) fn check(self) -> Result<CheckedAttributes, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut refuse = |refused: FieldErrors| errors.0.extend(refused.0);
        let notes = self
            .notes
            .map(|text| parse_notes(&text).map_err(&mut refuse));
        let tags = self.tags.map(|tags| parse_tags(&tags).map_err(&mut refuse));
        let hosts = self
            .hosts
            .map(|hosts| parse_hosts(&hosts).map_err(&mut refuse));
        errors.into_result()?;
        Ok(CheckedAttributes(Self {
            notes: notes.and_then(Result::ok),
            tags: tags.and_then(Result::ok),
            hosts: hosts.and_then(Result::ok),
            ..self
        }))
    }
}

impl CheckedAttributes {
    /// Puts the attributes into the row and names those that changed.
    ///
    /// # Errors
    /// [`AppError::Invalid`] when the owner is no active member of the team, or when a
    /// restriction would be taken back.
    pub(super) async fn apply(
        self,
        tx: &mut Tx,
        row: &mut CredentialRow,
    ) -> Result<Vec<&'static str>, AppError> {
        let change = self.0;
        if let Some(Some(owner)) = change.owner
            && !tx.is_active_member(owner, row.team_id).await?
        {
            let message = "must be an active member of the team";
            return Err(FieldErrors::one("ownerId", "member", message).into());
        }
        if change.restricted == Some(false) && row.attributes.restricted {
            let message = "cannot be taken back; store a new credential instead";
            return Err(FieldErrors::one("restricted", "final", message).into());
        }
        let mut changed = Vec::new();
        let said: &mut CredentialAttributes = &mut row.attributes;
        set(&mut said.owner_id, change.owner, "ownerId", &mut changed);
        set(&mut said.notes, change.notes, "notes", &mut changed);
        set(&mut said.tags, change.tags, "tags", &mut changed);
        set(&mut said.hosts, change.hosts, "hosts", &mut changed);
        set(
            &mut said.restricted,
            change.restricted,
            "restricted",
            &mut changed,
        );
        set(
            &mut said.expires_at,
            change.expires_at,
            "expiresAt",
            &mut changed,
        );
        set(
            &mut said.rotate_by,
            change.rotate_by,
            "rotateBy",
            &mut changed,
        );
        Ok(changed)
    }
}

fn set<T: PartialEq>(
    to: &mut T,
    new: Option<T>,
    name: &'static str,
    changed: &mut Vec<&'static str>,
) {
    if let Some(new) = new
        && new != *to
    {
        *to = new;
        changed.push(name);
    }
}
