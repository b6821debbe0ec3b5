//! Plays the day: moves virtual time from one thing to the next, and waits after each until every service has done
//! what follows from it. The same sample gives the same day.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow, bail};
use kernel::{Duration, Timestamp};
use proto::assignment as pb;
use proto::intake;
use proto::payroll::{ApprovePayoutsRequest, ClosePeriodRequest};
use proto::roster::{Employee, GetCompanyRequest, Presence, SetPresenceRequest};
use runtime::reason_of;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::agents::{Action, Staff, reply_text};
use super::sample::{PERIOD, Sample, TENANT};
use super::setup::command_of;
use crate::client::{Client, command_for, wire};
use crate::cluster::Cluster;
use crate::commands::progress::Progress;
use crate::commands::session::refused;
use crate::facts::Fact;

/// A day that goes on sends again what was sent this long before it stopped: what is known already changes nothing.
const OVERLAP: Duration = Duration::from_hours(1);
/// Weekday of the sample's day: 2026-09-15 is a Tuesday.
const WEEKDAY: u32 = 2;
/// After midnight the night shift finishes; then everybody goes.
const LATE: Duration = Duration::from_hours(26);
/// Answers to agents that only say that the world has moved on since they looked.
const OUTRUN: [&str; 8] = [
    "INQUIRY_CLOSED",
    "NOT_ASSIGNED",
    "RESERVATION_ACCEPTED",
    "RESERVATION_REJECTED",
    "RESERVATION_TIMED_OUT",
    "RESERVATION_CANCELLED",
    "RESERVATION_RESCINDED",
    "RESERVATION_UNKNOWN",
];

/// Plays the day from `last`, the time of the last record, or from its beginning.
pub(super) async fn play(
    cluster: &Cluster,
    client: &Client,
    sample: &Sample,
    last: Option<Timestamp>,
) -> anyhow::Result<()> {
    let employees = employees(client).await?;
    let duties = duties(client).await?;
    let mut player = Player::start(cluster, client, sample, duties).await?;
    if let Some(last) = last {
        player.cluster.shared.clock.advance_to(last);
    }
    let again_from = last.map_or(sample.begins(), |last| last - OVERLAP);
    for (n, fact) in sample.day.iter().enumerate().filter(|(_, fact)| fact.at() >= again_from) {
        player.plan(fact.at(), Action::Fact(n));
    }
    for (at, agent, available) in presences(sample, &employees) {
        if at >= again_from {
            player.plan(at, Action::Presence { agent, available });
        }
    }
    player.until(sample.period_end()).await?;
    player.cluster.shared.clock.advance_to(sample.period_end() + Duration::from_secs(300));
    player.cluster.settle().await;
    player.close_period().await?;
    player.until(sample.ends()).await?;
    player.cluster.shared.clock.advance_to(sample.ends());
    player.cluster.settle().await;
    Ok(())
}

async fn employees(client: &Client) -> anyhow::Result<Vec<Employee>> {
    let request = GetCompanyRequest { tenant: TENANT.to_owned(), at: None };
    Ok(client.roster.clone().get_company(request).await.map_err(refused)?.into_inner().employees)
}

/// Intents that each agent receives.
pub(super) async fn duties(client: &Client) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let request = GetCompanyRequest { tenant: TENANT.to_owned(), at: None };
    let company = client.roster.clone().get_company(request).await.map_err(refused)?.into_inner();
    let of_position = |code: &str| {
        let position = company.positions.iter().find(|position| position.code == code);
        position.map(|position| position.duties.iter().cloned().collect()).unwrap_or_default()
    };
    Ok(company.employees.iter().map(|employee| (employee.code.clone(), of_position(&employee.position))).collect())
}

/// When agents sit down and leave on the sample's day. Who is on shift at midnight stays.
fn presences(sample: &Sample, employees: &[Employee]) -> Vec<(Timestamp, String, bool)> {
    let mut all = Vec::new();
    let minute = |minute: u32| sample.day_start() + Duration::from_secs(i64::from(minute) * 60);
    for employee in employees {
        let today: Vec<_> = employee.shifts.iter().filter(|shift| shift.weekday == WEEKDAY).collect();
        for shift in &today {
            all.push((minute(shift.start_minute), employee.code.clone(), true));
            let goes_on = shift.end_minute == 1440 || today.iter().any(|next| next.start_minute == shift.end_minute);
            if !goes_on {
                all.push((minute(shift.end_minute), employee.code.clone(), false));
            }
        }
        if !today.is_empty() {
            all.push((sample.day_start() + LATE, employee.code.clone(), false));
        }
    }
    all.sort();
    all
}

/// Passes over refusals that say that something else happened first.
fn unless_outrun<T>(answer: Result<T, Status>) -> anyhow::Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(status) if reason_of(&status).is_some_and(|reason| OUTRUN.contains(&reason.as_str())) => Ok(()),
        Err(status) => Err(refused(status)),
    }
}

