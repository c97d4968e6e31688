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
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of `value`, which is wiped when the secret is dropped.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Borrows the value. Each call site carries an `EXPOSE:` comment that says why.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares the bytes with `other` in time that depends on the lengths alone.
    ///
    /// Values of unequal length are unequal at once: the length of a secret is not hidden.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.as_ref().ct_eq(other).into()
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
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
