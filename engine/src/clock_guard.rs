//! The guard of the clock: stamps follow the clock of the wall as long as that runs like the monotonic one.
//!
//! A stamp decides what has expired, and never falls again. So a clock of the wall that jumps may not take the ledger with
//! it: beyond a tolerance the stamps go on with the monotonic clock, the server says that it is not ready, and nothing
//! expires that nobody asks for. A clock that comes back within the tolerance is followed again. One that was wrong at the
//! start and was put right, or a machine that slept, needs a restart, and with it somebody who has looked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kembali_core::Instant;

/// What a clock is: something that says which instant it is.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Something that says how much time has passed since some moment, and is never set.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How far the clock of the wall may run away.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Returns the system's monotonic clock.
#[must_use]
pub fn monotonic() -> Monotonic {
    let first = std::time::Instant::now();
    Arc::new(move || first.elapsed())
}

/// Reads the time, and notices when it cannot be trusted.
pub(crate) struct ClockGuard {
    wall: Clock,
    monotonic: Monotonic,
    /// What both said at first.
    first: OnceLock<(Instant, Duration)>,
    /// The last stamp that recovery found.
    last_stamp: Instant,
    is_off: AtomicBool,
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl ClockGuard {
    pub(crate) fn new(wall: Clock, monotonic: Monotonic, last_stamp: Instant) -> ClockGuard {
        ClockGuard { wall, monotonic, first: OnceLock::new(), last_stamp, is_off: AtomicBool::new(false) }
    }

    /// Says what the clock of the wall says.
    pub(crate) fn wall(&self) -> Instant {
        (self.wall)()
    }

    /// Says which instant it is.
    pub(crate) fn now(&self) -> Instant {
        let (wall, passed) = ((self.wall)(), (self.monotonic)());
        let (first_wall, first_passed) = *self.first.get_or_init(|| (wall, passed));
        let expected = first_wall.0.saturating_add(microseconds(passed.saturating_sub(first_passed)));
        let tolerance = microseconds(CLOCK_TOLERANCE);
        let now = wall.0.clamp(expected.saturating_sub(tolerance), expected.saturating_add(tolerance));
        let is_behind = now.saturating_add(tolerance) < self.last_stamp.0;
        let is_off = now != wall.0 || is_behind;
        if is_off != self.is_off.swap(is_off, Ordering::Relaxed) {
            let (wall, last_stamp) = (wall.0, self.last_stamp.0);
            if is_off {
                tracing::error!(
                    wall,
                    expected,
                    last_stamp,
                    "the clock has jumped, or lies behind the ledger: not ready; set it right, or restart once it is"
                );
            } else {
                tracing::warn!(wall, expected, "the clock is right again");
            }
        }
        Instant(now)
    }

    /// Returns true while the clock of the wall is not followed, or lies far behind what is recorded. Says what it was at
    /// the last look.
    pub(crate) fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Returns what a guard says when its two clocks say so much, all in seconds.
    fn guard(last_stamp: i64) -> impl Fn(i64, i64) -> (i64, bool) {
        let clocks = Arc::new([AtomicI64::new(0), AtomicI64::new(0)]);
        let (wall, passed, set) = (Arc::clone(&clocks), Arc::clone(&clocks), clocks);
        let wall: Clock = Arc::new(move || Instant(wall[0].load(Ordering::SeqCst) * SECOND));
        let passed: Monotonic = Arc::new(move || Duration::from_secs(passed[1].load(Ordering::SeqCst) as u64));
        let guard = ClockGuard::new(wall, passed, Instant(last_stamp * SECOND));
        move |at: i64, after: i64| {
            set[0].store(at, Ordering::SeqCst);
            set[1].store(after, Ordering::SeqCst);
            (guard.now().0 / SECOND, guard.is_off())
        }
    }

    #[test]
    fn r30_stamps_follow_a_clock_that_runs_and_none_that_jumps() {
        let look = guard(0);
        for (wall, passed, seen) in [
            (1_000_000, 5, (1_000_000, false)),
            (1_000_100, 105, (1_000_100, false)),
            // It is set, a little: that is followed.
            (1_000_400, 105, (1_000_400, false)),
            (999_800, 105, (999_800, false)),
            // A day ahead, an hour behind: the monotonic clock goes on, and no further than the tolerance.
            (1_086_500, 205, (1_000_500, true)),
            (1_086_600, 305, (1_000_600, true)),
            (996_800, 405, (1_000_100, true)),
            (1_000_401, 405, (1_000_401, false)),
            (i64::MAX / SECOND, 505, (1_000_800, true)),
            (i64::MIN / SECOND, 505, (1_000_200, true)),
        ] {
            assert_eq!(look(wall, passed), seen, "{wall} after {passed}");
        }
    }

    #[test]
    fn r30_a_clock_that_starts_far_behind_the_ledger_is_off_until_it_catches_up() {
        let look = guard(10_000);
        assert_eq!(look(9_699, 0), (9_699, true));
        assert_eq!(look(9_700, 1), (9_700, false));
    }
}
