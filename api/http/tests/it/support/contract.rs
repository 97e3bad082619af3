//! Whatever a server of these tests answers is held against the server's own description.
//!
//! The description leaves room for members that a later version may add. Here that room is closed, so that a member
//! which is sent and not described fails a test.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::Reply;

pub(crate) const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(kembali_http::openapi::text()).expect("the description is JSON"));

/// All schemas, closed.
static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    let open = DOCUMENT["components"]["schemas"].as_object().expect("schemas");
    Value::Object(open.iter().map(|(name, schema)| (name.clone(), closed(schema, open))).collect())
});

static VALIDATORS: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());

/// Allows no member but those that are described.
fn closed(schema: &Value, open: &Map<String, Value>) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| closed(item, open)).collect(),
        Value::Object(members) if members.contains_key("allOf") => {
            let whole = merged(schema, open);
            let is_open =
                whole["allOf"].as_array().expect("parts").iter().any(|part| part["additionalProperties"] == true);
            let mut whole = whole;
            if !is_open {
                whole["unevaluatedProperties"] = json!(false);
            }
            whole
        }
        Value::Object(members) => {
            let mut members: Map<String, Value> =
                members.iter().map(|(name, member)| (name.clone(), closed(member, open))).collect();
            if members.get("properties").is_some_and(Value::is_object) && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            Value::Object(members)
        }
        plain => plain.clone(),
    }
}

/// Puts the parts of an object that is made of parts in place of references to them; what is inside them is closed.
fn merged(part: &Value, open: &Map<String, Value>) -> Value {
    if let Some(name) = part["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/")) {
        return merged(&open[name], open);
    }
    let members = part.as_object().expect("a schema").iter().map(|(name, member)| {
        let member = match name.as_str() {
            "allOf" | "oneOf" => member.as_array().expect("parts").iter().map(|part| merged(part, open)).collect(),
            _ => closed(member, open),
        };
        (name.clone(), member)
    });
    Value::Object(members.collect())
}

/// Fails unless `value` is as the schema at `pointer` of the description says.
pub(crate) fn check(pointer: &str, value: &Value) {
    let validator = {
        let mut validators = VALIDATORS.lock().expect("no test failed in here");
        let validator = validators.entry(pointer.to_owned()).or_insert_with(|| Arc::new(validator(pointer)));
        Arc::clone(validator)
    };
    let faults: Vec<String> =
        validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{pointer} is not what is sent:\n{}\n{value}", faults.join("\n"));
}

/// Fails unless `value` is as the schema of this name says.
pub(crate) fn check_named(name: &str, value: &Value) {
    check(&format!("/components/schemas/{name}"), value);
}

fn validator(pointer: &str) -> Validator {
    let schema = match pointer.strip_prefix("/components/schemas/") {
        Some(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
        None => {
            let open = DOCUMENT["components"]["schemas"].as_object().expect("schemas");
            closed(DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not described")), open)
        }
    };
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": { "schemas": &*SCHEMAS },
    });
    let built = jsonschema::options().should_validate_formats(true).build(&whole);
    built.unwrap_or_else(|fault| panic!("{pointer} is no schema: {fault}"))
}

/// Fails unless a request and its reply are described.
pub(crate) fn check_reply(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8], reply: &Reply) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(template) = template_of(path) else {
        assert_eq!(reply.json()["code"], "route_unknown", "{method} {path}");
        return check_named("Problem", &reply.json());
    };
    let method = if method == "HEAD" { "get" } else { &method.to_lowercase() };
    let operation = &DOCUMENT["paths"][template][method];
    if operation.is_null() {
        assert_eq!(reply.json()["code"], "method_not_allowed", "{method} {path}");
        return check_named("Problem", &reply.json());
    }
    let operation_at = format!("/paths/{}/{method}", template.replace('~', "~0").replace('/', "~1"));
    let media = reply.header("content-type").unwrap_or("").split(';').next().unwrap_or("");
    let response = &operation["responses"][reply.status.to_string()];
    assert!(response.is_object(), "{method} {template} is not described to answer {}: {reply:?}", reply.status);
    if reply.status == 101 {
        return;
    }
    assert!(response["content"][media].is_object(), "{method} {template} {} is not described as {media}", reply.status);
    let content_of = |place: &str, media: &str| {
        format!("{operation_at}/{place}/content/{}/schema", media.replace('~', "~0").replace('/', "~1"))
    };
    let schema = content_of(&format!("responses/{}", reply.status), media);
    match media {
        _ if reply.body.is_empty() => (),
        "application/x-ndjson" => {
            for line in reply.text().lines().filter_map(|line| serde_json::from_str(line).ok()) {
                check(&schema, &line);
            }
        }
        media if media.ends_with("json") => check(&schema, &reply.json()),
        _ => (),
    }
    if reply.status < 300 {
        check_request(operation, &content_of("requestBody", "application/json"), query, headers, body);
    }
}

/// What was taken is described too.
fn check_request(operation: &Value, body_schema: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) {
    let described: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
    let given = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    for parameter in described.iter().filter(|parameter| parameter["in"] == "query" && parameter["required"] == true) {
        assert!(given(parameter["name"].as_str().expect("a name")), "{query} is enough, but {parameter} is required");
    }
    for name in query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()) {
        assert!(described.iter().any(|parameter| parameter["name"] == name), "{name} is not described");
    }
    let is_plain_json = headers.contains(&("Content-Type", "application/json"))
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Encoding"));
    let is_left_away = body.is_empty() && operation["requestBody"]["required"] != true;
    if is_plain_json && operation["requestBody"].is_object() && !is_left_away {
        check(body_schema, &serde_json::from_slice(body).expect("it was taken as JSON"));
    }
}

/// Finds the described path that a path is one of; plain ones come first.
pub(crate) fn template_of(path: &str) -> Option<&'static str> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let fits = |template: &str| {
        let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        let fits = |(wanted, given): (&&str, &&str)| wanted == given || (wanted.starts_with('{') && !given.is_empty());
        wanted.len() == given.len() && wanted.iter().zip(&given).all(fits)
    };
    let mut found: Vec<&str> = paths.keys().map(String::as_str).filter(|template| fits(template)).collect();
    found.sort_by_key(|template| template.contains('{'));
    found.first().copied()
}

/// Lists the operations: path, method, operation.
pub(crate) fn operations() -> Vec<(&'static str, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&'static String, &'static Value)| {
        METHODS.into_iter().filter_map(move |method| Some((path.as_str(), method, item.get(method)?)))
    };
    paths.iter().flat_map(of_path).collect()
}
