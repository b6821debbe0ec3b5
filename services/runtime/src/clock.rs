//! The one clock. Nothing else in the workspace reads time (L2); everything gets it from here or from a stamp.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::{Duration, Timestamp};
use tokio::sync::oneshot;

/// Longest uninterrupted sleep: the wall clock may jump while a timer sleeps, so it is looked at this often.
const SLICE: std::time::Duration = std::time::Duration::from_millis(500);

/// Real time, or a virtual time that a driver moves on. Cloning shares it.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    now_real: fn() -> Timestamp,
}

#[derive(Default)]
struct State {
    /// The virtual instant; `None` when time is real.
    virtual_now: Option<Timestamp>,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next_sleeper: u64,
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall_clock() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// A monotone clock for measuring spans; its zero is arbitrary.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotone clock")]
pub fn monotonic() -> std::time::Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

impl Clock {
    pub fn real() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), now_real: wall_clock }))
    }

    /// Real time as `source` tells it instead of the wall clock: for the proof of what happens when that jumps.
    pub fn told_by(source: fn() -> Timestamp) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), now_real: source }))
    }

    /// A clock that stands at `start` until it is moved.
    pub fn virtual_from(start: Timestamp) -> Self {
        let state = State { virtual_now: Some(start), ..State::default() };
        Self(Arc::new(Inner { state: Mutex::new(state), now_real: wall_clock }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Timestamp {
        self.state().virtual_now.unwrap_or_else(self.0.now_real)
    }

    pub fn is_virtual(&self) -> bool {
        self.state().virtual_now.is_some()
    }

    /// Resolves when the clock has reached `due`.
    pub async fn sleep_until(&self, due: Timestamp) {
        loop {
            let wake = {
                let mut state = self.state();
                match state.virtual_now {
                    Some(now) if now >= due => return,
                    Some(_) => {
                        let (sender, receiver) = oneshot::channel();
                        let number = state.next_sleeper;
                        state.next_sleeper += 1;
                        state.sleepers.insert((due, number), sender);
                        Ok(receiver)
                    }
                    None => Err(due.since((self.0.now_real)())),
                }
            };
            match wake {
                // A dropped sender means that time became real: look again.
                Ok(receiver) => drop(receiver.await),
                Err(left) if left <= Duration::ZERO => return,
                Err(left) => {
                    let left = std::time::Duration::from_micros(u64::try_from(left.as_micros()).unwrap_or(0));
                    tokio::time::sleep(left.min(SLICE)).await;
                }
            }
        }
    }

    /// Moves virtual time to `to`, never backwards, and wakes whoever is due. Does nothing in real time.
    pub fn advance_to(&self, to: Timestamp) {
        let mut state = self.state();
        let Some(now) = state.virtual_now else { return };
        let now = now.max(to);
        state.virtual_now = Some(now);
        while let Some(entry) = state.sleepers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().send(()).ok();
        }
    }

    /// When the next sleeper is due; virtual time moves from one to the next so that no timer fires late.
    pub fn next_due(&self) -> Option<Timestamp> {
        let mut state = self.state();
        // Sleepers that gave up leave a closed channel behind.
        while state.sleepers.first_entry().is_some_and(|entry| entry.get().is_closed()) {
            state.sleepers.pop_first();
        }
        state.sleepers.first_key_value().map(|((due, _), _)| *due)
    }

    /// From here on time is real; every sleeper looks again.
    pub fn become_real(&self) {
        let mut state = self.state();
        state.virtual_now = None;
        state.sleepers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    #[tokio::test]
    async fn virtual_sleepers_wake_when_the_clock_reaches_them() {
        let clock = Clock::virtual_from(at(100));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(at(160)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(clock.next_due(), Some(at(160)));
        clock.advance_to(at(159));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance_to(at(160));
        sleeper.await.unwrap();
        clock.advance_to(at(1));
        assert_eq!(clock.now(), at(160));
    }

    #[tokio::test]
    async fn sleepers_of_the_past_wake_when_time_becomes_real() {
        let clock = Clock::virtual_from(at(100));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(at(200)).await }
        });
        tokio::task::yield_now().await;
        clock.become_real();
        sleeper.await.unwrap();
        assert!(clock.now() > at(1_700_000_000));
    }
}
