//! Field tables of steps: requests and control steps.
//!
//! `flow::step`, `flow::control` and `flow::body` read them.
//! Invariant: each control step has one key that no request has.

use crate::plan::flow::MAX_ROUNDS;
use crate::plan::stream::AnswerFormat;
use crate::plan::transaction::IsolationLevel;
use crate::scenario::nouns::brokers::AMQP;
use crate::scenario::nouns::copy::COPY;
use crate::scenario::nouns::good::GOOD;
use crate::scenario::nouns::grpc::GRPC;
use crate::scenario::nouns::kafka::KAFKA;
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, Count, Fixed, List, Matching, OneOf, PositiveDuration, Shared, Size, Table,
    Template, Truth, Weight, Words,
};
use crate::scenario::nouns::noun::{
    EMPTY, KeyRule, KeySpec, Noun, SharedShape, key, list_of, map_of, words,
};
use crate::scenario::nouns::operations::{DNS_QUERY, REDIS, TCP, UDP};
use crate::scenario::nouns::plain_steps::{FORGET, INCLUDE, LOG, PART, PAUSE, RENDEZVOUS, SET};
use crate::scenario::nouns::responses::RESPONSE;
use crate::scenario::nouns::services::REDIRECTS;
use crate::scenario::nouns::sql::SQL;
use crate::scenario::nouns::streams::{AWAIT, CLOSE, LISTEN, OPEN, SEND, STAMP};
use crate::scenario::nouns::values::{PRIORITY, TAGS};

/// The expected form of a list of steps.
pub(crate) const STEPS_FORM: &str = "a list of steps, such as `- get: /`";

/// A list of steps.
pub(crate) static STEPS: SharedShape = SharedShape {
    id: "steps",
    title: "list of steps: [requests](#request) and others",
    shape: List(0, None, &Shared(&STEP)),
};

/// A step of any kind.
pub(crate) static STEP: SharedShape = SharedShape {
    id: "step",
    title: "[request](#request) or another step",
    shape: OneOf(&[
        Table(&REQUEST),
        Table(&INCLUDE),
        Table(&CHOOSE),
        Table(&REPEAT),
        Table(&WHILE),
        Table(&IF),
        Table(&PARALLEL),
        Table(&GROUP),
        Table(&RENDEZVOUS),
        Table(&SET),
        Table(&LOG),
        Table(&PAUSE),
        Table(&CACHED),
        Table(&FORGET),
        Table(&OPEN),
        Table(&SEND),
        Table(&AWAIT),
        Table(&LISTEN),
        Table(&CLOSE),
        Table(&REDIS),
        Table(&TCP),
        Table(&UDP),
        Table(&DNS_QUERY),
        Table(&SQL),
        Table(&COPY),
        Table(&TRANSACTION),
        Table(&GRPC),
        Table(&AMQP),
        Table(&KAFKA),
    ]),
};

/// A path below the prefix of a service.
const PATH: ValueShape = Matching("^(/|\\{\\{)", "path such as `/products?page=1`");

/// A template that computes a value.
const COMPUTED: ValueShape = Matching("\\{\\{", "template");

/// A condition.
const CONDITION: ValueShape = OneOf(&[Truth, COMPUTED]);

/// The keys of a body; a request has at most one of them.
pub(crate) const BODIES: [&str; 5] = ["json", "form", "body", "file", "multipart"];

/// The methods by their key.
pub(crate) const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
];

/// The keys of all requests.
static CALL: &[KeySpec] = &[
    key("get", PATH, "Path of a GET request."),
    key("post", PATH, "Path of a POST request."),
    key("put", PATH, "Path of a PUT request."),
    key("patch", PATH, "Path of a PATCH request."),
    key("delete", PATH, "Path of a DELETE request."),
    key("head", PATH, "Path of a HEAD request."),
    key("options", PATH, "Path of an OPTIONS request."),
    key("name", Fixed, "Name in reports; steps of one name share a series.")
        .otherwise("method and path"),
    key("service", Fixed, "Service of the request.").otherwise("the first service of HTTP"),
    key("headers", map_of(&Template), "Request headers."),
    key("json", Any, "JSON body. A text that is one whole `{{ }}` keeps the type of its value."),
    key("form", map_of(&Template), "Body of form fields."),
    key("body", Template, "Body of text."),
    key("file", Fixed, "Body from a file of at most 64 MiB."),
    key("multipart", map_of(&OneOf(&[Template, Table(&PART)])), "Multipart body."),
    key("timeout", PositiveDuration, "Longest duration of the call, redirects included.")
        .otherwise("the service's"),
    key("think", Shared(&DISTRIBUTION), "Think time after this call.").otherwise("the archetype's"),
    key(
        "stream",
        Words(&words(&AnswerFormat::NAMES)),
        "The response comes in pieces, which are timed as they come: server-sent events, lines, or \
         tokens of a language model.",
    ),
    key("good", Table(&GOOD), "Limits of a good answer."),
    key("stamp", STAMP, "Writes a stamp into the body, for listeners that read stamps.")
        .default("false"),
    key("channel", Template, "Name of the channel that the stamp belongs to.")
        .otherwise("service and path of the request"),
    key("max_body", Size, "Largest response body.").default("64MiB"),
    key("redirects", REDIRECTS, "Redirects to follow.").otherwise("the service's"),
    key("tags", TAGS, "Tags of its series, in addition to the archetype's."),
];

