//! One-time codes by time, for a second factor.

use aws_lc_rs::hmac;

/// Seconds of a time step.
pub const STEP_SECONDS: i64 = 30;
/// Bytes of a new secret: the length that RFC 4226, section 4, recommends.
pub const SECRET_BYTES: usize = 20;

/// The time step at `seconds` since 1970.
#[must_use]
pub const fn step_at(seconds: i64) -> i64 {
    seconds.div_euclid(STEP_SECONDS)
}

/// The code of a time step: six digits.
///
/// # Source
/// RFC 6238, section 4, with HMAC-SHA-1, steps of 30 seconds from 1970 and six digits, which is
/// what authenticator apps take for granted; RFC 4226, section 5.3 for the digits.
#[must_use]
pub fn code(secret: &[u8], step: i64) -> [u8; 6] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 0x0f);
    let word = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
    let mut digits = [0; 6];
    let mut rest = word % 1_000_000;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    digits
}

/// The time step, from one before `now` to one after it, whose code `given` is. Compares in
/// constant time and looks at every step.
///
/// # Source
/// RFC 6238, section 5.2: one step either way for clocks that differ.
#[must_use]
pub fn matching_step(secret: &[u8], given: &[u8], now: i64) -> Option<i64> {
    let mut found = None;
    for step in [now - 1, now, now + 1] {
        let wanted = code(secret, step);
        if aws_lc_rs::constant_time::verify_slices_are_equal(&wanted, given).is_ok() {
            found = Some(step);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_of_rfc_4226() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (step, wanted) in codes.iter().enumerate() {
            let step = i64::try_from(step).unwrap();
            assert_eq!(code(SECRET, step), wanted.as_bytes(), "step {step}");
        }
    }

    #[test]
    fn codes_of_rfc_6238() {
        // Appendix B has eight digits; the last six are the code of six.
        for (seconds, wanted) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(
                code(SECRET, step_at(seconds)),
                wanted.as_bytes(),
                "{seconds}"
            );
        }
    }

    #[test]
    fn one_step_either_way() {
        let given = code(SECRET, 100);
        assert_eq!(matching_step(SECRET, &given, 99), Some(100));
        assert_eq!(matching_step(SECRET, &given, 101), Some(100));
        assert_eq!(matching_step(SECRET, &given, 102), None);
        assert_eq!(matching_step(SECRET, &given[..5], 100), None);
        assert_eq!(matching_step(b"another secret", &given, 100), None);
    }
}
