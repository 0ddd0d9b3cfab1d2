//! The routes of the test server: a bounded set, by which requests are counted.
//!
//! `connection` looks up the route of a path; counts and logs show its name.
//! Invariant: every path has a route; paths that the server does not know share one.

use super::head::RouteMethod;
use super::reply::Response;

macro_rules! routes {
    ($($route:ident $name:literal $methods:literal,)*) => {
        /// The routes: a bounded set, by which requests are counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Route { $(#[doc = $name] $route,)* }

        impl Route {
            pub const ALL: &'static [Self] = &[$(Self::$route,)*];

            /// Name of the route in counts and logs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$route => $name,)* }
            }

            /// The methods that the route allows; empty: all.
            const fn methods(self) -> &'static str {
                match self { $(Self::$route => $methods,)* }
            }
        }
    };
}

routes! {
    Home "/" "GET, HEAD",
    Products "/products" "GET, HEAD",
    Product "/products/{id}" "GET, HEAD",
    Search "/search" "GET, HEAD",
    Login "/login" "POST",
    Cart "/cart" "GET, HEAD, POST",
    Logout "/logout" "GET, HEAD, POST",
    Recommended "/recommended" "GET, HEAD",
    Bargains "/bargains" "GET, HEAD",
    Premium "/premium/{id}" "GET, HEAD",
    Number "/n/{n}" "GET, HEAD",
    Style "/a.css" "GET, HEAD",
    Script "/b.js" "GET, HEAD",
    File "/file" "GET, HEAD, PUT, POST",
    Form "/form" "POST",
    Upload "/upload" "POST, PUT",
    Old "/old" "GET, HEAD",
    Export "/export/{name}" "GET, HEAD",
    Bytes "/bytes/{n}" "GET, HEAD",
    Echo "/echo" "",
    Status "/status/{code}" "",
    WsEcho "/ws/echo" "GET",
    WsChannel "/ws/channel/{name}" "GET",
    WsEvents "/ws/events" "GET",
    WsApp "/ws/app" "GET",
    Events "/sse/{name}" "GET, POST",
    Publish "/publish/{name}" "POST",
    Models "/v1/models" "GET, HEAD",
    ChatCompletions "/v1/chat/completions" "POST",
    Completions "/v1/completions" "POST",
    Responses "/v1/responses" "POST",
    Messages "/v1/messages" "POST",
    Missing "missing" "",
    Malformed "malformed" "",
    Stats "/stats" "GET, HEAD",
    Arrivals "/arrivals" "GET, HEAD",
    Stall "/stall" "POST",
}

impl Route {
    /// Returns the route of a path.
    pub fn of(path: &str) -> Self {
        match path {
            "/" | "" => Self::Home,
            "/products" => Self::Products,
            "/search" => Self::Search,
            "/login" => Self::Login,
            "/cart" => Self::Cart,
            "/logout" => Self::Logout,
            "/recommended" => Self::Recommended,
            "/bargains" => Self::Bargains,
            "/a.css" => Self::Style,
            "/b.js" => Self::Script,
            "/file" => Self::File,
            "/form" => Self::Form,
            "/upload" => Self::Upload,
            "/old" => Self::Old,
            "/echo" => Self::Echo,
            "/stats" => Self::Stats,
            "/v1/models" => Self::Models,
            "/v1/chat/completions" => Self::ChatCompletions,
            "/v1/completions" => Self::Completions,
            "/v1/responses" => Self::Responses,
            "/v1/messages" => Self::Messages,
            "/ws/echo" => Self::WsEcho,
            "/ws/events" => Self::WsEvents,
            "/ws/app" => Self::WsApp,
            "/arrivals" => Self::Arrivals,
            "/stall" => Self::Stall,
            _ => match path.get(1..).and_then(|path| path.split_once('/')) {
                Some(("products", _)) => Self::Product,
                Some(("premium", _)) => Self::Premium,
                Some(("n", _)) => Self::Number,
                Some(("export", _)) => Self::Export,
                Some(("bytes", _)) => Self::Bytes,
                Some(("status", _)) => Self::Status,
                Some(("sse", _)) => Self::Events,
                Some(("publish", _)) => Self::Publish,
                Some(("ws", name)) if name.starts_with("channel/") => Self::WsChannel,
                _ => Self::Missing,
            },
        }
    }

    /// Whether the route concerns the server itself, and is not counted as a request.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Stats | Self::Arrivals | Self::Stall)
    }

    /// Whether the route answers with tokens.
    pub const fn has_tokens(self) -> bool {
        matches!(self, Self::ChatCompletions | Self::Completions | Self::Responses | Self::Messages)
    }

    /// Maximum bytes kept of the body of a request.
    pub const fn kept_body(self) -> usize {
        // Prompts are long, and parsed.
        if self.has_tokens() { 4 << 20 } else { 64 << 10 }
    }

    /// Whether the route opens a stream.
    pub const fn opens_stream(self) -> bool {
        let is_websocket =
            matches!(self, Self::WsEcho | Self::WsChannel | Self::WsEvents | Self::WsApp);
        is_websocket || self.has_tokens() || matches!(self, Self::Events)
    }

    /// Whether the route allows this method.
    pub fn allows(self, method: RouteMethod, bytes: &[u8]) -> bool {
        let methods = self.methods();
        match method {
            RouteMethod::Get => methods.is_empty() || methods.starts_with("GET"),
            RouteMethod::Head => methods.is_empty() || methods.contains("HEAD"),
            RouteMethod::Post => methods.is_empty() || methods.contains("POST"),
            RouteMethod::Other => {
                methods.is_empty()
                    || methods.split(", ").any(|method| bytes.starts_with(method.as_bytes()))
            }
        }
    }

    /// Fills in the response to a method that is not allowed.
    pub fn refuse(self, reply: &mut Response) {
        reply.fill_status(405);
        reply.header("allow", self.methods());
    }
}
