//! Asks the servers of a plan for the methods of gRPC that its scenario does not have.
//!
//! `cli` calls it between two compilations of a scenario.
//! Invariant: only services that demand it are asked, over the connection that their calls would
//! have; files, bytes and time are bounded.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::clock::RunOffset;
use crate::engine::call::request::PreparedRequest;
use crate::grpc::reflection::{self, MAX_BYTES, ReflectedFiles, ReflectedSets, ReflectionVersion};
use crate::grpc::{GrpcCall, GrpcMethod};
use crate::ids::ServiceId;
use crate::plan::operation::Operation;
use crate::plan::transport::Auth;
use crate::plan::{Address, Call, Plan, RequestBody, Service, ServiceTarget};
use crate::protocol::{Protocol, status};
use crate::stats::AttemptOutcome;
use crate::template::Template;
use crate::wire::{
    CallDeadline, CaptureRequest, ConnectionSlot, Outgoing, ResponseCapture, ServiceEndpoint, Wire,
};

/// How long a server may take to tell all of its methods.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The services of a plan whose servers are still to be asked.
fn lacking(plan: &Plan) -> impl Iterator<Item = &Service> {
    let lacks = |service: &&Service| {
        service.grpc.as_ref().is_some_and(|settings| settings.lacks_reflection)
    };
    plan.services.iter().filter(lacks)
}

/// What the servers of a plan tell; `None` if none is to be asked.
pub fn ask(plan: &Plan) -> Option<ReflectedSets> {
    let mut sets = ReflectedSets::new();
    for service in lacking(plan) {
        let found = clock::block_on(ask_service(plan, service));
        let found = found.unwrap_or_else(|error| Err(error.to_string()));
        sets.insert(service.name.clone(), found.map(Arc::from));
    }
    (!sets.is_empty()).then_some(sets)
}

/// A server that is asked.
struct AskedServer<'a> {
    plan: &'a Plan,
    service: &'a Service,
    address: &'a Address,
    wire: Wire,
    deadline: CallDeadline,
}

/// The descriptors of a service as a set, or why there are none.
async fn ask_service(plan: &Plan, service: &Service) -> Result<Vec<u8>, String> {
    let ServiceTarget::Url(address) = &service.target else {
        return Err("it has no URL".to_owned());
    };
    let safety = Arc::clone(&plan.safety);
    let endpoint = ServiceEndpoint::new(&service.transport, address, plan.seed, safety)
        .map_err(|error| error.to_string())?;
    if let Some(why) = endpoint.foresee().await {
        return Err(why);
    }
    let wire = Wire::real(vec![endpoint]);
    let deadline = CallDeadline::new(Rc::default());
    let server = AskedServer { plan, service, address, wire, deadline };
    let mut slot = server.wire.new_slot();
    server.deadline.begin(clock::now() + TIMEOUT);
    let mut found = server.files(&mut slot, ReflectionVersion::V1).await;
    if matches!(found, Err(AskedRefusal::Unimplemented)) {
        found = server.files(&mut slot, ReflectionVersion::V1Alpha).await;
    }
    server.deadline.end();
    found.map_err(|refusal| match refusal {
        AskedRefusal::Unimplemented => "it has no reflection (UNIMPLEMENTED)".to_owned(),
        AskedRefusal::Other(why) => why,
    })
}

/// Why a server has not told its methods.
enum AskedRefusal {
    /// It does not have this version of reflection.
    Unimplemented,
    Other(String),
}

impl From<String> for AskedRefusal {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl AskedServer<'_> {
    /// Asks for one file after the other.
    async fn files(
        &self,
        slot: &mut ConnectionSlot,
        version: ReflectionVersion,
    ) -> Result<Vec<u8>, AskedRefusal> {
        let method = reflection::method(version).ok_or("it was built without gRPC".to_owned())?;
        let mut files = ReflectedFiles::default();
        while let Some(request) = files.next_request() {
            let reply = self.call(slot, &method, &request).await?;
            files.take(&reply).map_err(|error| error.to_string())?;
        }
        files.into_set().map_err(|error| error.to_string().into())
    }

