//! Picks the members of a request one by one, so that every refusal names its field.

use std::fmt::Display;

use nodeloom_crypto::Secret;
use nodeloom_domain::{FieldErrors, Id, credential_type::shown_name};
use serde_json::{Map, Value};

use crate::error::Problem;

/// Most unknown members that one answer names.
const MAX_UNKNOWN: usize = 20;

/// The members of a request that were not picked yet, and what was wrong so far.
pub(crate) struct Object {
    members: Map<String, Value>,
    refused: FieldErrors,
}

impl Object {
    pub(crate) fn new(members: Map<String, Value>) -> Self {
        Self {
            members,
            refused: FieldErrors::default(),
        }
    }

    /// Everything that is left, as JSON text: what tells two requests apart.
    pub(crate) fn fingerprint(&self) -> Secret<Vec<u8>> {
        let text = serde_json::to_vec(&self.members).unwrap_or_default();
        Secret::new(text)
    }

    /// Whether the member is there, be it `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A required text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name) {
            Some(Value::String(text)) => Some(text),
            Some(Value::Null) | None => self.refuse(name, "required", "must be present"),
            Some(_) => self.refuse(name, "type", "must be a text"),
        }
    }

    /// A text that may be absent or `null`.
    pub(crate) fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name) {
            Some(Value::String(text)) => Some(text),
            Some(Value::Null) | None => None,
            Some(_) => self.refuse(name, "type", "must be a text"),
        }
    }

    /// An array of texts that may be absent or `null`.
    pub(crate) fn optional_texts(&mut self, name: &str) -> Option<Vec<String>> {
        let texts = match self.members.remove(name) {
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            Some(Value::Null) | None => return None,
            Some(_) => None,
        };
        texts.or_else(|| self.refuse(name, "type", "must be an array of texts"))
    }

    /// `true` or `false`, which may be absent or `null`.
    pub(crate) fn optional_bool(&mut self, name: &str) -> Option<bool> {
        match self.members.remove(name) {
            Some(Value::Bool(value)) => Some(value),
            Some(Value::Null) | None => None,
            Some(_) => self.refuse(name, "type", "must be true or false"),
        }
    }

    /// A whole number that may be absent or `null`.
    pub(crate) fn optional_number(&mut self, name: &str) -> Option<u32> {
        match self.members.remove(name) {
            Some(Value::Null) | None => None,
            Some(value) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .or_else(|| self.refuse(name, "type", "must be a whole number")),
        }
    }

    /// A required text that is wiped after use.
    pub(crate) fn secret_text(&mut self, name: &str) -> Option<Secret<String>> {
        self.text(name).map(Secret::new)
    }

    /// A required id.
    pub(crate) fn id<K>(&mut self, name: &str) -> Option<Id<K>> {
        let text = self.text(name)?;
        text.parse()
            .ok()
            .or_else(|| self.refuse(name, "id", NOT_AN_ID))
    }

    /// A required object.
    pub(crate) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.members.remove(name) {
            Some(Value::Object(map)) => Some(map),
            Some(Value::Null) | None => self.refuse(name, "required", "must be present"),
            Some(_) => self.refuse(name, "type", "must be a JSON object"),
        }
    }

    /// Ends the picking: whatever is left is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for name in self.members.keys().take(MAX_UNKNOWN) {
            self.refused.push(
                shown_name(name),
                "unknown",
                "is not a member of this request; leave it out",
            );
        }
        self.refused.into_result().map_err(Problem::invalid)
    }

    /// Every refusal, after a pick came back empty.
    pub(crate) fn refusal(self) -> Problem {
        self.finish()
            .err()
            .unwrap_or_else(|| Problem::invalid(FieldErrors::default()))
    }

    /// Says what is wrong with a member that was picked.
    pub(crate) fn refuse<T>(&mut self, name: &str, rule: &str, message: &str) -> Option<T> {
        self.refused.push(name, rule, message);
        None
    }
}

pub(crate) const NOT_AN_ID: &str =
    "must be an id of 36 characters like 018f4c6e-7d3a-7c2b-9a51-0123456789ab";

/// The parameters of a query.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    refused: FieldErrors,
}