/// The keys of requests that come after those of responses.
static CALL_PRIORITY: &[KeySpec] =
    &[key("priority", PRIORITY, "Priority under limits and degradation.").otherwise("its pool's")];

/// The key of calls that are not in `parallel`.
static FALLBACK: &[KeySpec] = &[key(
    "fallback",
    Shared(&STEPS),
    "Steps that run if the call fails; the iteration goes on after them.",
)];

/// The keys of requests; `rules` of both kinds.
const ONE_METHOD: KeyRule =
    KeyRule::ExactlyOne(&["get", "post", "put", "patch", "delete", "head", "options"]);

pub(crate) static REQUEST: Noun = Noun {
    id: "request",
    title: "a step",
    about: "A request.",
    form: "a step such as `get: /products`",
    groups: &[CALL, RESPONSE, CALL_PRIORITY, FALLBACK],
    rules: &[ONE_METHOD, KeyRule::AtMostOne(&BODIES)],
    ..EMPTY
};

pub(crate) static BRANCH: Noun = Noun {
    id: "branch",
    title: "a step of `parallel`",
    about: "A request of `parallel`.",
    form: "a step such as `get: /products`",
    groups: &[
        CALL,
        RESPONSE,
        CALL_PRIORITY,
        &[key(
            "needs",
            OneOf(&[Fixed, List(0, None, &Fixed)]),
            "Names of earlier requests that have to end first.",
        )],
    ],
    like: Some(&REQUEST),
    rules: &[ONE_METHOD, KeyRule::AtMostOne(&BODIES)],
};

pub(crate) static CHOOSE: Noun = Noun {
    id: "choose",
    title: "this step",
    about: "A random choice.",
    groups: &[&[key("choose", list_of(&Table(&WAY)), "Lists of steps with their weights.")
        .needs("a list of alternatives")]],
    ..EMPTY
};

pub(crate) static WAY: Noun = Noun {
    id: "way",
    title: "an alternative",
    about: "One alternative of a choice.",
    form: "a list of alternatives, such as `- { weight: 7, do: [ { get: / } ] }`",
    groups: &[&[
        key("weight", Weight, "Weight against the others.")
            .needs("its weight relative to the others, such as 7"),
        key("do", Shared(&STEPS), "Steps.").needs(STEPS_FORM),
    ]],
    ..EMPTY
};

pub(crate) static REPEAT: Noun = Noun {
    id: "repeat",
    title: "this step",
    about: "A loop with a fixed number of rounds.",
    groups: &[&[key("repeat", Table(&REPEATED), "Rounds and steps.").needs("rounds and steps")]],
    ..EMPTY
};

pub(crate) static REPEATED: Noun = Noun {
    id: "repeated",
    title: "`repeat`",
    about: "The rounds and steps of a loop.",
    form: "`{ times: 3, do: [ … ] }`",
    groups: &[&[
        key("times", OneOf(&[ROUNDS, COMPUTED]), "Number of rounds.")
            .needs("a number of rounds, such as 3"),
        key("do", Shared(&STEPS), "Steps of a round.").needs(STEPS_FORM),
    ]],
    ..EMPTY
};

/// A number of rounds.
pub(crate) const ROUNDS: ValueShape = Count(0, MAX_ROUNDS);

pub(crate) static WHILE: Noun = Noun {
    id: "while",
    title: "this step",
    about: "A loop with a condition.",
    groups: &[&[key("while", Table(&LOOP), "Condition and steps.").needs("a condition and steps")]],
    ..EMPTY
};

pub(crate) static LOOP: Noun = Noun {
    id: "loop",
    title: "`while`",
    about: "The condition and steps of a loop.",
    form: "`{ that: \"{{ n < 3 }}\", do: [ … ] }`",
    groups: &[&[
        key("that", CONDITION, "Condition, evaluated before each round.")
            .needs("a condition such as \"{{ n < 3 }}\""),
        key("max", Count(1, MAX_ROUNDS), "Largest number of rounds.").default("1000"),
        key("do", Shared(&STEPS), "Steps of a round.").needs(STEPS_FORM),
    ]],
    ..EMPTY
};

