//! How threads that work beside the purchases give way to them.

/// How nice such a thread is. It gets a third of what another thread gets where two want one core; the journal waits for it where it falls
/// too far behind. With 0 a purchase in a hundred took 60 to 180 ms while a generation was archived, with 5 it took 8 to 16.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Lets the calling thread give way to all others. Where that is refused, or means the whole process, nothing changes.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "a thread cannot give way to others");
    }
}
