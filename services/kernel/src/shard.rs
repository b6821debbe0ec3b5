//! Which shard a tenant lives in.

use crate::TenantId;

/// The shard (= partition, in every topic) of `tenant` among `shards`. Fixed for ever: a golden test pins it, and it is
/// passed explicitly on every append, so that no client library's own partitioner ever decides.
///
/// # Panics
/// When `shards` is zero: a cluster without partitions does not exist.
pub fn shard_of(tenant: TenantId, shards: u16) -> u16 {
    assert!(shards > 0, "a log has at least one partition");
    let hash = blake3::hash(tenant.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    let shard = u64::from_le_bytes([a, b, c, d, e, f, g, h]) % u64::from(shards);
    u16::try_from(shard).expect("below a u16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_pinned_for_ever() {
        let shard = |code: &str, shards| shard_of(TenantId::of_code(code), shards);
        let pinned: Vec<u16> = ["sample", "acme", "t1", "t2", "t3"].iter().map(|code| shard(code, 16)).collect();
        assert_eq!(pinned, [9, 14, 4, 11, 10]);
        assert_eq!(shard("sample", 1), 0);
    }

    #[test]
    fn tenants_spread_over_all_shards() {
        let mut counts = [0u32; 16];
        for n in 0..1600 {
            counts[usize::from(shard_of(TenantId::of_code(&format!("tenant-{n}")), 16))] += 1;
        }
        assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
    }
}
