//! Plays traffic on a world: one step after the other, or many at once with time passing in between.

use std::cell::RefCell;
use std::pin::Pin;

use fenliu::client::{command_for, wire};
use integration_tests::chance::Chance;
use kernel::{Duration, Timestamp};
use proto::{assignment as a, kpi as k, payroll as p};
use serde_json::Value;

use super::call::Call;
use super::traffic::{BEGIN, CLOSE, EMPLOYEES, Kind, Step, TENANTS, closing, fact, founding, request};
use super::world::{Sent, World, all};

/// What people would see of a run in the end, without what depends on when things were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Order, employee, amount.
    pub credits: Vec<(String, String, i64)>,
    /// Employee, state, amount.
    pub payouts: Vec<(String, i32, i64)>,
    /// Employee, component, basis, exact amount, difference.
    pub statements: Vec<(String, String, String, String, i64)>,
    /// Desk or employee, customers received, orders, ratings.
    pub figures: Vec<(String, u64, u64, u64)>,
    /// Commands that were refused.
    pub refused: Vec<String>,
}

pub struct Player<'w> {
    world: &'w World,
    seed: u64,
    /// Tenant, name and id of the inquiries that are open, as far as the player knows.
    open: RefCell<Vec<(&'static str, String, String)>>,
}

fn hash(seed: u64, what: &str, n: u64) -> u64 {
    let actor = what.bytes().fold(n, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Chance::new(seed, actor).next()
}

impl<'w> Player<'w> {
    pub fn new(world: &'w World, seed: u64) -> Self {
        Self { world, seed, open: RefCell::default() }
    }

    /// Makes both companies.
    pub async fn found(&self) {
        for tenant in TENANTS {
            for sent in founding(tenant, BEGIN) {
                let name = sent.command_id.clone();
                self.world.carry_out(sent).await.unwrap_or_else(|status| panic!("founding {name}: {status}"));
            }
        }
        self.world.settle().await;
    }

    /// Plays the steps one after the other; everything that follows from one is done before the next.
    pub async fn calmly(&self, steps: &[Step]) {
        for step in steps {
            self.world.disturb().await;
            match &step.kind {
                Kind::Wait(ms) => self.pass(*ms).await,
                Kind::Burst(facts) => self.burst(step, facts).await,
                _ => self.one(step).await,
            }
            self.world.settle().await;
            self.receive(step.number).await;
            self.pass(7).await;
        }
    }

    /// Plays the steps a few at a time, while time passes and agents act; some senders give up.
    pub async fn wildly(&self, steps: &[Step]) {
        let mut chance = Chance::new(self.seed, 0x311d);
        let mut rest = steps;
        while !rest.is_empty() {
            let count = (1 + chance.below(6) as usize).min(rest.len());
            let (now, later) = rest.split_at(count);
            rest = later;
            self.world.disturb().await;
            let mut doing: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
            for step in now {
                match &step.kind {
                    Kind::Wait(ms) => {
                        let to = self.world.clock.now() + Duration::from_millis(*ms);
                        doing.push(Box::pin(async move { self.world.clock.advance_to(to) }));
                    }
                    Kind::Burst(facts) => doing.push(Box::pin(self.burst(step, facts))),
                    _ if chance.below(8) == 0 => doing.push(Box::pin(self.abandoned(step))),
                    _ => doing.push(Box::pin(self.one(step))),
                }
            }
            doing.push(Box::pin(self.receive(now[0].number)));
            all(doing).await;
        }
        self.world.settle().await;
    }

    /// Ends the storm and the month: closes the period, approves the payouts.
    pub async fn end(&self) {
        self.world.settle().await;
        let to = CLOSE.since(self.world.clock.now()).as_micros() / 1_000;
        self.pass(to).await;
        for tenant in TENANTS {
            for sent in closing(tenant, self.world.clock.now()) {
                let name = sent.command_id.clone();
                self.world.carry_out(sent).await.unwrap_or_else(|status| panic!("closing {name}: {status}"));
            }
        }
        self.world.settle().await;
        self.world.storm.calm();
        self.world.settle().await;
    }

    /// Moves the clock, stopping at every timer on the way.
    pub async fn pass(&self, ms: i64) {
        let clock = &self.world.clock;
        let to = clock.now() + Duration::from_millis(ms);
        self.world.settle().await;
        while let Some(due) = self.next_due().filter(|due| *due <= to) {
            clock.advance_to(due);
            self.world.settle().await;
        }
        clock.advance_to(to);
        self.world.settle().await;
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.world.six.borrow().assignment.host.next_due()
    }

    async fn one(&self, step: &Step) {
        let answer = self.world.carry_out(request(step, self.world.clock.now())).await;
        if let (Kind::Fact { inquiry: Some(name), .. }, Ok(ack)) = (&step.kind, answer) {
            self.open.borrow_mut().push((step.tenant, name.clone(), ack.id));
        }
    }

    async fn abandoned(&self, step: &Step) {
        drop(self.world.attempt(&request(step, self.world.clock.now())).await);
    }

    async fn burst(&self, step: &Step, facts: &[Value]) {
        let now = self.world.clock.now();
        let mut sending: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        for (n, line) in facts.iter().enumerate() {
            let sent = fact(step.tenant, &format!("{} {n}", step.number), line, now, false);
            sending.push(Box::pin(async move { drop(self.world.carry_out(sent).await) }));
        }
        all(sending).await;
    }

    /// The agents look at all that is open, and do what follows from the seed.
    async fn receive(&self, round: u64) {
        let open = self.open.borrow().clone();
        for (tenant, name, id) in open {
            let Some(inquiry) = self.look(tenant, &id).await else { continue };
            let what = format!("{tenant} {name} {}", inquiry.epoch);
            let luck = hash(self.seed, &what, 0) % 10;
            let later = hash(self.seed, &what, round) % 10;
            match inquiry.state.as_str() {
                "reserved" if luck < 7 => self.accept(tenant, &inquiry).await,
                "reserved" if luck == 7 => self.reject(tenant, &inquiry).await,
                "assigned" if later < 3 => self.complete(tenant, &inquiry).await,
                "assigned" if later == 3 && luck < 3 => self.transfer(tenant, &inquiry).await,
                "completed" | "cancelled" => self.open.borrow_mut().retain(|(_, _, known)| *known != id),
                _ => continue,
            }
        }
    }

    async fn look(&self, tenant: &str, id: &str) -> Option<a::GetInquiryResponse> {
        for _ in 0..1_000 {
            self.world.supervise();
            let mut client = self.world.clients.borrow().assignment.clone();
            let request = a::GetInquiryRequest { tenant: tenant.to_owned(), inquiry_id: id.to_owned() };
            let asked = tokio::time::timeout(std::time::Duration::from_secs(3), client.get_inquiry(request)).await;
            match asked {
                Ok(Ok(answer)) => return Some(answer.into_inner()),
                Ok(Err(status)) if !super::call::unanswered(&status) => return None,
                _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
        panic!("no answer about {id}");
    }

    fn sent(&self, tenant: &str, parts: &[&str], call: impl FnOnce(String, String) -> Call) -> Sent {
        let command_id = command_for(&[&["agent", tenant], parts].concat());
        Sent { tenant: tenant.to_owned(), command_id: command_id.clone(), call: call(command_id, tenant.to_owned()) }
    }

    async fn accept(&self, tenant: &str, inquiry: &a::GetInquiryResponse) {
        let issued_at = wire(self.world.clock.now());
        let (reservation_id, epoch) = (inquiry.reservation_id.clone(), inquiry.epoch);
        let sent = self.sent(tenant, &["accept", &inquiry.reservation_id], |command_id, tenant| {
            Call::Accept(a::AcceptReservationRequest { command_id, issued_at, tenant, reservation_id, epoch })
        });
        drop(self.world.carry_out(sent).await);
    }

    async fn reject(&self, tenant: &str, inquiry: &a::GetInquiryResponse) {
        let issued_at = wire(self.world.clock.now());
        let (reservation_id, epoch, reason) = (inquiry.reservation_id.clone(), inquiry.epoch, "busy".to_owned());
        let sent = self.sent(tenant, &["reject", &inquiry.reservation_id], |command_id, tenant| {
            Call::Reject(a::RejectReservationRequest { command_id, issued_at, tenant, reservation_id, epoch, reason })
        });
        drop(self.world.carry_out(sent).await);
    }

    async fn complete(&self, tenant: &str, inquiry: &a::GetInquiryResponse) {
        let issued_at = wire(self.world.clock.now());
        let (inquiry_id, disposition) = (inquiry.inquiry_id.clone(), "price_quote".to_owned());
        let epoch = inquiry.epoch.to_string();
        let sent = self.sent(tenant, &["complete", &inquiry.inquiry_id, &epoch], |command_id, tenant| {
            Call::Complete(a::CompleteInquiryRequest { command_id, issued_at, tenant, inquiry_id, disposition })
        });
        drop(self.world.carry_out(sent).await);
    }

    async fn transfer(&self, tenant: &str, inquiry: &a::GetInquiryResponse) {
        let issued_at = wire(self.world.clock.now());
        let epoch = inquiry.epoch.to_string();
        let sent = self.sent(tenant, &["transfer", &inquiry.inquiry_id, &epoch], |command_id, tenant| {
            Call::Transfer(a::TransferInquiryRequest {
                command_id,
                issued_at,
                tenant,
                inquiry_id: inquiry.inquiry_id.clone(),
                to_employee: String::new(),
                intent: "order_status".to_owned(),
                reason: "another duty".to_owned(),
            })
        });
        drop(self.world.carry_out(sent).await);
    }
}

/// What a world that has come to rest shows.
pub async fn outcome(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    let clients = world.clients.borrow().clone();
    let (mut kpi, mut payroll) = (clients.kpi, clients.payroll);
    for tenant in TENANTS {
        let name = |who: &str| format!("{tenant} {who}");
        let request = k::ListCreditsRequest { tenant: tenant.to_owned(), page_size: 1_000, ..Default::default() };
        for credit in kpi.list_credits(request).await.expect("credits").into_inner().credits {
            outcome.credits.push((credit.order_id, name(&credit.employee), credit.amount.unwrap_or_default().minor));
        }
        let request = p::ListPayoutsRequest { tenant: tenant.to_owned(), period: "2026-09".to_owned() };
        for payout in payroll.list_payouts(request).await.expect("payouts").into_inner().payouts {
            outcome.payouts.push((name(&payout.employee), payout.state, payout.amount.unwrap_or_default().minor));
        }
        for employee in EMPLOYEES {
            let (employee, period) = (employee.to_owned(), "2026-09".to_owned());
            let request = p::GetStatementRequest { tenant: tenant.to_owned(), employee, period };
            let statement = payroll.get_statement(request).await.expect("a statement").into_inner();
            let line = |line: p::StatementLine| {
                let delta = line.delta.unwrap_or_default().minor;
                (name(&statement.employee), line.component, line.basis_value, line.exact, delta)
            };
            outcome.statements.extend(statement.lines.into_iter().map(line));
        }
        let request = k::QueryKpisRequest {
            tenant: tenant.to_owned(),
            from: wire(BEGIN - Duration::from_days(60)),
            to: wire(CLOSE),
            ..Default::default()
        };
        let answer = kpi.query_kpis(request).await.expect("figures").into_inner();
        for row in answer.employees.into_iter().chain(answer.desks).chain(answer.total) {
            let csat = row.csat.unwrap_or_default();
            let who = name(&format!("{}/{}", row.desk, row.employee));
            outcome.figures.push((who, row.customers_received, row.orders, csat.numerator * 1_000 + csat.denominator));
        }
    }
    outcome.refused =
        world.memory.borrow().refused.iter().map(|(sent, why)| format!("{} {why}", sent.command_id)).collect();
    outcome.credits.sort();
    outcome.payouts.sort();
    outcome.statements.sort();
    outcome.figures.sort();
    outcome.refused.sort();
    outcome
}
