//! Where a sealed value or a wrapped key belongs. Encoded, it is the associated data of the cipher.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::envelope::HEADER;
use crate::id::KeyId;

/// The team id of what belongs to the instance and not to a team: 16 zero bytes.
pub const INSTANCE: [u8; 16] = [0; 16];

/// The most bytes that a kind or field name may have.
pub(crate) const MAX_NAME: usize = 64;

/// The place that a sealed value was made for: team, kind, owner, field and generation.
///
/// A value opens only with the binding it was sealed with. So the binding is made from the record
/// being served, and **never from the columns of `sealed_values`**: whoever can write that table
/// could otherwise point one credential at the value of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binding {
    team: [u8; 16],
    kind: Cow<'static, str>,
    owner: [u8; 16],
    field: Cow<'static, str>,
    generation: u64,
}

impl Binding {
    /// The place of a value that belongs to a record at hand.
    ///
    /// `team` (16 bytes, [`INSTANCE`] for the instance), `owner` (16 bytes) and `generation`
    /// (a version number, from 1) come from the record; `kind` and `field` are constants of the
    /// call site, which is why they are `'static`: 1 to 64 printable ASCII characters without
    /// space, else sealing fails with [`SealError::InvalidName`](crate::SealError::InvalidName).
    pub fn of_record(
        team: [u8; 16],
        kind: &'static str,
        owner: [u8; 16],
        field: &'static str,
        generation: u64,
    ) -> Self {
        Self {
            team,
            kind: Cow::Borrowed(kind),
            owner,
            field: Cow::Borrowed(field),
            generation,
        }
    }

    /// The place that a row of `sealed_values` claims for itself.
    ///
    /// Only for the re-encrypt job, which seals the value again for the same place, and for the
    /// verifier, which reports whether it opens. Serving a value opened this way would hand the
    /// choice of value to whoever can write the table.
    pub fn from_columns(
        team: [u8; 16],
        kind: &str,
        owner: [u8; 16],
        field: &str,
        generation: u64,
    ) -> Self {
        Self {
            team,
            kind: Cow::Owned(kind.to_owned()),
            owner,
            field: Cow::Owned(field.to_owned()),
            generation,
        }
    }

    /// The team's id, 16 bytes; [`INSTANCE`] if the value belongs to the instance.
    pub fn team(&self) -> &[u8; 16] {
        &self.team
    }

    /// What sort of record owns the value, such as `credential`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The owning record's id, 16 bytes.
    pub fn owner(&self) -> &[u8; 16] {
        &self.owner
    }

    /// Which of the record's values this is, such as `data`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The version number, from 1, that the record counts and never reuses.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether kind and field are names. If not, nothing is sealed or opened for this place.
    pub(crate) fn has_names(&self) -> bool {
        is_name(&self.kind) && is_name(&self.field)
    }

    /// The associated data of a value sealed for this place, which [has names](Self::has_names).
    #[inline]
    pub(crate) fn associated_data(&self, header: &[u8; HEADER]) -> AssociatedData {
        let mut data = AssociatedData::new(header, 6);
        data.field(b"sealed");
        data.field(&self.team);
        data.field(self.kind.as_bytes());
        data.field(&self.owner);
        data.field(self.field.as_bytes());
        data.field(&self.generation.to_be_bytes());
        data
    }
}

/// 1 to 64 printable ASCII characters without space.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a random key is for. It is part of the key's binding: a data key cannot be unwrapped as
/// an audit key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Seals values: [`DataKey`](crate::DataKey).
    Seal,
    /// Makes tags to find and check tokens by: [`IndexKey`](crate::IndexKey).
    Index,
    /// Chains audit events: [`AuditKey`](crate::AuditKey).
    Audit,
    /// Signs certificates and checkpoints: [`SigningKey`](crate::SigningKey).
    Sign,
}

/// A text is not the name of a [`Purpose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's purpose is seal, index, audit or sign")]
pub struct PurposeError;

impl Purpose {
    /// The name as it is stored, and as it stands in a key's binding.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Index => "index",
            Self::Audit => "audit",
            Self::Sign => "sign",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = PurposeError;

    fn from_str(text: &str) -> Result<Self, PurposeError> {
        match text {
            "seal" => Ok(Self::Seal),
            "index" => Ok(Self::Index),
            "audit" => Ok(Self::Audit),
            "sign" => Ok(Self::Sign),
            _ => Err(PurposeError),
        }
    }
}

/// The place that a wrapped key was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyBinding {
    /// What the key is for.
    pub purpose: Purpose,
    /// The team whose key it is, 16 bytes; [`INSTANCE`] for a key of the instance.
    pub team: [u8; 16],
    /// The id of the wrapped key.
    pub key: KeyId,
}

impl KeyBinding {
    /// The associated data of a key wrapped for this place.
    pub(crate) fn associated_data(&self, header: &[u8; HEADER]) -> AssociatedData {
        let mut data = AssociatedData::new(header, 4);
        data.field(b"data-key");
        data.field(self.purpose.as_str().as_bytes());
        data.field(&self.team);
        data.field(self.key.as_bytes());
        data
    }
}

/// Header, count of fields, and each field after its length: no two lists of fields give the same
/// bytes, whatever the fields hold.
///
/// On the stack, and large enough for the longest names, so that sealing allocates its output and
/// nothing else.
pub(crate) struct AssociatedData {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl AssociatedData {
    /// Header, count byte, six lengths, and the fields of the longest binding.
    const CAPACITY: usize = HEADER + 1 + 6 * 4 + 6 + 16 + MAX_NAME + 16 + MAX_NAME + 8;

    #[inline]
    fn new(header: &[u8; HEADER], fields: u8) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        bytes[..HEADER].copy_from_slice(header);
        bytes[HEADER] = fields;
        Self {
            bytes,
            length: HEADER + 1,
        }
    }

    #[inline]
    fn field(&mut self, field: &[u8]) {
        let length = u32::try_from(field.len()).expect("fields are at most 64 bytes long");
        self.push(&length.to_be_bytes());
        self.push(field);
    }

    #[inline]
    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        self.bytes[self.length..end].copy_from_slice(part);
        self.length = end;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
