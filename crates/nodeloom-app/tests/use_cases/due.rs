//! Credentials with a date to act by, and the mails about them.

use std::sync::Mutex;

use nodeloom_app::{
    AppError, AttributeChange, CredentialChange, Mail, MailError, Mailer, Mailing, RemindersSent,
};
use nodeloom_domain::{CredentialId, Role, Timestamp, UserId};

use crate::support::{ADMIN, Db, NOW, World, assert_refused, on_both, operator};

on_both!(
    dates_are_listed_earliest_first,
    each_step_is_told_once_to_the_owner_or_the_administrators,
    a_mail_that_fails_is_tried_again,
    a_new_date_starts_over,
);

const DAY: i64 = 24 * 60 * 60;

/// Keeps the mails instead of sending them.
#[derive(Default)]
struct Desk {
    sent: Mutex<Vec<Mail>>,
    broken_for: Option<&'static str>,
}

impl Mailer for Desk {
    fn send(&self, mail: Mail) -> Mailing<'_> {
        Box::pin(async move {
            if self.broken_for == Some(mail.to.as_str()) {
                return Err(MailError("the server said no".into()));
            }
            self.sent.lock().unwrap().push(mail);
            Ok(())
        })
    }
}

impl Desk {
    /// The mails since the last look, as recipient and number of lines with a credential.
    fn take(&self) -> Vec<(String, usize)> {
        let mails = std::mem::take(&mut *self.sent.lock().unwrap());
        let lines = |mail: &Mail| mail.text.lines().filter(|l| l.starts_with("- ")).count();
        mails
            .iter()
            .map(|mail| (mail.to.clone(), lines(mail)))
            .collect()
    }
}

async fn dated(
    world: &World,
    name: &str,
    owner: Option<UserId>,
    expires: Option<i64>,
    rotate: Option<i64>,
) -> CredentialId {
    let id = world.add(world.team, name, "canary-due").await.id;
    let at = |days: i64| Some(NOW.plus_seconds(days * DAY));
    set(world, id, owner, expires.map(at), rotate.map(at)).await;
    id
}

async fn set(
    world: &World,
    id: CredentialId,
    owner: Option<UserId>,
    expires_at: Option<Option<Timestamp>>,
    rotate_by: Option<Option<Timestamp>>,
) {
    let change = CredentialChange {
        attributes: AttributeChange {
            owner: Some(owner),
            expires_at,
            rotate_by,
            ..Default::default()
        },
        ..Default::default()
    };
    world
        .app
        .update_credential(&operator(), id, change)
        .await
        .unwrap();
}

async fn dates_are_listed_earliest_first(db: Db) {
    let world = World::new(db).await;
    dated(&world, "Both", None, Some(20), Some(-1)).await;
    dated(&world, "Late", None, Some(31), None).await;
    dated(&world, "Soon", None, Some(30), Some(90)).await;
    dated(&world, "Never", None, None, None).await;
    let gone = dated(&world, "Gone", None, Some(1), None).await;
    world
        .app
        .delete_credential(&operator(), gone, None)
        .await
        .unwrap();
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    let due = |days| {
        let (app, ctx) = (&world.app, viewer.ctx());
        async move { app.due_credentials(&ctx, world.team, days).await }
    };
    let found = due(30).await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|one| {
            let dates: Vec<_> = one.due.iter().map(|d| (d.kind, d.is_overdue)).collect();
            (one.view.name.as_str(), dates)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("Both", vec![("rotation", true), ("expiry", false)]),
            ("Soon", vec![("expiry", false)]),
        ]
    );
    assert_eq!(due(0).await.unwrap().len(), 1);
    assert_eq!(due(31).await.unwrap().len(), 3);
    let elsewhere = world.app.create_team(&operator(), "Elsewhere").await;
    let elsewhere = elsewhere.unwrap().id;
    let stranger = world
        .person("stranger@example.com", elsewhere, Role::Admin)
        .await;
    let refused = world
        .app
        .due_credentials(&stranger.ctx(), world.team, 30)
        .await;
    assert_refused!(refused, AppError::NotFound);
}

