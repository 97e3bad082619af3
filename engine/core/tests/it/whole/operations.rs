//! The model's operations.

use kembali_core::accounts::{Direction, HouseAccount};
use kembali_core::audit::Role;
use kembali_core::catalogue::{FulfillmentKind, OfferGives, TierPolicy};
use kembali_core::operation::Actor;
use kembali_core::refund::NegativeBalance;
use kembali_core::risk::RiskKind;
use kembali_core::wallet::WalletStatus;
use kembali_core::{PartnerId, Unit};

use super::commands::{Ask, Verb};
use super::model::{Account, Code, DAY, Done, Held, Invoice, InvoiceState, LIMIT, Model, SECOND, Said, Status, add};
use super::purchases::Earned;
use super::risk::Looked;

/// What an operation did, if it was not refused.
enum Effect {
    Done,
    Unchanged,
}

impl Model {
    pub(super) fn operate(&mut self, ask: &Ask) -> Said {
        let who = ask.who;
        match &ask.verb {
            Verb::Bill(partner, prefix, amount, seconds) => {
                return self.bill(*partner, *prefix, *amount, *seconds).map_or_else(Said::Refused, done);
            }
            Verb::Unbill(number) => return self.unbill(ask.actor, number).map_or_else(Said::Refused, done),
            Verb::Archive(check) if self.archived.insert(*check) => return Said::Done { records: 1 },
            Verb::Archive(_) => return Said::Refused("risk_check_archived"),
            Verb::Create if self.people.contains_key(&who) => return Said::Unchanged,
            Verb::Create => {
                self.create(who);
                return Said::Done { records: 1 };
            }
            _ if !self.people.contains_key(&who) => return Said::Refused("customer_not_found"),
            Verb::Send(_, target, ..) if !self.people.contains_key(target) => {
                return Said::Refused("transfer_target_not_found");
            }
            _ => (),
        }
        let at = match &ask.verb {
            Verb::Did(_, occurred) => match self.rule_time(*occurred) {
                Ok(at) => at,
                Err(code) => return Said::Refused(code),
            },
            _ => self.now(),
        };
        let review = match ask.verb {
            Verb::Release(seq) | Verb::Reject(seq) => {
                let review = self.reviews[&seq].clone();
                if !review.is_open {
                    return Said::Refused("review_closed");
                }
                Some(review)
            }
            _ => None,
        };
        self.catch_up(who, at);
        self.moved.clear();
        if let Verb::Reject(_) = ask.verb {
            return Said::Done { records: 1 };
        }
        let before = self.clone();
        // What is released is done as it was asked.
        let asked = review.as_ref().map_or(ask, |review| &review.ask);
        let is_probe = ask.dry && !is_operator(ask.actor);
        let looked = if is_probe { Ok(false) } else { self.look_at(asked, review.is_some()) };
        let is_set_aside = match looked {
            Ok(is_set_aside) => is_set_aside,
            Err(code) => return Said::Refused(code),
        };
        match self.act(asked, at) {
            Said::Done { .. } | Said::Declined { .. } if is_set_aside => {
                *self = Model { flagged: self.flagged, ..before };
                Said::SetAside
            }
            said => said,
        }
    }

    /// Does what no risk rule refuses.
    fn act(&mut self, ask: &Ask, at: i64) -> Said {
        let who = ask.who;
        if let Verb::Send(wallet, target, to, amount) = ask.verb {
            return self.send(who, wallet, (target, to), i128::from(amount), at);
        }
        match self.effect(ask, at) {
            Ok(Effect::Done) => Said::Done { records: 1 },
            Ok(Effect::Unchanged) => Said::Unchanged,
            Err(code) => Said::Refused(code),
        }
    }

