//! The whole state as one fold of the records: for recovery, for offline checks, and as the oracle of tests.
//!
//! While the engine runs, the same parts live apart: the desk with the router, the rows with the shards.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::accounts::{Direction, HouseAccount};
use crate::customer::Row;
use crate::desk::{CountedBy, Desk};
use crate::event::{Body, Event, Record};
use crate::hold::{Hold, HoldClosed, HoldEnd, HoldId};
use crate::identity::{AliasKind, CustomerId, RuleId, TenantId, Unit, WalletId};
use crate::invoice::{Invoice, InvoicePaid, InvoiceState};
use crate::journey::Remark;
use crate::maps::Map;
use crate::points::{Expiry, Maturity};
use crate::quantity::{Amount, Balance, Seq};
use crate::refund::{ClawBack, PromoBack, RefundStanding};
use crate::risk::{Remembered, RiskKind};
use crate::totals::{Grants, PromoRefunds, RefundTotals, TenantTotals, Totals};
use crate::transfer::OpenTransfer;
use crate::wallet::WalletStatus;

/// The whole state.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// What no single customer owns.
    pub desk: Desk,
    /// Every customer.
    pub rows: Map<CustomerId, Row>,
    /// The sums.
    pub totals: Totals,
}

/// What a record says that cannot be: the journal is damaged although its bytes are whole, or the program is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inconsistency {
    /// An entry's two sides differ.
    UnbalancedEntry,
    /// The record names a customer whom no record created.
    UnknownCustomer(CustomerId),
    /// The record does not follow the one before.
    OutOfOrder,
    /// The record's chain of its customer does not lead to the customer's last record.
    BrokenChain,
    /// The record's stamp lies before the last one.
    StampFell,
    /// The record names a tenant whom no record created, or creates one out of order.
    UnknownTenant(TenantId),
    /// The record creates a customer who is there already, or of another tenant.
    CustomerTwice(CustomerId),
    /// A hold is placed out of turn or beyond what is available, or one is closed that is not open, or not as it was.
    WrongHold,
    /// A transfer is on its way, and the record is not its next step; or a step belongs to no transfer.
    WrongTransfer,
    /// An invoice is opened under a number that there is, or one is paid or cancelled that is not open, or not as it was.
    WrongInvoice,
    /// An operation is reversed that is reversed already, or is not there yet.
    WrongReversal,
    /// A review is closed that is not open, or is another customer's; or what is set aside is nobody's; or a check is archived that
    /// is archived already, or is not there yet.
    WrongReview,
    /// A balance after an entry is not the balance before it and the entry's amount, or a lot does not hold what is taken.
    WrongBalance,
}

impl Ledger {
    /// Folds one record in.
    ///
    /// # Errors
    ///
    /// [`Inconsistency`]; the state is then worthless.
    pub fn evolve(&mut self, record: &Record) -> Result<(), Inconsistency> {
        if record.seq != self.desk.last().next() {
            return Err(Inconsistency::OutOfOrder);
        }
        let body = &record.body;
        if body.received_at < self.desk.last_received_at() && record.seq != Seq::ZERO.next() {
            return Err(Inconsistency::StampFell);
        }
        self.check_tenant(body)?;
        check_transfer(self.desk.open_transfer(), body)?;
        self.check_invoices(body)?;
        for event in &body.events {
            if let Event::HousePosted(entry) = event
                && !entry.balances()
            {
                return Err(Inconsistency::UnbalancedEntry);
            }
        }
        self.check_reviews(body)?;
        if let Some(customer) = body.customer {
            self.check_customer(customer, body)?;
            if let Some(row) = Row::created_by(body) {
                self.rows.insert(customer, row);
            }
            self.rows.get_mut(&customer).ok_or(Inconsistency::UnknownCustomer(customer))?.evolve(body);
        } else if body.events.iter().any(|event| matches!(event, Event::WalletEntry(_) | Event::PointEntry(_))) {
            // An entry without a wallet has one side only.
            return Err(Inconsistency::UnbalancedEntry);
        }
        self.desk.evolve(record);
        self.totals.evolve(record);
        Ok(())
    }

