//! Where rows lie that are not in memory: a file without a name in the data directory, gone with the process. The journal has everything.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kembali_machine::Store;

/// The file's name in the data directory, for as long as it takes to open it.
const NAME: &str = "customers-away";

/// A file that nobody else sees.
#[derive(Debug)]
pub(crate) struct AwayFile(File);

impl AwayFile {
    /// Makes the file in `dir`, empty.
    pub(crate) fn create(dir: &Path) -> io::Result<AwayFile> {
        let path = dir.join(NAME);
        // One that was left stood there when a process was killed between these two steps.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(AwayFile(file))
    }
}

impl Store for AwayFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(bytes, at)
    }
}