    /// Looks at an operation by the risk rules. Returns true of what is set aside.
    fn look_at(&mut self, ask: &Ask, is_released: bool) -> Result<bool, Code> {
        let (kind, amount) = match &ask.verb {
            Verb::Deposit(_, amount) => (RiskKind::Deposit, *amount),
            Verb::Hold(_, _, amount, _) => (RiskKind::Hold, *amount),
            Verb::Send(.., amount) => (RiskKind::Transfer, *amount),
            Verb::Pay(.., amount) => (RiskKind::Payment, *amount),
            _ => return Ok(false),
        };
        let amount = i128::from(amount);
        // What is no amount is refused for that, by the operation.
        if check_amount(amount).is_err() {
            return Ok(false);
        }
        let (who, partner, device) = (ask.who, self.payee(ask), ask.device);
        self.look(&Looked { who, kind, amount, partner, device, is_released })
    }

    /// The partner that is to be paid, or else that asks.
    fn payee(&self, ask: &Ask) -> Option<u32> {
        match (&ask.verb, ask.actor) {
            (Verb::Hold(_, partner, ..), _) => Some(*partner),
            (Verb::Pay(_, number, _), _) => {
                self.invoices.iter().find(|own| own.number == *number).map(|own| own.partner)
            }
            (_, Actor::Partner(partner)) => Some(partner.0),
            (_, Actor::Operator | Actor::Person(..) | Actor::Server) => None,
        }
    }

    fn effect(&mut self, ask: &Ask, at: i64) -> Result<Effect, Code> {
        let who = ask.who;
        match &ask.verb {
            Verb::Erase if self.person(who).is_erased => return Ok(Effect::Unchanged),
            Verb::Erase => self.person(who).is_erased = true,
            Verb::Open | Verb::Rename(_) if self.person(who).is_erased => return Err("customer_erased"),
            Verb::Open => {
                let next = self.person(who).wallets.len() as u16;
                self.person(who).wallets.insert(next, Status::Active);
            }
            Verb::Rename(wallet) => {
                if self.status(who, *wallet)? == Status::Closed {
                    return Err("wallet_closed");
                }
            }
            Verb::Status(wallet, to) => return self.set_status(who, *wallet, *to),
            Verb::Deposit(wallet, amount) => {
                self.credit(who, *wallet, HouseAccount::CashClearing, i128::from(*amount))?;
            }
            Verb::Adjust(wallet, Direction::In, amount) => {
                self.credit(who, *wallet, HouseAccount::Adjustments, i128::from(*amount))?;
            }
            Verb::Adjust(wallet, Direction::Out, amount) => {
                let amount = i128::from(*amount);
                check_amount(amount)?;
                self.usable(who, *wallet)?;
                self.check_available(who, *wallet, amount)?;
                self.post(Account::Wallet(who, *wallet), self.house(HouseAccount::Adjustments), amount);
            }
            Verb::Did(tag, occurred) => {
                let mut earned = Earned::default();
                let counts = |kind: &FulfillmentKind| match kind {
                    FulfillmentKind::Tag { tag: own, .. } => (own == tag).then_some(1),
                    FulfillmentKind::Buy { .. } => None,
                };
                let completed = self.campaigns(who, &self.rules(), &mut earned, at, counts)?;
                if !completed.is_empty() {
                    self.note("an activity completes a campaign");
                }
                self.pay(who, earned)?;
                self.occurred(*occurred, at);
            }
            Verb::Redeem(offer, quantity) => self.redeem(who, offer, *quantity, at)?,
            Verb::Promote(program) => self.move_tier(who, program, 1)?,
            Verb::Demote(program) => self.move_tier(who, program, -1)?,
            Verb::Hold(wallet, partner, amount, seconds) => {
                let (amount, seconds) = (i128::from(*amount), seconds.unwrap_or(7 * 86_400));
                check_amount(amount)?;
                if !(1..=30 * 86_400).contains(&seconds) {
                    return Err("life_out_of_range");
                }
                self.usable(who, *wallet)?;
                self.check_available(who, *wallet, amount)?;
                let held = Held { wallet: *wallet, partner: *partner, amount, ends: at + seconds * SECOND };
                let person = self.person(who);
                person.placed += 1;
                person.holds.insert(person.placed, held);
            }
            Verb::Settle(id, asked) => {
                asked.map_or(Ok(()), |asked| check_amount(i128::from(asked)))?;
                let held = self.open_hold(who, ask.actor, *id)?;
                let amount = asked.map_or(held.amount, i128::from);
                if held.amount < amount {
                    return Err("hold_exceeded");
                }
                self.usable(who, held.wallet)?;
                self.note(if amount < held.amount { "a hold is settled in part" } else { "a hold is settled whole" });
                self.person(who).holds.remove(id);
                let settlement = self.house(HouseAccount::Settlement(PartnerId(held.partner)));
                self.post(Account::Wallet(who, held.wallet), settlement, amount);
                if self.balance(who, held.wallet) < 0 {
                    self.note("a hold is settled below zero");
                }
            }
            Verb::Void(id) => {
                self.open_hold(who, ask.actor, *id)?;
                self.person(who).holds.remove(id);
            }
            Verb::Reverse(seq) => self.reverse(who, *seq)?,
            Verb::Pay(wallet, number, amount) => self.pay_invoice(who, *wallet, number, i128::from(*amount), at)?,
            Verb::Create
            | Verb::Send(..)
            | Verb::Bill(..)
            | Verb::Unbill(_)
            | Verb::Archive(_)
            | Verb::Release(_)
            | Verb::Reject(_) => {
                unreachable!("decided before")
            }
        }
        Ok(Effect::Done)
    }

