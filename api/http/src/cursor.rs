//! Cursors: where a list goes on. Opaque to callers; a cursor names the list that it belongs to and is checked on use.

use kembali_core::{CustomerId, Seq};

use crate::codes;
use crate::problem::Problem;

/// A list that is paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Purchases = 1,
    Entries = 2,
    Tiers = 3,
    Statement = 4,
    RiskChecks = 5,
    Payments = 6,
    Reviews = 7,
    Audit = 8,
    Customers = 9,
    Events = 10,
    Deliveries = 11,
}

const VERSION: u8 = 2;

/// Where a page begins: a record, and how many of its items were on the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) seq: Seq,
    pub(crate) skip: u32,
}

impl Start {
    /// Begins with the first item of a record.
    pub(crate) const fn of(seq: Seq) -> Start {
        Start { seq, skip: 0 }
    }
}

/// Writes the cursor that goes on at `next`.
pub(crate) fn write(list: List, customer: CustomerId, next: Start) -> String {
    format!("{VERSION:02x}{:02x}{:032x}{:016x}{:08x}", list as u8, customer.0, next.seq.0, next.skip)
}

/// Reads a cursor of the same list.
///
/// # Errors
///
/// 400 for any other text.
pub(crate) fn read(text: &str, list: List, customer: CustomerId) -> Result<Start, Problem> {
    let start = write(list, customer, Start::of(Seq::ZERO));
    let own = text.get(36..).filter(|_| text.get(..36) == start.get(..36) && text.len() == start.len());
    let is_hex = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let (seq, skip) = own.filter(is_hex).and_then(|digits| digits.split_at_checked(16)).unwrap_or_default();
    match (u64::from_str_radix(seq, 16), u32::from_str_radix(skip, 16)) {
        (Ok(seq), Ok(skip)) => Ok(Start { seq: Seq(seq), skip }),
        _ => Err(Problem::new(&codes::CURSOR_INVALID)),
    }
}

/// Writes the cursor that goes on behind a customer in the list of all.
pub(crate) fn write_customers(last: CustomerId) -> String {
    format!("{VERSION:02x}{:02x}{:032x}", List::Customers as u8, last.0)
}

/// Reads a cursor of the list of customers: the last one of the page before.
///
/// # Errors
///
/// 400 for any other text.
pub(crate) fn read_customers(text: &str) -> Result<CustomerId, Problem> {
    let last = text.get(4..).and_then(|digits| u128::from_str_radix(digits, 16).ok()).map(CustomerId);
    // Only what was written is read: no sign, no other letters, no other list.
    last.filter(|last| write_customers(*last) == text).ok_or_else(|| Problem::new(&codes::CURSOR_INVALID))
}

/// Writes the cursor that goes on at `next` in a statement between two positions.
pub(crate) fn write_statement(customer: CustomerId, from: Seq, to: Seq, next: Start) -> String {
    format!("{}{:016x}{:016x}", write(List::Statement, customer, next), from.0, to.0)
}

/// Reads a cursor of a customer's statement: from where to where it is, and where the page begins.
///
/// # Errors
///
/// 400 for any other text.
pub(crate) fn read_statement(text: &str, customer: CustomerId) -> Result<(Seq, Seq, Start), Problem> {
    let invalid = || Problem::new(&codes::CURSOR_INVALID);
    let (start, between) = text.len().checked_sub(32).and_then(|at| text.split_at_checked(at)).ok_or_else(invalid)?;
    let start = read(start, List::Statement, customer)?;
    let is_hex = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let (from, to) = Some(between).filter(is_hex).and_then(|digits| digits.split_at_checked(16)).ok_or_else(invalid)?;
    match (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) {
        (Ok(from), Ok(to)) => Ok((Seq(from), Seq(to), start)),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let (one, two) = (CustomerId(1), CustomerId(u128::MAX));
        let cursor = write(List::Entries, two, Start { seq: Seq(77), skip: 3 });
        assert_eq!(read(&cursor, List::Entries, two).unwrap(), Start { seq: Seq(77), skip: 3 });
        assert!(read(&cursor, List::Purchases, two).is_err());
        assert!(read(&cursor, List::Entries, one).is_err());
        for bad in
            ["", "x", &cursor[1..], &format!("{cursor}0"), &cursor.replace("4d", "+d"), "\u{e9}".repeat(26).as_str()]
        {
            assert!(read(bad, List::Entries, two).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_of_the_customers_says_whom_it_is_behind() {
        let cursor = write_customers(CustomerId(0xabc));
        assert_eq!(read_customers(&cursor).unwrap(), CustomerId(0xabc));
        let entries = write(List::Entries, CustomerId(0xabc), Start::of(Seq(1)));
        let upper = cursor.replace("abc", "ABC");
        for bad in ["", "0209", &cursor[1..], &format!("{cursor}0"), &upper, &cursor.replacen("00", "+0", 1), &entries]
        {
            assert!(read_customers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_of_a_statement_says_between_which_positions() {
        let (one, two) = (CustomerId(1), CustomerId(2));
        let next = Start { seq: Seq(77), skip: 3 };
        let cursor = write_statement(one, Seq(5), Seq(u64::MAX), next);
        assert_eq!(read_statement(&cursor, one).unwrap(), (Seq(5), Seq(u64::MAX), next));
        assert!(read_statement(&cursor, two).is_err() && read(&cursor, List::Entries, one).is_err());
        let plain = write(List::Statement, one, next);
        let signed = cursor.replacen("0000000000000005", "+000000000000005", 1);
        for bad in ["", "x", &cursor[1..], &plain, &signed, &format!("{cursor}0"), "\u{e9}".repeat(50).as_str()] {
            assert!(read_statement(bad, one).is_err(), "{bad}");
        }
    }
}
