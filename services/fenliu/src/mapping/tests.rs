use super::*;

const CDNOW: &str = include_str!("../../../../deploy/mappings/cdnow.yaml");
const CRM: &str = include_str!("../../../../deploy/mappings/crm_sales.yaml");

fn facts(mapping: &str, lines: &[&str]) -> Vec<Result<Fact, String>> {
    let mut mapper = Mapping::parse(mapping).unwrap().begin();
    lines.iter().filter_map(|line| mapper.line(line)).collect()
}

#[test]
fn a_file_of_columns_becomes_orders() {
    let lines = [
        " customer_id  date  number_of_cds  dollar_value",
        " 00001 19970101  1   11.77",
        "",
        " 00002 19971301  1   12.00",
    ];
    let facts = facts(CDNOW, &lines);
    assert_eq!(facts.len(), 2);
    let Ok(Fact::Order(order)) = &facts[0] else { panic!("{:?}", facts[0]) };
    assert_eq!((order.id.as_str(), order.customer.id.as_str(), order.amount.as_str()), ("cdnow-2", "00001", "11.77"));
    assert_eq!(instant::text(order.at.0), "1997-01-01T00:00:00Z");
    let error = facts[1].as_ref().unwrap_err();
    assert!(error.starts_with("at: \"19971301\" is not a date"), "{error}");
}

#[test]
fn sellers_get_codes_in_the_order_of_the_file_also_where_a_line_is_passed_over() {
    let lines = [
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value",
        "D1,Agent A,P,Account X,Lost,2016-10-20,2017-03-01,0",
        "D2,Agent B,P,\"Account, Y\",Won,2016-10-20,2017-03-01,1054",
        "D3,Agent A,P,Account X,Won,2016-10-25,2017-03-11,4514",
        "D4,Agent C,P,,Engaging,2016-10-25,,",
    ];
    let facts = facts(CRM, &lines);
    let sold: Vec<_> = facts
        .iter()
        .map(|fact| match fact {
            Ok(Fact::Order(order)) => (order.id.as_str(), order.handler.as_str(), order.customer.id.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sold, [("D2", "S02", "Account, Y"), ("D3", "S01", "Account X")]);
}

#[test]
fn a_table_of_employees_leaves_no_name_without_a_code() {
    let mapping = "{format: csv, fact: order, employees: {Ann: E7}, fields: {id: '{1}', customer.platform: p, customer.id: c, \
                   amount: '1', currency: USD, at: '2026-01-01T00:00:00Z', handler: '{2|employee}'}}";
    let facts = facts(mapping, &["O1,Ann", "O2,Bob", "O3"]);
    let Ok(Fact::Order(order)) = &facts[0] else { panic!("{:?}", facts[0]) };
    assert_eq!(order.handler, "E7");
    assert!(facts[1].as_ref().unwrap_err().contains("\"Bob\" is not among"));
    assert!(facts[2].as_ref().unwrap_err().contains("1 columns"));
}

#[test]
fn a_mistake_in_a_mapping_is_said_before_any_line_is_read() {
    let refused = [
        ("{format: xml, fact: order, fields: {}}", "unknown variant"),
        ("{format: csv, fact: oder, fields: {}}", "fact: \"oder\""),
        ("{format: csv, fact: order, fields: {id: '{1'}}", "fields.id: \"{1\" has a brace"),
        ("{format: csv, fact: order, fields: {id: '1}'}}", "closes a brace"),
        ("{format: csv, fact: order, fields: {id: '{1|upper}'}}", "\"upper\" is not a filter"),
        ("{format: csv, fact: order, fields: {id: '{}'}}", "braces without a column"),
        ("{format: csv, fact: order, fields: {}, wen: 1}", "unknown field"),
    ];
    for (mapping, expected) in refused {
        let error = Mapping::parse(mapping).expect_err(mapping);
        assert!(error.contains(expected), "{mapping}: {error}");
    }
    let facts = facts("{format: csv, fact: order, fields: {id: '{nowhere}'}}", &["a"]);
    assert!(facts[0].as_ref().unwrap_err().contains("id: the file has no column \"nowhere\""));
}

#[test]
fn csv_values_may_be_quoted() {
    assert_eq!(split_csv(r#"a,"b,c","d ""e""",,"#).unwrap(), ["a", "b,c", "d \"e\"", "", ""]);
    assert!(split_csv("a,\"b").is_err());
}

#[test]
fn dates_may_have_a_time_and_an_offset() {
    assert_eq!(date("2026-09-15", "%Y-%m-%d").unwrap(), "2026-09-15T00:00:00Z");
    assert_eq!(date("15/09/2026 08:30", "%d/%m/%Y %H:%M").unwrap(), "2026-09-15T08:30:00Z");
    assert_eq!(date("2026-09-15 08:30 +0800", "%Y-%m-%d %H:%M %z").unwrap(), "2026-09-15T00:30:00Z");
    assert!(date("", "%Y-%m-%d").is_err());
}
