//! The functions of expressions, and minijinja's environment with them.
//!
//! `environment` completes it, `expression` provides the iteration's generator for each evaluation.
//! Invariant: the same generator state gives the same values; a function reads nothing else.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use rand::RngExt;
use rand_xoshiro::rand_core::SeedableRng;

use super::error::invalid;
use super::names::PREFIX;
use super::work::{self, charge, charge_value};
use super::{calendar, codec, people, sign};
use crate::seed::Rng;

/// Maximum instructions of one evaluation; `work` counts what they do.
const FUEL: u64 = 100_000;

/// The longest list that `choice` draws from.
const MAX_CHOICE: usize = 100_000;

/// The longest text that `hex`, `digits` and `alnum` produce.
const MAX_LETTERS: usize = 65_536;

const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// minijinja's functions and filters, and ours, without counting their work.
pub(super) static BUILTIN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(64);
    // These can write far more than they read, or print internals.
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
    env.add_function(own("hex"), |count: usize| draw_letters(b"0123456789abcdef", count));
    env.add_function(own("digits"), |count: usize| draw_letters(b"0123456789", count));
    env.add_function(own("alnum"), |count: usize| draw_letters(ALNUM, count));
    env.add_function(own("hash"), |value: &Value, algorithm: Option<&str>| {
        charge_value(value)?;
        hash(value, algorithm)
    });
    env.add_filter("hash", hash);
    env.add_function(own("hmac"), |value: &Value, key: &Value, rest: Rest<Value>| {
        charge_value(value)?;
        charge_value(key)?;
        hmac(value, key, rest)
    });
    env.add_filter("hmac", hmac);
    env.add_function(own("jwt"), jwt);
    env.add_function(own("base64"), |value: &Value| charge_both(codec::base64, value));
    env.add_filter("base64", codec::base64);
    env.add_function(own("urlencode"), |value: &Value| charge_both(codec::urlencode, value));
    env.add_filter("urlencode", codec::urlencode);
    env.add_function(own("json"), |value: &Value| charge_both(codec::json, value));
    env.add_filter("json", codec::json);
    env
});

thread_local! {
    /// The random generator of the running evaluation on this thread.
    static CURRENT_RNG: RefCell<Rng> = RefCell::new(Rng::seed_from_u64(0));
    /// The intended time of the running evaluation, ms since the epoch.
    static CURRENT_MS: Cell<u64> = const { Cell::new(0) };
}

/// Runs `evaluation` at a time with `rng` available to the functions, and takes `rng` back
/// afterwards; its work is subtracted from `work`.
pub(super) fn with_generator<T>(
    rng: &mut Rng,
    now_ms: u64,
    work: &mut u32,
    evaluation: impl FnOnce() -> T,
) -> T {
    CURRENT_MS.set(now_ms);
    let swap = |rng: &mut Rng| CURRENT_RNG.with_borrow_mut(|current| std::mem::swap(current, rng));
    swap(rng);
    let result = work::within(work, evaluation);
    swap(rng);
    result
}

fn with_rng<T>(draw: impl FnOnce(&mut Rng) -> T) -> T {
    CURRENT_RNG.with_borrow_mut(draw)
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

/// Draws one of its arguments, or of the items of a single list.
fn choice(options: Rest<Value>) -> Result<Value, Error> {
    let mut options = options.0;
    if let [only] = options.as_slice()
        && only.as_str().is_none()
    {
        options = only.try_iter()?.take(MAX_CHOICE).collect();
    }
    if options.is_empty() {
        return Err(invalid("choice() needs at least one value"));
    }
    let index = with_rng(|rng| rng.random_range(0..options.len()));
    Ok(options.swap_remove(index))
}

/// Draws a person's name, or its first or last part.
fn name(part: Option<&str>) -> Result<String, Error> {
    match part {
        None => Ok(with_rng(people::name)),
        Some("first") => Ok(with_rng(people::first)),
        Some("last") => Ok(with_rng(people::last)),
        Some(_) => Err(invalid("name() takes nothing, \"first\" or \"last\"")),
    }
}

/// Returns the intended time of the call: ms since the epoch, whole seconds, or RFC 3339.
fn now(unit: Option<&str>) -> Result<Value, Error> {
    let ms = CURRENT_MS.get();
    match unit {
        None | Some("ms") => Ok(Value::from(ms)),
        Some("s") => Ok(Value::from(ms / 1_000)),
        Some("iso") => Ok(Value::from(calendar::format(ms as i64, "iso").map_err(invalid)?)),
        Some(_) => Err(invalid("now() takes nothing, \"ms\", \"s\" or \"iso\"")),
    }
}

/// Formats the intended time, moved by an offset.
fn date(pattern: Option<&str>, offset: Option<&str>) -> Result<String, Error> {
    let offset = offset.map_or(Ok(0), calendar::offset).map_err(invalid)?;
    let ms = (CURRENT_MS.get() as i64).saturating_add(offset);
    calendar::format(ms, pattern.unwrap_or("%F")).map_err(invalid)
}

fn hash(text: &Value, algorithm: Option<&str>) -> Result<String, Error> {
    codec::hash(text, algorithm)
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
    algorithm: Option<&str>,
    header: Option<Value>,
) -> Result<String, Error> {
    charge_value(claims)?;
    charge_value(key)?;
    let header = header.unwrap_or_default();
    charge_value(&header)?;
    sign::jwt(claims, key, algorithm, &header)
}

/// Derives a text from a value, and charges input and output.
fn charge_both(
    make: impl Fn(&Value) -> Result<String, Error>,
    value: &Value,
) -> Result<String, Error> {
    charge_value(value)?;
    let text = make(value)?;
    charge(text.len() as u64)?;
    Ok(text)
}

/// Draws `count` characters of an alphabet.
fn draw_letters(alphabet: &[u8], count: usize) -> Result<String, Error> {
    if count > MAX_LETTERS {
        return Err(invalid(format!("at most {MAX_LETTERS} characters at a time")));
    }
    charge(count as u64)?;
    let draw = |rng: &mut Rng| char::from(alphabet[rng.random_range(0..alphabet.len())]);
    Ok(with_rng(|rng| (0..count).map(|_| draw(rng)).collect()))
}

/// Draws a pronounceable word of two to four syllables.
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

/// Draws a random UUID (RFC 9562 §5.4, version 4).
fn uuid(rng: &mut Rng) -> String {
    let bits = (rng.random::<u128>() & !(0xf000 << 64) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
#[path = "functions_tests.rs"]
mod tests;
