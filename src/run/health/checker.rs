//! One health check: a request to a backend, and whether its response is healthy.
//!
//! `gate` and `watch` call it.
//! Invariant: a check ends within its timeout; a response of any size costs at most 64 KiB.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, RunOffset};
use crate::engine;
use crate::engine::call::request::PreparedRequest;
use crate::ids::ServiceId;
use crate::plan::health::HealthPolicy;
use crate::plan::transport::Auth;
use crate::plan::{Address, Call, Plan, Service};
use crate::stats::{AttemptOutcome, ChangeSubject};
use crate::template::Template;
use crate::units::show_duration;
use crate::wire::{CallDeadline, CaptureRequest, ConnectionSlot, Outgoing, ResponseCapture, Wire};

/// Maximum bytes of a response that a text is searched in.
const MAX_BODY: u64 = 64 << 10;

/// Something whose health is checked: a service, or one of its backends.
#[derive(Clone, Debug)]
pub(in crate::run) struct CheckedBackend {
    /// The service that steps name.
    pub(in crate::run) service: ServiceId,
    /// Its number among the backends; `None` if the service has a single address.
    pub(in crate::run) backend: Option<usize>,
    /// The service that is connected to.
    to: ServiceId,
    /// What changes if its health does.
    pub(in crate::run) subject: ChangeSubject,
    /// How it is checked.
    pub(in crate::run) policy: HealthPolicy,
    request: Vec<u8>,
}

/// The health checks of a run.
#[derive(Clone, Debug)]
pub(in crate::run) struct HealthChecker {
    plan: Arc<Plan>,
    addresses: Vec<Address>,
    /// All that is checked.
    pub(in crate::run) backends: Vec<CheckedBackend>,
}

/// What checks connect with: it belongs to one thread.
pub(in crate::run) struct HealthWire {
    wire: Wire,
    /// Never set: a check that is no longer awaited is dropped.
    is_cancelled: Rc<Cell<bool>>,
}

impl HealthChecker {
    /// The checks of a plan whose services have these addresses.
    pub(in crate::run) fn new(plan: &Arc<Plan>, addresses: &[Address]) -> Self {
        let mut backends = Vec::new();
        for (id, service) in ServiceId::number(&plan.services) {
            let (Some(policy), None) = (&service.health, service.backend_of) else { continue };
            let names = plan.backend_names(id);
            let members: Vec<ServiceId> = match service.backends.as_deref() {
                Some(all) => all.members.iter().map(|member| member.service).collect(),
                None => vec![id],
            };
            for (number, to) in members.into_iter().enumerate() {
                let backend = service.backends.as_ref().map(|_| number);
                let subject = match backend {
                    Some(number) => ChangeSubject::Backend {
                        service: service.name.clone(),
                        backend: names[number].clone(),
                    },
                    None => ChangeSubject::Service(service.name.clone()),
                };
                let request = request(plan, service, &addresses[to.index()], policy);
                let policy = policy.clone();
                backends.push(CheckedBackend {
                    service: id,
                    backend,
                    to,
                    subject,
                    policy,
                    request,
                });
            }
        }
        Self { plan: Arc::clone(plan), addresses: addresses.to_vec(), backends }
    }

    /// Whether nothing is checked.
    pub(in crate::run) fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// What the checks of one thread connect with.
    pub(in crate::run) fn wire(&self) -> io::Result<HealthWire> {
        let endpoints = engine::endpoints(&self.plan, &self.addresses)?;
        Ok(HealthWire { wire: Wire::real(endpoints), is_cancelled: Rc::default() })
    }

    /// The service whose load is shifted: both of its targets have to be healthy.
    pub(in crate::run) fn shifted(&self) -> Option<ServiceId> {
        self.plan.shift.as_ref().map(|shift| shift.service)
    }

    /// Name of what is checked, for messages.
    pub(in crate::run) fn name(&self, at: usize) -> String {
        self.backends[at].subject.to_string()
    }
}

impl HealthWire {
    /// A place for the connection of a backend's checks.
    pub(in crate::run) fn new_slot(&self) -> ConnectionSlot {
        self.wire.new_slot()
    }

    /// Makes a check.
    ///
    /// # Errors
    /// Why it failed, as text.
    pub(in crate::run) async fn check(
        &self,
        backend: &CheckedBackend,
        slot: &mut ConnectionSlot,
    ) -> Result<(), String> {
        let policy = &backend.policy;
        let outgoing = Outgoing {
            service: backend.to,
            bytes: &backend.request,
            capture: &CaptureRequest {
                max_body: MAX_BODY,
                keep_body: policy.body.is_some(),
                ..CaptureRequest::NOTHING
            },
            operation: None,
            idempotent: true,
            user: 0,
            link: None,
            number: 0,
            intended: RunOffset::default(),
        };
        let deadline = CallDeadline::new(Rc::clone(&self.is_cancelled));
        deadline.begin(clock::now() + policy.timeout);
        let mut capture = ResponseCapture::default();
        let outcome = self.wire.complete(slot, &outgoing, &deadline, &mut capture).await;
        deadline.end();
        match outcome {
            AttemptOutcome::Responded(status) if !policy.statuses.contains(&status) => {
                Err(format!("status {status}"))
            }
            AttemptOutcome::Responded(_) => match &policy.body {
                Some(text) if !contains(&capture, text) => {
                    Err("the body does not contain the text".to_owned())
                }
                _ => Ok(()),
            },
            outcome => {
                // What is left of the exchange belongs to no later one.
                slot.close();
                Err(self
                    .wire
                    .last_error(backend.to, outcome)
                    .unwrap_or_else(|| reason(outcome, policy.timeout)))
            }
        }
    }
}

/// Why a check without a response failed, in words.
fn reason(outcome: AttemptOutcome, timeout: Duration) -> String {
    // What to do about it follows the first semicolon.
    let first = |hint: &str| hint.split(';').next().unwrap_or_default().to_owned();
    match outcome {
        AttemptOutcome::Timeout(phase) if phase.opens() => {
            format!("no connection within {}", show_duration(timeout))
        }
        AttemptOutcome::Timeout(_) => {
            format!("no complete response within {}", show_duration(timeout))
        }
        AttemptOutcome::Failed(_, kind) => first(kind.hint()),
        AttemptOutcome::Own(error) => first(error.hint()),
        outcome => outcome.to_string(),
    }
}

fn contains(capture: &ResponseCapture, text: &str) -> bool {
    let body: &[u8] = &capture.body;
    memchr::memmem::find(body, text.as_bytes()).is_some()
}

/// The request of a check: a GET with the service's headers, as far as they are constant.
fn request(plan: &Plan, service: &Service, address: &Address, policy: &HealthPolicy) -> Vec<u8> {
    let mut service = service.clone();
    service.headers.retain(|(_, value)| value.as_static().is_some());
    // A compressed body would not show its text.
    service.compress = false;
    service.transport.auth = service.transport.auth.filter(|auth| match auth {
        Auth::Basic(login) => login.as_static().is_some(),
        Auth::Bearer(token) => token.as_static().is_some(),
    });
    let call = Call::get(Template::literal(policy.path.as_bytes()));
    match PreparedRequest::new(&call, &service, address, &plan.safety, (false, None)) {
        PreparedRequest::Static(bytes) => bytes,
        PreparedRequest::Dynamic { .. } | PreparedRequest::Operation(_) => Vec::new(),
    }
}