pub(crate) static IF: Noun = Noun {
    id: "if",
    title: "this step",
    about: "A condition. `false`, zero, none, an empty text or list and the text `false` do not \
            hold.",
    groups: &[&[
        key("if", CONDITION, "Condition.").needs("a condition such as \"{{ n < 3 }}\""),
        key("do", Shared(&STEPS), "Steps if it holds.").needs(STEPS_FORM),
        key("else", Shared(&STEPS), "Steps if it does not hold."),
    ]],
    ..EMPTY
};

pub(crate) static PARALLEL: Noun = Noun {
    id: "parallel",
    title: "this step",
    about: "Requests at the same time, over up to six connections. Each sees the variables as they \
            were at the beginning.",
    groups: &[&[
        key("parallel", list_of(&Table(&BRANCH)), "Requests.").needs("a list of requests"),
        key("think", Shared(&DISTRIBUTION), "Think time after the last of them.")
            .otherwise("the archetype's"),
    ]],
    ..EMPTY
};

pub(crate) static GROUP: Noun = Noun {
    id: "group",
    title: "this step",
    about: "Steps that are timed as one.",
    groups: &[&[key("group", Table(&GROUPED), "Name and steps.").needs("a name and steps")]],
    ..EMPTY
};

pub(crate) static GROUPED: Noun = Noun {
    id: "grouped",
    title: "a group",
    about: "The name and steps of a group. Its time runs from the intended start of the first call \
            to the end of the last one, without think times.",
    form: "`{ name: checkout, do: [ … ] }`",
    groups: &[&[
        key("name", Fixed, "Name in reports.").needs("the name of the group"),
        key("do", Shared(&STEPS), "Steps.").needs(STEPS_FORM),
    ]],
    ..EMPTY
};

pub(crate) static CACHED: Noun = Noun {
    id: "cached",
    title: "this step",
    about: "Takes values from a cache; if it has none, runs steps and keeps what they captured.",
    groups: &[&[
        key("cached", Fixed, "Name of the cache.").needs("the name of a cache"),
        key("key", Template, "What the values belong to, such as an account.")
            .needs("a text such as '{{ row.user }}'"),
        key(
            "keep",
            OneOf(&[Fixed, List(1, Some(16), &Fixed)]),
            "Variables that are kept; each is captured or set by one of the steps.",
        )
        .needs("names of variables, such as `[token]`"),
        key("do", Shared(&STEPS), "Steps that capture the values.").needs(STEPS_FORM),
    ]],
    ..EMPTY
};

/// The most tries after the first one.
pub(crate) const MAX_RETRIES: u64 = 1_000;

pub(crate) static TRANSACTION: Noun = Noun {
    id: "transaction",
    title: "this step",
    about: "Statements to a PostgreSQL server in one transaction.",
    groups: &[&[key("transaction", Table(&TRANSACTED), "Isolation, retries and steps.")
        .needs("steps, such as `{ do: [ { sql: … }, { sql: … } ] }`")]],
    ..EMPTY
};

pub(crate) static TRANSACTED: Noun = Noun {
    id: "transacted",
    title: "a transaction",
    about: "Steps between a begin and a commit, timed as a group of this name. A failure rolls \
            them back.",
    form: "`{ isolation: serializable, retry: 3, do: [ { sql: … }, { sql: … } ] }`",
    groups: &[&[
        key("name", Fixed, "Name of its group, and the beginning of the names of its own calls.")
            .default("transaction"),
        key("service", Fixed, "Name of the service.")
            .otherwise("the first one that speaks PostgreSQL, or Kafka"),
        key(
            "transactional_id",
            Template,
            "Of Kafka: the identifier of the producer, which no other one has at the same time, \
             such as `\"orders-{{ user.number }}\"`.",
        ),
        key(
            "isolation",
            Words(&words(&IsolationLevel::NAMES)),
            "How much it sees of other transactions.",
        )
        .otherwise("the server's own"),
        key(
            "retry",
            Count(0, MAX_RETRIES),
            "How often it is tried again as a whole after a serialization failure (40001) or a \
             deadlock (40P01).",
        )
        .default("0"),
        key(
            "do",
            Shared(&STEPS),
            "Steps: `sql`, and choices, loops, conditions and variables; of Kafka: any, with the \
             messages that it sends.",
        )
        .needs(STEPS_FORM),
    ]],
    ..EMPTY
};
