//! R01 and R02 for operations: random histories against a ledger of plain integers that shares no code with the rules.

use std::collections::BTreeMap;

use kembali_core::accounts::HouseAccount;
use kembali_core::invoice::InvoiceState;
use kembali_core::ledger::Ledger;
use kembali_core::liability::roll_forward;
use kembali_core::operation::OperationCommand;
use kembali_core::totals::TenantTotals;
use kembali_core::{AMOUNT_MAX, DAY_US, TenantId, WalletId};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::operations::reviews;
use crate::operator::Operated;
use crate::support::{World, depth, hash, jakarta};

/// What is asked, as the words of a script.
#[derive(Clone, Debug)]
enum Op {
    Create(u8),
    Open(u8),
    Rename(u8, u16),
    Status(u8, u16, &'static str),
    Money(u8, u16, &'static str, i64),
    Did(u8, &'static str),
    Redeem(u8, &'static str, i64),
    /// Who, which wallet, how much, for how many seconds.
    Hold(u8, u16, i64, i64),
    Settle(u8, u32, Option<i64>),
    Void(u8, u32),
    /// Who, out of which wallet, to whom, which wallet, how much.
    Send(u8, u16, u8, u16, i64),
    /// How much, for how many seconds.
    Bill(i64, i64),
    /// Which invoice, counted from 0.
    Unbill(u64),
    /// Who, out of which wallet, which invoice; its amount, or another.
    Pay(u8, u16, u64, Option<i64>),
    Buy(u8, bool),
    Wait(i64),
    /// The same as before, under the same key.
    Again(Index),
    /// Something else under a key that was used before.
    Reuse(Index, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Active,
    Frozen,
    Closed,
}

#[derive(Clone, Debug, Default)]
struct Person {
    wallets: BTreeMap<u16, (i64, Option<Status>)>,
    reviews: u64,
    done: u32,
    points: i64,
    placed: u32,
    holds: BTreeMap<u32, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    wallet: u16,
    amount: i64,
    ends: i64,
}

/// What a key was used for: what was asked, at which record, and when that was.
#[derive(Clone, Debug)]
struct Used {
    asked: String,
    seq: u64,
    at: i64,
}

/// The second ledger.
#[derive(Clone, Debug, Default)]
struct Model {
    people: BTreeMap<u8, Person>,
    keys: BTreeMap<String, Used>,
    cash: i128,
    adjusted: i128,
    rewarded: i128,
    coffees: i64,
    spent: i128,
    paid_for_points: i128,
    paid_to_partner: i128,
    /// What each invoice is for, when it is over, and what became of it.
    invoices: Vec<(i64, i64, Option<&'static str>)>,
    seq: u64,
    now: i64,
}

impl Person {
    fn wallet(&mut self, id: u16) -> Option<(i64, Status)> {
        match self.wallets.get(&id) {
            Some((balance, status)) => Some((*balance, status.unwrap_or(Status::Active))),
            None if id == 0 => Some((0, Status::Active)),
            None => None,
        }
    }

    fn held(&self, id: u16) -> i64 {
        self.holds.values().filter(|held| held.wallet == id).map(|held| held.amount).sum()
    }

    fn check_available(&self, id: u16, balance: i64, amount: i64) -> Result<(), &'static str> {
        match balance {
            _ if balance < amount => Err("balance_too_small"),
            _ if balance - self.held(id) < amount => Err("balance_held"),
            _ => Ok(()),
        }
    }

    fn set(&mut self, id: u16, balance: i64, status: Status) {
        self.wallets.insert(id, (balance, Some(status)));
    }
}

const MONTH: i64 = 30 * DAY_US;

impl Model {
    /// Says what becomes of an operation under a key.
    fn ask(&mut self, words: &[&str], key: &str) -> String {
        let asked = words.join(" ");
        if let Some(used) = self.keys.get(key).filter(|used| self.now < used.at + MONTH) {
            return format!("{} {}", if used.asked == asked { "known" } else { "reused" }, used.seq);
        }
        let who = words[0].as_bytes()[0] - b'A';
        let is_there = self.people.contains_key(&who);
        if words[1] == "create" && !is_there {
            self.people.insert(who, Person::default());
            return self.written(key, asked, "new".into());
        }
        if words[1] == "create" {
            return "unchanged".into();
        }
        if !is_there {
            return self.written(key, asked, "refused customer_not_found".into());
        }
        let due = self.expire(who);
        if words[1] == "send" {
            return self.send(who, &due, words, key, asked);
        }
        let said = match self.effect(who, &words[1..]) {
            Ok(said) if said != "unchanged" => after_expired(&due, said),
            other => {
                // It is not written down before something else is.
                self.people.get_mut(&who).unwrap().holds.extend(due);
                match other {
                    Ok(unchanged) => return unchanged,
                    Err(code) => format!("refused {code}"),
                }
            }
        };
        self.written(key, asked, said)
    }

    /// Moves money between two wallets: three records, whether it is taken or comes back; one if it is refused at once.
    fn send(&mut self, who: u8, due: &BTreeMap<u32, Held>, words: &[&str], key: &str, asked: String) -> String {
        let (id, target): (u16, u8) = (words[2].parse().unwrap(), words[3].as_bytes()[0] - b'A');
        let (to, amount): (u16, i64) = (words[4].parse().unwrap(), words[5].parse().unwrap());
        if !self.people.contains_key(&target) {
            self.people.get_mut(&who).unwrap().holds.extend(due);
            return self.written(key, asked, "refused transfer_target_not_found".into());
        }
        let sent = self.check_send(who, id, (target, to), amount);
        let (balance, status) = match sent {
            Ok(own) => own,
            Err(code) => {
                self.people.get_mut(&who).unwrap().holds.extend(due);
                return self.written(key, asked, format!("refused {code}"));
            }
        };
        self.people.get_mut(&who).unwrap().set(id, balance - amount, status);
        self.expire(target);
        self.seq += 2;
        let taken = match self.people.get_mut(&target).unwrap().wallet(to) {
            None => Err("target_wallet_not_found"),
            Some((_, Status::Frozen)) => Err("target_wallet_frozen"),
            Some((_, Status::Closed)) => Err("target_wallet_closed"),
            Some((held, _)) if AMOUNT_MAX < held + amount => Err("target_balance_too_large"),
            Some((held, status)) => Ok((held + amount, status)),
        };
        match taken {
            Ok((after, status)) => {
                self.people.get_mut(&target).unwrap().set(to, after, status);
                self.written(key, asked, format!("left {}", balance - amount))
            }
            Err(code) => {
                self.people.get_mut(&who).unwrap().set(id, balance, status);
                self.written(key, asked, format!("refused {code}"))
            }
        }
    }

    fn check_send(&mut self, who: u8, id: u16, target: (u8, u16), amount: i64) -> Result<(i64, Status), &'static str> {
        let person = self.people.get_mut(&who).unwrap();
        check_amount(amount)?;
        let (balance, status) = person.wallet(id).ok_or("wallet_not_found")?;
        match status {
            Status::Frozen => return Err("wallet_frozen"),
            Status::Closed => return Err("wallet_closed"),
            Status::Active if (who, id) == target => return Err("transfer_to_itself"),
            Status::Active => person.check_available(id, balance, amount)?,
        }
        Ok((balance, status))
    }

    /// Takes the holds of somebody away whose time is over.
    fn expire(&mut self, who: u8) -> BTreeMap<u32, Held> {
        let (due, open) = std::mem::take(&mut self.people.get_mut(&who).unwrap().holds)
            .into_iter()
            .partition(|(_, held)| held.ends <= self.now);
        self.people.get_mut(&who).unwrap().holds = open;
        due
    }

    fn hold(&mut self, who: u8, words: &[&str]) -> Result<String, &'static str> {
        let now = self.now;
        let person = self.people.get_mut(&who).unwrap();
        let (id, amount): (u16, i64) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let seconds: i64 = words[3].parse().unwrap();
        check_amount(amount)?;
        if !(1..=30 * 86_400).contains(&seconds) {
            return Err("life_out_of_range");
        }
        let (balance, status) = person.wallet(id).ok_or("wallet_not_found")?;
        match status {
            Status::Frozen => return Err("wallet_frozen"),
            Status::Closed => return Err("wallet_closed"),
            Status::Active => person.check_available(id, balance, amount)?,
        }
        person.placed += 1;
        person.holds.insert(person.placed, Held { wallet: id, amount, ends: now + seconds * 1_000_000 });
        Ok(format!("hold {} of {amount}", person.placed))
    }

    /// Opens an invoice, or takes one back.
    fn invoice(&mut self, words: &[&str]) -> String {
        let said = match words[0] {
            "open" => {
                let (amount, seconds): (i64, i64) = (words[1].parse().unwrap(), words[2].parse().unwrap());
                check_amount(amount).and_then(|()| match seconds {
                    1..=7_776_000 => {
                        self.invoices.push((amount, self.now + seconds * 1_000_000, None));
                        Ok(format!("VA-{} for {amount}", 999_999_999 + self.invoices.len()))
                    }
                    _ => Err("life_out_of_range"),
                })
            }
            _ => match self.invoices.get_mut(invoice_of(words[1])) {
                None => Err("invoice_not_found"),
                Some((.., Some(refused))) => Err(*refused),
                Some((.., state)) => {
                    *state = Some("invoice_cancelled");
                    Ok(format!("{} cancelled", words[1]))
                }
            },
        };
        self.seq += 1;
        said.unwrap_or_else(|code| format!("refused {code}"))
    }

    fn pay(&mut self, who: u8, words: &[&str]) -> Result<String, &'static str> {
        let (id, number, asked): (u16, _, i64) = (words[1].parse().unwrap(), words[2], words[3].parse().unwrap());
        check_amount(asked)?;
        let (amount, ends, state) = *self.invoices.get(invoice_of(number)).ok_or("invoice_not_found")?;
        match state {
            Some(refused) => return Err(refused),
            None if ends <= self.now => return Err("invoice_expired"),
            None if asked != amount => return Err("invoice_amount_differs"),
            None => (),
        }
        let person = self.people.get_mut(&who).unwrap();
        let (balance, status) = person.wallet(id).ok_or("wallet_not_found")?;
        match status {
            Status::Frozen => return Err("wallet_frozen"),
            Status::Closed => return Err("wallet_closed"),
            Status::Active => person.check_available(id, balance, amount)?,
        }
        person.set(id, balance - amount, status);
        self.invoices[invoice_of(number)].2 = Some("invoice_paid");
        self.paid_to_partner += i128::from(amount);
        Ok(format!("{number} paid, balance {}", balance - amount))
    }

    fn close_hold(&mut self, who: u8, words: &[&str]) -> Result<String, &'static str> {
        let person = self.people.get_mut(&who).unwrap();
        let id: u32 = words[1].parse().unwrap();
        let asked: Option<i64> = words.get(2).map(|amount| amount.parse().unwrap());
        asked.map_or(Ok(()), check_amount)?;
        let was_placed = (1..=person.placed).contains(&id);
        let closed = if was_placed { "hold_closed" } else { "hold_not_found" };
        let held = *person.holds.get(&id).ok_or(closed)?;
        if words[0] == "void" {
            person.holds.remove(&id);
            return Ok(format!("hold {id} voided"));
        }
        let amount = asked.unwrap_or(held.amount);
        if held.amount < amount {
            return Err("hold_exceeded");
        }
        let (balance, status) = person.wallet(held.wallet).unwrap();
        if status == Status::Frozen {
            return Err("wallet_frozen");
        }
        person.holds.remove(&id);
        person.set(held.wallet, balance - amount, status);
        self.paid_to_partner += i128::from(amount);
        Ok(format!("hold {id} settled {amount}, balance {}", balance - amount))
    }

    fn written(&mut self, key: &str, asked: String, said: String) -> String {
        self.seq += 1;
        self.keys.insert(key.into(), Used { asked, seq: self.seq, at: self.now });
        said
    }

    fn effect(&mut self, who: u8, words: &[&str]) -> Result<String, &'static str> {
        let person = self.people.get_mut(&who).unwrap();
        if words[0] == "open" {
            let next = person.wallets.keys().max().copied().unwrap_or(0) + 1;
            if next == 256 {
                return Err("wallets_too_many");
            }
            person.set(next, 0, Status::Active);
            return Ok(format!("wallet {next}"));
        }
        if words[0] == "did" {
            return if words[1] == "review" { self.review(who) } else { Ok("done".into()) };
        }
        match words[0] {
            "redeem" => return self.redeem(who, words[1], words[2].parse().unwrap()),
            "hold" => return self.hold(who, words),
            "settle" | "void" => return self.close_hold(who, words),
            "pay" => return self.pay(who, words),
            _ => (),
        }
        let id: u16 = words[1].parse().unwrap();
        let amount: Option<i64> = words.get(2).map(|amount| amount.parse().unwrap());
        amount.map_or(Ok(()), check_amount)?;
        let (balance, status) = person.wallet(id).ok_or("wallet_not_found")?;
        match (words[0], status) {
            ("rename", Status::Closed) => Err("wallet_closed"),
            ("rename", _) => Ok("done".into()),
            ("freeze", Status::Frozen) | ("thaw", Status::Active) | ("close", Status::Closed) => Ok("unchanged".into()),
            (_, Status::Closed) => Err("wallet_closed"),
            ("close", _) if id == 0 => Err("wallet_is_default"),
            ("close", Status::Active) if balance != 0 => Err("wallet_not_empty"),
            ("close", Status::Active) if person.held(id) != 0 => Err("wallet_held"),
            ("thaw", _) => {
                person.set(id, balance, Status::Active);
                Ok("active".into())
            }
            (_, Status::Frozen) => Err("wallet_frozen"),
            ("freeze", _) => {
                person.set(id, balance, Status::Frozen);
                Ok("frozen".into())
            }
            ("close", _) => {
                person.set(id, balance, Status::Closed);
                Ok("closed".into())
            }
            (verb, Status::Active) => {
                let amount = amount.unwrap();
                let after = if verb == "take" { balance - amount } else { balance + amount };
                if verb == "take" {
                    person.check_available(id, balance, amount)?;
                }
                if AMOUNT_MAX < after {
                    return Err("balance_too_large");
                }
                person.set(id, after, Status::Active);
                match verb {
                    "deposit" => self.cash += i128::from(amount),
                    "give" => self.adjusted += i128::from(amount),
                    "take" => self.adjusted -= i128::from(amount),
                    other => panic!("no verb: {other}"),
                }
                Ok(format!("balance {after}"))
            }
        }
    }

