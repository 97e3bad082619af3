//! R29: ledgers that earlier builds wrote. Each must open, verify and fold to the digest that it had when it was made.
//!
//! `KEMBALI_BLESS=1` makes a golden ledger that is missing; one that is there is never made anew, and its digest never
//! changes: a build that cannot reproduce it has broken what it promises for every ledger in the field.

use kembali_core::operation::{Actor, Operation};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use kembali_core::catalogue::{FulfillmentKind, OfferGives};
use kembali_core::draft::{
    CampaignDraft, CashbackDraft, CatalogueDraft, EarningDraft, ExternalIdDraft, FulfillmentDraft, Identified,
    OfferDraft, PolicyDraft, ProgramDraft, RewardDraft, RewardPaysDraft, RiskRuleDraft,
};
use kembali_core::refund::RefundOf;
use kembali_core::risk::{RiskAction, RiskCondition};
use kembali_core::{Amount, Rate, TenantId};
use kembali_engine::{
    ApplyRequest, CustomerRef, Engine, Operated, OperationRequest, PartnerKey, RefundRequest, verify,
};

use crate::as_of::operate;
use crate::lab::{API_KEY, Lab, book, open_shop, rules, runtime, word};
use crate::same::input;

/// Every format of a data directory that was ever released.
const FORMATS: [u32; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
/// The first format whose snapshots are still used. That of records is newer.
const SNAPSHOTS_SINCE: u32 = 8;
/// So small that the ledger has archive segments and snapshots, and a tail.
const GENERATION_BYTES: u64 = 64 * 1024;
const PURCHASES: usize = 700;

fn golden(format: u32, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("ledger-{format}.{ending}"))
}

/// Two versions of the rules, the second with every kind of rule; refusals, repeats, a revoked key, an exhausted quota;
/// operations of every kind, some of them refused.
fn make(archive: &Path) {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start_rotating(2, GENERATION_BYTES);
        let shop = open_shop(&engine, 100).await;
        let (requests, mut state) = (input(shop), 5);
        for (index, chunk) in requests[..PURCHASES].chunks(50).enumerate() {
            if index == 5 {
                let erased = engine.erase(erasure("c3")).await.expect("the engine answers");
                assert!(matches!(erased, Operated::Done { .. }), "{erased:?}");
            }
            if index == 7 {
                let partner_keys = vec![PartnerKey::bare("shop", "a-key-to-be-revoked")];
                let draft = every_rule(rules(300));
                let request = ApplyRequest {
                    actor: Actor::Operator,
                    draft,
                    partner_keys,
                    expected_version: None,
                    dry_run: false,
                };
                let rules = engine.apply(request).await.expect("the rules are applied").catalogue;
                let leaked = engine.partner_of_key("a-key-to-be-revoked").expect("the key is known").key;
                let revoked = engine.revoke_api_key(Actor::Operator, &rules, "shop", leaked).await;
                assert!(revoked.expect("the engine answers"));
            }
            engine.book(chunk.to_vec()).await.expect("the engine answers");
            operate(&engine, index, &mut state).await;
        }
        for (index, request) in requests[..PURCHASES].iter().step_by(70).enumerate() {
            // Refused purchases are among them, and parts of others.
            let part = request.purchase.amount / 2;
            let amount = if index % 2 == 0 { request.purchase.amount } else { part };
            let refund = RefundRequest {
                actor: Actor::Partner(shop.partner),
                tenant: shop.tenant,
                partner: shop.partner,
                origin_id: request.purchase.origin_id.to_string(),
                refund_id: "R-1".into(),
                of: RefundOf::Amount(amount),
                reason: None,
                dry_run: false,
            };
            engine.refund(refund).await.expect("the engine answers");
        }
        engine.stop().await.expect("it stops well");
    });
    fs::create_dir_all(archive.parent().expect("a folder")).expect("the folder is made");
    let packed = GzEncoder::new(File::create(archive).expect("the file is made"), Compression::best());
    let mut tar = tar::Builder::new(packed);
    tar.append_dir_all(".", lab.path()).expect("the ledger is packed");
    tar.into_inner().and_then(GzEncoder::finish).expect("the file is written");
}

fn erasure(customer: &str) -> OperationRequest {
    OperationRequest {
        tenant: TenantId(1),
        actor: Actor::Operator,
        customer: CustomerRef::Ref(customer.into()),
        idempotency_key: None,
        operation: Operation::EraseCustomer { reason: "asked to".into() },
        wallet_name: None,
        device: None,
        dry_run: false,
    }
}

