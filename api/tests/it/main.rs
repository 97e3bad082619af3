//! The program as its users have it: the real binary, real sockets, a real disk, and models that share no code with it.

mod apply;
mod client;
mod damage;
mod dashboard;
mod described;
mod dompet;
mod earning_model;
mod encrypted;
mod export;
mod fake;
mod full_disk;
#[cfg(feature = "kafka")]
mod kafka;
mod kezbek;
mod kills;
mod loyaltea;
mod mail;
mod marketplace;
mod model;
mod onetap;
mod program;
mod receiver;
mod refused_files;
mod signed;
mod slice;
mod subscribers;
mod webhooks;
mod what_if;
