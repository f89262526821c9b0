//! The tables of limits in docs/plugins.md are those of the code. To change them, run with
//! `COFFERDAM_UPDATE_DOCS=1` and look at the difference.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_contract::limits::{HostLimits, LimitValue, Limits};
use std::path::Path;

fn number(value: u32) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn table(rows: &[LimitValue]) -> String {
    let mut lines = vec![
        "| key | limit | default | range | unit |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for row in rows {
        let meaning = row.meaning.trim_end_matches('.');
        lines.push(format!(
            "| `{}` | {meaning} | {} | {} to {} | {} |",
            row.key,
            number(row.default),
            number(row.least),
            number(row.most),
            row.unit
        ));
    }
    lines.join("\n")
}

#[test]
fn the_tables_of_limits_are_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins.md");
    let published = std::fs::read_to_string(&path).unwrap();
    let mut now = published.clone();
    for (title, rows) in [
        ("<!-- limits of plugins:", Limits::DEFAULT.rows()),
        ("<!-- limits of compiling:", HostLimits::DEFAULT.rows()),
    ] {
        let (before, after) = now.split_once(title).unwrap();
        let (rest, after) = after.split_once("-->").unwrap();
        let (_, after) = after.split_once("<!-- end -->").unwrap();
        let table = table(&rows);
        now = format!("{before}{title}{rest}-->\n\n{table}\n\n<!-- end -->{after}");
    }
    if std::env::var_os("COFFERDAM_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == now,
        "docs/plugins.md does not have the limits of the code"
    );
}
