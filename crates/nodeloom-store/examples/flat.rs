//! Measures listing and searching in a team of a given size, at the level of this crate.
//!
//! `cargo run --release -p nodeloom-store --example flat -- sqlite:/tmp/flat.db 1000000`
//! or with the URL of an empty PostgreSQL database. Fills the database if it has no
//! credentials yet, then prints median and 99th percentile of 500 calls in microseconds for each case.

use std::time::Instant;

use nodeloom_domain::{TeamId, search_terms};
use nodeloom_store::{
    CredentialOrder, CredentialPlace, CredentialQuery, CredentialSort, Store, Target,
};
use sqlx::{AssertSqlSafe, Connection as _};

const TEAM: [u8; 16] = [1; 16];

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let url = args.next().expect("a database URL");
    let size: u64 = args.next().expect("a size").parse().expect("a number");
    let target = Target::parse_url(&url).expect("a good URL");
    let store = Store::open(&target).await.expect("a database");
    store.migrate().await.expect("migrations");
    if store.list_teams().await.expect("teams").is_empty() {
        fill(&url, size).await;
    }
    let team = CredentialQuery {
        limit: 50,
        ..CredentialQuery::of(TeamId::from_bytes(TEAM))
    };
    let by = |by, descending| CredentialOrder { by, descending };
    let cases = [
        Case::new("list, first 50", team.clone()),
        Case::new("list, by the cursor at half", team.clone()).behind(size / 2),
        Case::new("list, the last by the cursor", team.clone()).behind(size - 60),
        Case::new("list of a type", team.clone()).of_type("API_KEY"),
        Case::new("list of a frequent tag", team.clone()).tagged("half"),
        Case::new("list of a rare tag", team.clone()).tagged("rare"),
        Case::new("list, latest change first", team.clone())
            .ordered(by(CredentialSort::Updated, true)),
        Case::new("list, first stored first", team.clone())
            .ordered(by(CredentialSort::Created, false)),
        Case::new("list of a frequent tag by change", team.clone())
            .tagged("half")
            .ordered(by(CredentialSort::Updated, true)),
        Case::new("list of a rare tag by change", team.clone())
            .tagged("rare")
            .ordered(by(CredentialSort::Updated, true)),
        Case::new("search, one hit", team.clone()).found("0000123"),
        Case::new("search, whole name", team.clone()).found("svc03 team06 0000123"),
        Case::new("search, 1 in 100", team.clone()).found("team07"),
        Case::new("search, 1 in 20", team.clone()).found("svc07"),
        Case::new("search, all", team.clone()).found("team"),
        Case::new("search, all, by change", team.clone())
            .found("team")
            .ordered(by(CredentialSort::Updated, true)),
        Case::new("search, two terms", team.clone()).found("svc07 team07"),
        Case::new("search, all and one", team.clone()).found("svc 0000123"),
        Case::new("search, none", team.clone()).found("nothing"),
        Case::new("search, of a type", team.clone())
            .found("svc07")
            .of_type("API_KEY"),
        Case::new("search, with a rare tag", team.clone())
            .found("svc07")
            .tagged("rare"),
    ];
    println!("{size} credentials on {}", store.engine());
    println!("{:<34}{:>10}{:>10}", "", "p50 us", "p99 us");
    for mut case in cases {
        if case.behind > 0 {
            // How the cursor of a page that deep came about is not part of the measurement.
            let at = CredentialQuery {
                offset: case.behind,
                limit: 1,
                ..case.query.clone()
            };
            let page = store.list_credentials(&at).await.expect("a page");
            let row = &page.rows[0];
            case.query.after = Some(CredentialPlace {
                sort_key: row.sort_key.clone(),
                at: row.created_at,
                id: row.id,
            });
        }
        let mut micros = Vec::new();
        let mut page = store.list_credentials(&case.query).await.expect("a page");
        let begun = Instant::now();
        while micros.len() < 500 && begun.elapsed().as_secs() < 10 {
            let start = Instant::now();
            page = store.list_credentials(&case.query).await.expect("a page");
            micros.push(start.elapsed().as_micros());
        }
        micros.sort_unstable();
        let at = |percent: usize| micros[(micros.len() * percent / 100).min(micros.len() - 1)];
        let sign = if page.total_is_exact { "=" } else { ">=" };
        println!(
            "{:<34}{:>10}{:>10}   {} rows of {sign}{}",
            case.what,
            at(50),
            at(99),
            page.rows.len(),
            page.total
        );
    }
    store.close().await;
}

