//! Rules for columns of data: what a row has in place of a value that should not be sent.
//!
//! `scenario` compiles them of `sanitize:`, `rows` applies them to each row that it reads.
//! Invariant: no row leaves `rows` before its rules were applied. Equal values of a run become
//! equal values, whatever the file and the process.

use std::fmt;
use std::sync::OnceLock;

use ring::hmac;

use crate::hex::hex;
use crate::redact;
use crate::template::{Value, ValueKind};

/// The variable with the key of `hash` and `fake`.
pub const KEY_VARIABLE: &str = "MANADA_SANITIZE_KEY";

/// The shortest key, bytes.
const MIN_KEY: usize = 16;

/// The characters that `mask` keeps, at most.
const KEPT: usize = 4;

/// Values below this length are masked completely.
const MIN_KEPT_OF: usize = 8;

/// What becomes of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnRule {
    /// All but the last characters are `*`.
    Mask,
    /// A value of the same form that follows from the value and the key.
    Fake(FakeForm),
    /// HMAC-SHA-256 of the value under the key, as 32 digits.
    Hash,
    /// A constant.
    Replace(Value),
    /// The column is not there.
    Drop,
}

/// The form of a made value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeForm {
    /// An address of `example.com`, which belongs to no person.
    Email,
    /// Other digits in place of its digits.
    Digits,
    /// A UUID.
    Uuid,
}

impl FakeForm {
    /// The spellings in a scenario.
    pub const NAMES: [(&'static str, Self); 3] =
        [("email", Self::Email), ("digits", Self::Digits), ("uuid", Self::Uuid)];
}

/// The rules of a feed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnRules {
    /// By column.
    own: Vec<(String, ColumnRule)>,
    /// Those of safety files, by names in any spelling; also for keys within a column.
    required: Vec<(String, ColumnRule)>,
}

impl ColumnRule {
    /// How little it leaves of a value: of two rules the stricter one applies.
    const fn strictness(&self) -> u8 {
        match self {
            Self::Mask => 0,
            Self::Fake(_) => 1,
            Self::Hash => 2,
            Self::Replace(_) => 3,
            Self::Drop => 4,
        }
    }

    /// The value in place of `value`; `None`: the column is not there. What is missing stays so.
    fn apply(&self, value: Value) -> Option<Value> {
        match self {
            Self::Drop => None,
            Self::Replace(constant) => Some(constant.clone()),
            _ if value.is_none() || value.is_undefined() => Some(value),
            Self::Mask => Some(Value::from(masked(&text(&value)))),
            Self::Hash => Some(Value::from(hex(&tag(&text(&value)).as_ref()[..16]))),
            Self::Fake(form) => Some(Value::from(faked(*form, &text(&value)))),
        }
    }
}

/// A value as text; lists and maps as JSON.
pub(super) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// All but the last four characters as `*`; signs between them stay. Short values have none left.
fn masked(text: &str) -> String {
    let all = text.chars().filter(|c| c.is_alphanumeric()).count();
    let hidden = if all < MIN_KEPT_OF { all } else { all - KEPT };
    let mut seen = 0;
    let shown = text.chars().map(|c| {
        if !c.is_alphanumeric() {
            return c;
        }
        seen += 1;
        if seen <= hidden { '*' } else { c }
    });
    shown.collect()
}

/// A value of this form.
fn faked(form: FakeForm, text: &str) -> String {
    let tag = tag(text);
    let tag = tag.as_ref();
    match form {
        FakeForm::Email => format!("user-{}@example.com", hex(&tag[..8])),
        FakeForm::Digits => {
            let mut index = 0;
            let digit = |c: char| {
                if !c.is_ascii_digit() {
                    return c;
                }
                index += 1;
                // More digits than the tag has bytes: the tag of the next part.
                let part = self::tag(&format!("{index}:{text}"));
                char::from(b'0' + part.as_ref()[0] % 10)
            };
            text.chars().map(digit).collect()
        }
        FakeForm::Uuid => {
            let mut bytes: [u8; 16] = std::array::from_fn(|index| tag[index]);
            // Version 8: made by a rule of its own (RFC 9562).
            bytes[6] = bytes[6] & 0x0f | 0x80;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let mut text = hex(&bytes);
            [20, 16, 12, 8].into_iter().for_each(|place| text.insert(place, '-'));
            text
        }
    }
}

/// The key of this run.
static KEY: OnceLock<RunKey> = OnceLock::new();

struct RunKey {
    text: String,
    key: hmac::Key,
    is_given: bool,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortKey;

impl fmt::Display for ShortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key in {KEY_VARIABLE} is shorter than {MIN_KEY} bytes")
    }
}

/// Why agents cannot have the key of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSharedKey;

impl fmt::Display for NoSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`hash` and `fake` of data need one key for all agents: set {KEY_VARIABLE} here and on \
             their machines"
        )
    }
}

