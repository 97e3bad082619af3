//! Operations at the handle: what is asked of a customer's accounts beside a purchase, and what became of it.

use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::command::{Command, DeskCommand, Query};
use kembali_core::event::{Body, Event, Record};
use kembali_core::operation::{Actor, Operation, OperationCommand, OperationKey, OperationRejection};
use kembali_core::{CustomerId, Seq, TenantId};
use kembali_machine::{InvoiceView, Outcome};
use tokio::sync::TryAcquireError;

use crate::handle::Engine;
use crate::request::{CustomerRef, NotTaken, ReadError, Stopped};

/// An operation to do.
#[derive(Clone, Debug)]
pub struct OperationRequest {
    /// Whose tenant.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: Actor,
    /// Whose accounts. By a name only to create its customer.
    pub customer: CustomerRef,
    /// The caller's key, of an operation that has one.
    pub idempotency_key: Option<String>,
    /// What is asked.
    pub operation: Operation,
    /// The name of the wallet that is opened or renamed.
    pub wallet_name: Option<String>,
    /// The caller's name of the device that is used.
    pub device: Option<String>,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// Something that no customer has a part in.
#[derive(Clone, Debug)]
pub struct DeskRequest {
    /// Whose tenant.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: Actor,
    /// The caller's key, of a request that has one.
    pub idempotency_key: Option<String>,
    /// [`Operation::OpenInvoice`], [`Operation::CancelInvoice`] or [`Operation::ArchiveRiskCheck`].
    pub operation: Operation,
    /// True when the answer is wanted but not the effect.
    pub dry_run: bool,
}

/// What became of an operation. Everything that it rests on is durable.
#[derive(Clone, Debug)]
pub enum Operated {
    /// It is done now, or was under the same key.
    Done {
        /// All that happened.
        record: Arc<Record>,
        /// The rules that it was decided by.
        catalogue: Arc<Catalogue>,
        /// True when it was done before.
        replayed: bool,
    },
    /// It would be done; nothing was.
    WouldDo {
        /// All that would happen.
        body: Box<Body>,
        /// The rules that it was judged by.
        catalogue: Arc<Catalogue>,
    },
    /// What is asked is so already; nothing was done.
    Unchanged {
        /// The customer.
        customer: CustomerId,
    },
    /// Something else was asked under the same key.
    KeyReused {
        /// The record of that.
        seq: Seq,
    },
    /// It is refused.
    Refused {
        /// Why.
        rejection: OperationRejection,
        /// True when it was refused before under the same key.
        replayed: bool,
    },
}

/// Why an operation could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// Nothing was done.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The engine has stopped; the outcome is unknown.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A stored record that a repeat names could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Engine {
    /// Does an operation, or refuses at once when too much is in flight or the disk is nearly full.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn operate(&self, request: OperationRequest) -> Result<Operated, OperateError> {
        let dry_run = request.dry_run;
        self.do_operation(Command::Operation(Box::new(self.operation_command(request))), dry_run).await
    }

    /// Operates on what the durable record `original` says: reverses an operation, or closes a review; as
    /// [`Engine::operate`].
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn operate_on(&self, request: OperationRequest, original: Arc<Record>) -> Result<Operated, OperateError> {
        let dry_run = request.dry_run;
        let command = OperationCommand { original: Some(original), ..self.operation_command(request) };
        self.do_operation(Command::Operation(Box::new(command)), dry_run).await
    }

    /// Does what no customer has a part in, or refuses at once when too much is in flight or the disk is nearly full.
    ///
    /// # Errors
    ///
    /// [`OperateError`].
    pub async fn operate_alone(&self, request: DeskRequest) -> Result<Operated, OperateError> {
        let DeskRequest { tenant, actor, idempotency_key, operation, dry_run } = request;
        let naming = &self.inner.naming;
        let command = DeskCommand {
            tenant,
            actor,
            key: idempotency_key.map(|text| naming.operation(tenant, actor, &text)),
            fingerprint: naming.desk_fingerprint(&operation),
            operation,
            dry_run,
        };
        self.do_operation(Command::Desk(Box::new(command)), dry_run).await
    }

    /// Lists the records of reviews that are open and lie behind `after`, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn reviews(&self, tenant: TenantId, after: Seq, limit: usize) -> Result<Vec<Seq>, Stopped> {
        match self.ask(Query::Reviews { tenant, after, limit }).await? {
            Outcome::Reviews(reviews) => Ok(reviews),
            other => unreachable!("a list of reviews cannot end as {other:?}"),
        }
    }

    /// Lists the records, from `first` to `last`, of checks that are archived.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn archived_checks(&self, tenant: TenantId, first: Seq, last: Seq) -> Result<Vec<Seq>, Stopped> {
        match self.ask(Query::ArchivedChecks { tenant, first, last }).await? {
            Outcome::ArchivedChecks(checks) => Ok(checks),
            other => unreachable!("a list of checks cannot end as {other:?}"),
        }
    }

    /// Looks at an invoice.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn find_invoice(&self, tenant: TenantId, number: &str) -> Result<Option<InvoiceView>, Stopped> {
        match self.ask(Query::Invoice { tenant, number: number.into() }).await? {
            Outcome::Invoice(invoice) => Ok(invoice),
            other => unreachable!("a look at an invoice cannot end as {other:?}"),
        }
    }

    async fn do_operation(&self, command: Command, dry_run: bool) -> Result<Operated, OperateError> {
        if !dry_run {
            self.check_room_on_disk().map_err(NotTaken::from)?;
        }
        let permit = match Arc::clone(&self.inner.room).try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::NoPermits) => return Err(NotTaken::Overloaded.into()),
            Err(TryAcquireError::Closed) => return Err(Stopped.into()),
        };
        let key = match &command {
            Command::Operation(own) => own.key,
            Command::Desk(own) => own.key,
            _ => None,
        };
        match self.submit_one(permit, command).await? {
            Outcome::Operated { record, catalogue } => Ok(Operated::Done { record, catalogue, replayed: false }),
            Outcome::WouldOperate { body, catalogue } => Ok(Operated::WouldDo { body, catalogue }),
            Outcome::Unchanged { customer } => Ok(Operated::Unchanged { customer }),
            Outcome::OperationRefused(rejection) => Ok(Operated::Refused { rejection, replayed: false }),
            Outcome::OperationKnown { seq, is_same: false } => Ok(Operated::KeyReused { seq }),
            Outcome::OperationKnown { seq, is_same: true } => self.stored_operation(seq, key).await,
            other => unreachable!("an operation cannot end as {other:?}"),
        }
    }

    fn operation_command(&self, request: OperationRequest) -> OperationCommand {
        let OperationRequest { tenant, actor, customer, idempotency_key, operation, wallet_name, device, dry_run } =
            request;
        let naming = &self.inner.naming;
        let name = naming.customer(tenant, &customer);
        // Whom it is about was hashed with the name, however that was written; a wallet's name is what is asked.
        let fingerprint = naming.operation_fingerprint(name, &operation, wallet_name.as_deref(), device.as_deref());
        let text = match (customer, wallet_name) {
            (CustomerRef::Email(text) | CustomerRef::Ref(text), _) | (CustomerRef::Id(_), Some(text)) => Some(text),
            (CustomerRef::Id(_), None) => None,
        };
        OperationCommand {
            tenant,
            actor,
            key: idempotency_key.map(|text| naming.operation(tenant, actor, &text)),
            fingerprint,
            customer: name,
            operation,
            device: device.map(|text| naming.device(tenant, &text)),
            text: text.map(String::into_boxed_str),
            dry_run,
            original: None,
            other_records: Vec::new(),
        }
    }

    /// Reads what became of an operation that was asked before.
    async fn stored_operation(&self, seq: Seq, key: Option<OperationKey>) -> Result<Operated, OperateError> {
        let (record, catalogue) = self.durable_record(seq).await?;
        let refused = record.body.events.iter().find_map(|event| match event {
            Event::OperationRefused(refused) => Some(refused.rejection.clone()),
            // Where the transfer has no key, the refusal is not kept apart.
            Event::TransferReturned(returned) => Some(OperationRejection::TransferDeclined(returned.reason)),
            _ => None,
        });
        // Whoever rejects what was set aside has done that; whoever had asked for it is refused.
        let is_done = record.body.operation_done().is_some_and(|done| done.key == key);
        Ok(match refused.filter(|_| !is_done) {
            Some(rejection) => Operated::Refused { rejection, replayed: true },
            None => Operated::Done { record, catalogue, replayed: true },
        })
    }
}
