//! The exit codes of the program, for scripts and supervisors. They never change their meaning.

use std::process::ExitCode;

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything that was asked is done.
    Done = 0,
    /// It could not be done; the message says why.
    Failed = 1,
    // 2 is a wrong command line; the parser of the command line ends with it.
    /// Stored bytes are damaged. Nothing was changed.
    Damage = 3,
    /// The server refused what was asked, or some lines of what was sent.
    Refused = 4,
    /// The server could not be reached, went away, or did not answer in time.
    Unreachable = 5,
    /// It was not confirmed. Nothing was done.
    NotConfirmed = 6,
    /// A bug: the program stopped itself before it could do harm. Start it again; nothing acknowledged is lost.
    Bug = 70,
    /// The disk failed: nothing more is acknowledged. Nothing acknowledged is lost.
    DiskFault = 74,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// What `--help` says of them.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done
   1  it could not be done; the message says why
   2  the command line is wrong
   3  stored bytes are damaged; nothing was changed
   4  the server refused what was asked, or some lines of what was sent
   5  the server could not be reached, went away, or did not answer in time
   6  it was not confirmed, or there was no terminal to ask on; nothing was done
  70  a bug stopped the program before it could do harm; nothing acknowledged is lost
  74  the disk failed; nothing acknowledged is lost";
