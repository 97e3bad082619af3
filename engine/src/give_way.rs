//! How threads that work beside the purchases give way to them.

use std::thread;
use std::time::{Duration, Instant};

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

/// How long such a thread works before it rests: no longer than a purchase may wait for a core.
const WORK: Duration = Duration::from_micros(100);
/// How many times as long it rests.
const RESTS_PER_WORK: u32 = 7;
/// The longest rest: a thread that others kept from working did not work all that time.
const REST_MAX: Duration = Duration::from_millis(5);

/// Lets a thread work an eighth of the time, in small pieces, for as long as nobody waits for it.
pub(crate) struct Pace {
    begun: Instant,
}

impl Pace {
    pub(crate) fn begin() -> Pace {
        Pace { begun: Instant::now() }
    }

    /// Rests, if it is time to and nobody waits.
    pub(crate) fn rest(&mut self, somebody_waits: bool) {
        let worked = self.begun.elapsed();
        if worked < WORK {
            return;
        }
        if !somebody_waits {
            thread::sleep(worked.saturating_mul(RESTS_PER_WORK).min(REST_MAX));
        }
        self.begun = Instant::now();
    }
}