/// One thing that is asked for.
struct Case {
    what: &'static str,
    query: CredentialQuery,
    behind: u64,
}

impl Case {
    fn new(what: &'static str, query: CredentialQuery) -> Self {
        Self {
            what,
            query,
            behind: 0,
        }
    }

    fn behind(mut self, behind: u64) -> Self {
        self.behind = behind;
        self
    }

    fn of_type(mut self, kind: &str) -> Self {
        self.query.kind = Some(kind.to_owned());
        self
    }

    fn tagged(mut self, tag: &str) -> Self {
        self.query.tag = Some(tag.to_owned());
        self
    }

    fn ordered(mut self, order: CredentialOrder) -> Self {
        self.query.order = order;
        self
    }

    fn found(mut self, search: &str) -> Self {
        self.query.terms = search_terms(search);
        self
    }
}

async fn fill(url: &str, size: u64) {
    // The SQL of both engines is close enough to be rewritten from one text.
    let team = "x'01010101010101010101010101010101'";
    let script = format!(
        "INSERT INTO teams (id, name, created_at) VALUES ({team}, 'T', 0);
         INSERT INTO credentials (id, team_id, name, sort_key, type, generation, revision, fields,
             created_at, created_by, created_by_name, updated_at, updated_by, updated_by_name)
           SELECT RANDOM16, {team}, n.name, n.name, n.type, 1, 1,
             '[\"apiKey\"]', n.i, NULL, 'ada@example.com', CAST(n.i AS BIGINT) * 7919 % 1000003, NULL,
             'ada@example.com'
           FROM (SELECT i, 'svc' || PAD(i % 20, 2) || ' team' || PAD(i / 20 % 100, 2) || ' ' ||
             PAD(i, 7) AS name, CASE i % 7 WHEN 0 THEN 'API_KEY' ELSE 'HTTP_BASIC' END AS type
             FROM SERIES) n;
         INSERT INTO credential_words SELECT team_id, substr(name, 1, 5), name, id, type FROM credentials;
         INSERT INTO credential_words SELECT team_id, substr(name, 7, 6), name, id, type FROM credentials;
         INSERT INTO credential_words SELECT team_id, substr(name, 14, 7), name, id, type FROM credentials;
         INSERT INTO credential_words SELECT team_id, name, name, id, type FROM credentials;
         INSERT INTO credential_tags SELECT team_id, 'half', sort_key, id, type FROM credentials
             WHERE created_at % 2 = 0;
         INSERT INTO credential_tags SELECT team_id, 'rare', sort_key, id, type FROM credentials
             WHERE created_at % 1000 = 7;
         INSERT INTO credential_tag_counts SELECT team_id, tag, count(*) FROM credential_tags
             GROUP BY team_id, tag;
         INSERT INTO credential_counts SELECT team_id, type, count(*) FROM credentials
             GROUP BY team_id, type;
         FINISH;"
    );
    let pad = |text: &str, with: &dyn Fn(&str, &str) -> String| {
        let mut out = text.to_owned();
        while let Some(start) = out.find("PAD(") {
            let end = start + out[start..].find(')').expect("a closing bracket");
            let (number, width) = out[start + 4..end].rsplit_once(", ").expect("two parts");
            out = format!(
                "{}{}{}",
                &out[..start],
                with(number, width),
                &out[end + 1..]
            );
        }
        out
    };
    if url.starts_with("sqlite:") {
        let sql = pad(&script, &|number, width| format!("printf('%0{width}d', {number})"))
            .replace("RANDOM16", "randomblob(16)")
            .replace("SERIES", &format!("(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < {} - 1) SELECT i FROM s)", size))
            .replace("FINISH", "SELECT 1");
        let mut connection = sqlx::SqliteConnection::connect(url)
            .await
            .expect("a database");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect("filled");
        connection.close().await.expect("closed");
    } else {
        let sql = pad(&script, &|number, width| {
            format!("lpad(({number})::text, {width}, '0')")
        })
        .replace("RANDOM16", "decode(md5(random()::text || n.name), 'hex')")
        .replace("SERIES", &format!("generate_series(0, {size} - 1) i"))
        .replace(team, "decode('01010101010101010101010101010101', 'hex')")
        .replace("FINISH", "ANALYZE");
        let mut connection = sqlx::PgConnection::connect(url).await.expect("a database");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect("filled");
        sqlx::raw_sql("VACUUM")
            .execute(&mut connection)
            .await
            .expect("vacuumed");
    }
}
