//! Whose key is known at the door: a cache of what the state knows, so that most facts need not ask it.
//!
//! What stands here is always a key that is durable (the key store sees to that before it seals), though maybe not on
//! the log yet, or never when its request was refused: nothing is lost by sealing the person's next value with it, for
//! the record that holds a value names its key. A key that was destroyed meanwhile is none to the key store: it makes a
//! new one, which then takes its place here.

use std::collections::BTreeMap;

use kernel::{FactKey, KeyId, Subject, TenantId};

/// A person and the key that their values are sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) subject: Subject,
    pub(super) key: Option<KeyId>,
}

/// People and inquiries that are remembered; beyond it the memory starts anew (L9).
const KNOWN_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct People {
    keys: BTreeMap<(TenantId, [u8; 16]), Option<KeyId>>,
    inquiries: BTreeMap<(TenantId, FactKey), Subject>,
}

impl People {
    /// The person of a customer key.
    pub(super) fn person(&self, tenant: TenantId, key: [u8; 16]) -> Option<Person> {
        self.keys.get(&(tenant, key)).map(|known| Person { subject: Subject(key), key: *known })
    }

    /// The person of an inquiry, with the key that they have now.
    pub(super) fn of_inquiry(&self, tenant: TenantId, inquiry: FactKey) -> Option<Person> {
        self.inquiries.get(&(tenant, inquiry)).and_then(|subject| self.person(tenant, subject.0))
    }

    /// Notes the key that a person's values are sealed with from now on.
    pub(super) fn remember(&mut self, tenant: TenantId, person: Person) {
        if self.keys.len() >= KNOWN_MAX {
            self.keys.clear();
        }
        self.keys.insert((tenant, person.subject.0), person.key);
    }

    /// Notes what the state said of a person, who may have got a key since.
    pub(super) fn learn(&mut self, tenant: TenantId, person: Person) {
        if self.person(tenant, person.subject.0).is_none() {
            self.remember(tenant, person);
        }
    }

    pub(super) fn remember_inquiry(&mut self, tenant: TenantId, inquiry: FactKey, person: Person) {
        if self.inquiries.len() >= KNOWN_MAX {
            self.inquiries.clear();
        }
        self.inquiries.insert((tenant, inquiry), person.subject);
        self.remember(tenant, person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::from_bytes([1; 16]);
    const INQUIRY: FactKey = FactKey::from_bytes([7; 16]);

    fn person(n: u8, key: u8) -> Person {
        Person { subject: Subject([n; 16]), key: Some(KeyId::from_bytes([key; 16])) }
    }

    #[test]
    fn an_inquiry_leads_to_the_key_that_its_person_has_now() {
        let mut people = People::default();
        assert_eq!(people.of_inquiry(TENANT, INQUIRY), None);
        people.remember_inquiry(TENANT, INQUIRY, person(1, 10));
        // The first key was destroyed, and the person ordered something since.
        people.remember(TENANT, person(1, 11));
        assert_eq!(people.of_inquiry(TENANT, INQUIRY), Some(person(1, 11)));
        assert_eq!(people.person(TENANT, [2; 16]), None);
        assert_eq!(people.person(TenantId::from_bytes([2; 16]), [1; 16]), None, "tenants are apart");
    }

    #[test]
    fn what_the_state_said_never_takes_the_place_of_a_newer_key() {
        let mut people = People::default();
        people.learn(TENANT, Person { key: None, ..person(1, 0) });
        people.remember(TENANT, person(1, 10));
        people.learn(TENANT, Person { key: None, ..person(1, 0) });
        assert_eq!(people.person(TENANT, [1; 16]), Some(person(1, 10)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut people = People::default();
        for n in 0..=u32::try_from(KNOWN_MAX).unwrap() {
            let mut subject = [0; 16];
            subject[..4].copy_from_slice(&n.to_le_bytes());
            let person = Person { subject: Subject(subject), key: None };
            people.remember_inquiry(TENANT, FactKey::from_bytes(subject), person);
        }
        assert_eq!((people.keys.len(), people.inquiries.len()), (1, 1));
    }
}
