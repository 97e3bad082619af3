//! Kembali as one of those that are compared: a server started here, on a ledger of its own.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::{Measured, PeerError, WARM_UP_WAY, Way, all_booked};
use crate::mix::Mix;
use crate::run::{self, Plan};
use crate::server::Program;
use crate::workload::{Recipe, Workload};

pub(super) const NAME: &str = "Kembali";

const RUN_TIME_MAX: Duration = Duration::from_secs(600);

pub(super) struct Kembali {
    program: Program,
    rules: PathBuf,
}

impl Kembali {
    pub(super) fn new(program: Program, rules: PathBuf) -> Kembali {
        Kembali { program, rules }
    }

    /// Books the purchases of a recipe on a new ledger, after others to warm it up.
    pub(super) async fn measure(&self, way: Way, warm_up: &Recipe, recipe: &Recipe) -> Result<Measured, PeerError> {
        let dir = TempDir::new().map_err(PeerError::Directory)?;
        let data = dir.path().join("ledger");
        let program = &self.program;
        let mut server = program.start(&data).await?;
        program.apply(&self.rules).await?;
        let key = program.key()?;
        let plan = |way: Way| Plan {
            address: program.address().clone(),
            key: key.clone(),
            connections: way.connections(),
            batch: way.batch(),
            time_max: RUN_TIME_MAX,
            pace: None,
            window: None,
            mix: Mix::default(),
        };
        let warmed_up = run::run(Workload::new(warm_up.clone()), &plan(WARM_UP_WAY), None).await?;
        all_booked(NAME, warm_up, &warmed_up.tally)?;
        let before = program.totals().await?;
        let outcome = run::run(Workload::new(recipe.clone()), &plan(way), None).await?;
        all_booked(NAME, recipe, &outcome.tally)?;
        // Everything that was answered is there after a kill.
        program.kill(server).await?;
        server = program.start(&data).await?;
        let after = program.totals().await?;
        // It is gone before its directory is.
        program.kill(server).await?;
        match after.differences(&before, &outcome.tally).into_iter().next() {
            Some(difference) => Err(PeerError::Wrong { system: NAME, difference }),
            None => Ok(Measured { tally: outcome.tally, elapsed: outcome.elapsed, loyalty: after.loyalty }),
        }
    }
}
