//! From text to hashed features: masked first, keyed per tenant, no text left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this extractor; a change of what it yields is a new version.
pub const FEATURE_VERSION: u32 = 1;
/// Characters of a conversation that are looked at: intent shows early, and cost must be bounded (L9).
const CHARACTERS_MAX: usize = 1_000;

/// Hashed n-grams with their counts, ascending: words and positions, and characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Features {
    pub version: u32,
    pub words: Vec<(u32, u32)>,
    pub characters: Vec<(u32, u32)>,
}

impl Features {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are, of both blocks.
    pub fn len(&self) -> usize {
        self.words.len() + self.characters.len()
    }

    /// The features of both texts together.
    pub fn plus(&self, other: &Self) -> Self {
        let add = |a: &[(u32, u32)], b: &[(u32, u32)]| {
            let mut sum: BTreeMap<u32, u32> = a.iter().copied().collect();
            for (hash, count) in b {
                let entry = sum.entry(*hash).or_default();
                *entry = entry.saturating_add(*count);
            }
            sum.into_iter().collect()
        };
        Self {
            version: self.version.max(other.version),
            words: add(&self.words, &other.words),
            characters: add(&self.characters, &other.characters),
        }
    }
}

/// What a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Han,
    Mark,
}

fn kind(c: char) -> Option<Kind> {
    let han = matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff | 0x20000..=0x2fa1f);
    if han {
        Some(Kind::Han)
    } else if c.is_alphanumeric() {
        Some(Kind::Word)
    } else if c.is_whitespace() || c.is_control() {
        None
    } else {
        Some(Kind::Mark)
    }
}

/// Lower case, full-width forms to half-width.
fn normalise(text: &str) -> Vec<char> {
    let narrow = |c: char| match u32::from(c) {
        0x3000 => ' ',
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(c),
        _ => c,
    };
    text.chars().take(CHARACTERS_MAX).map(narrow).flat_map(char::to_lowercase).collect()
}

fn holds(part: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    part.windows(text.len()).any(|window| window == text)
}

/// A mail address or a link. In Chinese it stands without spaces, so that `part` is a run of ASCII only.
fn leads_back(part: &[char]) -> bool {
    let mail = part.contains(&'@') && part.contains(&'.');
    mail || holds(part, "://") || holds(part, "www.")
}

/// Runs of letters and digits, runs of Han, single marks. Mail addresses and links become one mark each, digits keep
/// only how many they are: phone numbers, order numbers and amounts leave no trace that leads back.
fn tokens(text: &str) -> Vec<(Kind, Vec<char>)> {
    let mut tokens: Vec<(Kind, Vec<char>)> = Vec::new();
    for piece in normalise(text).split(|c| c.is_whitespace()) {
        let mut parts: Vec<&[char]> = piece.chunk_by(|a, b| a.is_ascii() == b.is_ascii()).collect();
        if leads_back(piece) && !parts.iter().any(|part| leads_back(part)) {
            parts = vec![piece]; // an address in other letters
        }
        let mut fresh = true;
        for part in parts {
            if leads_back(part) {
                tokens.push((Kind::Mark, vec!['@']));
                fresh = true;
                continue;
            }
            for c in part {
                let Some(kind) = kind(*c) else { continue };
                match tokens.last_mut() {
                    Some((last, run)) if !fresh && *last == kind && kind != Kind::Mark => run.push(*c),
                    _ => tokens.push((kind, vec![*c])),
                }
                fresh = false;
            }
        }
    }
    for (_, run) in &mut tokens {
        mask_digits(run);
    }
    tokens
}

/// Every run of digits becomes one sign for its length: one, two, three or four, more.
fn mask_digits(run: &mut Vec<char>) {
    let mut masked = Vec::with_capacity(run.len());
    let mut digits = 0;
    for c in run.iter().copied().map(Some).chain([None]) {
        if c.is_some_and(|c| c.is_numeric()) {
            digits += 1;
            continue;
        }
        match digits {
            0 => {}
            1 => masked.push('1'),
            2 => masked.push('2'),
            3 | 4 => masked.push('4'),
            _ => masked.push('9'),
        }
        digits = 0;
        masked.extend(c);
    }
    *run = masked;
}

