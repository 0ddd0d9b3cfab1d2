//! What an expression may call, and the one environment that all expressions share.
//!
//! `expression` lends the iteration's generator for the length of one evaluation.
//! Invariant: the same generator state gives the same values; a function reads nothing else.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use rand::RngExt;
use rand_xoshiro::rand_core::SeedableRng;

use super::calls::PREFIX;
use super::work::{self, charge, charge_value};
use super::{calendar, codec, filters, operators, people, sign};
use crate::seed::Rng;

/// The functions an expression may call.
pub const FUNCTIONS: &[&str] = &[
    "alnum",
    "base64",
    "choice",
    "date",
    "dict",
    "digits",
    "email",
    "env",
    "float",
    "hash",
    "hex",
    "hmac",
    "int",
    "json",
    "jwt",
    "name",
    "now",
    "range",
    "secret",
    "urlencode",
    "uuid",
    "word",
];

/// Names that a variable may not have; those of the other functions it may: a call is told from
/// a variable by its brackets.
pub const RESERVED: &[&str] = &[
    "user", "choice", "dict", "float", "int", "range", "uuid", "word", "true", "false", "none",
    "True", "False", "None", "not", "and", "or", "in", "is", "if", "else",
];

/// Instructions one evaluation may take; `work` counts what they do.
const FUEL: u64 = 100_000;

/// The longest list `choice` draws from.
const MAX_CHOICE: usize = 100_000;

/// The longest text `hex`, `digits` and `alnum` make.
const MAX_LETTERS: usize = 65_536;

const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What expressions are compiled for.
pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = BUILTIN.clone();
    filters::add_to(&mut env);
    operators::add_to(&mut env);
    env
});

/// minijinja's own functions and filters, and ours, whose work is not counted.
pub(super) static BUILTIN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    // These can write far more than they read, or print what is none of the target's business.
    for filter in ["format", "indent", "pprint"] {
        env.remove_filter(filter);
    }
    for global in ["debug", "namespace"] {
        env.remove_global(global);
    }
    env.add_function("int", int);
    env.add_function("float", float);
    env.add_function("choice", choice);
    env.add_function("word", || with_rng(word));
    env.add_function("uuid", || with_rng(uuid));
    let own = |name: &str| format!("{PREFIX}{name}");
    env.add_function(own("name"), name);
    env.add_function(own("email"), || with_rng(people::email));
    env.add_function(own("now"), now);
    env.add_function(own("date"), date);
    env.add_function(own("hex"), |count: usize| letters(b"0123456789abcdef", count));
    env.add_function(own("digits"), |count: usize| letters(b"0123456789", count));
    env.add_function(own("alnum"), |count: usize| letters(ALNUM, count));
    env.add_function(own("hash"), |value: &Value, law: Option<&str>| {
        charge_value(value)?;
        hash(value, law)
    });
    env.add_filter("hash", hash);
    env.add_function(own("hmac"), |value: &Value, key: &Value, rest: Rest<Value>| {
        charge_value(value)?;
        charge_value(key)?;
        hmac(value, key, rest)
    });
    env.add_filter("hmac", hmac);
    env.add_function(own("jwt"), jwt);
    env.add_function(own("base64"), |value: &Value| counted(codec::base64, value));
    env.add_filter("base64", codec::base64);
    env.add_function(own("urlencode"), |value: &Value| counted(codec::urlencode, value));
    env.add_filter("urlencode", codec::urlencode);
    env.add_function(own("json"), |value: &Value| counted(codec::json, value));
    env.add_filter("json", codec::json);
    env
});

