//! Reads all of a segment: every frame, the chain, every record, the tables, the hash of the file.

use kembali_core::totals::Totals;

use super::layout::{CUSTOMER_BYTES, KEY_BYTES};
use super::write::{Tables, customer_entry, key_entry, records};
use super::{Segment, chain};
use crate::damage::{Flaw, Found, ReadError};
use crate::layout::Section;

/// What a whole segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Frames.
    pub frames: u64,
    /// Records.
    pub records: u64,
    /// Booked purchases.
    pub keys: u64,
    /// Customers whom its records name.
    pub customers: u64,
    /// Bytes of the frames before they were compressed.
    pub raw_bytes: u64,
}

impl Segment {
    /// Reads everything: every block, the chain, every record, the tables, the sums, the hash of the file.
    ///
    /// `sums` are those of all records before the segment, and then those up to its last one.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first thing that is wrong, with the sequence number where records are concerned.
    pub fn verify(&self, sums: &mut Totals) -> Result<SegmentReport, ReadError> {
        let mut tables = Tables::default();
        let mut report = SegmentReport { frames: 0, records: 0, keys: 0, customers: 0, raw_bytes: 0 };
        let mut last: Option<kembali_journal::Frame> = None;
        for (index, block) in self.footer.blocks.iter().enumerate() {
            let placed = |found: Found| self.stored.damaged(found.placed(block.offset));
            let frames = self.read_block(index)?;
            match &last {
                None => self.check_link(index, self.header.previous, &frames[0])?,
                Some(last) => chain(last, frames[0].previous()).map_err(placed)?,
            }
            for frame in &frames {
                for record in records(frame) {
                    let record = record.map_err(|(seq, source)| placed(Found::of(seq, Flaw::Decode(source))))?;
                    tables.see(&record);
                    sums.evolve(&record);
                }
                report.frames += 1;
                report.records += frame.count() as u64;
                report.raw_bytes += frame.bytes().len() as u64;
            }
            last = frames.into_iter().last();
        }
        let (keys, customers) = tables.sorted();
        (report.keys, report.customers) = (keys.len() as u64, customers.len() as u64);
        self.compare::<KEY_BYTES>(&self.footer.keys, "key table", keys.iter().map(key_entry))?;
        self.compare::<CUSTOMER_BYTES>(&self.footer.customers, "customer table", customers.iter().map(customer_entry))?;
        match self.sums() {
            Ok(stored) if stored == *sums => (),
            Ok(_) => {
                let flaw = Flaw::Table { table: "sums", entry: 0 };
                return Err(self.stored.damaged(Found::at(self.footer.sums.offset, flaw)));
            }
            // Whole, by their checksum; nobody relies on them any more.
            Err(error) if error.is_older_version() => (),
            Err(error) => return Err(error),
        }
        self.check_bytes()?;
        Ok(report)
    }

    fn compare<const N: usize>(
        &self,
        section: &Section,
        table: &'static str,
        entries: impl ExactSizeIterator<Item = [u8; N]>,
    ) -> Result<(), ReadError> {
        let stored = section.read(&self.stored, table)?;
        let (stored, count) = (stored.chunks(N), entries.len());
        let wrong = |entry: usize| {
            self.stored.damaged(Found::at(section.offset + (entry * N) as u64, Flaw::Table { table, entry }))
        };
        if stored.len() != count {
            return Err(wrong(stored.len().min(count)));
        }
        let mut pairs = stored.zip(entries).enumerate();
        pairs.try_for_each(|(entry, (stored, said))| if stored == said { Ok(()) } else { Err(wrong(entry)) })
    }
}