    fn check_tenant(&self, body: &Body) -> Result<(), Inconsistency> {
        let unknown = Err(Inconsistency::UnknownTenant(body.tenant));
        let applied = body.events.iter().find_map(|event| match event {
            Event::CatalogueApplied(catalogue) => Some(catalogue),
            _ => None,
        });
        let present = self.desk.catalogue(body.tenant).map_or(0, |present| present.version);
        let Some(catalogue) = applied else {
            return if present == 0 { unknown } else { Ok(()) };
        };
        let is_next_tenant = self.desk.catalogues().count() + 1 == catalogue.tenant.0 as usize;
        let follows = catalogue.version == present + 1 && (present > 0 || is_next_tenant);
        if follows && catalogue.tenant == body.tenant { Ok(()) } else { unknown }
    }

    fn check_invoices(&self, body: &Body) -> Result<(), Inconsistency> {
        let open =
            |number| self.desk.invoice(body.tenant, number).filter(|invoice| invoice.state == InvoiceState::Open);
        let is_paid = |paid: &InvoicePaid| takes(body, paid.wallet, paid.unit, paid.amount);
        let is_paid_by = |number: &str, operation: Seq| {
            self.desk.invoice(body.tenant, number).is_some_and(|own| own.state == InvoiceState::Paid(operation))
        };
        let is_right = body.events.iter().all(|event| match event {
            Event::OperationReversed(own) => {
                own.invoice.as_ref().is_none_or(|number| is_paid_by(number, own.operation))
            }
            Event::InvoiceOpened(own) => self.desk.invoice(body.tenant, &own.number).is_none(),
            Event::InvoiceCancelled(own) => open(&own.number).is_some_and(|open| open.partner == own.partner),
            Event::InvoicePaid(own) => {
                let is_own =
                    |open: &Invoice| (open.partner, open.unit, open.amount) == (own.partner, own.unit, own.amount);
                open(&own.number).is_some_and(is_own) && is_paid(own) && body.customer.is_some()
            }
            _ => true,
        });
        if is_right { Ok(()) } else { Err(Inconsistency::WrongInvoice) }
    }

    fn check_reviews(&self, body: &Body) -> Result<(), Inconsistency> {
        let is_right = body.events.iter().all(|event| match event {
            Event::ReviewOpened(_) => body.customer.is_some(),
            Event::RiskCheckArchived(own) => {
                own.check <= self.desk.last() && self.desk.archived(body.tenant, own.check, own.check).next().is_none()
            }
            Event::ReviewClosed(own) => {
                body.customer.is_some() && self.desk.review(body.tenant, own.review) == body.customer
            }
            _ => true,
        });
        let count = |is: fn(&Event) -> bool| body.events.iter().filter(|event| is(event)).count();
        let opened = count(|event| matches!(event, Event::ReviewOpened(_)));
        let closed = count(|event| matches!(event, Event::ReviewClosed(_)));
        let moved = count(|event| matches!(event, Event::WalletEntry(_)));
        // Each record does one thing, and what is set aside moves nothing.
        let is_one = opened + closed <= 1 && (opened == 0 || moved == 0);
        if is_right && is_one { Ok(()) } else { Err(Inconsistency::WrongReview) }
    }