struct Player<'a> {
    cluster: &'a Cluster,
    client: Client,
    sample: &'a Sample,
    staff: Staff,
    /// What happens when; things of one instant in the order in which they were planned.
    plan: BTreeMap<(Timestamp, u64), Action>,
    planned: u64,
    facts: mpsc::Sender<intake::StreamInquiriesRequest>,
    answers: Streaming<intake::StreamInquiriesResponse>,
    heard: mpsc::Receiver<(String, pb::WatchOffersResponse)>,
    /// How far each agent's stream has shown the log.
    shown: BTreeMap<String, u64>,
    done: usize,
    progress: Progress,
}

impl<'a> Player<'a> {
    async fn start(
        cluster: &'a Cluster,
        client: &Client,
        sample: &'a Sample,
        duties: BTreeMap<String, BTreeSet<String>>,
    ) -> anyhow::Result<Self> {
        let mut client = client.clone();
        let (facts, requests) = mpsc::channel(64);
        let answers =
            client.intake.stream_inquiries(ReceiverStream::new(requests)).await.map_err(refused)?.into_inner();
        let staff = Staff::new(sample, duties);
        let (sender, heard) = mpsc::channel(1_024);
        for code in staff.codes() {
            listen(&client, code.clone(), sender.clone()).await?;
        }
        Ok(Self {
            cluster,
            client,
            sample,
            shown: staff.codes().map(|code| (code.clone(), 0)).collect(),
            staff,
            plan: BTreeMap::new(),
            planned: 0,
            facts,
            answers,
            heard,
            done: 0,
            progress: Progress::start(),
        })
    }

    fn plan(&mut self, at: Timestamp, action: Action) {
        self.plan.insert((at, self.planned), action);
        self.planned += 1;
    }

    /// Plays everything up to `end`, timers of the services included.
    async fn until(&mut self, end: Timestamp) -> anyhow::Result<()> {
        loop {
            self.cluster.settle().await;
            self.listen().await?;
            let next = self.plan.first_key_value().map(|((at, _), _)| *at);
            let due = self.cluster.next_due().filter(|due| next.is_none_or(|next| *due <= next) && *due < end);
            if let Some(due) = due {
                self.cluster.shared.clock.advance_to(due);
                continue;
            }
            if next.is_none_or(|next| next >= end) {
                return Ok(());
            }
            let Some(((at, _), action)) = self.plan.pop_first() else { return Ok(()) };
            self.cluster.shared.clock.advance_to(at);
            self.cluster.settle().await;
            self.perform(at, action).await?;
            self.show_progress();
        }
    }

    fn show_progress(&mut self) {
        let (done, open, total) = (self.done, self.staff.open_conversations(), self.sample.day.len());
        let now = crate::instant::text(self.cluster.shared.clock.now());
        self.progress.show(|| format!("sample day {now}  {done} of {total} facts  {open} conversations open"));
    }

    /// Takes in what the agents' streams show, up to the end of the log.
    async fn listen(&mut self) -> anyhow::Result<()> {
        let log = &self.cluster.shared.log;
        let end = *log.end(log::Topic::Assignment, super::partition(&**log)).borrow();
        let mut items = Vec::new();
        while self.shown.values().any(|shown| *shown < end) {
            let (agent, item) = self.heard.recv().await.context("the agents' streams ended")?;
            let next = if item.heartbeat { item.seq } else { item.seq + 1 };
            self.shown.insert(agent.clone(), next);
            if !item.heartbeat {
                items.push((item.seq, agent, item));
            }
        }
        items.sort_by_key(|(seq, _, _)| *seq);
        for (_, agent, item) in items {
            for (at, action) in self.staff.hear(&agent, &item) {
                self.plan(at, action);
            }
        }
        Ok(())
    }

