//! All six services in one process, and what the command line does with them.

pub mod admin;
pub mod bench;
pub mod client;
pub mod cluster;
pub mod commands;
pub mod contract;
pub mod demo;
pub mod explain;
pub mod facts;
pub mod instant;
pub mod mapping;
pub mod verify;

pub use cluster::Cluster;