    fn status(&mut self, who: u8, wallet: u16) -> Result<Status, Code> {
        self.person(who).wallets.get(&wallet).copied().ok_or("wallet_not_found")
    }

    fn usable(&mut self, who: u8, wallet: u16) -> Result<(), Code> {
        match self.status(who, wallet)? {
            Status::Active => Ok(()),
            Status::Frozen => Err("wallet_frozen"),
            Status::Closed => Err("wallet_closed"),
        }
    }

    pub(super) fn held(&self, who: u8, wallet: u16) -> i128 {
        let holds = self.people[&who].holds.values();
        holds.filter(|held| held.wallet == wallet).map(|held| held.amount).sum()
    }

    fn check_available(&self, who: u8, wallet: u16, amount: i128) -> Result<(), Code> {
        match self.balance(who, wallet) {
            balance if balance < amount => Err("balance_too_small"),
            balance if balance - self.held(who, wallet) < amount => Err("balance_held"),
            _ => Ok(()),
        }
    }

    fn credit(&mut self, who: u8, wallet: u16, account: HouseAccount, amount: i128) -> Result<(), Code> {
        check_amount(amount)?;
        self.usable(who, wallet)?;
        if LIMIT < self.balance(who, wallet) + amount {
            return Err("balance_too_large");
        }
        self.post(self.house(account), Account::Wallet(who, wallet), amount);
        Ok(())
    }

    fn set_status(&mut self, who: u8, wallet: u16, to: WalletStatus) -> Result<Effect, Code> {
        let to = match to {
            WalletStatus::Active => Status::Active,
            WalletStatus::Frozen => Status::Frozen,
            WalletStatus::Closed => Status::Closed,
        };
        match self.status(who, wallet)? {
            own if own == to => return Ok(Effect::Unchanged),
            Status::Closed => return Err("wallet_closed"),
            own if to == Status::Closed => {
                if wallet == 0 {
                    return Err("wallet_is_default");
                }
                if own == Status::Frozen {
                    return Err("wallet_frozen");
                }
                if self.balance(who, wallet) != 0 {
                    return Err("wallet_not_empty");
                }
                if self.held(who, wallet) != 0 {
                    return Err("wallet_held");
                }
            }
            _ => (),
        }
        self.person(who).wallets.insert(wallet, to);
        Ok(Effect::Done)
    }

