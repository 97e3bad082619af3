//! A router, its shards and a disk, moved by hand.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::operator::{invoice, operation};
use kembali_core::catalogue::{
    AtMaximum, Currency, FulfillmentKind, OfferGives, RuleClock, UnknownCustomer, UnknownPromo,
};
use kembali_core::command::{ApplyCatalogue, Command, PurchaseCommand, Query};
use kembali_core::draft::{
    BandDraft, CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, FulfillmentDraft, JourneyDraft, LevelDraft,
    OfferDraft, PartnerDraft, PolicyDraft, ProgramDraft, PromoDraft, RewardDraft, RewardPaysDraft, RiskRuleDraft,
};
use kembali_core::event::{Body, DeclineReason, Event, Record};
use kembali_core::ledger::Ledger;
use kembali_core::operation::OperationRejection;
use kembali_core::purchase::Purchase;
use kembali_core::refund::RefundPolicy;
use kembali_core::risk::{RiskAction, RiskCondition, RiskKind, RiskParty};
use kembali_core::{
    Alias, AliasKind, Amount, CurrencyCode, CustomerId, CustomerName, Fingerprint, Instant, PartnerId, Percent,
    PurchaseKey, Rate, RuleId, TenantId, WalletId,
};
use kembali_machine::{Answered, Assigned, Group, Limit, MemoryStore, Outcome, Reply, Restore, Router, Shard, ShardOf};

/// Multiplies the depth of the long tests.
pub(crate) fn depth() -> u32 {
    let depth = std::env::var("KEMBALI_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
    eprintln!("KEMBALI_DEPTH is {depth}");
    depth
}

pub(crate) const TENANT: TenantId = TenantId(1);

/// Numbers from a seed (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// FNV-1a of 128 bits: what stands in for the installation's keyed hash.
pub(crate) fn hash(text: &str) -> u128 {
    let start: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    text.bytes().fold(start, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b))
}

/// A promo P that pays 10 %, and all of an amount from 2^50, which fills a wallet; and a ladder BRONZE, SILVER of two
/// purchases each, of which the second pays 5.
pub(crate) fn draft(quota: u64) -> CatalogueDraft {
    let amount = |minor_units| Amount::new(minor_units).unwrap();
    let level = |name: &str| LevelDraft {
        name: name.into(),
        count_max: 2,
        next: None,
        previous: None,
        milestones: vec![(2, amount(5))],
    };
    let band = |amount_min: i64, amount_end: Option<i64>, percent: &str| BandDraft {
        quantity: 1,
        or_more: true,
        amount_min: amount(amount_min),
        amount_end: amount_end.map(amount),
        percent: Percent::parse(percent).unwrap(),
    };
    CatalogueDraft {
        slug: "t".into(),
        name: "T".into(),
        currency: Currency { code: CurrencyCode::parse("IDR").unwrap(), exponent: 0 },
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Received,
        unknown_customer: UnknownCustomer::AutoCreate,
        unknown_promo: UnknownPromo::Refuse,
        partners: vec![PartnerDraft { slug: "p".into(), name: "P".into() }],
        promos: vec![PromoDraft {
            code: "P".into(),
            quota,
            starts_at: Instant(0),
            ends_at: Instant(i64::MAX),
            funded_by: None,
            bands: vec![band(0, Some(1 << 50), "10"), band(1 << 50, None, "100")],
        }],
        programs: vec![ProgramDraft {
            renames: Vec::new(),
            name: "Ladder".into(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
                levels: vec![level("BRONZE"), level("SILVER")],
            }),
        }],
        // A tenth of every amount in points, and five mugs to spend them on.
        earning: EarningDraft {
            point_kinds: vec!["points".into()],
            cashback_rules: vec![CashbackDraft {
                description: None,
                name: "Tenth".into(),
                rate: Rate::parse("0.1").unwrap(),
                products: Vec::new(),
                partner: None,
                is_active: true,
                ends_at: None,
                pays: "points".into(),
                life_days: None,
                pending_days: None,
            }],
            // The first four who pay 290 or more at once, or say that they are there, get seven points.
            fulfillments: vec![
                FulfillmentDraft {
                    name: "Much".into(),
                    kind: FulfillmentKind::Buy { product: None, amount_min: amount(290), is_cumulative: false },
                },
                FulfillmentDraft { name: "There".into(), kind: FulfillmentKind::Tag { tag: "x".into(), count: 1 } },
            ],
            rewards: vec![RewardDraft {
                name: "Seven".into(),
                pays: RewardPaysDraft::Points {
                    kind: "points".into(),
                    points: amount(7),
                    life_days: None,
                    pending_days: Some(1),
                },
            }],
            campaigns: ["Much", "There"]
                .map(|name| CampaignDraft {
                    name: name.into(),
                    fulfillments: vec![name.into()],
                    rewards: vec!["Seven".into()],
                    starts_at: None,
                    ends_at: None,
                    completions_max: None,
                    budget: Some(4),
                })
                .into(),
            external_ids: Vec::new(),
            offers: vec![OfferDraft {
                name: "Mug".into(),
                kind: "points".into(),
                points: amount(9),
                gives: OfferGives::WalletCredit { amount: amount(1) },
                stock: Some(5),
                is_active: true,
                starts_at: None,
                ends_at: None,
            }],
        },
        refunds: RefundPolicy::default(),
        risk_rules: Vec::new(),
    }
}

