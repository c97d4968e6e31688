//! A type as JSON Schema, for forms, clients and documentation.

use serde_json::{Map, Value, json};

use super::{CredentialType, Field, FieldKind};

pub(super) fn of(kind: &CredentialType) -> Value {
    let properties: Map<String, Value> = kind
        .fields
        .iter()
        .map(|field| (field.name.clone(), property(field)))
        .collect();
    let required: Vec<&str> = kind
        .fields
        .iter()
        .filter(|f| f.required)
        .map(|f| f.name.as_str())
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:nodeloom:credential-type:{}", kind.id),
        "title": kind.name,
        "description": kind.description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
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
        FieldKind::Url => json!({"type": "string", "format": "uri", "pattern": "^https?://"}),
        FieldKind::Host => json!({"type": "string", "minLength": 1, "maxLength": 253}),
        FieldKind::Port => json!({"type": "integer", "minimum": 1, "maximum": 65535}),
        FieldKind::Boolean => json!({"type": "boolean"}),
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
    if let Some(default) = field
        .default
        .as_ref()
        .and_then(|v| serde_json::to_value(v).ok())
    {
        object.insert("default".into(), default);
    }
    if let Some(example) = &field.example {
        object.insert("examples".into(), json!([example]));
    }
    schema
}
