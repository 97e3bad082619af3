//! The server described as OpenAPI 3.1: `GET /openapi.json`. What is said over its WebSockets is in [`asyncapi`].
//!
//! Nothing is listed here a second time. Paths, methods and roles come from the table of routes, query parameters from
//! the table that the handlers read by, answers from the types that the handlers return, problem codes from their
//! registry. What is left to write is in `operations`, where every endpoint must have its arm; which problems a route
//! can answer with is in `problems`. The tests hold every reply that they get against this document.

pub mod asyncapi;
mod handler;
mod operations;
mod problems;
mod schemas;

use std::sync::LazyLock;

use axum::response::Response;
use hyper::{Method, StatusCode};
use serde_json::Value;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Ref, SchemaFormat, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Required, Schema,
};

use self::operations::{Outline, TAGS, outline};
use self::schemas::Schemas;
use crate::parameters::{self, Form, HOLD, POSITION, Parameter, WALLET};
use crate::reads::json_response;
use crate::routes::{Endpoint, ROUTES, Role, Route};

/// The scheme of partners.
const API_KEY: &str = "ApiKey";
const PARTNER_SCHEME: &str = "A partner's key. Of a key that has a secret, each request is signed as well: `X-Timestamp` holds \
    the seconds since 1970, at most five minutes from the server's clock, and `X-Signature` the HMAC-SHA256 under the secret, in \
    lower-case hexadecimal, of these lines with a line feed between them: the method; the path with its query; the timestamp; the \
    SHA-256 of the body as sent, in lower-case hexadecimal; and the `Idempotency-Key`, where the request has one. A signed body \
    has at most 1 MiB as sent, a stream too.";
/// The scheme of people.
const BEARER: &str = "Bearer";
const PERSON_SCHEME: &str = "An access token of a person, as `POST /v1/auth/login` gives it: RS256, its public key at \
    `/.well-known/jwks.json`. Or the token that the server was started with, whose holder may do all, in every tenant.";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    // Maps of text to text are written without fail; a test reads the document.
    serde_json::to_string(&document()).unwrap_or_default()
});

/// Returns the description of the server, as JSON.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

/// Shows the description.
pub(crate) async fn show() -> Response {
    json_response(StatusCode::OK, text())
}

fn document() -> OpenApi {
    let mut schemas = Schemas::default();
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        if let Some(method) = method_of(&route.method) {
            paths = paths.path(route.path, PathItem::new(method, operation(route, &mut schemas)));
        }
    }
    problems::add_schemas(&mut schemas);
    let tags = TAGS.iter().map(|(name, says)| TagBuilder::new().name(*name).description(Some(*says)).build());
    let components = ComponentsBuilder::new().schemas_from_iter(schemas.into_sorted());
    let license = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).identifier(Some(env!("CARGO_PKG_LICENSE")));
    let info = InfoBuilder::new()
        .title("Kembali")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("description.md").trim()))
        .license(Some(license.build()));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(
            components.security_scheme(API_KEY, partner_scheme()).security_scheme(BEARER, operator_scheme()).build(),
        ))
        .tags(Some(tags))
        .build()
}

fn method_of(method: &Method) -> Option<HttpMethod> {
    Some(match *method {
        Method::GET => HttpMethod::Get,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => return None,
    })
}

fn operation(route: &Route, schemas: &mut Schemas) -> Operation {
    let Outline { id, tag, summary, description, body, replies } = outline(route.endpoint, schemas);
    let mut operation = OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .summary(Some(summary))
        .description(description)
        .request_body(body)
        .securities(Some(securities(route.role)));
    for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        operation = operation.parameter(path_parameter(route.endpoint, name));
    }
    for parameter in parameters::of(route.endpoint) {
        operation = operation.parameter(query_parameter(parameter));
    }
    if let Some(is_required) = parameters::insists_on_key(route.endpoint) {
        operation = operation.parameter(key_parameter(is_required));
    }
    for (status, response) in replies {
        operation = operation.response(status.to_string(), response);
    }
    for (status, response) in problems::responses(route) {
        operation = operation.response(status.to_string(), response);
    }
    operation.build()
}

