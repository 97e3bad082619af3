//! Who calls: a partner by its API key, an operator by the server's token. What a route asks for is in
//! [`crate::routes`]; whether an object is the caller's own is checked where the object is read.

use hyper::header::{AUTHORIZATION, HeaderMap};
use kembali_core::TenantId;
use kembali_core::operation::Actor;
use kembali_engine::Caller;

use crate::codes;
use crate::config::Secret;
use crate::problem::Problem;
use crate::routes::Role;

const API_KEY: &str = "x-api-key";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Nobody,
    Partner(Caller),
    Operator(Operator),
}

/// Whoever sees, explains and corrects what is a tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The one tenant that there is for a person; whoever holds the server's token names one.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) actor: Actor,
}

/// Whoever holds the server's token.
pub(crate) const TOKEN_HOLDER: Operator = Operator { tenant: None, actor: Actor::Operator };

impl Identity {
    pub(crate) const fn is_operator(self) -> bool {
        matches!(self, Identity::Operator(_))
    }

    /// Returns the one tenant that there is for the caller; `None` of whoever may name any.
    pub(crate) const fn tenant(self) -> Option<TenantId> {
        match self {
            Identity::Nobody => None,
            Identity::Partner(caller) => Some(caller.tenant),
            Identity::Operator(operator) => operator.tenant,
        }
    }

    /// Returns who that is in the ledger.
    ///
    /// # Errors
    ///
    /// 403 of nobody.
    pub(crate) fn actor(self) -> Result<Actor, Problem> {
        match self {
            Identity::Nobody => Err(Problem::new(&codes::ROLE_INSUFFICIENT)),
            Identity::Partner(caller) => Ok(Actor::Partner(caller.partner)),
            Identity::Operator(operator) => Ok(operator.actor),
        }
    }
}

/// Finds out who calls a route of `role`.
///
/// # Errors
///
/// 401 when nobody is named or the name is wrong, 403 when the route is for others.
pub(crate) fn identify(
    headers: &HeaderMap,
    role: Role,
    operator_token: Option<&Secret>,
    partner_of_key: impl Fn(&str) -> Option<Caller>,
) -> Result<Identity, Problem> {
    let partner = || -> Option<Result<Identity, Problem>> {
        let key = headers.get(API_KEY)?.to_str().ok();
        let caller = key.and_then(&partner_of_key);
        Some(caller.map(Identity::Partner).ok_or_else(|| Problem::new(&codes::API_KEY_UNKNOWN)))
    };
    let operator = || -> Option<Result<Identity, Problem>> {
        let header = headers.get(AUTHORIZATION)?.as_bytes();
        let Some(secret) = operator_token else { return Some(Err(Problem::new(&codes::OPERATOR_ACCESS_DISABLED))) };
        let is_right = bearer(header).is_some_and(|token| secret.is(token));
        Some(if is_right {
            Ok(Identity::Operator(TOKEN_HOLDER))
        } else {
            Err(Problem::new(&codes::OPERATOR_TOKEN_UNKNOWN))
        })
    };
    let insufficient = || Problem::new(&codes::ROLE_INSUFFICIENT);
    match role {
        Role::Public => Ok(Identity::Nobody),
        Role::Partner => match partner() {
            Some(partner) => partner,
            None => match operator() {
                Some(Ok(_)) => Err(insufficient()),
                _ => Err(Problem::new(&codes::API_KEY_MISSING)),
            },
        },
        Role::Operator => match operator() {
            Some(operator) => operator,
            None => match partner() {
                Some(Ok(_)) => Err(insufficient()),
                Some(Err(problem)) => Err(problem),
                None if operator_token.is_none() => Err(Problem::new(&codes::OPERATOR_ACCESS_DISABLED)),
                None => Err(Problem::new(&codes::OPERATOR_TOKEN_MISSING)),
            },
        },
        Role::PartnerOrOperator => match operator().or_else(partner) {
            Some(identity) => identity,
            None => Err(Problem::new(&codes::CREDENTIALS_MISSING)),
        },
    }
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use kembali_core::{PartnerId, TenantId};
    use kembali_engine::ApiKeyId;

    use super::*;

    const CALLER: Caller = Caller { tenant: TenantId(1), partner: PartnerId(2), key: ApiKeyId(3) };

    /// Says who is found, or the code.
    fn check(role: Role, with_token: bool, key: Option<&'static str>, bearer: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(API_KEY, HeaderValue::from_static(key));
        }
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(bearer));
        }
        let secret = Secret::new("s3cret");
        let find = |key: &str| (key == "good").then_some(CALLER);
        match identify(&headers, role, with_token.then_some(&secret), find) {
            Ok(Identity::Nobody) => "nobody".to_owned(),
            Ok(Identity::Partner(_)) => "partner".to_owned(),
            Ok(Identity::Operator(_)) => "operator".to_owned(),
            Err(problem) => format!("{} {}", problem.code.status, problem.code.code),
        }
    }

    #[test]
    fn roles_and_credentials() {
        use Role::{Operator, Partner, PartnerOrOperator, Public};
        let (good, bad) = (Some("good"), Some("bad"));
        let (right, wrong) = (Some("Bearer s3cret"), Some("Bearer s3cres"));
        for (role, with_token, key, bearer, expected) in [
            (Public, true, bad, wrong, "nobody"),
            (Partner, true, good, None, "partner"),
            (Partner, true, bad, None, "401 api_key_unknown"),
            (Partner, true, None, None, "401 api_key_missing"),
            (Partner, true, None, right, "403 role_insufficient"),
            (Partner, true, None, wrong, "401 api_key_missing"),
            (Operator, true, None, right, "operator"),
            (Operator, true, None, Some("bearer s3cret"), "operator"),
            (Operator, true, None, Some("s3cret"), "401 operator_token_unknown"),
            (Operator, true, None, Some("Bearer "), "401 operator_token_unknown"),
            (Operator, true, None, wrong, "401 operator_token_unknown"),
            (Operator, true, None, None, "401 operator_token_missing"),
            (Operator, true, good, None, "403 role_insufficient"),
            (Operator, true, bad, None, "401 api_key_unknown"),
            (Operator, false, None, right, "403 operator_access_disabled"),
            (Operator, false, None, None, "403 operator_access_disabled"),
            (PartnerOrOperator, true, good, None, "partner"),
            (PartnerOrOperator, true, None, right, "operator"),
            (PartnerOrOperator, true, None, None, "401 credentials_missing"),
            (PartnerOrOperator, false, good, None, "partner"),
        ] {
            assert_eq!(check(role, with_token, key, bearer), expected, "{role:?} {key:?} {bearer:?}");
        }
    }
}
