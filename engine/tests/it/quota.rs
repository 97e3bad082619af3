//! Quotas under concurrency: never oversold, never a unit lost, one order for all.

use kembali_core::event::Event;
use kembali_engine::Booking;

use crate::lab::{Lab, depth, open_shop, purchase, runtime};

fn is_granted(booking: &Booking) -> bool {
    let Booking::Booked { record, .. } = booking else { panic!("every purchase is booked") };
    record.body.events.iter().any(|event| matches!(event, Event::PromoGranted(_)))
}

#[test]
fn r18_of_1001_concurrent_purchases_exactly_1000_are_paid() {
    for shards in [1, 2, 8] {
        let lab = Lab::new();
        let granted = runtime().block_on(async {
            let engine = lab.start(shards);
            let shop = open_shop(&engine, 1_000).await;
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..1_001 {
                let engine = engine.clone();
                let request = purchase(shop, &format!("P-{number}"), &format!("c{number}"), 10_000);
                tasks.spawn(async move { engine.book(vec![request]).await.expect("the engine answers").remove(0) });
            }
            let bookings = tasks.join_all().await;
            engine.stop().await.expect("it stops well");
            bookings.iter().filter(|booking| is_granted(booking)).count()
        });
        assert_eq!(granted, 1_000, "{shards} shards");
        assert_eq!(lab.verify().purchases, 1_001);
    }
}

#[test]
fn r18_ten_thousand_claims_on_a_few_units() {
    const UNITS: usize = 37;
    let claims = 10_000 * depth();
    let lab = Lab::new();
    let granted = runtime().block_on(async {
        let engine = lab.start(2);
        let shop = open_shop(&engine, UNITS as u64).await;
        let mut tasks = tokio::task::JoinSet::new();
        for batch in 0..claims / 100 {
            let engine = engine.clone();
            let requests = (0..100)
                .map(|number| purchase(shop, &format!("P-{batch}-{number}"), &format!("c{number}"), 10_000))
                .collect();
            tasks.spawn(async move { engine.book(requests).await.expect("the engine answers") });
        }
        let granted = tasks.join_all().await.iter().flatten().filter(|booking| is_granted(booking)).count();
        let shop_rules = engine.catalogue("shops", None).await.expect("answered").expect("there are rules");
        let promo = shop_rules.promo_by_code("TWO").expect("there is a promo").id;
        let promo_use = engine.promo_use(shop_rules.tenant, promo).await.expect("answered").expect("there is a promo");
        assert_eq!((promo_use.used, promo_use.reserved), (UNITS as u64, 0));
        engine.stop().await.expect("it stops well");
        granted
    });
    assert_eq!(granted, UNITS);
}
