//! The program as its users have it: the real binary, real sockets, a real disk, and models that share no code with it.

mod damage;
mod earning_model;
mod full_disk;
mod kills;
mod model;
mod program;
mod slice;
mod what_if;
