//! Requests as bytes: static ones rendered once, templated ones into a reused buffer.
//!
//! Made when a shard starts, since only then addresses are known; `attempt` renders from it.
//! Invariant: a request leaves as one run of bytes with a right Content-Length.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::operation::PreparedOperation;
use super::request_head::{HeadBuilder, HeadPart, render_parts};
use crate::grpc::{GrpcCall, status};
use crate::plan::operation::Operation;
use crate::plan::safety::RUN_HEADER;
use crate::plan::transport::{Auth, Proxy, ProxyKind};
use crate::plan::{Address, Call, RequestBody, Safety, Service};
use crate::template::{RenderError, RenderScope, Template, Value};

/// The User-Agent header.
const USER_AGENT: &str = concat!("manada/", env!("CARGO_PKG_VERSION"));

/// The content codings of a response that are accepted if `compress` is set.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// A call's request, as far as it is known beforehand.
#[derive(Debug)]
pub(crate) enum PreparedRequest {
    /// The complete request.
    Static(Vec<u8>),
    /// The head up to Content-Length in parts, and the body.
    Dynamic {
        head: Vec<HeadPart>,
        body: Option<Template>,
        /// The call of gRPC whose message the rendered body is as JSON; `None` if it is sent as it
        /// is.
        message: Option<GrpcCall>,
        fixed_body: Vec<u8>,
        has_body: bool,
        /// What a rendered path is checked against; `None` if no path is denied.
        denied: Option<DeniedPaths>,
        /// Where a header reads the request: how many of the parts are its first line.
        line_of_signed: Option<usize>,
    },
    /// A request of another protocol.
    Operation(PreparedOperation),
}

/// The limits on paths, for a service and its backends.
#[derive(Debug)]
pub(crate) struct DeniedPaths {
    safety: Arc<Safety>,
    /// The prefix of the request's paths, and those of the other backends.
    prefix: String,
    others: Vec<String>,
}

impl DeniedPaths {
    fn new(safety: &Arc<Safety>, service: &Service, address: &Address) -> Self {
        let others = service.backends.as_ref().map(|all| all.prefixes.clone());
        let others = others.unwrap_or_default();
        Self { safety: Arc::clone(safety), prefix: address.prefix.clone(), others }
    }

    /// Why a request may not be sent to one of the backends.
    fn denial(&self, target: &str) -> Option<String> {
        self.safety.path_denial(target).or_else(|| {
            let path = target.strip_prefix(self.prefix.as_str())?;
            let mut others = self.others.iter();
            others.find_map(|prefix| self.safety.path_denial(&format!("{prefix}{path}")))
        })
    }
}

impl PreparedRequest {
    /// Prepares `call` for a service at `address`. `closes`: its connection carries no other;
    /// `first_headers`: lines that stand before all others.
    pub(crate) fn new(
        call: &Call,
        service: &Service,
        address: &Address,
        safety: &Arc<Safety>,
        (closes, first_headers): (bool, Option<&str>),
    ) -> Self {
        let grpc = call.operation.as_deref().and_then(Operation::as_grpc);
        if let Some(operation) = &call.operation
            && grpc.is_none()
        {
            let prepared = PreparedOperation::new(call, operation, (service.protocol(), safety));
            return Self::Operation(prepared);
        }
        let (parts, line_of_signed) =
            head(call, (service, address), safety, (closes, first_headers));
        let request = &call.request;
        let has_body = !matches!(request.body, RequestBody::None)
            || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        let (body, fixed_body) = match &request.body {
            RequestBody::None => (None, Vec::new()),
            RequestBody::Bytes(bytes) => (None, bytes.clone()),
            RequestBody::Template(template) => match template.as_static() {
                Some(text) => (None, text.to_vec()),
                None => (Some(template.clone()), Vec::new()),
            },
        };
        match (parts.as_slice(), &body) {
            ([HeadPart::Text(only)], None) if only.as_static().is_some() => {
                let mut bytes = only.as_static().unwrap_or_default().to_vec();
                finish(&mut bytes, has_body, &fixed_body);
                Self::Static(bytes)
            }
            _ => {
                let looks = safety.has_denied_paths() && request.path.as_static().is_none();
                let denied = looks.then(|| DeniedPaths::new(safety, service, address));
                let message = body.as_ref().and(grpc).cloned();
                Self::Dynamic {
                    head: parts,
                    body,
                    message,
                    fixed_body,
                    has_body,
                    denied,
                    line_of_signed,
                }
            }
        }
    }

