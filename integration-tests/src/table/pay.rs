//! The rows of the company file and of pay.

use super::*;

pub(super) fn rows(contract: &DescriptorPool, bases: &Bases) -> Vec<Row> {
    let company = |change: &dyn Fn(String) -> String| text(&change(company::yaml(CALM)));
    let plan = |change: &dyn Fn(String) -> String| text(&change(company::plan(2)));
    let replaced = |from: &'static str, to: &'static str| {
        move |yaml: String| {
            assert!(yaml.contains(from), "{from}");
            yaml.replace(from, to)
        }
    };
    let file = Manners { free: &["yaml"], unknown: &[NO_TENANT], ..Manners::default() };
    let mut import = Row::new(
        contract,
        "fenliu.roster.v1.RosterService/ImportCompany",
        &bases.import(),
        ("yaml", company(&replaced("experience_months: 24", "experience_months: 26"))),
    )
    // An unknown company is a new one.
    .manners(Manners { optional: &["dry_run"], unknown: &[], ..file });
    let strange: [(&str, &str); 9] = [
        ("company: {", "company: ["),
        ("currency: CNY", "currency: YUAN"),
        ("zone: Asia/Shanghai, legal_entity", "zone: Mars/Base, legal_entity"),
        ("desks:", "tables:"),
        ("capacity_units: 2000", "capacity_units: -1"),
        ("capacity_units: 2000", "capacity_units: 4000000000"),
        ("experience_months: 24", "experience_months: many"),
        ("code: E2", "code: E1"),
        ("accept_timeout_ms: 30000", "accept_timeout_ms: 1"),
    ];
    for (from, to) in strange {
        import = import.invalid("yaml", company(&replaced(from, to)));
    }
    import = import
        .wrong("yaml", company(&replaced("desk: main", "desk: nowhere")), InvalidArgument, "DESK_UNKNOWN")
        .wrong("yaml", company(&replaced("position: sales,", "position: boss,")), InvalidArgument, "POSITION_UNKNOWN")
        .wrong("yaml", company(&replaced("currency: CNY", "currency: USD")), FailedPrecondition, "CURRENCY_CHANGES")
        .invalid("yaml", text("\u{0}"))
        .invalid("yaml", text("&a [*a, *a]"))
        .invalid("yaml", text(&"[".repeat(5_000)));
    import.forgotten = &["changes"];
    let mut activate = Row::new(
        contract,
        "fenliu.payroll.v1.PayrollService/ActivatePlan",
        &bases.activate(),
        ("yaml", plan(&replaced("0.01", "0.02"))),
    )
    .manners(file);
    let strange: [(&str, &str); 8] = [
        ("rate: \"0.01\"", "rate: \"much\""),
        ("lo: \"0\"", "lo: \"5\""),
        ("basis: net_sales", "basis: gross"),
        ("method: marginal", "method: guess"),
        ("version: 2", "version: two"),
        ("version: 2", "version: -2"),
        ("2026-01-01T00:00:00Z", "yesterday"),
        ("components:", "parts:"),
    ];
    for (from, to) in strange {
        activate = activate.invalid("yaml", plan(&replaced(from, to)));
    }
    activate = activate.invalid("yaml", text(&"[".repeat(5_000))).wrong(
        "yaml",
        plan(&replaced("version: 2", "version: 7")),
        FailedPrecondition,
        "PLAN_VERSION",
    );
    activate.rival = Some((FailedPrecondition, "PLAN_VERSION"));
    let period = Manners { free: &["period"], unknown: &[NO_TENANT], ..Manners::default() };
    let months = |row: Row| {
        ["2026-13", "2026-00", "26-08", "August", "2026-08-01", "2026-8", "-2026-08", "2026-08\n"]
            .into_iter()
            .fold(row, |row, month| row.invalid("period", text(month)))
    };
    vec![
        import,
        activate,
        months(Row::new(
            contract,
            "fenliu.payroll.v1.PayrollService/ClosePeriod",
            &bases.close_period(),
            ("period", text("2026-07")),
        ))
        .manners(period)
        .wrong("period", text("2026-09"), FailedPrecondition, "PERIOD_NOT_OVER")
        .wrong("period", text("2026-10"), FailedPrecondition, "PERIOD_NOT_OVER"),
        Row::new(
            contract,
            "fenliu.payroll.v1.PayrollService/ApprovePayouts",
            &bases.approve(),
            ("period", text("2026-07")),
        )
        // Whether it is a month at all is not looked at: that is so today.
        .manners(Manners { unread: &["period"], ..period })
        .wrong("period", text(""), FailedPrecondition, "PERIOD_NOT_CLOSED")
        .wrong("period", text("2026-07"), FailedPrecondition, "PERIOD_NOT_CLOSED")
        .wrong("period", text("2026-09"), FailedPrecondition, "PERIOD_NOT_CLOSED"),
    ]
}