pub(crate) fn apply(draft: CatalogueDraft) -> Command {
    Command::ApplyCatalogue(Box::new(ApplyCatalogue {
        actor: None,
        draft,
        keys: Vec::new(),
        expected_version: None,
        dry_run: false,
    }))
}

pub(crate) fn alias(name: &str) -> Alias {
    // The last letter stands in the lowest byte, which says the shard.
    let hash = hash(name) << 8 | u128::from(name.bytes().last().unwrap_or(0));
    Alias { kind: AliasKind::Ref, hash }
}

/// A, B, C and D live on the shards 0, 1, 2 and 3, as far as there are that many.
pub(crate) fn shard_of(shards: usize) -> ShardOf {
    Box::new(move |_, customer: CustomerId| ((customer.0 & 0xff) as usize + 256 - usize::from(b'A')) % shards)
}

/// Reads `NAME AMOUNT` and options: `key=`, `code=`, `dry`, `occurred=`; `id:NAME` names a customer by the id.
pub(crate) fn purchase(text: &str) -> PurchaseCommand {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap();
    let mut purchase = Purchase { amount: words.next().unwrap().parse().unwrap(), quantity: 1, ..Purchase::default() };
    let (mut key, mut dry_run) = (text.to_string(), false);
    for option in words {
        match option.split_once('=').unwrap_or((option, "")) {
            ("key", value) => key = value.into(),
            ("code", value) => purchase.promo_code = Some(value.into()),
            ("occurred", value) => purchase.occurred_at = Some(Instant(value.parse().unwrap())),
            ("dry", _) => dry_run = true,
            other => panic!("no option: {other:?}"),
        }
    }
    purchase.origin_id = key.as_str().into();
    let (customer, alias_text) = match name.strip_prefix("id:") {
        Some(name) => (CustomerName::Id(alias(name).first_customer_id()), None),
        None => (CustomerName::Alias(alias(name)), Some(name.into())),
    };
    PurchaseCommand {
        tenant: TENANT,
        partner: PartnerId(1),
        key: PurchaseKey::from_hash(hash(&key)),
        fingerprint: Fingerprint { version: 1, hash: hash(&format!("{name} {purchase:?}")) },
        customer,
        alias_text,
        purchase,
        dry_run,
        other_records: Vec::new(),
    }
}

/// Rules that look at one operation, at a customer's, and at a partner's.
pub(crate) fn risk_rules() -> Vec<RiskRuleDraft> {
    let amount = |minor_units| Amount::new(minor_units).unwrap();
    let rule = |name: &str, operations: &[RiskKind], condition, action| {
        let (name, operations) = (name.into(), operations.to_vec());
        RiskRuleDraft { name, operations, condition, action }
    };
    let count = RiskCondition::CountAboveBy { by: RiskParty::Partner, count: 8, seconds: 1 };
    let sum = RiskCondition::SumAbove { sum: amount(400), seconds: 60 };
    vec![
        rule("Shop", &[RiskKind::Purchase], count, RiskAction::Block),
        rule("Customer", &[RiskKind::Purchase, RiskKind::Deposit], sum, RiskAction::Flag),
        rule("Large", &[], RiskCondition::AmountAbove(amount(150)), RiskAction::Review),
    ]
}

