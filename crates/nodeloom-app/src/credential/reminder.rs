//! Mails about credentials that expire or should be rotated: 30, 7 and 1 days before the date,
//! and when it has passed.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    future::Future,
    pin::Pin,
};

use nodeloom_domain::{
    Role, TeamId, Timestamp,
    audit::{AuditEvent, Origin, Outcome},
    policy,
};
use nodeloom_store::{CredentialRow, Due, MemberRow, ReminderRow, UserState};

use super::KIND;
use crate::{App, AppError, keys::system};

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// How many days before its date a credential is reminded of, and back to which day of the past,
/// so that an instance that was off for long does not dig up old dates.
const STEPS: [(u32, i64, i64); 4] = [(0, -30, 0), (1, 0, 1), (7, 1, 7), (30, 7, 30)];
/// Most credentials of one step and run.
const AT_ONCE: u64 = 500;
const ACTION: &str = "credential.remind";

/// A mail in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The recipient's address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// Why a mail was not sent: a sentence without secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailError(pub String);

/// The future of a mail.
pub type Mailing<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Sends mails. Has limits of time of its own.
pub trait Mailer: Send + Sync {
    /// Hands one mail over.
    fn send(&self, mail: Mail) -> Mailing<'_>;
}

/// What a run of [`App::send_reminders`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemindersSent {
    /// Mails that were handed over.
    pub mails: usize,
    /// Dates that somebody was told of.
    pub reminders: usize,
    /// Dates whose mails all failed; the next run tries them again.
    pub failed: usize,
}

/// A date that this process is to tell of.
struct Taken {
    row: ReminderRow,
    credential: CredentialRow,
    /// What stands in the mails.
    line: String,
    recipients: Vec<String>,
    reached: bool,
}

/// The teams that a run has met.
#[derive(Default)]
struct Teams(BTreeMap<TeamId, (String, Vec<MemberRow>)>);

impl App {
    /// Tells of credentials by mail: the owner, or where there is none who may sign in and is a
    /// member, the administrators of the team. Each step of each date is told once, whatever the
    /// number of processes; a step that is missed is not made up for by several mails. A mail that
    /// cannot be sent is tried again at the next run. `base_url` is the address for browsers.
    ///
    /// # Errors
    /// As any write.
    pub async fn send_reminders(
        &self,
        mailer: &dyn Mailer,
        base_url: Option<&str>,
    ) -> Result<RemindersSent, AppError> {
        let mut taken = self.take_reminders().await?;
        let mut by_person: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, one) in taken.iter().enumerate() {
            for to in &one.recipients {
                by_person.entry(to.clone()).or_default().push(at);
            }
        }
        let mut sent = RemindersSent::default();
        for (to, items) in by_person {
            let lines: Vec<&str> = items.iter().map(|at| taken[*at].line.as_str()).collect();
            match mailer.send(letter(to, &lines, base_url)).await {
                Ok(()) => {
                    sent.mails += 1;
                    for at in items {
                        taken[at].reached = true;
                    }
                }
                Err(error) => tracing::warn!(%error, "a reminder was not sent"),
            }
        }
        for one in taken {
            if one.reached {
                sent.reminders += 1;
            } else {
                sent.failed += 1;
                self.give_back(&one).await?;
            }
        }
        Ok(sent)
    }

    /// The dates that nobody was told of yet, now this process's to tell.
    async fn take_reminders(&self) -> Result<Vec<Taken>, AppError> {
        let now = self.now();
        let mut teams = Teams::default();
        let mut taken = Vec::new();
        for due in [Due::Expiry, Due::Rotation] {
            for (days, from, to) in STEPS {
                let range = (
                    now.plus_seconds(from * DAY_SECONDS),
                    now.plus_seconds(to * DAY_SECONDS),
                );
                let rows = self.store().unreminded(due, days, range, AT_ONCE).await?;
                for credential in rows {
                    let one = self.take(&mut teams, credential, due, days, now).await?;
                    taken.extend(one);
                }
            }
        }
        Ok(taken)
    }

    async fn take(
        &self,
        teams: &mut Teams,
        credential: CredentialRow,
        due: Due,
        days: u32,
        now: Timestamp,
    ) -> Result<Option<Taken>, AppError> {
        let attributes = &credential.attributes;
        let date = match due {
            Due::Expiry => attributes.expires_at,
            Due::Rotation => attributes.rotate_by,
        };
        let Some(due_at) = date else {
            return Ok(None);
        };
        let (team, members) = teams.get(self, credential.team_id).await?;
        let recipients = recipients(&credential, members);
        if recipients.is_empty() {
            return Ok(None);
        }
        let line = line(&credential.name, team, due, due_at, now);
        let row = ReminderRow {
            credential: credential.id,
            due,
            due_at,
            days,
        };
        let mut tx = self.store().begin().await?;
        if !tx.take_reminder(&policy::housekeeping(), &row, now).await? {
            return Ok(None);
        }
        let event = event(&credential, &row, now).with("recipients", recipients.len() as u64);
        self.commit(tx, &event).await?;
        Ok(Some(Taken {
            row,
            credential,
            line,
            recipients,
            reached: false,
        }))
    }

    async fn give_back(&self, one: &Taken) -> Result<(), AppError> {
        let mut tx = self.store().begin().await?;
        tx.give_reminder_back(&policy::housekeeping(), &one.row)
            .await?;
        let event = event(&one.credential, &one.row, self.now()).ended(Outcome::Failed);
        self.commit(tx, &event).await
    }
}