    fn check_customer(&self, customer: CustomerId, body: &Body) -> Result<(), Inconsistency> {
        if body.previous != self.desk.last_record_of(customer) {
            return Err(Inconsistency::BrokenChain);
        }
        let row = self.rows.get(&customer);
        let creates = body.events.iter().any(|event| matches!(event, Event::CustomerCreated(_)));
        if row.is_some_and(|row| creates || row.tenant != body.tenant) {
            return Err(Inconsistency::CustomerTwice(customer));
        }
        check_holds(row, body)?;
        let is_reversed = |operation: &Seq| row.is_some_and(|row| row.reversed.binary_search(operation).is_ok());
        let mut reversals = body.events.iter().filter_map(|event| match event {
            Event::OperationReversed(own) => Some(own.operation),
            _ => None,
        });
        // Where there is one, the operation lies before it and is reversed for the first time.
        let first = reversals.next();
        let is_wrong = first.is_some_and(|operation| self.desk.last() < operation || is_reversed(&operation));
        if is_wrong || reversals.next().is_some() {
            return Err(Inconsistency::WrongReversal);
        }
        // Nothing else leads below zero: a refund or a reversal may, and a hold is settled whatever these have taken since.
        let may_owe = |wallet: WalletId| {
            body.events.iter().any(|event| match event {
                Event::PurchaseRefunded(_) | Event::OperationReversed(_) => true,
                Event::HoldClosed(HoldClosed { hold, end: HoldEnd::Settled { .. } }) => hold.wallet == wallet,
                _ => false,
            })
        };
        let mut balances: BTreeMap<WalletId, Balance> = BTreeMap::new();
        let mut points: BTreeMap<RuleId, Amount> = BTreeMap::new();
        let mut lots: BTreeMap<(RuleId, (Expiry, RuleId, Maturity)), Amount> = BTreeMap::new();
        for event in &body.events {
            match event {
                Event::WalletEntry(entry) => {
                    if !entry.balances() {
                        return Err(Inconsistency::UnbalancedEntry);
                    }
                    let known = balances.get(&entry.wallet).copied();
                    let before = known.or(row.map(|row| row.balance(entry.wallet))).unwrap_or(Balance::ZERO);
                    check_balance(before, entry.direction, entry.amount, entry.balance_after)?;
                    let is_owed = entry.direction == Direction::Out && entry.balance_after < Balance::ZERO;
                    if is_owed && !may_owe(entry.wallet) {
                        return Err(Inconsistency::WrongBalance);
                    }
                    balances.insert(entry.wallet, entry.balance_after);
                }
                Event::PointEntry(entry) => {
                    let known = points.get(&entry.kind).copied();
                    let before = known.or(row.map(|row| row.point_balance(entry.kind))).unwrap_or(Amount::ZERO);
                    let (before, after) = (Balance::from(before), Balance::from(entry.balance_after));
                    check_balance(before, entry.direction, entry.points, after)?;
                    points.insert(entry.kind, entry.balance_after);
                    let account = || row.and_then(|row| row.points.iter().find(|own| own.kind == entry.kind));
                    let lot = lots.entry((entry.kind, entry.lot().key()));
                    let lot = lot.or_insert_with(|| account().map_or(Amount::ZERO, |account| account.held(entry)));
                    let left = match entry.direction {
                        Direction::In => lot.plus(entry.points),
                        Direction::Out => lot.minus(entry.points),
                    };
                    *lot = left.ok_or(Inconsistency::WrongBalance)?;
                }
                _ => (),
            }
        }
        Ok(())
    }

    /// Hands the canonical form of the state to `write`, piece by piece: what the ledger digest is the hash of.
    ///
    /// The number of rows, the rows in order of their ids ([`canonical_row`]), and the rest ([`canonical_rest`]).
    /// Positions, receive stamps and receipts are left out, so that two runs of one input compare equal. What came with
    /// later rules stands apart ([`Ledger::canonical_more`]).
    pub fn canonical(&self, mut write: impl FnMut(&[u8])) {
        let rows = self.sorted_rows();
        write(&(rows.len() as u64).to_be_bytes());
        rows.into_iter().for_each(|row| canonical_row(row, &mut write));
        canonical_rest(&self.desk, &self.totals, &mut write);
    }

    /// Hands what the state holds of later rules to `write`: [`canonical_row_more`] of the rows in order of their ids, then
    /// [`canonical_rest_more`]. Nothing is written of a ledger that has none.
    pub fn canonical_more(&self, mut write: impl FnMut(&[u8])) {
        self.sorted_rows().into_iter().for_each(|row| canonical_row_more(row, &mut write));
        canonical_rest_more(&self.desk, &self.totals, &mut write);
    }

    fn sorted_rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.values().collect();
        rows.sort_unstable_by_key(|row| row.id);
        rows
    }
}

