//! A live line on standard error, for people who wait. Nothing is shown where nobody looks.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);

pub struct Progress {
    visible: bool,
    began: Duration,
    shown: Option<Duration>,
}

impl Progress {
    pub fn start() -> Self {
        Self { visible: std::io::stderr().is_terminal(), began: runtime::monotonic(), shown: None }
    }

    /// Shows `text`, unless the last one is too fresh.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let now = runtime::monotonic();
        if self.visible && self.shown.is_none_or(|shown| now - shown >= EVERY) {
            self.shown = Some(now);
            self.write(&text());
        }
    }

    /// Things a second since the start.
    pub fn rate(&self, count: u64) -> u64 {
        let millis = u64::try_from((runtime::monotonic() - self.began).as_millis()).unwrap_or(u64::MAX);
        count * 1_000 / millis.max(1)
    }

    /// Clears the line.
    pub fn end(&mut self) {
        if self.visible && self.shown.is_some() {
            self.write("");
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        drop(write!(stderr, "\r\x1b[2K{text}").and_then(|()| stderr.flush()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
