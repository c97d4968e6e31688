//! Copies of the trail: whole, told of, safe to open, and checked without the database's rows.

use nodeloom_app::{App, AppError, AuditAnchor, AuditReport, AuditSearch, CopyError, ExportFormat};
use nodeloom_domain::Role;
use serde_json::Value;

use crate::support::{Db, World, assert_refused, on_both, operator, reveal};

on_both!(
    a_copy_is_whole_and_told_of,
    every_change_to_a_copy_is_found,
    a_search_makes_no_chain,
    names_stay_inside_their_cells,
    a_copy_needs_the_right,
);

/// More events than an export reads at a time.
async fn told(db: Db) -> World {
    let world = World::new(db).await;
    let mail = world.add(world.team, "Mail", "value").await;
    for _ in 0..3 {
        reveal(&world.app, &operator(), mail.id).await.unwrap();
    }
    let events = vec![world.event("credential.reveal"); 600];
    let tx = world.store.begin().await.unwrap();
    tx.commit_all(&events, &world.chain().await).await.unwrap();
    world
}

async fn export(app: &App, search: AuditSearch, format: ExportFormat) -> String {
    let mut export = app.export_audit(&operator(), search, format).await.unwrap();
    let mut text = String::new();
    while let Some(part) = export.next_part().await.unwrap() {
        text.push_str(&part);
    }
    text
}

async fn whole(app: &App) -> Vec<String> {
    let text = export(app, AuditSearch::default(), ExportFormat::Jsonl).await;
    text.lines().map(str::to_owned).collect()
}

async fn check(
    world: &World,
    lines: &[String],
    anchors: &[AuditAnchor],
) -> Result<AuditReport, CopyError> {
    let lines = lines.iter().map(|line| Ok(line.clone()));
    world
        .app
        .verify_audit_copy(&operator(), lines, anchors)
        .await
}

async fn a_copy_is_whole_and_told_of(db: Db) {
    let world = told(db).await;
    let before = world.store.audit_head().await.unwrap();
    let lines = whole(&world.app).await;
    assert_eq!(
        lines.len() as u64,
        before.sequence + 1,
        "every event, and the end"
    );
    let told = world
        .db
        .one("SELECT detail FROM audit_events WHERE action = 'audit.export'")
        .await;
    let told: Value = serde_json::from_str(told.text()).unwrap();
    assert_eq!(told["count"], before.sequence);
    assert_eq!(
        (&told["format"], &told["upTo"]),
        (&"jsonl".into(), &before.sequence.into())
    );
    let report = check(&world, &lines, &[]).await.unwrap();
    assert!(report.intact, "{report:?}");
    assert_eq!(
        (report.events, report.head_sequence),
        (before.sequence, before.sequence)
    );
    // The rows of the database do not matter to the copy.
    world
        .db
        .run("DELETE FROM audit_events WHERE sequence < 300")
        .await;
    assert!(check(&world, &lines, &[]).await.unwrap().intact);
    // An anchor that is newer than the copy says nothing of it; an older one must fit.
    world.clock.advance_seconds(1);
    let newer = world.app.checkpoint().await.unwrap().unwrap();
    assert!(check(&world, &lines, &[newer]).await.unwrap().intact);
}

/// A change to the lines of a copy.
type Edit = fn(&mut Vec<String>);

