//! What an expression may call, and the one environment that all expressions share.
//!
//! `expression` lends the iteration's generator for the length of one evaluation.
//! Invariant: the same generator state gives the same values; a function reads nothing else.

use std::cell::RefCell;
use std::sync::LazyLock;

use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use rand::RngExt;
use rand_xoshiro::rand_core::SeedableRng;

use crate::seed::Rng;

/// The functions an expression may call.
pub const FUNCTIONS: &[&str] = &["choice", "dict", "float", "int", "range", "uuid", "word"];

/// Names that a variable may not have.
pub const RESERVED: &[&str] = &[
    "user", "choice", "dict", "float", "int", "range", "uuid", "word", "true", "false", "none",
    "True", "False", "None", "not", "and", "or", "in", "is", "if", "else",
];

/// Instructions one evaluation may take: a bound on loops over captured lists.
const FUEL: u64 = 100_000;

/// The longest list `choice` draws from.
const MAX_CHOICE: usize = 100_000;

pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
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
    env
});

thread_local! {
    /// The generator of the evaluation under way on this thread.
    static LENT: RefCell<Rng> = RefCell::new(Rng::seed_from_u64(0));
}

/// Runs `evaluation` with `rng` lent to the functions, and takes it back as they left it.
pub(super) fn lending<T>(rng: &mut Rng, evaluation: impl FnOnce() -> T) -> T {
    let swap = |rng: &mut Rng| LENT.with_borrow_mut(|lent| std::mem::swap(lent, rng));
    swap(rng);
    let result = evaluation();
    swap(rng);
    result
}

fn with_rng<T>(draw: impl FnOnce(&mut Rng) -> T) -> T {
    LENT.with_borrow_mut(draw)
}

fn invalid(what: &'static str) -> Error {
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