/// Either of several is enough; none means that nothing is asked for.
fn securities(role: Role) -> Vec<SecurityRequirement> {
    let one = |name: &str| SecurityRequirement::new(name, [""; 0]);
    match role {
        Role::Public => Vec::new(),
        Role::Partner => vec![one(API_KEY)],
        Role::PartnerOrOperator | Role::PartnerOrAdmin | Role::Anyone => vec![one(API_KEY), one(BEARER)],
        Role::Operator | Role::Admin | Role::Platform | Role::Person | Role::CustomerOrOperator => vec![one(BEARER)],
    }
}

fn partner_scheme() -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-Api-Key", PARTNER_SCHEME)))
}

fn operator_scheme() -> SecurityScheme {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    SecurityScheme::Http(scheme.description(Some(PERSON_SCHEME)).build())
}

fn query_parameter(parameter: &Parameter) -> ParameterBuilder {
    // The tenant is known of all but whoever holds the server's token.
    let is_required = parameter.name == "username";
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(ParameterIn::Query)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(parameter.says))
        .schema(Some(form_schema(parameter.form)))
}

fn form_schema(form: Form) -> RefOr<Schema> {
    let schema = ObjectBuilder::new();
    match form {
        Form::Text => schema.schema_type(Type::String),
        Form::Whole { min, max, default } => {
            // A bound that is the type's own is no news to the reader, and the largest is no number in JavaScript.
            let max = u32::try_from(max).ok().filter(|max| *max < u32::MAX);
            schema.schema_type(Type::Integer).minimum(Some(min)).maximum(max).default(default.map(Value::from))
        }
        Form::Flag => schema.schema_type(Type::Boolean),
        Form::Uuid => schema.schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned()))),
        Form::Past => {
            let position = schema.schema_type(Type::Integer).minimum(Some(0));
            let instant = ObjectBuilder::new().schema_type(Type::String);
            let instant = instant.format(Some(SchemaFormat::Custom("date-time".to_owned())));
            return OneOfBuilder::new().item(position).item(instant).into();
        }
    }
    .into()
}

fn key_parameter(is_required: bool) -> ParameterBuilder {
    let says = "Names this request for 30 days: the same again under it gets the same answer, a refusal too. In \
                quotation marks or without.";
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(says))
        .schema(Some(text))
}

const fn is_of_webhook(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Webhook
            | Endpoint::PatchWebhook
            | Endpoint::DeleteWebhook
            | Endpoint::RotateWebhookSecret
            | Endpoint::TestWebhook
            | Endpoint::WebhookDeliveries
            | Endpoint::ReplayDelivery
            | Endpoint::ReplayDeliveries
    )
}

