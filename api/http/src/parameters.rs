//! The query parameters of every route, in one table: a handler reads no other.

use crate::routes::Endpoint;

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
}

/// Items of a page, unless the caller says otherwise.
pub(crate) const LIMIT_DEFAULT: usize = 50;
/// Items of a page at most.
pub(crate) const LIMIT_MAX: usize = 200;

const TENANT: Parameter = Parameter { name: "tenant" };
const MIN_SEQ: Parameter = Parameter { name: "min_seq" };
const ID: Parameter = Parameter { name: "id" };
const EMAIL: Parameter = Parameter { name: "email" };
const REF: Parameter = Parameter { name: "ref" };
const LIMIT: Parameter = Parameter { name: "limit" };
const CURSOR: Parameter = Parameter { name: "cursor" };
const VERSION: Parameter = Parameter { name: "version" };
const DRY_RUN: Parameter = Parameter { name: "dry_run" };
const EXPECTED_VERSION: Parameter = Parameter { name: "expected_version" };
const AFTER: Parameter = Parameter { name: "after" };
const TOPICS: Parameter = Parameter { name: "topics" };

/// Lists what a route reads from its query.
pub(crate) fn of(endpoint: Endpoint) -> &'static [Parameter] {
    match endpoint {
        Endpoint::Health | Endpoint::Ready | Endpoint::Problem | Endpoint::PostSnapshot => &[],
        Endpoint::BookPurchases => &[DRY_RUN],
        Endpoint::FindCustomer => &[TENANT, MIN_SEQ, ID, EMAIL, REF],
        Endpoint::Tiers | Endpoint::Entries | Endpoint::CustomerPurchases => &[TENANT, MIN_SEQ, LIMIT, CURSOR],
        Endpoint::Purchase => &[MIN_SEQ],
        Endpoint::Customer
        | Endpoint::Wallets
        | Endpoint::Promos
        | Endpoint::Promo
        | Endpoint::TierPrograms
        | Endpoint::Partners
        | Endpoint::Summary
        | Endpoint::TrialBalance => &[TENANT, MIN_SEQ],
        Endpoint::Catalogue => &[TENANT, VERSION, MIN_SEQ],
        Endpoint::ApiKeys | Endpoint::DeleteApiKey => &[TENANT],
        Endpoint::PutPromo
        | Endpoint::PatchPromo
        | Endpoint::PutTierProgram
        | Endpoint::PostPartner
        | Endpoint::PostApiKey
        | Endpoint::PutCatalogue => &[TENANT, EXPECTED_VERSION, DRY_RUN],
        Endpoint::Stream => &[AFTER, TOPICS, TENANT],
    }
}