/// A keyed 32-bit hash of a kind and some characters (multiply and rotate, then the finaliser of MurmurHash3).
fn hash(key: u64, kind: u64, characters: impl Iterator<Item = char>) -> u32 {
    let mut h = key ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for c in characters {
        h = (h ^ u64::from(u32::from(c))).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    u32::try_from(h >> 32).expect("the upper half")
}

/// Extracts the features of a text under a tenant's key.
pub fn extract(key: u64, text: &str) -> Features {
    let tokens = tokens(text);
    if tokens.is_empty() {
        return Features::default();
    }
    let mut words: Vec<Vec<char>> = Vec::new();
    for (kind, run) in &tokens {
        match kind {
            Kind::Han => words.extend(run.iter().map(|c| vec![*c])),
            Kind::Word | Kind::Mark => words.push(run.clone()),
        }
    }
    let mut word_counts: BTreeMap<u32, u32> = BTreeMap::new();
    let mut count = |kind: u64, characters: &[char]| {
        *word_counts.entry(hash(key, kind, characters.iter().copied())).or_default() += 1;
    };
    for word in &words {
        count(1, word);
    }
    for pair in words.windows(2) {
        count(2, &[pair[0].as_slice(), &[' '], &pair[1]].concat());
    }
    count(3, words.first().map_or(&[][..], Vec::as_slice));
    count(4, words.last().map_or(&[][..], Vec::as_slice));
    let length = u32::try_from(words.len()).unwrap_or(u32::MAX).ilog2();
    count(5, &[char::from_u32(u32::from('a') + length.min(20)).unwrap_or('a')]);
    let mut characters: BTreeMap<u32, u32> = BTreeMap::new();
    for (kind, run) in tokens.iter().filter(|(kind, _)| *kind != Kind::Mark) {
        let bounded: Vec<char> = std::iter::once('<').chain(run.iter().copied()).chain(['>']).collect();
        let lengths = if *kind == Kind::Han { 1..=4 } else { 2..=5 };
        for n in lengths {
            for gram in bounded.windows(n) {
                *characters.entry(hash(key, 6, gram.iter().copied())).or_default() += 1;
            }
        }
    }
    Features {
        version: FEATURE_VERSION,
        words: word_counts.into_iter().collect(),
        characters: characters.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_contacts_leave_no_trace() {
        assert_eq!(extract(1, "电话13800001234"), extract(1, "电话15912345678"));
        assert_eq!(extract(1, "mail me a@b.com"), extract(1, "mail me other.name@c.org"));
        assert_eq!(extract(1, "看 https://x.cn/1"), extract(1, "看 https://y.com/zzz"));
        assert_ne!(extract(1, "要2个"), extract(1, "要200个"), "how many digits is kept");
        assert_ne!(extract(1, "PC200"), extract(1, "EX200"), "letters of part numbers are kept");
    }

    #[test]
    fn tenants_cannot_compare_features() {
        let (a, b) = (extract(1, "液压泵多少钱"), extract(2, "液压泵多少钱"));
        assert!(a.characters.iter().all(|feature| !b.characters.contains(feature)));
    }

    #[test]
    fn full_width_and_case_do_not_matter() {
        assert_eq!(extract(1, "ＰＣ２００ 泵"), extract(1, "pc200 泵"));
    }

    #[test]
    fn two_messages_add_up() {
        let sum = extract(1, "漏油").plus(&extract(1, "漏油"));
        assert!(sum.characters.iter().all(|(_, count)| *count == 2));
        assert_eq!(Features::default().plus(&extract(1, "a")).words, extract(1, "a").words);
    }
}
