//! Public names of keys: 8 bytes, shown as 16 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use crate::random::{self, RandomError};

/// A text or byte string is not a key or root id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is not 16 hexadecimal digits.
    #[error("a key id is 16 hexadecimal digits")]
    Text,
    /// The bytes are not 8.
    #[error("a key id is 8 bytes, these are {length}")]
    Length {
        /// How many bytes were given.
        length: usize,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 8]);

        impl $name {
            /// The id made of these 8 bytes.
            pub const fn from_bytes(bytes: [u8; 8]) -> Self {
                Self(bytes)
            }

            /// The 8 bytes, as stored and as they stand in an envelope.
            pub const fn as_bytes(&self) -> &[u8; 8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", u64::from_be_bytes(self.0))
            }
        }

        // The same as `Display`: an id is public and short, and quotes or a type name around it
        // would only make log lines harder to search.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Reads 16 hexadecimal digits, of either case.
        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // `from_str_radix` alone would accept a sign.
                if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(IdError::Text);
                }
                let number = u64::from_str_radix(text, 16).map_err(|_| IdError::Text)?;
                Ok(Self(number.to_be_bytes()))
            }
        }

        /// Takes exactly 8 bytes, such as a database column.
        impl TryFrom<&[u8]> for $name {
            type Error = IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                let length = bytes.len();
                bytes.try_into().map(Self).map_err(|_| IdError::Length { length })
            }
        }
    };
}

id! {
    /// Names a random key: a data, index, audit or signing key. 8 random bytes, public.
    KeyId
}

id! {
    /// Names a root key: 8 bytes derived from the root string, public.
    ///
    /// Two processes that show the same root id hold the same root string. See
    /// [`RootKey::derive`](crate::RootKey::derive).
    RootId
}

impl KeyId {
    /// Draws a new id from the operating system.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        let mut bytes = [0; 8];
        random::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let id = KeyId::from_bytes([0x00, 1, 2, 3, 0xa4, 0xb5, 0xc6, 0xff]);
        assert_eq!(id.to_string(), "00010203a4b5c6ff");
        assert_eq!(format!("{id:?}"), "00010203a4b5c6ff");
        assert_eq!("00010203a4b5c6ff".parse(), Ok(id));
        assert_eq!("00010203A4B5C6FF".parse(), Ok(id));
        assert_eq!(KeyId::try_from(&id.as_bytes()[..]), Ok(id));
    }

    #[test]
    fn other_texts_and_lengths_are_refused() {
        for text in [
            "",
            "0",
            "+0010203a4b5c6ff",
            "00010203a4b5c6fg",
            "00010203a4b5c6ff0",
            "é00000000000000",
        ] {
            assert_eq!(text.parse::<RootId>(), Err(IdError::Text), "{text}");
        }
        assert_eq!(
            RootId::try_from(&[0; 7][..]),
            Err(IdError::Length { length: 7 })
        );
        assert_eq!(
            RootId::try_from(&[0; 9][..]),
            Err(IdError::Length { length: 9 })
        );
    }

    #[test]
    fn generated_ids_differ() {
        assert_ne!(KeyId::generate(), KeyId::generate());
    }
}
