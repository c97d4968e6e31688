//! A stored value opens only in the place it was sealed for: rows moved, copied and
//! re-pointed, with their columns rewritten to match.

use nodeloom_app::{App, AppError, CredentialView};
use nodeloom_crypto::{Binding, Purpose};
use nodeloom_domain::{CredentialId, TeamId};
use proptest::{collection::vec, prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::json;

use crate::support::{Db, World, doctor, on_both, token_of, x};

on_both!(
    a_value_of_another_record_never_opens,
    a_value_of_another_team_never_opens,
    a_value_of_another_generation_never_opens,
    a_value_of_another_kind_or_field_never_opens,
    a_key_of_another_team_or_purpose_never_opens,
    no_shuffle_of_columns_shows_a_foreign_value,
);

/// What is stored in the tables that a transplant touches, to begin again from.
const TABLES: [&str; 4] = ["sealed_values", "credentials", "data_keys", "key_slots"];

/// A and B of one team, each at generation 2; C of another.
struct Vault {
    world: World,
    a: CredentialView,
    b: CredentialView,
    c: CredentialView,
    other: TeamId,
}

impl Vault {
    async fn new(db: Db) -> Self {
        let world = World::new(db).await;
        let (team, other) = (world.team, world.add_team("Other").await);
        let a = world.add(team, "A", "former-value-of-a").await;
        let b = world.add(team, "B", "former-value-of-b").await;
        let c = world.add(other, "C", "value-of-c").await;
        let operator = crate::support::operator();
        world
            .update(&operator, a.id, json!({"token": "value-of-a"}))
            .await
            .unwrap();
        world
            .update(&operator, b.id, json!({"token": "value-of-b"}))
            .await
            .unwrap();
        for table in TABLES {
            world
                .db
                .run(&format!(
                    "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
                ))
                .await;
        }
        Self {
            world,
            a,
            b,
            c,
            other,
        }
    }

    async fn restore(&self) {
        for table in TABLES {
            let sql =
                format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}");
            self.world.db.run(&sql).await;
        }
    }

    fn own(&self) -> [(CredentialId, &'static str); 3] {
        [
            (self.a.id, "value-of-a"),
            (self.b.id, "value-of-b"),
            (self.c.id, "value-of-c"),
        ]
    }

    /// `NAME[n]` of a statement: the condition for the row of that name's generation n.
    fn sql(&self, text: &str) -> String {
        let mut sql = text
            .replace("TEAM1", &x(self.world.team.as_bytes()))
            .replace("TEAM2", &x(self.other.as_bytes()));
        for (name, view) in [("A", &self.a), ("B", &self.b), ("C", &self.c)] {
            let id = x(view.id.as_bytes());
            for n in 1..=2 {
                let at = format!("owner_id = {id} AND generation = {n}");
                sql = sql.replace(&format!("{name}[{n}]"), &at);
            }
            sql = sql.replace(&format!("ID({name})"), &id);
        }
        sql
    }

    /// No credential shows anything but its own value; the `broken` ones show nothing.
    async fn holds(&self, app: &App, broken: &[CredentialId], what: &str) {
        for (id, own) in self.own() {
            match token_of(app, id).await {
                Ok(shown) => {
                    assert_eq!(shown, own, "{what}: a foreign value was shown");
                    assert!(!broken.contains(&id), "{what}: {own} opens");
                }
                Err(AppError::Quarantined | AppError::Locked) => {
                    assert!(broken.contains(&id), "{what}: {own} does not open");
                }
                Err(other) => panic!("{what}: {other:?}"),
            }
        }
    }

    /// Runs the statements, then asks a process that has opened everything before, a
    /// fresh one, and doctor.
    async fn case(&self, what: &str, sql: &str, broken: &[&CredentialView]) {
        let broken: Vec<CredentialId> = broken.iter().map(|view| view.id).collect();
        self.holds(&self.world.app, &[], &format!("before {what}"))
            .await;
        self.world.db.run(&self.sql(sql)).await;
        let fresh = self.world.other_process().await;
        self.holds(&self.world.app, &broken, what).await;
        self.holds(&fresh, &broken, what).await;
        self.named_by_doctor(&fresh, &broken, what).await;
        self.restore().await;
        self.holds(&fresh, &[], &format!("after {what}")).await;
    }

    /// As [`Vault::case`], for keys: a process that unwrapped the key before goes on with
    /// it, and shows no more than each credential's own value.
    async fn key_case(&self, what: &str, sql: &str, broken: &[&CredentialView]) {
        let broken: Vec<CredentialId> = broken.iter().map(|view| view.id).collect();
        self.world.db.run(&self.sql(sql)).await;
        self.holds(&self.world.app, &[], what).await;
        let fresh = self.world.other_process().await;
        self.holds(&fresh, &broken, what).await;
        self.named_by_doctor(&fresh, &broken, what).await;
        self.restore().await;
        self.holds(&fresh, &[], &format!("after {what}")).await;
        assert!(!doctor(&fresh).await.needs_attention(), "after {what}");
    }

    async fn named_by_doctor(&self, app: &App, broken: &[CredentialId], what: &str) {
        let report = doctor(app).await;
        assert!(report.needs_attention(), "{what}: doctor is content");
        for id in broken {
            let id = id.to_string();
            let named = report.unopened.iter().any(|value| value.owner_id == id)
                || report.findings.iter().any(|finding| finding.contains(&id));
            assert!(named, "{what}: doctor does not name {id}: {report:?}");
        }
    }
}

async fn a_value_of_another_record_never_opens(db: Db) {
    let vault = Vault::new(db).await;
    let (a, b) = (&vault.a, &vault.b);
    let copy = "UPDATE sealed_values SET envelope = \
        (SELECT envelope FROM kept_sealed_values WHERE B[2]) WHERE A[2]";
    vault.case("B's envelope in A's row", copy, &[a]).await;
    let swap = format!(
        "{copy}; UPDATE sealed_values SET envelope = \
         (SELECT envelope FROM kept_sealed_values WHERE A[2]) WHERE B[2]"
    );
    vault.case("two envelopes swapped", &swap, &[a, b]).await;
    let moved = "DELETE FROM sealed_values WHERE A[2]; \
        UPDATE sealed_values SET owner_id = ID(A) WHERE B[2]";
    vault.case("B's row moved to A", moved, &[a, b]).await;
    let owners = "UPDATE sealed_values SET owner_id = TEAM1 WHERE owner_id = ID(A); \
        UPDATE sealed_values SET owner_id = ID(A) WHERE owner_id = ID(B); \
        UPDATE sealed_values SET owner_id = ID(B) WHERE owner_id = TEAM1";
    vault
        .case("all rows of two owners swapped", owners, &[a, b])
        .await;
    let copied = "DELETE FROM sealed_values WHERE A[2]; INSERT INTO sealed_values \
        SELECT X'000102030405060708090a0b0c0d0e0f', team_id, kind, ID(A), field, generation, \
        key_id, envelope, state, reason, created_at FROM kept_sealed_values WHERE B[2]";
    vault.case("B's row copied to A", copied, &[a]).await;
}

async fn a_value_of_another_team_never_opens(db: Db) {
    let vault = Vault::new(db).await;
    let (a, b, c) = (&vault.a, &vault.b, &vault.c);
    let from_c = |columns: &str| {
        format!(
            "UPDATE sealed_values SET ({columns}) = \
             (SELECT {columns} FROM kept_sealed_values WHERE C[1]) WHERE A[2]"
        )
    };
    let one = from_c("envelope").replace("(envelope) =", "envelope =");
    vault.case("C's envelope in A's row", &one, &[a]).await;
    vault
        .case(
            "C's envelope and key in A's row",
            &from_c("envelope, key_id"),
            &[a],
        )
        .await;
    let moved = "DELETE FROM sealed_values WHERE A[2]; UPDATE sealed_values \
        SET team_id = TEAM1, owner_id = ID(A), generation = 2 WHERE C[1]";
    vault
        .case("C's row moved to A, columns to match", moved, &[a, c])
        .await;
    let record = "UPDATE credentials SET team_id = TEAM2 WHERE id = ID(A)";
    vault
        .case("A's record in the other team", record, &[a])
        .await;
    let both = format!("{record}; UPDATE sealed_values SET team_id = TEAM2 WHERE owner_id = ID(A)");
    vault
        .case("A's record and rows in the other team", &both, &[a])
        .await;
    let keyed = format!(
        "{both}; UPDATE sealed_values SET key_id = (SELECT key_id FROM kept_sealed_values \
         WHERE C[1]) WHERE owner_id = ID(A)"
    );
    vault
        .case(
            "A moved to the other team with its key column",
            &keyed,
            &[a],
        )
        .await;

    // The key id inside the envelope, too.
    let foreign = vault.world.seal_key(vault.other).await.id();
    let sql = vault.sql("SELECT envelope FROM sealed_values WHERE A[2]");
    let mut envelope = vault.world.db.one(&sql).await.bytes().to_vec();
    envelope[2..10].copy_from_slice(foreign.as_bytes());
    let (envelope, foreign) = (x(&envelope), x(foreign.as_bytes()));
    let named = format!("UPDATE sealed_values SET envelope = {envelope} WHERE A[2]");
    vault
        .case("A's envelope names the other team's key", &named, &[a])
        .await;
    let set = format!("UPDATE sealed_values SET envelope = {envelope}, key_id = {foreign}");
    let renamed = format!("{set} WHERE A[2]");
    vault
        .case(
            "A's envelope and row name the other team's key",
            &renamed,
            &[a],
        )
        .await;
    // Sealed by somebody who may use the other team's key, in the name of A.
    let key = vault.world.seal_key(vault.other).await;
    let (own, id) = (*vault.world.team.as_bytes(), *a.id.as_bytes());
    let place = Binding::of_record(*vault.other.as_bytes(), "credential", id, "data", 2);
    assert!(
        key.seal(&Binding::of_record(own, "credential", id, "data", 2), b"{}")
            .is_err()
    );
    let planted = x(&key.seal(&place, br#"{"token":"planted"}"#).unwrap());
    let set = format!("UPDATE sealed_values SET envelope = {planted}, key_id = {foreign}");
    vault
        .case(
            "sealed for A under the other team's key",
            &format!("{set} WHERE A[2]"),
            &[a],
        )
        .await;
    // A census by a false column would let a key go while values need it.
    let column = format!("UPDATE sealed_values SET key_id = {foreign} WHERE A[2]");
    vault
        .case(
            "only the key column names the other team's key",
            &column,
            &[],
        )
        .await;
    let zeros = "UPDATE sealed_values SET team_id = X'00000000000000000000000000000000'";
    vault
        .case("rows of the instance", &format!("{zeros} WHERE B[2]"), &[b])
        .await;
}

async fn a_value_of_another_generation_never_opens(db: Db) {
    let vault = Vault::new(db).await;
    let a = &vault.a;
    let former = "UPDATE sealed_values SET envelope = \
        (SELECT envelope FROM kept_sealed_values WHERE A[1]) WHERE A[2]";
    vault
        .case("the former envelope in the newest row", former, &[a])
        .await;
    let renumbered = "DELETE FROM sealed_values WHERE A[2]; \
        UPDATE sealed_values SET generation = 2 WHERE A[1]";
    vault
        .case("the former row as the newest", renumbered, &[a])
        .await;
    let swapped = "UPDATE sealed_values SET generation = 9 WHERE A[1]; \
        UPDATE sealed_values SET generation = 1 WHERE A[2]; \
        UPDATE sealed_values SET generation = 2 WHERE owner_id = ID(A) AND generation = 9";
    vault.case("two generations swapped", swapped, &[a]).await;
    let ahead = "UPDATE credentials SET generation = 3 WHERE id = ID(A)";
    vault
        .case("the record names a generation that never was", ahead, &[a])
        .await;
    let both = format!("{ahead}; UPDATE sealed_values SET generation = 3 WHERE A[2]");
    vault.case("record and row renumbered", &both, &[a]).await;
    // The record set back to generation 1 shows A's own former value; doctor tells, see
    // evidence.rs.
}

async fn a_value_of_another_kind_or_field_never_opens(db: Db) {
    let vault = Vault::new(db).await;
    let a = &vault.a;
    let kind = "UPDATE sealed_values SET kind = 'oauth-app' WHERE A[2]";
    vault.case("A's row of another kind", kind, &[a]).await;
    let field = "UPDATE sealed_values SET field = 'token' WHERE A[2]";
    vault.case("A's row of another field", field, &[a]).await;
    // Sealed for the same record under the right key, as another sort of value.
    let key = vault.world.seal_key(vault.world.team).await;
    let (team, id) = (*vault.world.team.as_bytes(), *a.id.as_bytes());
    for (kind, field) in [("oauth-app", "data"), ("credential", "token")] {
        let place = Binding::of_record(team, kind, id, field, 2);
        let sealed = x(&key.seal(&place, br#"{"token":"of-another-sort"}"#).unwrap());
        let sql = format!("UPDATE sealed_values SET envelope = {sealed} WHERE A[2]");
        vault
            .case(&format!("sealed as {kind} {field}"), &sql, &[a])
            .await;
    }
}

async fn a_key_of_another_team_or_purpose_never_opens(db: Db) {
    let vault = Vault::new(db).await;
    let (a, b, c) = (&vault.a, &vault.b, &vault.c);
    let world = &vault.world;
    let key1 = x(world.seal_key(world.team).await.id().as_bytes());
    let key2 = x(world.seal_key(vault.other).await.id().as_bytes());
    let index = x(world.active(None, Purpose::Index).await.id.as_bytes());
    vault
        .holds(&world.app, &[], "before any key is moved")
        .await;

    let owner = format!(
        "UPDATE data_keys SET state = 'draining' WHERE id = {key2}; \
         UPDATE data_keys SET team_id = TEAM2 WHERE id = {key1}"
    );
    vault
        .key_case("the key of team 1 given to team 2", &owner, &[a, b])
        .await;
    let exchanged = format!("{owner}; UPDATE data_keys SET team_id = TEAM1 WHERE id = {key2}");
    vault
        .key_case("two teams' keys exchanged", &exchanged, &[a, b, c])
        .await;
    let nobody =
        format!("UPDATE data_keys SET team_id = NULL, state = 'draining' WHERE id = {key1}");
    vault
        .key_case("the key of team 1 given to the instance", &nobody, &[a, b])
        .await;
    let slot = |to: &str, from: &str| {
        format!(
            "UPDATE key_slots SET envelope = (SELECT envelope FROM kept_key_slots \
             WHERE data_key_id = {from}) WHERE data_key_id = {to}"
        )
    };
    let slots = format!("{}; {}", slot(&key1, &key2), slot(&key2, &key1));
    vault
        .key_case("two teams' slots swapped", &slots, &[a, b, c])
        .await;
    vault
        .key_case("one team's slot for both", &slot(&key2, &key1), &[c])
        .await;
    vault
        .key_case(
            "the index key's slot for team 1",
            &slot(&key1, &index),
            &[a, b],
        )
        .await;
    let purpose = format!("UPDATE data_keys SET purpose = 'index' WHERE id = {key1}");
    vault
        .key_case("the key of team 1 for another purpose", &purpose, &[a, b])
        .await;
    // The index key, made one of team 1's, and A's envelope naming it.
    let sql = vault.sql("SELECT envelope FROM sealed_values WHERE A[2]");
    let mut envelope = world.db.one(&sql).await.bytes().to_vec();
    let id = world.active(None, Purpose::Index).await.id;
    envelope[2..10].copy_from_slice(id.as_bytes());
    let envelope = x(&envelope);
    let set = format!("UPDATE sealed_values SET envelope = {envelope}, key_id = {index}");
    vault
        .case(
            "A's envelope names the index key",
            &format!("{set} WHERE A[2]"),
            &[a],
        )
        .await;
}

/// Columns that are copied at random from one row to another.
const COLUMNS: [&str; 7] = [
    "team_id",
    "kind",
    "owner_id",
    "field",
    "generation",
    "key_id",
    "envelope",
];

async fn no_shuffle_of_columns_shows_a_foreign_value(db: Db) {
    let vault = Vault::new(db).await;
    let rows = ["A[1]", "A[2]", "B[1]", "B[2]", "C[1]"];
    let step = (
        0..rows.len(),
        0..rows.len(),
        vec(any::<bool>(), COLUMNS.len()),
    );
    let strategy = vec(step, 1..6);
    let mut runner = TestRunner::deterministic();
    let app = vault.world.other_process().await;
    for _ in 0..40 {
        let steps = strategy.new_tree(&mut runner).unwrap().current();
        for (from, to, columns) in &steps {
            for (column, _) in COLUMNS.iter().zip(columns).filter(|(_, chosen)| **chosen) {
                let (from, to) = (rows[*from], rows[*to]);
                let sql = format!(
                    "UPDATE sealed_values SET {column} = \
                     (SELECT {column} FROM kept_sealed_values WHERE {from}) WHERE {to}"
                );
                // Two rows of one place are refused by the database; the rest goes on.
                let _ = vault.world.db.try_run(&vault.sql(&sql)).await;
            }
        }
        for (id, own) in vault.own() {
            match token_of(&app, id).await {
                Ok(shown) => assert_eq!(shown, own, "{steps:?}"),
                Err(AppError::Quarantined) => {}
                Err(other) => panic!("{steps:?}: {other:?}"),
            }
        }
        vault.restore().await;
    }
}