    /// The second review of two completes the campaign: 70 of money and 10 points.
    fn review(&mut self, who: u8) -> Result<String, &'static str> {
        let person = self.people.get_mut(&who).unwrap();
        if person.reviews == 0 {
            person.reviews = 1;
            return Ok("Critic/Two reviews at 1".into());
        }
        let (balance, status) = person.wallet(0).unwrap();
        if status == Status::Frozen {
            return Err("wallet_frozen");
        }
        if AMOUNT_MAX < balance + 70 {
            return Err("balance_too_large");
        }
        person.reviews = 0;
        person.done += 1;
        person.points += 10;
        person.set(0, balance + 70, Status::Active);
        self.rewarded += 70;
        let (done, points, balance) = (person.done, person.points, balance + 70);
        Ok(format!(
            "Critic/Two reviews met 2, Critic done {done}, reward Seventy, reward Ten, balance {balance}, points {points}"
        ))
    }

    /// A coffee for 7 points, of which there are three, or 50 of money for 5.
    fn redeem(&mut self, who: u8, offer: &str, quantity: i64) -> Result<String, &'static str> {
        let person = self.people.get_mut(&who).unwrap();
        if !(1..=1_000_000).contains(&quantity) {
            return Err("quantity_out_of_range");
        }
        let (price, money) = match offer {
            "Coffee" => (7 * quantity, 0),
            "Cash" => (5 * quantity, 50 * quantity),
            _ => return Err("offer_not_found"),
        };
        if offer == "Coffee" && 3 < self.coffees + quantity {
            return Err("stock_exhausted");
        }
        if person.points < price {
            return Err("points_too_few");
        }
        let mut said = format!("{offer} {quantity}");
        if 0 < money {
            let (balance, status) = person.wallet(0).unwrap();
            if status == Status::Frozen {
                return Err("wallet_frozen");
            }
            if AMOUNT_MAX < balance + money {
                return Err("balance_too_large");
            }
            person.set(0, balance + money, Status::Active);
            said += &format!(", balance {}", balance + money);
        } else {
            self.coffees += quantity;
        }
        person.points -= price;
        self.spent += i128::from(price);
        self.paid_for_points += i128::from(money);
        Ok(said + &format!(", points {}", person.points))
    }

    fn buy(&mut self, who: u8, is_review: bool) -> String {
        let is_new = !self.people.contains_key(&who);
        let before = self.clone();
        self.people.entry(who).or_default();
        let due = self.expire(who);
        let said = if is_review { self.review(who) } else { Ok(String::new()) };
        match said {
            Ok(said) => {
                self.seq += 1;
                let said = after_expired(&due, said);
                let parts = [if is_new { "new" } else { "" }, said.as_str()];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
            }
            Err(code) => {
                // A refused purchase leaves a receipt; each has a key of its own here.
                *self = before;
                self.seq += 1;
                format!("refused {code}")
            }
        }
    }
}

