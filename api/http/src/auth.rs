//! Who calls: a partner by its API key, a person by an access token, whoever holds the server's token. What a route asks for is in
//! [`crate::routes`]; whether an object is the caller's own is checked where the object is read.

use hyper::header::{AUTHORIZATION, HeaderMap};
use kembali_core::audit::Role as PersonRole;
use kembali_core::operation::Actor;
use kembali_core::{CustomerId, TenantId};
use kembali_engine::Caller;

use crate::codes;
use crate::config::Secret;
use crate::people::tokens::Bearer;
use crate::problem::Problem;
use crate::routes::Role;

const API_KEY: &str = "x-api-key";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Nobody,
    Partner(Caller),
    Customer(CustomerCaller),
    Operator(Operator),
}

/// A customer, by an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CustomerCaller {
    pub(crate) tenant: TenantId,
    pub(crate) customer: CustomerId,
    pub(crate) bearer: Bearer,
}

/// Whoever sees, explains and corrects what is a tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The one tenant that there is for a person; whoever holds the server's token names one.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) actor: Actor,
    /// The person's token.
    pub(crate) bearer: Option<Bearer>,
}

/// Whoever holds the server's token.
pub(crate) const TOKEN_HOLDER: Operator = Operator { tenant: None, actor: Actor::Operator, bearer: None };

impl Identity {
    pub(crate) const fn is_operator(self) -> bool {
        matches!(self, Identity::Operator(_))
    }

    /// Returns true of whoever may see what is personal of a customer that is the caller's own to see.
    pub(crate) const fn sees_profiles(self) -> bool {
        matches!(self, Identity::Operator(_) | Identity::Customer(_))
    }

    /// Returns the one tenant that there is for the caller; `None` of whoever may name any.
    pub(crate) const fn tenant(self) -> Option<TenantId> {
        match self {
            Identity::Nobody => None,
            Identity::Partner(caller) => Some(caller.tenant),
            Identity::Customer(caller) => Some(caller.tenant),
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
            Identity::Nobody => Err(insufficient()),
            Identity::Partner(caller) => Ok(Actor::Partner(caller.partner)),
            Identity::Customer(caller) => Ok(Actor::Person(caller.bearer.account, PersonRole::Customer)),
            Identity::Operator(operator) => Ok(operator.actor),
        }
    }

    /// Returns the token of a person.
    ///
    /// # Errors
    ///
    /// 403 of whoever is none.
    pub(crate) fn bearer(self) -> Result<Bearer, Problem> {
        match self {
            Identity::Customer(caller) => Ok(caller.bearer),
            Identity::Operator(Operator { bearer: Some(bearer), .. }) => Ok(bearer),
            _ => Err(insufficient()),
        }
    }

    /// Returns true where a route of `role` is for this caller.
    const fn may(self, role: Role) -> bool {
        match self {
            Identity::Nobody => matches!(role, Role::Public),
            Identity::Partner(_) => role.takes_partners(),
            Identity::Customer(_) => role.takes_customers(),
            Identity::Operator(operator) => match (role, operator.actor) {
                (Role::Operator | Role::PartnerOrOperator | Role::CustomerOrOperator | Role::Anyone, _) => true,
                (Role::Admin | Role::PartnerOrAdmin, Actor::Operator | Actor::Person(_, PersonRole::Admin)) => true,
                (Role::Person, _) => operator.bearer.is_some(),
                (Role::Platform, Actor::Operator) => true,
                _ => false,
            },
        }
    }
}

