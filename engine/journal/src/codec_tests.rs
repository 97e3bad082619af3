//! The stored shapes, frozen: each kind of event as bytes in a golden file that must never change.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincode::Options as _;
use kembali_core::accounts::{Direction, Entry, HouseAccount, HouseEntry, HouseLeg};
use kembali_core::audit::{AccountStanding, Act, Audit, PartnerStanding, Role, WebhookChange};
use kembali_core::campaign::Progress;
use kembali_core::catalogue::{
    AtMaximum, Campaign, CashbackRule, Catalogue, Currency, Description, ExternalId, Fulfillment, FulfillmentKind,
    Journey, JourneyLevel, Milestone, Offer, OfferGives, Partner, PointKind, Promo, PromoBand, Reward, RewardKind,
    RuleClock, Threshold, ThresholdLevel, TierPolicy, TierProgram, UnknownCustomer, UnknownPromo,
};
use kembali_core::event::{
    Body, CampaignCompleted, CashbackEarned, CustomerCreated, DeclineReason, Event, FulfillmentAdvanced,
    MilestoneReached, OfferRedeemed, Placed, PlacementReason, PromoDeclined, PromoGranted, PurchaseBooked,
    PurchaseRefused, Record, RewardGranted, SpendCounted, TierPlaced, TierStepped, WalletOpened, WalletStatusSet,
};
use kembali_core::hold::{Hold, HoldClosed, HoldEnd, HoldId};
use kembali_core::invoice::{InvoiceCancelled, InvoiceOpened, InvoicePaid};
use kembali_core::journey::{Remark, Standing};
use kembali_core::operation::{
    Actor, Operation, OperationDone, OperationKey, OperationRefused, OperationRejection, TierMove,
};
use kembali_core::points::{Expiry, Maturity, PointEntry};
use kembali_core::purchase::{Line, Purchase};
use kembali_core::refund::{
    CashbackBack, ClawBack, NegativeBalance, Part, PromoBack, PurchaseRefunded, Refund, RefundOf, RefundPolicy,
    RefundRejection, RefundedQuota, RefundedRewards, RefundedTier,
};
use kembali_core::reversal::OperationReversed;
use kembali_core::review::{Releaser, ReviewClosed, ReviewOpened};
use kembali_core::risk::{
    DeviceId, OperationCounted, PurchaseBlocked, RiskAction, RiskCheckArchived, RiskChecked, RiskCondition, RiskKind,
    RiskParty, RiskRule, Verdict,
};
use kembali_core::threshold::SpendStanding;
use kembali_core::transfer::{
    TransferCredited, TransferDeclined, TransferRefusal, TransferReturned, TransferSent, TransferSettled,
};
use kembali_core::wallet::WalletStatus;
use kembali_core::{
    AccountId, Alias, AliasKind, Amount, Balance, CurrencyCode, CustomerId, Fingerprint, Instant, PartnerId, Percent,
    PurchaseKey, Rate, RejectionCode, RuleId, Seq, TenantId, Unit, WalletId,
};

use super::{DecodeError, Input, RecordHead, SHORT, TWO_BYTES, decode, decode_head, encode, put_number, takes_back};

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).expect("an amount")
}

fn money() -> Unit {
    Unit::Money(CurrencyCode(*b"IDR"))
}

/// The rules that version 1 of their shape could hold.
fn catalogue() -> Catalogue {
    Catalogue {
        tenant: TenantId(1),
        version: 2,
        slug: "journey".into(),
        name: "Journey Rewards".into(),
        currency: Currency { code: CurrencyCode(*b"IDR"), exponent: 0 },
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Occurred,
        unknown_customer: UnknownCustomer::MustExist,
        unknown_promo: UnknownPromo::Ignore,
        partners: vec![Partner { id: PartnerId(3), slug: "grocer".into(), name: "Grocer".into() }],
        promos: vec![Promo {
            id: RuleId(4),
            code: "JOURNEY2017".into(),
            quota: 10_000,
            starts_at: Instant(-1),
            ends_at: Instant(1_514_739_599_000_000),
            funded_by: Some(PartnerId(3)),
            bands: vec![PromoBand {
                id: RuleId(5),
                quantity: 3,
                or_more: true,
                amount_min: amount(1_500_000),
                amount_end: Some(amount(2_000_000)),
                percent: Percent::parse("3.35").expect("a percentage"),
            }],
        }],
        programs: vec![TierProgram {
            id: RuleId(6),
            name: "Journey".into(),
            policy: TierPolicy::Journey(Journey {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
                levels: vec![JourneyLevel {
                    id: RuleId(7),
                    name: "BRONZE".into(),
                    count_max: 7,
                    next: RuleId(7),
                    previous: RuleId(7),
                    milestones: vec![Milestone { id: RuleId(8), at_count: 3, points: amount(15_000) }],
                }],
            }),
        }],
        point_kinds: Vec::new(),
        cashback_rules: Vec::new(),
        fulfillments: Vec::new(),
        rewards: Vec::new(),
        campaigns: Vec::new(),
        offers: Vec::new(),
        next_rule: RuleId(9),
        refunds: RefundPolicy::default(),
        risk_rules: Vec::new(),
        external_ids: Vec::new(),
        descriptions: Vec::new(),
    }
}

/// The same with what another system knows a rule by.
fn identified_catalogue() -> Catalogue {
    let external_ids = vec![ExternalId { rule: RuleId(15), id: "0e41cc11".into() }];
    Catalogue { external_ids, ..full_catalogue() }
}

