//! What the data say about the key, before anything is changed.

use std::fmt;

use nodeloom_crypto::{INSTANCE, KeyBinding, KeyId, RootId, RootKey};
use nodeloom_domain::Timestamp;
use nodeloom_store::{KeyState, RootState, SchemaState, StoreError, Survey};

use crate::{AppError, HeldRoots};

/// What a key is to a database.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing is stored yet: any key may begin.
    Fresh,
    /// The key opens the instance's keys.
    Match,
    /// The previous key opens the instance's keys, and the current one is new: every key is to
    /// get a slot under it.
    Rewrap,
    /// The key must not be used with these data.
    Refused(KeyRefusal),
}

/// A root key that the database remembers. Its id is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRoot {
    /// The id that the key derives.
    pub id: RootId,
    /// Whether it still wraps keys.
    pub state: RootState,
    /// When it was first used with this database.
    pub first_seen: Timestamp,
    /// When a process last used it.
    pub last_seen: Timestamp,
}

/// Why the key is refused. Nothing has been changed when this is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRefusal {
    /// The key was never used with this database.
    NeverSeen {
        /// The id of the given key.
        given: RootId,
        /// The keys that open the data.
        expected: Vec<KnownRoot>,
    },
    /// The key was replaced and given up.
    Retired {
        /// The given key, with its dates.
        given: KnownRoot,
        /// The keys that open the data.
        expected: Vec<KnownRoot>,
    },
    /// The key's id is right, and yet some of the instance's keys do not open.
    DamagedSlot {
        /// The id of the given key.
        root: RootId,
        /// The keys whose slots are missing, malformed or not authentic.
        keys: Vec<KeyId>,
    },
    /// There are data keys and no trace of the root key that wrapped them.
    KeysWithoutRoot,
}

impl fmt::Display for KeyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSeen { given, expected } => {
                write!(
                    f,
                    "this database was not encrypted under the given key (root id {given}); \
                     it expects {}",
                    list(expected)
                )
            }
            Self::Retired { given, expected } => write!(
                f,
                "the given key (root id {}) is a retired one, in use from {} to {}; \
                 the database now expects {}",
                given.id,
                given.first_seen,
                given.last_seen,
                list(expected)
            ),
            Self::DamagedSlot { root, keys } => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the given key is the right one (root id {root}), but the database is \
                     damaged: the wrapped form of data key {} does not open",
                    keys.join(", ")
                )
            }
            Self::KeysWithoutRoot => f.write_str(
                "the database is damaged: it holds data keys, and its record of root keys is empty",
            ),
        }
    }
}

impl KeyRefusal {
    /// What the operator can do, best first.
    #[must_use]
    pub fn next_steps(&self) -> Vec<String> {
        match self {
            Self::NeverSeen { .. } | Self::Retired { .. } => vec![
                "put the expected key back in APP_ENCRYPTION_KEY (or its _FILE, _COMMAND) and start again".into(),
                "to change the key, set the new one as APP_ENCRYPTION_KEY and the expected one as APP_ENCRYPTION_KEY_PREVIOUS".into(),
                "if the expected key is lost and a recovery identity was made, use `nodeloom key recovery` (not in this version yet)".into(),
                "to start over under the given key and keep the old values locked, use `nodeloom key adopt` (not in this version yet)".into(),
                "or point DATABASE_URL or NODELOOM_DATA_DIR at the database that belongs to the given key".into(),
            ],
            Self::DamagedSlot { .. } | Self::KeysWithoutRoot => vec![
                "stop every process that uses this database and keep a copy of it as it is".into(),
                "restore the newest backup that starts; the key is not at fault".into(),
            ],
        }
    }
}

fn list(roots: &[KnownRoot]) -> String {
    if roots.is_empty() {
        return "none that is still active".into();
    }
    let each: Vec<String> = roots
        .iter()
        .map(|root| format!("root id {} (first used {})", root.id, root.first_seen))
        .collect();
    each.join(" or ")
}

/// Judges a key by a survey of the database. Pure: the survey was read before
/// migrations, and nothing is written.
///
/// A key is right only if it opens every active key of the instance; that its id is
/// on record is no proof.
#[must_use]
pub fn judge(survey: &Survey, root: &RootKey) -> Verdict {
    let known: Vec<KnownRoot> = survey
        .roots
        .iter()
        .map(|row| KnownRoot {
            id: row.id,
            state: row.state,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        })
        .collect();
    if matches!(survey.schema, SchemaState::Absent)
        || (known.is_empty() && survey.data_keys_total == 0)
    {
        return Verdict::Fresh;
    }
    if known.is_empty() {
        return Verdict::Refused(KeyRefusal::KeysWithoutRoot);
    }
    let given = root.id();
    let expected: Vec<KnownRoot> = known
        .iter()
        .filter(|r| r.state == RootState::Active)
        .cloned()
        .collect();
    match known.into_iter().find(|row| row.id == given) {
        None => return Verdict::Refused(KeyRefusal::NeverSeen { given, expected }),
        Some(row) if row.state != RootState::Active => {
            return Verdict::Refused(KeyRefusal::Retired {
                given: row,
                expected,
            });
        }
        Some(_) => {}
    }
    let mut damaged = Vec::new();
    let mut opened = 0_usize;
    for (key, slots) in &survey.instance_keys {
        if key.state != KeyState::Active {
            continue;
        }
        let binding = KeyBinding {
            purpose: key.purpose,
            team: INSTANCE,
            key: key.id,
        };
        let opens = slots
            .iter()
            .filter(|slot| slot.root_id == given)
            .any(|slot| root.unwrap_key(&binding, &slot.envelope).is_ok());
        if opens {
            opened += 1
        } else {
            damaged.push(key.id)
        }
    }
    if damaged.is_empty() && opened > 0 {
        Verdict::Match
    } else {
        Verdict::Refused(KeyRefusal::DamagedSlot {
            root: given,
            keys: damaged,
        })
    }
}

/// Judges the root keys that a process holds: as [`judge`] does the current one, and where that
/// is new to the data and the previous one opens them, [`Verdict::Rewrap`].
#[must_use]
pub fn judge_held(survey: &Survey, roots: &HeldRoots) -> Verdict {
    let verdict = judge(survey, roots.current());
    let can_take_over = matches!(
        verdict,
        Verdict::Refused(KeyRefusal::NeverSeen { .. } | KeyRefusal::DamagedSlot { .. })
    );
    match roots.previous() {
        Some(previous) if can_take_over && matches!(judge(survey, previous), Verdict::Match) => {
            // A slot under the current key that is there and damaged is no matter of rewrapping.
            let has_all_slots = survey.instance_keys.iter().all(|(key, slots)| {
                key.state != KeyState::Active
                    || slots
                        .iter()
                        .any(|slot| slot.root_id == roots.current().id())
            });
            if has_all_slots {
                verdict
            } else {
                Verdict::Rewrap
            }
        }
        _ => verdict,
    }
}

/// Why an instance did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key does not belong to the data; nothing was changed.
    #[error("{0}")]
    Key(KeyRefusal),
    /// The database failed, or the keys on record are incomplete.
    #[error(transparent)]
    App(#[from] AppError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}
