//! The journal: ordered, durable, fenced frames of records.
//!
//! Start with [`Journal`], the seam; [`Frame`] is what goes through it. [`SledJournal`] keeps it on disk,
//! [`MemoryJournal`] in memory with faults on demand; one contract suite runs over both. No record is understood here,
//! and no type of sled's leaves this crate.

mod chain;
pub mod codec;
mod damage;
mod durable;
mod files;
mod frame;
mod head;
mod journal;
mod memory;
pub mod opening;
mod profile_log;
pub mod profile_value;
mod profiles;
mod recovery;
mod sled_dir;
mod sled_generation;
mod verify;

pub use damage::{Flaw, Mended, OpenError, Remedy};
pub use durable::{GENERATION_BYTES_MAX_DEFAULT, Options, SledJournal};
pub use files::SyncFault;
pub use frame::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FRAME_RECORDS_MAX, FRAME_VERSION, Frame, FrameBuilder, FrameDamage, FrameHash,
    FrameTooLarge, RECORD_BYTES_MAX,
};
pub use head::LedgerId;
pub use journal::{
    AppendError, Frames, GenerationInfo, Journal, JournalFault, Position, ReadError, SealError, TrimError,
};
pub use memory::{MemoryDisk, MemoryFault, MemoryJournal};
pub use profiles::{
    PROFILE_KEY_BYTES_MAX, PROFILE_VALUE_BYTES_MAX, ProfileError, ProfileKey, ProfileReader, ProfileStore,
    verify_profiles,
};
pub use recovery::{JournalOwner, OpenReport};
pub use verify::{FramesOnCopy, VerifyReport, read_only_frames, verify_copy};
