//! The context in which steps and archetypes are compiled.
//!
//! `compile` and `archetype` build it, all compilers of steps read it.
//! Invariant: names are in the order of the plan, so that an index refers to the same item.

use std::rc::Rc;
use std::sync::Arc;

use crate::grpc::GrpcSettings;
use crate::plan::broker::MqttSettings;
use crate::plan::kafka::KafkaSettings;
use crate::plan::transport::Login;
use crate::plan::{Call, Safety};
use crate::protocol::Protocol;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::node::Node;

/// The part of the scenario that all archetypes can refer to.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScenarioContext {
    /// The names of the services, in the order of the plan.
    pub services: Vec<String>,
    /// The path prefixes of each service and its backends, in the same order.
    pub prefixes: Vec<Vec<String>>,
    /// What each of them speaks.
    pub protocols: Vec<Protocol>,
    /// The methods of those that speak gRPC.
    pub grpc: Vec<Option<Arc<GrpcSettings>>>,
    /// What their sessions of MQTT begin with.
    pub mqtt: Vec<MqttSettings>,
    /// The settings of those that speak Kafka.
    pub kafka: Vec<KafkaSettings>,
    /// What their connections log in with.
    pub logins: Vec<Option<Login>>,
    /// Whether each of them has the URL of a WebSocket server.
    pub websockets: Vec<bool>,
    /// The variables that `setup` sets.
    pub globals: Vec<String>,
    /// The names of the caches.
    pub caches: Vec<String>,
    /// The denied requests.
    pub safety: Rc<Safety>,
}

/// The context of the steps of an archetype.
#[derive(Debug)]
pub(crate) struct FlowContext<'a> {
    /// The scenario's context.
    pub context: &'a ScenarioContext,
    /// The names of the services, in the order of the plan.
    pub services: &'a [String],
    /// The variables of the archetype by slot.
    pub names: &'a [String],
    /// Whether the current step is not a branch of parallel steps.
    pub alone: bool,
}

impl FlowContext<'_> {
    /// Reports a call of another protocol than HTTP that a safety limit denies, as far as it is
    /// known.
    pub(super) fn report_denied(&self, diagnostics: &mut Diagnostics, node: &Node, call: &Call) {
        if let Some(why) = self.context.safety.denial_of_call(call) {
            diagnostics.mistake(node.span, "a safety limit forbids this request").help(why);
        }
    }
}

/// The form of an iteration.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FlowForm<'n> {
    /// Steps in order.
    Steps(&'n Node),
    /// States, and the start state.
    States(&'n Node, Option<&'n Node>),
}
