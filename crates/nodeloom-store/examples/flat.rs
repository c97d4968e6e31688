//! Measures listing and searching in a team of a given size, at the level of this crate.
//!
//! `cargo run --release -p nodeloom-store --example flat -- sqlite:/tmp/flat.db 1000000`
//! or with the URL of an empty PostgreSQL database. Fills the database if it has no
//! credentials yet, then prints the median of 200 calls in microseconds for each case.

use std::time::Instant;

use nodeloom_domain::{TeamId, search_terms};
use nodeloom_store::{CredentialQuery, Store, Target};
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
    let cases = [
        ("list, first 50", None, "", 0),
        ("list of a type", Some("API_KEY"), "", 0),
        ("list, at half", None, "", size / 2),
        ("search, one hit", None, "0000123", 0),
        ("search, whole name", None, "svc03 team06 0000123", 0),
        ("search, 1 in 100", None, "team07", 0),
        ("search, 1 in 20", None, "svc07", 0),
        ("search, all", None, "team", 0),
        ("search, two terms", None, "svc07 team07", 0),
        ("search, all and one", None, "svc 0000123", 0),
        ("search, none", None, "nothing", 0),
        ("search, of a type", Some("API_KEY"), "svc07", 0),
    ];
    println!("{} credentials on {}", size, store.engine());
    for (what, kind, search, offset) in cases {
        let query = CredentialQuery {
            team: TeamId::from_bytes(TEAM),
            kind: kind.map(str::to_owned),
            terms: search_terms(search),
            offset,
            limit: 50,
            ..CredentialQuery::of(TeamId::from_bytes(TEAM))
        };
        let mut micros = Vec::new();
        let mut page = store.list_credentials(&query).await.expect("a page");
        let begun = Instant::now();
        while micros.len() < 200 && begun.elapsed().as_secs() < 5 {
            let start = Instant::now();
            page = store.list_credentials(&query).await.expect("a page");
            micros.push(start.elapsed().as_micros());
        }
        micros.sort_unstable();
        let median = micros[micros.len() / 2];
        let sign = if page.total_is_exact { "=" } else { ">=" };
        println!(
            "{what:<22} {median:>8} us   {} rows of {sign}{}",
            page.rows.len(),
            page.total
        );
    }
    store.close().await;
}

async fn fill(url: &str, size: u64) {
    // The SQL of both engines is close enough to be rewritten from one text.
    let team = "x'01010101010101010101010101010101'";
    let script = format!(
        "INSERT INTO teams VALUES ({team}, 'T', 0);
         INSERT INTO credentials SELECT RANDOM16, {team}, n.name, n.name, n.type, 1, 1,
             '[\"apiKey\"]', 0, NULL, 'ada@example.com', 0, NULL, 'ada@example.com'
           FROM (SELECT 'svc' || PAD(i % 20, 2) || ' team' || PAD(i / 20 % 100, 2) || ' ' ||
             PAD(i, 7) AS name, CASE i % 7 WHEN 0 THEN 'API_KEY' ELSE 'HTTP_BASIC' END AS type
             FROM SERIES) n;
         INSERT INTO credential_words SELECT team_id, substr(name, 1, 5), name, id, type FROM credentials;
         INSERT INTO credential_words SELECT team_id, substr(name, 7, 6), name, id, type FROM credentials;
         INSERT INTO credential_words SELECT team_id, substr(name, 14, 7), name, id, type FROM credentials;
         INSERT INTO credential_words SELECT team_id, name, name, id, type FROM credentials;
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
