//! The promises of the embedded log, each proved by breaking what it is built on.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cache;
mod crash;
mod damage;
mod damage_live;
mod faults;
mod fencing;
mod model;
mod power;
mod readers;
mod support;
mod tail;
