//! A fresh database per test, and the rows that most tests need.

use std::sync::atomic::{AtomicU64, Ordering};

use nodeloom_crypto::{AuditKey, KeyId, KeyMaterial, Purpose, RootId};
use nodeloom_domain::{
    CredentialId, InstanceId, Role, SealedValueId, TeamId, Timestamp, UserId,
    audit::{ActorKind, AuditActor, AuditEvent, Origin},
    name_words,
    policy::{self, Action, Actor, Permit, Resource},
    sort_key,
};
use nodeloom_store::{
    CredentialActivity, CredentialAttributes, CredentialRow, DataKeyRow, InstanceRow, KeySlotRow,
    KeyState, MembershipRow, Options, RootKeyRow, RootState, SealedRow, SealedState, Store, Target,
    TeamRow, UserRow, UserState,
};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

/// 2023-11-14T22:13:20Z.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Runs an `async fn(Db)` on both engines, as two tests.
macro_rules! on_both {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::harness::Db::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let db = $crate::harness::Db::postgres().await;
                let drop_it = db.dropper();
                super::$name(db).await;
                drop_it.await;
            }
        }
    )+};
}
pub(crate) use on_both;

/// An empty database.
pub(crate) struct Db {
    pub(crate) target: Target,
    /// What plain sqlx connects to, for looking and for tampering.
    place: Place,
}

enum Place {
    /// The folder goes when this is dropped.
    Lite { _folder: tempfile::TempDir },
    Pg {
        admin: String,
        name: String,
        url: String,
    },
}

impl Db {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::Sqlite {
            path: dir.path().join("data").join("nodeloom.db"),
        };
        Self {
            target,
            place: Place::Lite { _folder: dir },
        }
    }

    pub(crate) async fn postgres() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let admin = std::env::var("NODELOOM_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "NODELOOM_TEST_POSTGRES is not set; run scripts/test.sh, which starts a \
                 PostgreSQL of its own"
            )
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nodeloom_test_{}_{number}", std::process::id());
        let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let (base, _) = admin.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}?sslmode=disable");
        Self {
            target: Target::parse_url(&url).unwrap(),
            place: Place::Pg { admin, name, url },
        }
    }

    /// Drops the database of a PostgreSQL test that went well.
    pub(crate) fn dropper(&self) -> impl Future<Output = ()> + use<> {
        let Place::Pg { admin, name, .. } = &self.place else {
            panic!("only for PostgreSQL")
        };
        let (admin, name) = (admin.clone(), name.clone());
        async move {
            let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            sqlx::raw_sql(AssertSqlSafe(drop))
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Lite { .. })
    }

    pub(crate) async fn open(&self) -> Store {
        let options = Options::default();
        Store::open_with(&self.target, &options).await.unwrap()
    }

    pub(crate) async fn migrated(&self) -> Store {
        let store = self.open().await;
        store.migrate().await.unwrap();
        store
    }

    /// Runs SQL behind the store's back. `x'..'` literals are rewritten for PostgreSQL.
    pub(crate) async fn tamper(&self, sql: &str) -> u64 {
        match &self.place {
            Place::Lite { .. } => {
                let mut connection = self.lite().await;
                let done = sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut connection)
                    .await;
                let rows = done.unwrap().rows_affected();
                connection.close().await.unwrap();
                rows
            }
            Place::Pg { url, .. } => {
                let sql = sql.replace("x'", "'\\x");
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let done = sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut connection)
                    .await;
                done.unwrap().rows_affected()
            }
        }
    }

    /// One column of text.
    pub(crate) async fn texts(&self, lite: &str, pg: &str) -> Vec<String> {
        match &self.place {
            Place::Lite { .. } => {
                let mut connection = self.lite().await;
                let rows = sqlx::query(AssertSqlSafe(lite))
                    .fetch_all(&mut connection)
                    .await;
                rows.unwrap()
                    .iter()
                    .map(|row| row.get::<String, _>(0))
                    .collect()
            }
            Place::Pg { url, .. } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(pg))
                    .fetch_all(&mut connection)
                    .await;
                rows.unwrap()
                    .iter()
                    .map(|row| row.get::<String, _>(0))
                    .collect()
            }
        }
    }

    /// How the engine would run a statement without parameters.
    pub(crate) async fn plan(&self, sql: &str) -> String {
        let rows: Vec<String> = match &self.place {
            Place::Lite { .. } => {
                let explain = format!("EXPLAIN QUERY PLAN {}", sql.replace("'\\x", "x'"));
                let mut connection = self.lite().await;
                let rows = sqlx::query(AssertSqlSafe(explain))
                    .fetch_all(&mut connection)
                    .await;
                rows.unwrap().iter().map(|row| row.get("detail")).collect()
            }
            Place::Pg { url, .. } => {
                let explain = format!("EXPLAIN {sql}");
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(explain))
                    .fetch_all(&mut connection)
                    .await;
                rows.unwrap().iter().map(|row| row.get(0)).collect()
            }
        };
        rows.join("\n")
    }

    async fn lite(&self) -> sqlx::SqliteConnection {
        let Target::Sqlite { path } = &self.target else {
            panic!("only for SQLite")
        };
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(false);
        sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap()
    }
}

