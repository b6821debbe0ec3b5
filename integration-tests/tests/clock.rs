//! The clock jumps: recorded times never go back, timers fire in their order, nothing is lost.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration as Span;

use fenliu::verify::verify_folder;
use integration_tests::company::{self, CALM};
use integration_tests::evidence::{self, Entry, FIRST_RESERVED};
use integration_tests::open::{Open, START};
use kernel::{Duration, Timestamp};
use log::Topic;
use proto::assignment as reception;
use proto::intake as pb;
use proto::roster::{Presence, SetPresenceRequest};
use runtime::field::wire_timestamp;
use runtime::{Clock, reason_of};
use tonic::{Code, Status};

/// A clock that only its test moves.
struct Hand(&'static AtomicI64);

impl Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn jump(&self, by: Duration) {
        self.0.fetch_add(by.as_micros(), Ordering::SeqCst);
    }

    fn back(&self, by: Duration) {
        self.0.fetch_sub(by.as_micros(), Ordering::SeqCst);
    }
}

/// A clock in real mode, and the hand that moves it.
macro_rules! clock {
    () => {{
        static NOW: AtomicI64 = AtomicI64::new(START.as_micros());
        fn now() -> Timestamp {
            Timestamp::from_micros(NOW.load(Ordering::SeqCst))
        }
        (Clock::told_by(now), Hand(&NOW))
    }};
}

/// A day's work at whatever time it is.
struct Shop {
    open: Open,
    commands: u64,
}

impl Shop {
    async fn open(dir: &Path, clock: Clock) -> Self {
        Self { open: Open::at(dir, clock).await, commands: 0 }
    }

    fn command(&mut self) -> String {
        self.commands += 1;
        fenliu::client::command_for(&["clock", &self.open.now().as_micros().to_string(), &self.commands.to_string()])
    }

    async fn come(&mut self) {
        for employee in company::EMPLOYEES {
            let request = SetPresenceRequest {
                command_id: self.command(),
                issued_at: Some(wire_timestamp(self.open.now())),
                tenant: "acme".to_owned(),
                employee: employee.to_owned(),
                presence: Presence::Available.into(),
            };
            self.open.client.roster.set_presence(request).await.unwrap();
        }
    }

    /// A command that was issued at `issued_at` by the client's own clock.
    async fn submit(&mut self, name: &str, issued_at: Timestamp) -> Result<String, Status> {
        let at = Some(wire_timestamp(issued_at));
        let request = pb::SubmitInquiryRequest {
            command_id: self.command(),
            issued_at: at,
            tenant: "acme".to_owned(),
            platform: "shop".to_owned(),
            external_id: name.to_owned(),
            desk: "main".to_owned(),
            customer: Some(pb::Customer {
                platform: "shop".to_owned(),
                external_id: name.to_owned(),
                ..Default::default()
            }),
            messages: vec![pb::Message {
                external_id: "m1".to_owned(),
                direction: pb::Direction::Customer.into(),
                text: "how much".to_owned(),
                occurred_at: at,
            }],
            occurred_at: at,
            ..Default::default()
        };
        self.open.client.intake.submit_inquiry(request).await.map(|answer| answer.into_inner().inquiry_id)
    }

    async fn inquiry(&mut self, inquiry_id: &str) -> reception::GetInquiryResponse {
        let request = reception::GetInquiryRequest { tenant: "acme".to_owned(), inquiry_id: inquiry_id.to_owned() };
        self.open.client.assignment.get_inquiry(request).await.unwrap().into_inner()
    }

    /// Waits until the inquiry is in a state. The clock stands, so it gets there at once or never.
    async fn reaches(&mut self, inquiry_id: &str, state: &str) -> reception::GetInquiryResponse {
        for _ in 0..3_000 {
            let request = reception::GetInquiryRequest { tenant: "acme".to_owned(), inquiry_id: inquiry_id.to_owned() };
            if let Ok(found) = self.open.client.assignment.get_inquiry(request).await
                && found.get_ref().state == state
            {
                return found.into_inner();
            }
            tokio::time::sleep(Span::from_millis(10)).await;
        }
        panic!("{:?} is not {state}", self.inquiry(inquiry_id).await)
    }

    async fn accept_and_complete(&mut self, inquiry_id: &str) {
        let offer = self.reaches(inquiry_id, "reserved").await;
        let request = reception::AcceptReservationRequest {
            command_id: self.command(),
            issued_at: Some(wire_timestamp(self.open.now())),
            tenant: "acme".to_owned(),
            reservation_id: offer.reservation_id,
            epoch: offer.epoch,
        };
        self.open.client.assignment.accept_reservation(request).await.unwrap();
        let request = reception::CompleteInquiryRequest {
            command_id: self.command(),
            issued_at: Some(wire_timestamp(self.open.now())),
            tenant: "acme".to_owned(),
            inquiry_id: inquiry_id.to_owned(),
            disposition: String::new(),
        };
        self.open.client.assignment.complete_inquiry(request).await.unwrap();
    }