/// Reads one command: `buy ...` (see [`purchase`]), `do ...` (see [`operation`]), `invoice ...` (see [`invoice`]), `quota N`, `row NAME`, `use`,
/// `find KEY`, `rules`, `totals`, `time`.
pub(crate) fn command(text: &str) -> Command {
    let (verb, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let tenant = TENANT;
    Command::Read(match verb {
        "buy" => return Command::Purchase(Box::new(purchase(rest))),
        "invoice" => return Command::Desk(Box::new(invoice(rest))),
        "do" => return Command::Operation(Box::new(operation(rest))),
        "quota" => return apply(draft(rest.parse().unwrap())),
        "risk" => return apply(CatalogueDraft { risk_rules: risk_rules(), ..draft(rest.parse().unwrap()) }),
        "row" => Query::Customer { tenant, customer: CustomerName::Alias(alias(rest)) },
        "use" => Query::PromoUse { tenant, promo: RuleId(1) },
        "find" => Query::Purchase { key: PurchaseKey::from_hash(hash(rest)) },
        "rules" => Query::Catalogue { tenant: "t".into(), version: None },
        "totals" => Query::Totals { tenant: "t".into() },
        "time" => Query::Clock,
        other => panic!("no command: {other}"),
    })
}

/// A router, its shards and a disk. What a shard or the disk was given waits until the test lets it be done.
pub(crate) struct Rig {
    pub(crate) router: Router<u32>,
    /// Rows of each shard that are in memory; `None` for all.
    pub(crate) resident_max: Option<NonZeroUsize>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) inboxes: Vec<VecDeque<Vec<Assigned>>>,
    pub(crate) outboxes: Vec<VecDeque<Vec<Answered>>>,
    /// With the disk, not yet durable.
    pub(crate) groups: VecDeque<Group>,
    /// What is durable.
    pub(crate) disk: Vec<Arc<Record>>,
    /// Customers whose text is in the profile store.
    pub(crate) profiles: HashSet<CustomerId>,
    pub(crate) now: Instant,
    /// False where the sweep stands still: when it comes by hangs on the schedule.
    pub(crate) is_swept: bool,
}

impl Rig {
    /// Starts from what is durable, which may be nothing, with all rows in memory.
    pub(crate) fn recover(disk: Vec<Arc<Record>>, shards: usize) -> Rig {
        Rig::limited(disk, shards, None)
    }

    /// Starts from what is durable, with so many rows of each shard in memory.
    pub(crate) fn limited(disk: Vec<Arc<Record>>, shards: usize, resident_max: Option<NonZeroUsize>) -> Rig {
        let shard = || match resident_max {
            None => Shard::default(),
            Some(resident_max) => Shard::limited(Limit { resident_max, store: Box::new(MemoryStore::default()) }),
        };
        let mut restore = Restore::new((0..shards).map(|_| shard()).collect(), shard_of(shards));
        // Pieces of another length than the groups that the records came in.
        for records in disk.chunks(7) {
            restore.fold(&records.iter().map(|record| Record::clone(record)).collect::<Vec<_>>()).unwrap();
        }
        let (router, shards_of_rows) = restore.finish();
        Rig {
            router,
            resident_max,
            shards: shards_of_rows,
            inboxes: (0..shards).map(|_| VecDeque::new()).collect(),
            outboxes: (0..shards).map(|_| VecDeque::new()).collect(),
            groups: VecDeque::new(),
            disk,
            profiles: HashSet::new(),
            now: Instant(1_000),
            is_swept: true,
        }
    }

    /// A ledger whose tenant has a promo of `quota` units, at position 1.
    pub(crate) fn new(shards: usize, quota: u64) -> Rig {
        Rig::limited_new(shards, quota, None)
    }

    /// As [`Rig::new`], with so many rows of each shard in memory.
    pub(crate) fn limited_new(shards: usize, quota: u64, resident_max: Option<NonZeroUsize>) -> Rig {
        let mut rig = Rig::limited(Vec::new(), shards, resident_max);
        rig.submit(0, vec![apply(draft(quota))]);
        rig.drain();
        rig
    }

    /// Loses everything but the disk and the first `kept` records of those that are on their way there.
    pub(crate) fn crash(mut self, kept: usize) -> Rig {
        let under_way = std::mem::take(&mut self.groups).into_iter().flat_map(|group| group.records);
        self.disk.extend(under_way.take(kept));
        let shards = self.shards.len();
        Rig {
            now: self.now,
            profiles: self.profiles,
            is_swept: self.is_swept,
            ..Rig::limited(self.disk, shards, self.resident_max)
        }
    }

    pub(crate) fn submit(&mut self, to: u32, commands: Vec<Command>) {
        self.router.submit(self.now, commands, to);
    }

