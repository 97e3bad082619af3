//! How often somebody may try to log in, register or go on: so many times at once, then slower and slower to a steady rate.
//!
//! A try is counted by its address, and by its account and address together, so that wrong tries from elsewhere keep nobody out.
//! Tries of one account from everywhere are counted too, but not those from an address that the account was logged in from lately:
//! its owner goes on while somebody guesses. What was right counts as well, so that nobody learns from the limit what was right.
//!
//! Everything is counted in tables of one size: whatever is counted falls into one of 65,536 places by a hash that nobody outside
//! can foretell. Two that share a place share their tries; no flood of names makes a table grow, or be full.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use kembali_core::TenantId;

use crate::codes;
use crate::problem::Problem;

/// Tries that may come at once, and seconds until there is one more.
type Tries = (u32, u64);
/// From one address.
const ADDRESS_TRIES: Tries = (60, 1);
/// Of one account from one address.
const OWN_TRIES: Tries = (10, 60);
/// Of one account from all addresses that it was not logged in from lately: ten addresses that guess for ever use that up, and no
/// single one does.
const ACCOUNT_TRIES: Tries = (100, 6);
/// Customers that register from one address: far fewer than may register in all.
const ADDRESS_REGISTRATIONS: Tries = (5, 60);
/// Of one session, to go on: what is counted here has shown its token.
const SESSION_TRIES: Tries = (60, 1);
/// Places of a table: as many as a hash of 16 bits has.
const PLACES: usize = 1 << 16;

type Table<C> = RateLimiter<u16, HashMapStateStore<u16>, C, NoOpMiddleware<<C as Clock>::Instant>>;
type Single<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What people may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeopleLimits {
    /// Whether tries are counted by address: not behind a proxy, where all come from one.
    pub by_address: bool,
    /// Customers that may register in a minute, all together; as many may come at once.
    pub registrations_per_minute: NonZeroU32,
}

impl Default for PeopleLimits {
    fn default() -> PeopleLimits {
        const PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();
        PeopleLimits { by_address: true, registrations_per_minute: PER_MINUTE }
    }
}

/// The limits of log-ins. One for each server.
pub(crate) struct LoginLimits<C: Clock = MonotonicClock> {
    by_address: bool,
    addresses: Table<C>,
    own: Table<C>,
    accounts: Table<C>,
    sessions: Table<C>,
    registered: Table<C>,
    registrations: Single<C>,
    /// Where accounts were logged in from: a hash of both, each in its place until another takes it.
    logged_in: Mutex<Box<[u64]>>,
    hash: RandomState,
}

impl<C: Clock> fmt::Debug for LoginLimits<C> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LoginLimits")
    }
}

fn table<C: Clock>((tries, seconds): Tries, clock: C) -> Table<C> {
    let every = Quota::with_period(Duration::from_secs(seconds)).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    let quota = every.allow_burst(NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN));
    RateLimiter::new(quota, HashMapStateStore::default(), clock)
}

impl<C: Clock + Clone> LoginLimits<C> {
    pub(crate) fn new(limits: PeopleLimits, clock: C) -> LoginLimits<C> {
        let table = |tries| table(tries, clock.clone());
        LoginLimits {
            by_address: limits.by_address,
            addresses: table(ADDRESS_TRIES),
            own: table(OWN_TRIES),
            accounts: table(ACCOUNT_TRIES),
            sessions: table(SESSION_TRIES),
            registered: table(ADDRESS_REGISTRATIONS),
            registrations: RateLimiter::direct_with_clock(Quota::per_minute(limits.registrations_per_minute), clock),
            logged_in: Mutex::new(vec![0; PLACES].into_boxed_slice()),
            hash: RandomState::new(),
        }
    }

    /// Counts a try from an address.
    ///
    /// # Errors
    ///
    /// 429 where there were too many.
    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Problem> {
        if self.by_address { self.check(&self.addresses, network_of(address)) } else { Ok(()) }
    }

    /// Counts a try of an account, whether or not there is one.
    ///
    /// # Errors
    ///
    /// 429 where there were too many.
    pub(crate) fn account(&self, tenant: TenantId, username: &str, address: IpAddr) -> Result<(), Problem> {
        let username = username.to_lowercase();
        self.check(&self.own, (tenant, &username, self.from(address)))?;
        let (place, mark) = self.place(tenant, &username, address);
        if self.logged_in.lock().unwrap_or_else(PoisonError::into_inner)[place] == mark {
            return Ok(());
        }
        self.check(&self.accounts, (tenant, &username))
    }

    /// Remembers where an account was logged in from.
    pub(crate) fn logged_in(&self, tenant: TenantId, username: &str, address: IpAddr) {
        let (place, mark) = self.place(tenant, &username.to_lowercase(), address);
        self.logged_in.lock().unwrap_or_else(PoisonError::into_inner)[place] = mark;
    }

    /// Counts that a session goes on.
    ///
    /// # Errors
    ///
    /// 429 where that was too often.
    pub(crate) fn session(&self, session: u128) -> Result<(), Problem> {
        self.check(&self.sessions, session)
    }

    /// Counts a registration that is about to be made.
    ///
    /// # Errors
    ///
    /// 429 where there were too many, from this address or of all together.
    pub(crate) fn registration(&self, address: IpAddr) -> Result<(), Problem> {
        if self.by_address {
            self.check(&self.registered, network_of(address))?;
        }
        let registrations = &self.registrations;
        registrations.check().map_err(|until| limited(&until, registrations.clock()))
    }

