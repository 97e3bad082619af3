//! Both ledgers side by side: what is drawn becomes a command by what the second ledger has, and is asked of both.

use kembali_core::accounts::Direction;
use kembali_core::audit::Role;
use kembali_core::draft::CatalogueDraft;
use kembali_core::operation::Actor;
use kembali_core::wallet::WalletStatus;
use kembali_core::{AMOUNT_MAX, AccountId, Instant};

use super::changes::Wanted;
use super::commands::{Ask, Buy, Command, NO_WALLET, Of, Refund, Verb};
use super::draw::{How, Op, Settle};
use super::draw_rules::start;
use super::driver::actor;
use super::model::{DAY, Invoice, Model, SECOND, Status};
use super::reach::Answers;
use super::refunds::remaining;
use crate::refund::whole;
use crate::support::World;

/// The two ledgers, and what was asked of them.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) model: Model,
    wanted: Wanted,
    asked: Vec<Command>,
    keys: u32,
    /// What was answered to what.
    pub(super) answers: Answers,
}

impl Pair {
    pub(super) fn new(draft: CatalogueDraft) -> Pair {
        let wanted = Wanted::new(draft);
        let world = World { now: Instant(start()), ..World::default() };
        let model = Model { stamp: start(), ..Model::default() };
        let mut pair = Pair { world, model, wanted, asked: Vec::new(), keys: 0, answers: Answers::new() };
        pair.apply();
        pair
    }