async fn each_step_is_told_once_to_the_owner_or_the_administrators(db: Db) {
    let world = World::new(db).await;
    let bob = world
        .person("bob@example.com", world.team, Role::Builder)
        .await;
    dated(&world, "Owned", Some(bob.id), Some(30), None).await;
    dated(&world, "Nobody's", None, Some(30), Some(30)).await;
    // Long past: nobody wants to hear of it now.
    dated(&world, "Old", None, Some(-31), None).await;
    let desk = Desk::default();
    let run = || {
        world
            .app
            .send_reminders(&desk, Some("https://vault.example.com"))
    };
    let sent = run().await.unwrap();
    assert_eq!(
        sent,
        RemindersSent {
            mails: 2,
            reminders: 3,
            failed: 0
        }
    );
    {
        let mails = desk.sent.lock().unwrap();
        let mail = mails
            .iter()
            .find(|mail| mail.to == "bob@example.com")
            .unwrap();
        assert_eq!(mail.subject, "nodeloom: a credential needs attention");
        assert!(
            mail.text.contains("- Owned (team Default) expires on ")
                && mail.text.contains(" (in 30 days)")
                && mail.text.contains("https://vault.example.com"),
            "{}",
            mail.text
        );
        assert!(!mail.text.contains("canary"));
    }
    let both = [(ADMIN.to_owned(), 2), ("bob@example.com".to_owned(), 1)];
    assert_eq!(desk.take(), both);
    assert_eq!(run().await.unwrap(), RemindersSent::default());
    let other = world.other_process().await;
    let again = other.send_reminders(&desk, None).await.unwrap();
    assert_eq!(again, RemindersSent::default());

    // A step that was slept through is not made up for.
    for (days, is_told) in [(22, false), (1, true), (6, true), (1, true), (29, false)] {
        world.clock.advance_seconds(days * DAY);
        run().await.unwrap();
        let told = desk.take();
        assert_eq!(told == both, is_told, "{days} {told:?}");
        assert_eq!(told.is_empty(), !is_told);
    }
    let sql = "SELECT count(*) FROM audit_events WHERE action = 'credential.remind'";
    let events = world.db.rows(sql).await;
    assert_eq!(format!("{:?}", events[0][0]), "Int(12)");
}

async fn a_mail_that_fails_is_tried_again(db: Db) {
    let world = World::new(db).await;
    let bob = world
        .person("bob@example.com", world.team, Role::Admin)
        .await;
    dated(&world, "Owned", Some(bob.id), Some(3), None).await;
    dated(&world, "Shared", None, Some(3), None).await;
    let desk = Desk {
        broken_for: Some("bob@example.com"),
        ..Default::default()
    };
    let sent = world.app.send_reminders(&desk, None).await.unwrap();
    let wanted = RemindersSent {
        mails: 1,
        reminders: 1,
        failed: 1,
    };
    assert_eq!(sent, wanted);
    assert_eq!(desk.take(), [(ADMIN.to_owned(), 1)]);
    let desk = Desk::default();
    world.app.send_reminders(&desk, None).await.unwrap();
    assert_eq!(desk.take(), [("bob@example.com".to_owned(), 1)]);

    // The owner cannot sign in any more: the administrators hear of the next step.
    world
        .app
        .deactivate_user(&operator(), bob.id)
        .await
        .unwrap();
    world.clock.advance_seconds(2 * DAY);
    world.app.send_reminders(&desk, None).await.unwrap();
    assert_eq!(desk.take(), [(ADMIN.to_owned(), 2)]);
}

async fn a_new_date_starts_over(db: Db) {
    let world = World::new(db).await;
    let id = dated(&world, "Key", None, None, Some(0)).await;
    let desk = Desk::default();
    world.app.send_reminders(&desk, None).await.unwrap();
    assert_eq!(desk.take().len(), 1);
    let later = NOW.plus_seconds(7 * DAY);
    set(&world, id, None, None, Some(Some(later))).await;
    world.app.send_reminders(&desk, None).await.unwrap();
    assert_eq!(desk.take(), [(ADMIN.to_owned(), 1)]);
    set(&world, id, None, None, Some(None)).await;
    world.clock.advance_seconds(8 * DAY);
    world.app.send_reminders(&desk, None).await.unwrap();
    assert_eq!(desk.take(), []);
}
