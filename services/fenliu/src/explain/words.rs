//! What a record says, in words.

use serde_json::Value;

use super::walk::Codes;
use crate::commands::output::text;

/// One line about an event; empty where its name says it all.
pub(super) fn about(event: &str, payload: &Value, codes: &Codes) -> String {
    let field = |name: &str| text(&payload[name]);
    let who = |name: &str| who(&payload[name], codes);
    let seconds = |name: &str| format!("{} ms", field(name));
    match event {
        "InquirySubmitted" => {
            let messages = payload["messages"].as_array().map_or(0, Vec::len);
            format!("{}:{} at desk {}, {messages} messages", field("platform"), field("external_id"), field("desk"))
        }
        "HistoryInquiryRecorded" => {
            format!("{}:{}, handled by {}", field("platform"), field("external_id"), field("handler"))
        }
        "MessageAppended" => {
            let message = &payload["message"];
            let direction = text(&message["direction"]).replace("DIRECTION_", "").to_lowercase();
            format!("from {direction}, {} characters", text(&message["characters"]))
        }
        "InquiryClosed" | "InquiryCancelled" => field("reason"),
        "OrderRecorded" | "PaymentRecorded" | "RefundRecorded" => {
            format!("{}:{} {}", field("platform"), field("external_id"), field("amount"))
        }
        "RatingRecorded" | "RatingNoted" => format!("score {}", field("score")),
        "IntentClassified" => scores(&payload["scores"]),
        "InquiryPended" => {
            let customer = if payload["new_customer"] == true { "a new customer" } else { "a known customer" };
            format!("at desk {}, {customer}", field("desk"))
        }
        "IntentSet" if payload["timed_out"] == true => format!("{}: no intent came in time", field("intent")),
        "IntentSet" | "PendingIntentNoted" => format!("{} {}", field("intent"), percent(&payload["ppm"])),
        "ReservationMade" => {
            let decision = &payload["decision"];
            let [rule, eligible] = ["rule", "eligible"].map(|name| text(&decision[name]));
            format!("offered to {} by rule {rule}, {eligible} could have had it", who("employee_id"))
        }
        "ReservationAccepted" => format!("{} after {}", who("employee_id"), seconds("waited_ms")),
        "ReservationRejected" => format!("{} {}", who("employee_id"), field("reason")),
        "ReservationTimedOut" | "ReservationCancelled" | "ReservationRescinded" | "WrapUpEnded" => who("employee_id"),
        "InquiryCompleted" => {
            let said = field("disposition");
            let said = if said.is_empty() { said } else { format!(", it was {said}") };
            format!("by {} after {}{said}", who("employee_id"), seconds("handled_ms"))
        }
        "InquiryTransferred" => format!("from {} to {}", who("from_employee_id"), who("to_employee_id")),
        "WaitEnded" => field("wait").replace("WAIT_", "").to_lowercase(),
        "ContactNoted" => format!("{} received the customer", who("employee_id")),
        "OrderNoted" | "PaymentNoted" | "RefundNoted" => field("amount"),
        "CreditGranted" | "CreditNoted" => format!("{} to {}", field("amount"), who("employee_id")),
        "CreditReversed" => format!("{} of {}: {}", field("amount"), who("employee_id"), field("reason")),
        "EarningAccrued" => format!(
            "{} of {} in {}: {} on {}, posted now {}",
            field("component"),
            who("employee_id"),
            field("period"),
            field("amount"),
            field("basis_value"),
            field("delta")
        ),
        "BalanceCarried" => format!("{} of {}", field("balance"), who("employee_id")),
        "PayoutChanged" => {
            let state = field("state").replace("PAYOUT_STATE_", "").to_lowercase();
            format!("{state}: {} to {} for {}", field("amount"), who("participant_id"), field("period"))
        }
        _ => String::new(),
    }
}

fn who(id: &Value, codes: &Codes) -> String {
    match id.as_str().unwrap_or_default() {
        "" => "anyone".to_owned(),
        id => id.parse().ok().and_then(|id| codes.get(&id).cloned()).unwrap_or_else(|| id.to_owned()),
    }
}

fn percent(ppm: &Value) -> String {
    let ppm = ppm.as_u64().unwrap_or_default();
    format!("{}.{}%", ppm / 10_000, ppm % 10_000 / 1_000)
}

fn scores(scores: &Value) -> String {
    let score = |score: &Value| format!("{} {}", text(&score["label"]), percent(&score["ppm"]));
    scores.as_array().into_iter().flatten().map(score).collect::<Vec<_>>().join(", ")
}
