//! Takes a snapshot: the previous one and the records since, merged as streams.
//!
//! In memory are the desk, the sums and the rows that those records name; never a second whole state.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use kembali_core::customer::Row;
use kembali_core::desk::Known;
use kembali_core::event::Record;
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::{CustomerId, Seq};
use kembali_journal::codec::encode_value;
use serde::Serialize;
use thiserror::Error;

use super::layout::{BLOCK_BYTES, Footer, ROW_HEAD_BYTES, RowBlock, RowEntry, encode_header};
use super::{Cut, Snapshot, StoredRow};
use crate::damage::{Flaw, Found, IoFault, ReadError, Remedy};
use crate::disk::{NewFile, Reader, Steps};
use crate::layout::Section;
use crate::ledger_digest::RowsDigest;
use crate::pause::pause;
use crate::segment::BookedKey;

/// Bytes of blocks of rows that are kept of the previous snapshot.
const BLOCKS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a snapshot was not taken.
#[derive(Debug, Error)]
pub enum TakeError<E: std::error::Error + 'static> {
    /// The snapshot would hold no more than the previous one.
    #[error("a snapshot at sequence number {} adds nothing to the one at {}", asked.0, previous.0)]
    NothingNew {
        /// Where it should be taken.
        asked: Seq,
        /// Where the previous one was.
        previous: Seq,
    },
    /// Keys would be neither in the archive nor in the snapshot.
    #[error("the previous snapshot leaves keys to an archive that ends at {}, this one ends at {}", previous.0, asked.0)]
    ArchiveShrank {
        /// Where the archive ends.
        asked: Seq,
        /// Where it ended before.
        previous: Seq,
    },
    /// The records could not be read.
    #[error("reading the records since the previous snapshot: {0}")]
    Records(E),
    /// The records are not those between the two snapshots.
    #[error("the records end before sequence number {} or leave it out", expected.0)]
    NotDense {
        /// The record that should have come.
        expected: Seq,
    },
    /// A record contradicts the ones before it.
    #[error("the record at sequence number {} contradicts the ledger: {what:?}", seq.0)]
    Inconsistent {
        /// Which.
        seq: Seq,
        /// How.
        what: Inconsistency,
    },
    /// A value cannot be stored.
    #[error("the {what} cannot be stored: {said}")]
    Value {
        /// What it is.
        what: &'static str,
        /// What the codec said.
        said: String,
    },
    /// The previous snapshot is damaged; take the next one from an older one, or from the first record on.
    #[error("reading the previous snapshot: {0}")]
    Previous(ReadError),
    /// A file could not be written. The snapshots are as they were, or the new one is there at the next open.
    #[error(transparent)]
    Io(#[from] IoFault),
    /// What was written does not read back.
    #[error("reading back the snapshot: {0}")]
    ReadBack(ReadError),
}

/// A snapshot that is being taken: the state as far as the records since the previous one touch it.
#[derive(Debug)]
pub struct Fold<'a> {
    previous: Option<Previous<'a>>,
    cut: Cut,
    /// The desk without untouched customers and without archived keys, the sums, and the touched rows.
    ledger: Ledger,
    /// Rows in all.
    row_count: u64,
    /// Purchases booked after what is archived.
    keys: Vec<BookedKey>,
}

