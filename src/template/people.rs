//! Fictitious people: names and email addresses.
//!
//! `functions` draws them.
//! Invariant: drawn from the given generator only; a name is letters and one blank, an address is
//! in a domain that is reserved for examples (RFC 2606 §3).

use rand::RngExt;

use crate::seed::Rng;

const FIRST: &[&str] = &[
    "Ada", "Aiko", "Amina", "Ana", "Bruno", "Carla", "Chen", "Clara", "Davi", "Elena", "Emeka",
    "Eva", "Farid", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jonas", "Julia", "Kofi", "Lea",
    "Leila", "Liam", "Lucia", "Luis", "Maria", "Mateus", "Mei", "Mila", "Nadia", "Noah", "Olga",
    "Omar", "Paula", "Priya", "Rafael", "Rosa", "Samir", "Sara", "Sofia", "Tariq", "Tereza",
    "Tomas", "Vera", "Wei", "Yara", "Zoe",
];

const LAST: &[&str] = &[
    "Abe", "Almeida", "Andersen", "Bauer", "Becker", "Costa", "Cruz", "Dias", "Diallo", "Evans",
    "Farah", "Ferreira", "Fischer", "Garcia", "Gomes", "Haddad", "Ito", "Ivanova", "Jansen",
    "Khan", "Kim", "Kovacs", "Lima", "Lopez", "Mendes", "Mensah", "Meyer", "Moreau", "Mori",
    "Nguyen", "Novak", "Okafor", "Oliveira", "Patel", "Pereira", "Petrov", "Ramos", "Rossi",
    "Santos", "Sato", "Schmidt", "Silva", "Singh", "Souza", "Tanaka", "Vega", "Wang", "Weber",
];

const DOMAINS: &[&str] = &["example.com", "example.net", "example.org"];

fn pick(rng: &mut Rng, list: &'static [&'static str]) -> &'static str {
    list[rng.random_range(0..list.len())]
}

/// Draws a first name.
pub(super) fn first(rng: &mut Rng) -> String {
    pick(rng, FIRST).to_owned()
}

/// Draws a last name.
pub(super) fn last(rng: &mut Rng) -> String {
    pick(rng, LAST).to_owned()
}

/// Draws a first and last name.
pub(super) fn name(rng: &mut Rng) -> String {
    format!("{} {}", pick(rng, FIRST), pick(rng, LAST))
}

/// Draws an address such as `ana.silva4711@example.com`.
pub(super) fn email(rng: &mut Rng) -> String {
    let (first, last) = (pick(rng, FIRST).to_lowercase(), pick(rng, LAST).to_lowercase());
    format!("{first}.{last}{}@{}", rng.random_range(1..=99_999u32), pick(rng, DOMAINS))
}