/// Checks that a transfer goes on as it was sent, step by step and with nothing in between.
fn check_transfer(open: Option<&OpenTransfer>, body: &Body) -> Result<(), Inconsistency> {
    let step = |event: &&Event| {
        matches!(
            event,
            Event::TransferCredited(_)
                | Event::TransferDeclined(_)
                | Event::TransferSettled(_)
                | Event::TransferReturned(_)
        )
    };
    let mut entries = body.events.iter().filter_map(|event| match event {
        Event::WalletEntry(entry) => Some(entry),
        _ => None,
    });
    let moved = entries.next().map(|entry| (entry.wallet, entry.unit, entry.direction, entry.amount));
    let in_transit = |(amount, wallet, unit), direction| moved == Some((wallet, unit, direction, amount));
    let is_right = match (open, body.events.iter().find(step)) {
        (None, None) => match OpenTransfer::sent_by(body, Seq::ZERO) {
            Some(OpenTransfer { sent, .. }) => in_transit((sent.amount, sent.wallet, sent.unit), Direction::Out),
            None => return Ok(()),
        },
        (Some(open), Some(step)) => {
            let OpenTransfer { seq, sent, .. } = open;
            let is_next = match (open.answer, step) {
                (None, Event::TransferCredited(own)) => {
                    own.transfer == *seq && in_transit((sent.amount, sent.to_wallet, sent.unit), Direction::In)
                }
                (None, Event::TransferDeclined(own)) => own.transfer == *seq && moved.is_none(),
                (Some(Ok(())), Event::TransferSettled(own)) => own.transfer == *seq && moved.is_none(),
                (Some(Err(_)), Event::TransferReturned(own)) => {
                    own.transfer == *seq && in_transit((sent.amount, sent.wallet, sent.unit), Direction::In)
                }
                _ => false,
            };
            is_next && body.customer == Some(open.next_customer()) && body.tenant == open.tenant
        }
        _ => false,
    };
    if is_right && entries.next().is_none() { Ok(()) } else { Err(Inconsistency::WrongTransfer) }
}

/// Returns true where a record takes so much out of a wallet.
fn takes(body: &Body, wallet: WalletId, unit: Unit, amount: Amount) -> bool {
    body.events.iter().any(|event| match event {
        Event::WalletEntry(entry) => {
            (entry.direction, entry.wallet, entry.unit, entry.amount) == (Direction::Out, wallet, unit, amount)
        }
        _ => false,
    })
}

/// Checks that holds are placed in turn, within what is available, and that those are closed that are open, and paid that
/// are settled.
fn check_holds(row: Option<&Row>, body: &Body) -> Result<(), Inconsistency> {
    let mut open: Vec<Hold> = row.map_or(Vec::new(), |row| row.holds.to_vec());
    let mut placed = row.map_or(0, |row| row.holds_placed);
    for event in &body.events {
        match event {
            Event::HoldPlaced(hold) => {
                placed += 1;
                let held = open.iter().filter(|own| own.wallet == hold.wallet);
                let held = held.map(|own| i128::from(own.amount.minor_units())).sum::<i128>();
                let balance = row.map_or(Balance::ZERO, |row| row.balance(hold.wallet));
                let is_covered = held + i128::from(hold.amount.minor_units()) <= i128::from(balance.minor_units());
                if hold.id != HoldId(placed) || hold.amount.is_zero() || !is_covered {
                    return Err(Inconsistency::WrongHold);
                }
                open.push(*hold);
            }
            Event::HoldClosed(HoldClosed { hold, end }) => {
                let at = open.iter().position(|own| own == hold).ok_or(Inconsistency::WrongHold)?;
                if let HoldEnd::Settled { amount } = end
                    && (hold.amount < *amount || !takes(body, hold.wallet, hold.unit, *amount))
                {
                    return Err(Inconsistency::WrongHold);
                }
                open.remove(at);
            }
            _ => (),
        }
    }
    Ok(())
}

fn check_balance(before: Balance, direction: Direction, moved: Amount, said: Balance) -> Result<(), Inconsistency> {
    let after = match direction {
        Direction::In => before.plus(moved),
        Direction::Out => before.minus(moved),
    };
    if moved.is_zero() || after != Some(said) { Err(Inconsistency::WrongBalance) } else { Ok(()) }
}

/// Writes the canonical form of everything but the rows: the units used of each promo, and each tenant's sums. Each list
/// says its length first.
pub fn canonical_rest(desk: &Desk, totals: &Totals, write: &mut impl FnMut(&[u8])) {
    write(&(desk.promos_used().count() as u64).to_be_bytes());
    for (tenant, promo, used) in desk.promos_used() {
        write(&tenant.0.to_be_bytes());
        write(&promo.0.to_be_bytes());
        write(&used.to_be_bytes());
    }
    write(&(totals.tenants().count() as u64).to_be_bytes());
    for (tenant, totals) in totals.tenants() {
        write(&tenant.0.to_be_bytes());
        canonical_totals(totals, write);
    }
}