/// Rules of every kind.
fn full_catalogue() -> Catalogue {
    let mut full = catalogue();
    full.programs.push(TierProgram {
        id: RuleId(9),
        name: "Spend".into(),
        policy: TierPolicy::Threshold(Threshold {
            levels: vec![ThresholdLevel { id: RuleId(10), name: "Silver".into(), spent_min: amount(5_000_000) }],
        }),
    });
    full.point_kinds = vec![PointKind { id: RuleId(11), name: "points".into() }];
    full.cashback_rules = vec![CashbackRule {
        id: RuleId(12),
        name: "Dairy 2%".into(),
        rate: Rate::parse("0.02").expect("a rate"),
        products: vec!["CHEESE".into(), "YOGURT".into()],
        partner: Some(PartnerId(3)),
        is_active: true,
        ends_at: Some(Instant(1_498_841_999_000_000)),
        pays: RuleId(11),
        life_days: Some(90),
        pending_days: Some(14),
    }];
    let buy = FulfillmentKind::Buy { product: Some("PIZZA".into()), amount_min: amount(90_000), is_cumulative: true };
    full.fulfillments = vec![
        Fulfillment { id: RuleId(13), name: "Pizza".into(), kind: buy },
        Fulfillment { id: RuleId(14), name: "App".into(), kind: FulfillmentKind::Tag { tag: "app".into(), count: 3 } },
    ];
    let points = RewardKind::Points { kind: RuleId(11), points: amount(100) };
    full.rewards = vec![
        Reward { id: RuleId(15), name: "Hundred".into(), kind: points, life_days: Some(365), pending_days: Some(30) },
        Reward {
            id: RuleId(16),
            name: "Cash".into(),
            kind: RewardKind::WalletCredit { amount: amount(5_000) },
            life_days: None,
            pending_days: None,
        },
    ];
    full.campaigns = vec![Campaign {
        id: RuleId(17),
        name: "Movie night".into(),
        fulfillments: vec![RuleId(13), RuleId(14)],
        rewards: vec![RuleId(15), RuleId(16)],
        starts_at: Some(Instant(1)),
        ends_at: None,
        completions_max: Some(2),
        budget: Some(10_000),
    }];
    full.offers = vec![
        Offer {
            id: RuleId(18),
            name: "Coffee".into(),
            kind: RuleId(11),
            points: amount(70),
            gives: OfferGives::Item,
            stock: Some(3),
            is_active: true,
            starts_at: Some(Instant(1)),
            ends_at: Some(Instant(2)),
        },
        Offer {
            id: RuleId(19),
            name: "Cash".into(),
            kind: RuleId(11),
            points: amount(1),
            gives: OfferGives::WalletCredit { amount: amount(10) },
            stock: None,
            is_active: false,
            starts_at: None,
            ends_at: None,
        },
    ];
    full.next_rule = RuleId(20);
    full.refunds = RefundPolicy {
        tier: RefundedTier::Keep,
        quota: RefundedQuota::Keep,
        rewards: RefundedRewards::Keep,
        negative_balance: NegativeBalance::CapAtZero,
    };
    let rule = |id, operations, condition, action| {
        let (id, name) = (RuleId(id), format!("Risk {id}"));
        RiskRule { id, name, operations, condition, action }
    };
    let every = vec![RiskKind::Deposit, RiskKind::Hold, RiskKind::Transfer, RiskKind::Payment];
    full.risk_rules = vec![
        rule(20, Vec::new(), RiskCondition::AmountAbove(amount(50_000_000)), RiskAction::Block),
        rule(21, every, RiskCondition::CountAbove { count: 5, seconds: 3_600 }, RiskAction::Flag),
        rule(
            22,
            vec![RiskKind::Transfer],
            RiskCondition::SumAbove { sum: amount(20_000_000), seconds: 86_400 },
            RiskAction::Flag,
        ),
    ];
    full.next_rule = RuleId(23);
    full
}

fn purchase() -> Purchase {
    Purchase {
        origin_id: "31198570044".into(),
        amount: 14_850,
        quantity: 2,
        occurred_at: Some(Instant(1_483_271_606_000_000)),
        promo_code: Some("JOURNEY2017".into()),
        store: Some("330".into()),
        product: None,
        tags: vec!["till-4".into()],
        lines: vec![Line { product: "ROLLS".into(), quantity: 2, amount: 14_850 }],
    }
}

fn standing(level: u32, count: u32) -> Standing {
    Standing { program: RuleId(6), level: RuleId(level), count, last_at: Instant(1_483_271_606_000_000) }
}

fn body(customer: Option<CustomerId>, events: Vec<Event>) -> Body {
    Body {
        received_at: Instant(1_700_000_000_000_001),
        tenant: TenantId(1),
        catalogue_version: 2,
        customer,
        previous: if customer.is_some() { Seq(41) } else { Seq::ZERO },
        events,
    }
}

