//! Templates filled with secrets, in texts that are wiped.

use nodeloom_domain::credential_type::{
    AddressError, CredentialType, Part, Template, push_segment,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::PlacementError;

/// A credential's data with its type.
pub(super) struct Values<'a> {
    pub(super) kind: &'a CredentialType,
    pub(super) data: &'a Map<String, Value>,
}

impl<'a> Values<'a> {
    /// The template with its values, as they are.
    pub(super) fn text(&self, template: &Template) -> Result<Zeroizing<String>, PlacementError> {
        self.fill(template, |text, value| text.push_str(value))
    }

    /// The template with its values percent-encoded, for a path.
    pub(super) fn segment(&self, template: &Template) -> Result<Zeroizing<String>, PlacementError> {
        self.fill(template, push_segment)
    }

    /// As [`Values::text`]; `None` where there is no template, or no value for it.
    pub(super) fn optional(
        &self,
        template: Option<&Template>,
    ) -> Result<Option<Zeroizing<String>>, PlacementError> {
        let there = |template: &&Template| {
            template
                .fields()
                .all(|name| self.kind.value(self.data, name).is_some())
        };
        template.filter(there).map(|t| self.text(t)).transpose()
    }

    /// The JSON of a template that is one field.
    pub(super) fn json(&self, template: &Template) -> Result<&'a Value, PlacementError> {
        let name = template.fields().next().unwrap_or_default();
        let value = self.kind.value(self.data, name);
        value.ok_or_else(|| AddressError::Missing(name.into()).into())
    }

    fn fill(
        &self,
        template: &Template,
        push: impl Fn(&mut String, &str),
    ) -> Result<Zeroizing<String>, PlacementError> {
        // Room for every value percent-encoded: a text that grows leaves copies behind.
        let mut room = 0;
        let mut pieces = Vec::with_capacity(template.parts().len());
        for part in template.parts() {
            let (piece, fixed) = match part {
                Part::Text(text) => (Zeroizing::new(text.clone()), true),
                Part::Field(name) => (self.value(name)?, false),
            };
            room += piece.len() * 3;
            pieces.push((piece, fixed));
        }
        let mut text = Zeroizing::new(String::with_capacity(room));
        for (piece, fixed) in &pieces {
            if *fixed {
                text.push_str(piece);
            } else {
                push(&mut text, piece);
            }
        }
        Ok(text)
    }

    fn value(&self, name: &str) -> Result<Zeroizing<String>, PlacementError> {
        match self.kind.value(self.data, name) {
            None => Err(AddressError::Missing(name.into()).into()),
            Some(Value::String(text)) => Ok(Zeroizing::new(text.clone())),
            Some(other) => Ok(Zeroizing::new(other.to_string())),
        }
    }
}
