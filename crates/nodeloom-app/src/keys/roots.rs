//! The root keys that a process holds.

use nodeloom_crypto::{INSTANCE, KeyBinding, KeyMaterial, RootId, RootKey};
use nodeloom_store::{DataKeyRow, KeySlotRow};

/// The root key that a process works under and, while it takes over, the one before it.
#[derive(Debug)]
pub struct HeldRoots {
    current: RootKey,
    previous: Option<RootKey>,
}

impl HeldRoots {
    /// `previous` is dropped when it is the same key as `current`.
    #[must_use]
    pub fn new(current: RootKey, previous: Option<RootKey>) -> Self {
        let previous = previous.filter(|previous| previous.id() != current.id());
        Self { current, previous }
    }

    /// The key to work under.
    #[must_use]
    pub const fn current(&self) -> &RootKey {
        &self.current
    }

    /// The key before it, where one is given.
    #[must_use]
    pub const fn previous(&self) -> Option<&RootKey> {
        self.previous.as_ref()
    }

    /// Both, the current one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Their ids, the current one first.
    #[must_use]
    pub fn ids(&self) -> Vec<RootId> {
        self.iter().map(RootKey::id).collect()
    }

    /// Opens a key by whichever of its slots is under a held root, the current one first.
    pub(crate) fn unwrap(&self, key: &DataKeyRow, slots: &[KeySlotRow]) -> Unwrapped {
        let mut found = Unwrapped::NotHeld;
        for root in self.iter() {
            let Some(slot) = slots.iter().find(|slot| slot.root_id == root.id()) else {
                continue;
            };
            match root.unwrap_key(&place(key), &slot.envelope) {
                Ok(material) => return Unwrapped::Opened(material),
                Err(_) => found = Unwrapped::Damaged,
            }
        }
        found
    }
}

impl From<RootKey> for HeldRoots {
    fn from(current: RootKey) -> Self {
        Self::new(current, None)
    }
}

/// What became of opening a key.
pub(crate) enum Unwrapped {
    /// The key.
    Opened(KeyMaterial),
    /// It has a slot under a held root, and the slot is malformed or not authentic.
    Damaged,
    /// It has no slot under a held root.
    NotHeld,
}

/// The place that a key is wrapped for.
pub(crate) fn place(key: &DataKeyRow) -> KeyBinding {
    KeyBinding {
        purpose: key.purpose,
        team: key.team_id.map_or(INSTANCE, |team| *team.as_bytes()),
        key: key.id,
    }
}
