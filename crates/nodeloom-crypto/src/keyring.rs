//! Data keys, and the ring that picks exactly one of them by the id in the envelope.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::binding::Binding;
use crate::envelope;
use crate::error::{OpenError, SealError};
use crate::id::KeyId;
use crate::key_material::KeyMaterial;
use crate::secret::Secret;
use crate::xaes::{NONCE, XaesKey};

/// A random key that seals the values of one team.
///
/// Wiped on drop. `Debug` shows the id alone.
pub struct DataKey {
    id: KeyId,
    team: [u8; 16],
    key: XaesKey,
}

impl DataKey {
    /// The key `id` of `team` (16 bytes, [`INSTANCE`](crate::INSTANCE) for the instance).
    pub fn new(id: KeyId, team: [u8; 16], material: KeyMaterial) -> Self {
        // EXPOSE: the bytes become the cipher's key schedule.
        Self {
            id,
            team,
            key: XaesKey::new(material.expose()),
        }
    }

    /// The key's id, which stands in every envelope it seals.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The team whose values the key seals, 16 bytes.
    pub fn team(&self) -> &[u8; 16] {
        &self.team
    }

    /// Seals `plaintext` (0 bytes to 1 MiB) for the place `binding`.
    ///
    /// Returns an envelope, [`envelope::OVERHEAD`] bytes longer than the plaintext. Random:
    /// sealing twice gives different envelopes.
    ///
    /// # Errors
    /// [`SealError::TooLarge`], [`SealError::WrongTeam`] if the binding is of another team,
    /// [`SealError::InvalidName`] for a kind or field that is not a name, [`SealError::Random`].
    pub fn seal(&self, binding: &Binding, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        // Before a nonce is drawn, so that a refusal costs nothing.
        envelope::check_size(plaintext)?;
        self.seal_with_nonce(binding, &envelope::nonce()?, plaintext)
    }

    pub(crate) fn seal_with_nonce(
        &self,
        binding: &Binding,
        nonce: &[u8; NONCE],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        if *binding.team() != self.team {
            return Err(SealError::WrongTeam);
        }
        let header = envelope::header_bytes(self.id.as_bytes());
        if !binding.has_names() {
            return Err(SealError::InvalidName);
        }
        let associated = binding.associated_data(&header);
        envelope::seal_with_nonce(&self.key, &header, nonce, associated.as_bytes(), plaintext)
    }

    /// Opens an envelope that this key sealed for the place `binding`.
    ///
    /// # Errors
    /// In this order: [`OpenError::Malformed`] and [`OpenError::Unsupported`] as
    /// [`envelope::header`] gives them; [`OpenError::UnknownKey`] if the envelope names another
    /// key; [`OpenError::WrongTeam`] if the binding is of another team;
    /// [`OpenError::NotAuthentic`] if the envelope was changed or belongs elsewhere.
    pub fn open(&self, binding: &Binding, envelope: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let header = envelope::header(envelope)?;
        if header.key_id != *self.id.as_bytes() {
            return Err(envelope::unknown(&header));
        }
        self.open_selected(binding, &header, envelope)
    }

    /// Opens an envelope whose header names this key.
    fn open_selected(
        &self,
        binding: &Binding,
        header: &envelope::Header,
        envelope: &[u8],
    ) -> Result<Secret<Vec<u8>>, OpenError> {
        if *binding.team() != self.team {
            return Err(OpenError::WrongTeam);
        }
        // Nothing can have been sealed under a name that sealing refuses.
        if !binding.has_names() {
            return Err(OpenError::NotAuthentic);
        }
        let associated = binding.associated_data(&envelope::header_bytes(&header.key_id));
        envelope::open(&self.key, associated.as_bytes(), envelope)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, ..)", self.id)
    }
}

/// The data keys that a process holds.
///
/// A clone shares the keys, so a ring can be replaced as a whole while others still use the one
/// before. `Debug` shows ids alone.
#[derive(Clone, Default)]
pub struct KeyRing {
    keys: HashMap<u64, Arc<DataKey>, BuildHasherDefault<IdHasher>>,
}

/// Ids are random, so they serve as their own hash. Nobody can choose them to collide: a key is
/// here only if it was generated here or unwrapped from a slot that authenticates its id.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the ring's keys are numbers");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An id as the ring's map has it.
fn number(id: KeyId) -> u64 {
    u64::from_ne_bytes(*id.as_bytes())
}

impl KeyRing {
    /// An empty ring.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. Returns the key that had this id before, if there was one.
    pub fn insert(&mut self, key: DataKey) -> Option<Arc<DataKey>> {
        self.keys.insert(number(key.id()), Arc::new(key))
    }

    /// Takes a key out. It is wiped when the last user drops it.
    pub fn remove(&mut self, id: KeyId) -> Option<Arc<DataKey>> {
        self.keys.remove(&number(id))
    }

    /// The key of this id.
    pub fn get(&self, id: KeyId) -> Option<Arc<DataKey>> {
        self.keys.get(&number(id)).cloned()
    }

    /// Whether the ring holds a key of this id.
    pub fn contains(&self, id: KeyId) -> bool {
        self.keys.contains_key(&number(id))
    }

    /// How many keys the ring holds.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the ring holds no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Seals under the key `key`, as [`DataKey::seal`] does.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`] if the ring has no such key, and those of [`DataKey::seal`].
    pub fn seal(
        &self,
        key: KeyId,
        binding: &Binding,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.keys
            .get(&number(key))
            .ok_or(SealError::UnknownKey(key))?
            .seal(binding, plaintext)
    }

    /// Opens an envelope with the one key it names; no other key is ever tried.
    ///
    /// # Errors
    /// Those of [`DataKey::open`]; [`OpenError::UnknownKey`] if the ring has no such key.
    pub fn open(&self, binding: &Binding, envelope: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let header = envelope::header(envelope)?;
        let id = KeyId::from_bytes(header.key_id);
        let key = self
            .keys
            .get(&number(id))
            .ok_or(OpenError::UnknownKey(id))?;
        key.open_selected(binding, &header, envelope)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.keys.values().map(|key| key.id()))
            .finish()
    }
}
