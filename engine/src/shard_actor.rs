//! The shell of a shard: batches in, answers out. No rule is known here.

use actix::{Actor, Addr, Context, Handler, Message};
use kembali_machine::{Assigned, Shard};

use crate::journal_thread::{Fault, Report};
use crate::router_actor::{JournalReport, RouterActor, ShardAnswered};
use crate::tell::tell;

/// A batch of work, in the order of the tickets.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Batch(pub(crate) Vec<Assigned>);

/// Owns the rows of a shard.
pub(crate) struct ShardActor {
    pub(crate) shard: Shard,
    pub(crate) router: Addr<RouterActor>,
}

impl Actor for ShardActor {
    type Context = Context<Self>;
}

impl Handler<Batch> for ShardActor {
    type Result = ();

    fn handle(&mut self, Batch(batch): Batch, _: &mut Self::Context) {
        match self.shard.work(batch) {
            Ok(answers) => tell(&self.router, ShardAnswered(answers)),
            Err(error) => tell(&self.router, JournalReport(Report::Failed(Fault::Away(error)))),
        }
    }
}