    async fn perform(&mut self, at: Timestamp, action: Action) -> anyhow::Result<()> {
        let (tenant, issued_at) = (TENANT.to_owned(), wire(at));
        match action {
            Action::Fact(n) => self.send(n).await,
            Action::Presence { agent, available } => {
                let presence = if available { Presence::Available } else { Presence::Offline };
                let request = SetPresenceRequest {
                    command_id: command_for(&["sample", "presence", &agent, &at.as_micros().to_string()]),
                    issued_at,
                    tenant,
                    employee: agent,
                    presence: presence.into(),
                };
                self.client.roster.set_presence(request).await.map_err(refused)?;
                Ok(())
            }
            Action::Accept { reservation_id, epoch } if self.staff.is_open(&reservation_id) => {
                let command_id = command_for(&["sample", "accept", &reservation_id]);
                let request = pb::AcceptReservationRequest { command_id, issued_at, tenant, reservation_id, epoch };
                unless_outrun(self.client.assignment.accept_reservation(request).await)
            }
            Action::Reject { reservation_id, epoch } if self.staff.is_open(&reservation_id) => {
                let command_id = command_for(&["sample", "reject", &reservation_id]);
                let reason = "busy".to_owned();
                let request =
                    pb::RejectReservationRequest { command_id, issued_at, tenant, reservation_id, epoch, reason };
                unless_outrun(self.client.assignment.reject_reservation(request).await)
            }
            Action::Reply { inquiry_id, number } if self.staff.is_held(&inquiry_id) => {
                self.reply(at, &inquiry_id, number).await
            }
            Action::Complete { inquiry_id, assignment } if self.staff.holds(&inquiry_id, assignment) => {
                let command_id = command_for(&["sample", "complete", &inquiry_id, &assignment.to_string()]);
                let disposition = self.gold(&inquiry_id);
                let request = pb::CompleteInquiryRequest { command_id, issued_at, tenant, inquiry_id, disposition };
                unless_outrun(self.client.assignment.complete_inquiry(request).await)
            }
            Action::Transfer { inquiry_id, assignment } if self.staff.holds(&inquiry_id, assignment) => {
                let request = pb::TransferInquiryRequest {
                    command_id: command_for(&["sample", "transfer", &inquiry_id, &assignment.to_string()]),
                    issued_at,
                    tenant,
                    intent: self.gold(&inquiry_id),
                    inquiry_id,
                    to_employee: String::new(),
                    reason: "another position's duty".to_owned(),
                };
                unless_outrun(self.client.assignment.transfer_inquiry(request).await)
            }
            Action::Accept { .. }
            | Action::Reject { .. }
            | Action::Reply { .. }
            | Action::Complete { .. }
            | Action::Transfer { .. } => Ok(()),
        }
    }

    /// What the agent found the conversation to be about.
    fn gold(&self, inquiry_id: &str) -> String {
        self.staff.conversation(inquiry_id).map(|conversation| conversation.gold.clone()).unwrap_or_default()
    }

    async fn reply(&mut self, at: Timestamp, inquiry_id: &str, number: u32) -> anyhow::Result<()> {
        let Some(conversation) = self.staff.conversation(inquiry_id) else { return Ok(()) };
        let message = intake::Message {
            external_id: format!("agent-{number}"),
            direction: intake::Direction::Agent.into(),
            text: reply_text(conversation, number).to_owned(),
            occurred_at: wire(at),
        };
        let request = intake::AppendMessageRequest {
            command_id: command_for(&["sample", "reply", inquiry_id, &number.to_string()]),
            issued_at: wire(at),
            tenant: TENANT.to_owned(),
            platform: conversation.platform.clone(),
            inquiry_external_id: conversation.external_id.clone(),
            message: Some(message),
        };
        unless_outrun(self.client.intake.append_message(request).await)
    }

    /// Sends a fact of the day over the one stream, and waits until it is durable.
    async fn send(&mut self, n: usize) -> anyhow::Result<()> {
        let fact: &Fact = &self.sample.day[n];
        let request = fact.request(TENANT, command_of("day", n), fact.at(), false);
        let request = request.map_err(|error| anyhow!("day.jsonl: {fact}: {error}"))?;
        self.facts.send(request).await.context("the stream of facts ended")?;
        let answer = self.answers.next().await.context("the stream of facts ended")?.map_err(refused)?;
        self.done += 1;
        match answer.refusal {
            Some(refusal) if !OUTRUN.contains(&refusal.reason.as_str()) => {
                bail!("day.jsonl: {fact}: {} [{}]", refusal.message, refusal.reason)
            }
            _ => Ok(()),
        }
    }

    async fn close_period(&mut self) -> anyhow::Result<()> {
        let at = self.sample.period_end() + Duration::from_secs(300);
        let request = ClosePeriodRequest {
            command_id: command_for(&["sample", "close", PERIOD]),
            issued_at: wire(at),
            tenant: TENANT.to_owned(),
            period: PERIOD.to_owned(),
        };
        self.client.payroll.close_period(request).await.map_err(refused).context("close the period")?;
        let request = ApprovePayoutsRequest {
            command_id: command_for(&["sample", "approve", PERIOD]),
            issued_at: wire(at),
            tenant: TENANT.to_owned(),
            period: PERIOD.to_owned(),
        };
        self.client.payroll.approve_payouts(request).await.map_err(refused).context("approve the payouts")?;
        Ok(())
    }
}

/// An agent's stream of offers, from the beginning of the log on.
async fn listen(
    client: &Client,
    agent: String,
    sender: mpsc::Sender<(String, pb::WatchOffersResponse)>,
) -> anyhow::Result<()> {
    let request = pb::WatchOffersRequest {
        tenant: TENANT.to_owned(),
        employee: agent.clone(),
        from_seq: 0,
        live_only: false,
        progress: true,
    };
    let mut offers = client.assignment.clone().watch_offers(request).await.map_err(refused)?.into_inner();
    runtime::spawn("sample_agent", async move {
        while let Some(Ok(item)) = offers.next().await {
            if sender.send((agent.clone(), item)).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
