//! Calls of gRPC of a hit: URLs such as grpc://127.0.0.1:50051/shop.v1.Cart/Add.
//!
//! `build` calls it.
//! Invariant: the methods are those that the server tells; a message that is none of its method is
//! a mistake before anything is sent.

use std::sync::Arc;

use crate::grpc::reflection::ReflectedSets;
use crate::grpc::{GrpcCall, GrpcMethod, GrpcSettings, Schema};
use crate::plan::operation::Operation;
use crate::plan::{Call, Plan, RequestBody};
use crate::protocol::Protocol;
use crate::scenario::hit::options::HitOptions;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::suggest::nearest;

/// Makes calls of gRPC of the requests to services that speak it.
pub(super) fn apply(
    diagnostics: &mut Diagnostics,
    (hit, told): (&HitOptions, &ReflectedSets),
    plan: &mut Plan,
) {
    for service in plan.services.iter_mut().filter(|one| one.protocol() == Protocol::Grpc) {
        report_options(diagnostics, hit);
        service.use_http2_for_grpc();
        service.grpc = Some(settings(diagnostics, told.get(&service.name)));
    }
    let Plan { services, archetypes, steps, .. } = plan;
    for archetype in archetypes {
        for call in &mut archetype.calls {
            let Some(settings) = services[call.service].grpc.as_deref() else { continue };
            let Some(name) = make_call(diagnostics, hit, settings, call) else { continue };
            let series = usize::from(call.series);
            archetype.series[series].clone_from(&name);
            if let Some(series) = steps.get_mut(series) {
                series.name = name;
            }
        }
    }
}

/// Reports options that no call of gRPC has.
fn report_options(diagnostics: &mut Diagnostics, hit: &HitOptions) {
    if !cfg!(feature = "grpc") {
        diagnostics
            .global_mistake("URL", "this binary was built without gRPC")
            .help("build with `--features grpc`");
    }
    let given = [
        ("--method", hit.method.is_some()),
        ("--stream", hit.stream.is_some()),
        ("--listen", hit.listen),
        ("--location", hit.client.redirects.is_some()),
    ];
    for (flag, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        let message = "has no effect on calls of gRPC".to_owned();
        diagnostics.global_mistake(flag, message).expected("a URL of HTTP, or no such option");
    }
}

/// What the server told, or that it is to be asked.
fn settings(
    diagnostics: &mut Diagnostics,
    told: Option<&Result<Arc<[u8]>, String>>,
) -> Arc<GrpcSettings> {
    let told = told.cloned();
    let lacks_reflection = told.is_none();
    let schema = told.and_then(|told| {
        let schema = told.and_then(|set| Schema::decode(&set));
        schema
            .map_err(|why| {
                diagnostics
                    .global_mistake("URL", format!("the server does not tell its methods: {why}"))
                    .expected("a server with the service grpc.reflection.v1.ServerReflection")
                    .help("enable it there, or write a scenario with `proto` or `descriptors`");
            })
            .ok()
    });
    let max_message = GrpcSettings::MAX_MESSAGE;
    let schema = schema.map(Arc::new);
    Arc::new(GrpcSettings { schema, compress: false, max_message, lacks_reflection })
}

/// Makes a call of gRPC of a request; returns the name of its series.
fn make_call(
    diagnostics: &mut Diagnostics,
    hit: &HitOptions,
    settings: &GrpcSettings,
    call: &mut Call,
) -> Option<String> {
    let path = String::from_utf8_lossy(call.request.path.as_static()?).into_owned();
    let name = path.trim_start_matches('/');
    let schema = settings.schema.as_deref();
    let unknown = || settings.lacks_reflection.then(|| GrpcMethod::unknown(name, [false; 2]));
    let found = GrpcMethod::known(schema, name).or_else(|| unknown().flatten());
    let Some(method) = found else {
        let known = schema?.method_names();
        let message = format!("the server has no method `{}`", truncate(name));
        let mistake = diagnostics.global_mistake("URL", message);
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => {
                let shown: Vec<&str> = known.iter().take(8).map(String::as_str).collect();
                mistake.expected(format!("a method such as {}", shown.join(", ")))
            }
        };
        return None;
    };
    if method.is_client_streaming || method.is_server_streaming {
        diagnostics
            .global_mistake("URL", format!("`{name}` takes or returns a stream of messages"))
            .expected("a method that takes and returns one message")
            .help("write a scenario: `manada hit` sends unary calls");
        return None;
    }
    let json = hit.body.as_deref().unwrap_or(b"{}");
    let mut frame = Vec::new();
    if let Err(why) = method.write_request(json, false, &mut frame) {
        // Before the server has told its messages, any JSON is one.
        let what = if settings.lacks_reflection { "JSON" } else { method.input.name() };
        let message = format!("this is no {what}: {why}");
        diagnostics.global_mistake("--body", message).expected("the message as JSON");
        return None;
    }
    "POST".clone_into(&mut call.request.method);
    call.request.body = RequestBody::Bytes(frame);
    let series = format!("grpc {name}");
    call.operation = Some(Arc::new(Operation::Grpc(GrpcCall { method, is_compressed: false })));
    Some(series)
}