fn path_parameter(endpoint: Endpoint, name: &str) -> ParameterBuilder {
    let (form, says) = match (endpoint, name) {
        (Endpoint::Purchase | Endpoint::ExplainPurchase, _) => (form_schema(Form::Uuid), "The purchase's id."),
        (Endpoint::Problem, _) => (Ref::from_schema_name(problems::CODE).into(), "The code."),
        (_, "file") => (form_schema(Form::Text), "The file's name."),
        (Endpoint::DeleteApiKey, "id") => (form_schema(Form::Text), "The key's id, as the list of keys shows it."),
        (Endpoint::Account | Endpoint::PatchAccount, "id") => (form_schema(Form::Uuid), "The account's id."),
        (endpoint, "id") if is_of_webhook(endpoint) => (form_schema(Form::Text), "The webhook's id."),
        (Endpoint::ReplayDelivery | Endpoint::ReplayMail, "seq") => {
            (form_schema(POSITION), "The position of the record that it tells of.")
        }
        (_, "slug") => (form_schema(Form::Text), "The partner's slug."),
        (_, "id") => (form_schema(Form::Uuid), "The customer's id."),
        (_, "code") => (form_schema(Form::Text), "The promo's code; it is exact."),
        (_, "wallet") => (form_schema(WALLET), "The wallet's number; 0 is the one that cashback goes to."),
        (_, "number") => (form_schema(Form::Text), "The invoice's number; it is exact."),
        (_, "hold") => (form_schema(HOLD), "The hold's number, as its result and the list of holds say it."),
        (_, "program") => (form_schema(Form::Text), "The programme's name; it is exact."),
        (_, "seq") => (form_schema(POSITION), "The operation's position."),
        (_, "name") => (form_schema(Form::Text), "The programme's name; it is exact."),
        _ => (form_schema(Form::Text), ""),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(says))
        .schema(Some(form))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::codes;

    fn read() -> Value {
        serde_json::from_str(text()).unwrap()
    }

    /// Lists path, method and operation.
    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
        operations
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = read();
        assert_eq!(document["openapi"], "3.1.0");
        let described: BTreeSet<(String, String)> =
            operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
        let served: BTreeSet<(String, String)> =
            ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_string())).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn operations_have_names_of_their_own_and_say_what_they_do() {
        let document = read();
        let tags: BTreeSet<&str> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{method} {path}");
            let reads_body = operation["responses"].get("415").is_some();
            assert_eq!(operation.get("requestBody").is_some(), reads_body, "{method} {path}");
            let statuses = operation["responses"].as_object().unwrap();
            assert!(statuses.keys().any(|status| status < &"400".to_owned()), "{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].as_str().is_some_and(|says| !says.is_empty()), "{method} {path}");
            }
        }
    }

    #[test]
    fn security_is_what_the_role_asks_for() {
        let document = read();
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!((&schemes[API_KEY]["in"], &schemes[API_KEY]["name"]), (&"header".into(), &"X-Api-Key".into()));
        assert_eq!((&schemes[BEARER]["type"], &schemes[BEARER]["scheme"]), (&"http".into(), &"bearer".into()));
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let named: Vec<&str> = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|either| either.as_object().unwrap().keys().map(String::as_str))
                .collect();
            let expected: &[&str] = match route.role {
                Role::Public => &[],
                Role::Partner => &["ApiKey"],
                Role::PartnerOrOperator | Role::PartnerOrAdmin | Role::Anyone => &["ApiKey", "Bearer"],
                Role::Operator | Role::Admin | Role::Platform | Role::Person | Role::CustomerOrOperator => &["Bearer"],
            };
            assert_eq!(named, expected, "{} {}", route.method, route.path);
            let has_refusal = operation["responses"].get("401").is_some();
            let is_login = matches!(route.endpoint, Endpoint::Login | Endpoint::Refresh);
            assert_eq!(has_refusal, route.role != Role::Public || is_login, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn every_code_is_listed_with_its_meaning() {
        let document = read();
        let schema = &document["components"]["schemas"][problems::CODE];
        let listed: Vec<&str> = schema["enum"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(listed, codes::ALL.iter().map(|code| code.code).collect::<Vec<&str>>());
        let explained = schema["x-problem-codes"].as_array().unwrap();
        for (code, said) in codes::ALL.iter().zip(explained) {
            assert_eq!((said["code"].as_str(), said["remedy"].as_str()), (Some(code.code), Some(code.remedy)));
        }
        assert_eq!(explained.len(), codes::ALL.len());
    }

    #[test]
    fn every_code_but_those_of_no_route_belongs_to_a_route() {
        let document = read().to_string();
        let of_no_route = ["operation_unknown"];
        for code in codes::ALL {
            let routes = ROUTES.iter().filter(|route| problems::of(route).iter().any(|own| own.code == code.code));
            assert_eq!(routes.count() == 0, of_no_route.contains(&code.code), "{}", code.code);
            assert!(document.contains(code.code));
        }
    }

    /// Counts the references of a document, each of which leads somewhere in it.
    pub(super) fn references(document: &Value) -> usize {
        let mut places = vec![document];
        let mut references = 0;
        while let Some(place) = places.pop() {
            match place {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').expect("all is in one document");
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                        references += 1;
                    }
                    places.extend(members.values());
                }
                Value::Array(items) => places.extend(items),
                _ => (),
            }
        }
        references
    }

    #[test]
    fn every_reference_leads_somewhere() {
        assert!(100 < references(&read()));
    }
}
