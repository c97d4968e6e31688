//! From one root key to the next: every key gets a slot under the new one, in one transaction.

use nodeloom_crypto::{AuditKey, KeyId, Purpose};
use nodeloom_domain::{
    Clock,
    audit::{AuditEvent, Origin},
    policy::{self, Action, Resource},
};
use nodeloom_store::{ConflictKind, KeySlotRow, RootKeyRow, RootState, Store, StoreError, Tx};
use serde::Serialize;

use super::{
    HeldRoots,
    birth::system,
    roots::{Unwrapped, place},
};
use crate::{App, AppError, AuditSink, Ctx, KeyVerbRefusal};

/// Keys that are read at once.
const PAGE: u64 = 1_000;

/// What a rewrap has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rewrapped {
    /// Keys that got a slot under the current root key.
    pub rewrapped: u64,
    /// Keys that have no slot under any root key held here: locked before as after.
    pub not_held: u64,
    /// Keys whose slot is damaged. They open nowhere.
    pub damaged: u64,
}

/// Gives every key that lacks one a slot under the current root key, which becomes an active
/// root. Nothing is written when no key lacks one.
///
/// # Errors
/// [`AppError::RootRetired`] when the current root key was given up before; whatever the
/// database and the audit sink answer. Nothing was changed then.
pub(crate) async fn rewrap(
    store: &Store,
    roots: &HeldRoots,
    clock: &Clock,
    origin: &Origin,
    sink: Option<&AuditSink>,
) -> Result<Rewrapped, AppError> {
    let now = clock.now();
    let permit = policy::housekeeping();
    let current = roots.current();
    let mut tx = store.begin().await?;
    // One at a time: of two replicas that start with the same new key, the second finds
    // nothing to do.
    tx.lock_instance().await?;
    let known = tx.roots().await?;
    let is_new = match known.iter().find(|root| root.id == current.id()) {
        None => true,
        Some(root) if root.state == RootState::Active => false,
        Some(_) => {
            return Err(AppError::RootRetired { root: current.id() });
        }
    };
    if is_new {
        let row = RootKeyRow {
            id: current.id(),
            state: RootState::Active,
            first_seen: now,
            last_seen: now,
            wrapped: None,
        };
        match tx.insert_root(&permit, &row).await {
            Ok(()) => {}
            Err(StoreError::Conflict {
                kind: ConflictKind::Duplicate,
                ..
            }) => return Ok(Rewrapped::default()),
            Err(error) => return Err(error.into()),
        }
    }
    let done = add_missing_slots(&mut tx, roots, clock).await?;
    if done.rewrapped == 0 && !is_new {
        return Ok(done);
    }
    // The chain goes on under its own key, which the former root key opens as well.
    let chain = chain(&mut tx, roots).await?;
    let mut event = AuditEvent::new(now, system(), "key.rewrap", origin)
        .with("rootId", current.id().to_string())
        .with("keys", done.rewrapped);
    if let Some(previous) = roots.previous() {
        event = event.with("previousRootId", previous.id().to_string());
    }
    if done.not_held + done.damaged > 0 {
        event = event
            .with("notHeld", done.not_held)
            .with("damaged", done.damaged);
    }
    crate::audit::sink::commit_all(tx, &[event], &chain, sink).await?;
    Ok(done)
}

/// The slots alone, inside the caller's transaction.
pub(super) async fn add_missing_slots(
    tx: &mut Tx,
    roots: &HeldRoots,
    clock: &Clock,
) -> Result<Rewrapped, AppError> {
    let permit = policy::housekeeping();
    let current = roots.current();
    let now = clock.now();
    let mut done = Rewrapped::default();
    let mut after: Option<KeyId> = None;
    loop {
        let page = tx
            .wrapped_keys_page(Some(current.id()), after, PAGE)
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(done);
        };
        after = Some(last.id);
        let mut slots = Vec::with_capacity(page.len());
        for (key, held) in &page {
            match roots.unwrap(key, held) {
                Unwrapped::Opened(material) => slots.push(KeySlotRow {
                    data_key_id: key.id,
                    root_id: current.id(),
                    envelope: current.wrap_key(&place(key), &material)?,
                    created_at: now,
                }),
                Unwrapped::NotHeld => done.not_held += 1,
                Unwrapped::Damaged => {
                    tracing::error!(key.id = %key.id, "a wrapped data key does not open: its slot is damaged");
                    done.damaged += 1;
                }
            }
        }
        tx.insert_slots(&permit, &slots).await?;
        done.rewrapped += slots.len() as u64;
    }
}

/// The key of the audit chain, before the instance is open.
async fn chain(tx: &mut Tx, roots: &HeldRoots) -> Result<AuditKey, AppError> {
    let missing = || AppError::internal("the key of the audit chain does not open");
    let active = tx.active_data_key(None, Purpose::Audit).await?;
    let id = active.ok_or_else(missing)?.id;
    let (key, slots) = tx.key_with_slots(id).await?.ok_or_else(missing)?;
    match roots.unwrap(&key, &slots) {
        Unwrapped::Opened(material) => Ok(AuditKey::new(id, material)),
        Unwrapped::Damaged | Unwrapped::NotHeld => Err(missing()),
    }
}

impl App {
    /// Gives every key that lacks one a slot under the current root key, while the instance is
    /// open: keys that a replica on the former root key made a moment ago.
    ///
    /// # Errors
    /// [`AppError::Denied`]; [`AppError::KeyRefused`] when there is nothing to do.
    pub async fn rewrap_keys(&self, ctx: &Ctx) -> Result<Rewrapped, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::KeyRewrap, Resource::Instance);
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        tx.lock_instance().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let _permit = policy::authorise(&actor, action, instance, now)?;
        let done = add_missing_slots(&mut tx, self.keys().roots(), self.clock()).await?;
        if done.rewrapped == 0 {
            let root = self.keys().root_id();
            return Err(AppError::KeyRefused(KeyVerbRefusal::NothingToRewrap(root)));
        }
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .with("rootId", self.keys().root_id().to_string())
            .with("keys", done.rewrapped);
        self.commit(tx, &event).await?;
        Ok(done)
    }
}
