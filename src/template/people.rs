//! People who do not exist: names and addresses.
//!
//! Invariant: drawn from the generator that is lent, a name is letters and one blank, an address
//! is in a domain that nobody can own (RFC 2606 §3).

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

fn one(rng: &mut Rng, list: &'static [&'static str]) -> &'static str {
    list[rng.random_range(0..list.len())]
}

/// A first name.
pub(super) fn first(rng: &mut Rng) -> String {
    one(rng, FIRST).to_owned()
}

/// A last name.
pub(super) fn last(rng: &mut Rng) -> String {
    one(rng, LAST).to_owned()
}

/// First and last name.
pub(super) fn name(rng: &mut Rng) -> String {
    format!("{} {}", one(rng, FIRST), one(rng, LAST))
}

/// An address such as `ana.silva4711@example.com`.
pub(super) fn email(rng: &mut Rng) -> String {
    let (first, last) = (one(rng, FIRST).to_lowercase(), one(rng, LAST).to_lowercase());
    format!("{first}.{last}{}@{}", rng.random_range(1..=99_999u32), one(rng, DOMAINS))
}
