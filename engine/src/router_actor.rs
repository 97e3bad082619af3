//! The shell of the router: messages in, machine calls, effects out. No rule is known here.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, System};
use kembali_core::command::Command;
use kembali_machine::{Answered, Outcome, Reply, Router};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock_guard::ClockGuard;
use crate::free_space::FreeSpace;
use crate::journal_thread::{Fault, Report, Work, WorkSender};
use crate::shard_actor::{Batch, ShardActor};
use crate::shared::Shared;
use crate::tell::tell;

/// How often the router looks whether time alone has made something due. Whoever asks sees it at once all the same.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Who waits for outcomes.
pub(crate) struct ReplyTo {
    pub(crate) sender: oneshot::Sender<Vec<Outcome>>,
    /// Given back when the outcomes leave, not when the caller does: what is decided takes room until then.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Commands that arrived together.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit {
    pub(crate) commands: Vec<Command>,
    pub(crate) reply: ReplyTo,
}

/// A shard's answers to one batch.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ShardAnswered(pub(crate) Vec<Answered>);

/// What the journal thread reports.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct JournalReport(pub(crate) Report);

/// The shards are there; sent once, before anything else.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Shards(pub(crate) Vec<Addr<ShardActor>>);

/// Ends the actor system once the sweep, if there is one, has come to rest. Sent once nothing else is in flight.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop(pub(crate) oneshot::Sender<()>);

/// Carries out what the machine has ready. Runs once the mailbox is empty, so that one round serves all of it.
#[derive(Message)]
#[rtype(result = "()")]
struct Pump;

/// Owns the machine's router, on the arbiter of the system.
pub(crate) struct RouterActor {
    pub(crate) machine: Router<ReplyTo>,
    pub(crate) clock: Arc<ClockGuard>,
    pub(crate) shards: Vec<Addr<ShardActor>>,
    pub(crate) journal: WorkSender,
    pub(crate) space: Arc<FreeSpace>,
    pub(crate) pump_due: bool,
    pub(crate) shared: Arc<Shared>,
    /// Who waits for the end; set once nobody can submit any more.
    pub(crate) stopping: Option<oneshot::Sender<()>>,
    pub(crate) on_fault: Option<Box<dyn FnOnce(Fault) + Send>>,
    pub(crate) mailbox_messages_max: usize,
}

impl RouterActor {
    fn pump_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.pump_due {
            self.pump_due = true;
            ctx.notify(Pump);
        }
    }

    /// Goes on with the sweep where it is due. Each piece leads to the next pump, by the answer of its shard or by the
    /// journal's report, so the sweep needs nobody to call.
    fn sweep(&mut self) {
        // On a full disk nothing is written that can wait; it goes on with the first pump that finds room again.
        let now = self.clock.now();
        // Nothing expires unasked by a clock that is wrong.
        let may = self.stopping.is_none() && !self.clock.is_off() && self.space.is_enough();
        if may && self.machine.is_sweep_due(now) {
            self.machine.sweep(now);
        }
    }

    /// Learns what is durable by now, and answers who waited for it.
    fn catch_up(&mut self) {
        let durable = self.shared.durable();
        if self.machine.durable() < durable {
            self.machine.confirm(durable);
            answer(self.machine.release());
        }
    }

    fn pump(&mut self) {
        self.catch_up();
        self.sweep();
        for (shard, batch) in self.machine.seal() {
            tell(&self.shards[shard], Batch(batch));
        }
        while let Some(group) = self.machine.next_group() {
            if self.journal.send(Work::Commit(group)).is_err() {
                // The thread ends only after it reported why; the report is on its way here, and stops everything.
                tracing::error!("the journal thread is gone");
                drop(self.machine.poison());
                return;
            }
        }
        answer(self.machine.release());
        // A piece of the sweep may be on its way still.
        if self.machine.is_idle()
            && let Some(done) = self.stopping.take()
        {
            let _ = done.send(());
            System::current().stop();
        }
    }

    /// Answers nothing more: every waiting caller sees its channel close.
    fn stop(&mut self, fault: Fault) {
        drop(self.machine.poison());
        if let Some(on_fault) = self.on_fault.take() {
            on_fault(fault);
        }
        System::current().stop_with_code(1);
    }
}

fn answer(replies: Vec<Reply<ReplyTo>>) {
    for reply in replies {
        // The caller may be gone; the fact stays.
        let _ = reply.to.sender.send(reply.outcomes);
    }
}

impl Actor for RouterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.mailbox_messages_max);
        ctx.run_interval(LOOK_EVERY, |own, ctx| own.pump_soon(ctx));
    }
}

impl Handler<Shards> for RouterActor {
    type Result = ();

    fn handle(&mut self, Shards(shards): Shards, ctx: &mut Self::Context) {
        self.shards = shards;
        // A sweep that was not done when the ledger stopped goes on.
        self.pump_soon(ctx);
    }
}

impl Handler<Submit> for RouterActor {
    type Result = ();

    fn handle(&mut self, Submit { commands, reply }: Submit, ctx: &mut Self::Context) {
        // Nobody waits any more and nothing was begun: skipping it is as if it had never arrived.
        if reply.sender.is_closed() {
            return;
        }
        self.catch_up();
        self.machine.submit(self.clock.now(), commands, reply);
        self.pump_soon(ctx);
    }
}

impl Handler<ShardAnswered> for RouterActor {
    type Result = ();

    fn handle(&mut self, ShardAnswered(answers): ShardAnswered, ctx: &mut Self::Context) {
        self.machine.answered(answers);
        self.pump_soon(ctx);
    }
}

impl Handler<JournalReport> for RouterActor {
    type Result = ();

    fn handle(&mut self, JournalReport(report): JournalReport, ctx: &mut Self::Context) {
        match report {
            Report::Committed => self.pump_soon(ctx),
            Report::Failed(fault) => self.stop(fault),
        }
    }
}

impl Handler<Stop> for RouterActor {
    type Result = ();

    fn handle(&mut self, Stop(done): Stop, ctx: &mut Self::Context) {
        self.stopping = Some(done);
        self.pump_soon(ctx);
    }
}

impl Handler<Pump> for RouterActor {
    type Result = ();

    fn handle(&mut self, _: Pump, _: &mut Self::Context) {
        self.pump_due = false;
        self.pump();
    }
}
