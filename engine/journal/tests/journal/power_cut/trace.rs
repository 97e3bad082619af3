//! The record that the preloaded `shim.c` leaves: calls on files in the order they started and ended.

use std::ops::Range;

/// One call, or one end of a call.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Upper case when the call starts, lower case when it has returned; `M` is a mark.
    pub(crate) kind: u8,
    /// Pairs start and end.
    pub(crate) id: u64,
    /// An offset, a length or a result.
    pub(crate) number: i64,
    pub(crate) path: String,
    /// Where the data lie in the trace.
    pub(crate) data: Range<usize>,
}

/// Reads all whole entries.
pub(crate) fn parse(trace: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some((entry, next)) = parse_one(trace, at) {
        entries.push(entry);
        at = next;
    }
    assert_eq!(at, trace.len(), "the trace ends inside an entry");
    entries
}

fn parse_one(trace: &[u8], at: usize) -> Option<(Entry, usize)> {
    let head = trace.get(at..at + 19)?;
    let id = u64::from_le_bytes(head[1..9].try_into().ok()?);
    let number = i64::from_le_bytes(head[9..17].try_into().ok()?);
    let path_end = at + 19 + usize::from(u16::from_le_bytes(head[17..19].try_into().ok()?));
    let path = String::from_utf8(trace.get(at + 19..path_end)?.to_vec()).ok()?;
    let data_start = path_end + 4;
    let data_end = data_start + u32::from_le_bytes(trace.get(path_end..data_start)?.try_into().ok()?) as usize;
    (data_end <= trace.len()).then(|| (Entry { kind: head[0], id, number, path, data: data_start..data_end }, data_end))
}
