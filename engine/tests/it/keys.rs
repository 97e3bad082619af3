//! API keys: who they belong to, and that nobody gets another's.

use kembali_core::audit::{Act, Audit, PartnerStanding, Role};
use kembali_core::draft::PartnerDraft;
use kembali_core::event::Event;
use kembali_core::operation::Actor;
use kembali_core::{AccountId, Seq};
use kembali_engine::{Admitted, ApplyError, ApplyRequest, Engine, EngineConfig, PartnerKey, StartError};

use crate::lab::{API_KEY, Lab, open_shop, rules, runtime};

#[test]
fn a_key_belongs_to_one_partner() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        let mut draft = rules(10);
        draft.partners.push(PartnerDraft { slug: "other".into(), name: "Other".into() });
        let apply = |partner_keys: &[(&str, &str)]| ApplyRequest {
            actor: Actor::Operator,
            draft: draft.clone(),
            partner_keys: partner_keys.iter().map(|(slug, key)| PartnerKey::bare(*slug, *key)).collect(),
            expected_version: None,
            dry_run: false,
        };
        // Taken by somebody who is there, and by somebody of the same request.
        for keys in [[("other", API_KEY)].as_slice(), &[("shop", "one-key-for-two"), ("other", "one-key-for-two")]] {
            let refused = engine.apply(apply(keys)).await;
            assert!(matches!(&refused, Err(ApplyError::KeyTaken { partner }) if partner == "other"), "{refused:?}");
        }
        assert_eq!(engine.partner_of_key("one-key-for-two"), None, "what is refused leaves no key behind");
        engine.apply(apply(&[("other", "a-key-of-its-own")])).await.expect("the rules are applied");
        let other = engine.partner_of_key("a-key-of-its-own").expect("the key is known");
        assert_ne!(other, shop);
        engine.stop().await.expect("it stops well");

        let engine = lab.start(1);
        assert_eq!(engine.partner_of_key(API_KEY), Some(shop));
        assert_eq!(engine.partner_of_key("a-key-of-its-own"), Some(other));
        assert_eq!(engine.partner_of_key("nobody-has-this-key"), None);
        engine.stop().await.expect("it stops well");
    });
}

/// Under another key the server does not start: it would refuse every signed request. Without one those keys are closed.
#[test]
fn secrets_are_opened_under_their_own_key_alone() {
    let lab = Lab::new();
    let config =
        |secrets_key| EngineConfig { secrets_key, ..lab.config(1, |fault| panic!("no fault is planned: {fault:?}")) };
    let signed = PartnerKey { secret: Some("a-secret-of-16-chars".into()), ..PartnerKey::bare("shop", "a-signed-key") };
    let request = |keys: Vec<PartnerKey>| ApplyRequest {
        actor: Actor::Operator,
        draft: rules(10),
        partner_keys: keys,
        expected_version: None,
        dry_run: false,
    };
    runtime().block_on(async {
        let (engine, _) = Engine::start(config(Some([3; 32]))).expect("it starts");
        engine.apply(request(vec![signed.clone(), PartnerKey::bare("shop", API_KEY)])).await.expect("applied");
        // Again it changes nothing; with another secret, or without one, it is another key.
        engine.apply(request(vec![signed.clone()])).await.expect("applied");
        for secret in [Some("another-secret-of-16".into()), None] {
            let refused = engine.apply(request(vec![PartnerKey { secret, ..signed.clone() }])).await;
            assert!(matches!(refused, Err(ApplyError::KeyExists { .. })), "{refused:?}");
        }
        engine.stop().await.expect("it stops well");
        let refused = Engine::start(config(Some([4; 32]))).map(|_| ());
        assert!(matches!(&refused, Err(StartError::Sealed { partners }) if *partners == ["shops/shop"]), "{refused:?}");
        // Without one the ledger is served, and whoever has a secret stays outside.
        let (engine, _) = Engine::start(config(None)).expect("it starts");
        assert_eq!(engine.partner_of_key("a-signed-key"), None);
        assert!(engine.partner_of_key(API_KEY).is_some());
        let refused = engine.apply(request(vec![PartnerKey::bare("shop", "a-signed-key")])).await;
        assert!(matches!(refused, Err(ApplyError::KeyExists { .. })), "{refused:?}");
        engine.stop().await.expect("it stops well");
        let (engine, _) = Engine::start(config(Some([3; 32]))).expect("it starts");
        let Admitted { caller, secret, .. } = engine.admit_key("a-signed-key").expect("the key is known");
        assert_eq!(secret.expect("it has a secret").as_bytes(), b"a-secret-of-16-chars");
        assert_eq!(engine.admit_key(API_KEY).expect("the key is known").secret, None);
        // Once the key is revoked, nothing needs to be opened any more.
        let rules = engine.catalogue("shops", None).await.expect("it answers").expect("the tenant is there");
        let revoked = engine.revoke_api_key(Actor::Operator, &rules, "shop", caller.key).await;
        assert!(revoked.expect("the engine answers"));
        assert_eq!(engine.partner_of_key("a-signed-key"), None);
        engine.stop().await.expect("it stops well");
        let (engine, _) = Engine::start(config(None)).expect("it starts");
        let refused = engine.apply(request(vec![PartnerKey { api_key: "one-more-key".into(), ..signed }])).await;
        assert!(matches!(refused, Err(ApplyError::SigningDisabled)), "{refused:?}");
        engine.stop().await.expect("it stops well");
    });
}

