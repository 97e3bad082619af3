//! What the tests share: an engine on a folder of its own, sample rules, purchases.

use kembali_core::operation::Actor;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kembali_core::catalogue::{AtMaximum, Currency, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::draft::{
    BandDraft, CatalogueDraft, EarningDraft, JourneyDraft, LevelDraft, PartnerDraft, PolicyDraft, ProgramDraft,
    PromoDraft,
};
use kembali_core::purchase::Purchase;
use kembali_core::refund::RefundPolicy;
use kembali_core::{Amount, CurrencyCode, Instant, Percent};
use kembali_engine::{
    ApplyRequest, Booking, Caller, CustomerRef, Engine, EngineConfig, Fault, PartnerKey, PurchaseRequest, Verified,
    verify,
};
use tempfile::TempDir;

/// 2023-01-15T00:00:00Z: inside of the sample promo's period.
pub(crate) const MIDDLE: Instant = Instant(1_673_740_800_000_000);
/// The key of the sample partner.
pub(crate) const API_KEY: &str = "shop-test-key";
/// Every comparison of runs fixes the key: ids are hashes under it.
const INSTALLATION_KEY: [u8; 32] = [7; 32];

/// How deep the long tests go; 1 unless the environment says more.
pub(crate) fn depth() -> usize {
    std::env::var("KEMBALI_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1)
}

/// A folder for a ledger.
pub(crate) struct Lab {
    dir: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn config(&self, shards: usize, on_fault: impl FnOnce(Fault) + Send + 'static) -> EngineConfig {
        EngineConfig {
            secrets_key: None,
            data_dir: self.dir.path().to_path_buf(),
            shards: NonZeroUsize::new(shards).expect("at least one shard"),
            installation_key: Some(INSTALLATION_KEY),
            resident_max: None,
            generation_bytes_max: 128 * 1024 * 1024,
            free_bytes: Arc::new(|| Ok(u64::MAX)),
            free_bytes_min: 1,
            clock: ticking_clock(),
            monotonic: kembali_engine::monotonic(),
            on_fault: Box::new(on_fault),
        }
    }

    pub(crate) fn start(&self, shards: usize) -> Engine {
        self.start_limited(shards, None)
    }

    /// Starts with so many customers in memory.
    pub(crate) fn start_limited(&self, shards: usize, resident_max: Option<usize>) -> Engine {
        let on_fault = |fault| panic!("no fault is planned: {fault}");
        let resident_max = resident_max.and_then(NonZeroUsize::new);
        Engine::start(EngineConfig { resident_max, ..self.config(shards, on_fault) }).expect("the engine starts").0
    }

    /// Starts with generations of so few bytes that they are sealed and archived all the time.
    pub(crate) fn start_rotating(&self, shards: usize, generation_bytes_max: u64) -> Engine {
        let on_fault = |fault| panic!("no fault is planned: {fault}");
        let config = self.config(shards, on_fault);
        Engine::start(EngineConfig { generation_bytes_max, ..config }).expect("the engine starts").0
    }

    /// Returns where everything is kept.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn verify(&self) -> Verified {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        verify(self.dir.path(), scratch.path()).expect("the ledger is whole")
    }
}

/// A clock that every look moves on by a millisecond.
fn ticking_clock() -> kembali_engine::Clock {
    let looks = AtomicU64::new(0);
    Arc::new(move || Instant(MIDDLE.0 + looks.fetch_add(1, Ordering::Relaxed) as i64 * 1_000))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

/// KezBek's tiers, and one promo of 2 % on everything with this quota.
pub(crate) fn rules(quota: u64) -> CatalogueDraft {
    let level = |name: &str, points: [i64; 3]| LevelDraft {
        name: name.into(),
        count_max: 7,
        next: None,
        previous: None,
        milestones: [3, 5, 7].into_iter().zip(points.map(amount)).collect(),
    };
    CatalogueDraft {
        slug: "shops".into(),
        name: "Shops".into(),
        currency: Currency { code: CurrencyCode::parse("IDR").expect("a currency"), exponent: 0 },
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Occurred,
        unknown_customer: UnknownCustomer::AutoCreate,
        unknown_promo: UnknownPromo::Refuse,
        partners: vec![PartnerDraft { slug: "shop".into(), name: "Shop".into() }],
        promos: vec![PromoDraft {
            code: "TWO".into(),
            quota,
            starts_at: Instant(0),
            ends_at: Instant(MIDDLE.0 * 2),
            funded_by: None,
            bands: vec![BandDraft {
                quantity: 1,
                or_more: true,
                amount_min: Amount::ZERO,
                amount_end: None,
                percent: Percent::parse("2").expect("a percentage"),
            }],
        }],
        programs: vec![ProgramDraft {
            renames: Vec::new(),
            name: "Journey".into(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
                levels: vec![
                    level("BRONZE", [15_000, 25_000, 35_000]),
                    level("SILVER", [17_500, 28_500, 37_500]),
                    level("GOLD", [18_000, 29_000, 38_000]),
                ],
            }),
        }],
        earning: EarningDraft::default(),
        refunds: RefundPolicy::default(),
        risk_rules: Vec::new(),
    }
}

/// Applies the sample rules, and returns the sample partner.
pub(crate) async fn open_shop(engine: &Engine, quota: u64) -> Caller {
    let request = ApplyRequest {
        actor: Actor::Operator,
        draft: rules(quota),
        partner_keys: vec![PartnerKey::bare("shop", API_KEY)],
        expected_version: None,
        dry_run: false,
    };
    engine.apply(request).await.expect("the rules are applied");
    engine.partner_of_key(API_KEY).expect("the key is known")
}

pub(crate) fn purchase(caller: Caller, origin_id: &str, customer: &str, amount: i64) -> PurchaseRequest {
    PurchaseRequest {
        caller,
        customer: CustomerRef::Ref(customer.into()),
        purchase: Purchase {
            origin_id: origin_id.into(),
            amount,
            quantity: 1,
            occurred_at: Some(MIDDLE),
            promo_code: Some("TWO".into()),
            ..Purchase::default()
        },
        dry_run: false,
    }
}

/// Books one purchase.
pub(crate) async fn book(engine: &Engine, request: PurchaseRequest) -> Booking {
    let mut bookings = engine.book(vec![request]).await.expect("the engine answers");
    assert_eq!(bookings.len(), 1);
    bookings.remove(0)
}

/// What became of a purchase, in a word.
pub(crate) fn word(booking: &Booking) -> &'static str {
    match booking {
        Booking::Booked { .. } => "booked",
        Booking::Replayed { .. } => "replayed",
        Booking::WouldBook { .. } => "would book",
        Booking::Conflict { .. } => "conflict",
        Booking::Refused { replayed: false, .. } => "refused",
        Booking::Refused { replayed: true, .. } => "refused again",
    }
}
