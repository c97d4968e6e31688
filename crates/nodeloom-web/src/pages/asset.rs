//! Scripts, styles and pictures, inside the binary. Their names carry a hash of their
//! content, so that a browser may keep them for ever and still never has an old one.

use std::sync::LazyLock;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{error::Problem, extract::PathText, headers};

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

const ASSETS: [Asset; 5] = [
    Asset {
        name: "nodeloom.css",
        kind: "text/css; charset=utf-8",
        content: include_bytes!("../../assets/nodeloom.css"),
    },
    Asset {
        name: "set-up.js",
        kind: "text/javascript; charset=utf-8",
        content: include_bytes!("../../assets/set-up.js"),
    },
    Asset {
        name: "invitation.js",
        kind: "text/javascript; charset=utf-8",
        content: include_bytes!("../../assets/invitation.js"),
    },
    Asset {
        name: "docs.js",
        kind: "text/javascript; charset=utf-8",
        content: include_bytes!("../../assets/docs.js"),
    },
    Asset {
        name: "icon.svg",
        kind: "image/svg+xml",
        content: include_bytes!("../../assets/icon.svg"),
    },
];

/// The names as served, in the order of `ASSETS`.
static SERVED: LazyLock<[String; ASSETS.len()]> = LazyLock::new(|| {
    ASSETS.each_ref().map(|asset| {
        let (stem, extension) = asset.name.rsplit_once('.').unwrap_or((asset.name, ""));
        format!("{stem}.{:016x}.{extension}", fingerprint(asset.content))
    })
});

/// FNV-1a: tells versions of a file apart. It guards nothing, so it need not be strong.
fn fingerprint(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The path under which the file of that name is served.
pub(super) fn path(name: &str) -> String {
    let at = ASSETS.iter().position(|asset| asset.name == name);
    let at = at.expect("pages name embedded files alone");
    format!("/assets/{}", SERVED[at])
}

pub(super) async fn serve(PathText(name): PathText) -> Result<Response, Problem> {
    let at = SERVED
        .iter()
        .position(|served| *served == name)
        .ok_or_else(Problem::not_found)?;
    let asset = &ASSETS[at];
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, headers::IMMUTABLE),
    ];
    Ok((headers, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_content() {
        let name = path("nodeloom.css");
        assert!(
            name.starts_with("/assets/nodeloom.") && name.ends_with(".css"),
            "{name}"
        );
        assert_ne!(fingerprint(b"a"), fingerprint(b"b"));
        assert_eq!(fingerprint(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
