//! The operating system's random generator, the only source of randomness in this crate.

/// The operating system's random generator failed.
///
/// Nothing was sealed or generated. On Linux this happens in a sandbox that forbids the
/// `getrandom` system call and hides `/dev/urandom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct RandomError(#[source] getrandom::Error);

/// Fills `bytes` from the operating system. No user-space pool stands in between: a forked or
/// restored process can never repeat what its twin drew.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(RandomError)
}
