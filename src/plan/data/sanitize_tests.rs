//! Rules take what they should, in every form that rows have, and keep joins.

use std::io::{Seek, Write};

use serde_json::json;

use super::*;
use crate::plan::data::{Format, Rows};
use crate::template::exact_json::to_value;

fn rules(own: &[(&str, ColumnRule)], required: &[(&str, ColumnRule)]) -> ColumnRules {
    let required = required.iter().map(|(name, rule)| ((*name).to_owned(), rule.clone()));
    let mut rules = ColumnRules::required(required.collect());
    own.iter().for_each(|(column, rule)| rules.add(column, rule.clone()));
    rules
}

fn row(value: &serde_json::Value) -> Value {
    to_value(value)
}

#[test]
fn each_rule_leaves_what_it_says() {
    for (text, shown) in [
        ("4111 1111-1111 1234", "**** ****-**** 1234"),
        ("12345678", "****5678"),
        ("1234567", "*******"),
        ("a-b", "*-*"),
        ("", ""),
    ] {
        assert_eq!(masked(text), shown);
    }
    let of = |rule: &ColumnRule, text: &str| rule.apply(Value::from(text)).map(|v| v.to_string());
    let constant = ColumnRule::Replace(Value::from(0));
    assert_eq!(of(&ColumnRule::Drop, "x"), None);
    assert_eq!(of(&constant, "x").unwrap(), "0");
    let (one, same) = (of(&ColumnRule::Hash, "ana"), of(&ColumnRule::Hash, "ana"));
    assert_eq!(one, same);
    let one = one.unwrap();
    assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    assert_ne!(Some(one), of(&ColumnRule::Hash, "bea"));
    // Numbers are hashed as their text; what is missing stays missing.
    let number = ColumnRule::Hash.apply(Value::from(7)).unwrap();
    assert_eq!(Some(number.to_string()), of(&ColumnRule::Hash, "7"));
    assert!(ColumnRule::Hash.apply(Value::from(())).unwrap().is_none());
    let fake = |form, text: &str| of(&ColumnRule::Fake(form), text).unwrap();
    let email = fake(FakeForm::Email, "ana@shop.test");
    assert!(email.starts_with("user-") && email.ends_with("@example.com"), "{email}");
    assert_eq!(email, fake(FakeForm::Email, "ana@shop.test"));
    let digits = fake(FakeForm::Digits, "+55 (11) 98765-4321, and 123456789012345678901234567890");
    let signs = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(signs(&digits), "+00 (00) 00000-0000, and 000000000000000000000000000000");
    assert_ne!(digits, signs(&digits));
    let uuid = fake(FakeForm::Uuid, "7");
    assert_eq!(signs(&uuid).len(), 36);
    assert_eq!(&uuid[14..15], "8");
}

#[test]
fn stricter_of_two_rules_applies_and_names_have_any_spelling() {
    let all = rules(
        &[("ssn", ColumnRule::Mask), ("card", ColumnRule::Drop), ("name", ColumnRule::Hash)],
        &[("SSN", ColumnRule::Drop), ("card", ColumnRule::Mask), ("Credit-Card", ColumnRule::Drop)],
    );
    assert!(all.drops("ssn") && all.drops("card") && all.drops("creditCard"));
    assert!(all.has("name") && !all.drops("name") && !all.has("city"));
    let given = json!({
        "ssn": "1", "card": "2", "name": "ana", "city": "Recife", "empty": null,
        "orders": [{ "id": 1, "credit_card": "4111", "nested": { "SSN": "9", "keep": true } }],
    });
    let kept = all.apply(row(&given));
    let name = kept.get_attr("name").unwrap().to_string();
    assert_eq!(
        kept,
        row(&json!({
            "name": name, "city": "Recife", "empty": null,
            "orders": [{ "id": 1, "nested": { "keep": true } }],
        }))
    );
    assert_eq!(name.len(), 32);
    // Without rules a row is as it was.
    assert_eq!(ColumnRules::default().apply(row(&given)), row(&given));
}

#[test]
fn rows_of_files_have_no_raw_value_whether_they_are_held_or_read() {
    let csv = "name,ssn,email\nana,078-05-1120,ana@shop.test\nbea,219-09-9999,ana@shop.test\n";
    let lines = "{\"name\":\"ana\",\"ssn\":\"078-05-1120\",\"email\":\"ana@shop.test\"}\n\
                 {\"name\":\"bea\",\"ssn\":\"219-09-9999\",\"email\":\"ana@shop.test\"}\n";
    let mut first: Option<Vec<String>> = None;
    for (text, format) in [(csv, Format::Csv), (lines, Format::Json)] {
        for is_large in [false, true] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.rewind().unwrap();
            let all = rules(&[("email", ColumnRule::Hash)], &[("ssn", ColumnRule::Drop)]);
            let read = if is_large { Rows::index } else { Rows::read };
            let rows = read(file, format, all).unwrap();
            if let Some(columns) = rows.columns() {
                let columns: std::collections::BTreeSet<_> = columns.into_iter().collect();
                assert_eq!(
                    columns,
                    ["email", "name"].map(str::to_owned).into(),
                    "{format:?} {is_large}"
                );
            }
            assert!(rows.rules().drops("ssn"));
            let shown: Vec<String> =
                (0..2).map(|index| rows.get(index).unwrap().to_string()).collect();
            let [ana, bea] = shown.as_slice() else { panic!("{shown:?}") };
            assert!(ana.contains("'ana'") && !ana.contains("078-05"), "{ana}");
            assert!(!ana.contains("shop.test") && !bea.contains("219-09"), "{bea}");
            // Equal values stay equal, over rows, files and formats.
            assert_eq!(ana.replace("'ana'", "'bea'"), *bea);
            assert_eq!(first.get_or_insert_with(|| shown.clone()), &shown);
        }
    }
}
