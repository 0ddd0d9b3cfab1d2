//! From the nodes of a scenario to a plan.
//!
//! `load` hands it the scenario's root; it fetches archetypes from the library.
//! Invariant: it goes on after every mistake, so that all of them are found in one reading.

use std::time::Duration;

use super::archetype::{archetype, is_name};
use super::diagnose::{Review, Span, nearest};
use super::library::Library;
use super::node::{Key, Kind, Node};
use super::shape::{self, Fields, wrong};
use super::{load, rules, service};
use crate::plan::{Archetype, MAX_STEPS, Plan, Series, Share, StepId, Workload};
use crate::seed::Seed;

/// How long whole iterations may go on after the end where nothing is said.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Spreads the workloads' numbers over the slots.
pub(super) const SLOT_STRIDE: u64 = 1031;

/// A plan, and where in the file some of its parts stand.
#[derive(Debug)]
pub(super) struct Compiled {
    pub plan: Plan,
    pub warmup: Option<Span>,
    /// Where each threshold stands.
    pub rules: Vec<Span>,
}

/// Compiles a scenario; `stem` names it where it does not name itself.
pub(super) fn scenario(
    review: &mut Review,
    root: &Node,
    stem: &str,
    library: Library,
) -> Option<Compiled> {
    let mut fields = Fields::of(review, root, "a scenario")?;
    if fields.has("archetype") && !fields.has("workloads") {
        review.mistake(root.span, "this is an archetype, not a scenario").help(
            "name it in a scenario: `workloads: { w: { archetypes: { NAME: 1 }, users: 1 } }`",
        );
        return None;
    }
    let name = fields.take("scenario").map(|node| scenario_name(review, node));
    let description = fields
        .take("description")
        .and_then(|node| shape::text(review, node, "a sentence about this scenario"));
    let seed = fields.take("seed").map(|node| seed(review, node));
    let services = fields.need("services", "where calls go, such as `shop: builtin`");
    let services = services.map(|node| service::services(review, node)).unwrap_or_default();
    let service_names = services.iter().map(|service| service.name.clone()).collect();
    let inline = fields
        .take("archetypes")
        .and_then(|node| shape::entries(review, node, "a map of archetypes, each with a `flow`"));
    let workloads = fields.need("workloads", "who makes how much load");
    let warmup = fields.take("warmup").map(|node| (node.span, load::bounded(review, node)));
    let grace = fields.take("grace").map(|node| load::bounded(review, node));
    // What is in them was laid over the scenario before.
    fields.take("environments");
    let thresholds = fields.take("thresholds").map(|node| rules::listed(review, node));
    fields.finish(review);

    let mut compiler = Compiler::new(library, service_names);
    compiler.compile_inline(review, inline.unwrap_or_default());
    let workloads = workloads.map(|node| compiler.workloads(review, node)).unwrap_or_default();
    if review.count() > 0 {
        return None;
    }
    let (rules, places) = thresholds.unwrap_or_default().into_iter().unzip();
    let plan = Plan {
        scenario: name.flatten().unwrap_or(stem).to_owned(),
        description: description.map(str::to_owned),
        seed: seed.flatten().unwrap_or_else(Seed::draw),
        services,
        archetypes: compiler.archetypes,
        workloads,
        steps: compiler.steps,
        thresholds: rules,
        warmup: warmup.and_then(|(_, warmup)| warmup).unwrap_or_default(),
        grace: grace.flatten().unwrap_or(GRACE),
    };
    Some(Compiled { plan, warmup: warmup.map(|(span, _)| span), rules: places })
}

fn scenario_name<'n>(review: &mut Review, node: &'n Node) -> Option<&'n str> {
    let expected = "a name of letters, digits, `-`, `_` and `.`: it names the report's folder";
    let name = shape::fixed(review, node, expected)?;
    if is_name(name) { Some(name) } else { wrong(review, node, expected) }
}

fn seed(review: &mut Review, node: &Node) -> Option<Seed> {
    shape::count(review, node, 0, Seed::END - 1).and_then(Seed::new)
}

