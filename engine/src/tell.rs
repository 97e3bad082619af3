//! The one place that sends without looking at the mailbox: between our own actors, where a message answers another.
//!
//! Such messages are bounded by the permits at the door, which is why only answers, reports and orders to stop may go
//! this way. Everything that comes from outside is refused at the door or waits there.

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

/// Sends a message that cannot be refused.
#[expect(clippy::disallowed_methods, reason = "bounded by the permits at the door")]
pub(crate) fn tell<A, M>(actor: &Addr<A>, message: M)
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    actor.do_send(message);
}
