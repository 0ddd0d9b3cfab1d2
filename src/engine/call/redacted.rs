//! The redactor of a user's texts: it hides the values of variables with sensitive names.
//!
//! `exemplar`, `trace` and `iteration` use it for texts that people read.
//! Invariant: bounded, and never on the path of a call that goes well.

use minijinja::value::ValueKind;

use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::redact::Redactor;
use crate::template::Value;

/// Maximum values of a user's variables that are looked at: a row may be wide.
const MAX_LOOKED: usize = 1_000;

/// Maximum levels of maps and lists in them that are looked at.
const MAX_DEPTH: usize = 4;

/// The redactor of a user's texts: by names, and by the values of its variables that have such
/// names or stand under such keys.
pub(crate) fn redactor<'s>(shard: &'s Shard, user: &User) -> Redactor<'s> {
    let mut redactor = Redactor::new(&shard.plan.safety.names);
    let names = &shard.plan.archetypes[user.archetype].variables;
    let mut left = MAX_LOOKED;
    let cached = &shard.flows[user.archetype].cached;
    for (slot, (name, value)) in names.iter().zip(&user.variables).enumerate() {
        let Some(value) = value else { continue };
        // What is kept in a cache is a credential, whatever its name.
        let is_sensitive = cached.contains(&slot) || redactor.is_sensitive(name);
        add(&mut redactor, value, is_sensitive, MAX_DEPTH, &mut left);
    }
    redactor
}

fn add(redactor: &mut Redactor<'_>, value: &Value, hides: bool, depth: usize, left: &mut usize) {
    let Some(less) = left.checked_sub(1) else { return };
    *left = less;
    match value.kind() {
        ValueKind::String | ValueKind::Number if hides => redactor.add_value(&value.to_string()),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable if depth > 0 => {
            let is_map = value.kind() == ValueKind::Map;
            let Ok(items) = value.try_iter() else { return };
            for item in items {
                if *left == 0 {
                    return;
                }
                if !is_map {
                    add(redactor, &item, hides, depth - 1, left);
                } else if let Ok(inner) = value.get_item(&item) {
                    let hides = hides || redactor.is_sensitive(&item.to_string());
                    add(redactor, &inner, hides, depth - 1, left);
                }
            }
        }
        _ => {}
    }
}
