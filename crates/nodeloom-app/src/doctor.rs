//! Opens everything once and says what is wrong: values, chain, records.

use std::collections::{BTreeMap, HashMap, HashSet};

use nodeloom_crypto::{Binding, KeyId, envelope};
use nodeloom_domain::{
    CredentialId, TeamId, UserId,
    policy::{Action, Resource},
};
use nodeloom_store::{AuditRow, SealedRow, SealedState};
use serde::Serialize;

use crate::{
    App, AppError, AuditAnchor, AuditReport, Ctx, KeyStatus, SinkState,
    credential::{FIELD, KIND},
    keys::Unopened,
};

/// Values opened, and rows read, at a time.
const PAGE: u64 = 500;
/// Most findings of one kind that a report lists; all are counted.
const LISTED: usize = 1_000;

/// The state of an instance.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DoctorReport {
    /// Keys and the census of values.
    pub keys: KeyStatus,
    /// Sealed values that were opened and are good.
    pub values_good: u64,
    /// Sealed values that do not open.
    pub values_unopened: u64,
    /// The first 1,000 of them.
    pub unopened: Vec<UnopenedValue>,
    /// The check of the audit chain.
    pub audit: AuditReport,
    /// The second place that keeps the trail, if one is set.
    pub audit_sink: Option<SinkState>,
    /// Records that disagree with the audit trail or with their value, one sentence
    /// each; at most 1,000.
    pub findings: Vec<String>,
}

impl DoctorReport {
    /// Whether somebody should look into something.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        let sink_away = self.audit_sink.as_ref().is_some_and(|sink| !sink.reachable);
        self.values_unopened > 0 || !self.audit.intact || !self.findings.is_empty() || sink_away
    }
}

/// A sealed value that does not open, by its names.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnopenedValue {
    /// `credential` …
    pub kind: String,
    /// Id of the record it belongs to.
    pub owner_id: String,
    /// That record's name, where there is one.
    pub owner_name: Option<String>,
    /// Its team.
    pub team_id: TeamId,
    /// The sealed field.
    pub field: String,
    /// The version.
    pub generation: u64,
    /// The data key named by the row, 16 hex digits.
    pub key_id: String,
    /// `quarantined`: the value is damaged; `locked`: its key is not held.
    pub state: &'static str,
    /// Why.
    pub reason: String,
}

/// What the audit trail says that members and credentials should be.
#[derive(Default)]
struct Expected {
    generations: HashMap<CredentialId, u64>,
    homes: HashMap<CredentialId, TeamId>,
    deleted: HashSet<CredentialId>,
    roles: BTreeMap<(UserId, TeamId), String>,
    /// The beginning of the trail was removed: what it does not know may be older.
    is_pruned: bool,
}

