//! Where this process may connect to, and whom it trusts there.

use std::path::PathBuf;

use nodeloom_connect::guard::{GuardSettings, parse_allow};

use super::Reader;

/// The settings of every outbound connection.
#[derive(Debug, Clone)]
pub(crate) struct OutboundConfig {
    /// Which addresses are let through.
    pub(crate) guard: GuardSettings,
    /// Further certificate authorities, in PEM.
    pub(crate) authorities: Option<PathBuf>,
}

impl Reader<'_> {
    pub(super) fn outbound(&mut self) -> OutboundConfig {
        const ENABLED: &str = "APP_SSRF_PROTECTION_ENABLED";
        const ALLOW: &str = "APP_SSRF_ALLOW";
        let enabled = self.switch(ENABLED, true);
        let text = self.setting(ALLOW, None).unwrap_or_default();
        let allow = parse_allow(&text).unwrap_or_else(|error| {
            let rule = format!("cannot be used: {error}");
            self.refuse(
                ALLOW,
                &rule,
                "set it like 10.1.0.0/16,db.internal:5432,127.0.0.1:9000",
            );
            Vec::new()
        });
        OutboundConfig {
            guard: GuardSettings { enabled, allow },
            authorities: self.path("APP_EXTRA_CA_FILE", None),
        }
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, name: &str, default: bool) -> bool {
        match self.setting(name, None).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.refuse(
                    name,
                    "must be `true` or `false`",
                    format!("set {name}={}, or unset it", !default),
                );
                default
            }
        }
    }
}
