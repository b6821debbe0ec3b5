//! A decision of assignment, taken again on the state that the log gives up to it.

use std::collections::BTreeMap;

use assignment::Assignment;
use assignment::domain::{Candidate, Event, Filter, Offer, candidates, decision_of};
use kernel::InquiryId;
use log::Topic;
use runtime::{Service, ShardState};
use serde::Serialize;

use super::schema;
use super::walk::{Found, Walk};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// All candidates of one decision.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionTable {
    /// Whether the decision, taken again, is the recorded one byte for byte.
    pub equal: bool,
    /// Best first.
    pub candidates: Vec<CandidateRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct CandidateRow {
    /// Roster code.
    pub employee: String,
    /// The first filter that they failed; absent for who could have had it.
    pub filter: Option<&'static str>,
    pub load_ppm: u32,
    /// Number of their last assignment, 0 before the first.
    pub last_assigned: u64,
    /// The seeded hash, hexadecimal.
    pub tie: String,
    pub chosen: bool,
}

/// The tables of an inquiry's decisions, by the sequence number of their records.
pub(super) async fn tables(
    walk: &Walk<'_>,
    inquiry_id: InquiryId,
    records: &[Found],
) -> anyhow::Result<BTreeMap<u64, DecisionTable>> {
    let mut wanted = BTreeMap::new();
    for found in records.iter().filter(|found| found.schema == schema::RESERVATION_MADE) {
        let event = Assignment::decode(found.schema, found.payload(), found.at)?;
        if let Event::ReservationMade(offer) = event
            && offer.inquiry_id == inquiry_id
        {
            wanted.insert(found.seq, (*offer, found));
        }
    }
    let Some(last) = wanted.keys().next_back().copied() else { return Ok(BTreeMap::new()) };
    let mut tables = BTreeMap::new();
    let mut state = ShardState::<Assignment>::default();
    while state.next_seq <= last {
        for record in walk.log.read(Topic::Assignment, walk.partition, state.next_seq, READ_BYTES).await? {
            if let Some((offer, found)) = wanted.get(&record.seq) {
                tables.insert(record.seq, table(&state, walk, offer, found));
            }
            state.fold(&record)?;
        }
    }
    Ok(tables)
}

fn table(state: &ShardState<Assignment>, walk: &Walk<'_>, offer: &Offer, found: &Found) -> DecisionTable {
    let Some(tenant) = state.tenants.get(&walk.tenant) else {
        return DecisionTable { equal: false, candidates: Vec::new() };
    };
    let again = decision_of(&tenant.state, offer.inquiry_id);
    let equal = again.is_some_and(|(employee_id, decision)| {
        let mut payload = Vec::new();
        let again = Offer { employee_id, decision, ..offer.clone() };
        let schema = Assignment::encode(&Event::ReservationMade(Box::new(again)), &mut payload);
        schema == found.schema && payload == found.payload()
    });
    let row = |candidate: Candidate| CandidateRow {
        chosen: candidate.employee_id == offer.employee_id,
        employee: candidate.code,
        filter: candidate.filter.map(filter_name),
        load_ppm: candidate.load_ppm,
        last_assigned: candidate.last_assigned,
        tie: format!("{:016x}", candidate.tie),
    };
    let candidates = candidates(&tenant.state, offer.inquiry_id).unwrap_or_default();
    DecisionTable { equal, candidates: candidates.into_iter().map(row).collect() }
}

fn filter_name(filter: Filter) -> &'static str {
    match filter {
        Filter::OtherDesk => "other_desk",
        Filter::OffShift => "off_shift",
        Filter::NotAvailable => "not_available",
        Filter::Duty => "duty",
        Filter::Language => "language",
        Filter::Skill => "skill",
        Filter::Capacity => "capacity",
        Filter::Declined => "declined",
        Filter::Experience => "experience",
        Filter::NotSticky => "not_sticky",
    }
}
