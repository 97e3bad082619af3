//! API keys: who they belong to, and that nobody gets another's.

use kembali_core::draft::PartnerDraft;
use kembali_engine::{ApplyError, ApplyRequest};

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
            draft: draft.clone(),
            partner_keys: partner_keys.iter().map(|(slug, key)| ((*slug).into(), (*key).into())).collect(),
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
