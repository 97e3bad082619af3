//! Version 1 of a stored refusal of an operation, as journals hold it of before a refusal could be about nobody: read, never
//! written.

use kembali_core::operation::{Actor, Operation, OperationKey, OperationRefused, OperationRejection};
use kembali_core::{CustomerId, Fingerprint};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct OperationRefusedV1 {
    actor: Actor,
    key: OperationKey,
    fingerprint: Fingerprint,
    customer: CustomerId,
    operation: Operation,
    rejection: OperationRejection,
}

impl From<OperationRefusedV1> for OperationRefused {
    fn from(old: OperationRefusedV1) -> OperationRefused {
        let OperationRefusedV1 { actor, key, fingerprint, customer, operation, rejection } = old;
        OperationRefused { actor, key, fingerprint, customer: Some(customer), operation, rejection }
    }
}
