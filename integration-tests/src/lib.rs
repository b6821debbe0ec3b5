//! What the proofs of the whole share: a company, a server that can be killed, people who work with it, and the log
//! as evidence. It knows Fenliu from outside only: by gRPC, and by what stands on the log.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that uses it")]

pub mod cases;
pub mod chance;
pub mod company;
pub mod evidence;
pub mod load;
pub mod open;
pub mod people;
pub mod raw;
pub mod server;
pub mod table;
pub mod watcher;