/// Checks the key that the environment has, if it has one.
///
/// # Errors
/// If it is too short.
pub fn check_key() -> Result<(), ShortKey> {
    match given_key() {
        Some(text) if text.len() < MIN_KEY => Err(ShortKey),
        _ => Ok(()),
    }
}

/// Checks that the environment has a key, which processes of other machines can have, too.
///
/// # Errors
/// If it has none.
pub fn has_given_key() -> Result<(), NoSharedKey> {
    given_key().map(drop).ok_or(NoSharedKey)
}

fn given_key() -> Option<String> {
    std::env::var(KEY_VARIABLE).ok().filter(|text| !text.is_empty())
}

fn key() -> &'static RunKey {
    KEY.get_or_init(|| {
        let given = given_key();
        let is_given = given.is_some();
        let text = given.unwrap_or_else(|| hex(&rand::random::<[u8; 32]>()));
        // No output shows it. One that is too short is refused, and may occur in any text.
        if text.len() >= MIN_KEY {
            let _ = redact::register_secret(&text);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        RunKey { text, key, is_given }
    })
}

/// The key for processes that this one starts, if it made one itself.
pub fn made_key() -> Option<(&'static str, &'static str)> {
    let key = KEY.get()?;
    (!key.is_given).then_some((KEY_VARIABLE, key.text.as_str()))
}

fn tag(text: &str) -> hmac::Tag {
    hmac::sign(&key().key, text.as_bytes())
}

impl ColumnRules {
    /// No rules but those of safety files.
    pub fn required(rules: Vec<(String, ColumnRule)>) -> Self {
        let plain = rules.into_iter().map(|(name, rule)| (plain_name(&name), rule));
        Self { own: Vec::new(), required: plain.collect() }
    }

    /// Adds the rule of a column.
    pub fn add(&mut self, column: &str, rule: ColumnRule) {
        self.own.push((column.to_owned(), rule));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.required.is_empty()
    }

    /// Whether a column has a rule.
    pub fn has(&self, column: &str) -> bool {
        self.rule(column).is_some()
    }

    /// Whether a column is dropped.
    pub fn drops(&self, column: &str) -> bool {
        self.rule(column) == Some(&ColumnRule::Drop)
    }

    /// Whether a column has a rule that is at least as strict as those of `required` for its name.
    pub fn keep(&self, column: &str, required: &Self) -> bool {
        let own = self.rule(column).map(ColumnRule::strictness);
        required.required_rule(column).is_none_or(|rule| own >= Some(rule.strictness()))
    }

    /// Whether a rule needs the key.
    pub fn need_key(&self) -> bool {
        let all = self.own.iter().chain(&self.required);
        all.into_iter().any(|(_, rule)| matches!(rule, ColumnRule::Hash | ColumnRule::Fake(_)))
    }

    /// Applies them to a row.
    pub fn apply(&self, row: Value) -> Value {
        if self.is_empty() { row } else { self.cells(&row, |name| self.rule(name)) }
    }

    /// A map with the rules that `of` has for its keys, and the required ones within its values.
    fn cells<'a>(&'a self, map: &Value, of: impl Fn(&str) -> Option<&'a ColumnRule>) -> Value {
        let names = map.try_iter().into_iter().flatten();
        let cells = names.filter_map(|name| {
            let value = map.get_item(&name).unwrap_or_default();
            match name.as_str().and_then(&of) {
                Some(rule) => Some((name, rule.apply(value)?)),
                None => Some((name, self.within(value))),
            }
        });
        Value::from_pairs(cells)
    }

    /// A value without what the required rules take.
    fn within(&self, value: Value) -> Value {
        match value.kind() {
            _ if self.required.is_empty() => value,
            ValueKind::Map => self.cells(&value, |name| self.required_rule(name)),
            ValueKind::Seq => {
                let items = value.try_iter().into_iter().flatten();
                items.map(|item| self.within(item)).collect()
            }
            _ => value,
        }
    }

    /// The rule of a column: its own, or the required one if that is stricter.
    fn rule(&self, column: &str) -> Option<&ColumnRule> {
        let own = self.own.iter().find(|(known, _)| known == column).map(|(_, rule)| rule);
        let required = self.required_rule(column);
        [own, required].into_iter().flatten().max_by_key(|rule| rule.strictness())
    }

    fn required_rule(&self, name: &str) -> Option<&ColumnRule> {
        if self.required.is_empty() {
            return None;
        }
        let name = plain_name(name);
        let all = self.required.iter().filter(|(known, _)| *known == name);
        all.map(|(_, rule)| rule).max_by_key(|rule| rule.strictness())
    }
}

/// A name without signs and case: `Credit-Card`, `credit_card` and `creditCard` are the same.
pub fn plain_name(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
#[path = "sanitize_tests.rs"]
mod tests;
