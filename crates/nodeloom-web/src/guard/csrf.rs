//! Whether another site could have sent a request. Asked before the session is looked
//! at and before the body is read, so that a foreign page learns nothing either way.

use axum::http::{HeaderMap, Method, header};

use super::{cookie, host::Accepted};

/// What a request proves itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The session cookie, which a browser adds by itself: the case to guard.
    Cookie,
    /// An `Authorization` header and no cookie: no browser adds one by itself.
    Authorization,
    /// Nothing.
    Nothing,
}

/// What `Sec-Fetch-Site` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FetchSite {
    /// No such header: an old browser, or none.
    Absent,
    /// `same-origin`, or `none` for what the person did in the browser itself.
    Own,
    /// Anything else; sibling hosts (`same-site`) are others too.
    Foreign,
}

/// What `Origin` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginIs {
    /// No such header.
    Absent,
    /// The host that was asked, with the scheme where we know it.
    Own,
    /// Anything else, `null` and repetitions included.
    Foreign,
}

/// What `Content-Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// No such header.
    Absent,
    /// JSON, which no form of another site can send without asking first.
    Json,
    /// Anything else.
    Other,
}

/// Everything that the decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether the method promises to change nothing: GET, HEAD, OPTIONS.
    pub(crate) safe: bool,
    /// Whether the route opens a session: sign-in and set-up. A foreign page could
    /// otherwise sign its visitor in as somebody else.
    pub(crate) opens_session: bool,
    pub(crate) proof: Proof,
    pub(crate) site: FetchSite,
    pub(crate) origin: OriginIs,
    pub(crate) content: Content,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// On to authentication.
    Pass,
    /// A header says that another site sent it.
    CrossSite,
    /// Neither header is there to tell.
    Unproven,
    /// Ours, but not JSON.
    NotJson,
}

/// Decides. Safe methods pass, since they change nothing.
pub(crate) const fn decide(facts: Facts) -> Decision {
    use Decision::{CrossSite, NotJson, Pass, Unproven};
    if facts.safe {
        return Pass;
    }
    let ambient = facts.opens_session || matches!(facts.proof, Proof::Cookie);
    let exempt = !ambient && matches!(facts.proof, Proof::Authorization);
    if !exempt {
        match (facts.site, facts.origin) {
            (FetchSite::Foreign, _) | (_, OriginIs::Foreign) => return CrossSite,
            // Without a cookie there is nothing to abuse: authentication answers.
            (FetchSite::Absent, OriginIs::Absent) if ambient => return Unproven,
            _ => {}
        }
    }
    match facts.content {
        Content::Other => NotJson,
        Content::Absent | Content::Json => Pass,
    }
}

/// Reads the facts of a request to `path` on the `accepted` host.
pub(crate) fn facts(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    accepted: Accepted<'_>,
) -> Facts {
    Facts {
        safe: matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS),
        opens_session: matches!(path, "/api/auth/login" | "/api/setup"),
        proof: proof(headers),
        site: site(headers),
        origin: origin(headers, accepted),
        content: content(headers),
    }
}

fn proof(headers: &HeaderMap) -> Proof {
    if cookie::is_present(headers) {
        Proof::Cookie
    } else if headers.contains_key(header::AUTHORIZATION) {
        Proof::Authorization
    } else {
        Proof::Nothing
    }
}

/// Reads `Sec-Fetch-Site`.
pub(crate) fn site(headers: &HeaderMap) -> FetchSite {
    let mut lines = headers.get_all("sec-fetch-site").iter();
    match (lines.next(), lines.next()) {
        (None, _) => FetchSite::Absent,
        (Some(one), None) if matches!(one.as_bytes(), b"same-origin" | b"none") => FetchSite::Own,
        _ => FetchSite::Foreign,
    }
}

fn origin(headers: &HeaderMap, accepted: Accepted<'_>) -> OriginIs {
    let mut lines = headers.get_all(header::ORIGIN).iter();
    match (lines.next(), lines.next()) {
        (None, _) => OriginIs::Absent,
        (Some(one), None) if one.to_str().is_ok_and(|o| accepted.is_origin(o)) => OriginIs::Own,
        _ => OriginIs::Foreign,
    }
}

fn content(headers: &HeaderMap) -> Content {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Content::Absent,
        (Some(one), None) if one.to_str().is_ok_and(is_json) => Content::Json,
        _ => Content::Other,
    }
}

