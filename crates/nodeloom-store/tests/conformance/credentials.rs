//! Credentials: writing, listing, searching.

use nodeloom_domain::{
    CredentialId, TeamId, name_words,
    policy::{Action, Resource},
    search_terms, sort_key,
};
use nodeloom_store::{
    CredentialOrder, CredentialPage, CredentialPlace, CredentialQuery, CredentialRow,
    CredentialSort, CredentialTestRow, CredentialUseRow, DeletionRow, StoreError,
};

use crate::harness::{Db, NOW, World, event, may, on_both};

on_both!(
    create_change_delete,
    a_deletion_can_be_taken_back,
    attributes_come_back,
    uses_and_tests_are_kept,
    names_are_unique_in_a_team,
    permits_are_for_one_record,
    lists_are_sorted_and_paged,
    lists_by_tag_and_time_lead_on,
    search_finds_starts_of_words,
    search_says_when_it_gave_up_counting,
    current_values_are_checked_in_pages,
);

fn record(row: &CredentialRow) -> Resource {
    Resource::Record {
        team: row.team_id,
        id: *row.id.as_bytes(),
    }
}

fn deletion(world: &World) -> DeletionRow {
    DeletionRow {
        at: NOW,
        by: Some(world.user),
        by_name: "ada@example.com".into(),
    }
}

async fn a_deletion_can_be_taken_back(db: Db) {
    let world = World::new(db).await;
    let row = world.add("Stripe").await;
    let mut tx = world.store.begin().await.unwrap();
    let delete = may(Action::CredentialDelete, record(&row));
    let gone = deletion(&world);
    assert!(tx.delete_credential(&delete, &row, &gone).await.unwrap());
    tx.commit(&event("credential.delete"), &world.chain)
        .await
        .unwrap();
    // The name is free, and then taken.
    let twin = world.add("Stripe").await;
    let mut back = world
        .store
        .find_any_credential(row.id)
        .await
        .unwrap()
        .unwrap();
    let undelete = may(Action::CredentialUndelete, record(&row));
    let mut tx = world.store.begin().await.unwrap();
    let words = name_words(&back.name);
    let error = tx.undelete_credential(&undelete, &back, &words).await;
    assert!(error.unwrap_err().is_duplicate_in("credentials"));
    drop(tx);

    let mut tx = world.store.begin().await.unwrap();
    back.name = "Stripe again".into();
    back.sort_key = sort_key(&back.name);
    let words = name_words(&back.name);
    assert!(
        !tx.undelete_credential(&undelete, &row, &words)
            .await
            .unwrap()
    );
    assert!(
        tx.undelete_credential(&undelete, &back, &words)
            .await
            .unwrap()
    );
    assert!(
        !tx.undelete_credential(&undelete, &back, &words)
            .await
            .unwrap()
    );
    let purge = may(Action::CredentialPurge, record(&row));
    back.revision += 1;
    assert!(!tx.purge_credential(&purge, &back).await.unwrap(), "alive");
    tx.commit(&event("credential.undelete"), &world.chain)
        .await
        .unwrap();
    assert_eq!(names(&find(&world, "again").await), ["Stripe again"]);
    assert_eq!(names(&list(&world, None).await), ["Stripe", "Stripe again"]);
    assert_eq!(list(&world, None).await.total, 2);
    let found = world.store.find_credential_by_name(world.team, "Stripe");
    assert_eq!(found.await.unwrap().unwrap().id, twin.id);
}

