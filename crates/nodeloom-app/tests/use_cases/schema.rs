//! Where secrets may lie: a walk over every column after a full life.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use data_encoding::BASE32_NOPAD;
use nodeloom_app::{CredentialChange, NewCredential};
use nodeloom_domain::Role;
use serde_json::{Value, json};

use crate::support::{
    Cell, Db, PASSWORD, ROOT, World, ctx, from_address, hex, new_admin, object, on_both, operator,
    origin, reveal, secret,
};

on_both!(
    no_secret_is_in_any_column,
    envelopes_lie_in_two_columns,
    every_binary_column_has_been_reviewed,
);

/// Every credential type with a secret in it; some need escapes in JSON.
fn secrets() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    vec![
        (
            "BEARER_TOKEN",
            json!({"token": "canary-bearer-1"}),
            vec!["canary-bearer-1"],
        ),
        (
            "API_KEY",
            json!({"apiKey": "canary-api-key-2"}),
            vec!["canary-api-key-2"],
        ),
        (
            "HTTP_BASIC",
            json!({"username": "ada", "password": "canary \"quoted\" \\ 3"}),
            vec!["canary \"quoted\" \\ 3"],
        ),
        (
            "HTTP_HEADER",
            json!({"name": "X-Key", "value": "canary-header-é-4"}),
            vec!["canary-header-é-4"],
        ),
        (
            "CUSTOM_JSON",
            json!({"json": {"inside": ["canary-json-5"], "canary-name-6": 1}}),
            vec!["canary-json-5", "canary-name-6"],
        ),
        (
            "POSTGRESQL",
            json!({
                "host": "db", "database": "d", "username": "u", "password": "canary-database-7"
            }),
            vec!["canary-database-7"],
        ),
        (
            "OPENAI",
            json!({"apiKey": "canary-openai-8"}),
            vec!["canary-openai-8"],
        ),
    ]
}

/// Lives through everything that touches a secret; gives back what must not be found.
async fn live(db: Db) -> (World, Vec<Vec<u8>>) {
    let world = World::bare(db).await;
    let mut canaries: Vec<Vec<u8>> = vec![PASSWORD.into(), ROOT.into()];
    let mut token = |text: &str| {
        let (_, half) = text.split_once('.').unwrap();
        canaries.push(half.as_bytes().to_vec());
        canaries.push(URL_SAFE_NO_PAD.decode(half).unwrap());
    };
    let code = world.app.issue_set_up_code(&origin()).await.unwrap();
    token(code.expose());
    let (from, agent) = (from_address("192.0.2.1"), Some("a browser"));
    let made = world
        .app
        .redeem_set_up_code(code.expose(), new_admin(), &from, agent)
        .await;
    let first = made.unwrap().token.expose().clone();
    token(&first);
    let refreshed = world.app.refresh_session(&ctx(&first)).await.unwrap();
    token(refreshed.token.expose());
    let proved = world
        .app
        .reauthenticate(&ctx(refreshed.token.expose()), secret(PASSWORD))
        .await;
    let proved = proved.unwrap().token.expose().clone();
    token(&proved);
    let invitation = super::invitation::invite(&world, "guest@example.com").await;
    token(invitation.code.expose());
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    token(&viewer.token);
    let wish = super::token::wish(world.team, Role::Viewer);
    token(&super::token::made(&world, &viewer, wish).await);
    let (shared, codes) = super::second_factor::enable(&world, &viewer).await;
    canaries.push(BASE32_NOPAD.decode(shared.as_bytes()).unwrap());
    canaries.push(shared.into());
    for code in codes {
        canaries.push(code.replace('-', "").into());
        canaries.push(code.into());
    }
    let wrong = "canary-wrong-password";
    assert!(
        world
            .sign_in("ada@example.com", wrong, &origin())
            .await
            .is_err()
    );
    canaries.push(wrong.into());

    let ctx = ctx(&proved);
    for (kind, data, texts) in secrets() {
        canaries.extend(texts.iter().map(|text| text.as_bytes().to_vec()));
        let (name, former) = (format!("The {kind}"), kind.to_owned());
        let new = NewCredential {
            team: world.team,
            name,
            kind: former,
            data: object(data.clone()),
        };
        let id = world.app.create_credential(&ctx, new).await.unwrap().id;
        reveal(&world.app, &ctx, id).await.unwrap();
        let change = CredentialChange {
            data: Some(object(data)),
            ..Default::default()
        };
        world.app.update_credential(&ctx, id, change).await.unwrap();
        assert!(reveal(&world.app, &viewer.ctx(), id).await.is_err());
        let bad = json!({"canary-as-a-field-name": "canary-in-a-wrong-field"});
        assert!(world.update(&ctx, id, bad).await.is_err());
    }
    canaries.push("canary-in-a-wrong-field".into());
    let gone = world.add(world.team, "Gone", "canary-deleted-9").await.id;
    canaries.push("canary-deleted-9".into());
    world.app.delete_credential(&ctx, gone, None).await.unwrap();
    let broken = world.add(world.team, "Broken", "canary-broken-10").await.id;
    canaries.push("canary-broken-10".into());
    let at = crate::support::x(broken.as_bytes());
    let sql = format!(
        "UPDATE sealed_values SET key_id = key_id, envelope = {} ",
        cut(&world).await
    );
    world.db.run(&format!("{sql} WHERE owner_id = {at}")).await;
    assert!(world.token_of(broken).await.is_err());
    world.doctor().await;
    world.app.checkpoint().await.unwrap();
    for (_, material) in world.all_keys().await {
        canaries.push(material.expose().to_vec());
    }
    (world, canaries)
}

