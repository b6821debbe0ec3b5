//! The rules of assignment, one by one: what is given, what happens, what is the case then.

#[path = "../common/mod.rs"]
mod common;

mod fairness;
mod offers;
mod reception;
mod roster;
mod waiting;
