//! What a handler answers, read off its own type: there is no second place where it could be said differently.

use std::future::Future;

use hyper::StatusCode;
use utoipa::ToSchema;

use crate::csv::JsonOrCsv;
use crate::problem::Problem;
use crate::reads::Json;

/// An answer whose body has a schema.
pub(super) trait Answer {
    type Body: ToSchema;
}

impl<T: ToSchema> Answer for Json<T> {
    type Body = T;
}

impl<T: ToSchema> Answer for JsonOrCsv<T> {
    type Body = T;
}

impl<T: ToSchema> Answer for (StatusCode, Json<T>) {
    type Body = T;
}

/// A handler that gives such an answer, or a problem.
pub(super) trait Handler<Arguments> {
    type Body: ToSchema;
}

macro_rules! handler {
    ($($argument:ident)*) => {
        impl<F, Returned, Given, $($argument),*> Handler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Returned,
            Returned: Future<Output = Result<Given, Problem>>,
            Given: Answer,
        {
            type Body = Given::Body;
        }
    };
}

handler! { A B }
handler! { A B C }
handler! { A B C D }
