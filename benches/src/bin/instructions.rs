//! Runs one piece of a purchase's way for so many purchases, for whoever counts its instructions: `instructions STAGE COUNT`.
//!
//! What is to be counted is what [`measured`] does; `instructions.sh` tells callgrind so.

use std::any::Any;
use std::io::{self, Write};
use std::process::ExitCode;

use kembali_benches::Stage;

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if let [name, count] = asked.as_slice()
        && let Some(stage) = Stage::ALL.into_iter().find(|stage| stage.name() == name.as_str())
        && let Ok(count) = count.parse()
    {
        drop(measured(stage.prepare(count)));
        return ExitCode::SUCCESS;
    }
    let names = Stage::ALL.map(Stage::name).join(", ");
    // If nobody reads the error stream, the exit code has to do.
    let _ = writeln!(io::stderr(), "usage: instructions STAGE COUNT, with STAGE one of {names}");
    ExitCode::from(2)
}

/// Has a name of its own in the program, so that counting can begin and end with it.
#[inline(never)]
fn measured(run: Box<dyn FnOnce() -> Box<dyn Any>>) -> Box<dyn Any> {
    run()
}