/// What has been compiled so far.
struct Compiler {
    library: Library,
    services: Vec<String>,
    /// The inline archetypes until a workload asks: the plan holds only what is used.
    inline: Vec<(String, Option<Archetype>)>,
    archetypes: Vec<Archetype>,
    /// Every name asked for, with its index when it compiled.
    known: Vec<(String, Option<usize>)>,
    steps: Vec<Series>,
}

impl Compiler {
    fn new(library: Library, services: Vec<String>) -> Self {
        let (inline, archetypes, known, steps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { library, services, inline, archetypes, known, steps }
    }

    /// Compiles the inline archetypes, also those that no workload names: their mistakes count.
    fn compile_inline(&mut self, review: &mut Review, entries: &[(Key, Node)]) {
        for (key, node) in entries {
            if !is_name(&key.name) {
                bad_name(review, key);
            }
            let compiled = Fields::of(review, node, "an archetype").and_then(|mut fields| {
                let compiled = archetype(review, &key.name, &mut fields, &self.services);
                fields.finish(review);
                compiled
            });
            self.inline.push((key.name.clone(), compiled));
        }
    }

    fn workloads(&mut self, review: &mut Review, node: &Node) -> Vec<Workload> {
        let expected = "a map of workloads, each with `archetypes` or `flow`, and a load";
        let Some(entries) = shape::entries(review, node, expected) else { return Vec::new() };
        if entries.is_empty() {
            wrong::<()>(review, node, expected);
        }
        let mut workloads = Vec::new();
        for (key, node) in entries {
            if !is_name(&key.name) {
                bad_name(review, key);
            }
            workloads.extend(self.workload(review, key, node, workloads.len()));
        }
        workloads
    }

    fn workload(
        &mut self,
        review: &mut Review,
        key: &Key,
        node: &Node,
        index: usize,
    ) -> Option<Workload> {
        let mut fields = Fields::of(review, node, "a workload")?;
        let start = if fields.has("executor") { "startTime" } else { "start" };
        let start = fields.take(start).map(|node| load::bounded(review, node));
        let load = load::load(review, &mut fields);
        let shares = self.shares(review, key, &mut fields);
        fields.finish(review);
        let shares = self.series(review, key, index, &shares?)?;
        Some(Workload {
            name: key.name.clone(),
            shares,
            start: start.unwrap_or(Some(Duration::ZERO))?,
            load: load?,
            slot_offset: index as u64 * SLOT_STRIDE,
        })
    }

    /// The archetypes of a workload by index, with their weights.
    fn shares(
        &mut self,
        review: &mut Review,
        key: &Key,
        fields: &mut Fields<'_>,
    ) -> Option<Vec<(usize, f64)>> {
        if fields.has("flow") {
            if let Some((second, _)) = fields.entry("archetypes") {
                review.mistake(second.span, "a workload has either `archetypes` or a `flow`");
            }
            let own = archetype(review, &key.name, fields, &self.services)?;
            self.archetypes.push(own);
            return Some(vec![(self.archetypes.len() - 1, 1.0)]);
        }
        let expected = "archetypes with their weights, such as `{ browser: 80, buyer: 20 }`";
        let node = fields.take("archetypes");
        // Asked for so that a misspelt one is recognised.
        fields.take("flow");
        let Some(node) = node else {
            review
                .mistake(fields.span(), "this workload has no users' flow")
                .expected(format!("`archetypes:` with {expected}, or `flow:`"));
            return None;
        };
        let entries = shape::entries(review, node, expected)?;
        if entries.is_empty() {
            return wrong(review, node, expected);
        }
        let mut shares = Vec::new();
        for (key, node) in entries {
            let weight = weight(review, node);
            let index = self.named(review, key);
            if let (Some(index), Some(weight)) = (index, weight) {
                shares.push((index, weight));
            }
        }
        (shares.len() == entries.len()).then_some(shares)
    }

    /// The archetype of this name, compiled once.
    fn named(&mut self, review: &mut Review, key: &Key) -> Option<usize> {
        let name = &key.name;
        if let Some((_, index)) = self.known.iter().find(|(known, _)| known == name) {
            return *index;
        }
        let inline = self.inline.iter_mut().find(|(known, _)| known == name);
        let compiled = if let Some((_, compiled)) = inline {
            compiled.take()
        } else if is_name(name) {
            self.read_archetype(review, key)
        } else {
            bad_name(review, key);
            None
        };
        let index = compiled.map(|archetype| {
            self.archetypes.push(archetype);
            self.archetypes.len() - 1
        });
        self.known.push((name.clone(), index));
        index
    }

    fn read_archetype(&self, review: &mut Review, key: &Key) -> Option<Archetype> {
        let inline: Vec<&str> = self.inline.iter().map(|(name, _)| name.as_str()).collect();
        let document = self.library.archetype(review, &key.name, key.span, &inline)?;
        let mut fields = Fields::of(review, &document.node, "an archetype")?;
        if fields.has("scenario") || fields.has("workloads") {
            review
                .mistake(document.node.span, "this is a scenario, not an archetype")
                .help(format!("`{}` was read for the archetype `{}`", document.name, key.name));
            return None;
        }
        let own = fields.need("archetype", &format!("its name, `{}`", key.name));
        if let Some(node) = own
            && shape::scalar(node) != Some(key.name.as_str())
        {
            let expected = format!("`{}`, as the file is called", key.name);
            wrong::<()>(review, node, expected);
        }
        let compiled = archetype(review, &key.name, &mut fields, &self.services);
        fields.finish(review);
        compiled
    }

    /// Numbers the series of a workload.
    fn series(
        &mut self,
        review: &mut Review,
        key: &Key,
        workload: usize,
        shares: &[(usize, f64)],
    ) -> Option<Vec<Share>> {
        let mut numbered = Vec::new();
        for &(archetype, weight) in shares {
            let first = self.steps.len();
            let names = &self.archetypes[archetype].series;
            if first + names.len() > MAX_STEPS {
                review
                    .mistake(key.span, format!("more than {MAX_STEPS} steps in all workloads"))
                    .help("give steps that belong together the same `name:`");
                return None;
            }
            let tags = &self.archetypes[archetype].tags;
            let series = names.iter().zip(tags).map(|(name, tags)| Series {
                name: name.clone(),
                archetype,
                workload,
                tags: tags.clone(),
            });
            self.steps.extend(series);
            let first_step = StepId(u16::try_from(first).ok()?);
            numbered.push(Share { archetype, weight, first_step });
        }
        Some(numbered)
    }
}

fn weight(review: &mut Review, node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Number(_, weight) if *weight > 0.0 && *weight <= 1e9 => Some(*weight),
        _ => wrong(review, node, "a weight above zero, such as 80"),
    }
}