    /// The bytes of a request that is the same for each call.
    #[inline]
    pub(crate) fn as_static(&self) -> Option<&[u8]> {
        match self {
            Self::Static(bytes) => Some(bytes),
            Self::Dynamic { .. } => None,
            Self::Operation(operation) => operation.as_static(),
        }
    }

    /// The request for one call: the static bytes, or rendered into `buffer`.
    pub(crate) fn render<'b>(
        &'b self,
        scope: &mut RenderScope<'_>,
        buffer: &'b mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Result<&'b [u8], RenderError> {
        if let Self::Operation(operation) = self {
            return operation.render(scope, buffer, scratch).map(|()| &**buffer);
        }
        let Self::Dynamic { head, body, message, fixed_body, has_body, denied, line_of_signed } =
            self
        else {
            return Ok(self.as_static().unwrap_or_default());
        };
        buffer.clear();
        let (line, headers) = head.split_at(line_of_signed.unwrap_or(0));
        render_parts(line, scope, buffer, scratch)?;
        let signed = match line_of_signed {
            // Its headers read what they stand before.
            Some(_) => Some(render_signed(body.as_ref(), fixed_body, scope, buffer)?),
            None => None,
        };
        render_parts(headers, scope, buffer, scratch)?;
        if let Some(denied) = denied {
            let target = split_line(buffer).and_then(|(line, _)| target_of(line));
            if let Some(why) = denied.denial(target.unwrap_or("/")) {
                return Err(RenderError::Denied(why));
            }
        }
        // The body first, apart: its length stands before it.
        let body = match (&signed, body) {
            (Some(body), _) => body.as_slice(),
            (None, Some(template)) => {
                scratch.clear();
                template.render(scope, scratch)?;
                scratch.as_slice()
            }
            (None, None) => fixed_body,
        };
        match message {
            None => finish(buffer, *has_body, body),
            Some(call) => {
                let mut frame = Vec::new();
                let written = call.method.write_request(body, call.is_compressed, &mut frame);
                written.map_err(|why| {
                    RenderError::Invalid(format!("no {}: {why}", call.method.input.name()))
                })?;
                finish(buffer, true, &frame);
            }
        }
        Ok(buffer)
    }
}

/// The head of a request up to Content-Length, in parts; where a header reads the request, how many
/// of them are its first line.
fn head(
    call: &Call,
    (service, address): (&Service, &Address),
    safety: &Safety,
    (closes, first_headers): (bool, Option<&str>),
) -> (Vec<HeadPart>, Option<usize>) {
    let grpc = call.operation.as_deref().and_then(Operation::as_grpc);
    let request = &call.request;
    let mut head = HeadBuilder::default();
    head.text(&format!("{} {}{}", request.method, form(service, address), address.prefix));
    head.template(&request.path);
    head.text(" HTTP/1.1\r\n");
    let reads = |(_, value): &(_, Template)| value.reads_request();
    let auth = match &service.transport.auth {
        Some(Auth::Basic(value) | Auth::Bearer(value)) => value.reads_request(),
        None => false,
    };
    let is_signed = auth || service.headers.iter().any(reads) || request.headers.iter().any(reads);
    let line_of_signed = is_signed.then(|| head.split());
    head.text(first_headers.unwrap_or_default());
    let own = |name: &str| request.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let served =
        |name: &str| service.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in
        [("Host", address.authority().as_str()), ("User-Agent", USER_AGENT), ("Accept", "*/*")]
    {
        let is_needed = name != "Accept" || grpc.is_none();
        if is_needed && !own(name) && !served(name) {
            head.text(&format!("{name}: {value}\r\n"));
        }
    }
    if closes {
        // The target need not wait for what will not come (RFC 9112 §9.6).
        head.text("Connection: close\r\n");
    }
    if let Some(mark) = &safety.run_header
        && !own(RUN_HEADER)
        && !served(RUN_HEADER)
    {
        head.text(&format!("{RUN_HEADER}: {mark}\r\n"));
    }
    if let Some(grpc) = grpc {
        let timeout = call.timeout.unwrap_or(service.timeout);
        // A stream has no deadline: the timeout is that of the step that opens it.
        let timeout = call.stream.is_none().then_some(timeout);
        head.text(&grpc_headers(grpc.is_compressed, timeout));
    }
    if service.compress && !own("accept-encoding") && !served("accept-encoding") {
        head.text(&format!("Accept-Encoding: {CODINGS}\r\n"));
    }
    if let Some(login) = proxy_login(service, address) {
        head.text(&login);
    }
    if let Some(auth) = &service.transport.auth
        && !own("authorization")
        && !served("authorization")
    {
        head.authorization(auth);
    }
    for (name, value) in &service.headers {
        if !own(name) && !is_length(name) {
            head.header(name, value);
        }
    }
    for (name, value) in &request.headers {
        if !is_length(name) {
            head.header(name, value);
        }
    }
    (head.finish(), line_of_signed)
}