async fn attributes_come_back(db: Db) {
    let world = World::new(db).await;
    let mut row = world.credential("Stripe");
    let said = &mut row.attributes;
    said.owner_id = Some(world.user);
    said.notes = "Ask Ada.\nNever in CI.".into();
    said.tags = vec!["Prod".into(), "billing".into()];
    said.hosts = vec!["api.stripe.com".into()];
    said.restricted = true;
    said.expires_at = Some(NOW);
    world.add_row(&row).await;
    let mut found = world.store.find_credential(row.id).await.unwrap().unwrap();
    assert!(found.activity.owner_name.take().is_some());
    assert_eq!(found, row);
    let tags = "SELECT tag || ' ' || total FROM credential_tag_counts WHERE total > 0 ORDER BY 1";
    assert_eq!(world.db.texts(tags, tags).await, ["billing 1", "prod 1"]);

    let mut change = row.clone();
    change.attributes = Default::default();
    change.attributes.tags = vec!["PROD".into(), "eu".into()];
    change.attributes.rotate_by = Some(NOW);
    change.revision = 2;
    let mut tx = world.store.begin().await.unwrap();
    let may = may(Action::CredentialUpdate, record(&row));
    assert!(tx.update_credential(&may, &change, &[], 1).await.unwrap());
    assert_eq!(tx.find_credential(row.id).await.unwrap().unwrap(), change);
    tx.commit(&event("credential.update"), &world.chain)
        .await
        .unwrap();
    assert_eq!(world.db.texts(tags, tags).await, ["eu 1", "prod 1"]);
}

async fn uses_and_tests_are_kept(db: Db) {
    let world = World::new(db).await;
    let row = world.add("Stripe").await;
    let mut tx = world.store.begin().await.unwrap();
    let consumer = |id: u8, name: &str| CredentialUseRow {
        consumer_kind: "person".into(),
        consumer_id: [id; 16],
        consumer_name: name.into(),
        first_used_at: NOW,
        last_used_at: NOW,
        uses: 1,
    };
    let reveal = may(Action::CredentialReveal, record(&row));
    for user in [
        consumer(1, "Ada"),
        consumer(2, "Eve"),
        consumer(1, "Ada L."),
    ] {
        tx.note_credential_use(&reveal, &row, &user).await.unwrap();
    }
    let test = CredentialTestRow {
        at: NOW,
        status: "failed".into(),
        code: "rejected".into(),
        message: "the server said no".into(),
    };
    let refused = tx.record_credential_test(&reveal, &row, &test).await;
    assert!(matches!(refused, Err(StoreError::PermitMismatch(_))));
    let permit = may(Action::CredentialTest, record(&row));
    assert!(
        tx.record_credential_test(&permit, &row, &test)
            .await
            .unwrap()
    );
    let mut newer = row.clone();
    newer.generation = 2;
    let late = tx.record_credential_test(&permit, &newer, &test).await;
    assert!(!late.unwrap(), "of another version");
    tx.commit(&event("credential.test"), &world.chain)
        .await
        .unwrap();
    let uses = world.store.credential_uses(row.id).await.unwrap();
    let seen: Vec<_> = uses
        .iter()
        .map(|row| (row.consumer_name.as_str(), row.uses))
        .collect();
    assert_eq!(seen, [("Ada L.", 2), ("Eve", 1)]);
    let found = world.store.find_credential(row.id).await.unwrap().unwrap();
    assert_eq!(found.activity.last_used_at, Some(NOW));
    assert_eq!(found.activity.last_test, Some(test));
    assert_eq!(found.revision, 1);
}

