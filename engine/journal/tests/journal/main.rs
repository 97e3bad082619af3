//! Tests of the journal through its public face, in one binary: what holds for every implementation, and what only a
//! disk can do to it.

#![allow(clippy::unwrap_used, reason = "what fails in a helper fails the test, at the line that says so")]
#![allow(clippy::print_stdout, reason = "seeds and counts are printed, so that a run can be judged and repeated")]

mod bit_rot;
mod contract;
mod files_moved;
mod power_cut;
mod profiles;
mod support;
mod torn_tail;