/// One record for each kind and each variant of an event.
fn samples() -> Vec<(&'static str, Body)> {
    let customer = Some(CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd));
    let key = PurchaseKey(0xfedc_ba98_7654_8210_8fed_cba9_8765_4321);
    let fingerprint = Fingerprint { version: 1, hash: 0x1111_2222_3333_4444_5555_6666_7777_8888 };
    let of_customer = |event| body(customer, vec![event]);
    let declined = |reason| of_customer(Event::PromoDeclined(PromoDeclined { promo: RuleId(4), reason }));
    let stepped =
        |before, remark| of_customer(Event::TierStepped(TierStepped { before, after: standing(7, 1), remark }));
    let entry = |account, direction| {
        let against = vec![HouseLeg { account, amount: amount(15_000) }];
        let (wallet, balance_after) = (WalletId(0), amount(20_000));
        of_customer(Event::WalletEntry(Entry {
            wallet,
            unit: money(),
            direction,
            amount: amount(15_000),
            balance_after: balance_after.into(),
            against,
        }))
    };
    let granted =
        |paid| of_customer(Event::RewardGranted(RewardGranted { campaign: RuleId(17), reward: RuleId(15), paid }));
    let placed = |reason, placed| of_customer(Event::TierPlaced(TierPlaced { reason, placed }));
    let spend = |before, after| {
        let at = |level| SpendStanding { program: RuleId(9), level: RuleId(level), spent: amount(5_000_040) };
        Placed::Threshold { before: at(before), after: at(after) }
    };
    let moved = |expires, against| {
        let entry = PointEntry { direction: Direction::Out, expires, against, ..point_entry() };
        of_customer(Event::PointEntry(entry))
    };
    let created = |kind| of_customer(Event::CustomerCreated(CustomerCreated { alias: Alias { kind, hash: 5 } }));
    let mut samples = vec![
        ("catalogue_applied_v7", {
            let mut full = identified_catalogue();
            full.descriptions = vec![Description { rule: RuleId(13), text: "A share of each drink".into() }];
            body(None, vec![Event::CatalogueApplied(Arc::new(full))])
        }),
        ("catalogue_that_sets_aside", {
            let mut full = full_catalogue();
            full.risk_rules.iter_mut().for_each(|rule| rule.action = RiskAction::Review);
            body(None, vec![Event::CatalogueApplied(Arc::new(full))])
        }),
        ("customer_created_email", created(AliasKind::Email)),
        ("customer_created_ref", created(AliasKind::Ref)),
        (
            "purchase_booked",
            of_customer(Event::PurchaseBooked(Box::new(PurchaseBooked {
                partner: PartnerId(3),
                key,
                fingerprint,
                at: Instant(1_483_271_606_000_000),
                replaces: Some(RejectionCode::QuantityNotPositive),
                balance_after: amount(20_000).into(),
                purchase: purchase(),
            }))),
        ),
        (
            "purchase_refused",
            body(
                None,
                vec![Event::PurchaseRefused(Box::new(PurchaseRefused {
                    partner: PartnerId(3),
                    key,
                    fingerprint,
                    origin_id: "31198570044".into(),
                    code: RejectionCode::AmountNotPositive,
                    replaces: None,
                }))],
            ),
        ),
        (
            "promo_granted",
            of_customer(Event::PromoGranted(PromoGranted { promo: RuleId(4), band: RuleId(5), points: amount(1_200) })),
        ),
        ("promo_declined_outside_period", declined(DeclineReason::OutsidePeriod)),
        ("promo_declined_no_band", declined(DeclineReason::NoBand)),
        ("promo_declined_rounds_to_zero", declined(DeclineReason::RoundsToZero { band: RuleId(5) })),
        (
            "promo_declined_quota_exhausted",
            declined(DeclineReason::QuotaExhausted { band: RuleId(5), quota: 10_000, points: amount(1_200) }),
        ),
        ("tier_stepped_first", stepped(None, Remark::FirstTransaction)),
        ("tier_stepped_none", stepped(Some(standing(7, 2)), Remark::None)),
        ("tier_stepped_upgrade", stepped(Some(standing(7, 7)), Remark::Upgrade)),
        ("tier_stepped_downgrade", stepped(Some(standing(7, 2)), Remark::Downgrade)),
        ("tier_stepped_reset", stepped(Some(standing(7, 2)), Remark::Reset)),
        ("tier_stepped_maximum", stepped(Some(standing(7, 7)), Remark::Maximum)),
        (
            "milestone_reached",
            of_customer(Event::MilestoneReached(MilestoneReached {
                program: RuleId(6),
                level: RuleId(7),
                milestone: RuleId(8),
                at_count: 3,
                points: amount(15_000),
            })),
        ),
        ("wallet_entry_in_promo", entry(HouseAccount::PromoExpense(PartnerId(3)), Direction::In)),
        ("wallet_entry_out_loyalty", entry(HouseAccount::LoyaltyExpense, Direction::Out)),
        ("tier_stepped_restart", stepped(Some(standing(7, 7)), Remark::Restart)),
        ("wallet_entry_in_reward", entry(HouseAccount::RewardExpense, Direction::In)),
        ("spend_counted", {
            let at = |level, spent| SpendStanding { program: RuleId(9), level: RuleId(level), spent: amount(spent) };
            of_customer(Event::SpendCounted(SpendCounted { before: Some(at(9, 40)), after: at(10, 5_000_040) }))
        }),
        (
            "cashback_earned",
            of_customer(Event::CashbackEarned(CashbackEarned {
                rule: RuleId(12),
                kind: RuleId(11),
                points: amount(297),
            })),
        ),
        (
            "fulfillment_advanced",
            of_customer(Event::FulfillmentAdvanced(FulfillmentAdvanced {
                campaign: RuleId(17),
                progress: Progress { fulfillment: RuleId(13), so_far: 90_001, is_met: true },
            })),
        ),
        (
            "campaign_completed",
            of_customer(Event::CampaignCompleted(CampaignCompleted {
                campaign: RuleId(17),
                completions: 2,
                is_first: false,
            })),
        ),
        ("reward_granted_points", granted(RewardKind::Points { kind: RuleId(11), points: amount(100) })),
        ("reward_granted_credit", granted(RewardKind::WalletCredit { amount: amount(5_000) })),
        ("point_entry_granted", of_customer(Event::PointEntry(point_entry()))),
        ("point_entry_pending", {
            let matures = Maturity::of(Instant(1_483_271_606_000_000), Some(14));
            of_customer(Event::PointEntry(PointEntry { matures, ..point_entry() }))
        }),
        ("point_entry_expired", moved(Expiry::of(Instant(1), Some(90)), HouseAccount::PointsExpired)),
        (
            "offer_redeemed",
            of_customer(Event::OfferRedeemed(OfferRedeemed { offer: RuleId(18), quantity: 2, points: amount(140) })),
        ),
        ("point_entry_spent", moved(Expiry::NEVER, HouseAccount::PointsRedeemed)),
        ("tier_placed_promoted", placed(PlacementReason::Promoted, spend(9, 10))),
        ("tier_placed_demoted", placed(PlacementReason::Demoted, spend(10, 9))),
        (
            "tier_placed_removed",
            placed(
                PlacementReason::LevelRemoved { version: 2 },
                Placed::Journey { before: standing(7, 3), after: standing(8, 0) },
            ),
        ),
    ];
    samples.extend(operation_samples());
    samples.extend(refund_samples());
    samples
}

fn audited(actor: Actor, act: Act) -> Event {
    Event::Audited(Box::new(Audit { actor, act }))
}