/// An instance as after its set-up: keys, one team, one administrator.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) store: Store,
    pub(crate) chain: AuditKey,
    pub(crate) root: RootId,
    pub(crate) seal: KeyId,
    pub(crate) index: KeyId,
    pub(crate) audit: KeyId,
    pub(crate) team: TeamId,
    pub(crate) user: UserId,
}

impl World {
    pub(crate) async fn new(db: Db) -> Self {
        let store = db.migrated().await;
        let (root, team) = (RootId::from_bytes([7; 8]), TeamId::generate(NOW));
        let user = UserId::generate(NOW);
        let keeper = policy::housekeeping();
        let admin = policy::first_admin(0).unwrap();
        let mut tx = store.begin().await.unwrap();
        let instance = InstanceRow {
            id: InstanceId::generate(NOW),
            created_at: NOW,
        };
        tx.insert_instance(&keeper, &instance).await.unwrap();
        tx.insert_root(&keeper, &root_row(root)).await.unwrap();
        tx.insert_team(
            &admin,
            &TeamRow {
                id: team,
                name: "Default".into(),
                created_at: NOW,
            },
        )
        .await
        .unwrap();
        tx.insert_user(&admin, &user_row(user, "ada@example.com"))
            .await
            .unwrap();
        let role = Role::Admin;
        let membership = MembershipRow {
            user_id: user,
            team_id: team,
            role,
            created_at: NOW,
        };
        tx.insert_membership(&admin, &membership).await.unwrap();
        let mut ids = [KeyId::from_bytes([0; 8]); 3];
        let keys = [
            (Some(team), Purpose::Seal),
            (None, Purpose::Index),
            (None, Purpose::Audit),
        ];
        for (id, (team, purpose)) in ids.iter_mut().zip(keys) {
            let key = data_key(team, purpose);
            *id = key.id;
            tx.insert_data_key(&keeper, &key).await.unwrap();
            tx.insert_slot(&keeper, &slot(key.id, root)).await.unwrap();
        }
        let [seal, index, audit] = ids;
        let chain = chain_key(audit);
        tx.commit(&event("instance.set-up"), &chain).await.unwrap();
        Self {
            db,
            store,
            chain,
            root,
            seal,
            index,
            audit,
            team,
            user,
        }
    }

    /// The tables and nothing in them.
    pub(crate) async fn new_only_schema(db: &Db) {
        db.migrated().await.close().await;
    }

