//! The plan file: YAML that people write, checked whole before it is activated.

use kernel::{Rate, Rounding, Timestamp};
use serde::Deserialize;

use crate::domain::{Basis, Component, Method, Plan, Tier};

/// Decimals of a bound or rate, and the largest rates: so that no product of a bounded amount and a rate loses a digit or
/// leaves the range of money, which would keep a whole company's period open (L9).
const DECIMALS_MAX: u32 = 9;
/// Ten times the sale itself.
const RATE_MAX: i64 = 10;
/// Major units a piece.
const RATE_A_PIECE_MAX: i64 = 1_000_000;
/// Tiers of a table and components of a plan (L9).
const ENTRIES_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    code: String,
    version: u32,
    position: String,
    currency: String,
    #[serde(default = "half_up")]
    rounding: String,
    effective_from: String,
    components: Vec<ComponentEntry>,
}

fn half_up() -> String {
    "half_up".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentEntry {
    code: String,
    /// net_sales, orders or new_customer_sales.
    basis: String,
    /// marginal or slab.
    method: String,
    tiers: Vec<TierEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierEntry {
    lo: String,
    hi: Option<String>,
    rate: String,
}

/// Reads and checks a plan. The error names the place and what is wrong there.
pub fn parse(yaml: &str) -> Result<Plan, String> {
    let file: PlanFile = serde_norway::from_str(yaml).map_err(|error| error.to_string())?;
    if file.components.is_empty() || file.components.len() > ENTRIES_MAX {
        return Err(format!("components: 1 to {ENTRIES_MAX} are needed"));
    }
    let effective_from: jiff::Timestamp = file.effective_from.parse().map_err(|_| {
        format!("effective_from: {:?} is not an instant such as 2026-01-01T00:00:00+08:00", file.effective_from)
    })?;
    let mut components = Vec::new();
    for entry in file.components {
        let code = entry.code.clone();
        if components.iter().any(|known: &Component| known.code == code) {
            return Err(format!("components: code {code:?} stands there twice"));
        }
        components.push(component(entry).map_err(|what| format!("component {code}: {what}"))?);
    }
    Ok(Plan {
        code: file.code,
        version: file.version,
        position: file.position,
        currency: file.currency.parse().map_err(|error| format!("currency: {error}"))?,
        components,
        rounding: match file.rounding.as_str() {
            "half_up" => Rounding::HalfUp,
            "half_even" => Rounding::HalfEven,
            other => return Err(format!("rounding: {other:?} is not half_up or half_even")),
        },
        effective_from: Timestamp::from_micros(effective_from.as_microsecond()),
    })
}

fn component(entry: ComponentEntry) -> Result<Component, String> {
    let basis = match entry.basis.as_str() {
        "net_sales" => Basis::NetSales,
        "orders" => Basis::Orders,
        "new_customer_sales" => Basis::NewCustomerSales,
        other => return Err(format!("basis: {other:?} is not net_sales, orders or new_customer_sales")),
    };
    let method = match entry.method.as_str() {
        "marginal" => Method::Marginal,
        "slab" => Method::Slab,
        other => return Err(format!("method: {other:?} is not marginal or slab")),
    };
    if entry.tiers.is_empty() || entry.tiers.len() > ENTRIES_MAX {
        return Err(format!("tiers: 1 to {ENTRIES_MAX} are needed"));
    }
    let rate_max = if basis == Basis::Orders { RATE_A_PIECE_MAX } else { RATE_MAX };
    let mut tiers: Vec<Tier> = Vec::new();
    for tier in entry.tiers {
        let parse = |text: &str| decimal(text).map_err(|what| format!("tiers: {what}"));
        let (lo, rate) = (parse(&tier.lo)?, parse(&tier.rate)?);
        let hi = tier.hi.as_deref().map(parse).transpose()?;
        if rate.0.abs() > kernel::Decimal::from(rate_max) {
            return Err(format!("tiers: rate {rate} is more than {rate_max}"));
        }
        tiers.push(Tier { lo, hi, rate });
    }
    covers(&tiers)?;
    Ok(Component { code: entry.code, basis, method, tiers })
}

fn decimal(text: &str) -> Result<Rate, String> {
    let rate: Rate = text.parse().map_err(|error| format!("{error}"))?;
    let scale = rate.0.normalize().scale();
    if scale > DECIMALS_MAX {
        Err(format!("{text:?} has {scale} decimals; {DECIMALS_MAX} are allowed"))
    } else {
        Ok(rate)
    }
}

/// Tiers must cover everything from 0 up, each from where the one before ends.
fn covers(tiers: &[Tier]) -> Result<(), String> {
    let mut next = Some(Rate(kernel::Decimal::ZERO));
    for tier in tiers {
        match next {
            Some(lo) if lo.0 == tier.lo.0 => {}
            Some(lo) => return Err(format!("tiers: one must begin at {lo}, this one begins at {}", tier.lo)),
            None => return Err(format!("tiers: nothing may follow the tier without `hi`, but {} does", tier.lo)),
        }
        if tier.hi.is_some_and(|hi| hi.0 <= tier.lo.0) {
            return Err(format!("tiers: the tier from {} is empty", tier.lo));
        }
        next = tier.hi;
    }
    if next.is_some() { Err("tiers: the last tier must have no `hi`".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tiers: &str) -> Result<Plan, String> {
        parse(&format!(
            "code: p\nversion: 1\nposition: sales\ncurrency: CNY\neffective_from: 2026-01-01T00:00:00Z\ncomponents:\n- code: c\n  basis: net_sales\n  method: slab\n  tiers: {tiers}\n"
        ))
    }

    #[test]
    fn a_table_must_cover_everything_once() {
        assert!(plan("[{lo: '0', rate: '0.01'}]").is_ok());
        let refused = [
            ("[]", "1 to"),
            ("[{lo: '5', rate: '0.01'}]", "must begin at 0"),
            ("[{lo: '0', hi: '9', rate: '0.01'}]", "no `hi`"),
            ("[{lo: '0', hi: '9', rate: '1'}, {lo: '10', rate: '1'}]", "must begin at 9"),
            ("[{lo: '0', rate: '1'}, {lo: '10', rate: '1'}]", "nothing may follow"),
            ("[{lo: '0', hi: '0', rate: '1'}, {lo: '0', rate: '1'}]", "is empty"),
            ("[{lo: '0', rate: 'x'}]", "not a decimal"),
            ("[{lo: '0', rate: '0.0123456789'}]", "has 10 decimals"),
            ("[{lo: '0', rate: '10.5'}]", "more than 10"),
            ("[{lo: '0', rate: '-11'}]", "more than 10"),
        ];
        for (tiers, expected) in refused {
            let error = plan(tiers).expect_err(tiers);
            assert!(error.contains(expected), "{tiers}: {error}");
        }
    }
}