    /// Waits until all that is due at this time was done.
    async fn settle(&self) {
        tokio::time::timeout(Span::from_secs(60), self.open.cluster.settle()).await.expect("all that is due is done");
    }

    /// Stops it, proves the folder and returns its records.
    async fn stop(self, dir: &Path) -> Vec<Entry> {
        self.settle().await;
        self.open.cluster.stop(dir).await;
        let report = verify_folder(dir, None).await.unwrap();
        assert!(report.ok, "{report:#?}");
        let entries = evidence::entries(dir);
        times_never_go_back(&entries);
        timers_fired_in_order(&entries);
        entries
    }
}

fn times_never_go_back(entries: &[Entry]) {
    for pair in entries.windows(2) {
        let [before, after] = pair else { unreachable!() };
        if (before.topic, before.partition) == (after.topic, after.partition) {
            let (earlier, later) = (&before.envelope, &after.envelope);
            assert!(earlier.recorded_at <= later.recorded_at, "{earlier:?}, then {later:?}");
        }
    }
}

/// When each timer that fired had been due, in the order of the log, with the record's own time. Timers of one time
/// fired in the order of their dues, and none before its due.
fn timers_fired_in_order(entries: &[Entry]) -> Vec<(Timestamp, Timestamp)> {
    let of = Topic::Assignment;
    let (mut offers, mut wraps, mut intents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut fired: Vec<(Timestamp, Timestamp)> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.topic == of && entry.envelope.schema < FIRST_RESERVED) {
        if let Some(event) = entry.event::<reception::InquiryPended>(of, 1) {
            intents.insert(event.inquiry_id, event.intent_due_us);
        } else if let Some(event) = entry.event::<reception::ReservationMade>(of, 4) {
            offers.insert(event.reservation_id, event.expires_at_us);
        } else if let Some(event) = entry.event::<reception::InquiryCompleted>(of, 10) {
            wraps.insert(event.inquiry_id, event.wrap_until_us);
        }
        let intent = entry.event::<reception::IntentSet>(of, 2).filter(|event| event.timed_out);
        let intent = intent.map(|event| intents[&event.inquiry_id]);
        let offer = entry.event::<reception::ReservationTimedOut>(of, 7).map(|event| offers[&event.reservation_id]);
        let wrap = entry.event::<reception::WrapUpEnded>(of, 11).map(|event| wraps[&event.inquiry_id]);
        let Some(due) = intent.or(offer).or(wrap).map(Timestamp::from_micros) else { continue };
        let at = entry.envelope.recorded_at;
        assert!(due <= at, "a timer of {due:?} fired at {at:?}");
        if let Some((before, then)) = fired.last() {
            assert!(*then < at || *before <= due, "at {at:?} a timer of {due:?} fired after one of {before:?}");
        }
        fired.push((due, at));
    }
    fired
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jumps_forward_fire_everything_in_between_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = clock!();
    let mut shop = Shop::open(folder.path(), clock).await;
    company::found(&mut shop.open.client, "acme", CALM, hand.now()).await;
    shop.come().await;
    let mut last = Vec::new();
    for (day, jump) in
        [Duration::from_hours(1), Duration::from_days(1), Duration::from_days(30)].into_iter().enumerate()
    {
        // Offers and wrap-ups of different ages are open when the clock jumps over all of them.
        last.clear();
        for n in 0..8 {
            let inquiry = shop.submit(&format!("{day}-{n}"), hand.now()).await.unwrap();
            shop.settle().await;
            if n % 3 == 0 {
                shop.accept_and_complete(&inquiry).await;
            } else {
                last.push(inquiry);
            }
            hand.jump(Duration::from_millis(700));
            shop.settle().await;
        }
        hand.jump(jump);
        shop.settle().await;
        // The world goes on at the new time: what was open before is offered again and can be done.
        let inquiry = shop.submit(&format!("{day}-after"), hand.now()).await.unwrap();
        shop.settle().await;
        assert_eq!(shop.inquiry(&inquiry).await.waited_ms, 0);
    }
    let entries = shop.stop(folder.path()).await;
    let fired = timers_fired_in_order(&entries);
    let late = fired.iter().filter(|(due, at)| at.since(*due) > Duration::from_secs(600));
    assert!(late.count() >= 9, "each jump went over timers: {fired:?}");
    let first = entries.iter().map(|entry| entry.envelope.recorded_at).min().unwrap();
    let last = entries.iter().map(|entry| entry.envelope.recorded_at).max().unwrap();
    assert!(last.since(first) > Duration::from_days(31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jumps_back_stop_recorded_time_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = clock!();
    let mut shop = Shop::open(folder.path(), clock).await;
    company::found(&mut shop.open.client, "acme", CALM, hand.now()).await;
    shop.come().await;
    for (n, back) in [Duration::from_secs(5), Duration::from_hours(3), Duration::from_days(6)].into_iter().enumerate() {
        let high = hand.now();
        let waiting = shop.submit(&format!("{n}-waiting"), high).await.unwrap();
        shop.settle().await;
        shop.reaches(&waiting, "reserved").await;
        hand.back(back);
        // Clients whose clock went back too are within the window of commands, and are served.
        let inquiry = shop.submit(&format!("{n}-after"), hand.now()).await.unwrap();
        shop.settle().await;
        shop.accept_and_complete(&inquiry).await;
        // Time that was recorded stands still until the clock has caught up; then the timers fire.
        hand.jump(back);
        hand.jump(Duration::from_secs(31));
        shop.settle().await;
        assert!(shop.inquiry(&waiting).await.epoch > 1, "the offer timed out and was made again");
        hand.jump(Duration::from_secs(61));
        shop.settle().await;
        shop.reaches(&inquiry, "completed").await;
    }
    shop.stop(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_an_earlier_clock_does_not_turn_recorded_time_back() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = clock!();
    let mut shop = Shop::open(folder.path(), clock.clone()).await;
    company::found(&mut shop.open.client, "acme", CALM, hand.now()).await;
    shop.come().await;
    let waiting = shop.submit("waiting", hand.now()).await.unwrap();
    shop.settle().await;
    let before = shop.reaches(&waiting, "reserved").await;
    let records = shop.stop(folder.path()).await.len();

    hand.back(Duration::from_days(2));
    let mut shop = Shop::open(folder.path(), clock.clone()).await;
    assert_eq!(shop.inquiry(&waiting).await, before);
    let inquiry = shop.submit("after", hand.now()).await.unwrap();
    shop.settle().await;
    shop.accept_and_complete(&inquiry).await;
    let entries = shop.stop(folder.path()).await;
    assert!(entries.len() > records);

    // And one that is far ahead fires what is due as soon as it starts.
    hand.jump(Duration::from_hours(49));
    let mut shop = Shop::open(folder.path(), clock).await;
    shop.reaches(&inquiry, "completed").await;
    shop.settle().await;
    for _ in 0..3_000 {
        if shop.inquiry(&waiting).await.epoch > before.epoch {
            break;
        }
        tokio::time::sleep(Span::from_millis(10)).await;
    }
    assert!(shop.inquiry(&waiting).await.epoch > before.epoch);
    shop.stop(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_of_commands_is_measured_on_recorded_time() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = clock!();
    let mut shop = Shop::open(folder.path(), clock).await;
    company::found(&mut shop.open.client, "acme", CALM, hand.now()).await;
    let refused = |answer: Result<String, Status>, reason: &str| {
        let status = answer.unwrap_err();
        assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::InvalidArgument, Some(reason)));
    };
    let week = Duration::from_days(7);
    shop.submit("now", hand.now()).await.unwrap();
    shop.submit("old", hand.now() - week).await.unwrap();
    refused(shop.submit("older", hand.now() - week - Duration::from_micros(1)).await, "COMMAND_EXPIRED");
    shop.submit("ahead", hand.now() + Duration::from_secs(60)).await.unwrap();
    refused(shop.submit("far ahead", hand.now() + Duration::from_secs(61)).await, "COMMAND_FROM_FUTURE");
    // The clock runs ahead by mistake and is set right: clients of the right time are refused once they are more than
    // a week behind what is recorded, because their ids may have been forgotten. Within the week they are served.
    hand.jump(Duration::from_days(6));
    shop.submit("a mistake", hand.now()).await.unwrap();
    hand.back(Duration::from_days(6));
    shop.submit("set right", hand.now()).await.unwrap();
    hand.jump(Duration::from_days(20));
    shop.submit("a great mistake", hand.now()).await.unwrap();
    hand.back(Duration::from_days(20));
    refused(shop.submit("too far", hand.now()).await, "COMMAND_EXPIRED");
    hand.jump(Duration::from_days(13));
    shop.submit("caught up", hand.now()).await.unwrap();
    shop.stop(folder.path()).await;
}
