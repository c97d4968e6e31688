//! Checking `data` against a type. Messages name the field and the rule and never
//! repeat a value: it may be a secret in the wrong place.

use serde_json::{Map, Value};

use super::{
    AddressError, CredentialType, Field, FieldKind, host::is_label, web_address::is_https_at,
};
use crate::{FieldError, FieldErrors};

impl CredentialType {
    /// Checks a whole `data` object.
    ///
    /// # Errors
    /// One entry for each refused field, `data.` before its name.
    pub fn validate(&self, data: &Map<String, Value>) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        for name in data.keys() {
            if self.field(name).is_none() {
                let known: Vec<&str> = self.fields.iter().map(|f| f.name.as_str()).collect();
                errors.push(
                    format!("data.{}", shown_name(name)),
                    "unknown",
                    format!(
                        "{} has no such field; its fields are {}",
                        self.id,
                        known.join(", ")
                    ),
                );
            }
        }
        for field in &self.fields {
            match data.get(&field.name) {
                None if field.required
                    && field.when.as_ref().is_none_or(|w| w.holds(self, data)) =>
                {
                    errors.push(
                        format!("data.{}", field.name),
                        "required",
                        format!("{} is required: {}", field.label, field.description),
                    );
                }
                None => {}
                Some(value) => {
                    if let Err((rule, message)) = field.check(value) {
                        errors.0.push(FieldError::new(
                            format!("data.{}", field.name),
                            rule,
                            message,
                        ));
                    }
                }
            }
        }
        if errors.0.is_empty()
            && let Err(error) = self.base_url(data)
        {
            let named = match &error {
                AddressError::Missing(name) | AddressError::Unfit(name) => Some(name.as_str()),
                AddressError::NotPlain => self
                    .base_url
                    .as_ref()
                    .and_then(|template| template.fields().next()),
            };
            errors.push(
                format!("data.{}", named.unwrap_or("baseUrl")),
                "url",
                "must make an address without password, query and fragment",
            );
        }
        errors.into_result()
    }
}

/// Merges a change into `data` (RFC 7396, one level): `null` removes a field, any
/// other value replaces it, what is not named stays.
pub fn merge(data: &mut Map<String, Value>, change: &Map<String, Value>) {
    for (name, value) in change {
        if value.is_null() {
            data.remove(name);
        } else {
            data.insert(name.clone(), value.clone());
        }
    }
}

impl Field {
    pub(super) fn check(&self, value: &Value) -> Result<(), (&'static str, String)> {
        match self.kind {
            FieldKind::Port => match value.as_u64() {
                Some(1..=65_535) => return Ok(()),
                Some(_) => return Err(("range", "must be a port from 1 to 65535".into())),
                None => return Err(("type", "must be a whole number from 1 to 65535".into())),
            },
            FieldKind::Integer => {
                return match value.as_u64() {
                    Some(number) if u32::try_from(number).is_ok() => Ok(()),
                    Some(_) => Err(("range", "must not be larger than 4294967295".into())),
                    None => Err(("type", "must be a whole number from 0".into())),
                };
            }
            FieldKind::Boolean => {
                return if value.is_boolean() {
                    Ok(())
                } else {
                    Err(("type", "must be true or false".into()))
                };
            }
            FieldKind::Json => {
                return self.check_json(value);
            }
            _ => {}
        }
        let Some(text) = value.as_str() else {
            return Err(("type", "must be a text".into()));
        };
        if text.is_empty() {
            return Err((
                "empty",
                "must not be empty; leave the field out instead".into(),
            ));
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|allowed| allowed == text) {
            return Err((
                "one-of",
                format!("must be one of {}", self.one_of.join(", ")),
            ));
        }
        match self.kind {
            FieldKind::HeaderText if text.chars().any(|c| c.is_control() && c != '\t') => Err((
                "header",
                "must not contain a line break or control character".into(),
            )),
            FieldKind::HeaderName if !text.bytes().all(is_token) => Err((
                "header-name",
                "must be an HTTP header name: letters, digits and hyphens, like X-API-Key".into(),
            )),
            FieldKind::KeyText if !text.bytes().all(is_key_byte) => Err((
                "key",
                "must be letters, digits and -._~+/=: alone, as the service issued it".into(),
            )),
            FieldKind::Url if !is_web_address(text) => Err((
                "url",
                "must be an address that starts with https:// or http://".into(),
            )),
            FieldKind::Url if !self.names_its_host(text) => Err((
                "url-host",
                format!(
                    "must be an https address, without a port, at {}",
                    self.host_list()
                ),
            )),
            FieldKind::HostLabel if !is_label(text) => Err((
                "host-label",
                "must be one part of a host name: letters, digits and inner hyphens".into(),
            )),
            FieldKind::Host
                if !self.hosts.is_empty()
                    && !self
                        .hosts
                        .iter()
                        .any(|pattern| pattern.matches(&text.to_ascii_lowercase())) =>
            {
                Err(("host", format!("must be {}", self.host_list())))
            }
            FieldKind::Host if !is_host(text) => Err((
                "host",
                "must be a host name or address alone, without scheme, port or path".into(),
            )),
            _ => Ok(()),
        }
    }

    fn check_json(&self, value: &Value) -> Result<(), (&'static str, String)> {
        if value.is_null() {
            return Err(("type", "must be a JSON value other than null".into()));
        }
        let missing = self.members.iter().find(|name| {
            let member = value.get(name.as_str()).and_then(Value::as_str);
            member.is_none_or(str::is_empty)
        });
        match missing {
            Some(name) => Err((
                "member",
                format!("must be a JSON object with the text member {name}"),
            )),
            None => Ok(()),
        }
    }

    /// Whether the host of this address is one of the field's hosts. The address is read as the
    /// client reads it, so that both see the same host.
    fn names_its_host(&self, text: &str) -> bool {
        let Ok(url) = url::Url::parse(text) else {
            return false;
        };
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| is_https_at(&url, pattern))
    }

    fn host_list(&self) -> String {
        let names: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        names.join(" or ")
    }
}

/// The bytes of [`FieldKind::KeyText`].
fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=:".contains(&byte)
}

/// The bytes of a header name (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_web_address(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_empty()
        // A password in an address would be shown wherever the address is.
        && !authority.contains('@')
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && url::Url::parse(text).is_ok()
}

fn is_host(text: &str) -> bool {
    text.len() <= 253
        && (text.parse::<std::net::IpAddr>().is_ok()
            || text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')))
}

/// A field name that a stranger to the schema sent, as it may be repeated in an answer:
/// someone may have pasted a secret there.
#[must_use]
pub fn shown_name(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain && (1..=32).contains(&name.len()) {
        name.to_owned()
    } else {
        "(unreadable name)".into()
    }
}
