//! Where the browser goes after a sign-in: never to another host.

use nodeloom_domain::FieldErrors;

/// The first page.
const HOME: &str = "/";
/// Longest path, in bytes.
const MAX_BYTES: usize = 512;

/// Reads a path of this host, query included.
///
/// Browsers read `//host`, `/\host` and a path with tabs or line ends in it as other hosts, so
/// the path begins with one slash and has only characters of RFC 3986.
pub(super) fn parse(text: Option<&str>) -> Result<String, FieldErrors> {
    let text = text.unwrap_or(HOME);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&()*+,=:@/?%".contains(&byte);
    let is_local = text.len() <= MAX_BYTES
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(allowed);
    is_local.then(|| text.to_owned()).ok_or_else(|| {
        FieldErrors::one(
            "returnTo",
            "local-path",
            "must be a path of this address, such as /credentials",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host_are_taken() {
        assert_eq!(parse(None).unwrap(), "/");
        for good in [
            "/",
            "/credentials?teamId=1&search=a%20b",
            "/a:b@c/d",
            "/a//b",
        ] {
            assert_eq!(parse(Some(good)).unwrap(), good);
        }
        let long = format!("/{}", "a".repeat(512));
        for bad in [
            "",
            "a",
            "//evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "https://evil.test",
            "/a\nb",
            "/\t/evil.test",
            " /",
            "/a b",
            "/\u{e9}",
            "/a\"b",
            "/a'b",
            "/a<b",
            "/a;b",
            "/a#b",
            "javascript:alert(1)",
            "?a",
            &long,
        ] {
            assert!(parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