fn bad_name(review: &mut Review, key: &Key) {
    review
        .mistake(key.span, format!("`{}` cannot be a name", shape::short(&key.name)))
        .expected("letters, digits, `-`, `_` and `.`, not beginning with `.`");
}

/// Finds a workload by name for a flag of the command line.
pub(super) fn workload_named<'a>(
    review: &mut Review,
    plan: &'a mut Plan,
    flag: &str,
    name: Option<&str>,
) -> Option<&'a mut Workload> {
    let names: Vec<String> = plan.workloads.iter().map(|w| w.name.clone()).collect();
    let index = match name {
        Some(name) => names.iter().position(|known| known == name),
        None if names.len() == 1 => Some(0),
        None => {
            let flag_name = flag.split(' ').next().unwrap_or(flag);
            review
                .general(flag, "this scenario has several workloads")
                .expected(format!("the name of one: `{flag_name} {}=…`", names[0]))
                .help(format!("its workloads are {}", names.join(", ")));
            return None;
        }
    };
    if index.is_none() {
        let name = name.unwrap_or_default();
        let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
        let mistake = review.general(flag, format!("there is no workload `{name}`"));
        mistake.expected(format!("one of {}", names.join(", ")));
        if let Some(near) = near {
            mistake.help(format!("did you mean `{near}`?"));
        }
    }
    index.map(|index| &mut plan.workloads[index])
}
