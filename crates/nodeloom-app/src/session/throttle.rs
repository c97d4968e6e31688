//! Limits on failed sign-ins, kept in the database so that replicas share them.

use nodeloom_domain::Timestamp;

use crate::{App, AppError};

/// A window and the failures that it allows.
struct Limit {
    failures: u64,
    window_seconds: i64,
}

/// One account from one address: somebody guesses, or forgot.
const PAIR: Limit = Limit {
    failures: 8,
    window_seconds: 15 * 60,
};
/// One account from anywhere. Wider, since whoever fills it locks the owner out.
const ACCOUNT: Limit = Limit {
    failures: 50,
    window_seconds: 15 * 60,
};
/// One address against any account.
const ADDRESS: Limit = Limit {
    failures: 60,
    window_seconds: 15 * 60,
};

/// Beginnings of single sign-on from one address: each writes a row for ten minutes, and a
/// whole office may share the address.
const BEGUN: Limit = Limit {
    failures: 600,
    window_seconds: 15 * 60,
};

/// The counters that one attempt touches. Keys are HMACs: the table tells nobody
/// which addresses were tried.
pub(crate) struct Attempt(Vec<([u8; 32], Limit)>);

/// The counters of a visitor whose account is not known: of the address alone.
pub(crate) struct Visits {
    /// Sign-ins that failed, by password or not.
    pub(crate) failed: Attempt,
    /// Single sign-ons that began.
    pub(crate) begun: Attempt,
}

impl App {
    pub(crate) fn attempt(&self, account: &str, address: Option<&str>) -> Attempt {
        let address = address.unwrap_or("local");
        let subject = |kind: &str, text: &str| {
            self.keys()
                .index()
                .tag(kind, &[0; 16], &[0; 16], text.as_bytes())
        };
        Attempt(vec![
            (
                subject("sign-in pair", &format!("{account}\n{address}")),
                PAIR,
            ),
            (subject("sign-in account", account), ACCOUNT),
            (subject("sign-in address", address), ADDRESS),
        ])
    }

    /// As [`App::attempt`] while there is no account to count for.
    pub(crate) fn visits(&self, address: Option<&str>) -> Visits {
        let address = address.unwrap_or("local");
        let subject = |kind: &str| {
            self.keys()
                .index()
                .tag(kind, &[0; 16], &[0; 16], address.as_bytes())
        };
        Visits {
            failed: Attempt(vec![(subject("sign-in address"), ADDRESS)]),
            begun: Attempt(vec![(subject("single sign-on address"), BEGUN)]),
        }
    }

    /// Refuses an attempt that comes too soon after too many failures.
    pub(crate) async fn check_attempt(&self, attempt: &Attempt) -> Result<(), AppError> {
        let now = self.now();
        for (subject, limit) in &attempt.0 {
            let failures = self
                .store()
                .failures(subject, now, limit.window_seconds)
                .await?;
            if failures >= limit.failures {
                // The whole window, whenever it began: how much is left of it would tell
                // when others have tried.
                return Err(AppError::Throttled {
                    retry_after_seconds: limit.window_seconds.unsigned_abs(),
                });
            }
        }
        Ok(())
    }

    pub(crate) async fn count_failure(
        &self,
        tx: &mut nodeloom_store::Tx,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<(), AppError> {
        for (subject, limit) in &attempt.0 {
            tx.record_failure(subject, now, limit.window_seconds)
                .await?;
        }
        Ok(())
    }

    /// A success forgives the account's own counters; the address's stays, or one
    /// good account would unlock guessing at all others.
    pub(crate) async fn forgive(
        &self,
        tx: &mut nodeloom_store::Tx,
        attempt: &Attempt,
    ) -> Result<(), AppError> {
        for (subject, _) in attempt.0.iter().take(2) {
            tx.clear_failures(subject).await?;
        }
        Ok(())
    }
}