/// One record for each operation, each reason against one, and what they do.
fn operation_samples() -> Vec<(&'static str, Body)> {
    let customer = Some(CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd));
    let key = OperationKey(0x2222_3333_4444_5555_6666_7777_8888_9999);
    let fingerprint = Fingerprint { version: 1, hash: 0x1111_2222_3333_4444_5555_6666_7777_8888 };
    let (wallet, occurred_at) = (WalletId(2), Instant(1_483_271_606_000_000));
    let done = |actor, key, operation| {
        let done = OperationDone { actor, key, fingerprint, at: occurred_at, operation };
        body(customer, vec![Event::OperationDone(Box::new(done))])
    };
    let by_operator = |operation| done(Actor::Operator, Some(key), operation);
    let adjust = |direction| Operation::Adjust { wallet, direction, amount: 500, reason: "counted twice".into() };
    let deposit =
        |reference: Option<&str>| Operation::Deposit { wallet, amount: 50_000, reference: reference.map(Into::into) };
    let set = |status| by_operator(Operation::SetWalletStatus { wallet, status });
    let move_tier = |to| by_operator(Operation::MoveTier { program: "Journey".into(), to });
    let tag = |occurred_at| Operation::ReportActivity { tag: "review".into(), occurred_at };
    let refused = |rejection| {
        let (customer, operation) = (Some(CustomerId(7)), deposit(None));
        let actor = Actor::Operator;
        let refused = OperationRefused { actor, key, fingerprint, customer, operation, rejection };
        body(None, vec![Event::OperationRefused(Box::new(refused))])
    };
    let refused_of_nobody = {
        let (actor, customer, rejection) = (Actor::Partner(PartnerId(3)), None, OperationRejection::InvoiceUnknown);
        let operation = Operation::CancelInvoice { number: "VA-1".into() };
        let refused = OperationRefused { actor, key, fingerprint, customer, operation, rejection };
        body(None, vec![Event::OperationRefused(Box::new(refused))])
    };
    let balance = amount(40);
    let (unit, partner, expires_at) = (money(), PartnerId(3), Instant(1_483_275_206_000_000));
    let hold = Hold { id: HoldId(3), wallet, unit, partner, amount: amount(500), expires_at };
    let closed = |end| body(customer, vec![Event::HoldClosed(HoldClosed { hold, end })]);
    let looked_at = |kind, verdict, rule| {
        let at = Instant(1_483_271_606_000_000);
        let checked = RiskChecked { kind, amount: amount(500), at, verdict, rule, forgets: 2, is_remembered: true };
        body(customer, vec![Event::RiskChecked(checked)])
    };
    let transfer = Seq(41);
    let sent = TransferSent {
        actor: Actor::Operator,
        key: Some(key),
        fingerprint,
        at: Instant(1_483_271_606_000_000),
        wallet,
        unit,
        amount: amount(500),
        balance_after: Balance::new(-7).expect("a balance"),
        to: CustomerId(7),
        to_wallet: WalletId(1),
        reference: Some("rent".into()),
    };
    let declined = |reason| {
        let declined = TransferDeclined { transfer, from: CustomerId(7), wallet, reason };
        body(customer, vec![Event::TransferDeclined(declined)])
    };
    let settled = TransferSettled {
        transfer,
        wallet,
        unit,
        amount: amount(500),
        balance_after: Balance::ZERO,
        to: CustomerId(7),
        to_wallet: WalletId(1),
    };
    vec![
        ("operation_create_customer", done(Actor::Operator, None, Operation::CreateCustomer)),
        ("operation_open_wallet", by_operator(Operation::OpenWallet)),
        ("operation_rename_wallet", by_operator(Operation::RenameWallet { wallet })),
        ("operation_set_wallet_active", set(WalletStatus::Active)),
        ("operation_set_wallet_frozen", set(WalletStatus::Frozen)),
        ("operation_set_wallet_closed", set(WalletStatus::Closed)),
        ("operation_deposit", by_operator(deposit(Some("BCA 0042")))),
        ("operation_adjust_in", by_operator(adjust(Direction::In))),
        ("operation_adjust_out", by_operator(adjust(Direction::Out))),
        ("operation_report_activity", done(Actor::Partner(PartnerId(3)), Some(key), tag(Some(occurred_at)))),
        ("operation_move_tier_up", move_tier(TierMove::Up)),
        ("operation_move_tier_down", move_tier(TierMove::Down)),
        (
            "operation_place_hold",
            done(
                Actor::Partner(PartnerId(3)),
                Some(key),
                Operation::PlaceHold {
                    wallet,
                    partner: PartnerId(3),
                    amount: 500,
                    life_seconds: Some(3_600),
                    reference: Some("order 7".into()),
                },
            ),
        ),
        ("operation_settle_hold", by_operator(Operation::SettleHold { hold: HoldId(3), amount: Some(400) })),
        ("operation_void_hold", by_operator(Operation::VoidHold { hold: HoldId(3) })),
        ("hold_placed", body(customer, vec![Event::HoldPlaced(hold)])),
        ("hold_settled", closed(HoldEnd::Settled { amount: amount(400) })),
        ("hold_voided", closed(HoldEnd::Voided)),
        ("hold_expired", closed(HoldEnd::Expired)),
        ("wallet_entry_in_settlement", house_entry(customer, HouseAccount::Settlement(PartnerId(3)))),
        (
            "refused_balance_held",
            refused(OperationRejection::BalanceHeld { balance: balance.into(), held: amount(39), amount: amount(2) }),
        ),
        ("refused_wallet_held", refused(OperationRejection::WalletHeld { held: amount(39) })),
        ("refused_hold_life", refused(OperationRejection::LifeOutOfRange { seconds: 9, seconds_max: 8 })),
        ("refused_holds_too_many", refused(OperationRejection::HoldsTooMany { holds_max: 256 })),
        ("refused_of_nobody", refused_of_nobody),
        ("refused_hold_unknown", refused(OperationRejection::HoldUnknown)),
        ("refused_hold_closed", refused(OperationRejection::HoldClosed)),
        ("refused_hold_exceeded", refused(OperationRejection::HoldExceeded { held: amount(39), amount: amount(40) })),
        (
            "operation_transfer",
            by_operator(Operation::Transfer {
                wallet,
                to: CustomerId(7),
                to_wallet: WalletId(1),
                amount: 500,
                reference: Some("rent".into()),
            }),
        ),
        ("transfer_sent", body(customer, vec![Event::TransferSent(Box::new(sent))])),
        (
            "transfer_credited",
            body(
                customer,
                vec![Event::TransferCredited(TransferCredited {
                    transfer,
                    from: CustomerId(7),
                    wallet,
                    unit,
                    amount: amount(500),
                })],
            ),
        ),
        ("transfer_declined_unknown", declined(TransferRefusal::WalletUnknown)),
        ("transfer_declined_frozen", declined(TransferRefusal::WalletFrozen)),
        ("transfer_declined_closed", declined(TransferRefusal::WalletClosed)),
        ("transfer_declined_currency", declined(TransferRefusal::OtherCurrency)),
        ("transfer_declined_too_large", declined(TransferRefusal::BalanceTooLarge)),
        ("transfer_settled", body(customer, vec![Event::TransferSettled(settled)])),
        ("transfer_returned", {
            let reason = TransferRefusal::WalletFrozen;
            body(customer, vec![Event::TransferReturned(TransferReturned { transfer, reason })])
        }),
        ("wallet_entry_in_transit", house_entry(customer, HouseAccount::InTransit)),
        ("refused_transfer_target_unknown", refused(OperationRejection::TransferTargetUnknown)),
        ("refused_transfer_to_itself", refused(OperationRejection::TransferToItself)),
        ("refused_transfer_declined", refused(OperationRejection::TransferDeclined(TransferRefusal::BalanceTooLarge))),
        (
            "operation_open_invoice",
            done(
                Actor::Partner(PartnerId(3)),
                Some(key),
                Operation::OpenInvoice {
                    partner,
                    prefix: Some("DS-8800".into()),
                    amount: 500,
                    life_seconds: Some(3_600),
                    reference: Some("order 7".into()),
                },
            ),
        ),
        ("operation_cancel_invoice", by_operator(Operation::CancelInvoice { number: "DS-8800100000".into() })),
        (
            "operation_pay_invoice",
            by_operator(Operation::PayInvoice { wallet, number: "DS-8800100000".into(), amount: 500 }),
        ),
        ("invoice_opened", {
            let number = "DS-8800100000".into();
            let opened = InvoiceOpened { number, partner, unit, amount: amount(500), expires_at };
            body(None, vec![Event::InvoiceOpened(Box::new(opened))])
        }),
        ("invoice_cancelled", {
            let cancelled = InvoiceCancelled { number: "DS-8800100000".into(), partner };
            body(None, vec![Event::InvoiceCancelled(Box::new(cancelled))])
        }),
        ("invoice_paid", {
            let paid = InvoicePaid { number: "DS-8800100000".into(), partner, wallet, unit, amount: amount(500) };
            body(customer, vec![Event::InvoicePaid(Box::new(paid))])
        }),
        ("operation_reverse", by_operator(Operation::Reverse { operation: Seq(41), reason: "it bounced".into() })),
        ("operation_reversed", {
            let reversed = OperationReversed { operation: Seq(41), partner: None, invoice: None };
            body(customer, vec![Event::OperationReversed(reversed)])
        }),
        ("operation_reversed_payment", {
            let invoice = Some("DS-88001000000000".into());
            let reversed = OperationReversed { operation: Seq(41), partner: Some(partner), invoice };
            body(customer, vec![Event::OperationReversed(reversed)])
        }),
        ("operation_release_review", by_operator(Operation::ReleaseReview { review: Seq(41) })),
        (
            "operation_reject_review",
            by_operator(Operation::RejectReview { review: Seq(41), reason: "not theirs".into() }),
        ),
        ("review_opened", {
            let operation = Operation::Deposit { wallet, amount: 500, reference: None };
            let (kind, rule) = (RiskKind::Deposit, RuleId(20));
            let opened = ReviewOpened {
                actor: Actor::Operator,
                key: Some(key),
                fingerprint,
                at: occurred_at,
                operation,
                kind,
                amount: amount(500),
                device: Some(DeviceId(0x77)),
                rule,
            };
            body(customer, vec![Event::ReviewOpened(Box::new(opened))])
        }),
        ("review_released", {
            let released_by = Some(Releaser { actor: Actor::Operator, key: Some(key), fingerprint });
            body(customer, vec![Event::ReviewClosed(Box::new(ReviewClosed { review: Seq(41), released_by }))])
        }),
        ("review_rejected", {
            body(customer, vec![Event::ReviewClosed(Box::new(ReviewClosed { review: Seq(41), released_by: None }))])
        }),
        ("operation_counted", {
            let (partner, device) = (Some(partner), Some(DeviceId(0x77)));
            let counted = OperationCounted { kind: RiskKind::Hold, amount: amount(500), partner, device };
            body(customer, vec![Event::OperationCounted(counted)])
        }),
        ("catalogue_that_counts_by_parties", {
            let (mut full, seconds) = (full_catalogue(), 60);
            let by = |by| RiskCondition::CountAboveBy { by, count: 5, seconds };
            full.risk_rules[0].condition = by(RiskParty::Partner);
            full.risk_rules[1].condition = by(RiskParty::Device);
            full.risk_rules[2].condition =
                RiskCondition::SumAboveBy { by: RiskParty::Device, sum: amount(20_000_000), seconds };
            body(None, vec![Event::CatalogueApplied(Arc::new(full))])
        }),
        (
            "purchase_blocked",
            body(
                None,
                vec![
                    Event::PurchaseRefused(Box::new(PurchaseRefused {
                        partner,
                        key: PurchaseKey(0xfedc_ba98_7654_8210_8fed_cba9_8765_4321),
                        fingerprint,
                        origin_id: "31198570044".into(),
                        code: RejectionCode::RiskBlocked,
                        replaces: Some(RejectionCode::RiskBlocked),
                    })),
                    Event::PurchaseBlocked(PurchaseBlocked {
                        customer: CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd),
                        amount: amount(1_204_000),
                        rule: RuleId(20),
                    }),
                ],
            ),
        ),
        ("audit_rules_and_keys", {
            let (partner, key) = (PartnerId(3), 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
            let acts = [
                Act::RulesApplied,
                Act::ApiKeyGiven { partner, key, is_signed: true },
                Act::ApiKeyRevoked { partner, key },
                Act::SigningKeyRotated { key },
            ];
            body(None, acts.map(|act| audited(Actor::Operator, act)).to_vec())
        }),
        ("audit_partner_changed", {
            let before = PartnerStanding::default();
            let after =
                PartnerStanding { is_suspended: true, requests_per_second: Some(100), requests_at_once: Some(8) };
            let reason = Some("chargebacks".into());
            let act = Act::PartnerChanged { partner: PartnerId(3), before, after, reason };
            body(None, vec![audited(Actor::Server, act)])
        }),
        ("audit_accounts", {
            let account = AccountId(0xfedc_ba98_7654_8210_8fed_cba9_8765_4321);
            let customer = Some(CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd));
            let before = AccountStanding { role: Role::Operator, is_suspended: false };
            let after = AccountStanding { role: Role::Customer, is_suspended: true };
            let acts = [
                Act::AccountCreated { account, role: Role::Customer, customer },
                Act::AccountChanged { account, before, after, reason: None },
                Act::PasswordReset { account },
            ];
            body(None, acts.map(|act| audited(Actor::Person(account, Role::Admin), act)).to_vec())
        }),
        ("audit_webhooks", {
            let webhook = 0xfedc_ba98_7654_8210_8fed_cba9_8765_4321;
            let changes = [
                WebhookChange::Created,
                WebhookChange::Changed,
                WebhookChange::Disabled,
                WebhookChange::Enabled,
                WebhookChange::SecretRotated,
                WebhookChange::Deleted,
            ];
            let act = |(at, change)| Act::WebhookChanged { webhook, partner: (at < 3).then_some(PartnerId(3)), change };
            body(
                None,
                changes.into_iter().enumerate().map(|own| audited(Actor::Partner(PartnerId(3)), act(own))).collect(),
            )
        }),
        ("operation_of_a_person", {
            let person = Actor::Person(AccountId(7), Role::Customer);
            done(person, Some(key), Operation::OpenWallet)
        }),
        ("catalogue_that_looks_at_purchases", {
            let mut full = full_catalogue();
            full.risk_rules[0].operations = vec![RiskKind::Purchase];
            body(None, vec![Event::CatalogueApplied(Arc::new(full))])
        }),
        ("operation_archive_risk_check", by_operator(Operation::ArchiveRiskCheck { check: Seq(41) })),
        ("risk_check_archived", { body(None, vec![Event::RiskCheckArchived(RiskCheckArchived { check: Seq(41) })]) }),
        ("refused_risk_check_archived", refused(OperationRejection::RiskCheckArchived)),
        ("operation_erase_customer", by_operator(Operation::EraseCustomer { reason: "asked to".into() })),
        ("customer_erased", body(customer, vec![Event::CustomerErased])),
        ("refused_customer_erased", refused(OperationRejection::CustomerErased)),
        ("refused_review_rejected", refused(OperationRejection::ReviewRejected)),
        ("refused_review_closed", refused(OperationRejection::ReviewClosed)),
        ("refused_reviews_too_many", refused(OperationRejection::ReviewsTooMany { reviews_max: 10_000 })),
        ("refused_not_reversible", refused(OperationRejection::NotReversible)),
        ("refused_reversed", refused(OperationRejection::Reversed)),
        ("refused_reversals_too_many", refused(OperationRejection::ReversalsTooMany { reversals_max: 1_024 })),
        ("refused_invoice_reversed", refused(OperationRejection::InvoiceReversed)),
        ("risk_safe", looked_at(RiskKind::Deposit, Verdict::Safe, None)),
        ("risk_suspicious", looked_at(RiskKind::Payment, Verdict::Suspicious, Some(RuleId(20)))),
        ("risk_of_hold", looked_at(RiskKind::Hold, Verdict::Safe, None)),
        ("risk_of_purchase", looked_at(RiskKind::Purchase, Verdict::Suspicious, Some(RuleId(20)))),
        ("risk_of_transfer", looked_at(RiskKind::Transfer, Verdict::Safe, None)),
        ("refused_risk_blocked", refused(OperationRejection::RiskBlocked { rule: RuleId(20) })),
        ("refused_invoice_unknown", refused(OperationRejection::InvoiceUnknown)),
        ("refused_invoice_paid", refused(OperationRejection::InvoicePaid)),
        ("refused_invoice_cancelled", refused(OperationRejection::InvoiceCancelled)),
        ("refused_invoice_expired", refused(OperationRejection::InvoiceExpired)),
        (
            "refused_invoice_amount_differs",
            refused(OperationRejection::InvoiceAmountDiffers { amount: amount(499), invoice_amount: amount(500) }),
        ),
        ("refused_invoice_currency_differs", refused(OperationRejection::InvoiceCurrencyDiffers)),
        ("operation_redeem", by_operator(Operation::Redeem { offer: "Coffee".into(), quantity: 2 })),
        ("refused_customer_unknown", refused(OperationRejection::CustomerUnknown)),
        ("refused_amount_not_positive", refused(OperationRejection::AmountNotPositive { amount: -1 })),
        ("refused_amount_too_large", refused(OperationRejection::AmountTooLarge { amount: 9, amount_max: 8 })),
        ("refused_balance_too_large", refused(OperationRejection::BalanceTooLarge { balance: balance.into() })),
        (
            "refused_balance_too_small",
            refused(OperationRejection::BalanceTooSmall { balance: balance.into(), amount: amount(41) }),
        ),
        ("refused_points_too_large", refused(OperationRejection::PointsTooLarge { points: amount(6) })),
        ("refused_wallet_unknown", refused(OperationRejection::WalletUnknown)),
        ("refused_wallet_frozen", refused(OperationRejection::WalletFrozen)),
        ("refused_wallet_closed", refused(OperationRejection::WalletClosed)),
        ("refused_wallet_not_empty", refused(OperationRejection::WalletNotEmpty { balance: balance.into() })),
        ("refused_wallet_is_default", refused(OperationRejection::WalletIsDefault)),
        ("refused_wallets_too_many", refused(OperationRejection::WalletsTooMany { wallets_max: 256 })),
        ("refused_program_unknown", refused(OperationRejection::ProgramUnknown)),
        ("refused_tier_none", refused(OperationRejection::TierNone)),
        ("refused_tier_highest", refused(OperationRejection::TierHighest)),
        ("refused_tier_lowest", refused(OperationRejection::TierLowest)),
        (
            "refused_occurred_in_future",
            refused(OperationRejection::OccurredInFuture { occurred_at, occurred_at_max: Instant(5) }),
        ),
        ("refused_offer_unknown", refused(OperationRejection::OfferUnknown)),
        ("refused_offer_closed", refused(OperationRejection::OfferClosed)),
        (
            "refused_quantity_out_of_range",
            refused(OperationRejection::QuantityOutOfRange { quantity: -1, quantity_max: 9 }),
        ),
        ("refused_stock_exhausted", refused(OperationRejection::StockExhausted { stock: 3, redeemed: 2 })),
        (
            "refused_points_too_few",
            refused(OperationRejection::PointsTooFew { points: amount(6), price: amount(7), quantity: 2 }),
        ),
        ("wallet_entry_in_redemption", house_entry(customer, HouseAccount::RedemptionExpense)),
        ("wallet_opened", body(customer, vec![Event::WalletOpened(WalletOpened { wallet, unit: money() })])),
        ("wallet_status_set", {
            let (before, after) = (WalletStatus::Active, WalletStatus::Frozen);
            body(customer, vec![Event::WalletStatusSet(WalletStatusSet { wallet, unit: money(), before, after })])
        }),
        ("wallet_entry_in_deposit", house_entry(customer, HouseAccount::CashClearing)),
        ("wallet_entry_in_adjustment", house_entry(customer, HouseAccount::Adjustments)),
    ]
}

