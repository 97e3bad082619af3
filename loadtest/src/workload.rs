//! The purchases: a pure function of the recipe. Nothing here knows a clock, a connection or an answer.
//!
//! Purchase number n depends on the seed and on n alone, so that a longer run begins like a shorter one. What a seed
//! gives never changes: results of years can be compared.

use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::random::Draws;
use crate::zipf::{Sampler, Skew};

/// Purchases that a run may have. A plan of them takes 8 bytes each.
pub(crate) const COUNT_MAX: u64 = 100_000_000;
const _: () = assert!(COUNT_MAX <= u32::MAX as u64);

/// How far back a repeat reaches.
const REPEAT_WITHIN: u64 = 1_000;
/// Makes the sequence that details are drawn from another than the one that customers are.
const DETAILS: u64 = 0x6b65_6d62_616c_6921;
/// The same for the products of lines.
const LINES: u64 = 0x6c69_6e65_7321_2121;
const AMOUNT_MIN: u64 = 10_000;
const AMOUNT_MAX: u64 = 2_000_000;
const AMOUNT_STEP: u64 = 100;
const STORES: u64 = 300;
const PRODUCTS: u64 = 20_000;
const DAY_MS: i64 = 86_400_000;

/// What the purchases are made by.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    pub(crate) count: u64,
    pub(crate) customers: NonZeroU32,
    pub(crate) skew: Skew,
    /// How many of a thousand purchases are sent a second time.
    pub(crate) duplicates: u64,
    /// Lines of every purchase.
    pub(crate) lines: u32,
    pub(crate) promo: String,
    /// When the first purchase occurred.
    pub(crate) start: Timestamp,
    /// How much later each purchase occurred than the one before.
    pub(crate) step_ms: u32,
}

/// A purchase to send: whose, and which. A repeat bears the number of the purchase that it repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub(crate) number: u32,
    pub(crate) customer: u32,
}

/// What a purchase is, beside its customer.
struct Details {
    amount: u64,
    quantity: u64,
    store: u64,
}

/// A purchase in parts.
#[derive(Debug)]
pub(crate) struct Purchase {
    pub(crate) origin_id: String,
    pub(crate) customer: String,
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    pub(crate) store: String,
    pub(crate) promo: String,
    pub(crate) at: Timestamp,
}

/// All purchases of a run.
pub(crate) struct Workload {
    recipe: Recipe,
    sampler: Sampler,
}

impl Workload {
    /// Prepares the purchases of a recipe.
    pub(crate) fn new(recipe: Recipe) -> Workload {
        let sampler = Sampler::new(recipe.customers, recipe.skew);
        Workload { recipe, sampler }
    }

    /// Returns what everything follows from.
    pub(crate) fn seed(&self) -> u64 {
        self.recipe.seed
    }

    /// Lists what is to be sent, in order.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Order> {
        (0..self.recipe.count).map(|number| self.order(number))
    }

    /// Divides the purchases: customer c belongs to connection c modulo `connections`, in order.
    pub(crate) fn shares(&self, connections: NonZeroU32) -> Vec<Vec<Order>> {
        let mut shares = vec![Vec::new(); connections.get() as usize];
        for order in self.orders() {
            if let Some(share) = shares.get_mut((order.customer % connections) as usize) {
                share.push(order);
            }
        }
        shares
    }

    fn order(&self, number: u64) -> Order {
        let mut number = number;
        loop {
            let mut draws = Draws::new(self.recipe.seed, number);
            if draws.below(1_000) < self.recipe.duplicates && number != 0 {
                // What is repeated may be a repeat itself.
                number -= 1 + draws.below(number.min(REPEAT_WITHIN));
                continue;
            }
            // Numbers are below COUNT_MAX.
            return Order { number: number as u32, customer: self.sampler.draw(&mut draws) };
        }
    }

    fn details(&self, order: Order) -> Details {
        let mut draws = Draws::new(self.recipe.seed ^ DETAILS, u64::from(order.number));
        // The cube of an even draw: half of the purchases are in the lowest eighth of the range.
        let share = draws.below(1 << 20);
        let cube = (share * share * share) >> 40;
        let steps = (AMOUNT_MAX - AMOUNT_MIN) / AMOUNT_STEP + 1;
        let amount = AMOUNT_MIN + AMOUNT_STEP * ((cube * steps) >> 20);
        let quantity = match draws.below(10) {
            0..6 => 1,
            6..9 => 2,
            _ => 3,
        };
        Details { amount, quantity, store: 1 + draws.below(STORES) }
    }

    /// Returns the amount of a purchase.
    pub(crate) fn amount(&self, order: Order) -> u64 {
        self.details(order).amount
    }

    /// Makes a purchase for who does not take JSON: what [`Writer::write`] writes.
    pub(crate) fn purchase(&self, order: Order) -> Purchase {
        let Details { amount, quantity, store } = self.details(order);
        let mut origin_id = Vec::new();
        self.write_origin_id(order, &mut origin_id);
        let after_ms = i64::from(order.number) * i64::from(self.recipe.step_ms);
        // The command line has checked that the last purchase is an instant.
        let at = Timestamp::from_millisecond(self.recipe.start.as_millisecond() + after_ms).unwrap_or(Timestamp::MAX);
        Purchase {
            origin_id: String::from_utf8_lossy(&origin_id).into_owned(),
            customer: format!("customer-{:08}", order.customer),
            amount: amount as i64,
            quantity: quantity as i64,
            store: format!("store-{store:03}"),
            promo: self.recipe.promo.clone(),
            at,
        }
    }

    /// Writes the origin id of a purchase to the end of `out`.
    pub(crate) fn write_origin_id(&self, order: Order, out: &mut Vec<u8>) {
        out.extend_from_slice(b"load-");
        write_number(out, self.recipe.seed, 1);
        out.push(b'-');
        write_number(out, u64::from(order.number), 10);
    }
}

