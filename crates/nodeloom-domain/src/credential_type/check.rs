//! What a type's file must fulfil beyond its shape. The checks run when the types are loaded,
//! so that no code below has to think about a type that contradicts itself.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;
use url::Url;

use super::{
    By, CredentialType, Field, FieldKind, HostPattern, Part, Place, Protocol, Template, When,
    host::is_label, validate::is_token,
};
use crate::credential_type::Category;

/// Everything that is wrong with a type's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeError(pub Vec<String>);

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for TypeError {}

/// The word that marks an invented secret.
const MARK: &str = "EXAMPLE";

/// What is being looked for.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Notes `what` unless `holds`.
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

impl CredentialType {
    pub(super) fn check(&self) -> Result<(), TypeError> {
        let mut found = Problems::default();
        self.check_head(&mut found);
        for (index, field) in self.fields.iter().enumerate() {
            self.check_field(index, field, &mut found);
        }
        self.check_auth(&mut found);
        self.check_headers(&mut found);
        self.check_hosts(&mut found);
        self.check_tests(&mut found);
        self.check_example(&mut found);
        if found.0.is_empty() {
            return Ok(());
        }
        let id = &self.id;
        Err(TypeError(
            found
                .0
                .into_iter()
                .map(|what| format!("{id}: {what}"))
                .collect(),
        ))
    }

    fn check_head(&self, found: &mut Problems) {
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        found.unless(!self.id.is_empty() && self.id.bytes().all(plain), || {
            "an id is UPPER_SNAKE".into()
        });
        found.unless(!self.name.trim().is_empty(), || "name is empty".into());
        found.unless(self.description.ends_with('.'), || {
            "description is a sentence".into()
        });
        found.unless(
            Url::parse(&self.documentation).is_ok_and(|url| url.scheme() == "https"),
            || "documentation is no https address".into(),
        );
        found.unless(self.fields.iter().any(|field| field.secret), || {
            "no field is secret".into()
        });
        let names: BTreeSet<&str> = self.fields.iter().map(|f| f.name.as_str()).collect();
        found.unless(names.len() == self.fields.len(), || {
            "two fields have one name".into()
        });
    }