/// A refund by each of its two ways, what it did, and each reason against one.
fn refund_samples() -> Vec<(&'static str, Body)> {
    let customer = Some(CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd));
    let fingerprint = Fingerprint { version: 1, hash: 0x1111_2222_3333_4444_5555_6666_7777_8888 };
    let (purchase, key) = (PurchaseKey(0xfedc_ba98_7654_8210), PurchaseKey(0x0123_4567_89ab_8cde));
    let at = Instant(1_483_271_606_000_000);
    let asked = |of, reason: Option<&str>| {
        let (origin_id, refund_id, reason) = ("31198570044".into(), "R-1".into(), reason.map(Into::into));
        let refund = Refund { purchase, origin_id, key, refund_id, of, reason };
        Operation::RefundPurchase(Box::new(refund))
    };
    let done = |operation| {
        let actor = Actor::Partner(PartnerId(3));
        let done = OperationDone { actor, key: None, fingerprint, at, operation };
        body(customer, vec![Event::OperationDone(Box::new(done))])
    };
    let line = Line { product: "ROLLS".into(), quantity: 1, amount: 7_425 };
    let reward = |reward, paid| RewardGranted { campaign: RuleId(17), reward: RuleId(reward), paid };
    let refunded = PurchaseRefunded {
        partner: PartnerId(3),
        purchase,
        key,
        refund_id: "R-1".into(),
        at,
        amount: amount(7_425),
        parts: vec![Part { product: "ROLLS".into(), quantity: 1, amount: amount(7_425) }],
        remaining: amount(7_425),
        claw_back: ClawBack {
            promo: Some(PromoBack { promo: RuleId(4), points: amount(260) }),
            loyalty: amount(15_000),
            cashback: vec![CashbackBack { rule: RuleId(12), kind: RuleId(11), points: amount(148) }],
            rewards: vec![
                reward(15, RewardKind::Points { kind: RuleId(11), points: amount(100) }),
                reward(16, RewardKind::WalletCredit { amount: amount(5_000) }),
            ],
        },
        returned_unit: Some(RuleId(4)),
        shortfall: amount(260),
        points_short: vec![(RuleId(11), amount(8))],
        balance_after: Balance::new(-20_000).expect("a balance"),
    };
    let nothing = PurchaseRefunded {
        parts: Vec::new(),
        claw_back: ClawBack::default(),
        returned_unit: None,
        shortfall: amount(0),
        points_short: Vec::new(),
        ..refunded.clone()
    };
    let leg = |account| vec![HouseLeg { account, amount: amount(260) }];
    let refused = |rejection| {
        let (actor, operation) = (Actor::Operator, asked(RefundOf::Amount(1), None));
        let (customer, key) = (Some(CustomerId(7)), OperationKey(8));
        let rejection = OperationRejection::Refund(rejection);
        let refused = OperationRefused { actor, key, fingerprint, customer, operation, rejection };
        body(None, vec![Event::OperationRefused(Box::new(refused))])
    };
    let (remaining, balance) = (amount(9), Balance::new(-9).expect("a balance"));
    vec![
        ("operation_refund_amount", done(asked(RefundOf::Amount(7_425), None))),
        ("operation_refund_lines", done(asked(RefundOf::Lines(vec![line]), Some("damaged")))),
        ("purchase_refunded", body(customer, vec![Event::PurchaseRefunded(Box::new(refunded))])),
        ("purchase_refunded_nothing", body(customer, vec![Event::PurchaseRefunded(Box::new(nothing))])),
        (
            "house_posted",
            body(
                customer,
                vec![Event::HousePosted(HouseEntry {
                    unit: money(),
                    debit: leg(HouseAccount::RefundShortfall),
                    credit: leg(HouseAccount::PromoExpense(PartnerId(3))),
                })],
            ),
        ),
        ("tier_placed_refunded", {
            let at = |spent| SpendStanding { program: RuleId(9), level: RuleId(10), spent: amount(spent) };
            let placed = Placed::Threshold { before: at(9_000_000), after: at(8_992_575) };
            body(customer, vec![Event::TierPlaced(TierPlaced { reason: PlacementReason::Refunded, placed })])
        }),
        ("refused_refund_not_positive", refused(RefundRejection::AmountNotPositive { amount: -1 })),
        ("refused_refund_too_large", refused(RefundRejection::AmountTooLarge { amount: 9, amount_max: 8 })),
        ("refused_refund_lines_too_many", refused(RefundRejection::LinesTooMany { lines: 9, lines_max: 8 })),
        ("refused_refund_line_range", refused(RefundRejection::LineOutOfRange { line: 2 })),
        ("refused_refund_exceeds", refused(RefundRejection::ExceedsRemainder { amount: amount(10), remaining })),
        ("refused_refund_lines_required", refused(RefundRejection::LinesRequired { remaining })),
        ("refused_refund_not_bought", refused(RefundRejection::LineNotBought { line: 2 })),
        (
            "refused_refund_line_exceeds",
            refused(RefundRejection::LineExceedsRemainder {
                line: 2,
                remaining_quantity: 1,
                remaining_amount: remaining,
            }),
        ),
        ("refused_refunds_too_many", refused(RefundRejection::RefundsTooMany { refunds_max: 9 })),
        ("refused_refund_balance", refused(RefundRejection::BalanceTooSmall { balance })),
    ]
}

