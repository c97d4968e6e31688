//! A world per test: an instance on a fresh database, a clock that stands still, and a
//! second connection for whoever writes into the database behind the program's back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use nodeloom_app::{
    App, AppError, CredentialChange, CredentialView, Ctx, DoctorReport, ListCredentials, NewAdmin,
    NewCredential, OpenError, SessionToken, Who,
};
use nodeloom_crypto::{
    AuditKey, DataKey, INSTANCE, KeyBinding, KeyId, KeyMaterial, Purpose, RootKey, Secret,
};
use nodeloom_domain::{
    Clock, CredentialId, Role, SessionId, TeamId, Timestamp, UserId,
    audit::{ActorKind, AuditActor, AuditEvent, Origin},
    policy,
};
use nodeloom_store::{
    DataKeyRow, KeySlotRow, KeyState, MembershipRow, Store, Target, TeamRow, UserRow, UserState,
};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _, TypeInfo as _, ValueRef as _};

/// 2023-11-14T22:13:20Z.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(crate) const ROOT: &str = "a root string of the tests, 0123456789abcdef";
pub(crate) const PASSWORD: &str = "a fine long password of the tests";
pub(crate) const ADMIN: &str = "ada@example.com";

/// Runs an `async fn(Db)` on both engines, as two tests.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::Db::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let db = $crate::support::Db::postgres().await;
                super::$name(db.clone()).await;
                db.drop_it().await;
            }
        }
    )+};
}
pub(crate) use on_both;

/// Fails unless a `Result` is an error of this form.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            Err(other) => panic!("expected {}, got {other:?}", stringify!($pattern)),
            Ok(_) => panic!("expected {}, and it was done", stringify!($pattern)),
        }
    };
}
pub(crate) use assert_refused;

/// An empty database, and what plain sqlx connects to.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) target: Target,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Lite(std::sync::Arc<tempfile::TempDir>),
    Pg {
        admin: String,
        name: String,
        url: String,
    },
}

/// One column of one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(crate) fn int(&self) -> i64 {
        let Self::Int(value) = self else {
            panic!("{self:?} is no number")
        };
        *value
    }

    pub(crate) fn text(&self) -> &str {
        let Self::Text(value) = self else {
            panic!("{self:?} is no text")
        };
        value
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let Self::Bytes(value) = self else {
            panic!("{self:?} is no bytes")
        };
        value
    }
}

/// Every row of every table, by table.
pub(crate) type Dump = BTreeMap<String, Vec<Vec<Cell>>>;

macro_rules! cells {
    ($rows:expr) => {
        $rows
            .iter()
            .map(|row| {
                (0..row.columns().len())
                    .map(|at| {
                        let raw = row.try_get_raw(at).unwrap();
                        if raw.is_null() {
                            return Cell::Null;
                        }
                        match raw.type_info().name() {
                            "BLOB" | "BYTEA" => Cell::Bytes(row.get(at)),
                            "INTEGER" | "INT8" => Cell::Int(row.get(at)),
                            "INT4" => Cell::Int(row.get::<i32, _>(at).into()),
                            "BOOL" | "BOOLEAN" => Cell::Int(row.get::<bool, _>(at).into()),
                            _ => Cell::Text(row.get(at)),
                        }
                    })
                    .collect()
            })
            .collect()
    };
}

