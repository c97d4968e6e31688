//! What people say about a credential, on the command line.

use clap::Args;
use nodeloom_app::{AttributeChange, CredentialView};
use nodeloom_domain::{TeamId, Timestamp};

use crate::command::{Session, failure};
use crate::output::{Failure, Outcome};

#[derive(Debug, Args)]
#[command(next_help_heading = "Attributes")]
pub(super) struct AttributeArgs {
    /// Who answers for it: the address of a member of the team; `none` for nobody
    #[arg(long, value_name = "EMAIL")]
    owner: Option<String>,
    /// Free text; empty for none
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// A label; all labels are replaced by those given, `--tag ''` removes them
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// A host that it may be sent to, such as api.example.com, *.example.com or db:5432; `--host ''`
    /// leaves it to its type
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Its values can be replaced and used, never shown, by nobody; cannot be taken back
    #[arg(long)]
    restricted: bool,
    /// When it stops to work, such as 2027-01-31; `never` for no date
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// When its values should have been replaced; `never` for no date
    #[arg(long, value_name = "TIME")]
    rotate_by: Option<String>,
}

impl AttributeArgs {
    pub(super) fn is_given(&self) -> bool {
        self.owner.is_some()
            || self.notes.is_some()
            || !self.tag.is_empty()
            || !self.host.is_empty()
            || self.restricted
            || self.expires.is_some()
            || self.rotate_by.is_some()
    }

    /// The change that the options ask for.
    pub(super) async fn change(&self, session: &Session, team: TeamId) -> Outcome<AttributeChange> {
        let list = |given: &[String]| {
            let kept: Vec<String> = given
                .iter()
                .filter(|text| !text.is_empty())
                .cloned()
                .collect();
            (!given.is_empty()).then_some(kept)
        };
        let owner = match self.owner.as_deref() {
            None => None,
            Some("none" | "") => Some(None),
            Some(email) => {
                let members = session
                    .app
                    .list_members(&session.ctx, team)
                    .await
                    .map_err(|error| failure("the members cannot be listed", error))?;
                let email = email.to_lowercase();
                let found = members.into_iter().find(|member| member.email == email);
                let member = found.ok_or_else(|| {
                    Failure::failed("the owner is no member of the team")
                        .next_step("see `nodeloom team members`")
                })?;
                Some(Some(member.user_id))
            }
        };
        Ok(AttributeChange {
            owner,
            notes: self.notes.clone(),
            tags: list(&self.tag),
            hosts: list(&self.host),
            restricted: self.restricted.then_some(true),
            expires_at: time("--expires", self.expires.as_deref())?,
            rotate_by: time("--rotate-by", self.rotate_by.as_deref())?,
        })
    }
}

fn time(option: &str, text: Option<&str>) -> Outcome<Option<Option<Timestamp>>> {
    match text {
        None => Ok(None),
        Some("never" | "") => Ok(Some(None)),
        Some(text) => text
            .parse()
            .map(|at| Some(Some(at)))
            .map_err(|error| Failure::usage(format!("{option} is {error}"))),
    }
}

/// The attributes that are set, for people.
pub(super) fn shown(view: &CredentialView) -> Vec<(&'static str, String)> {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let owner = view.owner_name.as_deref().unwrap_or_default().trim();
    let owner = match (owner, view.owner_id) {
        ("", Some(id)) => Some(id.to_string()),
        (name, _) => text(name),
    };
    let test = view.test_status.as_ref().map(|status| {
        let message = view.test_message.as_deref().unwrap_or_default();
        format!("{status}: {message}")
    });
    [
        ("owner", owner),
        ("tags", text(&view.tags.join(", "))),
        ("hosts", text(&view.hosts.join(", "))),
        (
            "restricted",
            view.restricted.then(|| "yes: never shown".to_owned()),
        ),
        ("expires", time(view.expires_at)),
        ("rotate by", time(view.rotate_by)),
        ("last used", time(view.last_used_at)),
        ("last tested", time(view.last_tested_at)),
        ("test", test),
        ("notes", text(&view.notes)),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, value?)))
    .collect()
}