fn insufficient() -> Problem {
    Problem::new(&codes::ROLE_INSUFFICIENT)
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
    person_of_token: impl Fn(&[u8]) -> Result<Identity, Problem>,
) -> Result<Identity, Problem> {
    let partner = || -> Option<Result<Identity, Problem>> {
        let key = headers.get(API_KEY)?.to_str().ok();
        let caller = key.and_then(&partner_of_key);
        Some(caller.map(Identity::Partner).ok_or_else(|| Problem::new(&codes::API_KEY_UNKNOWN)))
    };
    let bearer = || -> Option<Result<Identity, Problem>> {
        let token = bearer(headers.get(AUTHORIZATION)?.as_bytes());
        // The server's own comes first: it may look like any other.
        if token.zip(operator_token).is_some_and(|(token, secret)| secret.is(token)) {
            return Some(Ok(Identity::Operator(TOKEN_HOLDER)));
        }
        Some(match token.filter(|token| is_access_token(token)) {
            Some(token) => person_of_token(token),
            None if operator_token.is_none() => Err(Problem::new(&codes::OPERATOR_ACCESS_DISABLED)),
            None => Err(Problem::new(&codes::OPERATOR_TOKEN_UNKNOWN)),
        })
    };
    let identity = match role {
        Role::Public => return Ok(Identity::Nobody),
        Role::Partner => match partner() {
            Some(partner) => partner?,
            None if matches!(bearer(), Some(Ok(_))) => return Err(insufficient()),
            None => return Err(Problem::new(&codes::API_KEY_MISSING)),
        },
        // Whoever shows both is what the token says.
        _ => match bearer().or_else(partner) {
            Some(identity) => identity?,
            None if role.takes_partners() || role.takes_customers() => {
                return Err(Problem::new(&codes::CREDENTIALS_MISSING));
            }
            None if operator_token.is_none() => return Err(Problem::new(&codes::OPERATOR_ACCESS_DISABLED)),
            None => return Err(Problem::new(&codes::OPERATOR_TOKEN_MISSING)),
        },
    };
    if identity.may(role) { Ok(identity) } else { Err(insufficient()) }
}

