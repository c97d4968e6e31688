//! A stored value that does not open is kept, named and counted; everything else works.

use nodeloom_app::{App, AppError, CredentialView};
use nodeloom_domain::TeamId;

use crate::support::{
    Cell, Db, World, assert_refused, doctor, object, on_both, operator, token_of, x,
};

on_both!(
    one_flipped_byte_quarantines_one_value,
    a_shorter_or_longer_envelope_is_quarantined,
    a_value_that_is_gone_does_not_open,
    a_value_whose_key_is_not_held_is_locked,
    a_damaged_slot_locks_and_never_quarantines,
    a_locked_key_lets_nothing_be_written,
    doctor_quarantines_and_clears_like_a_reveal,
);

const GOOD: &str = "value-of-the-first";

struct Vault {
    world: World,
    broken: CredentialView,
    other: CredentialView,
    envelope: Vec<u8>,
}

impl Vault {
    async fn new(db: Db) -> Self {
        let world = World::new(db).await;
        let broken = world.add(world.team, "First", GOOD).await;
        let other = world.add(world.team, "Second", "value-of-the-second").await;
        let at = x(broken.id.as_bytes());
        let sql = format!("SELECT envelope FROM sealed_values WHERE owner_id = {at}");
        let envelope = world.db.one(&sql).await.bytes().to_vec();
        Self {
            world,
            broken,
            other,
            envelope,
        }
    }

    async fn put(&self, envelope: &[u8]) {
        let (envelope, at) = (x(envelope), x(self.broken.id.as_bytes()));
        let sql = format!("UPDATE sealed_values SET envelope = {envelope} WHERE owner_id = {at}");
        assert_eq!(self.world.db.run(&sql).await, 1);
    }

    /// `state` and `reason` of the first value.
    async fn mark(&self) -> (String, Option<String>) {
        let at = x(self.broken.id.as_bytes());
        let sql = format!("SELECT state, reason FROM sealed_values WHERE owner_id = {at}");
        let row = self.world.db.rows(&sql).await.remove(0);
        let reason = match &row[1] {
            Cell::Null => None,
            cell => Some(cell.text().to_owned()),
        };
        (row[0].text().to_owned(), reason)
    }

    async fn the_rest_works(&self) {
        let world = &self.world;
        let other = world.token_of(self.other.id).await.unwrap();
        assert_eq!(other, "value-of-the-second");
        assert_eq!(world.names(world.team).await, ["First", "Second"]);
        let view = world
            .app
            .credential(&operator(), self.broken.id)
            .await
            .unwrap();
        assert_eq!(view.fields.keys().collect::<Vec<_>>(), ["token"]);
    }

    /// Puts a bad envelope in, looks at what happens, puts the good one back.
    async fn break_and_mend(&self, bad: &[u8], reason: &str, what: &str) {
        let world = &self.world;
        self.put(bad).await;
        assert_refused!(world.token_of(self.broken.id).await, AppError::Quarantined);
        let events = ["credential.reveal failed", "value.quarantine failed"];
        assert_eq!(world.last_events(2).await, events, "{what}");
        assert_eq!(
            self.mark().await,
            ("quarantined".into(), Some(reason.into())),
            "{what}"
        );
        let sql = "SELECT detail, target_name FROM audit_events ORDER BY sequence DESC LIMIT 1";
        let event = world.db.rows(sql).await.remove(0);
        assert!(
            event[0].text().contains(reason),
            "{what}: {}",
            event[0].text()
        );
        assert_eq!(event[1].text(), "First");
        self.the_rest_works().await;
        // Said once, not at every attempt.
        assert_refused!(world.token_of(self.broken.id).await, AppError::Quarantined);
        assert_eq!(
            world.last_events(1).await,
            ["credential.reveal failed"],
            "{what}"
        );

        self.put(&self.envelope).await;
        assert_eq!(
            world.token_of(self.broken.id).await.unwrap(),
            GOOD,
            "{what}"
        );
        let events = ["credential.reveal success", "value.clear success"];
        assert_eq!(world.last_events(2).await, events, "{what}");
        assert_eq!(self.mark().await, ("ok".into(), None), "{what}");
    }
}

