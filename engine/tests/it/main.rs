//! Integration tests of the engine: real actors, real threads, a real journal. One binary, so that it links once.

mod architecture;
mod as_of;
mod faults;
mod golden;
mod keys;
mod lab;
mod once;
mod outboxes;
mod parts;
mod preview;
mod quota;
mod refunds;
mod rotation;
mod same;
mod wallets;
mod what_if;