/// Whatever changes about partners is in the journal with who did it, holds at once and after a start, and once only.
#[test]
fn what_administrators_do_is_written_down_and_holds() {
    let lab = Lab::new();
    runtime().block_on(async {
        let engine = lab.start(1);
        let shop = open_shop(&engine, 10).await;
        let rules = engine.catalogue("shops", None).await.expect("it answers").expect("the tenant is there");
        let admin = Actor::Person(AccountId(7), Role::Admin);
        let (before, of_shop) = (PartnerStanding::default(), (shop.tenant, shop.partner));
        let suspend = |standing: &mut PartnerStanding| standing.is_suspended = true;
        let reason = || Some("they sent nonsense".into());
        let changed = engine.change_partner(admin, of_shop, reason(), suspend).await.expect("it is done");
        let after = PartnerStanding { is_suspended: true, ..before };
        assert!(matches!(changed, (was, is, Some(_)) if was == before && is == after), "{changed:?}");
        let again = engine.change_partner(admin, of_shop, reason(), suspend).await.expect("it is done");
        assert_eq!(again, (after, after, None));
        assert!(!engine.is_admitted(shop));
        assert_eq!(engine.admit_key(API_KEY).expect("the key is known").standing, after);
        engine.stop().await.expect("it stops well");

        let engine = lab.start(1);
        assert_eq!(engine.partner_standing(shop.partner), after);
        assert!(engine.revoke_api_key(admin, &rules, "shop", shop.key).await.expect("it is done"));
        assert!(engine.revoke_api_key(admin, &rules, "shop", shop.key).await.expect("it is done"), "again");
        let mut acts = Vec::new();
        for seq in 1..=engine.durable().0 {
            let (record, _) = engine.record(Seq(seq)).await.expect("it is read").expect("it is there");
            acts.extend(record.body.events.iter().filter_map(|event| match event {
                Event::Audited(audit) => Some((**audit).clone()),
                _ => None,
            }));
        }
        let by = |actor, act| Audit { actor, act };
        let (partner, key) = (shop.partner, shop.key.0);
        assert_eq!(
            acts,
            [
                by(Actor::Operator, Act::RulesApplied),
                by(Actor::Operator, Act::ApiKeyGiven { partner, key, is_signed: false }),
                by(admin, Act::PartnerChanged { partner, before, after, reason: reason() }),
                by(admin, Act::ApiKeyRevoked { partner, key }),
            ]
        );
        engine.stop().await.expect("it stops well");
    });
}