    fn redeem(&mut self, who: u8, name: &str, quantity: i64, at: i64) -> Result<(), Code> {
        let (rules, units) = (self.rules(), i128::from(quantity));
        if !(1..=1_000_000).contains(&quantity) {
            return Err("quantity_out_of_range");
        }
        let offer = rules.offers.iter().find(|offer| offer.name == name).ok_or("offer_not_found")?;
        let is_its_time =
            offer.starts_at.is_none_or(|starts| starts.0 <= at) && offer.ends_at.is_none_or(|ends| at <= ends.0);
        if !offer.is_active || !is_its_time {
            return Err("offer_closed");
        }
        let redeemed = self.redeemed.entry(offer.id).or_default();
        *redeemed += quantity as u64;
        if offer.stock.is_some_and(|stock| stock < *redeemed) {
            return Err("stock_exhausted");
        }
        let mut price = units * i128::from(offer.points.minor_units());
        add(&mut self.sums.offers, offer.id, quantity as u64, price);
        let is_ripe = |lot: &Account| matches!(lot, Account::Lot(.., from_day) if from_day * DAY <= at);
        let lots = self.lots(who, Some(offer.kind)).into_iter();
        let (ripe, pending): (Vec<_>, Vec<_>) = lots.partition(|(lot, _)| is_ripe(lot));
        if ripe.iter().map(|(_, points)| points).sum::<i128>() < price {
            return Err("points_too_few");
        }
        if !pending.is_empty() {
            self.note("pending points are not spent");
        }
        for (lot, points) in ripe {
            let part = price.min(points);
            price -= part;
            self.post(lot, Account::House(Unit::Points(offer.kind), HouseAccount::PointsRedeemed), part);
        }
        match offer.gives {
            OfferGives::Item => self.note("points for a thing"),
            OfferGives::WalletCredit { amount } => {
                self.note("points for money");
                let amount = units * i128::from(amount.minor_units());
                self.usable(who, 0)?;
                if LIMIT < self.balance(who, 0) + amount {
                    return Err("balance_too_large");
                }
                self.post(self.house(HouseAccount::RedemptionExpense), Account::Wallet(who, 0), amount);
            }
        }
        Ok(())
    }

    fn move_tier(&mut self, who: u8, name: &str, step: isize) -> Result<(), Code> {
        let rules = self.rules();
        let program = rules.programs.iter().find(|own| own.name == name).ok_or("tier_program_not_found")?;
        let person = self.person(who);
        match &program.policy {
            TierPolicy::Journey(journey) => {
                let (level, count, _) = person.journeys.get_mut(&program.id).ok_or("tier_none")?;
                let own = journey.levels.iter().find(|own| own.id == *level).expect("a level of the rules");
                let (to, end) = if step > 0 { (own.next, "tier_highest") } else { (own.previous, "tier_lowest") };
                if to == own.id {
                    return Err(end);
                }
                (*level, *count) = (to, 0);
            }
            TierPolicy::Threshold(threshold) => {
                let (level, _) = person.spends.get_mut(&program.id).ok_or("tier_none")?;
                let place = threshold.levels.iter().position(|own| own.id == *level).expect("a level of the rules");
                let to = place.checked_add_signed(step).ok_or("tier_lowest")?;
                *level = threshold.levels.get(to).ok_or("tier_highest")?.id;
            }
        }
        Ok(())
    }

    /// A hold that is open and may be closed by whoever asks: its partner, or an operator.
    fn open_hold(&mut self, who: u8, actor: Actor, id: u32) -> Result<Held, Code> {
        let person = self.person(who);
        let was_placed = (1..=person.placed).contains(&id);
        let is_its = |held: &&Held| is_operator(actor) || actor == Actor::Partner(PartnerId(held.partner));
        // A partner is told the same of another one's as of its own that is closed.
        let held = person.holds.get(&id).filter(is_its);
        held.copied().ok_or(if was_placed { "hold_closed" } else { "hold_not_found" })
    }

