//! The registry of topics. Numbers are on the log for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One topic of the cluster. Each has one writing service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Topic {
    Intake = 1,
    Roster = 2,
    Intent = 3,
    Assignment = 4,
    Kpi = 5,
    Payroll = 6,
    /// Public, for finance. Written by payroll in the same batch as its own events.
    Payout = 7,
}

pub const TOPICS: [Topic; 7] =
    [Topic::Intake, Topic::Roster, Topic::Intent, Topic::Assignment, Topic::Kpi, Topic::Payroll, Topic::Payout];

impl Topic {
    pub const fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Self> {
        TOPICS.into_iter().find(|topic| topic.number() == number)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "fenliu.intake.v1",
            Self::Roster => "fenliu.roster.v1",
            Self::Intent => "fenliu.intent.v1",
            Self::Assignment => "fenliu.assignment.v1",
            Self::Kpi => "fenliu.kpi.v1",
            Self::Payroll => "fenliu.payroll.v1",
            Self::Payout => "fenliu.payout.v1",
        }
    }

    /// The topic whose writer also writes this one.
    pub const fn writer(self) -> Self {
        match self {
            Self::Payout => Self::Payroll,
            other => other,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Topic {
    type Err = String;
    /// Takes the full name or the service's short one: `fenliu.kpi.v1` or `kpi`.
    fn from_str(text: &str) -> Result<Self, String> {
        TOPICS
            .into_iter()
            .find(|topic| topic.name() == text || topic.name().split('.').nth(1) == Some(text))
            .ok_or_else(|| format!("no topic {text:?}; there are {}", TOPICS.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_names_parse_back() {
        for (n, topic) in TOPICS.into_iter().enumerate() {
            assert_eq!(usize::from(topic.number()), n + 1);
            assert_eq!(topic.name().parse(), Ok(topic));
        }
        assert_eq!("payout".parse(), Ok(Topic::Payout));
        assert!("x".parse::<Topic>().is_err());
        assert_eq!(Topic::from_number(0), None);
    }
}