async fn create_change_delete(db: Db) {
    let world = World::new(db).await;
    let mut row = world.add("Stripe live").await;
    let store = &world.store;
    assert_eq!(store.find_credential(row.id).await.unwrap().unwrap(), row);
    let by_name = store
        .find_credential_by_name(world.team, "Stripe live")
        .await
        .unwrap();
    assert_eq!(by_name.unwrap().id, row.id);
    assert!(
        store
            .find_credential(CredentialId::generate(NOW))
            .await
            .unwrap()
            .is_none()
    );

    let change = may(Action::CredentialUpdate, record(&row));
    row.name = "Stripe test".into();
    row.sort_key = sort_key(&row.name);
    row.kind = "API_KEY".into();
    (row.generation, row.revision) = (2, 2);
    row.fields = vec!["apiKey".into()];
    row.updated_by = Some(world.user);
    let words = name_words(&row.name);
    let mut tx = store.begin().await.unwrap();
    assert!(
        !tx.update_credential(&change, &row, &words, 9)
            .await
            .unwrap(),
        "stale"
    );
    assert!(
        tx.update_credential(&change, &row, &words, 1)
            .await
            .unwrap()
    );
    assert_eq!(tx.find_credential(row.id).await.unwrap().unwrap(), row);
    tx.commit(&event("credential.update"), &world.chain)
        .await
        .unwrap();
    let versions = store.credential_versions(row.id).await.unwrap();
    let numbers: Vec<u64> = versions.iter().map(|version| version.generation).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(names(&find(&world, "live").await), [""; 0]);
    assert_eq!(names(&find(&world, "test").await), ["Stripe test"]);
    assert_eq!(list(&world, Some("API_KEY")).await.total, 1);
    assert_eq!(list(&world, Some("HTTP_BASIC")).await.total, 0);

    let delete = may(Action::CredentialDelete, record(&row));
    let mut tx = store.begin().await.unwrap();
    let mut stale = row.clone();
    stale.revision = 1;
    let gone = deletion(&world);
    assert!(!tx.delete_credential(&delete, &stale, &gone).await.unwrap());
    assert!(tx.delete_credential(&delete, &row, &gone).await.unwrap());
    assert!(!tx.delete_credential(&delete, &row, &gone).await.unwrap());
    tx.commit(&event("credential.delete"), &world.chain)
        .await
        .unwrap();
    assert!(store.find_credential(row.id).await.unwrap().is_none());
    assert_eq!(list(&world, None).await.total, 0);
    assert_eq!(names(&find(&world, "stripe").await), [""; 0]);
    let mut deleted = store.find_any_credential(row.id).await.unwrap().unwrap();
    assert_eq!(deleted.activity.deletion.as_ref(), Some(&gone));
    assert_eq!(deleted.revision, row.revision + 1);

    // The version numbers of a purged credential stay used.
    let mut tx = store.begin().await.unwrap();
    let purge = may(Action::CredentialPurge, record(&row));
    assert!(!tx.purge_credential(&purge, &row).await.unwrap(), "stale");
    deleted.revision = row.revision + 1;
    assert!(tx.purge_credential(&purge, &deleted).await.unwrap());
    tx.commit(&event("credential.purge"), &world.chain)
        .await
        .unwrap();
    assert!(store.find_any_credential(row.id).await.unwrap().is_none());
    let mut tx = store.begin().await.unwrap();
    let error = tx
        .insert_credential(&world.may_create(), &row, &words)
        .await
        .unwrap_err();
    assert!(error.is_duplicate_in("credential_versions"), "{error:?}");
}

async fn names_are_unique_in_a_team(db: Db) {
    let world = World::new(db).await;
    world.add("one").await;
    let two = world.add("two").await;
    let mut tx = world.store.begin().await.unwrap();
    let twin = world.credential("one");
    let error = tx
        .insert_credential(&world.may_create(), &twin, &[])
        .await
        .unwrap_err();
    assert!(error.is_duplicate_in("credentials"), "{error:?}");
    drop(tx);
    let mut tx = world.store.begin().await.unwrap();
    let mut renamed = two.clone();
    renamed.name = "one".into();
    renamed.revision = 2;
    let change = may(Action::CredentialUpdate, record(&two));
    let error = tx
        .update_credential(&change, &renamed, &[], 1)
        .await
        .unwrap_err();
    assert!(error.is_duplicate_in("credentials"), "{error:?}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("one"), "no values in errors: {shown}");
    drop(tx);
    assert_eq!(list(&world, None).await.total, 2);
}

async fn permits_are_for_one_record(db: Db) {
    let world = World::new(db).await;
    let (one, two) = (world.add("one").await, world.add("two").await);
    let mut tx = world.store.begin().await.unwrap();
    let wrong = [
        may(Action::CredentialUpdate, record(&two)),
        may(Action::CredentialReveal, record(&one)),
        may(Action::CredentialUpdate, Resource::Team(world.team)),
        may(Action::CredentialUpdate, Resource::Instance),
    ];
    for permit in &wrong {
        let error = tx
            .update_credential(permit, &one, &[], 1)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::PermitMismatch(_)));
        let gone = deletion(&world);
        let error = tx.delete_credential(permit, &one, &gone).await.unwrap_err();
        assert!(matches!(error, StoreError::PermitMismatch(_)));
        let error = tx.undelete_credential(permit, &one, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::PermitMismatch(_)));
        let error = tx.purge_credential(permit, &one).await.unwrap_err();
        assert!(matches!(error, StoreError::PermitMismatch(_)));
        let error = tx.insert_credential(permit, &one, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::PermitMismatch(_)));
    }
    // A permit for a record that claims another team than it is stored under.
    let mut moved = one.clone();
    moved.team_id = TeamId::generate(NOW);
    let permit = may(Action::CredentialUpdate, record(&moved));
    assert!(!tx.update_credential(&permit, &moved, &[], 1).await.unwrap());
    let permit = may(Action::CredentialDelete, record(&moved));
    let gone = deletion(&world);
    assert!(!tx.delete_credential(&permit, &moved, &gone).await.unwrap());
}