fn house_entry(customer: Option<CustomerId>, account: HouseAccount) -> Body {
    let entry = Entry::credit(WalletId(2), money(), amount(5).into(), &[HouseLeg { account, amount: amount(7) }]);
    body(customer, vec![Event::WalletEntry(entry.expect("it fits"))])
}

/// A movement that version 1 of its shape could hold.
fn point_entry() -> PointEntry {
    PointEntry {
        kind: RuleId(11),
        direction: Direction::In,
        points: amount(100),
        source: RuleId(15),
        expires: Expiry::NEVER,
        matures: Maturity::AT_ONCE,
        against: HouseAccount::PointsIssued,
        balance_after: amount(397),
    }
}

/// Shapes that are read and not written any more.
fn old_samples() -> Vec<(&'static str, Body)> {
    let applied = |catalogue| body(None, vec![Event::CatalogueApplied(Arc::new(catalogue))]);
    let mut harmless = full_catalogue();
    harmless.cashback_rules.iter_mut().for_each(|rule| rule.pending_days = None);
    harmless.rewards.iter_mut().for_each(|reward| reward.pending_days = None);
    harmless.campaigns.iter_mut().for_each(|campaign| campaign.budget = None);
    let endless = harmless.clone();
    (harmless.risk_rules, harmless.next_rule) = (Vec::new(), RuleId(20));
    let mut immortal = harmless.clone();
    immortal.cashback_rules.iter_mut().for_each(|rule| rule.life_days = None);
    immortal.offers = Vec::new();
    immortal.next_rule = RuleId(18);
    immortal.rewards.iter_mut().for_each(|reward| reward.life_days = None);
    immortal.refunds = RefundPolicy::default();
    let customer = Some(CustomerId(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd));
    vec![
        ("catalogue_applied", applied(catalogue())),
        ("catalogue_applied_v2", applied(immortal)),
        ("catalogue_applied_v3", applied(harmless)),
        ("catalogue_applied_v4", applied(endless)),
        ("catalogue_applied_v5", applied(full_catalogue())),
        ("catalogue_applied_v6", applied(identified_catalogue())),
        ("point_entry", body(customer, vec![Event::PointEntry(point_entry())])),
    ]
}

