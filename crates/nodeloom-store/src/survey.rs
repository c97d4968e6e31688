//! A look at a database before anything is done to it.

use crate::{
    Access, DataKeyRow, KeySlotRow, Options, RootKeyRow, Store, StoreError, Target, key, migrate,
    target::peek_lite,
};

/// Most times that a survey is read again while others change it.
const MOST_LOOKS: usize = 8;

/// How far a database's schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// No database, or one without our tables.
    Absent,
    /// This version, which the program can use or migrate from.
    Known(u32),
    /// A newer program was here.
    TooNew {
        /// The database's schema.
        found: u32,
        /// The newest schema of this program.
        known: u32,
    },
}

/// What a database says about its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How far its schema is. The rest is empty unless this is `Known`.
    pub schema: SchemaState,
    /// Every root key that it has known, oldest first.
    pub roots: Vec<RootKeyRow>,
    /// The keys of the instance, with all their slots.
    pub instance_keys: Vec<(DataKeyRow, Vec<KeySlotRow>)>,
    /// How many data keys there are, the teams' included.
    pub data_keys_total: u64,
}

impl Survey {
    const fn empty(schema: SchemaState) -> Self {
        Self {
            schema,
            roots: Vec::new(),
            instance_keys: Vec::new(),
            data_keys_total: 0,
        }
    }
}

impl Store {
    /// Reads what the start-up verdict needs, before migrations and without changing
    /// anything: a missing SQLite file stays missing, an empty one stays empty.
    ///
    /// # Errors
    /// [`StoreError::NotADatabase`], [`StoreError::Corrupt`], [`StoreError::Unavailable`],
    /// [`StoreError::Refused`].
    pub async fn survey(target: &Target) -> Result<Survey, StoreError> {
        let engine = match target {
            Target::Sqlite { path } => match std::fs::metadata(path) {
                Ok(metadata) if metadata.len() > 0 => peek_lite(path).await?,
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(StoreError::Refused {
                        reason: "the database file may not be opened",
                    });
                }
                _ => return Ok(Survey::empty(SchemaState::Absent)),
            },
            Target::Postgres { .. } => {
                let options = Options {
                    postgres_connections: 1,
                    access: Access::ReadOnly,
                    ..Options::default()
                };
                target.connect(&options).await?
            }
        };
        let store = Self { engine };
        let survey = store.look().await;
        store.close().await;
        survey
    }

    /// The same look at a database that is open.
    ///
    /// # Errors
    /// As [`Store::survey`].
    pub async fn survey_now(&self) -> Result<Survey, StoreError> {
        self.look().await
    }

    /// Looks until two looks agree: one look is several statements, and a process that makes
    /// the instance, or changes its root key, can commit between them. Half of that would be
    /// taken for damage.
    async fn look(&self) -> Result<Survey, StoreError> {
        let mut seen = self.look_once().await?;
        for _ in 0..MOST_LOOKS {
            let again = self.look_once().await?;
            if again == seen {
                break;
            }
            seen = again;
        }
        Ok(seen)
    }

    async fn look_once(&self) -> Result<Survey, StoreError> {
        let version = match migrate::current_version(self).await {
            Ok(0) => return Ok(Survey::empty(SchemaState::Absent)),
            Ok(version) => version,
            Err(StoreError::SchemaTooNew { found, known }) => {
                return Ok(Survey::empty(SchemaState::TooNew { found, known }));
            }
            Err(error) => return Err(error),
        };
        let keys = key::data_keys(self).await?;
        let data_keys_total = keys.len() as u64;
        let mut instance_keys = Vec::new();
        for row in keys.into_iter().filter(|key| key.team_id.is_none()) {
            let slots = key::slots_of(self, row.id).await?;
            instance_keys.push((row, slots));
        }
        Ok(Survey {
            schema: SchemaState::Known(version),
            roots: key::roots(self).await?,
            instance_keys,
            data_keys_total,
        })
    }
}