async fn lists_are_sorted_and_paged(db: Db) {
    let world = World::new(db).await;
    for name in ["beta", "Alpha", "gamma", "alpha 2", "Émile", "zeta"] {
        world.add(name).await;
    }
    let mut other = world.credential("delta");
    other.kind = "OPENAI".into();
    world.add_row(&other).await;
    let all = list(&world, None).await;
    assert_eq!((all.total, all.total_is_exact), (7, true));
    assert_eq!(
        names(&all),
        [
            "Alpha", "alpha 2", "beta", "delta", "gamma", "zeta", "Émile"
        ],
        "by bytes of the sort key, the same on both engines"
    );
    let typed = list(&world, Some("OPENAI")).await;
    assert_eq!((names(&typed), typed.total), (vec!["delta".to_owned()], 1));
    let mut paged = Vec::new();
    for page in 0..4 {
        let mut query = query(&world, None, "");
        (query.offset, query.limit) = (page * 2, 2);
        let page = world.store.list_credentials(&query).await.unwrap();
        assert_eq!(page.total, 7);
        paged.extend(names(&page));
    }
    assert_eq!(paged, names(&all));
    let stranger = CredentialQuery {
        team: TeamId::generate(NOW),
        ..query(&world, None, "")
    };
    assert_eq!(
        world.store.list_credentials(&stranger).await.unwrap().total,
        0
    );
}

