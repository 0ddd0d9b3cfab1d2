//! Cookies of a user: added to its requests, taken from its responses.
//!
//! `attempt` and `redirect` call it, only for users that have cookies and responses that set some;
//! `checks` reads them.
//! Invariant: a cookie goes only to the origin that its jar says.

use std::cell::RefCell;
use std::rc::Rc;

use super::request;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::ServiceId;
use crate::plan::Address;
use crate::wire::ResponseCapture;
use crate::wire::cookie::jar::{CookieJar, CookieOrigin};

/// The request with the user's cookies; `None` if none applies.
#[cold]
pub(crate) fn add(shard: &Shard, user: &User, service: ServiceId, bytes: &[u8]) -> Option<Vec<u8>> {
    let jar = user.jar.as_ref()?.borrow();
    let (line, rest) = request::split_line(bytes)?;
    let origin = origin(site(shard, service), request::target_of(line)?);
    let value = jar.header(origin, crate::clock::now())?;
    Some([line, b"Cookie: ", &value, b"\r\n", rest].concat())
}

/// Stores the cookies of the response to `bytes` in the user's jar.
#[cold]
pub(crate) fn store(
    shard: &Shard,
    user: &mut User,
    service: ServiceId,
    bytes: &[u8],
    kept: &ResponseCapture,
) {
    let target = request::split_line(bytes).and_then(|(line, _)| request::target_of(line));
    let origin = origin(site(shard, service), target.unwrap_or("/"));
    let jar = user.jar.get_or_insert_with(|| Rc::new(RefCell::new(CookieJar::default())));
    jar.borrow_mut().take_set_cookies(&kept.head, origin, crate::clock::now());
}

/// The cookies of the user that a service may read, for captures.
pub(crate) fn readable(shard: &Shard, user: &User, service: ServiceId) -> Vec<(String, String)> {
    let Some(jar) = &user.jar else { return Vec::new() };
    jar.borrow().pairs(origin(site(shard, service), "/"), crate::clock::now())
}

/// The address that cookies belong to: the backends of a service are one site.
fn site(shard: &Shard, service: ServiceId) -> &Address {
    &shard.addresses[shard.plan.services[service].backend_of.unwrap_or(service)]
}

fn origin<'a>(address: &'a Address, target: &'a str) -> CookieOrigin<'a> {
    CookieOrigin { host: &address.host, target, secure: address.tls }
}