    /// Gives each shard its batch; says which shards got how many.
    pub(crate) fn seal(&mut self) -> Vec<(usize, usize)> {
        let batches: Vec<_> = self.router.seal().collect();
        let sizes = batches.iter().map(|(shard, batch)| (*shard, batch.len())).collect();
        for (shard, batch) in batches {
            self.inboxes[shard].push_back(batch);
        }
        sizes
    }

    /// Lets a shard do its oldest batch.
    pub(crate) fn work(&mut self, shard: usize) -> bool {
        let Some(batch) = self.inboxes[shard].pop_front() else { return false };
        let answers = self.shards[shard].work(batch).unwrap();
        self.outboxes[shard].push_back(answers);
        true
    }

    /// Hands a shard's oldest answers to the router.
    pub(crate) fn answer(&mut self, shard: usize) -> bool {
        let Some(answers) = self.outboxes[shard].pop_front() else { return false };
        self.router.answered(answers);
        true
    }

    /// Returns how many records are on their way to the disk.
    pub(crate) fn under_way(&self) -> usize {
        self.groups.iter().map(|group| group.records.len()).sum()
    }

    pub(crate) fn take_group(&mut self) -> bool {
        let Some(group) = self.router.next_group() else { return false };
        let first = (self.disk.len() + self.under_way()) as u64 + 1;
        let positions: Vec<u64> = group.records.iter().map(|record| record.seq.0).collect();
        assert_eq!(positions, (first..first + positions.len() as u64).collect::<Vec<_>>(), "a group is dense");
        self.profiles.extend(group.profiles.iter().map(|profile| profile.customer));
        for record in &group.records {
            let creates = record.body.events.iter().any(|event| matches!(event, Event::CustomerCreated(_)));
            let known = record.body.customer.is_some_and(|customer| self.profiles.contains(&customer));
            assert!(!creates || known, "record {} creates a customer without a text", record.seq.0);
        }
        self.groups.push_back(group);
        true
    }

    pub(crate) fn confirm(&mut self) -> bool {
        let Some(group) = self.groups.pop_front() else { return false };
        self.disk.extend(group.records);
        self.router.confirm(kembali_core::Seq(self.disk.len() as u64));
        true
    }

    /// Confirms so many of the records that are on their way, whatever groups they belong to.
    pub(crate) fn confirm_records(&mut self, count: usize) {
        for _ in 0..count {
            let Some(group) = self.groups.front_mut() else { break };
            self.disk.push(group.records.remove(0));
            if group.records.is_empty() {
                self.groups.pop_front();
            }
        }
        if 0 < count {
            self.router.confirm(kembali_core::Seq(self.disk.len() as u64));
        }
    }

    /// Does whatever there is to do, once through.
    pub(crate) fn round(&mut self) -> Vec<Reply<u32>> {
        if self.is_swept {
            self.router.sweep(self.now);
        }
        self.seal();
        for shard in 0..self.shards.len() {
            while self.work(shard) || self.answer(shard) {}
        }
        self.take_group();
        while self.confirm() {}
        self.router.release()
    }

    /// Goes on until nothing is open.
    pub(crate) fn drain(&mut self) -> Vec<Reply<u32>> {
        let mut replies = Vec::new();
        for _ in 0..10_000 {
            replies.extend(self.round());
            if self.router.is_idle() {
                return replies;
            }
        }
        panic!("the machine does not come to rest");
    }

    /// Submits one command and goes on until it is answered.
    pub(crate) fn ask(&mut self, command: Command) -> Outcome {
        self.submit(u32::MAX, vec![command]);
        let mut reply = self.drain().pop().unwrap();
        assert_eq!((reply.to, reply.outcomes.len()), (u32::MAX, 1));
        reply.outcomes.pop().unwrap()
    }
}

pub(crate) fn fold(disk: &[Arc<Record>]) -> Ledger {
    let mut ledger = Ledger::default();
    for record in disk {
        ledger.evolve(record).unwrap();
    }
    ledger
}

pub(crate) fn canonical(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    ledger.canonical(|piece| bytes.extend_from_slice(piece));
    bytes
}