impl Db {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::Sqlite {
            path: dir.path().join("nodeloom.db"),
        };
        Self {
            target,
            place: Place::Lite(dir.into()),
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
        let name = format!("nodeloom_app_{}_{number}", std::process::id());
        let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .unwrap();
        let (base, _) = admin.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}?sslmode=disable");
        Self {
            target: Target::parse_url(&url).unwrap(),
            place: Place::Pg { admin, name, url },
        }
    }

    /// Drops the database of a test that went well.
    pub(crate) async fn drop_it(self) {
        let Place::Pg { admin, name, .. } = self.place else {
            return;
        };
        let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await
            .unwrap();
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Lite(_))
    }

    /// The folder of a SQLite database.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::Lite(dir) => Some(dir.path()),
            Place::Pg { .. } => None,
        }
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

    async fn pg(url: &str) -> sqlx::PgConnection {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        // Whoever owns the database is not held up by references.
        let free = "SET session_replication_role = replica";
        sqlx::raw_sql(free).execute(&mut connection).await.unwrap();
        connection
    }

    /// Runs SQL behind the program's back, references unchecked. Write bytes as `X'…'`.
    pub(crate) async fn try_run(&self, sql: &str) -> Result<u64, sqlx::Error> {
        match &self.place {
            Place::Lite(_) => {
                let mut connection = self.lite().await;
                let done = sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut connection)
                    .await;
                connection.close().await.unwrap();
                done.map(|done| done.rows_affected())
            }
            Place::Pg { url, .. } => {
                let mut connection = Self::pg(url).await;
                let sql = sql.replace("X'", "'\\x");
                let done = sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut connection)
                    .await;
                done.map(|done| done.rows_affected())
            }
        }
    }

    pub(crate) async fn run(&self, sql: &str) -> u64 {
        self.try_run(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Cell>> {
        match &self.place {
            Place::Lite(_) => {
                let mut connection = self.lite().await;
                let rows = sqlx::query(AssertSqlSafe(sql))
                    .fetch_all(&mut connection)
                    .await;
                connection.close().await.unwrap();
                cells!(rows.unwrap())
            }
            Place::Pg { url, .. } => {
                let mut connection = Self::pg(url).await;
                let sql = sql.replace("X'", "'\\x");
                let rows = sqlx::query(AssertSqlSafe(sql))
                    .fetch_all(&mut connection)
                    .await;
                cells!(rows.unwrap())
            }
        }
    }

    /// The one value that a query gives.
    pub(crate) async fn one(&self, sql: &str) -> Cell {
        let rows = self.rows(sql).await;
        let [row] = rows.as_slice() else {
            panic!("{sql}: {} rows", rows.len())
        };
        row[0].clone()
    }

    pub(crate) async fn count(&self, from: &str) -> i64 {
        self.one(&format!("SELECT count(*) FROM {from}"))
            .await
            .int()
    }

    pub(crate) async fn tables(&self) -> Vec<String> {
        let sql = if self.is_sqlite() {
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        } else {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        };
        self.rows(sql)
            .await
            .iter()
            .map(|row| row[0].text().to_owned())
            .collect()
    }

    /// Everything that is stored.
    pub(crate) async fn dump(&self) -> Dump {
        let mut dump = Dump::new();
        for table in self.tables().await {
            let mut rows = self.rows(&format!("SELECT * FROM {table}")).await;
            rows.sort();
            dump.insert(table, rows);
        }
        dump
    }

    /// Everything but the audit trail.
    pub(crate) async fn dump_records(&self) -> Dump {
        let mut dump = self.dump().await;
        dump.retain(|table, _| !table.starts_with("audit_"));
        dump
    }
}

/// Bytes as both engines read them in SQL that goes through [`Db`].
pub(crate) fn x(bytes: &[u8]) -> String {
    format!("X'{}'", hex(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody who signed in.
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) token: String,
}

impl Person {
    pub(crate) fn ctx(&self) -> Ctx {
        ctx(&self.token)
    }

    pub(crate) fn session(&self) -> SessionId {
        SessionToken::parse(&self.token).unwrap().id()
    }
}

/// A request with this cookie.
pub(crate) fn ctx(token: &str) -> Ctx {
    let token = SessionToken::parse(token).expect("the text of a session token");
    Ctx {
        origin: origin(),
        who: Who::Session(token),
    }
}

/// A command on the machine.
pub(crate) fn operator() -> Ctx {
    let who = Who::Operator {
        user: "root".into(),
        host: "vault".into(),
    };
    Ctx {
        origin: origin(),
        who,
    }
}

pub(crate) fn origin() -> Origin {
    from_address("192.0.2.1")
}

pub(crate) fn from_address(address: &str) -> Origin {
    Origin {
        request_id: "r-1".into(),
        address: Some(address.into()),
    }
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(crate) fn new_admin() -> NewAdmin {
    NewAdmin {
        email: ADMIN.into(),
        password: secret(PASSWORD),
        first_name: "Ada".into(),
        last_name: "L".into(),
    }
}

/// An instance with its first administrator.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) store: Store,
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) root: RootKey,
    /// The team `Default`.
    pub(crate) team: TeamId,
}

impl World {
    /// An instance that nobody has set up.
    pub(crate) async fn bare(db: Db) -> Self {
        let store = Store::open(&db.target).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Clock::fixed(NOW);
        let root = RootKey::derive(ROOT.as_bytes());
        let given = RootKey::derive(ROOT.as_bytes());
        let app = App::open(store.clone(), given, clock.clone(), &origin())
            .await
            .unwrap();
        let team = store.list_teams().await.unwrap()[0].id;
        Self {
            db,
            store,
            app,
            clock,
            root,
            team,
        }
    }

    pub(crate) async fn new(db: Db) -> Self {
        let world = Self::bare(db).await;
        world
            .app
            .create_first_admin(new_admin(), &origin())
            .await
            .unwrap();
        world
    }

    /// Another process on the same database, which has opened nothing yet.
    pub(crate) async fn other_process(&self) -> App {
        self.open_with(ROOT).await.unwrap()
    }

    pub(crate) async fn open_with(&self, root: &str) -> Result<App, OpenError> {
        let root = RootKey::derive(root.as_bytes());
        App::open(self.store.clone(), root, self.clock.clone(), &origin()).await
    }

    /// Unwraps a data key as the program does.
    async fn unwrap(&self, row: &DataKeyRow) -> KeyMaterial {
        let slots = self.store.slots_of(row.id).await.unwrap();
        let team = row.team_id.map_or(INSTANCE, |team| *team.as_bytes());
        let binding = KeyBinding {
            purpose: row.purpose,
            team,
            key: row.id,
        };
        self.root.unwrap_key(&binding, &slots[0].envelope).unwrap()
    }

    pub(crate) async fn active(&self, team: Option<TeamId>, purpose: Purpose) -> DataKeyRow {
        self.store
            .active_data_key(team, purpose)
            .await
            .unwrap()
            .unwrap()
    }

    /// The key that seals a team's values.
    pub(crate) async fn seal_key(&self, team: TeamId) -> DataKey {
        let row = self.active(Some(team), Purpose::Seal).await;
        DataKey::new(row.id, *team.as_bytes(), self.unwrap(&row).await)
    }

    /// Every key of the database, in the clear.
    pub(crate) async fn all_keys(&self) -> Vec<(KeyId, KeyMaterial)> {
        let mut keys = Vec::new();
        for row in self.store.data_keys().await.unwrap() {
            keys.push((row.id, self.unwrap(&row).await));
        }
        keys
    }

    pub(crate) async fn chain(&self) -> AuditKey {
        let row = self.active(None, Purpose::Audit).await;
        AuditKey::new(row.id, self.unwrap(&row).await)
    }

    pub(crate) fn event(&self, action: &'static str) -> AuditEvent {
        let name = "tests".into();
        let actor = AuditActor {
            kind: ActorKind::System,
            id: None,
            name,
        };
        AuditEvent::new(self.clock.now(), actor, action, &origin())
    }

    /// Adds a new active seal key of the team, wrapped under the root key.
    pub(crate) async fn add_seal_key(&self, team: TeamId) -> KeyId {
        let keeper = policy::housekeeping();
        let (id, material) = (KeyId::generate().unwrap(), KeyMaterial::generate().unwrap());
        let purpose = Purpose::Seal;
        let binding = KeyBinding {
            purpose,
            team: *team.as_bytes(),
            key: id,
        };
        let (team_id, state, created_at) = (Some(team), KeyState::Active, self.clock.now());
        let key = DataKeyRow {
            id,
            team_id,
            purpose,
            state,
            created_at,
        };
        let envelope = self.root.wrap_key(&binding, &material).unwrap();
        let slot = KeySlotRow {
            data_key_id: id,
            root_id: self.root.id(),
            envelope,
            created_at,
        };
        let mut tx = self.store.begin().await.unwrap();
        tx.insert_data_key(&keeper, &key).await.unwrap();
        tx.insert_slot(&keeper, &slot).await.unwrap();
        tx.commit(&self.event("key.create"), &self.chain().await)
            .await
            .unwrap();
        id
    }

    /// Another team, with its key.
    pub(crate) async fn add_team(&self, name: &str) -> TeamId {
        let team = TeamId::generate(self.clock.now());
        let row = TeamRow {
            id: team,
            name: name.into(),
            created_at: self.clock.now(),
        };
        let mut tx = self.store.begin().await.unwrap();
        tx.insert_team(&policy::first_admin(0).unwrap(), &row)
            .await
            .unwrap();
        tx.commit(&self.event("team.create"), &self.chain().await)
            .await
            .unwrap();
        self.add_seal_key(team).await;
        team
    }

    /// Another person with the same password, a member of `team`, signed in.
    pub(crate) async fn person(&self, email: &str, team: TeamId, role: Role) -> Person {
        let permit = policy::first_admin(0).unwrap();
        let hash = format!("SELECT password_hash FROM users WHERE email = '{ADMIN}'");
        let now = self.clock.now();
        let user = UserRow {
            id: UserId::generate(now),
            email: email.into(),
            first_name: String::new(),
            last_name: String::new(),
            password_hash: self.db.one(&hash).await.text().to_owned(),
            state: UserState::Active,
            instance_admin: false,
            created_at: now,
            updated_at: now,
        };
        let membership = MembershipRow {
            user_id: user.id,
            team_id: team,
            role,
            created_at: now,
        };
        let mut tx = self.store.begin().await.unwrap();
        tx.insert_user(&permit, &user).await.unwrap();
        tx.insert_membership(&permit, &membership).await.unwrap();
        let event = self
            .event("membership.create")
            .in_team(team)
            .on("user", user.id.as_bytes(), email)
            .with("role", role.as_str());
        tx.commit(&event, &self.chain().await).await.unwrap();
        self.signed_in(email).await
    }

    pub(crate) async fn signed_in(&self, email: &str) -> Person {
        let signed_in = self.sign_in(email, PASSWORD, &origin()).await.unwrap();
        let (id, email) = (signed_in.me.id, signed_in.me.email);
        Person {
            id,
            email,
            token: signed_in.token.expose().clone(),
        }
    }

    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<nodeloom_app::SignedIn, AppError> {
        self.app
            .sign_in(email, secret(password), None, origin, Some("tests"))
            .await
    }

    pub(crate) async fn admin(&self) -> Person {
        self.signed_in(ADMIN).await
    }

    /// Stores a `BEARER_TOKEN` of this value.
    pub(crate) async fn add(&self, team: TeamId, name: &str, token: &str) -> CredentialView {
        self.create(&operator(), team, name, token).await.unwrap()
    }

    pub(crate) async fn create(
        &self,
        ctx: &Ctx,
        team: TeamId,
        name: &str,
        token: &str,
    ) -> Result<CredentialView, AppError> {
        let data = object(json!({ "token": token }));
        let (name, kind) = (name.into(), "BEARER_TOKEN".into());
        self.app
            .create_credential(
                ctx,
                NewCredential {
                    team,
                    name,
                    kind,
                    data,
                },
            )
            .await
    }

    pub(crate) async fn update(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        data: Value,
    ) -> Result<CredentialView, AppError> {
        let change = CredentialChange {
            data: Some(object(data)),
            ..Default::default()
        };
        self.app.update_credential(ctx, id, change).await
    }

    /// Its data, as the operator sees them.
    pub(crate) async fn reveal(&self, id: CredentialId) -> Result<Value, AppError> {
        reveal(&self.app, &operator(), id).await
    }

    pub(crate) async fn token_of(&self, id: CredentialId) -> Result<String, AppError> {
        token_of(&self.app, id).await
    }

    pub(crate) async fn names(&self, team: TeamId) -> Vec<String> {
        let list = ListCredentials {
            team,
            kind: None,
            search: None,
            page: 0,
            size: 100,
        };
        let listed = self.app.list_credentials(&operator(), list).await.unwrap();
        listed.items.into_iter().map(|view| view.name).collect()
    }

    pub(crate) async fn doctor(&self) -> DoctorReport {
        doctor(&self.app).await
    }

    /// `action outcome` of the newest events, the newest last.
    pub(crate) async fn last_events(&self, count: usize) -> Vec<String> {
        let sql = "SELECT action, outcome FROM audit_events ORDER BY sequence";
        let rows = self.db.rows(sql).await;
        let all = rows
            .iter()
            .map(|row| format!("{} {}", row[0].text(), row[1].text()));
        let skipped = rows.len().saturating_sub(count);
        all.skip(skipped).collect()
    }
}

pub(crate) async fn doctor(app: &App) -> DoctorReport {
    app.doctor(&operator(), &[], |_, _| {}).await.unwrap()
}

pub(crate) async fn reveal(app: &App, ctx: &Ctx, id: CredentialId) -> Result<Value, AppError> {
    let revealed = app.reveal_credential(ctx, id, None).await?;
    Ok(serde_json::from_slice(revealed.data.expose()).unwrap())
}

/// The value of a `BEARER_TOKEN`, as the operator sees it.
pub(crate) async fn token_of(app: &App, id: CredentialId) -> Result<String, AppError> {
    let data = reveal(app, &operator(), id).await?;
    Ok(data["token"].as_str().unwrap().to_owned())
}

/// Refused fields, each once.
pub(crate) fn fields_of(error: AppError) -> BTreeSet<String> {
    let AppError::Invalid(errors) = error else {
        panic!("{error:?} names no fields")
    };
    errors
        .0
        .into_iter()
        .map(|error| format!("{} {}", error.field, error.rule))
        .collect()
}
