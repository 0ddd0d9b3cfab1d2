//! The cost of rendering a request's text: literals, and each kind of slot.
//!
//! Run with `cargo bench --bench render`. The buffer is reused, as in the engine.

use divan::{Bencher, black_box};
use manada::seed::{Seed, Stream};
use manada::template::{Encoding, MAX_ITERATION_WORK, RenderScope, Template, Value};

const HEAD: &str = " HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: manada/0.1.0\r\n\
                    Accept: */*\r\nContent-Type: application/json\r\nContent-Length: 57\r\n\r\n";

fn main() {
    divan::main();
}

fn names() -> Vec<String> {
    vec!["product".to_owned(), "token".to_owned()]
}

/// Renders texts one after the other into one reused buffer.
fn render(bencher: Bencher<'_, '_>, texts: &[(&str, Encoding)]) {
    let names = names();
    let parse = |(text, encoding): &(&str, _)| Template::parse(text, *encoding, &names).unwrap();
    let templates: Vec<Template> = texts.iter().map(parse).collect();
    let variables = [Some(Value::from(4_711)), Some(Value::from("c2VjcmV0IHRva2Vu"))];
    let mut rng = Seed::ZERO.rng(Stream::Content, 0, 0);
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        let mut scope = RenderScope {
            variables: &variables,
            names: &names,
            rng: &mut rng,
            user: 17,
            iteration: 3,
            now_ms: 0,
            work: &mut MAX_ITERATION_WORK.clone(),
            run_id: "1-1",
            request: None,
            from_responses: &[],
        };
        for template in &templates {
            black_box(template).render(&mut scope, &mut out).unwrap();
        }
        black_box(out.len())
    });
}

/// A whole request without slots.
#[divan::bench]
fn request_static(bencher: Bencher<'_, '_>) {
    render(bencher, &[("GET /products?page=1", Encoding::Plain), (HEAD, Encoding::Plain)]);
}

/// A whole request with a random number, a captured header and a JSON body.
#[divan::bench(sample_size = 1_000)]
fn request_templated(bencher: Bencher<'_, '_>) {
    let body = r#"{"id": {{ product }}, "n": {{ int(1, 9) }}, "u": {{ user.number }}}"#;
    let texts = [
        ("GET ", Encoding::Plain),
        ("/products/{{ product }}?page={{ int(1, 20) }}", Encoding::Url),
        (HEAD, Encoding::Plain),
        ("authorization: Bearer {{ token }}\r\n", Encoding::Plain),
        (body, Encoding::Plain),
    ];
    render(bencher, &texts);
}

/// One slot at a time: the first three are fast paths, the others are expressions.
#[divan::bench(args = [
    "{{ product }}", "{{ int(1, 20) }}", "{{ user.number }}", "{{ word() }}", "{{ product + 1 }}",
])]
fn slot(bencher: Bencher<'_, '_>, text: &str) {
    render(bencher, &[(text, Encoding::Plain)]);
}
