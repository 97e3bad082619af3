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
}