async fn every_change_to_a_copy_is_found(db: Db) {
    let world = told(db).await;
    let anchor = world.app.checkpoint().await.unwrap().unwrap();
    world.clock.advance_seconds(1);
    let lines = whole(&world.app).await;
    let last = lines.len() - 1;
    let anchors = std::slice::from_ref(&anchor);
    assert!(check(&world, &lines, anchors).await.unwrap().intact);
    let change = |what: Edit| {
        let mut changed = lines.clone();
        what(&mut changed);
        changed
    };
    let edits: [(&str, Edit, u64); 8] = [
        ("edited", |l| l[4] = l[4].replace("Mail", "Chat"), 5),
        (
            "detail",
            |l| l[4] = l[4].replace("\"generation\":1", "\"generation\": 1"),
            5,
        ),
        ("deleted", |l| drop(l.remove(4)), 5),
        ("first deleted", |l| drop(l.remove(0)), 1),
        ("swapped", |l| l.swap(4, 5), 5),
        ("put in", |l| l.insert(5, l[4].clone()), 6),
        ("outcome", |l| l[9] = l[9].replace("success", "refused"), 10),
        (
            "link",
            |l| l[9] = l[9].replace("\"mac\":\"", "\"mac\":\"00"),
            10,
        ),
    ];
    for (what, edit, at) in edits {
        match check(&world, &change(edit), &[]).await {
            Ok(report) => assert_eq!(
                (report.intact, report.broken_at),
                (false, Some(at)),
                "{what}"
            ),
            Err(CopyError::Line { line }) => assert_eq!(line as u64, at, "{what}"),
            Err(other) => panic!("{what}: {other:?}"),
        }
    }
    // Cut at the end: with its end line, without it, and with one of another place.
    let mut cut = lines.clone();
    cut.pop();
    assert!(!check(&world, &cut, &[]).await.unwrap().intact);
    let mut cut = lines.clone();
    cut.remove(last - 1);
    let report = check(&world, &cut, &[]).await.unwrap();
    assert_eq!(
        (report.intact, report.broken_at),
        (false, Some(last as u64))
    );
    // A forged end.
    let mut forged = lines.clone();
    forged[last] = forged[last].replace("\"atMicros\":", "\"atMicros\":1");
    let report = check(&world, &forged, &[]).await.unwrap();
    assert_eq!((report.intact, report.false_anchors), (false, 1));
    // Not lines of an export.
    for (line, text) in [(3, "{}"), (1, "not json"), (5, "{\"end\":3}")] {
        let mut other = lines.clone();
        other[line - 1] = text.into();
        match check(&world, &other, &[]).await {
            Err(CopyError::Line { line: at }) => assert_eq!(at, line),
            other => panic!("{other:?}"),
        }
    }
    let mut more = lines.clone();
    more.push(lines[0].clone());
    assert!(
        check(&world, &more, &[]).await.is_err(),
        "something behind the end"
    );
    assert!(!check(&world, &[], &[]).await.unwrap().intact);
}

async fn a_search_makes_no_chain(db: Db) {
    let world = told(db).await;
    for action in ["credential.reveal", "instance.create"] {
        let search = AuditSearch {
            action: Some(action.into()),
            ..Default::default()
        };
        let text = export(&world.app, search, ExportFormat::Jsonl).await;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let end: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        assert_eq!(end["end"]["count"], lines.len() - 1);
        for line in &lines[..lines.len() - 1] {
            assert!(line.contains(action), "{line}");
        }
        assert!(
            matches!(check(&world, &lines, &[]).await, Err(CopyError::Filtered)),
            "{action}"
        );
    }
}

async fn names_stay_inside_their_cells(db: Db) {
    let world = World::new(db).await;
    let mut event =
        world
            .event("credential.create")
            .on("credential", &[1; 16], "=cmd|'/C calc'!A0");
    event.actor.name = "a\",\"b\r\n=1+1\u{1b}[2J\u{202e}".into();
    let tx = world.store.begin().await.unwrap();
    tx.commit(&event, &world.chain().await).await.unwrap();
    let csv = export(&world.app, AuditSearch::default(), ExportFormat::Csv).await;
    let head = world.db.count("audit_events").await - 1;
    assert_eq!(
        csv.matches("\r\n").count() as i64,
        head + 1,
        "a line for each event"
    );
    assert!(csv.starts_with("sequence,at,actorKind,actorId,actorName,"));
    let line = csv.lines().last().unwrap();
    assert!(line.contains(",\"'=cmd|'/C calc'!A0\","), "{line}");
    assert!(
        line.contains(r#","a"",""b\u000d\u000a=1+1\u001b[2J\u202e","#),
        "{line}"
    );
    let lines = whole(&world.app).await;
    assert!(
        lines
            .iter()
            .all(|line| !line.chars().any(|c| c.is_control() || c == '\u{202e}'))
    );
    assert!(check(&world, &lines, &[]).await.unwrap().intact);
}

async fn a_copy_needs_the_right(db: Db) {
    let world = World::new(db).await;
    let viewer = world
        .person("v@example.com", world.team, Role::Viewer)
        .await;
    let auditor = world
        .person("a@example.com", world.team, Role::Auditor)
        .await;
    let of_team = AuditSearch {
        team: Some(world.team),
        ..Default::default()
    };
    let ask = async |ctx, search| {
        world
            .app
            .export_audit(&ctx, search, ExportFormat::Csv)
            .await
    };
    assert_refused!(
        ask(viewer.ctx(), of_team.clone()).await,
        AppError::Denied(_)
    );
    assert_refused!(
        ask(auditor.ctx(), AuditSearch::default()).await,
        AppError::Denied(_)
    );
    assert_eq!(world.last_events(2).await, ["audit.export refused"; 2]);
    assert!(ask(auditor.ctx(), of_team).await.is_ok());
    assert_eq!(world.last_events(1).await, ["audit.export success"]);
}