    fn check_field(&self, index: usize, field: &Field, found: &mut Problems) {
        let name = &field.name;
        let camel = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric());
        found.unless(camel && name != "base", || {
            format!("field {name}: a name is camelCase, and not base")
        });
        found.unless(
            !field.label.is_empty() && !field.description.is_empty(),
            || format!("field {name}: label or description is empty"),
        );
        found.unless(!(field.required && field.default.is_some()), || {
            format!("field {name}: required and a default")
        });
        found.unless(
            !field.secret || (field.default.is_none() && field.example.is_none()),
            || format!("field {name}: a secret has no default and no example here"),
        );
        let texts = matches!(field.kind, FieldKind::Text);
        found.unless(field.one_of.is_empty() || texts, || {
            format!("field {name}: one-of is for texts")
        });
        let hosts = matches!(field.kind, FieldKind::Url | FieldKind::Host);
        found.unless(
            field.hosts.is_empty() || (hosts && !field.hosts.contains(&HostPattern::Base)),
            || format!("field {name}: hosts are names, for addresses and hosts"),
        );
        found.unless(
            field.members.is_empty() || field.kind == FieldKind::Json,
            || format!("field {name}: members are for JSON"),
        );
        if let Some(default) = &field.default {
            found.unless(field.check(default).is_ok(), || {
                format!("field {name}: the default breaks the field's own rule")
            });
        }
        if let Some(when) = &field.when {
            let earlier = self.fields[..index].iter().any(|f| f.name == when.field);
            found.unless(earlier, || {
                format!("field {name}: its condition looks at an earlier field")
            });
            self.check_when(when, &format!("field {name}"), found);
        }
    }

    fn check_when(&self, when: &When, place: &str, found: &mut Problems) {
        let Some(field) = self.field(&when.field) else {
            found.0.push(format!(
                "{place}: unknown field {} in its condition",
                when.field
            ));
            return;
        };
        found.unless(when.is.is_some() != when.set.is_some(), || {
            format!("{place}: a condition has either is or set")
        });
        if let Some(wanted) = &when.is {
            found.unless(!field.secret && field.check(wanted).is_ok(), || {
                format!("{place}: its condition can never hold, or looks into a secret")
            });
        }
    }

    fn check_auth(&self, found: &mut Problems) {
        found.unless(!self.auth.is_empty(), || "no placement".into());
        let mut used = BTreeSet::new();
        let mut protocols = false;
        for auth in &self.auth {
            let label = format!("placement {}", auth.place);
            if let Some(when) = &auth.when {
                self.check_when(when, &label, found);
            }
            for template in auth.place.templates() {
                self.check_known(template, &label, found);
                used.extend(template.fields().map(str::to_owned));
            }
            for template in auth.place.needed() {
                self.check_there(template, auth.when.as_ref(), &label, found);
            }
            for template in auth.place.public() {
                self.check_public(template, &label, found);
            }
            if let Some(template) = auth.place.token_url() {
                self.check_address(template, &label, found);
            }
            self.check_place(&auth.place, &label, found);
            protocols |= matches!(auth.place, Place::None { .. });
        }
        for field in self.fields.iter().filter(|field| field.secret) {
            found.unless(protocols || used.contains(&field.name), || {
                format!("the secret {} is placed nowhere", field.name)
            });
        }
    }

    fn check_place(&self, place: &Place, label: &str, found: &mut Problems) {
        let kinds = |template: &Template, fit: &[FieldKind]| {
            template
                .fields()
                .filter(|name| *name != "base")
                .all(|name| self.field(name).is_none_or(|f| fit.contains(&f.kind)))
        };
        const HEADER: &[FieldKind] = &[
            FieldKind::HeaderText,
            FieldKind::HeaderName,
            FieldKind::KeyText,
        ];
        match place {
            Place::Header { name, value } => {
                let fixed = name.parts().iter().all(|part| match part {
                    Part::Text(text) => text.bytes().all(is_token),
                    Part::Field(_) => true,
                });
                found.unless(fixed && kinds(name, &[FieldKind::HeaderName]), || {
                    format!("{label}: the name is no header name")
                });
                found.unless(kinds(value, HEADER), || {
                    format!("{label}: a header takes header-text or key-text")
                });
                let quoted = value
                    .parts()
                    .iter()
                    .any(|part| matches!(part, Part::Text(text) if text.contains(['"', ','])));
                found.unless(!quoted || kinds(value, &[FieldKind::KeyText]), || {
                    format!("{label}: between quotes and commas goes key-text alone")
                });
            }
            Place::Bearer { token } => found.unless(kinds(token, HEADER), || {
                format!("{label}: a header takes header-text or key-text")
            }),
            Place::Path { prefix } => found.unless(
                prefix.to_string().starts_with('/') && kinds(prefix, &[FieldKind::KeyText]),
                || format!("{label}: begins with a slash and takes key-text"),
            ),
            Place::Url { value } => {
                let hosts = value.parts().len() == 1
                    && value.fields().all(|name| {
                        self.field(name)
                            .is_some_and(|f| f.kind == FieldKind::Url && !f.hosts.is_empty())
                    });
                found.unless(hosts, || format!("{label}: one url field with hosts"));
            }
            Place::GoogleServiceAccount { key, .. } => {
                found.unless(
                    kinds(key, &[FieldKind::Json]) && key.parts().len() == 1,
                    || format!("{label}: the key is one JSON field"),
                );
            }
            Place::None { reason } => found.unless(reason.ends_with('.'), || {
                format!("{label}: the reason is a sentence")
            }),
            _ => {}
        }
    }

    fn check_headers(&self, found: &mut Problems) {
        for header in &self.headers {
            let label = format!("header {}", header.name);
            if let Some(when) = &header.when {
                self.check_when(when, &label, found);
            }
            found.unless(
                !header.name.is_empty() && header.name.bytes().all(is_token),
                || format!("{label}: the name is no header name"),
            );
            self.check_known(&header.value, &label, found);
            self.check_public(&header.value, &label, found);
            self.check_there(&header.value, header.when.as_ref(), &label, found);
        }
    }

    fn check_hosts(&self, found: &mut Problems) {
        if let Some(base) = &self.base_url {
            found.unless(base.fields().all(|name| name != "base"), || {
                "base-url names itself".into()
            });
            self.check_known(base, "base-url", found);
            self.check_public(base, "base-url", found);
            self.check_there(base, None, "base-url", found);
            self.check_address(base, "base-url", found);
        }
        let sends = self
            .auth
            .iter()
            .any(|auth| !matches!(auth.place, Place::None { .. } | Place::Url { .. }));
        let bound = !self.allowed_hosts.is_empty();
        found.unless(
            !sends || bound || self.category == Category::Generic,
            || "no allowed-hosts: the secret could be sent anywhere".into(),
        );
        found.unless(
            !self.allowed_hosts.contains(&HostPattern::Base) || self.base_url.is_some(),
            || "allowed-hosts names a base-url that is not there".into(),
        );
    }

    /// A template of an address begins with a fixed https host, one host with host labels put
    /// before a fixed rest, or a field that is an address.
    fn check_address(&self, template: &Template, label: &str, found: &mut Problems) {
        let text = template.to_string();
        if let Some(Part::Field(first)) = template.parts().first() {
            let address = first == "base"
                || self
                    .field(first)
                    .is_some_and(|field| field.kind == FieldKind::Url);
            let rest = &text[first.len() + 2..];
            found.unless(
                address && (rest.is_empty() || rest.starts_with('/')),
                || {
                    format!(
                        "{label}: an address begins with https:// or with a url field and a slash"
                    )
                },
            );
            return;
        }
        let Some(rest) = text.strip_prefix("https://") else {
            found
                .0
                .push(format!("{label}: an address begins with https://"));
            return;
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let fixed = host.rsplit_once('}').map_or(host, |(_, after)| after);
        let anchored = if fixed.len() == host.len() {
            host.split('.').count() >= 2
        } else {
            fixed.starts_with('.') && fixed.split('.').count() >= 3
        };
        let labels = fixed.trim_start_matches('.').split('.').all(is_label);
        found.unless(anchored && labels, || {
            format!("{label}: the end of the host is fixed, two labels or more")
        });
        let open = Template::try_from(host.to_owned()).is_ok_and(|host| {
            host.fields().all(|name| {
                self.field(name)
                    .is_some_and(|field| field.kind == FieldKind::HostLabel)
            })
        });
        found.unless(open, || {
            format!("{label}: a field in a host is a host-label")
        });
    }

    fn check_tests(&self, found: &mut Problems) {
        found.unless(
            self.tests.last().is_some_and(|test| test.when.is_none()),
            || "the last test has no condition".into(),
        );
        for test in &self.tests {
            let label = format!("test by {}", test.by.word());
            if let Some(when) = &test.when {
                self.check_when(when, &label, found);
            }
            match &test.by {
                By::Http(http) => {
                    let method = ["GET", "HEAD", "POST"].contains(&http.method.as_str());
                    found.unless(method, || format!("{label}: GET, HEAD or POST"));
                    let statuses = !http.expect.is_empty()
                        && http.expect.iter().all(|status| (200..500).contains(status));
                    found.unless(statuses && !http.expect.contains(&401), || {
                        format!("{label}: the expected statuses are from 200 to 499, not 401")
                    });
                    let pointer = http.json_true.as_ref().is_none_or(|p| p.starts_with('/'));
                    found.unless(pointer, || format!("{label}: json-true is a JSON pointer"));
                    self.check_known(&http.url, &label, found);
                    self.check_public(&http.url, &label, found);
                    self.check_there(&http.url, test.when.as_ref(), &label, found);
                    self.check_address(&http.url, &label, found);
                }
                By::Protocol(protocol) => self.check_protocol(*protocol, &label, found),
                By::Token {} => {
                    let token = self
                        .auth
                        .iter()
                        .any(|auth| auth.place.token_url().is_some());
                    found.unless(token, || format!("{label}: no placement gets a token"));
                }
                By::None { reason } => found.unless(reason.ends_with('.'), || {
                    format!("{label}: the reason is a sentence")
                }),
            }
        }
    }

    fn check_protocol(&self, protocol: Protocol, label: &str, found: &mut Problems) {
        let has = |name: &str, kind: FieldKind| {
            self.field(name).is_some_and(|field| {
                field.kind == kind && (field.required || field.default.is_some())
            })
        };
        found.unless(
            has("host", FieldKind::Host) && has("port", FieldKind::Port),
            || format!("{label}: needs the fields host and port"),
        );
        let tls = match protocol {
            Protocol::Postgresql | Protocol::Mysql => has("sslMode", FieldKind::Text),
            Protocol::Smtp => has("security", FieldKind::Text),
            Protocol::Redis | Protocol::Mongodb => has("tls", FieldKind::Boolean),
        };
        found.unless(tls, || format!("{label}: no field says how TLS is used"));
    }

    fn check_example(&self, found: &mut Problems) {
        if let Err(errors) = self.validate(&self.example) {
            found.0.push(format!("the example is not valid: {errors}"));
            return;
        }
        for field in self.fields.iter().filter(|field| field.secret) {
            found.unless(self.example.get(&field.name).is_none_or(is_marked), || {
                format!("the example's {} does not contain {MARK}", field.name)
            });
        }
        let mut addresses = Vec::new();
        if let Some(By::Http(http)) = self.test(&self.example).map(|test| &test.by) {
            addresses.push(&http.url);
        }
        addresses.extend(self.base_url.as_ref());
        for template in addresses {
            let sendable = self
                .address(template, &self.example)
                .is_ok_and(|url| self.may_send_to(&self.example, &url));
            found.unless(sendable, || {
                format!("{template} is not within allowed-hosts")
            });
        }
    }

    fn check_known(&self, template: &Template, label: &str, found: &mut Problems) {
        for name in template.fields() {
            let known = if name == "base" {
                self.base_url.is_some()
            } else {
                self.field(name).is_some()
            };
            found.unless(known, || format!("{label}: unknown placeholder {{{name}}}"));
        }
    }

    fn check_public(&self, template: &Template, label: &str, found: &mut Problems) {
        for name in template.fields() {
            let secret = self.field(name).is_some_and(|field| field.secret);
            found.unless(!secret, || {
                format!("{label}: the secret {name} in a place that people see")
            });
        }
    }

    /// What a template needs has a value whenever the template is used.
    fn check_there(
        &self,
        template: &Template,
        when: Option<&When>,
        label: &str,
        found: &mut Problems,
    ) {
        for field in template.fields().filter_map(|name| self.field(name)) {
            let asked = when.is_some_and(|w| w.field == field.name && w.set == Some(true));
            let required = field.required && (field.when.is_none() || field.when.as_ref() == when);
            found.unless(field.default.is_some() || required || asked, || {
                format!("{label}: {} may be absent there", field.name)
            });
        }
    }
}

/// Whether a text, or a text within JSON, bears the mark of an invented value.
fn is_marked(value: &Value) -> bool {
    value.to_string().contains(MARK)
}