impl<'a> Fold<'a> {
    /// Begins a snapshot at `cut` from the previous one, or from nothing.
    ///
    /// # Errors
    ///
    /// [`TakeError`] when it would hold no more than the previous one, or that one is damaged.
    pub fn start<E: std::error::Error>(previous: Option<&'a Snapshot>, cut: Cut) -> Result<Fold<'a>, TakeError<E>> {
        let before = previous.map_or(Seq::ZERO, |previous| previous.cut.seq);
        if cut.seq <= before {
            return Err(TakeError::NothingNew { asked: cut.seq, previous: before });
        }
        // Keys of records after the cut are not the snapshot's business, wherever they are.
        let cut = Cut { archived: cut.archived.min(cut.seq), ..cut };
        let Some(snapshot) = previous else {
            return Ok(Fold { previous: None, cut, ledger: Ledger::default(), row_count: 0, keys: Vec::new() });
        };
        if cut.archived < snapshot.cut.archived {
            return Err(TakeError::ArchiveShrank { asked: cut.archived, previous: snapshot.cut.archived });
        }
        let read = || {
            let mut keys = snapshot.keys()?;
            keys.retain(|key| cut.archived < key.seq);
            let ledger = Ledger { desk: snapshot.desk()?, totals: snapshot.totals()?, ..Ledger::default() };
            Ok((snapshot.stored.reader()?, ledger, keys))
        };
        let (reader, ledger, keys) = read().map_err(TakeError::Previous)?;
        let row_count = snapshot.footer.row_count;
        let previous = Previous { snapshot, reader, blocks: HashMap::new(), block_bytes: 0 };
        Ok(Fold { previous: Some(previous), cut, ledger, row_count, keys })
    }

    /// Returns where it is taken.
    #[must_use]
    pub const fn cut(&self) -> Cut {
        self.cut
    }

    /// Takes the next record.
    ///
    /// # Errors
    ///
    /// [`TakeError`] when it is not the next one, lies behind the cut or contradicts the ones before it, or when the previous
    /// snapshot is damaged.
    pub fn record<E: std::error::Error>(&mut self, record: &Record) -> Result<(), TakeError<E>> {
        let expected = self.ledger.desk.last().next();
        if record.seq != expected || self.cut.seq < record.seq {
            return Err(TakeError::NotDense { expected });
        }
        if let Some(customer) = record.body.customer {
            self.touch(customer).map_err(TakeError::Previous)?;
        }
        let evolved = self.ledger.evolve(record);
        evolved.map_err(|what| TakeError::Inconsistent { seq: record.seq, what })?;
        for event in &record.body.events {
            if let Some(key) = event.booked_key()
                && self.cut.archived < record.seq
            {
                self.keys.push(BookedKey { prefix: key.prefix(), seq: record.seq });
            }
        }
        Ok(())
    }

    /// Fetches the row of a customer whom a record names for the first time.
    fn touch(&mut self, customer: CustomerId) -> Result<(), ReadError> {
        if self.ledger.rows.contains_key(&customer) {
            return Ok(());
        }
        let found = self.previous.as_mut().map(|previous| previous.row(customer));
        match found.transpose()?.flatten() {
            None => self.row_count += 1,
            Some((row, last)) => {
                self.ledger.desk.restore_customers(&[(customer, Known { tenant: row.tenant, last })]);
                self.ledger.rows.insert(customer, row);
            }
        }
        Ok(())
    }

    /// Writes it at `path`, durably, and reads it back.
    pub(crate) fn write<E: std::error::Error>(self, path: &Path, steps: &Steps) -> Result<Snapshot, TakeError<E>> {
        let Fold { previous, cut, mut ledger, row_count, keys } = self;
        if ledger.desk.last() != cut.seq {
            return Err(TakeError::NotDense { expected: ledger.desk.last().next() });
        }
        let file = NewFile::create(path, steps)?;
        let mut rows = RowRun { file, block: Vec::new(), index: Vec::new(), digest: RowsDigest::new(row_count) };
        rows.file.put(&encode_header(&cut))?;
        let start = rows.file.offset();
        let mut touched: Vec<CustomerId> = ledger.rows.keys().copied().collect();
        touched.sort_unstable();
        let mut touched = touched.into_iter().peekable();
        let mut put_touched = |rows: &mut RowRun, customer| {
            let row = ledger.rows.remove(&customer).expect("what was touched has a row");
            rows.put_new(row, ledger.desk.last_record_of(customer))
        };
        let stored = previous.map(|previous| previous.snapshot.rows()).transpose().map_err(TakeError::Previous)?;
        for stored in stored.into_iter().flatten() {
            let stored = stored.map_err(TakeError::Previous)?;
            while let Some(customer) = touched.next_if(|customer| *customer < stored.row.id) {
                put_touched(&mut rows, customer)?;
            }
            match touched.next_if_eq(&stored.row.id) {
                Some(customer) => put_touched(&mut rows, customer)?,
                None => rows.put(stored)?,
            }
        }
        for customer in touched {
            put_touched(&mut rows, customer)?;
        }
        let Whole { file, footer } = rows.finish(&ledger, &keys, start, row_count)?;
        let path = file.publish()?;
        let snapshot = Snapshot::open(&path).map_err(TakeError::ReadBack)?;
        let same = (snapshot.cut, &snapshot.footer) == (cut, &footer);
        let read_back = if same { snapshot.check_bytes() } else { Err(not_read_back(&path)) };
        read_back.map_err(TakeError::ReadBack)?;
        Ok(snapshot)
    }
}

/// The previous snapshot, and the blocks of rows that were read of it.
#[derive(Debug)]
struct Previous<'a> {
    snapshot: &'a Snapshot,
    reader: Reader<'a>,
    blocks: HashMap<usize, Vec<u8>>,
    block_bytes: usize,
}

impl Previous<'_> {
    fn row(&mut self, customer: CustomerId) -> Result<Option<(Row, Seq)>, ReadError> {
        let Some(at) = self.snapshot.block_of(customer) else { return Ok(None) };
        if BLOCKS_BYTES_MAX < self.block_bytes {
            // Whoever buys in any order needs each of them about as soon as any other.
            self.blocks.clear();
            self.block_bytes = 0;
        }
        let block = match self.blocks.entry(at) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let block = self.snapshot.read_block(&self.reader, at)?;
                self.block_bytes += block.len();
                entry.insert(block)
            }
        };
        self.snapshot.row_in(at, block, customer)
    }
}