/// `application/json` or `application/…+json`, with any parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.strip_prefix("application/") {
        Some(sub) => sub == "json" || (sub.len() > 5 && sub.ends_with("+json")),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::host::Authority;

    use Decision::{CrossSite, NotJson, Pass, Unproven};

    const PROOFS: [Proof; 3] = [Proof::Cookie, Proof::Authorization, Proof::Nothing];
    const SITES: [FetchSite; 3] = [FetchSite::Absent, FetchSite::Own, FetchSite::Foreign];
    const ORIGINS: [OriginIs; 3] = [OriginIs::Absent, OriginIs::Own, OriginIs::Foreign];
    const CONTENTS: [Content; 3] = [Content::Absent, Content::Json, Content::Other];

    /// The whole table for state-changing JSON requests. Columns are `Sec-Fetch-Site`
    /// absent, own, foreign; within each, `Origin` absent, own, foreign.
    #[rustfmt::skip]
    const TABLE: [(bool, Proof, [Decision; 9]); 6] = [
        // opens a session, proof               site absent                  site own                 site foreign
        (false, Proof::Cookie,        [Unproven, Pass, CrossSite,   Pass, Pass, CrossSite,   CrossSite, CrossSite, CrossSite]),
        (false, Proof::Authorization, [Pass,     Pass, Pass,        Pass, Pass, Pass,        Pass,      Pass,      Pass]),
        (false, Proof::Nothing,       [Pass,     Pass, CrossSite,   Pass, Pass, CrossSite,   CrossSite, CrossSite, CrossSite]),
        (true,  Proof::Cookie,        [Unproven, Pass, CrossSite,   Pass, Pass, CrossSite,   CrossSite, CrossSite, CrossSite]),
        (true,  Proof::Authorization, [Unproven, Pass, CrossSite,   Pass, Pass, CrossSite,   CrossSite, CrossSite, CrossSite]),
        (true,  Proof::Nothing,       [Unproven, Pass, CrossSite,   Pass, Pass, CrossSite,   CrossSite, CrossSite, CrossSite]),
    ];

    fn expected(facts: Facts) -> Decision {
        let row = TABLE
            .iter()
            .find(|row| row.0 == facts.opens_session && row.1 == facts.proof)
            .unwrap();
        let site = SITES.iter().position(|s| *s == facts.site).unwrap();
        let origin = ORIGINS.iter().position(|o| *o == facts.origin).unwrap();
        row.2[site * 3 + origin]
    }

    #[test]
    fn every_combination_is_decided_as_the_table_says() {
        let mut rows = 0;
        for method in [
            "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW",
        ] {
            let safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
            for opens_session in [false, true] {
                for proof in PROOFS {
                    for site in SITES {
                        for origin in ORIGINS {
                            for content in CONTENTS {
                                let facts = Facts {
                                    safe,
                                    opens_session,
                                    proof,
                                    site,
                                    origin,
                                    content,
                                };
                                let wanted = match (safe, expected(facts), content) {
                                    (true, _, _) => Pass,
                                    (_, Pass, Content::Other) => NotJson,
                                    (_, verdict, _) => verdict,
                                };
                                assert_eq!(decide(facts), wanted, "{method} {facts:?}");
                                rows += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(rows, 9 * 2 * 3 * 3 * 3 * 3);
    }

    fn read(method: Method, path: &str, lines: &[(&'static str, &str)]) -> Facts {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let accepted = Accepted {
            authority: Authority::parse("127.0.0.1:8080").unwrap(),
            https: None,
        };
        facts(&method, path, &headers, accepted)
    }

    #[test]
    fn headers_read_as_facts() {
        let facts = read(Method::POST, "/api/credentials", &[]);
        assert!(!facts.safe && !facts.opens_session);
        assert_eq!(facts.proof, Proof::Nothing);
        assert!(read(Method::POST, "/api/auth/login", &[]).opens_session);
        assert!(read(Method::POST, "/api/setup", &[]).opens_session);
        assert!(read(Method::HEAD, "/", &[]).safe);
        for (value, site) in [
            ("same-origin", FetchSite::Own),
            ("none", FetchSite::Own),
            ("same-site", FetchSite::Foreign),
            ("cross-site", FetchSite::Foreign),
            ("Same-Origin", FetchSite::Foreign),
            ("", FetchSite::Foreign),
        ] {
            assert_eq!(
                read(Method::POST, "/", &[("sec-fetch-site", value)]).site,
                site,
                "{value}"
            );
        }
        for (value, origin) in [
            ("http://127.0.0.1:8080", OriginIs::Own),
            ("null", OriginIs::Foreign),
            ("http://evil.test", OriginIs::Foreign),
            ("http://localhost:8080", OriginIs::Foreign),
        ] {
            assert_eq!(
                read(Method::POST, "/", &[("origin", value)]).origin,
                origin,
                "{value}"
            );
        }
        for (value, content) in [
            ("application/json", Content::Json),
            ("Application/JSON; charset=utf-8", Content::Json),
            ("application/merge-patch+json", Content::Json),
            ("text/plain", Content::Other),
            ("application/x-www-form-urlencoded", Content::Other),
            ("multipart/form-data; boundary=x", Content::Other),
            ("text/plain; application/json", Content::Other),
            ("application/+json", Content::Other),
            ("", Content::Other),
        ] {
            assert_eq!(
                read(Method::POST, "/", &[("content-type", value)]).content,
                content,
                "{value}"
            );
        }
    }

    #[test]
    fn a_cookie_counts_before_an_authorization_and_repetitions_are_foreign() {
        let both = [
            ("cookie", "__Host-nodeloom=x"),
            ("authorization", "Bearer y"),
        ];
        assert_eq!(read(Method::POST, "/", &both).proof, Proof::Cookie);
        assert_eq!(
            read(Method::POST, "/", &both[1..]).proof,
            Proof::Authorization
        );
        assert_eq!(
            read(Method::POST, "/", &[("cookie", "other=x")]).proof,
            Proof::Nothing
        );
        let twice = [("sec-fetch-site", "none"), ("sec-fetch-site", "none")];
        assert_eq!(read(Method::POST, "/", &twice).site, FetchSite::Foreign);
        let twice = [
            ("origin", "http://127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080"),
        ];
        assert_eq!(read(Method::POST, "/", &twice).origin, OriginIs::Foreign);
    }
}