async fn lists_by_tag_and_time_lead_on(db: Db) {
    let world = World::new(db).await;
    for number in 0..12_i64 {
        let mut row = world.credential(&format!("Name {:02}", (number * 5) % 12));
        // Two at a time, and the order of time is not the order of names.
        row.created_at = NOW.plus_seconds(number / 2);
        row.updated_at = NOW.plus_seconds(100 - number);
        row.kind = if number % 3 == 0 {
            "OPENAI"
        } else {
            "HTTP_BASIC"
        }
        .into();
        if number % 2 == 0 {
            row.attributes.tags = vec!["Even".into(), format!("n{number}")];
        }
        world.add_row(&row).await;
    }
    let page = async |query: CredentialQuery| world.store.list_credentials(&query).await.unwrap();
    for by in [
        CredentialSort::Name,
        CredentialSort::Created,
        CredentialSort::Updated,
    ] {
        for descending in [false, true] {
            for (kind, tag) in [
                (None, None),
                (Some("OPENAI"), None),
                (None, Some("even")),
                (Some("OPENAI"), Some("even")),
            ] {
                let query = CredentialQuery {
                    kind: kind.map(str::to_owned),
                    tag: tag.map(str::to_owned),
                    order: CredentialOrder { by, descending },
                    ..CredentialQuery::of(world.team)
                };
                let all = page(query.clone()).await;
                assert_eq!(all.total, all.rows.len() as u64, "{query:?}");
                let wanted = match (kind, tag) {
                    (None, None) => 12,
                    (None, Some(_)) => 6,
                    (Some(_), None) => 4,
                    (Some(_), Some(_)) => 2,
                };
                assert_eq!(all.rows.len(), wanted, "{query:?}");
                let key = |row: &CredentialRow| match by {
                    CredentialSort::Name => (row.sort_key.clone(), 0, row.id),
                    CredentialSort::Created => (String::new(), row.created_at.as_micros(), row.id),
                    CredentialSort::Updated => (String::new(), row.updated_at.as_micros(), row.id),
                };
                let keys: Vec<_> = all.rows.iter().map(key).collect();
                let mut sorted = keys.clone();
                sorted.sort();
                if descending {
                    sorted.reverse();
                }
                assert_eq!(keys, sorted, "{query:?}");
                // The same, place by place, and by numbers.
                let (mut seen, mut numbered, mut after) = (Vec::new(), Vec::new(), None);
                loop {
                    let step = CredentialQuery {
                        after: after.clone(),
                        limit: 5,
                        ..query.clone()
                    };
                    let found = page(step).await;
                    let Some(last) = found.rows.last() else { break };
                    after = Some(CredentialPlace {
                        sort_key: last.sort_key.clone(),
                        at: match by {
                            CredentialSort::Updated => last.updated_at,
                            _ => last.created_at,
                        },
                        id: last.id,
                    });
                    let by_number = CredentialQuery {
                        offset: numbered.len() as u64,
                        limit: 5,
                        ..query.clone()
                    };
                    numbered.extend(page(by_number).await.rows);
                    seen.extend(found.rows);
                }
                assert_eq!(seen, all.rows);
                assert_eq!(numbered, all.rows);
            }
        }
    }
    let tags = world.store.credential_tags(world.team, 3).await.unwrap();
    let tags: Vec<_> = tags.iter().map(|(tag, n)| (tag.as_str(), *n)).collect();
    assert_eq!(tags, [("even", 6), ("n0", 1), ("n10", 1)]);
    // A search takes tag and order as well.
    let found = page(CredentialQuery {
        terms: search_terms("name"),
        tag: Some("even".into()),
        order: CredentialOrder {
            by: CredentialSort::Updated,
            descending: true,
        },
        ..CredentialQuery::of(world.team)
    })
    .await;
    let times: Vec<i64> = found
        .rows
        .iter()
        .map(|row| row.updated_at.as_micros())
        .collect();
    assert_eq!(times.len(), 6);
    assert!(times.is_sorted_by(|one, two| one > two), "{times:?}");
    // What is deleted is in none.
    let row = &found.rows[0];
    let mut tx = world.store.begin().await.unwrap();
    let delete = may(Action::CredentialDelete, record(row));
    let gone = deletion(&world);
    assert!(tx.delete_credential(&delete, row, &gone).await.unwrap());
    tx.commit(&event("credential.delete"), &world.chain)
        .await
        .unwrap();
    let left = page(CredentialQuery {
        tag: Some("even".into()),
        ..CredentialQuery::of(world.team)
    })
    .await;
    assert_eq!((left.rows.len(), left.total), (5, 5));
}