/// The refusals that journals hold in version 1 of their shape.
const OLD_REFUSALS: &[&str] = &[
    "refused_customer_unknown",
    "refused_amount_not_positive",
    "refused_amount_too_large",
    "refused_balance_too_large",
    "refused_balance_too_small",
    "refused_points_too_large",
    "refused_wallet_unknown",
    "refused_wallet_frozen",
    "refused_wallet_closed",
    "refused_wallet_not_empty",
    "refused_wallet_is_default",
    "refused_wallets_too_many",
    "refused_program_unknown",
    "refused_tier_none",
    "refused_tier_highest",
    "refused_tier_lowest",
    "refused_occurred_in_future",
    "refused_offer_unknown",
    "refused_offer_closed",
    "refused_quantity_out_of_range",
    "refused_stock_exhausted",
    "refused_points_too_few",
    "refused_refund_not_positive",
    "refused_refund_too_large",
    "refused_refund_lines_too_many",
    "refused_refund_line_range",
    "refused_refund_exceeds",
    "refused_refund_lines_required",
    "refused_refund_not_bought",
    "refused_refund_line_exceeds",
    "refused_refunds_too_many",
    "refused_refund_balance",
    "refused_balance_held",
    "refused_wallet_held",
    "refused_hold_life",
    "refused_holds_too_many",
    "refused_hold_unknown",
    "refused_hold_closed",
    "refused_hold_exceeded",
    "refused_transfer_target_unknown",
    "refused_transfer_to_itself",
    "refused_transfer_declined",
    "refused_invoice_unknown",
    "refused_invoice_paid",
    "refused_invoice_cancelled",
    "refused_invoice_expired",
    "refused_invoice_amount_differs",
    "refused_invoice_currency_differs",
    "refused_risk_blocked",
];

/// The movements of points that journals hold in version 2 of their shape.
const OLD_POINT_ENTRIES: &[&str] = &["point_entry_granted", "point_entry_expired", "point_entry_spent"];

/// Shapes that were ever written in the first layout.
const FIRST_LAYOUT_SHAPES: usize = 235;

/// The rules that journals hold in version 5 of their shape, and in version 6 under names that say so.
const OLD_CATALOGUES: &[&str] =
    &["catalogue_that_sets_aside", "catalogue_that_counts_by_parties", "catalogue_that_looks_at_purchases"];

/// The samples of which the golden file of the first layout holds a former version as well, under their own names: refusals are about somebody
/// there, no points are pending, and no rule has an external id or a description.
fn former_samples() -> Vec<(String, Body)> {
    let mut former = samples();
    former.retain(|(name, _)| golden_name(name) != *name);
    assert_eq!(former.len(), OLD_REFUSALS.len() + OLD_POINT_ENTRIES.len() + OLD_CATALOGUES.len());
    let sixth = former.iter().filter(|(name, _)| OLD_CATALOGUES.contains(name));
    let sixth: Vec<(String, Body)> = sixth.map(|(name, body)| (format!("{name}_v6"), body.clone())).collect();
    former.into_iter().map(|(name, body)| (name.to_owned(), body)).chain(sixth).collect()
}

