//! What comes with every mutating request, and what its caller gets.

use kernel::{Actor, ActorKind, CommandId, TenantId, Timestamp};

/// The checked head of a mutating request. Made by [`crate::Host::meta`] only, so that no command reaches a shard
/// unchecked.
#[derive(Debug, Clone)]
pub struct Meta {
    pub tenant: TenantId,
    pub command_id: CommandId,
    pub issued_at: Timestamp,
    pub(crate) request_mac: [u8; 16],
    pub(crate) actor: Actor,
    /// The trace it belongs to.
    pub(crate) correlation: [u8; 16],
}

impl Meta {
    pub(crate) fn local(tenant: TenantId, command_id: CommandId, issued_at: Timestamp, request_mac: [u8; 16]) -> Self {
        let actor = Actor { kind: ActorKind::LocalOperator, ..Actor::default() };
        Self { tenant, command_id, issued_at, request_mac, actor, correlation: *command_id.as_bytes() }
    }

    pub(crate) fn own(tenant: TenantId, command_id: CommandId, issued_at: Timestamp) -> Self {
        let correlation = *command_id.as_bytes();
        Self { tenant, command_id, issued_at, request_mac: [0; 16], actor: Actor::default(), correlation }
    }
}

/// Where a command's records stand. The same for a repeat of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Sequence number of the first record.
    pub first_seq: u64,
    /// Records that it made; one that changed nothing made a `CommandNoted`.
    pub records: u32,
    /// Events among them.
    pub events: u32,
    pub recorded_at: Timestamp,
    /// The command was carried out before; this is its first receipt.
    pub repeated: bool,
}