/// An envelope of the last value that lost its last byte.
async fn cut(world: &World) -> String {
    let sql = "SELECT envelope FROM sealed_values ORDER BY id DESC LIMIT 1";
    let envelope = world.db.one(sql).await.bytes().to_vec();
    crate::support::x(&envelope[..envelope.len() - 1])
}

/// The ways in which bytes can be written down.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![
        bytes.to_vec(),
        hex(bytes).into_bytes(),
        hex(bytes).to_uppercase().into_bytes(),
        STANDARD.encode(bytes).into_bytes(),
        URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
    ];
    // Inside a longer text that is encoded as a whole, at each of three offsets.
    for shift in 0..3 {
        let text = STANDARD_NO_PAD.encode([&vec![0; shift], bytes].concat());
        let (skip, end) = ([0, 2, 3][shift], (shift + bytes.len()) / 3 * 4);
        forms.push(text.as_bytes()[skip..end].to_vec());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let quoted = serde_json::to_string(text).unwrap();
        let inside = &quoted[1..quoted.len() - 1];
        forms.push(inside.into());
        let twice = serde_json::to_string(inside).unwrap();
        forms.push(twice[1..twice.len() - 1].into());
    }
    forms
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

async fn no_secret_is_in_any_column(db: Db) {
    let (world, canaries) = live(db).await;
    let forms: Vec<Vec<u8>> = canaries.iter().flat_map(|bytes| forms(bytes)).collect();
    let mut cells = 0;
    for (table, rows) in world.db.dump().await {
        for cell in rows.iter().flatten() {
            let bytes = match cell {
                Cell::Text(text) => text.as_bytes(),
                Cell::Bytes(bytes) => bytes,
                Cell::Int(_) | Cell::Null => continue,
            };
            cells += 1;
            for form in &forms {
                let shown = String::from_utf8_lossy(form);
                assert!(!holds(bytes, form), "{table} holds {shown}");
            }
        }
    }
    assert!(cells > 500, "the walk saw {cells} cells");
    // Free pages and the write-ahead log, too.
    let Some(folder) = world.db.folder() else {
        return;
    };
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        files += 1;
        for form in &forms {
            let shown = String::from_utf8_lossy(form);
            assert!(!holds(&bytes, form), "{} holds {shown}", path.display());
        }
    }
    assert!(files >= 2, "the database and its log");
}

async fn envelopes_lie_in_two_columns(db: Db) {
    let (world, _) = live(db).await;
    let mut heads: Vec<Vec<u8>> = Vec::new();
    for (id, _) in world.all_keys().await {
        heads.push([&[1, 1][..], id.as_bytes()].concat());
    }
    heads.push([&[1, 1][..], world.root.id().as_bytes()].concat());
    let names = columns(&world).await;
    let (mut seen, mut elsewhere) = (0, Vec::new());
    for (table, column, _) in &names {
        let rows = world
            .db
            .rows(&format!("SELECT {column} FROM {table}"))
            .await;
        for cell in rows.iter().flatten() {
            let found = match cell {
                Cell::Bytes(bytes) => heads.iter().any(|head| holds(bytes, head)),
                Cell::Text(text) => heads.iter().any(|head| {
                    let plain = &STANDARD_NO_PAD.encode(head)[..13];
                    holds(text.as_bytes(), hex(head).as_bytes())
                        || holds(text.as_bytes(), plain.as_bytes())
                }),
                Cell::Int(_) | Cell::Null => false,
            };
            let place = (table.as_str(), column.as_str());
            let allowed = [("sealed_values", "envelope"), ("key_slots", "envelope")];
            match (found, allowed.contains(&place)) {
                (true, true) => seen += 1,
                (true, false) => elsewhere.push(place),
                (false, true) => panic!("{place:?} holds something that is no envelope"),
                (false, false) => {}
            }
        }
    }
    assert!(elsewhere.is_empty(), "envelopes in {elsewhere:?}");
    assert!(seen > 15, "the walk saw {seen} envelopes");
}

/// Table, column and type, in that order.
async fn columns(world: &World) -> Vec<(String, String, String)> {
    let sql = if world.db.is_sqlite() {
        "SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_info(t.name) c \
         WHERE t.type = 'table' ORDER BY 1, 2"
    } else {
        "SELECT table_name::text, column_name::text, data_type::text \
         FROM information_schema.columns WHERE table_schema = 'public' \
         ORDER BY table_name COLLATE \"C\", column_name COLLATE \"C\""
    };
    let rows = world.db.rows(sql).await;
    let text = |cell: &Cell| cell.text().to_owned();
    rows.iter()
        .map(|row| (text(&row[0]), text(&row[1]), text(&row[2])))
        .collect()
}