impl Teams {
    /// Name and members of a team, read once.
    async fn get(&mut self, app: &App, id: TeamId) -> Result<(&str, &[MemberRow]), AppError> {
        let (name, members) = match self.0.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let team = app.store().find_team(id).await?;
                let members = app.store().members_of(id).await?;
                place.insert((team.map(|team| team.name).unwrap_or_default(), members))
            }
        };
        Ok((name, members))
    }
}

/// The owner's address, or those of the team's administrators.
fn recipients(credential: &CredentialRow, members: &[MemberRow]) -> Vec<String> {
    let active = || members.iter().filter(|m| m.state == UserState::Active);
    let owner = credential.attributes.owner_id;
    let owner = active().find(|member| Some(member.user_id) == owner);
    if let Some(owner) = owner {
        return vec![owner.email.clone()];
    }
    active()
        .filter(|member| member.role == Role::Admin)
        .map(|member| member.email.clone())
        .collect()
}

fn event(credential: &CredentialRow, row: &ReminderRow, now: Timestamp) -> AuditEvent {
    let origin = Origin {
        request_id: String::new(),
        address: None,
    };
    AuditEvent::new(now, system(), ACTION, &origin)
        .in_team(credential.team_id)
        .on(KIND, credential.id.as_bytes(), credential.name.clone())
        .with("due", row.due.as_str())
        .with("dueAt", row.due_at.to_string())
        .with("days", u64::from(row.days))
}

fn line(name: &str, team: &str, due: Due, at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let date = text.get(..10).unwrap_or(&text);
    let left = at.seconds_since(now);
    let when = match (left + DAY_SECONDS - 1) / DAY_SECONDS {
        _ if left <= 0 => String::new(),
        1 => " (in a day)".to_owned(),
        days => format!(" (in {days} days)"),
    };
    let what = match (due, left <= 0) {
        (Due::Expiry, true) => "expired on",
        (Due::Expiry, false) => "expires on",
        (Due::Rotation, true) => "should have been rotated by",
        (Due::Rotation, false) => "should be rotated by",
    };
    format!("- {name} (team {team}) {what} {date}{when}")
}

fn letter(to: String, lines: &[&str], base_url: Option<&str>) -> Mail {
    let subject = match lines.len() {
        1 => "nodeloom: a credential needs attention".to_owned(),
        n => format!("nodeloom: {n} credentials need attention"),
    };
    let place = base_url.map_or_else(String::new, |url| format!(" at {url}"));
    Mail {
        to,
        subject,
        text: format!(
            "These credentials{place} have a date to act by (UTC):\n\n{}\n\nReplace their values \
             and set new dates, and no further reminder comes. You get this as the owner of a \
             credential, or as an administrator of its team where it has none.\n",
            lines.join("\n")
        ),
    }
}
