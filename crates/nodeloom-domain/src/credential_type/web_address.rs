//! Addresses made from a type's templates, and whether a secret may go to one.

use serde_json::{Map, Value};
use url::Url;

use super::{CredentialType, FieldKind, HostPattern, Part, Template, push_segment};

/// Why an address cannot be made. Never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The data lacks a field that the address needs.
    #[error("the field {0} is needed for the address")]
    Missing(String),
    /// The value cannot stand in an address.
    #[error("the field {0} cannot stand in an address")]
    Unfit(String),
    /// What comes out is no address, or one with a query, a fragment or a password.
    #[error("the address is not a plain http or https address")]
    NotPlain,
}

impl CredentialType {
    /// Where the service's API begins, without a slash at the end; `None` for a type
    /// without a base address.
    ///
    /// # Errors
    /// [`AddressError`] if the data does not make one; data that validates does.
    pub fn base_url(&self, data: &Map<String, Value>) -> Result<Option<String>, AddressError> {
        let Some(template) = &self.base_url else {
            return Ok(None);
        };
        let text = self.fill(template, data)?;
        let url = parse(&text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::NotPlain);
        }
        let mut text = String::from(url);
        text.truncate(text.trim_end_matches('/').len());
        Ok(Some(text))
    }

    /// An address from a template without secrets; `{base}` is the base address.
    ///
    /// # Errors
    /// [`AddressError`] if the data does not make one.
    pub fn address(
        &self,
        template: &Template,
        data: &Map<String, Value>,
    ) -> Result<Url, AddressError> {
        parse(&self.fill(template, data)?)
    }

    fn fill(&self, template: &Template, data: &Map<String, Value>) -> Result<String, AddressError> {
        let mut text = String::new();
        for part in template.parts() {
            let name = match part {
                Part::Text(part) => {
                    text.push_str(part);
                    continue;
                }
                Part::Field(name) if name == "base" => {
                    let base = self.base_url(data)?;
                    text.push_str(&base.ok_or_else(|| AddressError::Missing("base".into()))?);
                    continue;
                }
                Part::Field(name) => name,
            };
            let missing = || AddressError::Missing(name.clone());
            let field = self.field(name).ok_or_else(missing)?;
            let value = self.value(data, name).ok_or_else(missing)?;
            let unfit = || AddressError::Unfit(name.clone());
            if field.secret || field.check(value).is_err() {
                return Err(unfit());
            }
            let value = value.as_str().ok_or_else(unfit)?;
            match field.kind {
                // An address stands first, a label of a host is letters, digits and hyphens.
                FieldKind::Url => text.push_str(value.trim_end_matches('/')),
                FieldKind::HostLabel => text.push_str(value),
                _ => {
                    if matches!(value, "." | "..") {
                        return Err(unfit());
                    }
                    push_segment(&mut text, value);
                }
            }
        }
        Ok(text)
    }

    /// Whether a secret of this credential may be sent to that address: its origin is the base
    /// address's, or it is https on port 443 at a host that the type names. The generic types
    /// name no host and allow all.
    #[must_use]
    pub fn may_send_to(&self, data: &Map<String, Value>, url: &Url) -> bool {
        if !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        self.allowed_hosts.is_empty()
            || self.allowed_hosts.iter().any(|pattern| match pattern {
                HostPattern::Base => self
                    .base_url(data)
                    .ok()
                    .flatten()
                    .and_then(|base| Url::parse(&base).ok())
                    .is_some_and(|base| base.origin() == url.origin()),
                named => is_https_at(url, named),
            })
    }
}

/// https, port 443, and a host that the pattern names.
pub(super) fn is_https_at(url: &Url, pattern: &HostPattern) -> bool {
    url.scheme() == "https"
        && url.port().is_none()
        && url.domain().is_some_and(|host| pattern.matches(host))
}

fn parse(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text).map_err(|_| AddressError::NotPlain)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none();
    if plain {
        Ok(url)
    } else {
        Err(AddressError::NotPlain)
    }
}