/// Writes the invoices, if there are any. Positions are left out.
fn canonical_invoices(desk: &Desk, write: &mut impl FnMut(&[u8])) {
    for (tenant, number, invoice) in desk.invoices() {
        let Invoice { partner, unit, amount, expires_at, opened: _, state } = invoice;
        write(b"invoice");
        write(&tenant.0.to_be_bytes());
        write(&(number.len() as u64).to_be_bytes());
        write(number.as_bytes());
        write(&partner.0.to_be_bytes());
        canonical_unit(*unit, write);
        write(&amount.minor_units().to_be_bytes());
        write(&expires_at.0.to_be_bytes());
        write(&[match state {
            InvoiceState::Open => 0,
            InvoiceState::Paid(_) => 1,
            InvoiceState::Cancelled(_) => 2,
            InvoiceState::Reversed(_) => 3,
        }]);
    }
}

/// Writes how many checks are archived, and how many reviews of whom are open, if any are. Positions are left out.
fn canonical_reviews(desk: &Desk, write: &mut impl FnMut(&[u8])) {
    for rules in desk.catalogues() {
        let archived = desk.archived(rules.tenant, Seq::ZERO, desk.last()).count() as u64;
        if archived != 0 {
            write(b"archived");
            write(&rules.tenant.0.to_be_bytes());
            write(&archived.to_be_bytes());
        }
        let mut whose: Vec<CustomerId> = desk.reviews(rules.tenant, Seq::ZERO).map(|(_, customer)| customer).collect();
        whose.sort_unstable();
        for customer in whose {
            write(b"review");
            write(&rules.tenant.0.to_be_bytes());
            write(&customer.0.to_be_bytes());
        }
    }
}

/// Writes what rules of partners and devices ask for, by whom. Positions and times are left out.
fn canonical_counted(desk: &Desk, write: &mut impl FnMut(&[u8])) {
    for rules in desk.catalogues() {
        let mut all: Vec<(CountedBy, RiskKind, Amount)> =
            desk.counted_operations(rules.tenant).map(|(by, own)| (by, own.kind, own.amount)).collect();
        // In order of the records within each.
        all.sort_by_key(|(by, ..)| *by);
        for (by, kind, amount) in all {
            write(b"counted");
            write(&rules.tenant.0.to_be_bytes());
            match by {
                CountedBy::Partner(partner) => write(&u128::from(partner.0).to_be_bytes()),
                CountedBy::Device(device) => write(&device.0.to_be_bytes()),
            }
            write(&[risk_kind(kind)]);
            write(&amount.minor_units().to_be_bytes());
        }
    }
}

/// Writes the transfer that is on its way, if there is one.
fn canonical_transfer(desk: &Desk, write: &mut impl FnMut(&[u8])) {
    let Some(OpenTransfer { tenant, from, sent, answer, seq: _, received_at: _, released_by: _ }) =
        desk.open_transfer()
    else {
        return;
    };
    write(b"transfer");
    write(&tenant.0.to_be_bytes());
    for customer in [from, &sent.to] {
        write(&customer.0.to_be_bytes());
    }
    for wallet in [sent.wallet, sent.to_wallet] {
        write(&wallet.0.to_be_bytes());
    }
    canonical_unit(sent.unit, write);
    write(&sent.amount.minor_units().to_be_bytes());
    write(&[match answer {
        None => 0,
        Some(Ok(())) => 1,
        Some(Err(_)) => 2,
    }]);
}