/// Columns of bytes, and why each is no hiding place. Whoever adds one says so here.
const REVIEWED: &[(&str, &str)] = &[
    ("api_tokens.id", "an id"),
    ("api_tokens.index_key_id", "an id"),
    ("api_tokens.tag", "a keyed hash"),
    ("api_tokens.team_id", "an id"),
    ("api_tokens.user_id", "an id"),
    ("audit_checkpoints.mac", "a link of the chain"),
    ("audit_checkpoints.public_key", "public"),
    ("audit_checkpoints.sign_key_id", "an id"),
    ("audit_checkpoints.signature", "public"),
    ("audit_events.actor_id", "an id"),
    ("audit_events.id", "an id"),
    ("audit_events.key_id", "an id"),
    ("audit_events.mac", "a link of the chain"),
    ("audit_events.target_id", "an id"),
    ("audit_events.team_id", "an id"),
    ("audit_head.key_id", "an id"),
    ("audit_head.mac", "a link of the chain"),
    ("audit_seams.key_id", "an id"),
    ("audit_seams.mac", "a link of the chain"),
    ("audit_seams.public_key", "public"),
    ("audit_seams.sign_key_id", "an id"),
    ("audit_seams.signature", "public"),
    ("audit_sink_cursor.owner_id", "an id"),
    ("credential_counts.team_id", "an id"),
    ("credential_reminders.credential_id", "an id"),
    ("credential_tag_counts.team_id", "an id"),
    ("credential_tags.credential_id", "an id"),
    ("credential_tags.team_id", "an id"),
    ("credential_uses.consumer_id", "an id"),
    ("credential_uses.credential_id", "an id"),
    ("credential_versions.created_by", "an id"),
    ("credential_versions.credential_id", "an id"),
    ("credential_words.credential_id", "an id"),
    ("credential_words.team_id", "an id"),
    ("credentials.created_by", "an id"),
    ("credentials.deleted_by", "an id"),
    ("credentials.id", "an id"),
    ("credentials.owner_id", "an id"),
    ("credentials.team_id", "an id"),
    ("credentials.updated_by", "an id"),
    ("data_keys.id", "an id"),
    ("data_keys.team_id", "an id"),
    ("idempotency_keys.actor_id", "an id"),
    ("idempotency_keys.index_key_id", "an id"),
    ("idempotency_keys.tag", "a keyed hash"),
    ("idempotency_keys.target_id", "an id"),
    ("instance.id", "an id"),
    ("invitations.created_by", "an id"),
    ("invitations.id", "an id"),
    ("invitations.index_key_id", "an id"),
    ("invitations.tag", "a keyed hash"),
    ("invitations.team_id", "an id"),
    ("key_slots.data_key_id", "an id"),
    ("key_slots.envelope", "a wrapped key"),
    ("key_slots.root_id", "an id"),
    ("memberships.team_id", "an id"),
    ("memberships.user_id", "an id"),
    ("processes.id", "an id"),
    ("recovery_codes.id", "an id"),
    ("recovery_codes.index_key_id", "an id"),
    ("recovery_codes.tag", "a keyed hash"),
    ("recovery_codes.user_id", "an id"),
    ("root_keys.id", "an id"),
    (
        "root_keys.wrapped",
        "a root string, wrapped by a key service",
    ),
    ("schema_migrations.checksum", "public"),
    ("sealed_values.envelope", "a sealed value"),
    ("sealed_values.id", "an id"),
    ("sealed_values.key_id", "an id"),
    ("sealed_values.owner_id", "an id"),
    ("sealed_values.team_id", "an id"),
    ("sessions.id", "an id"),
    ("sessions.index_key_id", "an id"),
    ("sessions.tag", "a keyed hash"),
    ("sessions.user_id", "an id"),
    ("setup_codes.id", "an id"),
    ("setup_codes.index_key_id", "an id"),
    ("setup_codes.tag", "a keyed hash"),
    ("sign_in_attempts.subject", "a keyed hash"),
    ("sign_in_flows.id", "an id"),
    ("sign_in_flows.index_key_id", "an id"),
    ("sign_in_flows.tag", "a keyed hash"),
    ("teams.id", "an id"),
    ("user_identities.user_id", "an id"),
    ("users.id", "an id"),
];

async fn every_binary_column_has_been_reviewed(db: Db) {
    let world = World::bare(db).await;
    let mut binary = Vec::new();
    for (table, column, kind) in columns(&world).await {
        match kind.as_str() {
            "BLOB" | "bytea" => binary.push(format!("{table}.{column}")),
            "INTEGER" | "TEXT" | "bigint" | "text" | "boolean" => {}
            other => panic!("{table}.{column} is of a type that nobody has reviewed: {other}"),
        }
    }
    let reviewed: Vec<&str> = REVIEWED.iter().map(|(column, _why)| *column).collect();
    assert_eq!(binary, reviewed);
    world.app.ready().await.unwrap();
    world.app.verify_audit(&operator(), &[]).await.unwrap();
}
