//! The sample's agents in real time: they accept what they are offered and complete it after a while.

use std::time::Duration;

use anyhow::anyhow;
use proto::assignment as pb;
use proto::roster::{Presence, SetPresenceRequest};
use serde_json::json;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

use super::player::duties;
use super::sample::TENANT;
use crate::client::{Client, explain_status, new_command, wire};
use crate::cluster::Cluster;

/// How long an agent looks at an offer, and talks to a customer.
const LOOKS: Duration = Duration::from_millis(400);
const TALKS: Duration = Duration::from_secs(60);

/// An inquiry of one's own, as grpcurl takes it, with the platform's id of it.
pub(super) fn example_request() -> (String, String) {
    let now = crate::instant::text(runtime::Clock::real().now());
    let command_id = new_command().unwrap_or_default();
    let external_id = format!("mine-{}", command_id.get(..8).unwrap_or_default());
    let request = json!({
        "tenant": TENANT,
        "commandId": command_id,
        "issuedAt": now,
        "occurredAt": now,
        "platform": "shop",
        "externalId": external_id,
        "desk": "domestic",
        "customer": {"platform": "shop", "externalId": "me", "language": "zh"},
        "messages": [{"externalId": "1", "direction": "DIRECTION_CUSTOMER", "text": "小松PC200的主泵多少钱", "occurredAt": now}],
    });
    (external_id, request.to_string())
}

/// Puts all agents on duty until the token is cancelled.
pub(super) async fn go_on_duty(cluster: &Cluster, client: &Client) -> anyhow::Result<CancellationToken> {
    let duty = cluster.shared.shutdown.child_token();
    for agent in duties(client).await?.into_keys() {
        let mut client = client.clone();
        let now = cluster.shared.clock.now();
        let request = SetPresenceRequest {
            command_id: new_command()?,
            issued_at: wire(now),
            tenant: TENANT.to_owned(),
            employee: agent.clone(),
            presence: Presence::Available.into(),
        };
        client.roster.set_presence(request).await.map_err(|status| anyhow!(explain_status(&status)))?;
        let (duty, cluster) = (duty.clone(), cluster.clone());
        runtime::spawn("sample_agent", async move {
            tokio::select! {
                () = duty.cancelled() => {}
                ended = work(&cluster, client, agent.clone()) => {
                    if let Err(error) = ended {
                        tracing::warn!(agent, %error, "a simulated agent stopped");
                    }
                }
            }
        });
    }
    Ok(duty)
}

/// One agent: takes up what is still theirs from before, then whatever comes.
async fn work(cluster: &Cluster, mut client: Client, agent: String) -> anyhow::Result<()> {
    let request = pb::WatchOffersRequest {
        tenant: TENANT.to_owned(),
        employee: agent,
        from_seq: 0,
        live_only: false,
        progress: true,
    };
    let mut offers =
        client.assignment.watch_offers(request).await.map_err(|status| anyhow!(explain_status(&status)))?.into_inner();
    let mut caught_up = false;
    let mut before = std::collections::BTreeMap::new();
    while let Some(item) = offers.next().await {
        let item = item.map_err(|status| anyhow!(explain_status(&status)))?;
        if item.heartbeat {
            if !caught_up {
                caught_up = true;
                std::mem::take(&mut before).into_values().for_each(|item| act(cluster, &client, item));
            }
        } else if caught_up {
            act(cluster, &client, item);
        } else if matches!(item.step(), pb::Step::Offered | pb::Step::Assigned) {
            before.insert(item.inquiry_id.clone(), item);
        } else {
            before.remove(&item.inquiry_id);
        }
    }
    Ok(())
}

/// Accepts an offer, or completes an assignment, after a moment of its own.
fn act(cluster: &Cluster, client: &Client, item: pb::WatchOffersResponse) {
    let (clock, mut client) = (cluster.shared.clock.clone(), client.clone());
    runtime::spawn("sample_agent.act", async move {
        let Ok(command_id) = new_command() else { return };
        let tenant = TENANT.to_owned();
        let done = match item.step() {
            pb::Step::Offered => {
                tokio::time::sleep(LOOKS).await;
                let (reservation_id, epoch) = (item.reservation_id, item.epoch);
                let issued_at = wire(clock.now());
                let request = pb::AcceptReservationRequest { command_id, issued_at, tenant, reservation_id, epoch };
                client.assignment.accept_reservation(request).await.map(drop)
            }
            pb::Step::Assigned => {
                tokio::time::sleep(TALKS).await;
                let (inquiry_id, disposition) = (item.inquiry_id, String::new());
                let issued_at = wire(clock.now());
                let request = pb::CompleteInquiryRequest { command_id, issued_at, tenant, inquiry_id, disposition };
                client.assignment.complete_inquiry(request).await.map(drop)
            }
            _ => Ok(()),
        };
        if let Err(status) = done {
            tracing::debug!(refusal = explain_status(&status), "a simulated agent was too late");
        }
    });
}