fn canonical_totals(totals: &TenantTotals, write: &mut impl FnMut(&[u8])) {
    write(&totals.accepted.to_be_bytes());
    write(&totals.customers.to_be_bytes());
    for sum in [totals.amount, totals.point_transaction, totals.point_loyalty] {
        write(&sum.to_be_bytes());
    }
    write(&(totals.promos.len() as u64).to_be_bytes());
    for (promo, sums) in &totals.promos {
        write(&promo.0.to_be_bytes());
        write(&sums.granted.to_be_bytes());
        write(&sums.points.to_be_bytes());
        write(&sums.declined_exhausted.to_be_bytes());
        write(&sums.declined_other.to_be_bytes());
    }
    write(&(totals.remarks.len() as u64).to_be_bytes());
    for ((program, remark), count) in &totals.remarks {
        write(&program.0.to_be_bytes());
        write(&[match remark {
            Remark::None => 0,
            Remark::FirstTransaction => 1,
            Remark::Upgrade => 2,
            Remark::Downgrade => 3,
            Remark::Reset => 4,
            Remark::Maximum => 5,
            Remark::Restart => 6,
        }]);
        write(&count.to_be_bytes());
    }
    write(&(totals.members.len() as u64).to_be_bytes());
    for ((program, level), count) in &totals.members {
        write(&program.0.to_be_bytes());
        write(&level.0.to_be_bytes());
        write(&count.to_be_bytes());
    }
    write(&(totals.wallets.len() as u64).to_be_bytes());
    for (unit, sum) in &totals.wallets {
        canonical_unit(*unit, write);
        write(&sum.to_be_bytes());
    }
    write(&(totals.house.len() as u64).to_be_bytes());
    for ((unit, account), turnover) in &totals.house {
        canonical_unit(*unit, write);
        match account {
            HouseAccount::PromoExpense(partner) => {
                write(&[0]);
                write(&partner.0.to_be_bytes());
            }
            HouseAccount::LoyaltyExpense => write(&[1]),
            HouseAccount::RewardExpense => write(&[2]),
            HouseAccount::PointsIssued => write(&[3]),
            HouseAccount::CashClearing => write(&[4]),
            HouseAccount::Adjustments => write(&[5]),
            HouseAccount::PointsExpired => write(&[6]),
            HouseAccount::PointsRedeemed => write(&[7]),
            HouseAccount::RedemptionExpense => write(&[8]),
            HouseAccount::RefundShortfall => write(&[9]),
            HouseAccount::Settlement(partner) => {
                write(&[10]);
                write(&partner.0.to_be_bytes());
            }
            HouseAccount::InTransit => write(&[11]),
        }
        write(&turnover.net().to_be_bytes());
    }
}

/// Writes what rows, beyond [`canonical_row`], hold of later rules; nothing for a row without any. A ledger that has none
/// keeps the digest that it had before there were such rules.
pub fn canonical_row_more(row: &Row, write: &mut impl FnMut(&[u8])) {
    canonical_refunds(row, write);
    for wallet in row.wallets.iter().filter(|wallet| wallet.status != WalletStatus::Active) {
        write(b"wallet");
        write(&row.id.0.to_be_bytes());
        write(&wallet.id.0.to_be_bytes());
        write(&[match wallet.status {
            WalletStatus::Active => 0,
            WalletStatus::Frozen => 1,
            WalletStatus::Closed => 2,
        }]);
    }
    canonical_holds(row, write);
    if !row.reversed.is_empty() {
        // Of which operations is told by positions, which are left out.
        write(b"reversed");
        write(&row.id.0.to_be_bytes());
        write(&(row.reversed.len() as u64).to_be_bytes());
    }
    canonical_risk(row, write);
    if row.is_erased {
        write(b"erased");
        write(&row.id.0.to_be_bytes());
    }
    if row.spends.is_empty() && row.points.is_empty() && row.campaigns.is_empty() {
        return;
    }
    write(b"row");
    write(&row.id.0.to_be_bytes());
    write(&(row.spends.len() as u64).to_be_bytes());
    for standing in &row.spends {
        write(&standing.program.0.to_be_bytes());
        write(&standing.level.0.to_be_bytes());
        write(&standing.spent.minor_units().to_be_bytes());
    }
    write(&(row.points.len() as u64).to_be_bytes());
    for account in &row.points {
        write(&account.kind.0.to_be_bytes());
        write(&(account.lots.len() as u64).to_be_bytes());
        for lot in &account.lots {
            write(&lot.source.0.to_be_bytes());
            write(&lot.points.minor_units().to_be_bytes());
        }
    }
    write(&(row.campaigns.len() as u64).to_be_bytes());
    for standing in &row.campaigns {
        write(&standing.campaign.0.to_be_bytes());
        write(&standing.completions.to_be_bytes());
        write(&(standing.progress.len() as u64).to_be_bytes());
        for progress in &standing.progress {
            write(&progress.fulfillment.0.to_be_bytes());
            write(&progress.so_far.to_be_bytes());
            write(&[u8::from(progress.is_met)]);
        }
    }
    for account in &row.points {
        // Stands for itself, so that rows without such lots keep the form that they had before there were any.
        let expiring = account.lots.iter().take_while(|lot| lot.expires != Expiry::NEVER);
        let days: Vec<u32> = expiring.filter_map(|lot| lot.expires.day()).collect();
        if !days.is_empty() {
            write(b"exp");
            write(&account.kind.0.to_be_bytes());
            write(&(days.len() as u64).to_be_bytes());
            days.iter().for_each(|day| write(&day.to_be_bytes()));
        }
        // So do those that are pending, or once were.
        if account.lots.iter().any(|lot| lot.matures != Maturity::AT_ONCE) {
            write(b"pen");
            write(&account.kind.0.to_be_bytes());
            account.lots.iter().for_each(|lot| write(&lot.matures.day().to_be_bytes()));
        }
    }
}