impl App {
    /// Opens every sealed value, checks the audit chain, and compares members and
    /// current versions with what the trail says. `progress` hears how many values of
    /// how many are done.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but instance administrators and operators;
    /// [`AppError::Unavailable`]. What is wrong is in the report.
    pub async fn doctor(
        &self,
        ctx: &Ctx,
        anchors: &[AuditAnchor],
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<DoctorReport, AppError> {
        let actor = self.actor(ctx).await?;
        self.allow(
            &actor,
            Action::KeyStatus,
            Resource::Instance,
            ctx,
            None,
            self.now(),
        )
        .await?;
        let before = self.census_of_keys().await?;
        let total: u64 = before.census.iter().map(|line| line.count).sum();
        let (mut good, mut bad) = (0_u64, 0_u64);
        let mut unopened = Vec::new();
        let mut findings = Vec::new();
        let mut after = None;
        loop {
            let page = self.store().sealed_page(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in &page {
                match self.verify_value(ctx, row).await? {
                    None => {
                        good += 1;
                        if findings.len() < LISTED {
                            findings.extend(other_key(row));
                        }
                    }
                    Some(value) => {
                        bad += 1;
                        if unopened.len() < LISTED {
                            unopened.push(value);
                        }
                    }
                }
            }
            progress(good + bad, total.max(good + bad));
        }
        let audit = self.check_chain(anchors).await?;
        if audit.intact {
            // A trail that was tampered with is no witness against anything else.
            self.compare_with_trail(&mut findings).await?;
        }
        findings.truncate(LISTED);
        Ok(DoctorReport {
            // Read again: marks may have changed while values were opened.
            keys: self.census_of_keys().await?,
            values_good: good,
            values_unopened: bad,
            unopened,
            audit,
            audit_sink: self.probe_audit_sink().await?,
            findings,
        })
    }

    /// Opens one value where its columns say that it belongs. Only this verifier and
    /// the re-encryption may take a binding from there; that the record and its value
    /// agree is checked against the trail.
    async fn verify_value(
        &self,
        ctx: &Ctx,
        row: &SealedRow,
    ) -> Result<Option<UnopenedValue>, AppError> {
        let place = Binding::from_columns(
            *row.team_id.as_bytes(),
            &row.kind,
            row.owner_id,
            &row.field,
            row.generation,
        );
        let found = self
            .keys()
            .open(self.store(), &place, &row.envelope)
            .await?
            .map(|_plaintext| ());
        let changed = match found {
            Ok(()) => row.state != SealedState::Ok,
            Err(Unopened::Quarantined(_)) => row.state != SealedState::Quarantined,
            Err(Unopened::Locked) => false,
        };
        let owner = CredentialId::from_bytes(row.owner_id);
        if found.is_ok() && !changed {
            return Ok(None);
        }
        let name = if row.kind == KIND {
            self.store()
                .find_credential(owner)
                .await?
                .map(|credential| credential.name)
        } else {
            None
        };
        if changed {
            let shown = name.clone().unwrap_or_default();
            self.note_opening(ctx, row.team_id, &shown, row, found)
                .await?;
        }
        let Err(unopened) = found else {
            return Ok(None);
        };
        let (state, reason) = match unopened {
            Unopened::Quarantined(reason) => ("quarantined", reason),
            Unopened::Locked => ("locked", "its key is not held by this process"),
        };
        Ok(Some(UnopenedValue {
            kind: row.kind.clone(),
            owner_id: owner.to_string(),
            owner_name: name,
            team_id: row.team_id,
            field: row.field.clone(),
            generation: row.generation,
            key_id: row.key_id.to_string(),
            state,
            reason: reason.into(),
        }))
    }

    /// Replays the trail and holds the records against it: a generation that was set
    /// back, a credential nobody stored, a role nobody gave.
    async fn compare_with_trail(&self, findings: &mut Vec<String>) -> Result<(), AppError> {
        let expected = self.replay().await?;
        for (user, team, role) in self.store().all_memberships().await? {
            match expected.roles.get(&(user, team)) {
                Some(told) if *told == role.as_str() => {}
                Some(told) => findings.push(format!(
                    "user {user} is {role} in team {team}, the audit trail says {told}"
                )),
                None if expected.is_pruned => {}
                None => findings.push(format!(
                    "user {user} is {role} in team {team}, the audit trail knows no such membership"
                )),
            }
        }
        let is_pruned = expected.is_pruned;
        let (deleted, mut expected) = (expected.deleted, expected.generations);
        let mut after = None;
        loop {
            let page = self.store().current_values_page(after, FIELD, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in &page {
                let (id, at) = (row.id, row.generation);
                match expected.remove(&id) {
                    Some(told) if told == at => {}
                    Some(told) => findings.push(format!(
                        "credential {id} stands at generation {at}, the audit trail says {told}"
                    )),
                    None if is_pruned => {}
                    None => findings.push(format!(
                        "credential {id} was never stored, says the audit trail"
                    )),
                }
                match (row.is_deleted, deleted.contains(&id)) {
                    (false, true) => findings.push(format!(
                        "credential {id} is in use, the audit trail says that it is deleted"
                    )),
                    (true, false) if !is_pruned => findings.push(format!(
                        "credential {id} is deleted, and the audit trail has no deletion"
                    )),
                    _ => {}
                }
                if !row.has_value {
                    findings.push(format!("credential {id} has no value of generation {at}"));
                }
            }
        }
        for id in expected.keys().take(LISTED) {
            findings.push(format!(
                "credential {id} is gone, and the audit trail has no purge"
            ));
        }
        Ok(())
    }

    async fn replay(&self) -> Result<Expected, AppError> {
        let mut after = self.store().audit_start().await?;
        let mut expected = Expected {
            is_pruned: after > 0,
            ..Default::default()
        };
        loop {
            let page = self.store().audit_page(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(expected);
            };
            after = last.sequence;
            for row in page.iter().filter(|row| row.outcome == "success") {
                expected.hear(row);
            }
        }
    }
}

/// The census counts by column: a column that names another key than the envelope would
/// let a key go that a value still needs.
fn other_key(row: &SealedRow) -> Option<String> {
    let named = KeyId::from_bytes(envelope::header(&row.envelope).ok()?.key_id);
    (named != row.key_id).then(|| {
        format!(
            "{} {} has a value of generation {} under key {named}, recorded as of key {}",
            row.kind,
            CredentialId::from_bytes(row.owner_id),
            row.generation,
            row.key_id
        )
    })
}

impl Expected {
    fn hear(&mut self, row: &AuditRow) {
        let Some(target) = row.target_id.as_deref() else {
            return;
        };
        let detail: serde_json::Value = serde_json::from_str(&row.detail).unwrap_or_default();
        match row.action.as_str() {
            "credential.create" | "credential.update" => {
                if let (Ok(id), Some(generation)) = (
                    CredentialId::try_from(target),
                    detail["generation"].as_u64(),
                ) {
                    self.generations.insert(id, generation);
                    if let Some(team) = row.team_id {
                        self.homes.insert(id, team);
                    }
                }
            }
            "credential.delete" => {
                self.deleted.extend(CredentialId::try_from(target));
            }
            "credential.undelete" => {
                if let Ok(id) = CredentialId::try_from(target) {
                    self.deleted.remove(&id);
                }
            }
            "credential.purge" => {
                if let Ok(id) = CredentialId::try_from(target) {
                    self.generations.remove(&id);
                    self.deleted.remove(&id);
                }
            }
            "team.delete" => {
                self.roles.retain(|(_, team), _| Some(*team) != row.team_id);
                let homes = &self.homes;
                self.generations
                    .retain(|id, _| row.team_id.is_none() || homes.get(id).copied() != row.team_id);
            }
            "member.remove" => {
                if let (Ok(user), Some(team)) = (UserId::try_from(target), row.team_id) {
                    self.roles.remove(&(user, team));
                }
            }
            "user.delete" => {
                if let Ok(user) = UserId::try_from(target) {
                    self.roles.retain(|(member, _), _| *member != user);
                }
            }
            "membership.create" | "member.grant" => {
                if let (Ok(user), Some(team), Some(role)) = (
                    UserId::try_from(target),
                    row.team_id,
                    detail["role"].as_str(),
                ) {
                    self.roles.insert((user, team), role.to_owned());
                }
            }
            _ => {}
        }
    }
}