impl Query {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self {
            pairs,
            refused: FieldErrors::default(),
        }
    }

    /// Whether the parameter is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// A parameter that may be absent; twice is a contradiction.
    pub(crate) fn optional_text(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.swap_remove(at);
        if self.pairs.iter().any(|(key, _)| key == name) {
            self.refused
                .push(name, "duplicate", "must stand in the query once");
        }
        Some(value)
    }

    /// A required id.
    pub(crate) fn id<K>(&mut self, name: &str) -> Option<Id<K>> {
        let Some(text) = self.optional_text(name) else {
            self.refused
                .push(name, "required", "must be present in the query");
            return None;
        };
        let id = text.parse().ok();
        if id.is_none() {
            self.refused.push(name, "id", NOT_AN_ID);
        }
        id
    }

    /// An id that may be absent.
    pub(crate) fn optional_id<K>(&mut self, name: &str) -> Option<Id<K>> {
        let text = self.optional_text(name)?;
        let id = text.parse().ok();
        if id.is_none() {
            self.refuse(name, "id", NOT_AN_ID);
        }
        id
    }

    /// A whole number that may be absent.
    pub(crate) fn optional_number(&mut self, name: &str) -> Option<u64> {
        let text = self.optional_text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.refuse(name, "range", "must be a whole number of 0 or more");
        }
        number
    }

    /// Says what is wrong with a parameter that was picked.
    pub(crate) fn refuse(&mut self, name: &str, rule: &str, message: &str) {
        self.refused.push(name, rule, message);
    }

    /// A whole number from `least` to `most`, or `default` when absent.
    pub(crate) fn number<T>(&mut self, name: &str, default: T, least: T, most: T) -> T
    where
        T: std::str::FromStr + PartialOrd + Display,
    {
        let Some(text) = self.optional_text(name) else {
            return default;
        };
        match text.parse::<T>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                let message = format!("must be a whole number from {least} to {most}");
                self.refused.push(name, "range", message);
                default
            }
        }
    }

    /// What was refused, if anything was. Unknown parameters are left alone: they are
    /// how proxies and browsers tag addresses.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        self.refused.into_result().map_err(Problem::invalid)
    }

    /// Every refusal, after a pick came back empty.
    pub(crate) fn refusal(self) -> Problem {
        Problem::invalid(self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodeloom_domain::TeamId;
    use serde_json::json;

    fn object(value: Value) -> Object {
        match value {
            Value::Object(map) => Object::new(map),
            _ => panic!("not an object"),
        }
    }

    fn rules(problem: &Problem) -> Vec<(String, String)> {
        let fields = &problem.detail().fields;
        fields
            .iter()
            .map(|f| (f.field.clone(), f.rule.clone()))
            .collect()
    }

    #[test]
    fn every_broken_field_is_named_at_once() {
        let mut body = object(json!({"name": 3, "teamId": "x", "data": [], "extra": "hunter2"}));
        assert!(body.text("name").is_none());
        assert!(body.text("kind").is_none());
        assert!(body.id::<()>("teamId").is_none());
        assert!(body.object("data").is_none());
        let problem = body.refusal();
        let wanted = [
            ("name", "type"),
            ("kind", "required"),
            ("teamId", "id"),
            ("data", "type"),
            ("extra", "unknown"),
        ];
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(f, r)| ((*f).to_owned(), (*r).to_owned()))
            .collect();
        assert_eq!(rules(&problem), wanted);
        let text = format!("{:?}", problem.detail());
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_good_object_passes() {
        let mut body = object(json!({"name": "x", "reason": null}));
        assert!(body.has("reason"));
        assert_eq!(body.text("name").as_deref(), Some("x"));
        assert_eq!(body.optional_text("reason"), None);
        assert!(body.finish().is_ok());
    }

    #[test]
    fn a_query_is_checked_like_a_body() {
        let pairs = |list: &[(&str, &str)]| {
            Query::new(
                list.iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            )
        };
        let mut query = pairs(&[
            ("page", "-1"),
            ("size", "1001"),
            ("search", "a"),
            ("search", "b"),
        ]);
        assert!(query.id::<()>("teamId").is_none());
        assert_eq!(query.number("page", 0_u32, 0, 9), 0);
        assert_eq!(query.number("size", 200_u32, 1, 1000), 200);
        query.optional_text("search");
        let wanted = [
            ("teamId", "required"),
            ("page", "range"),
            ("size", "range"),
            ("search", "duplicate"),
        ];
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(f, r)| ((*f).to_owned(), (*r).to_owned()))
            .collect();
        assert_eq!(rules(&query.refusal()), wanted);
        let mut query = pairs(&[
            ("teamId", "018f4c6e-7d3a-7c2b-9a51-0123456789ab"),
            ("utm", "x"),
        ]);
        let id: Option<TeamId> = query.id("teamId");
        assert!(id.is_some());
        assert_eq!(query.number("size", 200_u32, 1, 1000), 200);
        assert!(query.finish().is_ok());
    }
}