fn not_read_back(path: &Path) -> ReadError {
    Found::whole(Flaw::ReadBack).in_file(path, Remedy::RemoveNew)
}

/// A file that is whole but for its name.
struct Whole {
    file: NewFile,
    footer: Footer,
}

/// The rows as they are written.
struct RowRun {
    file: NewFile,
    /// The rows of the block that is open.
    block: Vec<u8>,
    /// The last entry is of the block that is open, if it holds any row.
    index: Vec<RowBlock>,
    digest: RowsDigest,
}

impl RowRun {
    fn put_new<E: std::error::Error>(&mut self, row: Row, last: Seq) -> Result<(), TakeError<E>> {
        let mut value = Vec::with_capacity(128);
        encode("row", &row, &mut value)?;
        Ok(self.put(StoredRow { value, row, last })?)
    }

    fn put(&mut self, stored: StoredRow) -> Result<(), IoFault> {
        let StoredRow { value, row, last } = stored;
        let customer = row.id;
        if self.block.is_empty() {
            let offset = self.file.offset();
            self.index.push(RowBlock { first: customer, offset, length: 0, crc: 0, rows: 0 });
        }
        RowEntry { customer, last, value: &value }.encode(&mut self.block);
        if let Some(block) = self.index.last_mut() {
            block.rows += 1;
        }
        self.digest.row(&row);
        pause();
        if BLOCK_BYTES <= self.block.len() + ROW_HEAD_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), IoFault> {
        if let Some(block) = self.index.last_mut().filter(|_| !self.block.is_empty()) {
            // A block is closed by the row that fills it, far below 4 GiB.
            (block.length, block.crc) = (self.block.len() as u32, crc32c::crc32c(&self.block));
            self.file.put(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }

    /// Writes all that follows the rows.
    fn finish<E: std::error::Error>(
        mut self,
        ledger: &Ledger,
        keys: &[BookedKey],
        start: u64,
        row_count: u64,
    ) -> Result<Whole, TakeError<E>> {
        self.close()?;
        let RowRun { mut file, index, digest, .. } = self;
        let length = file.offset() - start;
        // Each block has its own checksum; theirs stand in the index, which has one.
        let rows = Section { offset: start, length, crc: 0, kind: 1 };
        let index = put_section(&mut file, 2, index.iter().map(|block| Ok(index_entry(block))))?;
        let desk = put_section(&mut file, 3, ledger.desk.pieces().map(|piece| value("desk", &piece)))?;
        let totals = ledger.totals.tenants().map(|tenant| value("totals", &tenant));
        let totals = put_section(&mut file, 4, totals)?;
        let keys = put_section(&mut file, 5, keys.iter().map(|key| Ok(key_entry(key))))?;
        let digest = digest.finish(ledger);
        let footer = Footer { rows, index, desk, totals, keys, row_count, digest, file_hash: file.hash() };
        file.put(&footer.encode())?;
        Ok(Whole { file, footer })
    }
}

fn index_entry(block: &RowBlock) -> Vec<u8> {
    let mut entry = block.first.0.to_le_bytes().to_vec();
    entry.extend_from_slice(&block.offset.to_le_bytes());
    for number in [block.length, block.crc, block.rows] {
        entry.extend_from_slice(&number.to_le_bytes());
    }
    entry
}

fn key_entry(key: &BookedKey) -> Vec<u8> {
    [key.prefix.to_le_bytes(), key.seq.0.to_le_bytes()].concat()
}

/// Encodes a value with its length before it.
fn value<E: std::error::Error>(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, TakeError<E>> {
    let mut out = vec![0; 4];
    encode(what, value, &mut out)?;
    let length = u32::try_from(out.len() - 4);
    let length = length.map_err(|_| TakeError::Value { what, said: "it has more than 4 GiB".into() })?;
    out[..4].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

fn encode<E: std::error::Error>(
    what: &'static str,
    value: &impl Serialize,
    out: &mut Vec<u8>,
) -> Result<(), TakeError<E>> {
    encode_value(value, out).map_err(|said| TakeError::Value { what, said: said.to_string() })
}

fn put_section<E: std::error::Error>(
    file: &mut NewFile,
    kind: u32,
    parts: impl Iterator<Item = Result<Vec<u8>, TakeError<E>>>,
) -> Result<Section, TakeError<E>> {
    let (offset, mut crc) = (file.offset(), 0);
    for part in parts {
        let part = part?;
        crc = crc32c::crc32c_append(crc, &part);
        file.put(&part)?;
    }
    Ok(Section { offset, length: file.offset() - offset, crc, kind })
}
