//! The keys that a process holds: the root key, what it unwrapped, and the two
//! verbs that use-cases need, seal and open.

mod birth;
mod process;
mod retire;
mod rewrap;
mod roots;
mod status;

pub(crate) use birth::{data_key, instance as birth_instance, system};
pub(crate) use rewrap::rewrap;
pub(crate) use status::hex;

pub use process::LiveProcess;
pub use retire::Retired;
pub use rewrap::Rewrapped;
pub use roots::HeldRoots;
pub use status::{CensusLine, DataKeyStatus, KeyStatus, RootStatus};

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use nodeloom_crypto::{
    AuditKey, Binding, DataKey, INSTANCE, IndexKey, KeyId, KeyRing, OpenError, Purpose, RootId,
    Secret, SigningKey, envelope,
};
use nodeloom_domain::TeamId;
use nodeloom_store::{KeyState, KeyWithSlots, Store, Tx};

use crate::AppError;
use roots::Unwrapped;

/// Why a stored value does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// The envelope is malformed, unsupported, of a key that never was, or not
    /// authentic: it is the value that is wrong.
    Quarantined(&'static str),
    /// The key exists and this process does not hold it: the value may be fine.
    Locked,
}

impl From<Unopened> for AppError {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Quarantined(_) => Self::Quarantined,
            Unopened::Locked => Self::Locked,
        }
    }
}

/// Everything secret that stays in memory while a process runs.
pub(crate) struct Keys {
    roots: HeldRoots,
    /// Seal keys of teams and the instance, unwrapped when first needed.
    ring: RwLock<KeyRing>,
    index: BTreeMap<KeyId, IndexKey>,
    active_index: KeyId,
    audit: BTreeMap<KeyId, AuditKey>,
    active_audit: KeyId,
    signing: SigningKey,
}

impl Keys {
    /// Unwraps the instance's index, audit and signing keys.
    pub(crate) async fn load(store: &Store, roots: HeldRoots) -> Result<Self, AppError> {
        let mut index = BTreeMap::new();
        let mut audit = BTreeMap::new();
        let mut signing = None;
        let (mut active_index, mut active_audit) = (None, None);
        for row in store.data_keys().await? {
            if row.team_id.is_some() || row.purpose == Purpose::Seal {
                continue;
            }
            let slots = store.slots_of(row.id).await?;
            let material = match roots.unwrap(&row, &slots) {
                Unwrapped::Opened(material) => material,
                Unwrapped::NotHeld => continue,
                Unwrapped::Damaged => {
                    return Err(AppError::internal("a key of the instance does not open"));
                }
            };
            let active = row.state == KeyState::Active;
            match row.purpose {
                Purpose::Index => {
                    index.insert(row.id, IndexKey::new(row.id, material));
                    active_index = active.then_some(row.id).or(active_index);
                }
                Purpose::Audit => {
                    audit.insert(row.id, AuditKey::new(row.id, material));
                    active_audit = active.then_some(row.id).or(active_audit);
                }
                Purpose::Sign if active => signing = Some(SigningKey::new(row.id, material)),
                _ => {}
            }
        }
        let missing =
            || AppError::internal("the instance has no active index, audit or signing key");
        Ok(Self {
            roots,
            ring: RwLock::new(KeyRing::new()),
            active_index: active_index.ok_or_else(missing)?,
            index,
            active_audit: active_audit.ok_or_else(missing)?,
            audit,
            signing: signing.ok_or_else(missing)?,
        })
    }

    pub(crate) fn root_id(&self) -> RootId {
        self.roots.current().id()
    }

    pub(crate) const fn roots(&self) -> &HeldRoots {
        &self.roots
    }

