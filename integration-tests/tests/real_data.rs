//! Real data through the real front door: orders, deals, and labelled texts of others. The files are not part of the
//! project: they are looked for beside it, in `../shared/data`, or where `FENLIU_SHARED_DATA` says.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fenliu::Cluster;
use fenliu::client::{command_for, wire};
use fenliu::commands::init::labels;
use fenliu::mapping::Mapping;
use intent::evaluate;
use kernel::{TenantId, Timestamp};
use log::{Header, Options, Topic};
use proto::intake::StreamInquiriesRequest;
use proto::intake::intake_service_client::IntakeServiceClient;
use proto::kpi::kpi_service_client::KpiServiceClient;
use proto::kpi::{Kpis, QueryKpisRequest, QueryKpisResponse};
use proto::roster::ImportCompanyRequest;
use proto::roster::roster_service_client::RosterServiceClient;
use runtime::{Clock, schema};
use tempfile::TempDir;
use tokio_stream::StreamExt;

/// 2026-09-15T01:00:00Z: all of the data is of the past.
const NOW: Timestamp = Timestamp::from_micros(1_789_434_000_000_000);
/// Orders of CDNOW that are taken: a test is no benchmark.
const ORDERS: usize = 3_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the shared data; says that it is skipped when it is not there.
fn shared(file: &str) -> Option<String> {
    let folder = std::env::var_os("FENLIU_SHARED_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is not there (FENLIU_SHARED_DATA names the folder)", path.display());
    }
    text
}

/// A company whose past is loaded.
struct Company {
    dir: TempDir,
    cluster: Cluster,
    tenant: &'static str,
}

impl Company {
    async fn new(tenant: &'static str, yaml: String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { partitions: 1, ..Options::default() };
        let cluster = Cluster::open(dir.path(), Clock::virtual_from(NOW), options).unwrap();
        let mut client = RosterServiceClient::new(roster::api::api(cluster.roster.clone()));
        let command_id = command_for(&["company"]);
        let request =
            ImportCompanyRequest { command_id, issued_at: wire(NOW), tenant: tenant.to_owned(), yaml, dry_run: false };
        client.import_company(request).await.unwrap();
        Self { dir, cluster, tenant }
    }

    /// Sends a file by its mapping, as `fenliu ingest --history` does; every line must be admitted.
    async fn ingest(&self, run: &str, mapping: &str, file: &str) -> usize {
        let mapping = std::fs::read_to_string(root().join("deploy/mappings").join(mapping)).unwrap();
        let mut mapper = Mapping::parse(&mapping).unwrap().begin();
        let facts = file.lines().filter_map(|line| mapper.line(line).map(Result::unwrap));
        let request = |(n, fact): (usize, fenliu::facts::Fact)| {
            fact.request(self.tenant, command_for(&[run, &n.to_string()]), NOW, true).unwrap()
        };
        let requests: Vec<StreamInquiriesRequest> = facts.enumerate().map(request).collect();
        let count = requests.len();
        let mut client = IntakeServiceClient::new(intake::api::api(self.cluster.intake.clone()));
        let mut answers = client.stream_inquiries(tokio_stream::iter(requests)).await.unwrap().into_inner();
        let mut admitted = 0;
        while let Some(answer) = answers.next().await {
            let answer = answer.unwrap();
            assert!(answer.refusal.is_none(), "fact {admitted} of {run}: {:?}", answer.refusal);
            admitted += 1;
        }
        assert_eq!(admitted, count, "answers");
        self.cluster.settle().await;
        count
    }

    async fn figures(&self) -> QueryKpisResponse {
        let mut client = KpiServiceClient::new(kpi::api::api(self.cluster.kpi.clone()));
        let (from, to) = (wire(Timestamp::default()), wire(NOW));
        let request = QueryKpisRequest { tenant: self.tenant.to_owned(), from, to, ..Default::default() };
        client.query_kpis(request).await.unwrap().into_inner()
    }

    /// Events by topic, runtime records apart.
    async fn events(&self) -> BTreeMap<Topic, u64> {
        let log = &self.cluster.shared.log;
        let partition = self.cluster.intake.partition_of(TenantId::of_code(self.tenant));
        let mut counts = BTreeMap::new();
        for topic in log::TOPICS {
            let (mut next, end) = (0, *log.end(topic, partition).borrow());
            while next < end {
                for record in log.read(topic, partition, next, 4 << 20).await.unwrap() {
                    let (header, _) = Header::parse(&record.bytes).unwrap();
                    *counts.entry(topic).or_default() += u64::from(header.schema < schema::FIRST_RESERVED);
                    next = record.seq + 1;
                }
            }
        }
        counts
    }

    /// Stops it; `verify` must find nothing.
    async fn end(self) {
        self.cluster.stop(self.dir.path()).await;
        let report = fenliu::verify::verify_folder(self.dir.path(), None).await.unwrap();
        assert!(report.ok, "{report:#?}");
    }
}

/// Sales in whole minor units; one currency, and nothing was given back.
fn sales(row: &Kpis) -> i64 {
    assert!(row.sales.len() <= 1 && row.refunds.iter().all(|money| money.minor == 0), "{row:?}");
    row.sales.first().map_or(0, |money| money.minor)
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future);
}

