//! What can go wrong when sealing, opening, wrapping and unwrapping.

use crate::id::KeyId;
use crate::random::RandomError;

/// Why a value was not sealed, or a key not wrapped. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The plaintext is larger than [`MAX_PLAINTEXT`](crate::envelope::MAX_PLAINTEXT).
    #[error("the value is {length} bytes long, the limit is {limit}")]
    TooLarge {
        /// Bytes in the refused plaintext.
        length: usize,
        /// The most bytes a plaintext may have.
        limit: usize,
    },
    /// The data key belongs to another team than the binding.
    #[error("the data key belongs to another team")]
    WrongTeam,
    /// The ring holds no key of this id.
    #[error("key {0} is not in the ring")]
    UnknownKey(KeyId),
    /// The binding's kind or field is not a name: 1 to 64 printable ASCII characters without space.
    #[error("a kind or field name is 1 to 64 printable ASCII characters without spaces")]
    InvalidName,
    /// No nonce could be drawn.
    #[error("no nonce could be drawn")]
    Random(#[from] RandomError),
    /// The cipher refused a length it must accept. Not expected to happen.
    #[error("the cipher failed")]
    Cipher,
}

/// Why an envelope did not open. No plaintext was returned.
///
/// These are for logs and for the operator. A remote caller gets one answer for all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No envelope has this length, or a wrapped key does not hold 32 bytes.
    #[error("the envelope is malformed: it is {length} bytes long")]
    Malformed {
        /// Bytes in the refused envelope.
        length: usize,
    },
    /// A format or suite that this version does not know; perhaps written by a newer one.
    #[error("envelope format {format} with suite {suite} is not supported")]
    Unsupported {
        /// The envelope's first byte.
        format: u8,
        /// The envelope's second byte.
        suite: u8,
    },
    /// The key that the envelope names is not held here. For a wrapped key the bytes are a
    /// root id.
    #[error("key {0} is not held")]
    UnknownKey(KeyId),
    /// The key that the envelope names belongs to another team than the binding.
    #[error("the data key belongs to another team")]
    WrongTeam,
    /// The envelope was changed, or sealed for another place, or under another key with this id.
    #[error("the envelope does not authenticate in this place")]
    NotAuthentic,
}