async fn one_flipped_byte_quarantines_one_value(db: Db) {
    let vault = Vault::new(db).await;
    let last = vault.envelope.len() - 1;
    let unsupported = "unsupported format or suite";
    let (unknown, false_) = ("its key id belongs to no key", "not authentic in its place");
    for (at, reason, what) in [
        (0, unsupported, "format"),
        (1, unsupported, "suite"),
        (2, unknown, "first byte of the key id"),
        (9, unknown, "last byte of the key id"),
        (10, false_, "first byte of the nonce"),
        (33, false_, "last byte of the nonce"),
        (34, false_, "first byte of the ciphertext"),
        (last - 16, false_, "last byte of the ciphertext"),
        (last - 15, false_, "first byte of the tag"),
        (last, false_, "last byte of the tag"),
    ] {
        let mut bad = vault.envelope.clone();
        bad[at] ^= 0x80;
        vault.break_and_mend(&bad, reason, what).await;
    }
    assert!(!vault.world.doctor().await.needs_attention());
}

async fn a_shorter_or_longer_envelope_is_quarantined(db: Db) {
    let vault = Vault::new(db).await;
    let length = vault.envelope.len();
    for end in [0, 1, 2, 9, 10, 33, 34, 49] {
        let what = format!("{end} bytes");
        vault
            .break_and_mend(&vault.envelope[..end], "malformed envelope", &what)
            .await;
    }
    for end in [50, length - 16, length - 1] {
        let what = format!("{end} bytes");
        vault
            .break_and_mend(&vault.envelope[..end], "not authentic in its place", &what)
            .await;
    }
    for more in [&[0][..], &[0; 4096], &vault.envelope] {
        let bad = [&vault.envelope, more].concat();
        let what = format!("{} bytes more", more.len());
        vault
            .break_and_mend(&bad, "not authentic in its place", &what)
            .await;
    }
}

async fn a_value_that_is_gone_does_not_open(db: Db) {
    let vault = Vault::new(db).await;
    let at = x(vault.broken.id.as_bytes());
    vault
        .world
        .db
        .run(&format!("DELETE FROM sealed_values WHERE owner_id = {at}"))
        .await;
    assert_refused!(
        vault.world.token_of(vault.broken.id).await,
        AppError::Quarantined
    );
    assert_eq!(
        vault.world.last_events(1).await,
        ["credential.reveal failed"]
    );
    vault.the_rest_works().await;
}

/// Takes the slot of the team's key away and gives back the SQL that restores it.
async fn lock(world: &World, team: TeamId) -> String {
    let key = world.seal_key(team).await.id();
    let slot = world.store.slots_of(key).await.unwrap().remove(0);
    let at = x(key.as_bytes());
    world
        .db
        .run(&format!("DELETE FROM key_slots WHERE data_key_id = {at}"))
        .await;
    format!(
        "INSERT INTO key_slots (data_key_id, root_id, envelope, created_at) \
         VALUES ({at}, {}, {}, {})",
        x(slot.root_id.as_bytes()),
        x(&slot.envelope),
        slot.created_at.as_micros()
    )
}

async fn stays_locked(vault: &Vault, app: &App) {
    for _ in 0..2 {
        assert_refused!(token_of(app, vault.broken.id).await, AppError::Locked);
        assert_eq!(vault.mark().await, ("ok".into(), None));
        assert_eq!(
            vault.world.last_events(1).await,
            ["credential.reveal failed"]
        );
    }
    let report = doctor(app).await;
    let states: Vec<&str> = report.unopened.iter().map(|value| value.state).collect();
    assert_eq!((states, report.values_unopened), (vec!["locked"; 2], 2));
    assert!(report.needs_attention());
    assert_eq!(
        vault.mark().await,
        ("ok".into(), None),
        "locked is computed, never stored"
    );
    assert_eq!(
        vault
            .world
            .db
            .count("audit_events WHERE action = 'value.quarantine'")
            .await,
        0
    );
}