/// Writes what is remembered of a row for risk rules.
fn canonical_risk(row: &Row, write: &mut impl FnMut(&[u8])) {
    if row.risk.is_empty() {
        return;
    }
    write(b"risk");
    write(&row.id.0.to_be_bytes());
    write(&(row.risk.len() as u64).to_be_bytes());
    for Remembered { at, kind, amount } in &row.risk {
        write(&at.0.to_be_bytes());
        write(&[risk_kind(*kind)]);
        write(&amount.minor_units().to_be_bytes());
    }
}

const fn risk_kind(kind: RiskKind) -> u8 {
    match kind {
        RiskKind::Deposit => 0,
        RiskKind::Hold => 1,
        RiskKind::Transfer => 2,
        RiskKind::Payment => 3,
        RiskKind::Purchase => 4,
    }
}

/// Writes a row's holds: those that are open, and how many there ever were.
fn canonical_holds(row: &Row, write: &mut impl FnMut(&[u8])) {
    if row.holds_placed == 0 {
        return;
    }
    write(b"hold");
    write(&row.id.0.to_be_bytes());
    write(&row.holds_placed.to_be_bytes());
    write(&(row.holds.len() as u64).to_be_bytes());
    for Hold { id, wallet, unit, partner, amount, expires_at } in &row.holds {
        write(&id.0.to_be_bytes());
        write(&wallet.0.to_be_bytes());
        canonical_unit(*unit, write);
        write(&partner.0.to_be_bytes());
        write(&amount.minor_units().to_be_bytes());
        write(&expires_at.0.to_be_bytes());
    }
}

/// Writes what was refunded of a row's purchases. In how many refunds, and under which ids, is left out: any split of a
/// refund leads to one state.
fn canonical_refunds(row: &Row, write: &mut impl FnMut(&[u8])) {
    if row.refunds.is_empty() {
        return;
    }
    write(b"refund");
    write(&row.id.0.to_be_bytes());
    write(&(row.refunds.len() as u64).to_be_bytes());
    for RefundStanding { purchase, amount, parts, claw_back, is_unit_returned, refunds: _ } in &row.refunds {
        write(&purchase.0.to_be_bytes());
        write(&amount.minor_units().to_be_bytes());
        write(&(parts.len() as u64).to_be_bytes());
        for part in parts {
            write(&(part.product.len() as u64).to_be_bytes());
            write(part.product.as_bytes());
            write(&part.quantity.to_be_bytes());
            write(&part.amount.minor_units().to_be_bytes());
        }
        let ClawBack { promo, loyalty, cashback, rewards } = claw_back;
        write(&[u8::from(promo.is_some())]);
        if let Some(PromoBack { promo, points }) = promo {
            write(&promo.0.to_be_bytes());
            write(&points.minor_units().to_be_bytes());
        }
        write(&loyalty.minor_units().to_be_bytes());
        write(&(cashback.len() as u64).to_be_bytes());
        for back in cashback {
            write(&back.rule.0.to_be_bytes());
            write(&back.points.minor_units().to_be_bytes());
        }
        write(&(rewards.len() as u64).to_be_bytes());
        for reward in rewards {
            write(&reward.campaign.0.to_be_bytes());
            write(&reward.reward.0.to_be_bytes());
        }
        write(&[u8::from(*is_unit_returned)]);
    }
}

