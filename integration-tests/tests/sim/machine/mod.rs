//! The simulator: the six real services over a log in memory, on a clock that the driver moves, with faults by seed.
//!
//! A run is one thread on tokio's paused time: waits cost nothing, and the same seed gives the same run.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod call;
pub mod check;
pub mod door;
pub mod keys;
pub mod log;
pub mod play;
pub mod positions;
pub mod traffic;
pub mod world;

/// Runs `future` on one thread and paused time.
pub fn on_paused_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}
