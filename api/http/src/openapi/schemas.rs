//! The schemas that operations refer to, gathered while the operations are described.

use std::collections::BTreeMap;

use hyper::StatusCode;
use utoipa::ToSchema;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Ref;
use utoipa::openapi::{Content, RefOr, Required, Schema};

use super::handler::Handler;

pub(super) const JSON: &str = "application/json";

/// Schemas by name.
#[derive(Default)]
pub(super) struct Schemas(Vec<(String, RefOr<Schema>)>);

impl Schemas {
    /// Adds the schema of a type, and all that it refers to, and returns a reference to it.
    pub(super) fn of<T: ToSchema>(&mut self) -> Ref {
        T::schemas(&mut self.0);
        self.named(&T::name(), T::schema())
    }

    /// Adds a schema that no type has.
    pub(super) fn named(&mut self, name: &str, schema: impl Into<RefOr<Schema>>) -> Ref {
        self.0.push((name.to_owned(), schema.into()));
        Ref::from_schema_name(name)
    }

    /// Describes the answer that a handler gives.
    pub(super) fn reply<A, H: Handler<A>>(&mut self, _: H) -> ResponseBuilder {
        let schema = self.of::<H::Body>();
        json(StatusCode::OK, schema)
    }

    /// Describes a JSON body.
    pub(super) fn body<T: ToSchema>(&mut self, says: &str) -> RequestBody {
        let mut body = self.optional_body::<T>(says);
        body.required = Some(Required::True);
        body
    }

    /// Describes a JSON body that may be left away.
    pub(super) fn optional_body<T: ToSchema>(&mut self, says: &str) -> RequestBody {
        let schema = self.of::<T>();
        RequestBodyBuilder::new().description(Some(says)).content(JSON, Content::new(Some(schema))).build()
    }

    /// Returns each schema once.
    pub(super) fn into_sorted(self) -> BTreeMap<String, RefOr<Schema>> {
        let mut sorted = BTreeMap::new();
        for (name, schema) in self.0 {
            let twin = sorted.get(&name);
            debug_assert!(twin.is_none_or(|twin| *twin == schema), "two schemas are called {name}");
            sorted.insert(name, schema);
        }
        sorted
    }
}

/// Describes a JSON answer.
pub(super) fn json(status: StatusCode, schema: Ref) -> ResponseBuilder {
    let says = status.canonical_reason().unwrap_or_default();
    ResponseBuilder::new().description(says).content(JSON, Content::new(Some(schema)))
}