    fn bill(&mut self, partner: u32, prefix: Option<&str>, amount: i64, seconds: Option<i64>) -> Result<(), Code> {
        let (amount, seconds) = (i128::from(amount), seconds.unwrap_or(86_400));
        check_amount(amount)?;
        if !(1..=90 * 86_400).contains(&seconds) {
            return Err("life_out_of_range");
        }
        let number = format!("{}{}", prefix.unwrap_or("VA-"), 1_000_000_000 + self.invoices.len());
        let ends = self.now() + seconds * SECOND;
        self.invoices.push(Invoice { number, partner, amount, ends, state: InvoiceState::Open });
        Ok(())
    }

    fn unbill(&mut self, actor: Actor, number: &str) -> Result<(), Code> {
        let is_its = |own: &&mut Invoice| {
            own.number == number && (is_operator(actor) || actor == Actor::Partner(PartnerId(own.partner)))
        };
        let own = self.invoices.iter_mut().find(is_its).ok_or("invoice_not_found")?;
        check_open(own)?;
        own.state = InvoiceState::Cancelled;
        Ok(())
    }

    fn pay_invoice(&mut self, who: u8, wallet: u16, number: &str, asked: i128, at: i64) -> Result<(), Code> {
        check_amount(asked)?;
        let index = self.invoices.iter().position(|own| own.number == number).ok_or("invoice_not_found")?;
        let Invoice { partner, amount, ends, .. } = self.invoices[index];
        check_open(&self.invoices[index])?;
        if ends <= at {
            return Err("invoice_expired");
        }
        if asked != amount {
            return Err("invoice_amount_differs");
        }
        self.usable(who, wallet)?;
        self.check_available(who, wallet, amount)?;
        self.invoices[index].state = InvoiceState::Paid;
        let settlement = self.house(HouseAccount::Settlement(PartnerId(partner)));
        self.post(Account::Wallet(who, wallet), settlement, amount);
        Ok(())
    }

    /// Posts the other side of each movement: money first, then points.
    fn reverse(&mut self, who: u8, seq: u64) -> Result<(), Code> {
        let own = self.done[&seq].clone();
        if !own.can_be_reversed {
            return Err("operation_not_reversible");
        }
        if own.is_reversed {
            return Err("operation_reversed");
        }
        let is_capped = self.rules().refunds.negative_balance == NegativeBalance::CapAtZero;
        let is_of_points = |(debit, ..): &(Account, Account, i128)| matches!(debit, Account::Lot(..));
        let (points, money): (Vec<_>, Vec<_>) = own.moved.iter().copied().partition(is_of_points);
        for (debit, credit, amount) in money.into_iter().chain(points) {
            if let (Account::Wallet(_, wallet), _) | (_, Account::Wallet(_, wallet)) = (debit, credit)
                && self.status(who, wallet)? == Status::Closed
            {
                return Err("wallet_closed");
            }
            match (debit, credit) {
                (Account::Wallet(_, wallet), _) if LIMIT < self.balance(who, wallet) + amount => {
                    return Err("balance_too_large");
                }
                (_, Account::Wallet(_, wallet)) if is_capped => self.check_available(who, wallet, amount)?,
                (Account::Lot(_, kind, ..), _) if LIMIT < self.points(who, kind) + amount => {
                    return Err("points_too_large");
                }
                _ => (),
            }
            self.post(credit, debit, amount);
            if let Account::Lot(_, kind, day, source, from_day) = debit {
                self.make_one(who, (kind, day, source), from_day);
                self.note("points come back by a reversal");
            }
        }
        if let Some(number) = &own.invoice {
            let paid = self.invoices.iter_mut().find(|invoice| invoice.number == *number);
            paid.expect("the invoice that was paid is there").state = InvoiceState::Reversed;
            self.note("a payment is reversed");
        }
        self.done.get_mut(&seq).expect("it was done").is_reversed = true;
        Ok(())
    }

