//! Tests of loading: valid scenarios and their plans, and that no text makes the loader panic.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::library::{ArchetypeLibrary, BUILT_IN, decode};
use super::loader::finish;
use super::safety::SafetyReader;
use super::syntax::diagnostics::{Diagnostics, SourceSpan};
use super::*;
use crate::ids::{ServiceId, StepId, WorkloadId};
use crate::plan::load::{LoadBound, OPEN_END};
use crate::plan::{Call, Load, Plan, RequestBody, ServiceTarget};
use crate::seed::Seed;
use crate::units::Rate;

fn load_with(text: &str, overrides: &ScenarioOverrides) -> Result<(Plan, Vec<Warning>), Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path, overrides)
}

fn plan(text: &str) -> Plan {
    load_with(text, &ScenarioOverrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

/// Loads a plan of one workload with this load.
fn with_load(lines: &str, overrides: &ScenarioOverrides) -> Plan {
    let text = format!(
        "services: {{ s: builtin }}\nworkloads:\n  w:\n    flow: [ get: / ]\n    {lines}\n"
    );
    load_with(&text, overrides).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn calls(plan: &Plan, archetype: usize) -> Vec<&Call> {
    plan.archetypes[archetype].calls.iter().collect()
}

#[test]
fn shipped_scenario_loads() {
    let path = Path::new("scenarios/quickstart.yaml");
    let (plan, warnings) =
        load(path, &ScenarioOverrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(warnings, []);
    assert_eq!((plan.scenario.as_str(), plan.seed.value()), ("quickstart", 42));
    assert_eq!(plan.load_end(), Some(Duration::from_secs(15)));
    assert_eq!(plan.archetypes.len(), 2);
    // Each share of a workload has its own series: browser, buyer, and buyer again.
    assert_eq!(plan.steps.len(), 4 + 5 + 5);
    assert_eq!(plan.workloads[1].shares[0].first_step, StepId::new(9));
    assert_eq!(plan.steps[9].workload, WorkloadId::new(1));
    assert_eq!(plan.thresholds.len(), 3);
}

#[test]
fn built_in_archetypes_are_the_shipped_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("archetypes");
    let mut shipped: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    shipped.sort();
    let built_in: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(built_in, shipped);
    for name in built_in {
        let text = format!(
            "services: {{ s: builtin }}\n\
             workloads: {{ w: {{ archetypes: {{ {name}: 1 }}, users: 1 }} }}\n"
        );
        let kind = &plan(&text).archetypes[0];
        assert!(!kind.calls.is_empty() && kind.description.is_some(), "{name}");
    }
}

#[test]
fn step_compiles_to_a_request() {
    let plan = plan(
        "services: { a: 'http://x/api', b: { builtin: { servers: 2 }, timeout: 3s } }
workloads:
  w:
    users: 1
    flow:
      - get: /p?q=a b
        think: 0s
        capture: { id: { json: '$.id' }, all: { header: via, pick: all } }
      - post: /cart
        name: cart
        service: b
        headers: { Authorization: 'Bearer {{ id }}' }
        json: { id: '{{ id }}', n: 1.10, ok: true, none: null, s: '5', t: 'x{{ id }}', l: [1, 2] }
        expect: { status: [200, 201] }
        check:
          { body: { contains: ok }, header: { via: x }, json: { '$.ok': true }, service: '< 1s' }
      - { post: /form, form: { a b: 'c&d', e: 1 }, timeout: 5s, max_body: 1MiB }
      - { put: /raw, body: plain, name: cart }
",
    );
    let calls = calls(&plan, 0);
    assert_eq!(plan.archetypes[0].series, ["GET /p", "cart", "POST /form"]);
    assert_eq!(calls.iter().map(|call| call.series).collect::<Vec<_>>(), [0, 1, 2, 1]);
    assert_eq!(plan.archetypes[0].variables, ["id", "all"]);
    assert_eq!(calls[0].request.path.as_static(), Some(&b"/p?q=a%20b"[..]));
    assert_eq!(calls[0].think, Some(crate::curve::Distribution::constant(Duration::ZERO)));
    assert!(calls[0].needs_head() && calls[0].needs_body());
    assert_eq!(calls[1].service, ServiceId::new(1));
    assert!(calls[1].expects_status(201) && !calls[1].expects_status(204));
    let names: Vec<&str> = calls[1].checks.iter().map(|check| check.name.as_str()).collect();
    let expect =
        ["header via is \"x\"", "body contains \"ok\"", "json $.ok is true", "service < 1s"];
    assert_eq!(names, expect);
    let RequestBody::Template(body) = &calls[1].request.body else { panic!("a template") };
    assert_eq!(
        render(body, &plan, crate::template::Value::from(7)),
        r#"{"id":7,"n":1.10,"ok":true,"none":null,"s":"5","t":"x7","l":[1,2]}"#
    );
    let RequestBody::Bytes(form) = &calls[2].request.body else { panic!("static") };
    assert_eq!(form, b"a+b=c%26d&e=1");
    let headers: Vec<&str> = calls[1].request.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(headers, ["Authorization", "content-type"]);
    assert!(calls[3].request.headers.is_empty());
}

fn render(
    template: &crate::template::Template,
    plan: &Plan,
    value: crate::template::Value,
) -> String {
    let mut rng = plan.seed.rng(crate::seed::Stream::Content, 0, 0);
    let variables = vec![Some(value); plan.archetypes[0].variables.len()];
    let mut scope = crate::template::RenderScope {
        variables: &variables,
        names: &plan.archetypes[0].variables,
        rng: &mut rng,
        user: 1,
        iteration: 0,
        now_ms: 0,
        work: &mut crate::template::MAX_ITERATION_WORK.clone(),
        run_id: "1-1",
        request: None,
        from_responses: &[],
    };
    let mut out = Vec::new();
    template.render(&mut scope, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn load_ends_as_given() {
    let none = ScenarioOverrides::default();
    let closed = |lines: &str| {
        let plan = with_load(lines, &none);
        let Load::Closed(users) = &plan.workloads[0].load else { panic!("closed") };
        (users.curve.peak(), users.curve.end_ns(), users.bound)
    };
    let s = 1_000_000_000;
    assert_eq!(closed("users: 50\n    duration: 1m"), (50, 60 * s, LoadBound::Time));
    assert_eq!(closed("users: 5\n    iterations: 100"), (5, OPEN_END, LoadBound::Iterations(100)));
    assert_eq!(closed("users: 5"), (5, OPEN_END, LoadBound::Once));
    assert_eq!(
        closed("users: [ { ramp: 9, over: 2s }, { hold: 3s } ]"),
        (9, 5 * s, LoadBound::Time)
    );
    let open = with_load("iterations: 7\n    arrivals: { rate: 90/m, process: poisson }", &none);
    let Load::Open(arrivals) = &open.workloads[0].load else { panic!("open") };
    assert_eq!((arrivals.iterations, arrivals.curve.peak()), (Some(7), Rate::UNITS_PER_S * 3 / 2));
    assert_eq!((arrivals.max_users, open.load_end()), (10_000, None));
}

#[test]
fn command_line_replaces_the_load() {
    let stages = "start: 1s\n    users: [ { ramp: 9, over: 4s }, { hold: 5s } ]";
    let duration = Some(Duration::from_secs(5));
    let plan = with_load(stages, &ScenarioOverrides { duration, ..ScenarioOverrides::default() });
    assert_eq!(plan.load_end(), duration);
    assert_eq!(plan.workloads[0].start, Duration::from_millis(500));

    let users = ScenarioOverrides { users: vec![(None, 30)], ..ScenarioOverrides::default() };
    let plan = with_load(stages, &users);
    assert_eq!((plan.peak_users(), plan.load_end()), (30, Some(Duration::from_secs(10))));

    let rate = vec![(Some("w".to_owned()), Rate::per_s(30))];
    let seed = Seed::new(9);
    let rule = vec!["errors < 1%".to_owned()];
    let overrides = ScenarioOverrides {
        rate,
        seed,
        duration,
        thresholds: rule,
        ..ScenarioOverrides::default()
    };
    let plan = with_load("users: 3", &overrides);
    assert_eq!((plan.workloads[0].model(), plan.load_end()), ("open", duration));
    assert_eq!((plan.seed, plan.thresholds.len()), (seed.unwrap(), 1));
}

#[test]
fn archetypes_are_found_beside_the_scenario_first() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let archetype = |name: &str, path: &str| format!("archetype: {name}\nflow: [ get: {path} ]\n");
    write("archetypes/browser.yaml", &archetype("browser", "/folder"));
    write("archetypes/night.yml", &archetype("night", "/night"));
    write("night.yaml", &archetype("night", "/beside"));
    write(
        "s.yaml",
        "services: { s: builtin }\nworkloads:\n  w:\n    users: 1\n    \
         archetypes: { browser: 1, night: 2, inline: 0.5 }\n\
         archetypes: { inline: { flow: [ get: /inline ] } }\n",
    );
    let plan = load(&folder.path().join("s.yaml"), &ScenarioOverrides::default()).unwrap().0;
    let paths: Vec<&[u8]> = (0..3)
        .map(|archetype| calls(&plan, archetype)[0].request.path.as_static().unwrap())
        .collect();
    assert_eq!(paths, [&b"/folder"[..], b"/beside", b"/inline"]);
    // A mistake in an archetype's file shows that file.
    write("archetypes/browser.yaml", "archetype: other\nflow: [ gte: / ]\n");
    let mistakes = load(&folder.path().join("s.yaml"), &ScenarioOverrides::default()).unwrap_err();
    assert_eq!(mistakes.list.len(), 2);
    assert!(mistakes.list.iter().all(|one| one.file.ends_with("archetypes/browser.yaml")));
}

#[test]
fn reported_mistakes_are_limited() {
    let steps = "      - gte: /\n".repeat(5_000);
    let text = format!("services: {{ s: builtin }}\nworkloads:\n  w:\n    flow:\n{steps}");
    let mistakes = load_with(&text, &ScenarioOverrides::default()).unwrap_err();
    assert_eq!(mistakes.list.len(), 100);
    assert!(mistakes.more >= 4_900);
}

#[test]
fn place_in_carriage_returns_renders() {
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.open("a.yaml".to_owned(), "a: b\r\r\r\nc".to_owned());
    for start in 0..9 {
        let span = SourceSpan { source, start, end: start };
        let shown = diagnostics.mistake(span, "no").render(false);
        assert!(shown.contains(if start < 8 { "a.yaml:1:" } else { "a.yaml:2:" }), "{shown}");
    }
}

/// Generates text that resembles a scenario.
fn yaml_like() -> impl Strategy<Value = String> {
    const WORDS: &str = "scenario•services•workloads•archetypes•flow•get•post•json•form•users•\
        arrivals•rate•ramp•over•hold•capture•check•expect•status•header•body•think•pace•\
        thresholds•seed•browser•builtin•url•: •:\n•\n•\n  •\n    •\n      •- •[•]•{•}•, •\"•'•\
        {{ x }}•{{•}}•/•/a•1s•5•-1•0.5•100/s•< 1s•$.a•&a •*a•<<: •? •| •> •!!int •!x •# •\t•é•\0•\
        ---\n•%•null•~•true•.inf•1e999•0x10•\u{feff}•\r\n•\r\r•\u{85}";
    let words = prop::sample::select(WORDS.split('•').collect::<Vec<_>>());
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_the_loader_panic(text in yaml_like()) {
        load_and_render(text.as_bytes());
        let workload = format!("services: {{ s: builtin }}\nworkloads:\n  w:\n    {text}");
        load_and_render(workload.as_bytes());
        let step = format!(
            "services: {{ s: builtin }}\nworkloads:\n  w:\n    users: 1\n    flow:\n      \
             - get: /\n        {text}"
        );
        load_and_render(step.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load_and_render(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_setting_makes_the_loader_panic(
        words in "[a-z.=0-9é{\\[ ]{0,30}",
        value in yaml_like(),
    ) {
        let set = vec![words.clone(), words + &value];
        let overrides = ScenarioOverrides { set, ..ScenarioOverrides::default() };
        let path = Path::new("scenarios/quickstart.yaml");
        if let Err(mistakes) = super::load(path, &overrides) {
            prop_assert!(!mistakes.render(true).is_empty());
        }
    }
}

/// Loads without a file, and renders the mistakes, which are never empty.
fn load_and_render(bytes: &[u8]) {
    let mut diagnostics = Diagnostics::default();
    let plan =
        decode(&mut diagnostics, "fuzz.yaml".to_owned(), bytes.to_vec()).and_then(|document| {
            let library = ArchetypeLibrary::beside(Path::new("tests/none/fuzz.yaml"));
            let limits = SafetyReader::default();
            let compiled =
                compile::scenario(&mut diagnostics, &document.node, "fuzz", library, limits)?;
            Some(finish(&mut diagnostics, "fuzz", compiled, &ScenarioOverrides::default()))
        });
    if let Err(mistakes) = diagnostics.finish(plan) {
        assert!(!mistakes.list.is_empty(), "refused without a reason");
        assert!(!mistakes.render(true).is_empty());
    }
}

#[test]
fn environments_and_settings_overlay_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.yaml");
    std::fs::write(
        &file,
        "services: { shop: builtin, pay: \"http://pay\" }
workloads:
  w.eu: { users: [ { ramp: 5, over: 1s }, { hold: 2s } ], flow: [ { get: /a }, { get: /b } ] }
grace: 1s
environments:
  staging:
    services: { shop: { url: \"http://staging\" } }
    workloads: { w.eu: { users: 7, iterations: 3 } }
    grace: null
",
    )
    .unwrap();
    let load = |environment: Option<&str>, set: &[&str]| {
        let set = set.iter().map(|&words| words.to_owned()).collect();
        let environment = environment.map(str::to_owned);
        let overrides = ScenarioOverrides { environment, set, ..ScenarioOverrides::default() };
        super::load(&file, &overrides).unwrap().0
    };
    let plain = load(None, &[]);
    assert_eq!((plain.peak_users(), plain.grace.as_secs(), plain.services.len()), (5, 1, 2));
    let staging = load(Some("staging"), &[]);
    assert_eq!((staging.peak_users(), staging.grace.as_secs()), (7, 10));
    assert!(matches!(&staging.services[0].target, ServiceTarget::Url(a) if a.host == "staging"));
    assert_eq!(staging.services[1].name, "pay");
    let set = load(
        Some("staging"),
        &["workloads.w.eu.users=9", "seed=5", "workloads.w.eu.flow.1.name=\"b: c\"", "grace= 3s"],
    );
    assert_eq!((set.peak_users(), set.seed.value(), set.grace.as_secs()), (9, 5, 3));
    assert_eq!(set.steps[1].name, "b: c");
    let removed = load(None, &["workloads.w.eu.users=[ { step: 2, over: 1s } ]", "grace=null"]);
    assert_eq!((removed.peak_users(), removed.grace.as_secs()), (2, 10));
}

#[test]
fn former_names_of_keys_are_read_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.yaml");
    let text = "services: { shop: builtin }
provision: 2s
retries: { patience: 5s }
workloads: { w: { users: 1, duration: 1s, flow: [ { get: /a } ] } }
";
    std::fs::write(&file, text).unwrap();
    let (plan, warnings) = super::load(&file, &ScenarioOverrides::default()).unwrap();
    let longest = plan.policies.retries.as_ref().map(|policy| policy.max_retry_after.as_secs());
    assert_eq!(
        (plan.policies.prewarm.map(|prewarm| prewarm.lead.as_secs()), longest),
        (Some(2), Some(5))
    );
    let shown = warnings.iter().map(|warning| warning.render(false)).collect::<String>();
    for expected in
        ["`provision` is now called `prewarm`", "`patience` is now called `max_retry_after`"]
    {
        assert!(shown.contains(expected), "{shown}");
    }
}