    /// Drops the keys of a team that is gone.
    pub(crate) fn forget(&self, ids: &[KeyId]) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            ring.remove(*id);
        }
    }

    /// The key that new tags are made with.
    pub(crate) fn index(&self) -> &IndexKey {
        self.index
            .get(&self.active_index)
            .expect("load() found the active key in this map")
    }

    /// The key that an existing tag names.
    pub(crate) fn index_key(&self, id: KeyId) -> Option<&IndexKey> {
        self.index.get(&id)
    }

    /// The key that the audit chain goes on with.
    pub(crate) fn audit(&self) -> &AuditKey {
        self.audit
            .get(&self.active_audit)
            .expect("load() found the active key in this map")
    }

    /// The key that a segment of the chain names, if it is held.
    pub(crate) fn audit_key(&self, id: KeyId) -> Option<&AuditKey> {
        self.audit.get(&id)
    }

    pub(crate) const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Seals `plaintext` under the active key of `team`, as the transaction sees it:
    /// a process with an old view cannot write under a key that is going away.
    pub(crate) async fn seal(
        &self,
        tx: &mut Tx,
        team: TeamId,
        binding: &Binding,
        plaintext: &[u8],
    ) -> Result<(KeyId, Vec<u8>), AppError> {
        self.seal_under(tx, Some(team), binding, plaintext).await
    }

    /// As [`Keys::seal`], for a value of the instance itself.
    pub(crate) async fn seal_for_instance(
        &self,
        tx: &mut Tx,
        binding: &Binding,
        plaintext: &[u8],
    ) -> Result<(KeyId, Vec<u8>), AppError> {
        self.seal_under(tx, None, binding, plaintext).await
    }

    async fn seal_under(
        &self,
        tx: &mut Tx,
        team: Option<TeamId>,
        binding: &Binding,
        plaintext: &[u8],
    ) -> Result<(KeyId, Vec<u8>), AppError> {
        let row = tx
            .active_data_key(team, Purpose::Seal)
            .await?
            .ok_or_else(|| AppError::internal("there is no active data key"))?;
        let key = match self.held(row.id) {
            Some(key) => key,
            None => {
                let found = tx.key_with_slots(row.id).await?;
                self.admit(row.id, found)?.map_err(AppError::from)?
            }
        };
        Ok((row.id, key.seal(binding, plaintext)?))
    }

    /// Opens an envelope with the one key that it names.
    ///
    /// The outer error is the database's, the inner one the value's.
    pub(crate) async fn open(
        &self,
        store: &Store,
        binding: &Binding,
        sealed: &[u8],
    ) -> Result<Result<Secret<Vec<u8>>, Unopened>, AppError> {
        let key = match self.named(sealed) {
            Ok((_, Some(key))) => key,
            Ok((id, None)) => match self.admit(id, store.key_with_slots(id).await?)? {
                Ok(key) => key,
                Err(unopened) => return Ok(Err(unopened)),
            },
            Err(unopened) => return Ok(Err(unopened)),
        };
        Ok(open_with(&key, binding, sealed))
    }

    /// As [`Keys::open`], inside a transaction. Whoever holds one must not wait for a
    /// second connection: when every connection waits so, none ever becomes free.
    pub(crate) async fn open_in(
        &self,
        tx: &mut Tx,
        binding: &Binding,
        sealed: &[u8],
    ) -> Result<Result<Secret<Vec<u8>>, Unopened>, AppError> {
        let key = match self.named(sealed) {
            Ok((_, Some(key))) => key,
            Ok((id, None)) => match self.admit(id, tx.key_with_slots(id).await?)? {
                Ok(key) => key,
                Err(unopened) => return Ok(Err(unopened)),
            },
            Err(unopened) => return Ok(Err(unopened)),
        };
        Ok(open_with(&key, binding, sealed))
    }

    /// The key id that an envelope names, and that key if it is in the ring.
    fn named(&self, sealed: &[u8]) -> Result<(KeyId, Option<Arc<DataKey>>), Unopened> {
        let header = envelope::header(sealed).map_err(refusal)?;
        let id = KeyId::from_bytes(header.key_id);
        Ok((id, self.held(id)))
    }

    fn held(&self, id: KeyId) -> Option<Arc<DataKey>> {
        // A poisoned lock means a panic while a key was put in: the map itself is whole.
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
    }

    /// Unwraps and keeps one seal key, as it was read.
    fn admit(
        &self,
        id: KeyId,
        found: Option<KeyWithSlots>,
    ) -> Result<Result<Arc<DataKey>, Unopened>, AppError> {
        let Some((row, slots)) = found else {
            return Ok(Err(Unopened::Quarantined("its key id belongs to no key")));
        };
        if row.purpose != Purpose::Seal {
            return Ok(Err(Unopened::Quarantined(
                "its key id belongs to a key that seals nothing",
            )));
        }
        let material = match self.roots.unwrap(&row, &slots) {
            Unwrapped::Opened(material) => material,
            Unwrapped::NotHeld => return Ok(Err(Unopened::Locked)),
            Unwrapped::Damaged => {
                tracing::error!(key.id = %id, "a wrapped data key does not open: its slot is damaged");
                return Ok(Err(Unopened::Locked));
            }
        };
        let team = row.team_id.map_or(INSTANCE, |team| *team.as_bytes());
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = ring.get(id) {
            return Ok(Ok(key));
        }
        ring.insert(DataKey::new(id, team, material));
        ring.get(id)
            .map(Ok)
            .ok_or_else(|| AppError::internal("a key just inserted is absent"))
    }
}

fn open_with(key: &DataKey, binding: &Binding, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Unopened> {
    key.open(binding, sealed).map_err(refusal)
}

const fn refusal(error: OpenError) -> Unopened {
    Unopened::Quarantined(match error {
        OpenError::Unsupported { .. } => "unsupported format or suite",
        OpenError::Malformed { .. } => "malformed envelope",
        _ => "not authentic in its place",
    })
}