    fn check<C2: Clock>(&self, table: &Table<C2>, counted: impl Hash) -> Result<(), Problem> {
        let place = self.hash.hash_one(counted) & (PLACES as u64 - 1);
        // The mask leaves 16 bits.
        let place = u16::try_from(place).unwrap_or_default();
        table.check_key(&place).map_err(|until| limited(&until, table.clock()))
    }

    fn place(&self, tenant: TenantId, username: &str, address: IpAddr) -> (usize, u64) {
        let mark = self.hash.hash_one((tenant, username, self.from(address)));
        (mark as usize % PLACES, mark)
    }

    /// Where a try is from, as far as that is known.
    fn from(&self, address: IpAddr) -> Option<IpAddr> {
        self.by_address.then(|| network_of(address))
    }
}

fn limited<C: Clock>(until: &NotUntil<C::Instant>, clock: &C) -> Problem {
    Problem::new(&codes::LOGIN_LIMITED).retry_after(until.wait_time_from(clock.now()))
}

/// Whoever has one address of the newer kind has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const TENANT: TenantId = TenantId(1);

    fn limits(by_address: bool) -> (LoginLimits<FakeRelativeClock>, FakeRelativeClock) {
        limits_of(by_address, 2)
    }

    fn limits_of(by_address: bool, registrations: u32) -> (LoginLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let registrations_per_minute = NonZeroU32::new(registrations).expect("not zero");
        (LoginLimits::new(PeopleLimits { by_address, registrations_per_minute }, clock.clone()), clock)
    }

    fn code(tried: Result<(), Problem>) -> &'static str {
        tried.map_or_else(|problem| problem.code.code, |()| "in")
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    /// Tries until it is refused, and says how often it was not.
    fn tries(mut tried: impl FnMut() -> Result<(), Problem>) -> u32 {
        (0..1_000).take_while(|_| tried().is_ok()).count() as u32
    }

    #[test]
    fn tries_of_each_account_and_address_are_counted() {
        let (limits, clock) = limits(true);
        assert_eq!(tries(|| limits.account(TENANT, "Ann", address(1))), OWN_TRIES.0);
        assert_eq!(code(limits.account(TENANT, "ann", address(1))), "login_limited", "letter case does not count");
        assert_eq!(code(limits.account(TENANT, "bob", address(1))), "in");
        assert_eq!(code(limits.account(TenantId(2), "ann", address(1))), "in", "another tenant");
        assert_eq!(tries(|| limits.address(address(1))), ADDRESS_TRIES.0);
        assert_eq!(code(limits.address(address(2))), "in");
        // Slower and slower is one in so many seconds.
        clock.advance(Duration::from_secs(OWN_TRIES.1));
        assert_eq!(tries(|| limits.account(TENANT, "ann", address(1))), 1);
        assert_eq!((tries(|| limits.session(1)), code(limits.session(2))), (SESSION_TRIES.0, "in"));
    }

    #[test]
    fn guesses_from_everywhere_do_not_keep_the_owner_out() {
        let (limits, clock) = limits(true);
        limits.logged_in(TENANT, "Ann", address(1));
        let mut last = 1;
        let guess = || {
            last += 1;
            limits.account(TENANT, "ann", address(last))
        };
        assert_eq!(tries(guess), ACCOUNT_TRIES.0, "each from an address of its own");
        assert_eq!(code(limits.account(TENANT, "ann", address(200))), "login_limited");
        assert_eq!(code(limits.account(TENANT, "ann", address(1))), "in");
        assert_eq!(code(limits.account(TENANT, "bob", address(200))), "in", "another account");
        // Where the owner is, it is not slower for others' tries, and not faster for its own.
        assert_eq!(tries(|| limits.account(TENANT, "ann", address(1))), OWN_TRIES.0 - 1);
        clock.advance(Duration::from_secs(ACCOUNT_TRIES.1));
        assert_eq!(tries(|| limits.account(TENANT, "ann", address(201))), 1);
    }

    #[test]
    fn one_who_guesses_for_an_hour_keeps_nobody_out_elsewhere() {
        let (limits, clock) = limits(true);
        for _ in 0..3_600 {
            clock.advance(Duration::from_secs(1));
            let _ = limits.account(TENANT, "ann", address(9));
        }
        assert_eq!(code(limits.account(TENANT, "ann", address(1))), "in");
        assert_eq!(code(limits.account(TENANT, "ann", address(9))), "login_limited");
    }

    #[test]
    fn behind_a_proxy_accounts_alone_are_counted() {
        let (limits, _) = limits(false);
        assert_eq!(tries(|| limits.address(address(1))), 1_000, "of no address there are too many");
        let mut last = 0;
        let guess = || {
            last += 1;
            limits.account(TENANT, "ann", address(last))
        };
        assert_eq!(tries(guess), OWN_TRIES.0);
    }

    #[test]
    fn registrations_are_counted_all_together() {
        let (limits, clock) = limits(true);
        assert_eq!(tries(|| limits.registration(address(1))), 2);
        clock.advance(Duration::from_secs(30));
        assert_eq!(tries(|| limits.registration(address(2))), 1);
        let (limits, _) = limits_of(true, 1_000);
        assert_eq!(tries(|| limits.registration(address(1))), ADDRESS_REGISTRATIONS.0);
        assert_eq!(tries(|| limits.registration(address(2))), ADDRESS_REGISTRATIONS.0);
    }

    #[test]
    fn one_who_has_many_addresses_is_one() {
        for (address, expected) in
            [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("::ffff:127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")]
        {
            assert_eq!(network_of(address.parse().expect("an address")).to_string(), expected);
        }
    }
}
