//! Wallets under concurrency: every deposit and every withdrawal counts once, and nothing is taken that is not there.

use kembali_core::accounts::Direction;
use kembali_core::operation::{Actor, Operation};
use kembali_core::{TenantId, WalletId};
use kembali_engine::{CustomerRef, Operated, OperationRequest};

use crate::lab::{Lab, depth, open_shop, runtime};

const TENANT: TenantId = TenantId(1);

fn request(key: String, operation: Operation) -> OperationRequest {
    OperationRequest {
        tenant: TENANT,
        actor: Actor::Operator,
        customer: CustomerRef::Ref("ann".into()),
        idempotency_key: Some(key),
        operation,
        wallet_name: None,
        device: None,
        dry_run: false,
    }
}

/// Dompet Digital Sawit reads a balance and writes it back, and loses what comes between. More is to be taken here than ever
/// comes in.
#[test]
fn concurrent_deposits_and_withdrawals_leave_the_exact_balance() {
    for shards in [1, 2, 8] {
        let lab = Lab::new();
        let (taken, refused) = runtime().block_on(async {
            let engine = lab.start(shards);
            open_shop(&engine, 10).await;
            engine.operate(request("new".into(), Operation::CreateCustomer)).await.expect("the engine answers");
            let ann = engine.customer_id(TENANT, &CustomerRef::Ref("ann".into()));
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..400 * depth() {
                let (engine, wallet) = (engine.clone(), WalletId(0));
                let operation = match number % 4 {
                    0 => Operation::Deposit { wallet, amount: 100, reference: None },
                    _ => Operation::Adjust { wallet, direction: Direction::Out, amount: 40, reason: "cash".into() },
                };
                let request =
                    OperationRequest { customer: CustomerRef::Id(ann), ..request(number.to_string(), operation) };
                tasks.spawn(async move { (number % 4, engine.operate(request).await.expect("the engine answers")) });
            }
            let (mut taken, mut refused) = (0, 0);
            for (kind, operated) in tasks.join_all().await {
                match operated {
                    Operated::Done { .. } => taken += i64::from(kind != 0),
                    Operated::Refused { rejection, .. } => {
                        assert_eq!((kind != 0, rejection.code()), (true, "balance_too_small"));
                        refused += 1;
                    }
                    other => panic!("an operation cannot end as {other:?}"),
                }
            }
            let view = engine.customer(TENANT, &CustomerRef::Id(ann)).await.expect("it answers").expect("she is there");
            let deposited = 100 * 100 * i64::try_from(depth()).expect("a few");
            assert_eq!(view.row.balance(WalletId(0)).minor_units(), deposited - 40 * taken, "{shards} shards");
            engine.stop().await.expect("it stops well");
            (taken, refused)
        });
        assert!(0 < refused && 0 < taken, "{taken} taken, {refused} refused");
        lab.verify();
    }
}