/// Returns which invoice has a number.
fn invoice_of(number: &str) -> usize {
    number.strip_prefix("VA-").unwrap().parse::<usize>().unwrap() - 1_000_000_000
}

fn check_amount(amount: i64) -> Result<(), &'static str> {
    match amount {
        ..1 => Err("amount_not_positive"),
        _ if AMOUNT_MAX < amount => Err("amount_too_large"),
        _ => Ok(()),
    }
}

/// Says first which holds are over.
fn after_expired(due: &BTreeMap<u32, Held>, said: String) -> String {
    let mut parts: Vec<String> = due.keys().map(|id| format!("hold {id} expired")).collect();
    parts.extend((said != "done" || due.is_empty()).then_some(said).filter(|said| !said.is_empty()));
    parts.join(", ")
}

/// Both ledgers, and what was asked so far.
struct Pair {
    world: World,
    /// The sums at some earlier position.
    earlier: TenantTotals,
    model: Model,
    asked: Vec<(OperationCommand, Vec<String>, String)>,
    keys: u32,
}

fn name(who: u8) -> String {
    char::from(b'A' + who).to_string()
}

fn whole_state(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    ledger.canonical(|piece| bytes.extend_from_slice(piece));
    ledger.canonical_more(|piece| bytes.extend_from_slice(piece));
    bytes
}