/// Adds a Threshold programme, a cashback rule and a campaign that every purchase completes.
fn every_rule(mut draft: CatalogueDraft) -> CatalogueDraft {
    let amount = |minor_units| Amount::new(minor_units).expect("an amount");
    let levels = vec![("Low".to_owned(), Amount::ZERO), ("High".to_owned(), amount(2_000_000))];
    draft.programs.push(ProgramDraft {
        name: "Spend".into(),
        policy: PolicyDraft::Threshold(levels),
        renames: Vec::new(),
    });
    let any = FulfillmentKind::Buy { product: None, amount_min: amount(500_000), is_cumulative: true };
    let rule =
        |name: &str, condition, action| RiskRuleDraft { name: name.into(), operations: Vec::new(), condition, action };
    let amount_above = RiskCondition::AmountAbove(Amount::new(45_000).expect("an amount"));
    draft.risk_rules = vec![
        rule("Much", amount_above, RiskAction::Block),
        rule("More", RiskCondition::AmountAbove(amount(7_000)), RiskAction::Review),
        rule("Many", RiskCondition::CountAbove { count: 2, seconds: 86_400 }, RiskAction::Flag),
    ];
    draft.earning = EarningDraft {
        point_kinds: vec!["points".into()],
        offers: vec![OfferDraft {
            name: "Mug".into(),
            kind: "points".into(),
            points: amount(70),
            gives: OfferGives::Item,
            stock: Some(100),
            is_active: true,
            starts_at: None,
            ends_at: None,
        }],
        cashback_rules: vec![CashbackDraft {
            description: Some("A share of everything".into()),
            name: "All".into(),
            rate: Rate::parse("0.01").expect("a rate"),
            products: Vec::new(),
            partner: None,
            is_active: true,
            ends_at: None,
            pays: "points".into(),
            life_days: Some(30),
            pending_days: Some(2),
        }],
        fulfillments: vec![FulfillmentDraft { name: "Half a million".into(), kind: any }],
        rewards: vec![
            RewardDraft {
                name: "Points".into(),
                pays: RewardPaysDraft::Points {
                    kind: "points".into(),
                    points: amount(77),
                    life_days: Some(40),
                    pending_days: Some(3),
                },
            },
            RewardDraft { name: "Cash".into(), pays: RewardPaysDraft::WalletCredit(amount(5)) },
        ],
        campaigns: vec![CampaignDraft {
            name: "Spree".into(),
            fulfillments: vec!["Half a million".into()],
            rewards: vec!["Points".into(), "Cash".into()],
            starts_at: None,
            ends_at: None,
            completions_max: None,
            budget: Some(20),
        }],
        external_ids: vec![ExternalIdDraft { of: Identified::Campaign, name: "Spree".into(), id: "c-1".into() }],
    };
    draft
}

fn unpacked(archive: &Path) -> Lab {
    let lab = Lab::new();
    tar::Archive::new(GzDecoder::new(File::open(archive).expect("the golden ledger is there")))
        .unpack(lab.path())
        .expect("it unpacks");
    lab
}

#[test]
fn r29_golden_ledgers_fold_to_their_golden_digests() {
    for format in FORMATS {
        let (archive, digest) = (golden(format, "tar.gz"), golden(format, "digest"));
        if !archive.exists() && std::env::var_os("KEMBALI_BLESS").is_some() {
            make(&archive);
            fs::write(&digest, format!("{}\n", unpacked(&archive).verify().digest)).expect("the digest is written");
        }
        let expected = fs::read_to_string(&digest).expect("the golden digest is there");
        let lab = unpacked(&archive);
        let verified = lab.verify();
        // Snapshots are derived from the records: those of an older format are left, and made anew.
        let is_present = SNAPSHOTS_SINCE <= format;
        assert!(verified.segments > 0 && is_present == (verified.snapshots > 0), "{verified:?}");
        assert_eq!(verified.would_mend.is_empty(), is_present, "{verified:?}");
        assert_eq!(format!("{}\n", verified.digest), expected, "format {format}");

        // The engine comes to the same ledger, with any number of shards, and knows what was booked.
        for shards in [1, 2, 8] {
            let lab = unpacked(&archive);
            runtime().block_on(async {
                let engine = lab.start(shards);
                let shop = engine.partner_of_key(API_KEY).expect("the key is known");
                assert_eq!(engine.partner_of_key("a-key-to-be-revoked"), None);
                let first = input(shop).remove(0);
                assert_eq!(word(&book(&engine, first).await), "replayed");
                engine.stop().await.expect("it stops well");
            });
            let scratch = tempfile::tempdir().expect("a temporary folder");
            let verified = verify(lab.path(), scratch.path()).expect("the ledger is whole");
            assert_eq!(format!("{}\n", verified.digest), expected, "format {format}, {shards} shards");
        }
        go_on(&unpacked(&archive), format);
    }
}

/// What is written today stands behind what an older program wrote, in one journal, and both are read.
fn go_on(lab: &Lab, format: u32) {
    let scratch = || tempfile::tempdir().expect("a temporary folder");
    let before = verify(lab.path(), scratch().path()).expect("the ledger is whole");
    for _ in 0..2 {
        let next = |engine: &Engine| input(engine.partner_of_key(API_KEY).expect("the key is known"));
        runtime().block_on(async {
            let engine = lab.start(1);
            let booked = engine.book(next(&engine)[PURCHASES..PURCHASES + 20].to_vec()).await;
            assert!(booked.is_ok_and(|all| all.len() == 20), "format {format}");
            engine.stop().await.expect("it stops well");
        });
    }
    let after = verify(lab.path(), scratch().path()).expect("the ledger is whole");
    assert!(before.last < after.last && before.purchases < after.purchases, "format {format}: {after:?}");
}
