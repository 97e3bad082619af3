//! How often somebody may try to log in: so many times for each account, and for each address, then slower and slower to a steady
//! rate. What was right counts too, so that nobody learns from the limit what was right.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use kembali_core::TenantId;

use crate::codes;
use crate::problem::Problem;

/// Tries of one account that may come at once, and seconds until there is one more.
const ACCOUNT_TRIES: (u32, u64) = (10, 6);
/// Tries from one address that may come at once, and seconds until there is one more.
const ADDRESS_TRIES: (u32, u64) = (60, 1);
/// Accounts and addresses that are remembered at one time. Those that have all their tries again are forgotten.
const REMEMBERED_MAX: usize = 65_536;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock>;

/// The limits of log-ins. One for each server.
pub(crate) struct LoginLimits {
    accounts: Limiter<(TenantId, String)>,
    addresses: Limiter<IpAddr>,
}

impl fmt::Debug for LoginLimits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LoginLimits")
    }
}

fn limiter<K: std::hash::Hash + Eq + Clone>((tries, seconds): (u32, u64)) -> Limiter<K> {
    let every = Quota::with_period(Duration::from_secs(seconds)).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    let quota = every.allow_burst(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN));
    RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock)
}

impl LoginLimits {
    pub(crate) fn new() -> LoginLimits {
        LoginLimits { accounts: limiter(ACCOUNT_TRIES), addresses: limiter(ADDRESS_TRIES) }
    }

    /// Counts a try from an address.
    ///
    /// # Errors
    ///
    /// 429 where there were too many.
    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Problem> {
        check(&self.addresses, &address)
    }

    /// Counts a try of an account, whether or not there is one.
    ///
    /// # Errors
    ///
    /// 429 where there were too many.
    pub(crate) fn account(&self, tenant: TenantId, username: &str) -> Result<(), Problem> {
        check(&self.accounts, &(tenant, username.to_lowercase()))
    }
}

fn check<K: std::hash::Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K) -> Result<(), Problem> {
    if REMEMBERED_MAX <= limiter.len() {
        limiter.retain_recent();
        if REMEMBERED_MAX <= limiter.len() {
            return Err(Problem::new(&codes::OVERLOADED));
        }
    }
    limiter.check_key(key).map_err(|until| {
        let wait = until.wait_time_from(limiter.clock().now());
        Problem::new(&codes::LOGIN_LIMITED).retry_after(wait)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_of_each_account_and_address_are_counted() {
        let limits = LoginLimits::new();
        let code = |tried: Result<(), Problem>| tried.map_or_else(|problem| problem.code.code, |()| "in");
        for _ in 0..ACCOUNT_TRIES.0 {
            assert_eq!(code(limits.account(TenantId(1), "Ann")), "in");
        }
        assert_eq!(code(limits.account(TenantId(1), "ann")), "login_limited", "letter case does not count");
        assert_eq!(code(limits.account(TenantId(1), "bob")), "in");
        assert_eq!(code(limits.account(TenantId(2), "ann")), "in", "another tenant");
        let address = |last| IpAddr::from([127, 0, 0, last]);
        for _ in 0..ADDRESS_TRIES.0 {
            assert_eq!(code(limits.address(address(1))), "in");
        }
        assert_eq!(code(limits.address(address(2))), "in");
    }
}
