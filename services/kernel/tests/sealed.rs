//! Sealed values open where they were sealed, and nowhere else.

use kernel::{CommandId, DataKey, KeyId, Purpose, SealError, SealPlace, Sealed, Subject, TenantId, seal, unseal};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Case {
    key: DataKey,
    subject: [u8; 16],
    purpose: Purpose,
    tenant: [u8; 16],
    command: [u8; 16],
    field: String,
    clear: Vec<u8>,
}

impl Case {
    fn place(&self) -> SealPlace<'_> {
        let (tenant, command_id) = (TenantId::from_bytes(self.tenant), CommandId::from_bytes(self.command));
        SealPlace { tenant, command_id, field: &self.field }
    }

    fn seal(&self) -> Sealed {
        seal(&self.key, KeyId::from_bytes([3; 16]), Subject(self.subject), self.purpose, self.place(), &self.clear)
    }
}

fn case() -> impl Strategy<Value = Case> {
    let purpose = prop::sample::select(vec![Purpose::Service, Purpose::Statutory]);
    let clear = prop::collection::vec(any::<u8>(), 0..200);
    (any::<[u8; 32]>(), any::<[u8; 16]>(), purpose, any::<[u8; 16]>(), any::<[u8; 16]>(), ".{0,12}", clear).prop_map(
        |(key, subject, purpose, tenant, command, field, clear)| Case {
            key: DataKey(key),
            subject,
            purpose,
            tenant,
            command,
            field,
            clear,
        },
    )
}

/// The opposite purpose.
fn other(purpose: Purpose) -> Purpose {
    match purpose {
        Purpose::Service => Purpose::Statutory,
        Purpose::Statutory => Purpose::Service,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_sealed_opens_and_sealing_again_gives_the_same_bytes(case in case()) {
        let sealed = case.seal();
        prop_assert_eq!(unseal(&case.key, &sealed, case.place()), Ok(case.clear.clone()));
        prop_assert_eq!(case.seal(), sealed);
    }

    #[test]
    fn any_flipped_bit_is_found(case in case(), at: prop::sample::Index, bit in 0..8_u32) {
        let flip = |bytes: &mut [u8]| bytes[at.index(bytes.len())] ^= 1 << bit;
        let flips: [&dyn Fn(&mut Sealed); 3] =
            [&|s| flip(&mut s.ciphertext), &|s| flip(&mut s.nonce), &|s| flip(&mut s.subject.0)];
        for flip in flips {
            let mut sealed = case.seal();
            flip(&mut sealed);
            prop_assert_eq!(unseal(&case.key, &sealed, case.place()), Err(SealError::NotAuthentic));
        }
        let turned = Sealed { purpose: other(case.purpose), ..case.seal() };
        prop_assert_eq!(unseal(&case.key, &turned, case.place()), Err(SealError::NotAuthentic));
    }

    #[test]
    fn a_value_cannot_be_moved(case in case(), at: prop::sample::Index, extra in ".") {
        let sealed = case.seal();
        let mut moved = [case.clone(), case.clone(), case.clone(), case.clone()];
        moved[0].tenant[at.index(16)] ^= 1;
        moved[1].command[at.index(16)] ^= 1;
        moved[2].field.push_str(&extra);
        moved[3].key.0[at.index(32)] ^= 1;
        for other in moved {
            prop_assert_eq!(unseal(&other.key, &sealed, other.place()), Err(SealError::NotAuthentic));
        }
    }

    #[test]
    fn two_different_values_never_share_a_nonce(case in case(), other in case(), at: prop::sample::Index) {
        let (a, b) = (case.seal(), Case { key: case.key.clone(), ..other }.seal());
        prop_assert_ne!(a.nonce, b.nonce);
        let mut changed = case.clone();
        changed.clear.push(0);
        let changed_at = at.index(changed.clear.len());
        changed.clear[changed_at] ^= 1;
        prop_assert_ne!(case.seal().nonce, changed.seal().nonce);
    }

    #[test]
    fn hostile_shapes_are_refused_without_a_panic(
        case in case(), nonce in prop::collection::vec(any::<u8>(), 0..40), ciphertext in prop::collection::vec(any::<u8>(), 0..40), algorithm in 2_u32..
    ) {
        let sealed = Sealed { nonce, ciphertext, ..case.seal() };
        prop_assert_eq!(unseal(&case.key, &sealed, case.place()), Err(SealError::NotAuthentic));
        let unknown = Sealed { algorithm, ..case.seal() };
        prop_assert_eq!(unseal(&case.key, &unknown, case.place()), Err(SealError::UnknownAlgorithm(algorithm)));
    }
}