    pub(crate) fn credential(&self, name: &str) -> CredentialRow {
        CredentialRow {
            id: CredentialId::generate(NOW),
            team_id: self.team,
            name: name.into(),
            sort_key: sort_key(name),
            kind: "HTTP_BASIC".into(),
            generation: 1,
            revision: 1,
            fields: vec!["password".into(), "username".into()],
            created_at: NOW,
            created_by: Some(self.user),
            created_by_name: "ada@example.com".into(),
            updated_at: NOW,
            updated_by: None,
            updated_by_name: "root@host".into(),
            attributes: CredentialAttributes::default(),
            activity: CredentialActivity::default(),
        }
    }

    pub(crate) fn sealed(&self, owner: &CredentialRow, generation: u64) -> SealedRow {
        SealedRow {
            id: SealedValueId::generate(NOW),
            team_id: owner.team_id,
            kind: "credential".into(),
            owner_id: *owner.id.as_bytes(),
            field: "data".into(),
            generation,
            key_id: self.seal,
            envelope: vec![generation as u8; 60],
            state: SealedState::Ok,
            reason: None,
            created_at: NOW,
        }
    }

    pub(crate) fn may_create(&self) -> Permit {
        may(Action::CredentialCreate, Resource::Team(self.team))
    }

    /// Stores a credential of this name.
    pub(crate) async fn add(&self, name: &str) -> CredentialRow {
        let row = self.credential(name);
        self.add_row(&row).await;
        row
    }

    pub(crate) async fn add_row(&self, row: &CredentialRow) {
        let mut tx = self.store.begin().await.unwrap();
        tx.insert_credential(&self.may_create(), row, &name_words(&row.name))
            .await
            .unwrap();
        tx.insert_sealed(&self.may_create(), &self.sealed(row, 1))
            .await
            .unwrap();
        tx.commit(&event("credential.create"), &self.chain)
            .await
            .unwrap();
    }
}

/// The same key for the same id, so that a second process can chain too.
pub(crate) fn chain_key(id: KeyId) -> AuditKey {
    AuditKey::new(id, KeyMaterial::from_bytes(&[9; 32]))
}

pub(crate) fn may(action: Action, resource: Resource) -> Permit {
    let operator = Actor::Operator {
        user: "root".into(),
        host: "host".into(),
    };
    policy::authorise(&operator, action, resource, NOW).unwrap()
}

pub(crate) fn event(action: &'static str) -> AuditEvent {
    let actor = AuditActor {
        kind: ActorKind::System,
        id: None,
        name: "nodeloom".into(),
    };
    let origin = Origin {
        request_id: "r-1".into(),
        address: Some("127.0.0.1".into()),
    };
    AuditEvent::new(NOW, actor, action, &origin).with("count", 1)
}

pub(crate) fn root_row(id: RootId) -> RootKeyRow {
    RootKeyRow {
        id,
        state: RootState::Active,
        first_seen: NOW,
        last_seen: NOW,
        wrapped: None,
    }
}

pub(crate) fn data_key(team: Option<TeamId>, purpose: Purpose) -> DataKeyRow {
    let id = KeyId::generate().unwrap();
    DataKeyRow {
        id,
        team_id: team,
        purpose,
        state: KeyState::Active,
        created_at: NOW,
    }
}

pub(crate) fn slot(key: KeyId, root: RootId) -> KeySlotRow {
    KeySlotRow {
        data_key_id: key,
        root_id: root,
        envelope: vec![1; 82],
        created_at: NOW,
    }
}

pub(crate) fn user_row(id: UserId, email: &str) -> UserRow {
    UserRow {
        id,
        email: email.into(),
        first_name: "Ada".into(),
        last_name: "L".into(),
        password_hash: "$argon2id$hash".into(),
        state: UserState::Active,
        instance_admin: true,
        created_at: NOW,
        updated_at: NOW,
        break_glass: false,
        password_changed_at: None,
        last_sign_in_at: None,
        totp_generation: None,
        totp_last_step: None,
    }
}
