//! How often somebody may try to log in: so many times for each account, and for each address, then slower and slower to a steady
//! rate. What was right counts too, so that nobody learns from the limit what was right.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
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

type Limiter<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The limits of log-ins. One for each server.
pub(crate) struct LoginLimits<C: Clock = MonotonicClock> {
    accounts: Limiter<(TenantId, String), C>,
    addresses: Limiter<IpAddr, C>,
}

impl<C: Clock> fmt::Debug for LoginLimits<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LoginLimits")
    }
}

fn limiter<K: Hash + Eq + Clone, C: Clock>((tries, seconds): (u32, u64), clock: C) -> Limiter<K, C> {
    let every = Quota::with_period(Duration::from_secs(seconds)).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    let quota = every.allow_burst(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN));
    RateLimiter::new(quota, HashMapStateStore::default(), clock)
}

impl<C: Clock + Clone> LoginLimits<C> {
    pub(crate) fn new(clock: C) -> LoginLimits<C> {
        LoginLimits { accounts: limiter(ACCOUNT_TRIES, clock.clone()), addresses: limiter(ADDRESS_TRIES, clock) }
    }

    /// Counts a try from an address.
    ///
    /// # Errors
    ///
    /// 429 where there were too many.
    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Problem> {
        check(&self.addresses, &network_of(address))
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

/// Whoever has one address of the newer kind has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

fn check<K: Hash + Eq + Clone, C: Clock>(limiter: &Limiter<K, C>, key: &K) -> Result<(), Problem> {
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
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn tries_of_each_account_and_address_are_counted() {
        let clock = FakeRelativeClock::default();
        let limits = LoginLimits::new(clock.clone());
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
        assert_eq!(code(limits.address(address(1))), "login_limited");
        assert_eq!(code(limits.address(address(2))), "in");
        // Slower and slower is one in so many seconds.
        clock.advance(Duration::from_secs(ACCOUNT_TRIES.1));
        let of_ann = || code(limits.account(TenantId(1), "ann"));
        assert_eq!((of_ann(), of_ann()), ("in", "login_limited"));
        for (address, expected) in
            [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")]
        {
            assert_eq!(network_of(address.parse().expect("an address")).to_string(), expected);
        }
    }
}
