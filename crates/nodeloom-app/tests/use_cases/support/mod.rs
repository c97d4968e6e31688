//! A world per test: an instance on a fresh database, a clock that stands still, and a
//! second connection for whoever writes into the database behind the program's back.

mod db;
pub(crate) mod provider;

use std::collections::BTreeSet;

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
    DataKeyRow, KeySlotRow, KeyState, MembershipRow, Store, TeamRow, UserRow, UserState,
};
use serde_json::{Map, Value, json};

pub(crate) use db::{Cell, Db, hex, x};

/// 2023-11-14T22:13:20Z.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(crate) const ROOT: &str = "a root string of the tests, 0123456789abcdef";
pub(crate) const PASSWORD: &str = "a fine long password of the tests";
pub(crate) const ADMIN: &str = "ada@example.com";
/// 32 bytes of 7, as a token writes them, and their SHA-256 in hexadecimal.
pub(crate) const SEVENS: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
pub(crate) const SHA_256_OF_SEVENS: &str =
    "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0";

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
    Ctx::new(origin(), Who::Session(token))
}

/// A command on the machine.
pub(crate) fn operator() -> Ctx {
    let who = Who::Operator {
        user: "root".into(),
        host: "vault".into(),
    };
    Ctx::new(origin(), who)
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
        let own = slots.iter().find(|slot| slot.root_id == self.root.id());
        self.root
            .unwrap_key(&binding, &own.unwrap().envelope)
            .unwrap()
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
            break_glass: false,
            password_changed_at: None,
            last_sign_in_at: None,
            totp_generation: None,
            totp_last_step: None,
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

    /// As [`World::add`], through another process.
    pub(crate) async fn add_with(
        &self,
        app: &App,
        team: TeamId,
        name: &str,
        token: &str,
    ) -> CredentialView {
        let new = NewCredential {
            team,
            name: name.into(),
            kind: "BEARER_TOKEN".into(),
            data: object(json!({ "token": token })),
        };
        app.create_credential(&operator(), new).await.unwrap()
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
            ..ListCredentials::of(team)
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