impl Pair {
    fn new() -> Pair {
        let world = World::new(&reviews(), jakarta("2024-01-15 09:00:00"));
        let model = Model { seq: 1, now: world.now.0, ..Model::default() };
        Pair { world, model, earlier: TenantTotals::default(), asked: Vec::new(), keys: 0 }
    }

    fn run(&mut self, op: &Op) {
        let words = match op {
            Op::Create(who) => vec![name(*who), "create".into()],
            Op::Open(who) => vec![name(*who), "open".into()],
            Op::Rename(who, wallet) => vec![name(*who), "rename".into(), wallet.to_string()],
            Op::Status(who, wallet, status) => vec![name(*who), (*status).into(), wallet.to_string()],
            Op::Money(who, wallet, verb, amount) => {
                vec![name(*who), (*verb).into(), wallet.to_string(), amount.to_string()]
            }
            Op::Redeem(who, offer, quantity) => {
                vec![name(*who), "redeem".into(), (*offer).into(), quantity.to_string()]
            }
            Op::Hold(who, wallet, amount, seconds) => {
                vec![name(*who), "hold".into(), wallet.to_string(), amount.to_string(), seconds.to_string()]
            }
            Op::Settle(who, hold, amount) => {
                let words = [name(*who), "settle".into(), hold.to_string()].into_iter();
                words.chain(amount.map(|amount| amount.to_string())).collect()
            }
            Op::Send(who, wallet, target, to, amount) => {
                vec![name(*who), "send".into(), wallet.to_string(), name(*target), to.to_string(), amount.to_string()]
            }
            Op::Bill(amount, seconds) => return self.invoice(&["open", &amount.to_string(), &seconds.to_string()]),
            Op::Unbill(count) => return self.invoice(&["cancel", &format!("VA-{}", 1_000_000_000 + count)]),
            Op::Pay(who, wallet, count, other) => {
                let own = self.model.invoices.get(*count as usize).map_or(1, |(amount, ..)| *amount);
                let number = format!("VA-{}", 1_000_000_000 + count);
                vec![name(*who), "pay".into(), wallet.to_string(), number, other.unwrap_or(own).to_string()]
            }
            Op::Void(who, hold) => vec![name(*who), "void".into(), hold.to_string()],
            Op::Did(who, tag) => vec![name(*who), "did".into(), (*tag).into()],
            Op::Wait(gap) => {
                self.world.now.0 += gap;
                self.model.now += gap;
                self.earlier = self.world.ledger.totals.tenant(TenantId(1)).cloned().unwrap_or_default();
                return;
            }
            Op::Buy(who, is_review) => {
                let before = whole_state(&self.world.ledger);
                let customer = name(*who);
                let mut words = vec![customer.as_str(), "100"];
                words.extend(is_review.then_some("tags=review"));
                let command = self.world.command(&words);
                let seen = self.world.purchase(command);
                let said = self.model.buy(*who, *is_review);
                assert_eq!(self.world.show(&seen), said);
                if said.starts_with("refused") {
                    assert_eq!(whole_state(&self.world.ledger), before, "a refused purchase has left a trace");
                }
                return self.compare();
            }
            Op::Again(index) if !self.asked.is_empty() => {
                let (command, words, key) = index.get(&self.asked).clone();
                return self.operate(command, &words, &key);
            }
            Op::Reuse(index, amount) if !self.asked.is_empty() => {
                let (_, _, key) = index.get(&self.asked).clone();
                let words = vec!["A".into(), "deposit".into(), "0".into(), amount.to_string()];
                return self.ask(words, key);
            }
            Op::Again(_) | Op::Reuse(..) => return,
        };
        self.keys += 1;
        let key = format!("k{}", self.keys);
        self.ask(words, key);
    }

