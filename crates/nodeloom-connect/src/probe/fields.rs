//! Reading a credential's fields, its type's defaults included.

use nodeloom_domain::credential_type::CredentialType;
use serde_json::{Map, Value};

use super::outcome::{Stop, TestCode};

pub(super) struct Fields<'a> {
    pub(super) kind: &'a CredentialType,
    pub(super) data: &'a Map<String, Value>,
}

impl Fields<'_> {
    /// A text, if there is one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.kind.value(self.data, name)?.as_str()
    }

    /// A text that a test cannot do without.
    pub(super) fn required(&self, name: &str) -> Result<&str, Stop> {
        self.text(name)
            .ok_or_else(|| Stop::new(TestCode::Data, format!("the credential has no {name}")))
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.kind.value(self.data, name)?.as_u64()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.kind.value(self.data, name);
        value.and_then(Value::as_bool).unwrap_or_default()
    }

    /// Host and port.
    pub(super) fn server(&self, default_port: u16) -> Result<(&str, u16), Stop> {
        let port = self.number("port").unwrap_or(default_port.into());
        let port = port
            .try_into()
            .map_err(|_| Stop::new(TestCode::Data, "the port is no port"))?;
        Ok((self.required("host")?, port))
    }
}
