//! One snapshot: the whole ledger at a position, as a fold of the records up to there.
//!
//! The bytes are described in [`layout`]. Opening checks all but the rows; a block of rows is checked whenever it is
//! read; [`Snapshot::verify`] reads everything.

pub(crate) mod layout;
mod take;

use std::path::Path;

use kembali_core::customer::Row;
use kembali_core::desk::{Desk, DeskPiece, Known};
use kembali_core::ledger::Ledger;
use kembali_core::totals::{TenantTotals, Totals};
use kembali_core::{CustomerId, Map, Seq, TenantId};
use kembali_journal::codec::decode_value;
use kembali_journal::{Frame, FrameHash};
use serde::de::DeserializeOwned;
pub use take::{Fold, TakeError};

use crate::damage::{FileHash, Flaw, Found, ReadError, Remedy};
use crate::disk::{Reader, Stored};
use crate::layout::{Fields, Section};
use crate::ledger_digest::RowsDigest;
use crate::segment::BookedKey;
use layout::{Footer, HEADER_BYTES, KEY_BYTES, RowBlock, decode_header, next_row};

/// Rows that are handed on at a time.
const ROWS_AT_ONCE: usize = 64;

/// Where a snapshot is taken: at the end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The last record that is folded in.
    pub seq: Seq,
    /// The hash of the frame that ends with it.
    pub hash: FrameHash,
    /// Keys of purchases up to this record are in the archive and not in the snapshot.
    pub archived: Seq,
}

/// A snapshot, opened and checked but for its rows.
#[derive(Debug)]
pub struct Snapshot {
    stored: Stored,
    cut: Cut,
    footer: Footer,
    index: Vec<RowBlock>,
}

impl Snapshot {
    /// Opens a snapshot and checks header, footer, sizes and all sections but the rows.
    ///
    /// # Errors
    ///
    /// [`ReadError`], naming the file and the place.
    pub fn open(path: &Path) -> Result<Snapshot, ReadError> {
        let stored = Stored::new(path, Remedy::MoveSnapshot)?;
        if stored.size < HEADER_BYTES as u64 {
            let flaw = Flaw::Size { expected: HEADER_BYTES as u64, found: stored.size };
            return Err(stored.damaged(Found::at(0, flaw)));
        }
        let start = stored.reader()?.read(0, HEADER_BYTES)?;
        let cut = decode_header(&start).map_err(|flaw| stored.damaged(Found::at(0, flaw)))?;
        let footer = Footer::read(&stored)?;
        footer.desk.check(&stored, "desk")?;
        footer.totals.check(&stored, "totals")?;
        footer.keys.check(&stored, "keys")?;
        let index = footer.read_index(&stored)?;
        Ok(Snapshot { stored, cut, footer, index })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.stored.path
    }