    fn invoice(&mut self, words: &[&str]) {
        let before = whole_state(&self.world.ledger);
        let said = self.model.invoice(words);
        assert_eq!(self.world.invoice(words), said);
        assert!(!said.starts_with("refused") || whole_state(&self.world.ledger) == before, "it has left a trace");
        self.compare();
    }

    fn ask(&mut self, words: Vec<String>, key: String) {
        let option = format!("key={key}");
        let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
        all.push(&option);
        let command = self.world.operation(&all);
        self.operate(command.clone(), &words, &key);
        self.asked.push((command, words, key));
    }

    fn operate(&mut self, command: OperationCommand, words: &[String], key: &str) {
        let (before, records) = (whole_state(&self.world.ledger), self.world.records.len());
        let operated = self.world.operate(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = self.model.ask(&words, key);
        assert_eq!(self.world.show_operated(&operated), said, "the rules and the model differ in {words:?}");
        if !matches!(operated, Operated::Done(_)) {
            // R02: nothing but the answer under its key. What was sent and came back was there, and wrote down what was due.
            let is_back = said.contains(" target_");
            let state = whole_state(&self.world.ledger);
            assert!(is_back || state == before, "what was not done has left a trace");
            let written = usize::from(matches!(operated, Operated::Refused { is_written: true, .. }));
            assert_eq!(self.world.records.len(), records + if is_back { 3 } else { written });
        }
        self.compare();
    }

    fn compare(&self) {
        let ledger = &self.world.ledger;
        assert_eq!(ledger.desk.last().0, self.model.seq, "one has more records");
        assert_eq!(ledger.rows.len(), self.model.people.len());
        let (mut owed, mut points, mut held) = (0, 0, 0);
        for (who, person) in &self.model.people {
            let alias =
                kembali_core::Alias { kind: kembali_core::AliasKind::Ref, hash: hash(&format!("1/{}", name(*who))) };
            let row = &ledger.rows[&alias.first_customer_id()];
            for (id, (balance, _)) in &person.wallets {
                assert_eq!(row.balance(WalletId(*id)).minor_units(), *balance);
                owed += i128::from(*balance);
            }
            assert!(row.wallets.iter().all(|own| person.wallets.contains_key(&own.id.0)));
            points += i128::from(person.points);
            let open: Vec<(u32, i64)> = person.holds.iter().map(|(id, held)| (*id, held.amount)).collect();
            let own: Vec<(u32, i64)> = row.holds.iter().map(|hold| (hold.id.0, hold.amount.minor_units())).collect();
            assert_eq!(own, open);
            held += open.iter().map(|(_, amount)| i128::from(*amount)).sum::<i128>();
        }
        let totals = ledger.totals.tenant(TenantId(1)).cloned().unwrap_or_default();
        assert_eq!(totals.wallets.values().sum::<i128>(), owed);
        assert_eq!(totals.points.values().sum::<i128>(), points);
        assert_eq!(totals.held.values().sum::<i128>(), held);
        let mut house: BTreeMap<&str, i128> = BTreeMap::new();
        for ((_, account), sum) in &totals.house {
            let account = match account {
                HouseAccount::CashClearing => "cash",
                HouseAccount::Adjustments => "adjusted",
                HouseAccount::RewardExpense => "rewarded",
                HouseAccount::PointsIssued => "points",
                HouseAccount::PointsRedeemed => "spent",
                HouseAccount::RedemptionExpense => "paid",
                HouseAccount::Settlement(_) => "settled",
                HouseAccount::InTransit => "in transit",
                HouseAccount::PromoExpense(_)
                | HouseAccount::LoyaltyExpense
                | HouseAccount::PointsExpired
                | HouseAccount::RefundShortfall => panic!("nothing posts there"),
            };
            *house.entry(account).or_default() += sum.net();
        }
        let of = |account| house.get(account).copied().unwrap_or(0);
        let wanted = (self.model.cash, self.model.adjusted, self.model.rewarded, points + self.model.spent);
        assert_eq!((of("cash"), of("adjusted"), of("rewarded"), of("points")), wanted);
        assert_eq!((-of("spent"), of("paid")), (self.model.spent, self.model.paid_for_points));
        assert_eq!((-of("settled"), of("in transit")), (self.model.paid_to_partner, 0));
        let stock = ledger.desk.catalogues().next().and_then(|rules| rules.offer_by_name("Coffee")).unwrap();
        assert_eq!(ledger.desk.offer_redeemed(TenantId(1), stock.id) as i64, self.model.coffees);
        let invoices: Vec<bool> = ledger.desk.invoices().map(|(.., own)| own.state == InvoiceState::Open).collect();
        assert_eq!(invoices, self.model.invoices.iter().map(|(.., state)| state.is_none()).collect::<Vec<_>>());
        assert!(totals.trial_balance().values().all(|sum| *sum == 0), "the trial balance is not zero");
        // From the start, and from wherever the last look was: what came and went leads from one balance to the other.
        for before in [&TenantTotals::default(), &self.earlier] {
            for (unit, own) in roll_forward(before, &totals) {
                assert_eq!(own.expected(), own.closing, "{unit:?}");
                let held = totals.wallets.get(&unit).or_else(|| totals.points.get(&unit));
                assert_eq!(Some(&own.closing), held);
            }
        }
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    let (who, wallet) = (0..3u8, prop_oneof![8 => Just(0), 4 => 1..3u16, 1 => 3..6u16]);
    let amount = prop_oneof![
        8 => 1..=200i64,
        2 => AMOUNT_MAX - 80..=AMOUNT_MAX + 1,
        1 => prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX)],
    ];
    let verb = prop_oneof![2 => Just("deposit"), 2 => Just("give"), 3 => Just("take")];
    let status = prop_oneof![1 => Just("freeze"), 3 => Just("thaw"), 1 => Just("close")];
    let seconds =
        prop_oneof![4 => 1..100_000i64, 1 => Just(30 * 86_400), 1 => prop_oneof![Just(0), Just(30 * 86_400 + 1)]];
    let part = prop_oneof![2 => Just(None), 3 => amount.clone().prop_map(Some)];
    let gap = prop_oneof![0..DAY_US, Just(MONTH - 1), Just(MONTH), 0..=2 * MONTH];
    prop_oneof![
        4 => who.clone().prop_map(Op::Create),
        4 => who.clone().prop_map(Op::Open),
        1 => (who.clone(), wallet.clone()).prop_map(|(who, wallet)| Op::Rename(who, wallet)),
        4 => (who.clone(), wallet.clone(), status).prop_map(|(who, wallet, status)| Op::Status(who, wallet, status)),
        12 => (who.clone(), wallet.clone(), verb, amount.clone())
            .prop_map(|(who, wallet, verb, amount)| Op::Money(who, wallet, verb, amount)),
        3 => (who.clone(), prop_oneof![3 => Just("Coffee"), 3 => Just("Cash"), 1 => Just("Tea")], -1..4i64)
            .prop_map(|(who, offer, quantity)| Op::Redeem(who, offer, quantity)),
        8 => (who.clone(), wallet.clone(), amount.clone(), seconds)
            .prop_map(|(who, wallet, amount, seconds)| Op::Hold(who, wallet, amount, seconds)),
        4 => (who.clone(), 0..5u32, part).prop_map(|(who, hold, amount)| Op::Settle(who, hold, amount)),
        8 => (who.clone(), wallet.clone(), who.clone(), wallet.clone(), amount.clone())
            .prop_map(|(who, wallet, target, to, amount)| Op::Send(who, wallet, target, to, amount)),
        4 => (1..=200i64, prop_oneof![4 => 1..200_000i64, 1 => Just(0), 1 => Just(7_776_001)])
            .prop_map(|(amount, seconds)| Op::Bill(amount, seconds)),
        1 => (0..3u64).prop_map(Op::Unbill),
        6 => (who.clone(), wallet, 0..4u64, prop_oneof![5 => Just(None), 1 => amount.clone().prop_map(Some)])
            .prop_map(|(who, wallet, count, other)| Op::Pay(who, wallet, count, other)),
        2 => (who.clone(), 0..5u32).prop_map(|(who, hold)| Op::Void(who, hold)),
        8 => (who.clone(), prop_oneof![4 => Just("review"), 1 => Just("other")]).prop_map(|(who, tag)| Op::Did(who, tag)),
        3 => (who, any::<bool>()).prop_map(|(who, is_review)| Op::Buy(who, is_review)),
        2 => gap.prop_map(Op::Wait),
        3 => any::<Index>().prop_map(Op::Again),
        1 => (any::<Index>(), amount).prop_map(|(index, amount)| Op::Reuse(index, amount)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500 * depth()))]

    #[test]
    fn r01_r02_operations_agree_with_the_model(ops in prop::collection::vec(any_op(), 1..120)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.run(op);
        }
        let mut replayed = Ledger::default();
        for record in &pair.world.records {
            replayed.evolve(record).unwrap();
        }
        prop_assert_eq!(whole_state(&replayed), whole_state(&pair.world.ledger), "a replay differs");
    }
}
