//! Redirects that a call follows.
//!
//! `attempt` calls it, only for responses that point elsewhere.
//! Invariant: a call goes only to an origin that [`may_follow`] allows, and no further than its
//! step allows; credentials and cookies of one origin are not sent to another.

use std::pin::Pin;

use super::body;
use super::cookies;
use super::generator_error::forbid;
use super::prepared::PreparedCall;
use super::request;
use super::trace;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::ServiceId;
use crate::plan::address_scope::AddressScope;
use crate::plan::{Address, Service};
use crate::stats::recorder::AttemptReason;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, FailureKind};
use crate::wire::location::RedirectLocation;
use crate::wire::{ExchangeContext, Outgoing, ResponseCapture};

/// Whether a response of this status is a redirect (RFC 9110 §15.4, Fetch).
pub(crate) const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The service at the target of a redirect, the call's own first; `None` if no service is declared
/// there: no load is sent then.
pub(crate) fn may_follow(
    addresses: &[Address],
    own: ServiceId,
    to: &RedirectLocation,
) -> Option<ServiceId> {
    let own = Some(own).filter(|&own| to.is_at(&addresses[own.index()]));
    let mut all = ServiceId::number(addresses);
    own.or_else(|| all.find(|(_, address)| to.is_at(address)).map(|(id, _)| id))
}

/// The redirects that a call has followed.
struct RedirectChain {
    service: ServiceId,
    at: RedirectLocation,
    method: Vec<u8>,
    bytes: Vec<u8>,
    /// Whether the request's cookies come from the jar, not from the step.
    from_jar: bool,
}

/// Follows redirects from the response of `exchange`; returns the exchange of the last attempt, or
/// a failed one if a redirect cannot be followed.
#[cold]
pub(crate) fn follow<'a>(
    shard: &'a Shard,
    user: &'a mut User,
    prepared: &'a PreparedCall,
    first: Outgoing<'a>,
    exchange: Exchange,
    kept: &'a mut ResponseCapture,
) -> Pin<Box<dyn Future<Output = Exchange> + 'a>> {
    // Boxed: it is rare, and would make every user's task larger.
    Box::pin(follow_chain(shard, user, prepared, first, exchange, kept))
}

async fn follow_chain(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    first: Outgoing<'_>,
    mut exchange: Exchange,
    kept: &mut ResponseCapture,
) -> Exchange {
    let Some(mut way) = RedirectChain::begin(shard, &first, prepared.cookies) else {
        return exchange;
    };
    kept.forget_redirect();
    for hop in 0.. {
        let AttemptOutcome::Responded(status) = exchange.outcome else { break };
        // Without a Location, or with one that points to itself, it is a response like any other.
        let leads_on = |to: &&[u8]| is_redirect(status) && !RedirectLocation::is_here(to);
        let Some(location) = kept.header("location").filter(leads_on) else { break };
        if hop == prepared.redirects {
            return redirect_failed(shard, exchange, FailureKind::TooManyRedirects);
        }
        if let Err(refusal) = way.go_on(shard, status, location) {
            kept.rare().not_followed.clone_from(&refusal.why);
            if let (Some(recorder), Some(why)) = (&shard.trace, &refusal.why) {
                let series = &shard.plan.archetypes[user.archetype].series;
                let step = &series[usize::from(prepared.call.series)];
                trace::fault(recorder, (shard, user), Some(step), why);
            }
            return redirect_failed(shard, exchange, refusal.kind);
        }
        if let Some(recorder) = &shard.trace {
            let to = format!("{}{}", way.at.origin(), way.at.target);
            trace::redirect(recorder, (shard, user), prepared, status, &to);
        }
        if prepared.cookies
            && let Some(dressed) = cookies::add(shard, user, way.service, &way.bytes)
        {
            way.bytes = dressed;
        }
        exchange = send_redirect(shard, user, prepared, &way, first, exchange, kept).await;
    }
    exchange
}

/// Sends one redirected request; again on a fresh connection if [`crate::wire::Resend`] requires
/// it.
async fn send_redirect(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    way: &RedirectChain,
    first: Outgoing<'_>,
    before: Exchange,
    kept: &mut ResponseCapture,
) -> Exchange {
    let mut wanted = *first.capture;
    wanted.head_request = way.method == b"HEAD";
    let idempotent = request::is_idempotent(&way.method);
    let outgoing =
        Outgoing { service: way.service, bytes: &way.bytes, capture: &wanted, idempotent, ..first };
    let (mut kind, mut dispatched, mut resends) = (AttemptReason::Redirect, before.done, 0);
    loop {
        shard.recorder.borrow_mut().begin_attempt(kind);
        // The flags of the response before do not hold for this one.
        (kept.sets_cookie, kept.encoded) = (false, false);
        let mut exchange = Exchange::begun(dispatched);
        let context = &mut ExchangeContext {
            slot: &mut user.slots[way.service],
            outgoing: &outgoing,
            deadline: &user.deadline,
            capture: kept,
            exchange: &mut exchange,
        };
        let resend = shard.wire.exchange(context).await;
        if prepared.capture.keep_body {
            body::decode(prepared, &mut exchange, kept);
        }
        let again = resend.is_due(&mut resends);
        shard.recorder.borrow_mut().end_attempt(&exchange, first.intended, again);
        if !again {
            if kept.sets_cookie {
                cookies::store(shard, user, way.service, &way.bytes, kept);
            }
            return exchange;
        }
        (kind, dispatched) = (AttemptReason::StaleResend, exchange.done);
    }
}