thread_local! {
    /// The generator of the evaluation under way on this thread.
    static LENT: RefCell<Rng> = RefCell::new(Rng::seed_from_u64(0));
    /// Its moment, ms since the epoch.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Runs `evaluation` at a moment with `rng` lent to the functions, and takes it back as they left
/// it; what it works is taken off `work`.
pub(super) fn lending<T>(
    rng: &mut Rng,
    now_ms: u64,
    work: &mut u64,
    evaluation: impl FnOnce() -> T,
) -> T {
    NOW.set(now_ms);
    let swap = |rng: &mut Rng| LENT.with_borrow_mut(|lent| std::mem::swap(lent, rng));
    swap(rng);
    let result = work::within(work, evaluation);
    swap(rng);
    result
}

fn with_rng<T>(draw: impl FnOnce(&mut Rng) -> T) -> T {
    LENT.with_borrow_mut(draw)
}

pub(super) fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

fn int(low: i64, high: i64) -> Result<i64, Error> {
    if low > high {
        return Err(invalid("int(a, b) needs a ≤ b"));
    }
    Ok(with_rng(|rng| rng.random_range(low..=high)))
}

fn float(low: f64, high: f64) -> Result<f64, Error> {
    if !(low <= high && (high - low).is_finite()) {
        return Err(invalid("float(a, b) needs a ≤ b"));
    }
    Ok(with_rng(|rng| low + (high - low) * rng.random::<f64>()))
}

/// One of its arguments, or of the items of the only one.
fn choice(options: Rest<Value>) -> Result<Value, Error> {
    let mut options = options.0;
    if let [only] = options.as_slice()
        && only.as_str().is_none()
    {
        options = only.try_iter()?.take(MAX_CHOICE).collect();
    }
    if options.is_empty() {
        return Err(invalid("choice() needs something to choose from"));
    }
    let index = with_rng(|rng| rng.random_range(0..options.len()));
    Ok(options.swap_remove(index))
}

/// A person's name, or its first or last part.
fn name(part: Option<&str>) -> Result<String, Error> {
    match part {
        None => Ok(with_rng(people::name)),
        Some("first") => Ok(with_rng(people::first)),
        Some("last") => Ok(with_rng(people::last)),
        Some(_) => Err(invalid("name() takes nothing, \"first\" or \"last\"")),
    }
}

/// The moment the call is intended for: ms since the epoch, whole seconds, or RFC 3339.
fn now(unit: Option<&str>) -> Result<Value, Error> {
    let ms = NOW.get();
    match unit {
        None | Some("ms") => Ok(Value::from(ms)),
        Some("s") => Ok(Value::from(ms / 1_000)),
        Some("iso") => Ok(Value::from(calendar::format(ms as i64, "iso").map_err(invalid)?)),
        Some(_) => Err(invalid("now() takes nothing, \"ms\", \"s\" or \"iso\"")),
    }
}

/// The moment, moved by an offset, as a pattern says.
fn date(pattern: Option<&str>, offset: Option<&str>) -> Result<String, Error> {
    let offset = offset.map_or(Ok(0), calendar::offset).map_err(invalid)?;
    let ms = (NOW.get() as i64).saturating_add(offset);
    calendar::format(ms, pattern.unwrap_or("%F")).map_err(invalid)
}

fn hash(text: &Value, law: Option<&str>) -> Result<String, Error> {
    codec::hash(text, law)
}

fn hmac(value: &Value, key: &Value, rest: Rest<Value>) -> Result<String, Error> {
    let Rest(rest) = rest;
    let options: Option<Vec<&str>> = rest.iter().map(Value::as_str).collect();
    let options = options.ok_or_else(|| invalid("hmac() takes its options as texts"))?;
    let option = |at: usize| options.get(at).copied();
    if options.len() > 3 {
        return Err(ErrorKind::TooManyArguments.into());
    }
    sign::hmac(value, key, option(0), option(1), option(2))
}

fn jwt(
    claims: &Value,
    key: &Value,
    law: Option<&str>,
    header: Option<Value>,
) -> Result<String, Error> {
    charge_value(claims)?;
    charge_value(key)?;
    let header = header.unwrap_or_default();
    charge_value(&header)?;
    sign::jwt(claims, key, law, &header)
}

/// A text made of a value, with what goes in and comes out charged.
fn counted(make: impl Fn(&Value) -> Result<String, Error>, value: &Value) -> Result<String, Error> {
    charge_value(value)?;
    let text = make(value)?;
    charge(text.len() as u64)?;
    Ok(text)
}

/// So many characters of an alphabet.
fn letters(alphabet: &[u8], count: usize) -> Result<String, Error> {
    if count > MAX_LETTERS {
        return Err(invalid(format!("at most {MAX_LETTERS} characters at a time")));
    }
    charge(count as u64)?;
    let draw = |rng: &mut Rng| char::from(alphabet[rng.random_range(0..alphabet.len())]);
    Ok(with_rng(|rng| (0..count).map(|_| draw(rng)).collect()))
}

/// A pronounceable word of two to four syllables.
fn word(rng: &mut Rng) -> String {
    const CONSONANTS: &[u8] = b"bcdfglmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let mut word = String::with_capacity(8);
    for _ in 0..rng.random_range(2..=4) {
        word.push(char::from(CONSONANTS[rng.random_range(0..CONSONANTS.len())]));
        word.push(char::from(VOWELS[rng.random_range(0..VOWELS.len())]));
    }
    word
}

/// A random UUID (RFC 9562 §5.4, version 4).
fn uuid(rng: &mut Rng) -> String {
    let bits = (rng.random::<u128>() & !(0xf000 << 64) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