/// Writes what desk and sums, beyond [`canonical_rest`], hold of later rules; nothing for tenants without any.
pub fn canonical_rest_more(desk: &Desk, totals: &Totals, write: &mut impl FnMut(&[u8])) {
    canonical_transfer(desk, write);
    canonical_invoices(desk, write);
    canonical_reviews(desk, write);
    canonical_counted(desk, write);
    for (tenant, totals) in totals.tenants() {
        canonical_refund_totals(tenant, &totals.refunds, write);
        let TenantTotals { cashback, campaigns, rewards, rewarded_customers, points, offers, .. } = totals;
        if cashback.is_empty() && campaigns.is_empty() && rewards.is_empty() && points.is_empty() {
            continue;
        }
        write(b"sum");
        write(&tenant.0.to_be_bytes());
        for grants in [cashback, rewards] {
            write(&(grants.len() as u64).to_be_bytes());
            for (rule, Grants { count, sum }) in grants {
                write(&rule.0.to_be_bytes());
                write(&count.to_be_bytes());
                write(&sum.to_be_bytes());
            }
        }
        write(&(campaigns.len() as u64).to_be_bytes());
        for (campaign, count) in campaigns {
            write(&campaign.0.to_be_bytes());
            write(&count.to_be_bytes());
        }
        write(&rewarded_customers.to_be_bytes());
        write(&(points.len() as u64).to_be_bytes());
        for (unit, sum) in points {
            canonical_unit(*unit, write);
            write(&sum.to_be_bytes());
        }
        if !offers.is_empty() {
            write(b"off");
            write(&(offers.len() as u64).to_be_bytes());
            for (offer, Grants { count, sum }) in offers {
                write(&offer.0.to_be_bytes());
                write(&count.to_be_bytes());
                write(&sum.to_be_bytes());
            }
        }
    }
}

/// Writes the sums of refunds. How many there were is left out, as of the rows.
fn canonical_refund_totals(tenant: TenantId, refunds: &RefundTotals, write: &mut impl FnMut(&[u8])) {
    let RefundTotals { count, amount, point_transaction, point_loyalty, promos, cashback, rewards, shortfall } =
        refunds;
    if *count == 0 {
        return;
    }
    write(b"refunds");
    write(&tenant.0.to_be_bytes());
    for sum in [amount, point_transaction, point_loyalty, shortfall] {
        write(&sum.to_be_bytes());
    }
    write(&(promos.len() as u64).to_be_bytes());
    for (promo, PromoRefunds { points, units_returned }) in promos {
        write(&promo.0.to_be_bytes());
        write(&points.to_be_bytes());
        write(&units_returned.to_be_bytes());
    }
    for sums in [cashback, rewards] {
        write(&(sums.len() as u64).to_be_bytes());
        for (rule, sum) in sums {
            write(&rule.0.to_be_bytes());
            write(&sum.to_be_bytes());
        }
    }
}

/// Writes the canonical form of one row.
pub fn canonical_row(row: &Row, write: &mut impl FnMut(&[u8])) {
    write(&row.id.0.to_be_bytes());
    write(&row.tenant.0.to_be_bytes());
    write(&[match row.alias.kind {
        AliasKind::Email => 0,
        AliasKind::Ref => 1,
    }]);
    write(&row.alias.hash.to_be_bytes());
    write(&row.purchases.to_be_bytes());
    write(&(row.wallets.len() as u64).to_be_bytes());
    for wallet in &row.wallets {
        write(&wallet.id.0.to_be_bytes());
        canonical_unit(wallet.unit, write);
        write(&wallet.balance.minor_units().to_be_bytes());
    }
    write(&(row.standings.len() as u64).to_be_bytes());
    for standing in &row.standings {
        write(&standing.program.0.to_be_bytes());
        write(&standing.level.0.to_be_bytes());
        write(&standing.count.to_be_bytes());
        write(&standing.last_at.0.to_be_bytes());
    }
}

fn canonical_unit(unit: Unit, write: &mut impl FnMut(&[u8])) {
    match unit {
        Unit::Money(code) => {
            write(&[0]);
            write(&code.0);
        }
        Unit::Points(kind) => {
            write(&[1]);
            write(&kind.0.to_be_bytes());
        }
    }
}
