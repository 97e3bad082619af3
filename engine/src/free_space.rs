//! The guard of the disk: the ledger turns read-only before the disk is full, and takes purchases again by itself.
//!
//! A disk that is full in the middle of a write is a fault that ends the process. This looks after each commit, while
//! there is room left for what is under way: the rest of a generation, its archive segment, a snapshot.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says how many bytes are free where the ledger lies.
pub type FreeBytes = Arc<dyn Fn() -> io::Result<u64> + Send + Sync>;

/// Asks the file system of `dir`, which must exist by the time of the first look.
#[must_use]
pub fn free_bytes_of(dir: &Path) -> FreeBytes {
    let dir: PathBuf = dir.to_path_buf();
    Arc::new(move || {
        let stat = rustix::fs::statvfs(&dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    })
}

/// How much must be free.
pub(crate) struct FreeSpace {
    free_bytes: FreeBytes,
    /// With less the ledger is read-only; 0 means that nobody looks.
    bytes_min: u64,
    is_low: AtomicBool,
}

impl FreeSpace {
    pub(crate) fn new(free_bytes: FreeBytes, bytes_min: u64) -> FreeSpace {
        FreeSpace { free_bytes, bytes_min, is_low: AtomicBool::new(false) }
    }

    /// Returns true when the ledger may take something. Costs nothing while there was room at the last look.
    pub(crate) fn is_enough(&self) -> bool {
        !self.is_low.load(Ordering::Relaxed) || self.look()
    }

    /// Returns how many bytes are free, and with how few the ledger is read-only.
    ///
    /// # Errors
    ///
    /// When the file system does not say.
    pub(crate) fn free_and_min(&self) -> io::Result<(u64, u64)> {
        Ok(((self.free_bytes)()?, self.bytes_min))
    }

    /// Looks at the disk, remembers, and returns true when there is room.
    pub(crate) fn look(&self) -> bool {
        if self.bytes_min == 0 {
            return true;
        }
        let was_low = self.is_low.load(Ordering::Relaxed);
        // A little more than it takes to begin is asked for before it ends, or it would flicker at the edge.
        let needed = if was_low { self.bytes_min.saturating_add(self.bytes_min / 8) } else { self.bytes_min };
        let is_low = match (self.free_bytes)() {
            Ok(free) => {
                if was_low != (free < needed) {
                    let (free_bytes_min, is_read_only) = (self.bytes_min, !was_low);
                    tracing::warn!(free, free_bytes_min, is_read_only, "the room on the disk has changed");
                }
                free < needed
            }
            Err(error) => {
                tracing::error!(%error, "the room on the disk cannot be told: the ledger is read-only");
                true
            }
        };
        self.is_low.store(is_low, Ordering::Relaxed);
        !is_low
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn low_begins_at_the_bound_and_ends_an_eighth_above_it() {
        let free = Arc::new(AtomicU64::new(1_000));
        let seen = Arc::clone(&free);
        let space = FreeSpace::new(Arc::new(move || Ok(seen.load(Ordering::Relaxed))), 800);
        for (bytes, is_enough) in [(800, true), (799, false), (899, false), (900, true), (800, true), (0, false)] {
            free.store(bytes, Ordering::Relaxed);
            assert_eq!(space.look(), is_enough, "{bytes}");
            assert_eq!(space.is_enough(), is_enough, "{bytes}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_no_room_and_zero_asks_nobody() {
        let broken: FreeBytes = Arc::new(|| Err(io::Error::other("no such disk")));
        assert!(!FreeSpace::new(Arc::clone(&broken), 1).look());
        assert!(FreeSpace::new(broken, 0).look());
    }

    #[test]
    fn a_real_disk_has_room() {
        assert!(free_bytes_of(Path::new("/"))().expect("it is there") > 0);
        assert!(free_bytes_of(Path::new("/no/such/folder"))().is_err());
    }
}