/// Tells an access token, which has three parts, from the server's token.
fn is_access_token(token: &[u8]) -> bool {
    token.starts_with(b"eyJ") && token.iter().filter(|byte| **byte == b'.').count() == 2
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use kembali_core::{AccountId, PartnerId};
    use kembali_engine::ApiKeyId;

    use super::*;

    const BEARER: Bearer = Bearer { account: AccountId(4), session: 5 };
    const CALLER: Caller = Caller { tenant: TenantId(1), partner: PartnerId(2), key: ApiKeyId(3) };

    /// Reads tokens whose second part says the role.
    fn person(token: &[u8]) -> Result<Identity, Problem> {
        let role = match token.split(|byte| *byte == b'.').nth(1) {
            Some(b"customer") => {
                let (tenant, customer) = (TenantId(1), CustomerId(6));
                return Ok(Identity::Customer(CustomerCaller { tenant, customer, bearer: BEARER }));
            }
            Some(b"operator") => PersonRole::Operator,
            Some(b"admin") => PersonRole::Admin,
            _ => return Err(Problem::new(&codes::TOKEN_INVALID)),
        };
        let actor = Actor::Person(BEARER.account, role);
        Ok(Identity::Operator(Operator { tenant: Some(TenantId(1)), actor, bearer: Some(BEARER) }))
    }

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
        match identify(&headers, role, with_token.then_some(&secret), find, person) {
            Ok(Identity::Nobody) => "nobody".to_owned(),
            Ok(Identity::Partner(_)) => "partner".to_owned(),
            Ok(Identity::Customer(_)) => "customer".to_owned(),
            Ok(Identity::Operator(Operator { actor: Actor::Person(_, role), .. })) => {
                format!("{role:?}").to_lowercase()
            }
            Ok(Identity::Operator(_)) => "holder".to_owned(),
            Err(problem) => format!("{} {}", problem.code.status, problem.code.code),
        }
    }

    #[test]
    fn roles_and_credentials() {
        use Role::{Operator, Partner, PartnerOrOperator, Person, Public};
        let (good, bad) = (Some("good"), Some("bad"));
        let (right, wrong) = (Some("Bearer s3cret"), Some("Bearer s3cres"));
        for (role, with_token, key, bearer, expected) in [
            (Public, true, bad, wrong, "nobody"),
            (Partner, true, good, None, "partner"),
            (Partner, true, bad, None, "401 api_key_unknown"),
            (Partner, true, None, None, "401 api_key_missing"),
            (Partner, true, None, right, "403 role_insufficient"),
            (Partner, true, None, wrong, "401 api_key_missing"),
            (Operator, true, None, right, "holder"),
            (Operator, true, None, Some("bearer s3cret"), "holder"),
            (Operator, true, None, Some("s3cret"), "401 operator_token_unknown"),
            (Operator, true, None, Some("Bearer "), "401 operator_token_unknown"),
            (Operator, true, None, wrong, "401 operator_token_unknown"),
            (Operator, true, None, None, "401 operator_token_missing"),
            (Operator, true, good, None, "403 role_insufficient"),
            (Operator, true, bad, None, "401 api_key_unknown"),
            (Operator, false, None, right, "403 operator_access_disabled"),
            (Operator, false, None, None, "403 operator_access_disabled"),
            (PartnerOrOperator, true, good, None, "partner"),
            (PartnerOrOperator, true, None, right, "holder"),
            (PartnerOrOperator, true, good, wrong, "401 operator_token_unknown"),
            (PartnerOrOperator, true, None, None, "401 credentials_missing"),
            (PartnerOrOperator, false, good, None, "partner"),
            // People need no token of the server's.
            (Operator, false, None, Some("Bearer eyJ.admin.x"), "admin"),
            (Operator, true, None, Some("Bearer eyJ.operator.x"), "operator"),
            (Operator, true, None, Some("Bearer eyJ.nobody.x"), "401 token_invalid"),
            (Operator, true, None, Some("Bearer eyJ.operator"), "401 operator_token_unknown"),
            (Operator, true, None, Some("Bearer eyJ.operator.x.y"), "401 operator_token_unknown"),
            (Partner, true, None, Some("Bearer eyJ.admin.x"), "403 role_insufficient"),
            (Person, true, None, None, "401 credentials_missing"),
            (Person, true, None, Some("Bearer eyJ.customer.x"), "customer"),
        ] {
            assert_eq!(check(role, with_token, key, bearer), expected, "{role:?} {key:?} {bearer:?}");
        }
    }

    /// Each role against each caller: a route is for exactly these.
    #[test]
    fn each_role_takes_these_callers_and_no_others() {
        let callers = [
            (Some("good"), None, "partner"),
            (None, Some("Bearer eyJ.customer.x"), "customer"),
            (None, Some("Bearer eyJ.operator.x"), "operator"),
            (None, Some("Bearer eyJ.admin.x"), "admin"),
            (None, Some("Bearer s3cret"), "holder"),
        ];
        for (role, takes) in [
            (Role::Partner, "partner"),
            (Role::Operator, "operator admin holder"),
            (Role::Admin, "admin holder"),
            (Role::Platform, "holder"),
            (Role::Person, "customer operator admin"),
            (Role::PartnerOrOperator, "partner operator admin holder"),
            (Role::PartnerOrAdmin, "partner admin holder"),
            (Role::CustomerOrOperator, "customer operator admin holder"),
            (Role::Anyone, "partner customer operator admin holder"),
        ] {
            for (key, bearer, name) in callers {
                let is_taken = takes.split(' ').any(|own| own == name);
                let expected = if is_taken { name } else { "403 role_insufficient" };
                assert_eq!(check(role, true, key, bearer), expected, "{role:?} {name}");
            }
            assert_eq!(role.takes_partners(), takes.contains("partner"), "{role:?}");
            assert_eq!(role.takes_customers(), takes.contains("customer"), "{role:?}");
            assert_eq!(role.takes_operators(), takes.contains("holder") || takes.contains("admin"), "{role:?}");
        }
    }
}
