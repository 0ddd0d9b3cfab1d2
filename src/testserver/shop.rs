//! The shop of the built-in test server: its routes and their responses.
//!
//! `connection` looks up the route of a path, and has the response filled in.
//! Invariant: a response is a function of the request only, so that two runs see the same shop.

use super::head::{RequestHead, RouteMethod};
use super::reply::{MediaType, Response};

/// Number of products.
const PRODUCTS: u64 = 500;
/// Products per page.
const PAGE: u64 = 20;
/// Maximum bytes that `/bytes/{n}` sends.
const MAX_BYTES: u64 = 16 << 20;

/// A request and its body, as the shop sees it.
pub(super) struct RoutedRequest<'a> {
    pub route: Route,
    pub head: &'a RequestHead,
    /// The bytes of the head.
    pub bytes: &'a [u8],
    /// The kept part of the body.
    pub body: &'a [u8],
    /// Length of the body, bytes.
    pub body_length: u64,
}

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
            "/arrivals" => Self::Arrivals,
            "/stall" => Self::Stall,
            _ => match path.get(1..).and_then(|path| path.split_once('/')) {
                Some(("products", _)) => Self::Product,
                Some(("premium", _)) => Self::Premium,
                Some(("n", _)) => Self::Number,
                Some(("export", _)) => Self::Export,
                Some(("bytes", _)) => Self::Bytes,
                Some(("status", _)) => Self::Status,
                _ => Self::Missing,
            },
        }
    }

    /// Whether the route concerns the server itself, and is not counted as a request.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Stats | Self::Arrivals | Self::Stall)
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

impl<'a> RoutedRequest<'a> {
    /// Path and query.
    fn target(&self) -> (&'a str, &'a str) {
        // httparse accepts only UTF-8.
        let target = std::str::from_utf8(&self.bytes[self.head.target.clone()]).unwrap_or("/");
        target.split_once('?').unwrap_or((target, ""))
    }