    /// What has happened at least once, beside answers.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let steps = self.model.sums.remarks.keys().map(|(_, remark)| format!("step {remark:?}"));
        self.model.notes.iter().map(|note| (*note).to_string()).chain(steps)
    }

    pub(super) fn run(&mut self, op: &Op) {
        match op {
            Op::Change(change) => {
                self.wanted.change(change);
                self.apply();
            }
            Op::Wait(gap) => self.wait(*gap),
            Op::Midnight(more) => self.wait(DAY - self.model.stamp.rem_euclid(DAY) + more),
            Op::Edge(buy, more) => {
                if let Some(left) = self.left_of_period() {
                    self.wait((left + more).max(0));
                    self.command(&Command::Buy(Buy { occurred: None, ..buy.clone() }));
                }
            }
            Op::Window(who, more) => {
                if let Some(left) = self.left_of_window(*who) {
                    self.wait((left + more).max(0));
                    let command = self.ask(*who, 0, Verb::Deposit(0, 120), false);
                    self.command(&command);
                }
            }
            Op::Sweep => self.sweep(),
            Op::Again(index) if !self.asked.is_empty() => self.command(&index.get(&self.asked).clone()),
            Op::Clash(index) if !self.asked.is_empty() => self.command(&clash(index.get(&self.asked))),
            Op::Again(_) | Op::Clash(_) => (),
            other => {
                let command = self.resolve(other);
                if let Some(command) = command {
                    self.command(&command);
                    self.asked.push(command);
                }
            }
        }
        self.compare();
    }

    fn wait(&mut self, gap: i64) {
        self.world.now.0 += gap;
        self.model.stamp += gap;
        self.look();
    }

    fn apply(&mut self) {
        let draft = self.wanted.draft();
        if let Some(catalogue) = self.world.apply(&draft, None).unwrap() {
            self.model.versions.push(catalogue);
            self.model.seq += 1;
        }
    }

    /// Makes of what was drawn what is asked, by what the model has.
    fn resolve(&mut self, op: &Op) -> Option<Command> {
        let now = self.model.stamp;
        Some(match op {
            Op::Buy(buy) => {
                let occurred = buy.occurred.map(|delta| now + delta);
                Command::Buy(Buy { occurred, ..buy.clone() })
            }
            Op::Refund(which, id, how, dry) => {
                if self.model.bought.is_empty() {
                    return None;
                }
                // Half of them are of the latest purchases.
                let count = self.model.bought.len();
                let drawn = which.index(2 * count);
                let purchase = if drawn < count { drawn } else { count - 1 - drawn % count.min(3) };
                Command::Refund(Refund { purchase, id: *id, of: self.part(purchase, how), dry: *dry })
            }
            Op::Ask(who, by, Verb::Did(tag, delta), dry) => {
                self.ask(*who, *by, Verb::Did(tag, delta.map(|delta| now + delta)), *dry)
            }
            Op::Ask(who, by, verb, dry) => {
                let verb = self.own_wallets(*who, verb.clone());
                self.ask(*who, *by, verb, *dry)
            }
            Op::CloseHold(who, by, index, settle) => {
                let holds = self.model.people.get(who).map(|person| person.holds.clone()).unwrap_or_default();
                if holds.is_empty() {
                    // All that there is, so that a refund takes what is held.
                    let all = i64::try_from(self.model.balance(*who, 0)).unwrap_or(0).max(1);
                    return Some(self.ask(*who, *by, Verb::Hold(0, 1, all, Some(200_000)), false));
                }
                let (hold, held) = holds.iter().nth(index.index(holds.len()))?;
                let verb = match settle {
                    None => Verb::Void(*hold),
                    Some(Settle::Whole) => Verb::Settle(*hold, None),
                    Some(Settle::Part(share)) => {
                        Verb::Settle(*hold, i64::try_from(held.amount * i128::from(*share) / 100).ok())
                    }
                    Some(Settle::Amount(amount)) => Verb::Settle(*hold, Some(*amount)),
                };
                self.ask(*who, *by, verb, false)
            }
            Op::Reverse(which, dry) => {
                let any = which.index(16) == 0;
                let can_be = self.model.done.iter().filter(|(_, own)| any || own.can_be_reversed);
                let can_be: Vec<(u64, u8)> = can_be.map(|(seq, own)| (*seq, own.who)).collect();
                if which.index(2) == 0
                    && let Some((who, verb)) = self.model.step_to_closed_reversal()
                {
                    return Some(self.ask(who, 0, verb, false));
                }
                let (seq, who) = if can_be.is_empty() { return None } else { *which.get(&can_be) };
                self.ask(who, 0, Verb::Reverse(seq), *dry)
            }
            Op::Archive(back) => {
                let check = self.model.seq.checked_sub(*back).filter(|check| *check != 0)?;
                self.ask(0, 0, Verb::Archive(check), false)
            }
            Op::Close(which, release, dry) => {
                // Mostly what is open.
                let any = which.index(8) == 0;
                let reviews = self.model.reviews.iter().filter(|(_, own)| any || own.is_open);
                let reviews: Vec<(u64, u8)> = reviews.map(|(seq, own)| (*seq, own.ask.who)).collect();
                let (seq, who) = if reviews.is_empty() { return None } else { *which.get(&reviews) };
                let verb = if *release { Verb::Release(seq) } else { Verb::Reject(seq) };
                self.ask(who, 0, verb, *dry)
            }
            Op::Pay(who, wallet, count, other) => {
                if self.model.invoices.is_empty() {
                    return Some(self.ask(*who, 0, Verb::Bill(1, None, 60, None), false));
                }
                let invoice = self.invoice(*count);
                let number = invoice.map_or("VA-1".into(), |own| own.number.clone());
                let own = invoice.map_or(1, |own| own.amount as i64);
                let verb = Verb::Pay(self.wallet(*who, *wallet), number, other.unwrap_or(own));
                self.ask(*who, 0, verb, false)
            }
            Op::Unbill(by, count) => {
                let number = self.invoice(*count).map_or("VA-1".into(), |own| own.number.clone());
                self.ask(0, *by, Verb::Unbill(number), false)
            }
            Op::Window(..)
            | Op::Again(_)
            | Op::Clash(_)
            | Op::Change(_)
            | Op::Wait(_)
            | Op::Midnight(_)
            | Op::Edge(..)
            | Op::Sweep => {
                return None;
            }
        })
    }

    /// One of the three latest invoices, or none.
    fn invoice(&self, count: usize) -> Option<&Invoice> {
        let latest: Vec<&Invoice> = self.model.invoices.iter().rev().take(3).collect();
        if count < 3 { latest.get(count % latest.len().max(1)).copied() } else { None }
    }

    /// Counts a wallet among those of a customer.
    fn wallet(&self, who: u8, wallet: u16) -> u16 {
        let wallets = self.model.people.get(&who).map_or(1, |person| person.wallets.len() as u16);
        if wallet == NO_WALLET { wallet } else { wallet % wallets }
    }

    /// Names wallets that are there. Where there is only the first, another one is opened.
    fn own_wallets(&self, who: u8, verb: Verb) -> Verb {
        let own = |wallet| self.wallet(who, wallet);
        let is_other = |wallet| wallet != 0 && own(wallet) == 0;
        let has = |wallet| i64::try_from(self.model.balance(who, own(wallet))).unwrap_or(0);
        match verb {
            // Half of those that are to be closed are emptied before.
            Verb::Status(wallet, WalletStatus::Closed)
                if own(wallet) != 0 && has(wallet) > 0 && has(wallet) % 2 != 0 =>
            {
                Verb::Adjust(own(wallet), Direction::Out, has(wallet))
            }
            Verb::Status(wallet, _) | Verb::Deposit(wallet, _) | Verb::Adjust(wallet, ..) | Verb::Hold(wallet, ..)
                if is_other(wallet) =>
            {
                Verb::Open
            }
            Verb::Send(wallet, ..) if is_other(wallet) => Verb::Open,
            Verb::Rename(wallet) => Verb::Rename(own(wallet)),
            Verb::Status(wallet, status) => Verb::Status(own(wallet), status),
            // Fills it up, nearly.
            Verb::Deposit(wallet, amount) if wallet != 0 && (AMOUNT_MAX - 20..AMOUNT_MAX).contains(&amount) => {
                let has = i64::try_from(self.model.balance(who, own(wallet))).unwrap_or(0);
                Verb::Deposit(own(wallet), amount - has)
            }
            Verb::Deposit(wallet, amount) => Verb::Deposit(own(wallet), amount),
            Verb::Adjust(wallet, direction, amount) => Verb::Adjust(own(wallet), direction, amount),
            Verb::Hold(wallet, partner, amount, seconds) => Verb::Hold(own(wallet), partner, amount, seconds),
            Verb::Send(wallet, target, to, amount) => self.send(who, own(wallet), (target, to), amount),
            other => other,
        }
    }

    /// Half of what is sent is there, and some of it goes where there is hardly room, or to what is closed.
    fn send(&self, who: u8, wallet: u16, (target, to): (u8, u16), amount: i64) -> Verb {
        let has = i64::try_from(self.model.balance(who, wallet)).unwrap_or(0);
        let is_covered = (2..=400).contains(&amount) && amount % 2 == 0;
        let fullest = (0..5).max_by_key(|own| self.model.balance(target, *own)).filter(|_| to == 2 || to == 4);
        let closed = self.model.people.get(&target).filter(|_| to == 3).and_then(|person| {
            person.wallets.iter().find(|(_, status)| **status == Status::Closed).map(|(wallet, _)| *wallet)
        });
        let amount = if is_covered { amount.min(has).max(1) } else { amount };
        Verb::Send(wallet, target, closed.or(fullest).unwrap_or(self.wallet(target, to)), amount)
    }

    /// How long it takes until the last operation that is remembered leaves the shortest window of a risk rule.
    fn left_of_window(&self, who: u8) -> Option<i64> {
        let (last, ..) = self.model.people.get(&who)?.risky.last().copied()?;
        let rules = self.model.rules();
        let windows = rules.risk_rules.iter().filter_map(|rule| rule.condition.seconds());
        Some(last + i64::from(windows.min()?) * SECOND - self.model.stamp)
    }

    /// How long it takes until the next promo or campaign ends.
    fn left_of_period(&self) -> Option<i64> {
        let rules = self.model.rules();
        let promos = rules.promos.iter().map(|promo| promo.ends_at);
        let campaigns = rules.campaigns.iter().filter_map(|campaign| campaign.ends_at);
        let left = promos.chain(campaigns).map(|ends| ends.0 - self.model.stamp);
        left.filter(|left| *left > 1).min()
    }

    fn ask(&mut self, who: u8, by: u32, verb: Verb, dry: bool) -> Command {
        self.keys += 1;
        // Two of five name the one device, one the other.
        let device = [Some(0), None, Some(1), Some(0), None][self.keys as usize % 5];
        // Whoever asks for no partner: the holder of the token, or a person.
        let actor = match (by, self.keys % 4) {
            (0, 1) => Actor::Person(AccountId(1), Role::Operator),
            (0, 2) => Actor::Person(AccountId(2), Role::Customer),
            _ => actor(by),
        };
        Command::Ask(Ask { who, actor, key: self.keys, device, verb, dry })
    }

    fn part(&self, purchase: usize, how: &How) -> Of {
        let bought = &self.model.bought[purchase];
        let left = i128::from(bought.buy.amount) - bought.back.amount;
        let share = |of: i128, share: u8| (of * i128::from(share) / 100) as i64;
        match how {
            How::Whole => Of::Amount(left as i64),
            How::Amount(amount) => Of::Amount(*amount),
            How::Lines(lines) => Of::Lines(lines.clone()),
            How::Parts(shares, _) if bought.buy.lines.is_empty() => Of::Amount(share(left, shares[0])),
            How::Parts(shares, has_pieces) => {
                let part = |((product, (pieces, amount)), of): ((&'static str, (i128, i128)), &u8)| {
                    (product, if *has_pieces { share(pieces, *of) } else { 0 }, share(amount, *of))
                };
                Of::Lines(remaining(bought).into_iter().zip(shares).map(part).collect())
            }
        }
    }

    /// Asks both ledgers, which must say the same.
    fn both(&mut self, command: &Command) -> String {
        let wanted = match command {
            Command::Buy(buy) => self.model.buy(buy),
            Command::Refund(refund) => self.model.refund(refund),
            Command::Ask(ask) => self.model.ask(ask),
        };
        let seen = match command {
            Command::Buy(buy) => self.buy(buy),
            Command::Refund(refund) => self.refund(refund),
            Command::Ask(ask) => self.operate(ask),
        };
        assert_eq!(seen, wanted, "the rules and the model differ in {command:?}");
        seen
    }

    fn command(&mut self, command: &Command) {
        let (before, records) = (whole(&self.world.ledger), self.world.records.len());
        let sums = self.sums();
        let seen = self.both(command);
        let is_moved = self.world.records[records..].iter().any(|record| record.body.customer.is_some());
        if !matches!(&*seen, "booked" | "done") && !is_moved {
            assert_eq!(whole(&self.world.ledger), before, "what was not done has left a trace: {command:?}");
            assert_eq!(self.sums(), sums, "what was not done is summed up: {command:?}");
        }
        // Only a transfer that its target declines was there and is back.
        let has_record = matches!(&*seen, "booked" | "done" | "set aside") || seen.contains(" target_");
        assert!(!is_moved || has_record, "{seen}: {command:?}");
        if !is_dry(command) && seen != "unchanged" && !seen.ends_with(", unwritten") {
            // What is written is sticky: the same again is answered by it.
            let records = self.world.records.len();
            let again = self.both(command);
            assert!(
                again.starts_with("known") || again.ends_with(", replayed") || again == seen,
                "{again}: {command:?}"
            );
            assert_eq!(self.world.records.len(), records, "a repeat is written: {command:?}");
        }
        let answer = seen.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == ' ').to_string();
        *self.answers.entry((command.verb(), answer)).or_default() += 1;
    }
}

fn is_dry(command: &Command) -> bool {
    match command {
        Command::Buy(buy) => buy.dry,
        Command::Refund(refund) => refund.dry,
        Command::Ask(ask) => ask.dry,
    }
}

/// Something else under the same identity.
fn clash(command: &Command) -> Command {
    match command {
        Command::Buy(buy) => Command::Buy(Buy { quantity: buy.quantity.saturating_add(1), ..buy.clone() }),
        Command::Refund(refund) => Command::Refund(Refund { of: Of::Amount(1), ..refund.clone() }),
        Command::Ask(ask) if matches!(ask.verb, Verb::Bill(..) | Verb::Unbill(_) | Verb::Archive(_)) => {
            Command::Ask(Ask { verb: Verb::Bill(1, None, 77, None), ..ask.clone() })
        }
        Command::Ask(ask) => Command::Ask(Ask { verb: Verb::Deposit(0, 77), ..ask.clone() }),
    }
}