async fn a_value_whose_key_is_not_held_is_locked(db: Db) {
    let vault = Vault::new(db).await;
    let elsewhere = vault.world.add_team("Elsewhere").await;
    let free = vault
        .world
        .add(elsewhere, "Free", "value-of-another-team")
        .await;
    let back = lock(&vault.world, vault.world.team).await;
    let app = vault.world.other_process().await;
    stays_locked(&vault, &app).await;
    assert_eq!(
        token_of(&app, free.id).await.unwrap(),
        "value-of-another-team"
    );
    vault.world.db.run(&back).await;
    assert_eq!(
        token_of(&app, vault.broken.id).await.unwrap(),
        GOOD,
        "opens without a restart"
    );
    assert!(!doctor(&app).await.needs_attention());
}

async fn a_damaged_slot_locks_and_never_quarantines(db: Db) {
    let vault = Vault::new(db).await;
    let world = &vault.world;
    let key = world.seal_key(world.team).await.id();
    let good = world.store.slots_of(key).await.unwrap().remove(0).envelope;
    let at = x(key.as_bytes());
    for place in [0, 2, 20, 60, 81] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        let bad = x(&bad);
        world
            .db
            .run(&format!(
                "UPDATE key_slots SET envelope = {bad} WHERE data_key_id = {at}"
            ))
            .await;
        stays_locked(&vault, &world.other_process().await).await;
    }
    let back = x(&good);
    world
        .db
        .run(&format!(
            "UPDATE key_slots SET envelope = {back} WHERE data_key_id = {at}"
        ))
        .await;
    let app = world.other_process().await;
    assert_eq!(token_of(&app, vault.broken.id).await.unwrap(), GOOD);
}

async fn a_locked_key_lets_nothing_be_written(db: Db) {
    let vault = Vault::new(db).await;
    let (world, team) = (&vault.world, vault.world.team);
    lock(world, team).await;
    let app = world.other_process().await;
    let before = world.db.dump().await;
    let data = || Some(object(serde_json::json!({ "token": "new-value" })));
    let (name, kind) = ("Third".into(), "BEARER_TOKEN".into());
    let new = nodeloom_app::NewCredential {
        team,
        name,
        kind,
        data: data().unwrap(),
    };
    assert_refused!(
        app.create_credential(&operator(), new).await,
        AppError::Locked
    );
    let change = nodeloom_app::CredentialChange {
        data: data(),
        ..Default::default()
    };
    let changed = app
        .update_credential(&operator(), vault.broken.id, change)
        .await;
    assert_refused!(changed, AppError::Locked);
    assert_eq!(world.db.dump().await, before);
    // What needs no key goes on.
    let name = Some("Renamed".to_owned());
    let change = nodeloom_app::CredentialChange {
        name,
        ..Default::default()
    };
    app.update_credential(&operator(), vault.broken.id, change)
        .await
        .unwrap();
    app.delete_credential(&operator(), vault.other.id, None)
        .await
        .unwrap();
}

async fn doctor_quarantines_and_clears_like_a_reveal(db: Db) {
    let vault = Vault::new(db).await;
    let mut bad = vault.envelope.clone();
    bad[40] ^= 1;
    vault.put(&bad).await;
    let report = vault.world.doctor().await;
    let [value] = report.unopened.as_slice() else {
        panic!("{:?}", report.unopened)
    };
    assert_eq!(value.owner_id, vault.broken.id.to_string());
    assert_eq!(value.owner_name.as_deref(), Some("First"));
    assert_eq!((value.state, value.generation), ("quarantined", 1));
    assert_eq!(report.values_good, 1);
    let count: u64 = report
        .keys
        .census
        .iter()
        .filter(|l| l.state == "quarantined")
        .map(|l| l.count)
        .sum();
    assert_eq!(count, 1, "the census counts it");
    assert_eq!(vault.mark().await.0, "quarantined");
    assert_eq!(
        vault.world.last_events(1).await,
        ["value.quarantine failed"]
    );
    vault.put(&vault.envelope).await;
    assert!(!vault.world.doctor().await.needs_attention());
    assert_eq!(vault.mark().await.0, "ok");
    assert_eq!(vault.world.last_events(1).await, ["value.clear success"]);
}
