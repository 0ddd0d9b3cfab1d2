//! The shop of the built-in test server: its routes and their responses.
//!
//! `connection` has the response filled in.
//! Invariant: a response is a function of the request only, so that two runs see the same shop.

use super::head::{RequestHead, RouteMethod};
use super::query::{QueryString, decoded};
use super::reply::{MediaType, Response};
use super::route::Route;

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

impl<'a> RoutedRequest<'a> {
    /// Path and query.
    fn target(&self) -> (&'a str, &'a str) {
        // httparse accepts only UTF-8.
        let target = std::str::from_utf8(&self.bytes[self.head.target.clone()]).unwrap_or("/");
        target.split_once('?').unwrap_or((target, ""))
    }

    /// The value of a query parameter, undecoded.
    pub fn query(&self, name: &str) -> Option<&'a str> {
        QueryString(self.target().1).raw(name)
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
        pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value).into())
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
                let wanted = decoded(self.query("q").unwrap_or(""));
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
            Route::Models => reply.json(&serde_json::json!({
                "object": "list",
                "data": [{
                    "id": "manada", "object": "model", "created": 0, "owned_by": "manada",
                }],
            })),
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

/// FNV-1a (Fowler, Noll, Vo): short, and the same on every machine.
pub(super) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
