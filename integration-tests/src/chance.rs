//! Chance from a seed, so that what failed once can be made to fail again.

/// A stream of numbers that follows from its seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The chance of one actor of a run.
    pub fn new(seed: u64, actor: u64) -> Self {
        Self(seed ^ actor.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    #[expect(clippy::should_implement_trait, reason = "chance never ends, and nobody iterates over it")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A new command id.
    pub fn command_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

/// The number in an environment variable, or `default`: how a test is made longer, or repeated with its seed.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}