    /// Sends a request as JSON, and returns the reply as JSON.
    async fn call(
        &self,
        slot: &mut ConnectionSlot,
        method: &GrpcMethod,
        json: &[u8],
    ) -> Result<Vec<u8>, AskedRefusal> {
        let path = format!("/{}", method.name);
        if let Some(why) = self.plan.safety.denial("POST", &path) {
            return Err(format!("a safety limit forbids it: {why}").into());
        }
        let operation = Operation::Grpc(GrpcCall { method: method.clone(), is_compressed: false });
        let bytes = self.request(method, &operation, (path, json))?;
        let outgoing = Outgoing {
            service: ServiceId::default(),
            bytes: &bytes,
            capture: &CaptureRequest {
                max_body: 2 * MAX_BYTES as u64,
                keep_body: true,
                ..CaptureRequest::NOTHING
            },
            operation: Some(&operation),
            idempotent: true,
            user: 0,
            link: None,
            number: 0,
            intended: RunOffset::default(),
        };
        let mut capture = ResponseCapture::default();
        let outcome = self.wire.complete(slot, &outgoing, &self.deadline, &mut capture).await;
        match outcome {
            AttemptOutcome::Responded(code) if !status::is_error(code) => {
                let reply = method.output.to_json(&capture.body);
                reply.map_err(|why| format!("its reply cannot be read: {why}").into())
            }
            AttemptOutcome::Responded(code)
                if Some(code) == status::of_word(Protocol::Grpc, "UNIMPLEMENTED") =>
            {
                Err(AskedRefusal::Unimplemented)
            }
            AttemptOutcome::Responded(code) => {
                let text = String::from_utf8_lossy(&capture.body).into_owned();
                Err(format!("{} {text}", status::name(code)).trim_end().to_owned().into())
            }
            outcome => {
                let text = self.wire.last_error(ServiceId::default(), outcome);
                Err(text.unwrap_or_else(|| reason(outcome)).into())
            }
        }
    }

    /// A request with the service's metadata, as far as they are constant.
    fn request(
        &self,
        method: &GrpcMethod,
        operation: &Operation,
        (path, json): (String, &[u8]),
    ) -> Result<Vec<u8>, AskedRefusal> {
        let mut service = self.service.clone();
        service.timeout = TIMEOUT;
        service.headers.retain(|(_, value)| value.as_static().is_some());
        service.transport.auth = service.transport.auth.filter(|auth| match auth {
            Auth::Basic(login) => login.as_static().is_some(),
            Auth::Bearer(token) => token.as_static().is_some(),
        });
        let mut frame = Vec::new();
        method.write_request(json, false, &mut frame)?;
        let mut call = Call::get(Template::literal(path));
        "POST".clone_into(&mut call.request.method);
        call.request.body = RequestBody::Bytes(frame);
        call.operation = Some(Arc::new(operation.clone()));
        let safety = &self.plan.safety;
        match PreparedRequest::new(&call, &service, self.address, safety, (false, None)) {
            PreparedRequest::Static(bytes) => Ok(bytes),
            PreparedRequest::Dynamic { .. } | PreparedRequest::Operation(_) => {
                Err("its metadata are not constant".to_owned().into())
            }
        }
    }
}

/// Why there is no response, in words.
fn reason(outcome: AttemptOutcome) -> String {
    match outcome {
        AttemptOutcome::Timeout(_) => {
            format!("no complete response within {}", crate::units::show_duration(TIMEOUT))
        }
        AttemptOutcome::Failed(_, kind) => {
            // What to do about it follows the first semicolon.
            kind.hint().split(';').next().unwrap_or_default().to_owned()
        }
        outcome => outcome.to_string(),
    }
}
