//! Where rows lie that are not in memory: a file without a name in the data directory, gone with the process. The journal has everything.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use kembali_machine::Store;

/// The file's name in the data directory, for as long as it takes to open it.
const NAME: &str = "customers-away";

/// A file that nobody else sees.
#[derive(Debug)]
pub(crate) struct AwayFile {
    file: File,
    /// Where it would be, for whoever reads an error.
    path: PathBuf,
}

impl AwayFile {
    /// Makes the file in `dir`, empty.
    pub(crate) fn create(dir: &Path) -> io::Result<AwayFile> {
        let path = dir.join(NAME);
        // One that was left stood there when a process was killed between these two steps.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(AwayFile { file, path })
    }

    /// Adds which file it was: nobody can look for one without a name.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{} (a file without a name): {error}", self.path.display()))
    }
}

impl Store for AwayFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at).map_err(|error| self.named(&error))
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, at).map_err(|error| self.named(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_no_name_and_an_error_has() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AwayFile::create(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        file.write(4_096, b"a row").unwrap();
        let mut bytes = [0; 5];
        file.read(4_096, &mut bytes).unwrap();
        assert_eq!(&bytes, b"a row");
        let error = file.read(4_097, &mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains(&dir.path().join(NAME).display().to_string()), "{error}");
    }
}
