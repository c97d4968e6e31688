//! The wrapper that keeps a value out of logs, errors and responses.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that stays out of logs, errors and responses. Wiped on drop.
///
/// No `Clone`, `Display`, `Serialize` or `Deref`: reading it always shows in a diff, as a call of
/// [`Secret::expose`]. `Debug` prints `Secret(..)` whatever is inside.
///
/// Wiping covers the bytes the value owns when it is dropped. A `Vec` or `String` that was grown
/// before it came here may have left copies behind, so build those at their final size.
pub struct Secret<T: Zeroize> {
    value: T,
    /// How to wipe the value: for bytes there is a quicker way than `Zeroize` on a `Vec`, which
    /// stores them one by one and for 1 MiB takes longer than decrypting it.
    wipe: fn(&mut T),
}

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of `value`, which is wiped when the secret is dropped.
    pub fn new(value: T) -> Self {
        Self {
            value,
            wipe: T::zeroize,
        }
    }

    /// Borrows the value. Each call site carries an `EXPOSE:` comment that says why.
    pub fn expose(&self) -> &T {
        &self.value
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares the bytes with `other` in time that depends on the lengths alone.
    ///
    /// Values of unequal length are unequal at once: the length of a secret is not hidden.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.value.as_ref().ct_eq(other).into()
    }
}

impl Secret<Vec<u8>> {
    /// Takes ownership of bytes that fill their allocation.
    pub(crate) fn of_bytes(value: Vec<u8>) -> Self {
        debug_assert_eq!(
            value.len(),
            value.capacity(),
            "nothing to wipe beyond the length"
        );
        Self {
            value,
            wipe: |value| value.as_mut_slice().zeroize(),
        }
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        (self.wipe)(&mut self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{secret:#?}"), "Secret(..)");
    }

    #[test]
    fn byte_secrets_compare() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert!(secret.ct_eq(b"hunter2"));
        assert!(!secret.ct_eq(b"hunter3"));
        assert!(!secret.ct_eq(b"hunter"));
        assert!(!secret.ct_eq(b""));
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn drop_calls_zeroize() {
        use std::cell::Cell;
        use std::rc::Rc;

        struct Probe(Rc<Cell<bool>>);
        impl Zeroize for Probe {
            fn zeroize(&mut self) {
                self.0.set(true);
            }
        }

        let wiped = Rc::new(Cell::new(false));
        drop(Secret::new(Probe(Rc::clone(&wiped))));
        assert!(wiped.get());
    }
}