/// Writes purchases as JSON. Remembers the day, so that no calendar is asked for each purchase.
pub(crate) struct Writer<'a> {
    workload: &'a Workload,
    day: i64,
    date: String,
}

impl<'a> Writer<'a> {
    /// Makes a writer of the purchases of `workload`.
    pub(crate) fn new(workload: &'a Workload) -> Writer<'a> {
        Writer { workload, day: i64::MIN, date: String::new() }
    }

    /// Writes a purchase to the end of `out`, without a line end, and returns its amount.
    pub(crate) fn write(&mut self, order: Order, out: &mut Vec<u8>) -> u64 {
        let details = self.workload.details(order);
        out.extend_from_slice(br#"{"origin_id":""#);
        self.workload.write_origin_id(order, out);
        out.extend_from_slice(br#"","occurred_at":""#);
        self.write_instant(order, out);
        out.extend_from_slice(br#"","customer":{"ref":"customer-"#);
        write_number(out, u64::from(order.customer), 8);
        out.extend_from_slice(br#""},"store":"store-"#);
        write_number(out, details.store, 3);
        out.extend_from_slice(br#"","quantity":"#);
        write_number(out, details.quantity, 1);
        out.extend_from_slice(br#","amount":"#);
        write_number(out, details.amount, 1);
        out.extend_from_slice(br#","promo_code":""#);
        out.extend_from_slice(self.workload.recipe.promo.as_bytes());
        out.push(b'"');
        self.write_lines(order, &details, out);
        out.push(b'}');
        details.amount
    }

    /// Writes lines of one piece each, which come to the amount; the last one takes what cannot be divided.
    fn write_lines(&self, order: Order, details: &Details, out: &mut Vec<u8>) {
        let lines = u64::from(self.workload.recipe.lines);
        let Some(each) = details.amount.checked_div(lines) else { return };
        let mut draws = Draws::new(self.workload.recipe.seed ^ LINES, u64::from(order.number));
        for line in 1..=lines {
            let before: &[u8] =
                if line == 1 { br#","lines":[{"product":"product-"# } else { br#",{"product":"product-"# };
            out.extend_from_slice(before);
            write_number(out, 1 + draws.below(PRODUCTS), 5);
            out.extend_from_slice(br#"","quantity":1,"amount":"#);
            write_number(out, if line == lines { details.amount - each * (lines - 1) } else { each }, 1);
            out.push(b'}');
        }
        out.push(b']');
    }

    fn write_instant(&mut self, order: Order, out: &mut Vec<u8>) {
        let recipe = &self.workload.recipe;
        let at_ms = recipe.start.as_millisecond() + i64::from(order.number) * i64::from(recipe.step_ms);
        let day = at_ms.div_euclid(DAY_MS);
        if day != self.day {
            self.day = day;
            // The command line has checked that the last purchase is an instant.
            let midnight = Timestamp::from_millisecond(day * DAY_MS).unwrap_or(Timestamp::MAX);
            self.date = midnight.to_zoned(TimeZone::UTC).date().to_string();
        }
        let of_day = at_ms.rem_euclid(DAY_MS).unsigned_abs();
        out.extend_from_slice(self.date.as_bytes());
        for (before, value, width) in [
            (b'T', of_day / 3_600_000, 2),
            (b':', of_day / 60_000 % 60, 2),
            (b':', of_day / 1_000 % 60, 2),
            (b'.', of_day % 1_000, 3),
        ] {
            out.push(before);
            write_number(out, value, width);
        }
        out.push(b'Z');
    }
}

/// Writes decimal digits, at least `width`, at most 20.
fn write_number(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 && width <= count {
            break;
        }
    }
    out.extend_from_slice(&digits[20 - count..]);
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn recipe(count: u64, duplicates: u64) -> Recipe {
        Recipe {
            seed: 7,
            count,
            customers: NonZeroU32::new(1_000).unwrap(),
            skew: "1.0".parse().unwrap(),
            duplicates,
            lines: 0,
            promo: "JOURNEY2017".to_owned(),
            start: "2017-07-01T00:00:00Z".parse().unwrap(),
            step_ms: 100,
        }
    }

    fn lines(recipe: Recipe) -> Vec<String> {
        let workload = Workload::new(recipe);
        let mut writer = Writer::new(&workload);
        let mut line = |order| {
            let mut out = Vec::new();
            let amount = writer.write(order, &mut out);
            assert_eq!(amount, workload.amount(order));
            String::from_utf8(out).unwrap()
        };
        workload.orders().map(&mut line).collect()
    }

    #[test]
    fn seed_7_is_what_it_was() {
        let mut golden = recipe(5, 0);
        golden.customers = NonZeroU32::new(100_000).unwrap();
        let golden_lines: Vec<&str> = include_str!("../golden/seed-7.ndjson").lines().collect();
        assert_eq!(lines(golden), golden_lines);
    }

    #[test]
    fn a_purchase_in_parts_is_the_one_that_is_written() {
        let workload = Workload::new(recipe(200, 0));
        let mut writer = Writer::new(&workload);
        for order in workload.orders() {
            let mut written = Vec::new();
            writer.write(order, &mut written);
            let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
            let Purchase { origin_id, customer, amount, quantity, store, promo, at } = workload.purchase(order);
            let parts = serde_json::json!({
                "origin_id": origin_id, "occurred_at": format!("{at:.3}"), "customer": { "ref": customer }, "store": store,
                "quantity": quantity, "amount": amount, "promo_code": promo,
            });
            assert_eq!(written, parts);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_purchases_and_another_gives_others() {
        let longer = lines(recipe(2_000, 30));
        assert_eq!(longer, lines(recipe(2_000, 30)));
        assert_eq!(longer[..500], lines(recipe(500, 30)), "a longer run begins like a shorter one");
        let mut other = recipe(2_000, 30);
        other.seed = 8;
        assert_ne!(longer, lines(other));
    }

    #[test]
    fn purchases_are_as_small_as_said() {
        for line in lines(recipe(2_000, 0)) {
            let purchase: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!((10_000..=2_000_000).contains(&purchase["amount"].as_u64().unwrap()), "{line}");
            assert!((1..=3).contains(&purchase["quantity"].as_u64().unwrap()), "{line}");
            assert!((160..=220).contains(&line.len()), "{line}");
        }
    }

    #[test]
    fn lines_come_to_the_amount() {
        let mut with_lines = recipe(500, 0);
        with_lines.lines = 7;
        for (line, bare) in lines(with_lines).iter().zip(lines(recipe(500, 0))) {
            let mut purchase: serde_json::Value = serde_json::from_str(line).unwrap();
            let own = purchase.as_object_mut().unwrap().remove("lines").unwrap();
            let amounts: Vec<u64> = own.as_array().unwrap().iter().map(|own| own["amount"].as_u64().unwrap()).collect();
            assert_eq!((amounts.len(), amounts.iter().sum()), (7, purchase["amount"].as_u64().unwrap()), "{line}");
            assert_eq!(purchase, serde_json::from_str::<serde_json::Value>(&bare).unwrap());
        }
    }

    #[test]
    fn shares_partition_the_customers_and_keep_their_order() {
        let workload = Workload::new(recipe(5_000, 50));
        let shares = workload.shares(NonZeroU32::new(7).unwrap());
        let mut owners = HashMap::new();
        for (owner, share) in shares.iter().enumerate() {
            for order in share {
                assert_eq!(*owners.entry(order.customer).or_insert(owner), owner);
            }
        }
        let all: Vec<Order> = workload.orders().collect();
        assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), all.len());
        for (owner, share) in shares.iter().enumerate() {
            let own = all.iter().filter(|order| owners[&order.customer] == owner);
            assert!(share.iter().eq(own), "share {owner} is in order");
        }
    }

    #[test]
    fn times_rise_for_each_customer() {
        let mut last: HashMap<String, String> = HashMap::new();
        for line in lines(recipe(3_000, 0)) {
            let purchase: serde_json::Value = serde_json::from_str(&line).unwrap();
            let at = purchase["occurred_at"].as_str().unwrap().to_owned();
            assert!(at.parse::<Timestamp>().is_ok(), "{at}");
            let customer = purchase["customer"]["ref"].as_str().unwrap().to_owned();
            // Of one length and one form, so text compares like time.
            assert!(last.insert(customer, at.clone()).is_none_or(|before| before < at), "{at}");
        }
    }

    #[test]
    fn repeats_are_whole_copies_in_about_the_asked_share() {
        assert_eq!(lines(recipe(4_000, 0)).iter().collect::<HashSet<_>>().len(), 4_000);
        let distinct = lines(recipe(4_000, 100)).iter().collect::<HashSet<_>>().len();
        assert!((3_520..=3_680).contains(&distinct), "{distinct}");
    }

    #[test]
    fn numbers_are_padded_and_never_cut() {
        for (value, width, expected) in
            [(0, 1, "0"), (7, 3, "007"), (1_234, 3, "1234"), (u64::MAX, 1, "18446744073709551615")]
        {
            let mut out = Vec::new();
            write_number(&mut out, value, width);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
