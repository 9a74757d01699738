//! Servers of the real binary under load, that are killed, restarted, starved of room and of a working disk: what was acknowledged is there, nothing
//! was done that is not on record, and nobody is slowed down by those who only hold connections.

mod client;
mod disks;
mod idle;
mod kills;
mod restarts;
mod serving;
