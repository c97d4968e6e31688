//! The API documentation as a page, rendered once from the OpenAPI document: no script
//! is needed to read it, and nothing is fetched from elsewhere.

use maud::{Markup, PreEscaped, html};
use serde_json::{Map, Value};

use super::layout;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page for the document in `json`.
pub(crate) fn render(json: &str) -> String {
    let document: Value = serde_json::from_str(json).expect("we wrote it ourselves");
    let tags: Vec<&str> = list(&document["tags"])
        .iter()
        .map(|t| text(&t["name"]))
        .collect();
    let main = html! {
        h1 { "API" }
        (paragraphs(text(&document["info"]["description"])))
        p { "The same as a file: " a href="/api/openapi.json" { "openapi.json" }
            " (OpenAPI " (text(&document["openapi"])) ")." }
        div.field.search hidden {
            label for="search" { "Find an operation" }
            input id="search" type="search" autocomplete="off" spellcheck="false";
        }
        nav.contents aria-label="Groups" {
            ul {
                @for tag in &tags { li { a href={ "#" (slug(tag)) } { (tag) } } }
                li { a href="#schemas" { "Schemas" } }
            }
        }
        @for tag in list(&document["tags"]) {
            @let name = text(&tag["name"]);
            section.group id=(slug(name)) {
                h2 { (name) }
                p { (text(&tag["description"])) }
                @for (path, method, operation) in operations(&document, name) {
                    (operation_markup(path, method, operation))
                }
            }
        }
        section.group id="schemas" {
            h2 { "Schemas" }
            @for (name, schema) in members(&document["components"]["schemas"]) {
                section.schema id={ "schema-" (name) } {
                    h3 { (name) }
                    (schema_markup(schema))
                }
            }
        }
    };
    layout("API", &["docs.js"], &main).into_string()
}

fn operations<'a>(document: &'a Value, tag: &str) -> Vec<(&'a str, &'static str, &'a Value)> {
    let mut found = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for method in METHODS {
            let operation = &item[method];
            if list(&operation["tags"]).iter().any(|t| text(t) == tag) {
                found.push((path.as_str(), method, operation));
            }
        }
    }
    found
}

fn operation_markup(path: &str, method: &str, operation: &Value) -> Markup {
    let parameters = list(&operation["parameters"]);
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    html! {
        details.operation id=(text(&operation["operationId"])) {
            summary {
                span class={ "method " (method) } { (method.to_uppercase()) }
                code { (path) }
                span.what { (text(&operation["summary"])) }
            }
            (paragraphs(text(&operation["description"])))
            @if operation["security"][0]["session"].is_array() { p.hint { "Needs a session." } }
            @if !parameters.is_empty() {
                h4 { "Parameters" }
                div.scroll tabindex="0" { table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "In" }
                        th scope="col" { "Type" } th scope="col" { "What" } } }
                    tbody { @for parameter in parameters { tr {
                        td { code { (text(&parameter["name"])) }
                            @if parameter["required"] == true { " " span.required { "required" } } }
                        td { (text(&parameter["in"])) }
                        td { (type_markup(&parameter["schema"])) }
                        td { (inline(text(&parameter["description"]))) }
                    } } }
                } }
            }
            @if !body.is_null() {
                h4 { "Body" }
                p { (type_markup(body))
                    @if operation["requestBody"]["required"] != true { " (may be absent)" } }
            }
            h4 { "Answers" }
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "Status" } th scope="col" { "Body" }
                    th scope="col" { "What" } } }
                tbody { @for (status, response) in members(&operation["responses"]) { tr {
                    td { code { (status) } }
                    td { @for (_, content) in members(&response["content"]) {
                        (type_markup(&content["schema"])) } }
                    td { (inline(text(&response["description"])))
                        @for (name, header) in members(&response["headers"]) {
                            br; code { (name) } ": " (inline(text(&header["description"])))
                        } }
                } } }
            } }
        }
    }
}

fn schema_markup(schema: &Value) -> Markup {
    let required: Vec<&str> = list(&schema["required"]).iter().map(text).collect();
    html! {
        (paragraphs(text(&schema["description"])))
        @if schema["properties"].is_object() {
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "Member" } th scope="col" { "Type" }
                    th scope="col" { "What" } } }
                tbody { @for (name, property) in members(&schema["properties"]) { tr {
                    td { code { (name) }
                        @if required.contains(&name.as_str()) {
                            " " span.required { "required" } } }
                    td { (type_markup(property)) }
                    td { (inline(text(&property["description"])))
                        @if property["writeOnly"] == true { " " em { "Never answered." } } }
                } } }
            } }
        } @else {
            p { (type_markup(schema)) }
        }
    }
}

/// A type in a few words, with links to named schemas.
fn type_markup(schema: &Value) -> Markup {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    let alternatives = ["oneOf", "anyOf", "allOf"]
        .iter()
        .find_map(|k| schema[*k].as_array());
    if let Some(alternatives) = alternatives {
        return html! {
            @for (index, one) in alternatives.iter().enumerate() {
                @if index > 0 { " or " }
                (type_markup(one))
            }
        };
    }
    if let Some(values) = schema["enum"].as_array() {
        return html! {
            @for (index, value) in values.iter().enumerate() {
                @if index > 0 { ", " }
                code { (text(value)) }
            }
        };
    }
    let names = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(name) => name.clone(),
        _ => "any".to_owned(),
    };
    html! {
        @if schema["items"].is_object() { "array of " (type_markup(&schema["items"])) }
        @else { (names) }
        @if let Some(format) = schema["format"].as_str() { " (" (format) ")" }
    }
}

/// Text with blank lines between its paragraphs.
fn paragraphs(text: &str) -> Markup {
    html! { @for part in text.split("\n\n").filter(|p| !p.is_empty()) { p { (inline(part)) } } }
}

/// Text in which backquotes mark code; all of it is escaped.
fn inline(text: &str) -> Markup {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        if index % 2 == 1 {
            html! { code { (part) } }
        } else {
            html! { (part) }
        }
    });
    PreEscaped(parts.map(PreEscaped::into_string).collect())
}

/// An anchor: lower case, hyphens between words.
fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_operation_and_loads_nothing_foreign() {
        let json = crate::openapi();
        let page = render(&json);
        let document: Value = serde_json::from_str(&json).unwrap();
        for (path, item) in members(&document["paths"]) {
            for (_, operation) in members(item) {
                let id = text(&operation["operationId"]);
                assert!(page.contains(&format!("id=\"{id}\"")), "{path} {id}");
            }
        }
        for name in document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
        {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        assert!(
            !page.contains("src=\"http") && !page.contains(concat!("style", "=")),
            "no foreign or inline"
        );
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            inline("a <b> `c<d`").into_string(),
            "a &lt;b&gt; <code>c&lt;d</code>"
        );
    }
}