/// Fails a call whose redirect is not followed.
fn redirect_failed(shard: &Shard, exchange: Exchange, kind: FailureKind) -> Exchange {
    let outcome = AttemptOutcome::Failed(AttemptPhase::Redirect, kind);
    shard.recorder.borrow_mut().record_error(outcome);
    Exchange { outcome, ..exchange }
}

/// Why a redirect is not followed.
struct RedirectRefused {
    kind: FailureKind,
    /// An explanation if the kind alone is not enough.
    why: Option<String>,
}

impl From<FailureKind> for RedirectRefused {
    fn from(kind: FailureKind) -> Self {
        Self { kind, why: None }
    }
}

impl RedirectChain {
    fn begin(shard: &Shard, first: &Outgoing<'_>, from_jar: bool) -> Option<Self> {
        let (line, _) = request::split_line(first.bytes)?;
        let target = request::target_of(line)?;
        Some(Self {
            service: first.service,
            at: RedirectLocation::new(&shard.addresses[first.service], target),
            method: line.split(|&byte| byte == b' ').next()?.to_vec(),
            bytes: first.bytes.to_vec(),
            from_jar,
        })
    }

    /// Follows a response with `status` to its target.
    fn go_on(
        &mut self,
        shard: &Shard,
        status: u16,
        location: &[u8],
    ) -> Result<(), RedirectRefused> {
        let to = self.at.resolve(location).map_err(|kind| RedirectRefused {
            kind,
            why: Some(match kind {
                FailureKind::RedirectNotAllowed => {
                    "the redirect's URL is not http or https".to_owned()
                }
                _ => "the redirect's Location is not a URL".to_owned(),
            }),
        })?;
        let addresses = &shard.addresses;
        let forbid = |why: &str| {
            let why = format!("redirect to {}: {why}", to.host);
            forbid(&shard.recorder, &shard.wire, Some(&why));
            FailureKind::Forbidden
        };
        if AddressScope::from_host(&to.host) == Some(AddressScope::Metadata) {
            return Err(forbid("the redirect's target is a cloud metadata service").into());
        }
        let service = may_follow(addresses, self.service, &to).ok_or_else(|| RedirectRefused {
            kind: FailureKind::RedirectNotAllowed,
            why: Some(format!("redirect to {}, which is not a declared service", to.origin())),
        })?;
        let to_get = match status {
            301 | 302 => self.method == b"POST",
            303 => self.method != b"HEAD" && self.method != b"GET",
            _ => false,
        };
        if to_get {
            self.method = b"GET".to_vec();
        }
        let method = String::from_utf8_lossy(&self.method);
        if let Some(why) = shard.plan.safety.denial(&method, &to.target) {
            return Err(forbid(&why).into());
        }
        let elsewhere = !to.is_at(&addresses[self.service]);
        let next = &shard.plan.services[service];
        self.bytes = self.rewrite(&to, next, &addresses[service], to_get, elsewhere);
        (self.service, self.at) = (service, to);
        Ok(())
    }

    /// The request for another target: another Host; without credentials and cookies of another
    /// origin; without a body if it becomes a GET.
    fn rewrite(
        &self,
        to: &RedirectLocation,
        service: &Service,
        address: &Address,
        to_get: bool,
        elsewhere: bool,
    ) -> Vec<u8> {
        let form = request::form(service, address);
        let method = String::from_utf8_lossy(&self.method);
        let mut out = format!("{method} {form}{} HTTP/1.1\r\n", to.target).into_bytes();
        if elsewhere {
            out.extend_from_slice(format!("Host: {}\r\n", address.authority()).as_bytes());
            if let Some(login) = request::proxy_login(service, address) {
                out.extend_from_slice(login.as_bytes());
            }
        }
        let mut rest = request::split_line(&self.bytes).map_or(&[][..], |(_, rest)| rest);
        while let Some((line, after)) = request::split_line(rest).filter(|(line, _)| line.len() > 2)
        {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            let is = |names: &[&str]| {
                names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            };
            let dropped = (elsewhere || self.from_jar) && is(&["cookie"])
                || elsewhere && is(&["host", "authorization", "proxy-authorization"])
                || to_get && name.to_ascii_lowercase().starts_with(b"content-");
            if !dropped {
                out.extend_from_slice(line);
            }
            rest = after;
        }
        out.extend_from_slice(if to_get { b"\r\n" } else { rest });
        out
    }
}