/// The body of a request whose headers read it, and its first line in `buffer`.
#[cold]
fn render_signed(
    body: Option<&Template>,
    fixed_body: &[u8],
    scope: &mut RenderScope<'_>,
    buffer: &[u8],
) -> Result<Vec<u8>, RenderError> {
    let mut bytes = fixed_body.to_vec();
    if let Some(template) = body {
        template.render(scope, &mut bytes)?;
    }
    let line = split_line(buffer).map_or(buffer, |(line, _)| line);
    let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let method = String::from_utf8_lossy(method);
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::from_bytes(bytes.clone()),
    };
    scope.request = Some(Value::from_pairs([
        ("method", Value::from(method.as_ref())),
        ("path", Value::from(target_of(line).unwrap_or("/"))),
        ("body", text),
    ]));
    Ok(bytes)
}

/// Returns the text before a path: empty, or the origin if a proxy reads the request.
pub(crate) fn form(service: &Service, address: &Address) -> String {
    let read = through_proxy(service, address).is_some();
    if read { format!("http://{}", address.authority()) } else { String::new() }
}

/// Returns the login header for a proxy that reads the request.
pub(crate) fn proxy_login(service: &Service, address: &Address) -> Option<String> {
    let login = through_proxy(service, address)?.authorization()?;
    Some(format!("Proxy-Authorization: {login}\r\n"))
}

/// The proxy that gets whole URLs; one that only passes a tunnel's bytes on reads nothing.
fn through_proxy<'s>(service: &'s Service, address: &Address) -> Option<&'s Proxy> {
    service.transport.proxy.as_ref().filter(|proxy| proxy.kind == ProxyKind::Http && !address.tls)
}

/// Splits a head into its first line, including the line end, and the rest.
pub(crate) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    memchr::memchr(b'\n', bytes).map(|end| bytes.split_at(end + 1))
}

/// Path and query of a request line; what a proxy needs before them is left out.
pub(crate) fn target_of(line: &[u8]) -> Option<&str> {
    let target = std::str::from_utf8(line).ok()?.split(' ').nth(1)?;
    match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map(|slash| &rest[slash..]),
        None => Some(target),
    }
}

/// Whether a request may be sent twice without harm (RFC 9110 §9.2.2).
pub(crate) fn is_idempotent(method: &[u8]) -> bool {
    std::str::from_utf8(method).is_ok_and(crate::plan::call::is_idempotent)
}

/// The headers that all requests of gRPC have.
fn grpc_headers(is_compressed: bool, timeout: Option<Duration>) -> String {
    let mut lines = "Content-Type: application/grpc+proto\r\nTE: trailers\r\n".to_owned();
    if let Some(timeout) = timeout {
        let _ = write!(lines, "grpc-timeout: {}\r\n", status::timeout(timeout));
    }
    if is_compressed {
        lines.push_str("grpc-encoding: gzip\r\ngrpc-accept-encoding: gzip\r\n");
    }
    lines
}

fn finish(buffer: &mut Vec<u8>, has_body: bool, body: &[u8]) {
    if has_body {
        buffer.extend_from_slice(b"Content-Length: ");
        buffer.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        buffer.extend_from_slice(b"\r\n");
    }
    buffer.extend_from_slice(b"\r\n");
    buffer.extend_from_slice(body);
}

/// Content-Length is ours to say; a wrong one would break the framing of the whole connection.
fn is_length(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length")
}
