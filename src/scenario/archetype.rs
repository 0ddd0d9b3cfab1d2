//! An archetype: what one kind of user does.
//!
//! `compile` calls it for archetypes in files, inline, and for a workload's own `flow`.
//! Invariant: a flow that comes out has a step, and its series are numbered in order.

use super::diagnose::Review;
use super::law;
use super::node::{Key, Kind, Node};
use super::shape::{self, Fields, wrong};
use super::step::{Named, Setting, step};
use super::tags::{self, Tags};
use crate::plan::template::RESERVED;
use crate::plan::{Archetype, MAX_STEPS, Step};

/// The most variables an archetype may have: each of its users holds them all.
const MAX_VARIABLES: usize = 1_000;

/// Lowers the fields of an archetype; the caller finishes `fields`.
pub(super) fn archetype(
    review: &mut Review,
    name: &str,
    fields: &mut Fields<'_>,
    services: &[String],
) -> Option<Archetype> {
    let description = fields
        .take("description")
        .and_then(|node| shape::text(review, node, "a sentence about these users"));
    let think = fields.take("think").map(|node| law::distribution(review, node));
    let pace = fields.take("pace").map(|node| shape::some_duration(review, node));
    let own_tags = fields.take("tags").map(|node| tags::tags(review, node)).unwrap_or_default();
    let expected = "a list of steps, such as `- get: /`";
    let node = fields.need("flow", expected)?;
    let items = shape::list(review, node, expected)?;
    if items.is_empty() {
        return wrong(review, node, expected);
    }
    let names = variables(review, items);
    let setting = Setting { services, names: &names };
    let steps: Vec<Named> = items.iter().filter_map(|item| step(review, item, &setting)).collect();
    if steps.len() < items.len() {
        return None;
    }
    let step_tags: Vec<(String, Tags)> =
        steps.iter().map(|step| (step.name.clone(), step.tags.clone())).collect();
    let (flow, series) = number(review, items, steps)?;
    let tags = |name: &String| {
        let mut all = own_tags.clone();
        let own = step_tags.iter().filter(|(step, _)| step == name);
        own.for_each(|(_, tags)| tags::add(&mut all, tags));
        all
    };
    Some(Archetype {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        think: think.flatten(),
        pace: pace.flatten(),
        flow,
        tags: series.iter().map(tags).collect(),
        series,
        variables: names,
    })
}

/// Whether a name can be the name of an archetype and of its file.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(allowed)
}

/// Every variable that a capture of the flow sets, in the order of its slots.
fn variables(review: &mut Review, items: &[Node]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let Some(Kind::Map(captures)) = value_of(item, "capture").map(|node| &node.kind) else {
            continue;
        };
        for (key, _) in captures {
            if !is_variable(&key.name) {
                bad_variable(review, key);
            } else if !names.contains(&key.name) {
                if names.len() == MAX_VARIABLES {
                    let message = format!("more than {MAX_VARIABLES} variables in one archetype");
                    review.mistake(key.span, message);
                    return names;
                }
                names.push(key.name.clone());
            }
        }
    }
    names
}

fn value_of<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && !RESERVED.contains(&name)
}

fn bad_variable(review: &mut Review, key: &Key) {
    let name = &key.name;
    if RESERVED.contains(&name.as_str()) {
        review
            .mistake(key.span, format!("`{name}` is a word of the template language"))
            .help(format!("choose another name, such as `my_{name}`"));
    } else {
        review
            .mistake(key.span, format!("`{}` cannot be a variable", shape::short(name)))
            .expected("letters, digits and `_`, beginning with a letter");
    }
}

/// Gives each step its series: steps of the same name share one.
fn number(
    review: &mut Review,
    items: &[Node],
    steps: Vec<Named>,
) -> Option<(Vec<Step>, Vec<String>)> {
    let mut series: Vec<String> = Vec::new();
    let mut flow: Vec<Step> = Vec::new();
    for (Named { name, mut call, .. }, item) in steps.into_iter().zip(items) {
        let index = series.iter().position(|known| *known == name).unwrap_or_else(|| {
            series.push(name.clone());
            series.len() - 1
        });
        if series.len() > MAX_STEPS {
            too_many(review, item);
            return None;
        }
        call.series = u16::try_from(index).ok()?;
        if let Some(node) = value_of(item, "name")
            && flow.iter().any(|Step::Call(other)| {
                other.series == call.series && other.request.method != call.request.method
            })
        {
            let message = format!("two different requests are called `{}`", shape::short(&name));
            review.warn(node.span, message, "they are counted together");
        }
        flow.push(Step::Call(Box::new(call)));
    }
    Some((flow, series))
}

fn too_many(review: &mut Review, item: &Node) {
    review
        .mistake(item.span, format!("more than {MAX_STEPS} steps with names of their own"))
        .help("give steps that belong together the same `name:`");
}