/// What holds at every position of every journal: stamps never fall, every grant is within the quota of its version and
/// brings its money in the same record, and no decline for want of a unit lies beside a unit that is free.
pub(crate) fn check_journal(disk: &[Arc<Record>]) {
    let mut ledger = Ledger::default();
    let mut stamp = Instant(i64::MIN);
    for record in disk {
        ledger.evolve(record).unwrap();
        let body = &record.body;
        assert!(stamp <= body.received_at, "the stamp falls at record {}", record.seq.0);
        stamp = body.received_at;
        let quota = |promo: RuleId| {
            let rules = ledger.desk.catalogue_at(body.tenant, body.catalogue_version).unwrap();
            rules.promo(promo).unwrap().quota
        };
        let paid = body.events.iter().any(|event| matches!(event, Event::WalletEntry(_)));
        for event in &body.events {
            match event {
                Event::PromoGranted(granted) => {
                    let used = ledger.desk.promo_used(body.tenant, granted.promo);
                    assert!(used <= quota(granted.promo), "the quota is oversold at record {}", record.seq.0);
                    assert!(paid, "a grant without its money at record {}", record.seq.0);
                }
                Event::PromoDeclined(declined) if matches!(declined.reason, DeclineReason::QuotaExhausted { .. }) => {
                    let used = ledger.desk.promo_used(body.tenant, declined.promo);
                    assert!(quota(declined.promo) <= used, "a decline beside a free unit at record {}", record.seq.0);
                }
                _ => (),
            }
        }
        let mut sums = ledger.totals.tenants().flat_map(|(_, totals)| totals.trial_balance().into_values());
        assert!(sums.all(|sum| sum == 0), "the trial balance is not zero at record {}", record.seq.0);
    }
}

/// Counts the records that book `key`.
pub(crate) fn bookings(disk: &[Arc<Record>], key: PurchaseKey) -> usize {
    let books = |event: &Event| matches!(event, Event::PurchaseBooked(booked) if booked.key == key);
    disk.iter().filter(|record| record.body.events.iter().any(books)).count()
}

pub(crate) fn show_body(body: &Body) -> String {
    let mut parts = Vec::new();
    for event in &body.events {
        match event {
            Event::CustomerCreated(_) => parts.push("new".to_string()),
            Event::CustomerErased => parts.push("erased".to_string()),
            Event::PurchaseBooked(booked) => {
                parts.extend(booked.replaces.map(|code| format!("replaces {}", code.as_str())));
            }
            Event::PromoGranted(granted) => parts.push(format!("promo {}", granted.points.minor_units())),
            Event::PromoDeclined(_) => parts.push("declined".into()),
            Event::MilestoneReached(reached) => parts.push(format!("milestone {}", reached.points.minor_units())),
            Event::WalletEntry(entry) => parts.push(format!("balance {}", entry.balance_after.minor_units())),
            Event::TierStepped(_)
            | Event::SpendCounted(_)
            | Event::CashbackEarned(_)
            | Event::FulfillmentAdvanced(_)
            | Event::CampaignCompleted(_)
            | Event::RewardGranted(_)
            | Event::PointEntry(_)
            | Event::HousePosted(_)
            | Event::OperationDone(_) => (),
            Event::RiskChecked(checked) => parts.push(format!("{:?}", checked.verdict).to_lowercase()),
            Event::InvoiceOpened(opened) => parts.push(format!("{} opened", opened.number)),
            Event::InvoiceCancelled(own) => parts.push(format!("{} cancelled", own.number)),
            Event::OperationReversed(own) => parts.push(format!("reversed {}", own.operation.0)),
            Event::ReviewOpened(_) => parts.push("set aside".into()),
            Event::ReviewClosed(own) => parts.push(format!("review {} closed", own.review.0)),
            Event::OperationCounted(_) => parts.push("counted".into()),
            Event::RiskCheckArchived(own) => parts.push(format!("check {} archived", own.check.0)),
            // That of what was set aside.
            Event::OperationRefused(own) if own.rejection == OperationRejection::ReviewRejected => (),
            Event::InvoicePaid(paid) => parts.push(format!("{} paid", paid.number)),
            Event::TransferSent(sent) => parts.push(format!("sent {}", sent.amount.minor_units())),
            Event::TransferCredited(credited) => parts.push(format!("got {}", credited.amount.minor_units())),
            Event::TransferDeclined(_) => parts.push("declined".into()),
            Event::TransferSettled(settled) => parts.push(format!("left {}", settled.balance_after.minor_units())),
            Event::TransferReturned(_) => parts.push("returned".into()),
            Event::HoldPlaced(hold) => parts.push(format!("hold {} of {}", hold.id.0, hold.amount.minor_units())),
            Event::HoldClosed(closed) => parts.push(format!("{:?} {}", closed.end, closed.hold.id.0).to_lowercase()),
            Event::OfferRedeemed(redeemed) => parts.push(format!("redeemed {}", redeemed.quantity)),
            Event::PurchaseRefunded(refunded) => {
                parts.push(format!("refunded {}", refunded.amount.minor_units()));
                parts.extend(refunded.returned_unit.map(|_| "unit".to_string()));
            }
            Event::WalletOpened(opened) => parts.push(format!("wallet {}", opened.wallet.0)),
            Event::WalletStatusSet(set) => parts.push(format!("{:?}", set.after).to_lowercase()),
            Event::TierPlaced(placed) => parts.push(format!("placed on {}", placed.placed.to().0)),
            Event::CatalogueApplied(_)
            | Event::PurchaseRefused(_)
            | Event::PurchaseBlocked(_)
            | Event::Audited(_)
            | Event::OperationRefused(_) => {
                panic!("nothing is decided so: {event:?}")
            }
        }
    }
    parts.join(" ")
}