#[test]
fn deals_of_a_crm_are_counted_for_who_closed_them() {
    let Some(file) = shared("commerce/crm_sales/sales_pipeline.csv") else { return };
    run(async {
        let yaml = std::fs::read_to_string(root().join("deploy/mappings/crm_sales-company.yaml")).unwrap();
        let company = Company::new("crm-sales", yaml).await;
        assert_eq!(company.ingest("first", "crm_sales.yaml", &file).await, 4_238, "won deals");
        let first = company.figures().await;
        let total = first.total.clone().unwrap();
        println!("{} deals won, {} cents", total.orders, sales(&total));
        assert_eq!((total.orders, sales(&total)), (4_238, 1_000_553_400));
        let people: Vec<&Kpis> = first.employees.iter().filter(|row| row.orders > 0).collect();
        assert_eq!(people.len(), 30, "sellers");
        assert_eq!(people.iter().map(|row| row.orders).sum::<u64>(), 4_238);
        assert_eq!(people.iter().map(|row| sales(row)).sum::<i64>(), 1_000_553_400);

        let events = company.events().await;
        assert_eq!(company.ingest("second", "crm_sales.yaml", &file).await, 4_238);
        assert_eq!(
            company.figures().await,
            QueryKpisResponse { known_seq: company.figures().await.known_seq, ..first }
        );
        assert_eq!(company.events().await, events, "the same file again is nothing new");
        assert_eq!(
            events.get(&Topic::Payroll).copied().unwrap_or(0),
            31,
            "past deals never pay: 30 people and the company"
        );
        company.end().await;
    });
}

#[test]
fn orders_of_a_shop_are_counted_once() {
    let Some(file) = shared("commerce/cdnow/CDNOW_master.txt") else { return };
    let file: String = file.lines().take(ORDERS + 1).map(|line| format!("{line}\n")).collect();
    let cents = |line: &str| {
        let amount = line.split_whitespace().nth(3).unwrap().replace('.', "");
        amount.parse::<i64>().unwrap()
    };
    let (expected, customers) =
        file.lines().skip(1).fold((0, std::collections::BTreeSet::new()), |(sum, mut all), line| {
            all.insert(line.split_whitespace().next().unwrap().to_owned());
            (sum + cents(line), all)
        });
    run(async {
        let yaml = "company: { name: A shop, currency: USD, zone: UTC, legal_entity: SHOP }
effective_from: \"1996-01-01T00:00:00Z\"
desks:
  - { code: main, name_zh: 主, name_en: Main, zone: UTC }
";
        let company = Company::new("cdnow", yaml.to_owned()).await;
        assert_eq!(company.ingest("first", "cdnow.yaml", &file).await, ORDERS);
        let total = company.figures().await.total.unwrap();
        println!(
            "{} orders of {} customers, {} cents, {:?}",
            total.orders,
            customers.len(),
            sales(&total),
            total.repurchase
        );
        assert_eq!((total.orders, sales(&total)), (ORDERS as u64, expected));
        let events = company.events().await;
        company.ingest("second", "cdnow.yaml", &file).await;
        assert_eq!(company.figures().await.total.unwrap(), total);
        assert_eq!(company.events().await, events, "the same file again is nothing new");
        company.end().await;
    });
}

/// At most `each` texts of each of the `count` most frequent labels of `train`.
fn some(examples: &[(String, String)], chosen: &[String], each: usize) -> Vec<(String, String)> {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    for example in examples.iter().filter(|(label, _)| chosen.contains(label)) {
        let count = taken.entry(&example.0).or_default();
        if *count < each {
            *count += 1;
            kept.push(example.clone());
        }
    }
    kept
}

fn accuracy(set: &str) {
    let (Some(train), Some(test)) =
        (shared(&format!("intent/{set}/train.tsv")), shared(&format!("intent/{set}/test.tsv")))
    else {
        return;
    };
    let (train, test) = (labels(&train).unwrap(), labels(&test).unwrap());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (label, _) in &train {
        *counts.entry(label).or_default() += 1;
    }
    let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
    order.sort_by_key(|(label, count)| (std::cmp::Reverse(*count), *label));
    let chosen: Vec<String> = order.iter().take(12).map(|(label, _)| (*label).to_owned()).collect();
    let found = evaluate::evaluate(&some(&train, &chosen, 40), &some(&test, &chosen, 25));
    println!(
        "{set}: {} labels, learnt {}, right {} of {} ({} ppm), calibration error {} ppm",
        chosen.len(),
        found.train,
        found.right,
        found.test,
        found.accuracy_ppm,
        found.ece_ppm
    );
    // Far below what it reaches, far above chance: a broken extractor or model fails.
    assert!(found.test > 50 && found.accuracy_ppm > 400_000, "{found:?}");
}

#[test]
fn chinese_texts_of_others_can_be_classified() {
    accuracy("massive_zh");
}

#[test]
fn english_texts_of_others_can_be_classified() {
    accuracy("hint3_curekart");
    accuracy("clinc150");
}