    /// Returns the size of the file in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stored.size
    }

    /// Returns where it was taken.
    #[must_use]
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// Returns the ledger digest of what it holds.
    #[must_use]
    pub fn digest(&self) -> FileHash {
        self.footer.digest
    }

    /// Returns how many customers it holds.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.footer.row_count
    }

    #[cfg(test)]
    pub(crate) fn block_count(&self) -> usize {
        self.index.len()
    }

    /// Reads one customer's row and the last record that names the customer, or `None` when there is no such customer.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the block that should hold it is damaged.
    pub fn row(&self, customer: CustomerId) -> Result<Option<(Row, Seq)>, ReadError> {
        let Some(at) = self.block_of(customer) else { return Ok(None) };
        let bytes = self.read_block(&self.stored.reader()?, at)?;
        self.row_in(at, &bytes, customer)
    }

    /// Finds the block that holds a customer's row, if any does.
    fn block_of(&self, customer: CustomerId) -> Option<usize> {
        self.index.partition_point(|block| block.first <= customer).checked_sub(1)
    }

    /// Finds a customer's row in the bytes of a block.
    fn row_in(&self, at: usize, bytes: &[u8], customer: CustomerId) -> Result<Option<(Row, Seq)>, ReadError> {
        let mut fields = Fields::new(bytes);
        while 0 < fields.left() {
            let entry = next_row(&mut fields).map_err(|flaw| self.row_damaged(at, flaw))?;
            if entry.customer == customer {
                let row = decode_row(customer, entry.value).map_err(|flaw| self.row_damaged(at, flaw))?;
                return Ok(Some((row, entry.last)));
            }
        }
        Ok(None)
    }

    fn read_block(&self, reader: &Reader<'_>, at: usize) -> Result<Vec<u8>, ReadError> {
        let block = &self.index[at];
        let bytes = reader.read(block.offset, block.length as usize)?;
        let found = crc32c::crc32c(&bytes);
        if found == block.crc {
            return Ok(bytes);
        }
        Err(self.row_damaged(at, Flaw::Checksum { what: "block of rows", expected: block.crc, found }))
    }

    fn row_damaged(&self, at: usize, flaw: Flaw) -> ReadError {
        self.stored.damaged(Found::at(self.index[at].offset, flaw))
    }

    /// Reads every row in order of the customers: the value as it is stored, the row, the last record that names it.
    fn rows(&self) -> Result<Rows<'_>, ReadError> {
        let reader = self.stored.reader()?;
        Ok(Rows { snapshot: self, reader, next_block: 0, block: Vec::new(), taken: 0, rows: 0, last: None })
    }

    /// Reads the ledger, without the keys of purchases that are archived: [`crate::Archive::keys`] has them.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a part is damaged.
    pub fn load(&self) -> Result<Ledger, ReadError> {
        let mut rows = Map::default();
        rows.reserve(self.customers());
        let ledger = self.load_but_rows(|some| {
            rows.extend(some.into_iter().map(|row| (row.id, row)));
            Ok::<_, ReadError>(())
        })?;
        Ok(Ledger { rows, ..ledger })
    }

    /// As [`Snapshot::load`], of a ledger whose rows are kept elsewhere: they go to `put`, some at a time, in order of the customers.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a part is damaged, or what `put` says. Rows may have gone to `put` before.
    pub fn load_but_rows<E: From<ReadError>>(
        &self,
        mut put: impl FnMut(Vec<Row>) -> Result<(), E>,
    ) -> Result<Ledger, E> {
        let mut desk = self.desk()?;
        desk.reserve_customers(self.customers());
        let mut stored = self.rows()?;
        loop {
            let some = stored.by_ref().take(ROWS_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
            if some.is_empty() {
                break;
            }
            let known = |stored: &StoredRow| (stored.row.id, Known { tenant: stored.row.tenant, last: stored.last });
            desk.restore_customers(&some.iter().map(known).collect::<Vec<_>>());
            put(some.into_iter().map(|stored| stored.row).collect())?;
        }
        for key in self.keys()? {
            desk.restore_key(key.prefix, key.seq);
        }
        Ok(Ledger { desk, totals: self.totals()?, ..Ledger::default() })
    }

    /// Counts the customers; held against the bytes of the blocks when the snapshot was opened.
    fn customers(&self) -> usize {
        self.index.iter().map(|block| block.rows as usize).sum()
    }

    /// Reads the desk, without customers and keys.
    fn desk(&self) -> Result<Desk, ReadError> {
        let mut desk = Desk::default();
        self.values(&self.footer.desk, "desk", |piece: DeskPiece| desk.restore(piece).map_err(|misfit| misfit.0))?;
        if desk.last() == self.cut.seq {
            return Ok(desk);
        }
        Err(self.stored.damaged(Found::at(self.footer.desk.offset, Flaw::Misfit("the desk is of another position"))))
    }

    fn totals(&self) -> Result<Totals, ReadError> {
        let mut totals = Totals::default();
        totals.last = self.cut.seq;
        self.values(&self.footer.totals, "totals", |(tenant, sums): (TenantId, TenantTotals)| {
            totals.restore(tenant, sums).map_err(|misfit| misfit.0)
        })?;
        Ok(totals)
    }

    fn values<T: DeserializeOwned>(
        &self,
        section: &Section,
        what: &'static str,
        mut see: impl FnMut(T) -> Result<(), &'static str>,
    ) -> Result<(), ReadError> {
        let bytes = section.read(&self.stored, what)?;
        let mut fields = Fields::new(&bytes);
        while 0 < fields.left() {
            let at = section.offset + (bytes.len() - fields.left()) as u64;
            let value = fields.u32().and_then(|length| fields.take(length as usize));
            let value = value.and_then(|value| decode(what, value));
            let seen = value.and_then(|value| see(value).map_err(Flaw::Misfit));
            seen.map_err(|flaw| self.stored.damaged(Found::at(at, flaw)))?;
        }
        Ok(())
    }

    /// Reads the purchases booked after what is archived, in their order.
    fn keys(&self) -> Result<Vec<BookedKey>, ReadError> {
        let bytes = self.footer.keys.read(&self.stored, "keys")?;
        let mut fields = Fields::new(&bytes);
        let mut keys: Vec<BookedKey> = Vec::with_capacity(bytes.len() / KEY_BYTES);
        while 0 < fields.left() {
            let key = fields.u64().and_then(|prefix| Ok(BookedKey { prefix, seq: Seq(fields.u64()?) }));
            let key = key.and_then(|key| {
                let least = keys.last().map_or(self.cut.archived.next(), |last| last.seq);
                if least <= key.seq && key.seq <= self.cut.seq { Ok(key) } else { Err(Flaw::Order("keys")) }
            });
            keys.push(key.map_err(|flaw| self.stored.damaged(Found::at(self.footer.keys.offset, flaw)))?);
        }
        Ok(keys)
    }

    /// Checks that a frame of the journal or the archive and the snapshot belong together: it follows the cut, or ends
    /// there.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when records between the two are missing, or when they are of different ledgers.
    pub fn meets(&self, frame: &Frame) -> Result<(), ReadError> {
        let Cut { seq, hash, .. } = self.cut;
        let (next, first, last) = (seq.next(), frame.first_seq(), frame.last_seq());
        let found = if last == seq { frame.hash() } else { frame.previous() };
        let what = if last != seq && first != next {
            Flaw::NotDense { expected: next, found: first }
        } else if found != hash {
            Flaw::Cut { seq, expected: found, found: hash }
        } else {
            return Ok(());
        };
        Err(self.stored.damaged(Found::of(seq, what)))
    }

    /// Returns where the footer starts: what the hash of the file covers ends there.
    pub(crate) fn footer_start(&self) -> u64 {
        self.footer.keys.offset + self.footer.keys.length
    }

    /// Reads all bytes and checks their hash, without understanding them.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when they are not those that were written.
    pub fn check_bytes(&self) -> Result<(), ReadError> {
        let (expected, found) = (self.footer.file_hash, self.stored.hash(self.footer_start())?);
        if expected == found {
            return Ok(());
        }
        Err(self.stored.damaged(Found::whole(Flaw::FileHash { expected, found })))
    }

    /// Reads everything and understands it: every row in its place, the desk, the sums, the keys, the ledger digest,
    /// the hash of the file.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first thing that is wrong.
    pub fn verify(&self) -> Result<(), ReadError> {
        let mut digest = RowsDigest::new(self.footer.row_count);
        for entry in self.rows()? {
            digest.row(&entry?.row);
        }
        self.keys()?;
        let rest = Ledger { desk: self.desk()?, totals: self.totals()?, ..Ledger::default() };
        let (expected, found) = (self.footer.digest, digest.finish(&rest));
        if expected != found {
            return Err(self.stored.damaged(Found::whole(Flaw::Digest { expected, found })));
        }
        self.check_bytes()
    }
}