/// Shows an outcome, without what may differ between two schedules of one input.
pub(crate) fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Booked { record, .. } => {
            let body = show_body(&record.body);
            format!("booked {} {body}", record.seq.0).trim_end().to_string()
        }
        Outcome::WouldBook { body, .. } => format!("would {}", show_body(body)),
        Outcome::Known(seq, _) => format!("known {}", seq.0),
        Outcome::Refused { rejection, replayed } => {
            format!("refused {}{}", rejection.code().as_str(), if *replayed { " replayed" } else { "" })
        }
        Outcome::Applied { catalogue, seq, .. } => match seq {
            Some(seq) => format!("version {} by {}", catalogue.version, seq.0),
            None => format!("version {}", catalogue.version),
        },
        Outcome::Audited(seq) => format!("written down by {}", seq.0),
        Outcome::Operated { record, .. } => {
            format!("done {} {}", record.seq.0, show_body(&record.body)).trim_end().to_string()
        }
        Outcome::WouldOperate { body, .. } => format!("would {}", show_body(body)),
        Outcome::Unchanged { .. } => "unchanged".into(),
        Outcome::OperationKnown { seq, is_same: true } => format!("known {}", seq.0),
        Outcome::OperationKnown { seq, is_same: false } => format!("reused {}", seq.0),
        Outcome::OperationRefused(rejection) => format!("refused {}", rejection.code()),
        Outcome::RefundBooked(seq, _) => format!("booked by {}", seq.0),
        Outcome::Reviews(records) | Outcome::ArchivedChecks(records) => format!("{records:?}"),
        Outcome::Receipt(code) => code.map_or("no receipt".into(), |code| code.as_str().into()),
        Outcome::CatalogueRefused(_) => "rules refused".into(),
        Outcome::Customer(None) => "nobody".into(),
        Outcome::Customer(Some(view)) => {
            let (row, standing) = (&view.row, view.row.standings.first().map_or(0, |standing| standing.count));
            format!(
                "balance {} count {standing} purchases {} version {} now {} last {} as of {}",
                row.balance(WalletId(0)).minor_units(),
                row.purchases,
                view.catalogue.version,
                view.now.0,
                view.last.0,
                view.as_of.0
            )
        }
        Outcome::Candidates(found) => format!("at {:?}", found.iter().map(|seq| seq.0).collect::<Vec<_>>()),
        Outcome::Catalogue(rules) => format!("rules {}", rules.as_ref().map_or(0, |rules| rules.version)),
        Outcome::Invoice(invoice) => {
            format!("invoice {:?}", invoice.as_ref().map(|view| (view.invoice, view.now, view.as_of)))
        }
        Outcome::PromoUse(None) | Outcome::Totals(None) => "none".into(),
        Outcome::Clock { received_at, as_of } => format!("time {} as of {}", received_at.0, as_of.0),
        Outcome::PromoUse(Some(promo)) => {
            let quota = promo.catalogue.promos[0].quota;
            format!("used {} of {quota} as of {}", promo.used, promo.as_of.0)
        }
        Outcome::Totals(Some(view)) => {
            let totals = &view.totals;
            format!("{} accepted version {} as of {}", totals.accepted, view.catalogue.version, view.as_of.0)
        }
        Outcome::Preview(_) | Outcome::Customers(_) => {
            unreachable!("pieces of a walk depend on the shards; no schedule asks for one")
        }
    }
}