    /// The value of a query parameter, undecoded.
    pub fn query(&self, name: &str) -> Option<&'a str> {
        let pairs = self.target().1.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The last segment of the path.
    fn last(&self) -> &'a str {
        self.target().0.rsplit('/').next().unwrap_or("")
    }

    fn last_number(&self) -> Option<u64> {
        self.last().parse().ok()
    }

    /// A field of the body, which is a JSON object or a form.
    fn field(&self, name: &str) -> Option<serde_json::Value> {
        if let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(self.body) {
            return value.get_mut(name).map(serde_json::Value::take);
        }
        let body = std::str::from_utf8(self.body).ok()?;
        let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| plain(value).into())
    }

    /// Fills in the response.
    pub fn respond(&self, reply: &mut Response) {
        reply.reset(MediaType::Json);
        match self.route {
            Route::Home => {
                reply.kind = MediaType::Html;
                reply.text(HOME);
            }
            Route::Products => match self.query("page").map_or(Ok(1), str::parse::<u64>) {
                Ok(page @ 1..) => {
                    let first = (page - 1).saturating_mul(PAGE).saturating_add(1);
                    items(reply, first..=first.saturating_add(PAGE - 1).min(PRODUCTS));
                    member(reply, "page", page);
                }
                _ => reply.fill_status(400),
            },
            Route::Product | Route::Premium => match self.last_number() {
                Some(id @ 1..=PRODUCTS) => product(reply, id),
                _ => reply.fill_status(404),
            },
            Route::Search => {
                let wanted = plain(self.query("q").unwrap_or(""));
                let first = hash(wanted.bytes()) % (PRODUCTS - 5) + 1;
                items(reply, first..=first + 4);
                reply.text(",\"q\":");
                reply.json(&wanted);
                reply.text("}");
            }
            Route::Recommended => items_only(reply, 1..=5),
            Route::Bargains => items_only(reply, 101..=110),
            Route::Number => reply.json(&serde_json::json!({ "n": self.last() })),
            Route::Login => self.login(reply),
            Route::Cart => self.cart(reply),
            Route::Logout => {
                reply.header("set-cookie", "session=; Path=/; Max-Age=0");
                reply.text("{\"ok\":true}");
            }
            Route::Bytes => match self.last_number() {
                Some(length @ 0..=MAX_BYTES) => {
                    reply.kind = MediaType::Bytes;
                    reply.filler = length as usize;
                }
                Some(_) => reply.fill_status(413),
                None => reply.fill_status(400),
            },
            _ => self.respond_example(reply),
        }
    }

    /// Fills in the response of routes that exist only for examples.
    fn respond_example(&self, reply: &mut Response) {
        match self.route {
            Route::Style => {
                reply.kind = MediaType::Css;
                reply.text("body { font: 16px sans-serif }\n");
            }
            Route::Script => {
                reply.kind = MediaType::Script;
                reply.text("\"use strict\";\n");
            }
            Route::Export => {
                reply.kind = MediaType::Bytes;
                reply.filler = 256 << 10;
            }
            Route::File | Route::Upload | Route::Form => {
                if self.route == Route::Upload {
                    reply.status = 201;
                }
                reply.text("{\"bytes\":");
                reply.number(self.body_length);
                reply.text("}");
            }
            Route::Old => {
                reply.fill_status(302);
                reply.header("location", "/");
            }
            Route::Echo => self.echo(reply),
            Route::Status => match self.last_number() {
                Some(status @ 200..=999) => {
                    reply.fill_status(status as u16);
                    if status / 100 == 3 {
                        reply.header("location", "/");
                    }
                }
                _ => reply.fill_status(400),
            },
            _ => reply.fill_status(404),
        }
    }

    fn login(&self, reply: &mut Response) {
        let user = self.field("user").unwrap_or_else(|| "guest".into());
        // The same user gets the same token, in any run.
        let token = format!("{:016x}", hash(user.to_string().bytes()));
        reply.header("set-cookie", &format!("session={token}; Path=/; HttpOnly"));
        reply.json(&serde_json::json!({ "token": token, "user": user }));
    }

    fn cart(&self, reply: &mut Response) {
        let authorized = self.head.authorized;
        if self.head.method == RouteMethod::Post {
            reply.status = 201;
            reply.header("location", "/cart");
            let id = self.field("id").unwrap_or_default();
            reply.json(&serde_json::json!({ "id": id, "authorized": authorized }));
        } else {
            reply.json(&serde_json::json!({ "items": [], "authorized": authorized }));
        }
    }

    fn echo(&self, reply: &mut Response) {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        // It was parsed before, by the same rules.
        let _ = request.parse(self.bytes);
        let method = request.method.unwrap_or("");
        let headers: serde_json::Map<String, serde_json::Value> = request
            .headers
            .iter()
            .map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into()))
            .collect();
        let target = String::from_utf8_lossy(&self.bytes[self.head.target.clone()]);
        reply.json(&serde_json::json!({
            "method": method, "target": target, "headers": headers,
            "body": String::from_utf8_lossy(self.body), "body_bytes": self.body_length,
        }));
    }
}

const HOME: &str = "<!doctype html>\n<title>A shop</title>\n<h1>A shop</h1>\n\
    <p><a href=\"/products?page=1\">All products</a>\n";

/// Writes `{"items":[…]`, without the closing brace.
fn items(reply: &mut Response, ids: std::ops::RangeInclusive<u64>) {
    reply.text("{\"items\":[");
    let first = *ids.start();
    for id in ids {
        if id > first {
            reply.text(",");
        }
        product(reply, id);
    }
    reply.text("]");
}

fn items_only(reply: &mut Response, ids: std::ops::RangeInclusive<u64>) {
    items(reply, ids);
    reply.text("}");
}

fn member(reply: &mut Response, name: &str, value: u64) {
    reply.text(",\"");
    reply.text(name);
    reply.text("\":");
    reply.number(value);
    reply.text("}");
}

fn product(reply: &mut Response, id: u64) {
    const KINDS: [&str; 8] =
        ["hammock", "lantern", "kettle", "saddle", "compass", "rope", "poncho", "drum"];
    reply.text("{\"id\":");
    reply.number(id);
    reply.text(",\"name\":\"");
    reply.text(KINDS[(id % 8) as usize]);
    reply.text(" ");
    reply.number(id);
    reply.text("\",\"price\":");
    reply.number(100 + id * 37 % 900);
    reply.text("}");
}

/// Decodes a form or query value; invalid escapes stay.
fn plain(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.as_bytes();
    while let [first, rest @ ..] = bytes {
        let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
        bytes = rest;
        match (first, hex(rest.first()), hex(rest.get(1))) {
            (b'+', ..) => out.push(b' '),
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                bytes = &rest[2..];
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// FNV-1a (Fowler, Noll, Vo): short, and the same on every machine.
pub(super) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