async fn search_finds_starts_of_words(db: Db) {
    let world = World::new(db).await;
    for name in [
        "Stripe live",
        "Stripe test",
        "Slack bot",
        "my-key",
        "Live Slack",
        "100% sure_",
    ] {
        world.add(name).await;
    }
    let mut typed = world.credential("Stripe other");
    typed.kind = "OPENAI".into();
    world.add_row(&typed).await;
    for (search, expected) in [
        ("str", &["Stripe live", "Stripe other", "Stripe test"][..]),
        ("LIV", &["Live Slack", "Stripe live"]),
        ("slack liv", &["Live Slack"]),
        ("liv slack", &["Live Slack"]),
        ("s b", &["Slack bot"]),
        ("ripe", &[]),
        ("key", &["my-key"]),
        ("100", &["100% sure_"]),
        ("%", &[]),
        (
            "s_",
            &[
                "100% sure_",
                "Live Slack",
                "Slack bot",
                "Stripe live",
                "Stripe other",
                "Stripe test",
            ],
        ),
        ("zzz", &[]),
    ] {
        let page = find(&world, search).await;
        assert_eq!(names(&page), expected, "{search}");
        assert_eq!(page.total, expected.len() as u64, "{search}");
        assert!(page.total_is_exact);
    }
    let page = world
        .store
        .list_credentials(&query(&world, Some("OPENAI"), "str"))
        .await
        .unwrap();
    assert_eq!(
        (names(&page), page.total),
        (vec!["Stripe other".to_owned()], 1)
    );
    // The total is there on a page past the end, and on one of no rows.
    for (offset, limit) in [(50, 10), (0, 0), (1, 1)] {
        let query = CredentialQuery {
            offset,
            limit,
            ..query(&world, None, "str")
        };
        let page = world.store.list_credentials(&query).await.unwrap();
        assert_eq!(page.total, 3);
        assert_eq!(
            page.rows.len() as u64,
            limit.min(3_u64.saturating_sub(offset))
        );
    }
    // More terms than a statement takes.
    let many = "s l st li sl str liv sla stri live";
    assert_eq!(names(&find(&world, many).await), [""; 0]);
}

async fn search_says_when_it_gave_up_counting(db: Db) {
    let world = World::new(db).await;
    let count = nodeloom_store::SEARCH_LIMIT + 5;
    let mut tx = world.store.begin().await.unwrap();
    let permit = world.may_create();
    for number in 0..count {
        let row = world.credential(&format!("bulk {number:06}"));
        tx.insert_credential(&permit, &row, &["bulk".into(), format!("{number:06}")])
            .await
            .unwrap();
    }
    tx.commit(&event("import"), &world.chain).await.unwrap();
    let page = find(&world, "bulk").await;
    assert_eq!(
        (page.total, page.total_is_exact),
        (nodeloom_store::SEARCH_LIMIT, false)
    );
    assert!(page.rows.is_sorted_by(|a, b| a.sort_key < b.sort_key));
    let page = find(&world, "bulk 000123").await;
    assert_eq!(
        (names(&page), page.total_is_exact),
        (vec!["bulk 000123".to_owned()], true)
    );
    assert_eq!(list(&world, None).await.total, count);
}

async fn current_values_are_checked_in_pages(db: Db) {
    let world = World::new(db).await;
    for number in 0..5 {
        world.add(&format!("c {number}")).await;
    }
    let bare = world.credential("without value");
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_credential(&world.may_create(), &bare, &[])
        .await
        .unwrap();
    tx.commit(&event("credential.create"), &world.chain)
        .await
        .unwrap();
    let first = world
        .store
        .current_values_page(None, "data", 4)
        .await
        .unwrap();
    let rest = world
        .store
        .current_values_page(Some(first[3].id), "data", 4)
        .await
        .unwrap();
    assert_eq!((first.len(), rest.len()), (4, 2));
    let without = |row: &&nodeloom_store::CurrentValueRow| !row.has_value;
    let without: Vec<_> = first
        .iter()
        .chain(&rest)
        .filter(without)
        .map(|row| row.id)
        .collect();
    assert_eq!(without, [bare.id]);
    let all = world.store.all_memberships().await.unwrap();
    assert_eq!(
        all,
        [(world.user, world.team, nodeloom_domain::Role::Admin)]
    );
}

fn query(world: &World, kind: Option<&str>, search: &str) -> CredentialQuery {
    CredentialQuery {
        team: world.team,
        kind: kind.map(str::to_owned),
        terms: search_terms(search),
        offset: 0,
        limit: 50,
        ..CredentialQuery::of(world.team)
    }
}

async fn list(world: &World, kind: Option<&str>) -> CredentialPage {
    world
        .store
        .list_credentials(&query(world, kind, ""))
        .await
        .unwrap()
}

async fn find(world: &World, search: &str) -> CredentialPage {
    world
        .store
        .list_credentials(&query(world, None, search))
        .await
        .unwrap()
}

fn names(page: &CredentialPage) -> Vec<String> {
    page.rows.iter().map(|row| row.name.clone()).collect()
}