    /// Takes an operation that paid into another wallet than 0, and says what leads to a reversal that finds it closed.
    pub(super) fn step_to_closed_reversal(&self) -> Option<(u8, Verb)> {
        let step = |(seq, own): (&u64, &Done)| match own.moved.first() {
            Some((_, Account::Wallet(who, wallet), _)) if *wallet != 0 => {
                let verb = match self.balance(*who, *wallet) {
                    _ if self.people[who].wallets[wallet] == Status::Closed => Verb::Reverse(*seq),
                    0 => Verb::Status(*wallet, WalletStatus::Closed),
                    balance => Verb::Adjust(*wallet, Direction::Out, balance as i64),
                };
                Some((own.who, verb))
            }
            _ => None,
        };
        self.done.iter().filter(|(_, own)| own.can_be_reversed && !own.is_reversed).find_map(step)
    }

    /// Keeps what was done, for whoever reverses it.
    pub(super) fn remember(&mut self, ask: &Ask, said: &Said) {
        let Said::Done { records } = said else { return };
        if matches!(ask.verb, Verb::Bill(..) | Verb::Unbill(_) | Verb::Archive(_)) {
            return;
        }
        let can_be_reversed =
            matches!(ask.verb, Verb::Deposit(..) | Verb::Pay(..) | Verb::Settle(..) | Verb::Redeem(..));
        let invoice = match &ask.verb {
            Verb::Pay(_, number, _) => Some(number.clone()),
            _ => None,
        };
        let moved = std::mem::take(&mut self.moved);
        let done = Done { who: ask.who, can_be_reversed, moved, invoice, is_reversed: false };
        // A transfer was asked for in the first of its records.
        self.done.insert(self.seq + 1 - records, done);
    }

    /// Three records: sent, then credited and settled, or declined and returned.
    fn send(&mut self, who: u8, wallet: u16, (target, to): (u8, u16), amount: i128, at: i64) -> Said {
        let sent = check_amount(amount).and_then(|()| self.usable(who, wallet)).and_then(|()| {
            if (who, wallet) == (target, to) {
                return Err("transfer_to_itself");
            }
            self.check_available(who, wallet, amount)
        });
        if let Err(code) = sent {
            return Said::Refused(code);
        }
        let transit = self.house(HouseAccount::InTransit);
        self.post(Account::Wallet(who, wallet), transit, amount);
        self.catch_up(target, at);
        let taken = match self.status(target, to) {
            Err(_) => Err("target_wallet_not_found"),
            Ok(Status::Frozen) => Err("target_wallet_frozen"),
            Ok(Status::Closed) => Err("target_wallet_closed"),
            Ok(Status::Active) if LIMIT < self.balance(target, to) + amount => Err("target_balance_too_large"),
            Ok(Status::Active) => Ok(()),
        };
        match taken {
            Ok(()) => {
                self.post(transit, Account::Wallet(target, to), amount);
                Said::Done { records: 3 }
            }
            Err(code) => {
                self.post(transit, Account::Wallet(who, wallet), amount);
                self.note("a transfer comes back");
                Said::Declined { code, records: 3 }
            }
        }
    }
}

fn done((): ()) -> Said {
    Said::Done { records: 1 }
}

fn check_open(invoice: &Invoice) -> Result<(), Code> {
    match invoice.state {
        InvoiceState::Open => Ok(()),
        InvoiceState::Paid => Err("invoice_paid"),
        InvoiceState::Cancelled => Err("invoice_cancelled"),
        InvoiceState::Reversed => Err("invoice_reversed"),
    }
}

fn check_amount(amount: i128) -> Result<(), Code> {
    match amount {
        ..1 => Err("amount_not_positive"),
        _ if LIMIT < amount => Err("amount_too_large"),
        _ => Ok(()),
    }
}

/// Whoever may do what an operator may: not a partner, and not a customer.
fn is_operator(actor: Actor) -> bool {
    match actor {
        Actor::Partner(_) => false,
        Actor::Person(_, role) => role != Role::Customer,
        Actor::Operator | Actor::Server => true,
    }
}