/// Returns the name of a sample in the golden file of the first layout.
fn golden_name(name: &str) -> String {
    let version = match name {
        name if OLD_REFUSALS.contains(&name) => "_v2",
        name if OLD_POINT_ENTRIES.contains(&name) => "_v3",
        name if OLD_CATALOGUES.contains(&name) => "_v7",
        _ => "",
    };
    format!("{name}{version}")
}

fn bytes_of(body: &Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(body, &mut bytes).expect("a sample is small");
    bytes
}

fn golden_path(layout: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("records-{layout}.txt"))
}

/// Reads golden bytes, by name.
fn golden(layout: &str) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(golden_path(layout)).expect("the golden file is there");
    let byte = |pair: &str| u8::from_str_radix(pair, 16).expect("two hex digits");
    let line = |line: &str| {
        let (name, hex) = line.split_once(' ').expect("a name and bytes");
        (name.to_owned(), (0..hex.len()).step_by(2).map(|at| byte(&hex[at..at + 2])).collect())
    };
    text.lines().map(line).collect()
}

/// Adds shapes that are missing to the golden file of what is written, and changes none.
fn bless() {
    let path = golden_path("v2");
    let mut text = std::fs::read_to_string(&path).expect("the golden file is there");
    for (name, body) in samples() {
        if !text.lines().any(|line| line.split(' ').next() == Some(name)) {
            write!(text, "{name} ").expect("a string takes text");
            bytes_of(&body).iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes text"));
            text.push('\n');
        }
    }
    std::fs::write(&path, &text).expect("the golden file is written");
}

#[test]
fn stored_shapes_are_frozen() {
    if std::env::var_os("KEMBALI_BLESS").is_some() {
        bless();
    }
    let golden = golden("v2");
    assert_eq!(samples().len(), golden.len(), "a shape is missing");
    for (name, body) in samples() {
        let (_, bytes) = golden.iter().find(|(own, _)| own == name).expect("every shape is frozen");
        assert_eq!(bytes_of(&body), *bytes, "{name} has changed: make it a new version of its kind instead");
    }
}

/// Nothing is written in this layout any more: what is added later is not in its file.
#[test]
fn shapes_of_the_first_layout_are_read() {
    let golden = golden("v1");
    let present = samples().into_iter().map(|(name, body)| (golden_name(name), body));
    let old = old_samples().into_iter().map(|(name, body)| (name.to_owned(), body));
    let all: Vec<(String, Body)> = present.chain(old).chain(former_samples()).collect();
    for (name, bytes) in &golden {
        let (_, body) = all.iter().find(|(own, _)| own == name).expect("every shape has a sample");
        assert_eq!(decode(Seq(42), bytes).expect(name), Record { seq: Seq(42), body: body.clone() }, "{name}");
        assert!((0..bytes.len()).all(|end| decode(Seq(42), &bytes[..end]).is_err()), "{name} is cut");
        check_parts(name, bytes, body);
    }
    assert_eq!(golden.len(), FIRST_LAYOUT_SHAPES);
}

/// What is read of a record in part is what is in it.
fn check_parts(name: &str, bytes: &[u8], body: &Body) {
    let has_customer = body.customer.is_some();
    let head = RecordHead { received_at: body.received_at, tenant: body.tenant, has_customer };
    assert_eq!(decode_head(bytes).expect(name), head, "{name}");
    let is_back = |event: &Event| matches!(event, Event::PurchaseRefunded(_) | Event::OperationReversed(_));
    let wanted = has_customer && body.events.iter().any(is_back);
    assert_eq!(takes_back(body.tenant, bytes).expect(name), wanted, "{name}");
    assert!(!takes_back(TenantId(body.tenant.0 + 1), bytes).expect(name), "{name}: another tenant's");
}

#[test]
fn a_short_number_has_one_form() {
    let all = [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    for (number, length) in all.into_iter().zip([1, 1, 3, 3, 5, 5, 9, 9]) {
        let mut bytes = Vec::new();
        put_number(number, &mut bytes);
        assert_eq!(bytes.len(), length, "{number}");
        let mut input = Input { bytes: &bytes, at: 0, layout: SHORT };
        assert_eq!(input.u64().expect("a number"), number);
        // As in bincode, whose bodies stand beside it.
        assert_eq!(bytes, bincode::DefaultOptions::new().serialize(&number).expect("a number"));
    }
    let longer: [&[u8]; 5] =
        [&[251, 250, 0], &[252, 255, 255, 0, 0], &[253, 255, 255, 255, 255, 0, 0, 0, 0], &[254], &[255]];
    for bytes in longer {
        let refused = Input { bytes, at: 0, layout: SHORT }.u64();
        assert!(matches!(refused, Err(DecodeError::OutOfRange(_))), "{bytes:?}");
    }
    assert!(Input { bytes: &[252, 0, 0, 1, 0], at: 0, layout: SHORT }.u16().is_err(), "more than fits");
}

#[test]
fn what_is_written_is_read() {
    for (name, body) in samples() {
        let bytes = bytes_of(&body);
        check_parts(name, &bytes, &body);
        assert!((0..12).all(|end| decode_head(&bytes[..end]).is_err()), "{name} is cut");
        let record = decode(Seq(42), &bytes).expect(name);
        assert_eq!(record, Record { seq: Seq(42), body }, "{name}");
    }
}

#[test]
fn r23_a_record_cut_anywhere_is_refused_and_never_a_panic() {
    for (name, body) in samples() {
        let bytes = bytes_of(&body);
        for end in 0..bytes.len() {
            assert!(decode(Seq(42), &bytes[..end]).is_err(), "{name} cut to {end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(decode(Seq(42), &longer), Err(DecodeError::Trailing(1))), "{name}");
    }
}

#[test]
fn a_record_with_any_byte_changed_is_refused_or_another_record_and_never_a_panic() {
    for (name, body) in samples() {
        let bytes = bytes_of(&body);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                // The frame's checksum finds the damage; here it must only do no harm.
                if let Ok(record) = decode(Seq(42), &changed) {
                    assert_ne!(record.body, body, "{name}: bit {bit} of byte {at} counts for nothing");
                }
            }
        }
    }
}

#[test]
fn a_newer_kind_is_named() {
    let mut bytes = bytes_of(&body(None, Vec::new()));
    let count_at = bytes.len() - 1;
    bytes[count_at] = 1;
    bytes.extend_from_slice(&[TWO_BYTES, 0xff, 0x7f, 1, 0]);
    let refused = decode(Seq(42), &bytes);
    assert!(matches!(refused, Err(DecodeError::Unknown { found: 0x7fff, .. })), "{refused:?}");
}