/// A row as it is stored, and what it says.
struct StoredRow {
    value: Vec<u8>,
    row: Row,
    last: Seq,
}

/// Reads rows in order of the customers, a block at a time; ends after the first error.
struct Rows<'a> {
    snapshot: &'a Snapshot,
    reader: Reader<'a>,
    next_block: usize,
    block: Vec<u8>,
    /// Bytes and rows of the block that were handed out.
    taken: usize,
    rows: u32,
    last: Option<CustomerId>,
}

impl Rows<'_> {
    fn read(&mut self) -> Result<Option<StoredRow>, ReadError> {
        if self.taken == self.block.len() {
            let Some(block) = self.snapshot.index.get(self.next_block) else { return Ok(None) };
            let at = self.next_block;
            self.block = self.snapshot.read_block(&self.reader, at)?;
            (self.taken, self.rows, self.next_block) = (0, 0, at + 1);
            if Fields::new(&self.block).u128().ok() != Some(block.first.0) {
                return Err(self.snapshot.row_damaged(at, Flaw::Order("first customer of a block of rows")));
            }
        }
        let at = self.next_block - 1;
        self.next_in_block().map(Some).map_err(|flaw| self.snapshot.row_damaged(at, flaw))
    }

    fn next_in_block(&mut self) -> Result<StoredRow, Flaw> {
        let mut fields = Fields::new(&self.block[self.taken..]);
        let entry = next_row(&mut fields)?;
        let row = decode_row(entry.customer, entry.value)?;
        if self.last.is_some_and(|last| entry.customer <= last) {
            return Err(Flaw::Order("rows"));
        }
        if self.snapshot.cut.seq < entry.last || entry.last == Seq::ZERO {
            return Err(Flaw::OutOfRange("last record of a customer"));
        }
        self.last = Some(entry.customer);
        self.rows += 1;
        self.taken = self.block.len() - fields.left();
        let count = self.snapshot.index[self.next_block - 1].rows;
        if (self.taken == self.block.len()) != (self.rows == count) {
            return Err(Flaw::OutOfRange("count of rows of a block"));
        }
        Ok(StoredRow { value: entry.value.to_vec(), row, last: entry.last })
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<StoredRow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose();
        if let Some(Err(_)) = read {
            // Nothing is handed out after what is damaged.
            (self.block, self.taken, self.next_block) = (Vec::new(), 0, self.snapshot.index.len());
        }
        read
    }
}

fn decode_row(customer: CustomerId, value: &[u8]) -> Result<Row, Flaw> {
    let row: Row = decode("row", value)?;
    if row.id == customer { Ok(row) } else { Err(Flaw::Row { expected: customer, found: row.id }) }
}

fn decode<T: DeserializeOwned>(what: &'static str, value: &[u8]) -> Result<T, Flaw> {
    decode_value(value).map_err(|said| Flaw::Value { what, said: said.to_string() })
}
