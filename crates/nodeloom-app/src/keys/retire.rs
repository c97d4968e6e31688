//! Giving a root key up: only when every key opens without it, and nobody alive depends on it.

use nodeloom_crypto::{KeyId, RootId};
use nodeloom_domain::{
    audit::AuditEvent,
    policy::{self, Action, Resource},
};
use nodeloom_store::{ProcessRow, RootState, Tx};
use serde::Serialize;

use super::{process::live_since, rewrap::add_missing_slots, roots::place};
use crate::{App, AppError, Ctx, KeyVerbRefusal};

/// Keys that are read at once.
const PAGE: u64 = 1_000;

/// What giving a root key up has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retired {
    /// The root key that was given up.
    pub root_id: String,
    /// Keys that open under the current root key: all of them.
    pub keys: u64,
    /// Keys that got their slot under it just now.
    pub rewrapped: u64,
    /// Slots that were dropped.
    pub slots_dropped: u64,
    /// Live processes that hold the root key beside another one: remove
    /// `APP_ENCRYPTION_KEY_PREVIOUS` from their settings.
    pub still_held_by: Vec<String>,
}

impl App {
    /// Gives the root key `root` up. In one transaction: keys that lack a slot under the current
    /// root key get one (where this process holds both), every key is opened by that slot, and
    /// then the slots under `root` are dropped. Backups older than this open under `root` still.
    ///
    /// # Errors
    /// [`AppError::Denied`]; [`AppError::KeyRefused`], which says why.
    pub async fn retire_root(&self, ctx: &Ctx, root: RootId) -> Result<Retired, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::KeyRetire, Resource::Instance);
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let refuse = |why| Err(AppError::KeyRefused(why));
        let current = self.keys().root_id();
        if root == current {
            return refuse(KeyVerbRefusal::RootInUse(root));
        }
        let now = self.now();
        let mut tx = self.store().begin().await?;
        tx.lock_instance().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, instance, now)?;
        let known = tx.roots().await?;
        match known.iter().find(|row| row.id == root) {
            None => return refuse(KeyVerbRefusal::UnknownRoot(root)),
            Some(row) if row.state != RootState::Active => {
                return refuse(KeyVerbRefusal::AlreadyRetired(root));
            }
            Some(_) => {}
        }
        // From here on nobody makes a key under it; who did so a moment ago has committed.
        tx.retire_root(&permit, root).await?;
        let active: Vec<RootId> = tx.hold_active_roots().await?;
        if !active.contains(&current) {
            return Err(AppError::RootRetired { root: current });
        }
        let holders: Vec<ProcessRow> = tx
            .list_processes(live_since(now))
            .await?
            .into_iter()
            .filter(|process| process.roots.contains(&root))
            .collect();
        let (others, dependent): (Vec<_>, Vec<_>) = holders
            .iter()
            .partition(|process| process.roots.iter().any(|held| active.contains(held)));
        if !dependent.is_empty() {
            return refuse(KeyVerbRefusal::HeldByProcesses {
                root,
                processes: names(&dependent),
            });
        }
        let rewrapped = add_missing_slots(&mut tx, self.keys().roots(), self.clock())
            .await?
            .rewrapped;
        let (keys, lost) = self.open_all(&mut tx, root).await?;
        if !lost.is_empty() {
            let why = KeyVerbRefusal::KeysNotHeld {
                current,
                keys: lost,
            };
            return refuse(why);
        }
        let slots_dropped = tx.delete_slots_of_root(&permit, root).await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .with("rootId", root.to_string())
            .with("currentRootId", current.to_string())
            .with("keys", keys)
            .with("slotsDropped", slots_dropped);
        self.commit(tx, &event).await?;
        Ok(Retired {
            root_id: root.to_string(),
            keys,
            rewrapped,
            slots_dropped,
            still_held_by: names(&others),
        })
    }

    /// Opens every key by its slot under the current root key. A key that does not, and that
    /// has no slot under `leaving` either, loses nothing.
    async fn open_all(&self, tx: &mut Tx, leaving: RootId) -> Result<(u64, Vec<KeyId>), AppError> {
        let current = self.keys().roots().current();
        let (mut opened, mut lost, mut after) = (0, Vec::new(), None);
        loop {
            let page = tx.wrapped_keys_page(None, after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok((opened, lost));
            };
            after = Some(last.id);
            for (key, slots) in &page {
                let slot = slots.iter().find(|slot| slot.root_id == current.id());
                let opens = slot
                    .is_some_and(|slot| current.unwrap_key(&place(key), &slot.envelope).is_ok());
                if opens {
                    opened += 1;
                } else if slots.iter().any(|slot| slot.root_id == leaving) {
                    lost.push(key.id);
                }
            }
        }
    }
}

fn names(processes: &[&ProcessRow]) -> Vec<String> {
    processes
        .iter()
        .map(|process| format!("{} (process {})", process.host, process.pid))
        .collect()
}
