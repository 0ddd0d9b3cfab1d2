//! Whether a column of data looks like that of real persons.
//!
//! `scenario` warns about such columns without a rule.
//! Invariant: published test numbers, empty columns and numbers of other kinds look like none.

use super::sanitize::{plain_name, text};
use crate::template::Value;

/// Names of columns with personal data, without signs and case.
const PERSONAL: [(&str, &str); 18] = [
    ("ssn", "social security numbers"),
    ("socialsecurity", "social security numbers"),
    ("socialsecuritynumber", "social security numbers"),
    ("cpf", "tax numbers"),
    ("taxid", "tax numbers"),
    ("passport", "passport numbers"),
    ("passportnumber", "passport numbers"),
    ("creditcard", "card numbers"),
    ("creditcardnumber", "card numbers"),
    ("cardnumber", "card numbers"),
    ("ccnumber", "card numbers"),
    ("pan", "card numbers"),
    ("cvv", "security codes of cards"),
    ("cvv2", "security codes of cards"),
    ("cvc", "security codes of cards"),
    ("iban", "bank accounts"),
    ("dateofbirth", "dates of birth"),
    ("birthdate", "dates of birth"),
];

/// Numbers of cards that processors of payments publish for tests.
const TEST_CARDS: [&str; 10] = [
    "4111111111111111",
    "4242424242424242",
    "4012888888881881",
    "4000056655665556",
    "5555555555554444",
    "5105105105105100",
    "5200828282828210",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
];

/// The rows in which all of a column have to be numbers of cards.
const MIN_CARDS: usize = 3;

/// What personal data a column looks like: by its name, or since its values are numbers of cards.
/// Columns of values without variety, or of published test numbers, look like none.
pub fn looks_personal(column: &str, sample: &[Value]) -> Option<&'static str> {
    let name = column;
    let values = sample.iter().filter_map(|row| row.get_attr(name).ok());
    let texts = values.filter(|value| !value.is_none() && !value.is_undefined());
    let mut texts: Vec<String> = texts.map(|value| text(&value)).collect();
    texts.retain(|text| !text.trim().is_empty());
    texts.sort_unstable();
    texts.dedup();
    let is_test_card = |text: &String| TEST_CARDS.contains(&digits(text).as_str());
    if texts.iter().all(is_test_card) {
        return None;
    }
    let plain = plain_name(column);
    let named = PERSONAL.iter().find(|(known, _)| *known == plain).map(|(_, what)| *what);
    let are_cards = texts.len() >= MIN_CARDS && texts.iter().all(|text| is_card(text));
    named.or(are_cards.then_some("card numbers"))
}

fn digits(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-')).collect()
}

/// Whether a text is the number of a card: its length, the digits of its issuer, and the check
/// digit (Luhn) are right.
fn is_card(text: &str) -> bool {
    let number = digits(text);
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number
        || !(13..=19).contains(&number.len())
        || !number.starts_with(['2', '3', '4', '5', '6'])
    {
        return false;
    }
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::exact_json::to_value;

    #[test]
    fn personal_data_is_found_by_name_and_content_without_false_alarms() {
        let looks = |column: &str, values: &[&str]| {
            let rows = values.iter().map(|value| to_value(&json!({ column: value })));
            looks_personal(column, &rows.collect::<Vec<_>>())
        };
        for (column, values, expected) in [
            ("ssn", &["078-05-1120"][..], Some("social security numbers")),
            ("Credit Card", &["4539578763621486"], Some("card numbers")),
            ("cvv", &["123"], Some("security codes of cards")),
            // By content: all of at least three.
            (
                "a",
                &["4539578763621486", "4485275742308327", "6011000990139424"],
                Some("card numbers"),
            ),
            (
                "a",
                &["4539 5787 6362 1486", "4485-2757-4230-8327", "5425233430109903"],
                Some("card numbers"),
            ),
            ("a", &["4539578763621486", "4485275742308327"], None),
            ("a", &["4539578763621486", "4485275742308327", "6011000990139425"], None),
            ("a", &["4539578763621486", "4539578763621486", "4539578763621486"], None),
            // Published test numbers, names that only contain others, other numbers.
            ("credit_card", &["4111111111111111", "4242 4242 4242 4242"], None),
            ("ssn", &["", " "], None),
            ("session", &["1"], None),
            ("company", &["1"], None),
            ("panel", &["1"], None),
            ("order", &["1000000000000000", "1000000000000001", "1000000000000002"], None),
            ("password", &["analytical-1"], None),
        ] {
            assert_eq!(looks(column, values), expected, "{column} {values:?}");
        }
    }
}
