//! A type as JSON Schema, for forms, clients and documentation.

use serde_json::{Map, Value, json};

use super::{CredentialType, Field, FieldKind, When};

pub(super) fn of(kind: &CredentialType) -> Value {
    let properties: Map<String, Value> = kind
        .fields
        .iter()
        .map(|field| (field.name.clone(), property(field)))
        .collect();
    let required: Vec<&str> = kind
        .fields
        .iter()
        .filter(|f| f.required && f.when.is_none())
        .map(|f| f.name.as_str())
        .collect();
    let conditions: Vec<Value> = kind
        .fields
        .iter()
        .filter(|field| field.required)
        .filter_map(|field| Some((field, field.when.as_ref()?)))
        .map(|(field, when)| json!({"if": holds(kind, when), "then": {"required": [field.name]}}))
        .collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:nodeloom:credential-type:{}", kind.id),
        "title": kind.name,
        "description": kind.description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if !conditions.is_empty() {
        schema["allOf"] = conditions.into();
    }
    schema
}

/// The schema that data meets when the condition holds.
fn holds(kind: &CredentialType, when: &When) -> Value {
    let name = &when.field;
    let default = kind.field(name).and_then(|field| field.default.as_ref());
    match (&when.is, when.set) {
        // Absent, it takes its default.
        (Some(wanted), _) if default == Some(wanted) => {
            json!({"properties": {name: {"const": wanted}}})
        }
        (Some(wanted), _) => {
            json!({"properties": {name: {"const": wanted}}, "required": [name]})
        }
        (None, Some(false)) => json!({"not": {"required": [name]}}),
        (None, _) => json!({"required": [name]}),
    }
}

fn property(field: &Field) -> Value {
    let mut schema = match field.kind {
        FieldKind::Text | FieldKind::MultilineText => json!({"type": "string", "minLength": 1}),
        FieldKind::HeaderText => {
            json!({"type": "string", "minLength": 1, "pattern": "^[^\\x00-\\x08\\x0a-\\x1f\\x7f]+$"})
        }
        FieldKind::HeaderName => {
            json!({"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"})
        }
        FieldKind::KeyText => json!({"type": "string", "pattern": "^[A-Za-z0-9._~+/=:-]+$"}),
        FieldKind::HostLabel => {
            json!({"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"})
        }
        FieldKind::Integer => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        FieldKind::Url => json!({"type": "string", "format": "uri", "pattern": "^https?://"}),
        FieldKind::Host => json!({"type": "string", "minLength": 1, "maxLength": 253}),
        FieldKind::Port => json!({"type": "integer", "minimum": 1, "maximum": 65535}),
        FieldKind::Boolean => json!({"type": "boolean"}),
        FieldKind::Json if !field.members.is_empty() => {
            let members: Map<String, Value> = field
                .members
                .iter()
                .map(|name| (name.clone(), json!({"type": "string", "minLength": 1})))
                .collect();
            json!({"type": "object", "properties": members, "required": field.members})
        }
        FieldKind::Json => json!({"not": {"type": "null"}}),
    };
    let object = schema
        .as_object_mut()
        .expect("every arm above is an object");
    object.insert("title".into(), field.label.clone().into());
    object.insert("description".into(), field.description.clone().into());
    if field.secret {
        object.insert("writeOnly".into(), true.into());
        object.insert("x-secret".into(), true.into());
    }
    if field.kind == FieldKind::MultilineText {
        object.insert("x-multiline".into(), true.into());
    }
    if !field.one_of.is_empty() {
        object.insert("enum".into(), field.one_of.clone().into());
    }
    if !field.hosts.is_empty() {
        let hosts: Vec<String> = field.hosts.iter().map(ToString::to_string).collect();
        object.insert("x-hosts".into(), hosts.into());
    }
    if let Some(default) = &field.default {
        object.insert("default".into(), default.clone());
    }
    if let Some(example) = &field.example {
        object.insert("examples".into(), json!([example]));
    }
    schema
}
