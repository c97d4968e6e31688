//! The identity provider, and who may come in through it.

use nodeloom_app::SingleSignOnRules;
use nodeloom_domain::Role;
use nodeloom_oauth::{
    SafeText,
    oidc::{ClientSettings, Issuer, PlainHttp, Scopes},
};
use nodeloom_web::PublicOrigin;
use url::Url;

use super::Reader;

const ISSUER: &str = "OIDC_ISSUER";
const CLIENT_ID: &str = "OIDC_CLIENT_ID";
const SECRET: &str = "OIDC_CLIENT_SECRET";
const SECRET_FILE: &str = "OIDC_CLIENT_SECRET_FILE";
const SCOPES: &str = "OIDC_SCOPES";
const NAME: &str = "OIDC_NAME";
const ROLE: &str = "OIDC_DEFAULT_ROLE";
const TEAM: &str = "OIDC_DEFAULT_TEAM";
const DOMAINS: &str = "OIDC_ALLOWED_DOMAINS";
const LINK: &str = "OIDC_LINK_BY_EMAIL";
const LINK_ADMINISTRATORS: &str = "OIDC_LINK_ADMINISTRATORS";
const ONLY: &str = "OIDC_ONLY";
const ALL: [&str; 12] = [
    ISSUER,
    CLIENT_ID,
    SECRET,
    SECRET_FILE,
    SCOPES,
    NAME,
    ROLE,
    TEAM,
    DOMAINS,
    LINK,
    LINK_ADMINISTRATORS,
    ONLY,
];

/// Where the provider sends the browser back to, below the base address.
const CALLBACK: &str = "/api/auth/oidc/callback";

/// The settings of single sign-on.
#[derive(Debug)]
pub(crate) struct SingleSignOnConfig {
    pub(crate) client: ClientSettings,
    pub(crate) rules: SingleSignOnRules,
}

impl Reader<'_> {
    pub(super) fn single_sign_on(
        &mut self,
        base_url: Option<&PublicOrigin>,
    ) -> Option<SingleSignOnConfig> {
        let issuer = self.issuer();
        let client_id = self.setting(CLIENT_ID, None);
        let client_secret = self.secret_or_file(SECRET, SECRET_FILE);
        let scopes = self.scopes();
        let rules = self.rules(issuer.as_ref());
        if !self.is_given(ISSUER, false) {
            let other = ALL.into_iter().find(|name| self.is_given(name, false))?;
            self.refuse(
                ISSUER,
                &format!("is not set, and {other} is"),
                format!("set {ISSUER} to the address of the identity provider, or unset {other}"),
            );
            return None;
        }
        if client_id.is_none() {
            self.refuse(
                CLIENT_ID,
                &format!("is not set, and {ISSUER} is"),
                "set it to the client id that the identity provider gave to this instance",
            );
        }
        // The provider compares the address to return to character for character.
        let redirect_uri = base_url.and_then(|url| Url::parse(&format!("{url}{CALLBACK}")).ok());
        if redirect_uri.is_none() && !self.is_given("APP_BASE_URL", false) {
            self.refuse(
                "APP_BASE_URL",
                &format!("is not set, and {ISSUER} is"),
                format!(
                    "set APP_BASE_URL to the address that browsers use, and register it with \
                     {CALLBACK} behind it at the identity provider"
                ),
            );
        }
        Some(SingleSignOnConfig {
            client: ClientSettings {
                issuer: issuer?,
                client_id: client_id?,
                client_secret,
                redirect_uri: redirect_uri?,
                scopes: scopes?,
                plain_http: PLAIN_HTTP,
            },
            rules,
        })
    }

    fn issuer(&mut self) -> Option<Issuer> {
        let text = self.setting(ISSUER, None)?;
        Issuer::parse(&text, PLAIN_HTTP)
            .map_err(|error| {
                self.refuse(
                    ISSUER,
                    &error.to_string(),
                    "set it to the issuer exactly as the provider's discovery document writes it, \
                     such as https://id.example.com/realms/main",
                );
            })
            .ok()
    }

    fn scopes(&mut self) -> Option<Scopes> {
        let Some(text) = self.setting(SCOPES, None) else {
            return Some(Scopes::default());
        };
        Scopes::parse(&text)
            .map_err(|error| {
                let remedy = "set it like `openid email profile`, or unset it";
                self.refuse(SCOPES, &error.to_string(), remedy);
            })
            .ok()
    }

    fn rules(&mut self, issuer: Option<&Issuer>) -> SingleSignOnRules {
        let host = issuer.and_then(|issuer| {
            let url = Url::parse(issuer.as_str()).ok()?;
            url.host_str().map(str::to_owned)
        });
        let name = self.setting(NAME, None).or(host).unwrap_or_default();
        SingleSignOnRules {
            name: SafeText::clean(&name).map_or_else(String::new, |text| text.to_string()),
            default_role: self.default_role(),
            default_team: self.setting(TEAM, None),
            allowed_domains: self.allowed_domains(),
            link_by_email: self.switch(LINK, true),
            link_administrators: self.switch(LINK_ADMINISTRATORS, false),
            only: self.switch(ONLY, false),
        }
    }

    fn default_role(&mut self) -> Option<Role> {
        match self.setting(ROLE, None)?.parse() {
            Ok(Role::Admin) => {
                self.refuse(
                    ROLE,
                    "must not be ADMIN: everybody whom the provider knows would administer the team",
                    "set a weaker role, and let an administrator grant ADMIN",
                );
                None
            }
            Ok(role) => Some(role),
            Err(_) => {
                self.refuse(
                    ROLE,
                    "is not a role",
                    "set VIEWER, AUDITOR, OPERATOR or BUILDER; unset it to let in only people \
                     who have an account",
                );
                None
            }
        }
    }

    fn allowed_domains(&mut self) -> Vec<String> {
        let text = self.setting(DOMAINS, None).unwrap_or_default();
        let mut domains = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let is_domain = part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
            if is_domain && !part.starts_with('.') {
                domains.push(part.to_ascii_lowercase());
            } else {
                self.refuse(
                    DOMAINS,
                    "must be domains of e-mail addresses, separated by commas",
                    "set it like example.com,example.org; a subdomain needs an entry of its own",
                );
                break;
            }
        }
        domains
    }
}

/// A provider on this very machine, which the guard lets through only when it is listed.
const PLAIN_HTTP: PlainHttp = PlainHttp::Loopback;
