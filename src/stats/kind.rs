//! The kinds of failures that are the target's or the network's: name and hint of each.
//!
//! `wire` finds them, an AttemptOutcome carries one, reports show its name and hint.
//! Invariant: published names do not change; a hint says what to do.

/// Generates the enum and its tables from one row per kind: variant, name, hint.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $name:literal, $hint:literal;)*) => {
        /// A failure of the target, or of the network path to it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FailureKind {
            $($(#[$doc])* $kind,)*
        }

        impl FailureKind {
            /// All kinds.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The name in reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// Returns a hint for the reader of a report.
            pub const fn hint(self) -> &'static str {
                match self {
                    $(Self::$kind => $hint,)*
                }
            }
        }
    };
}

kinds! {
    /// The name does not exist.
    NoSuchName, "no_such_name",
        "check the host's name; the resolver does not know it";
    /// The name exists and has no address.
    NoAddress, "no_address",
        "the name exists but has no address; check its records";
    /// The name has addresses of the other family only.
    NoAddressOfFamily, "no_address_of_family",
        "the name has no address of that family; see `family` under `dns`";
    /// A name server failed (SERVFAIL).
    DnsServfail, "dns_servfail",
        "the name server failed to answer (SERVFAIL); look at it, or at the zone";
    /// A name server refused the query.
    DnsRefused, "dns_refused",
        "the name server refuses to answer this machine (REFUSED); check /etc/resolv.conf";
    /// No name server replied.
    DnsTimeout, "dns_timeout",
        "no name server answered; check /etc/resolv.conf and the way to them";
    /// The look-up failed for another reason.
    DnsFailed, "dns_failed",
        "the resolver failed; see /etc/resolv.conf, and what `-v` shows";
    /// Nothing listens there.
    Refused, "refused",
        "nothing listens there: is the target up, is the port right?";
    /// The connection was reset.
    Reset, "reset",
        "the target or a device before it dropped the connection";
    /// The network has no route there.
    Unreachable, "unreachable",
        "there is no route to the target";
    /// The connection was closed before the response was complete.
    Closed, "closed",
        "the target closed before its answer was complete; look at its log";
    /// The received bytes are not HTTP.
    NotHttp, "not_http",
        "what came is no HTTP: is this an HTTP port, and is it plain or TLS?";
    /// The response breaks the rules of HTTP.
    Malformed, "malformed",
        "the response breaks the rules of HTTP; look at it with `curl -v --raw`";
    /// The target refused the HTTP/2 stream before processing the request.
    RefusedStream, "refused_stream",
        "the target takes no more HTTP/2 streams; lower the load, or raise its limit";
    /// The target sent GOAWAY before processing the request.
    GoingAway, "going_away",
        "the target ends connections before their requests (GOAWAY); look at its log";
    /// The target reports that this client broke the rules of HTTP/2.
    Http2Protocol, "http2_protocol",
        "the target says that a frame broke HTTP/2; look at its log, or use HTTP/1.1";
    /// The target reports an internal error.
    Http2Internal, "http2_internal",
        "the target failed inside (HTTP/2 INTERNAL_ERROR); look at its log";
    /// The load exceeds a limit of the target per client.
    EnhanceYourCalm, "enhance_your_calm",
        "over a limit that the target has for a client; lower the load, or raise that limit";
    /// The target serves this request over HTTP/1.1 only.
    Http11Required, "http_1_1_required",
        "the target wants HTTP/1.1 for this request; set `http: { version: 1.1 }`";
    /// The head is longer than our limit.
    HeadTooLarge, "head_too_large",
        "the response's head is over 64 KiB; let the target send less of it";
    /// The head has more lines than our limit.
    TooManyHeaders, "too_many_headers",
        "the response has over 256 header lines; let the target send fewer";
    /// More interim (1xx) responses than our limit precede the response.
    TooManyInterim, "too_many_interim",
        "over 16 interim (1xx) responses before the response; look at the target's log";
    /// The extensions and trailers of a chunked body are longer than our limit.
    ChunkExtrasTooLarge, "chunk_extras_too_large",
        "chunk extensions and trailers are over 16 KiB; let the target send less of them";
    /// The body has more content codings than our limit.
    TooManyCodings, "too_many_codings",
        "over 4 content codings in a row; let the target apply fewer";
    /// The body does not have the content coding that the response declares.
    Undecodable, "undecodable",
        "the body is not what its Content-Encoding says, or is cut; look at the target";
    /// The body is longer than the step accepts.
    BodyTooLarge, "body_too_large",
        "raise `max_body` of the step if such bodies are wanted";
    /// The target's certificate has expired.
    CertificateExpired, "certificate_expired",
        "the target's certificate has expired; renew it, and check this machine's clock";
    /// The target's certificate is not valid yet.
    CertificateNotYetValid, "certificate_not_yet_valid",
        "the target's certificate is not valid yet; check this machine's clock";
    /// The target's certificate is for other names.
    CertificateWrongHost, "certificate_wrong_host",
        "the certificate is for other hosts; correct the URL, or set `server_name` under `tls`";
    /// The issuer of the target's certificate is not trusted.
    CertificateUnknownIssuer, "certificate_unknown_issuer",
        "its CA is not trusted here: give it as `ca`, or let the target send its whole chain";
    /// The target's certificate is its own issuer.
    CertificateSelfSigned, "certificate_self_signed",
        "it is signed by itself: give it as `ca`, or accept any with `insecure` (-k)";
    /// The target's certificate has been revoked.
    CertificateRevoked, "certificate_revoked",
        "its CA has revoked the target's certificate; give the target another one";
    /// The target presents a certificate that is for signing others.
    CertificateOfCa, "certificate_of_ca",
        "the target shows a CA's certificate as its own; give it one for servers";
    /// The target's certificate cannot be verified for another reason.
    Certificate, "certificate",
        "the target's certificate is not fit for a server; `-v` shows why";
    /// There is no common TLS version.
    TlsVersion, "tls_version",
        "the target speaks no TLS 1.2 or 1.3; enable one of them there";
    /// There is no common cipher suite, key exchange or signature.
    TlsCipher, "tls_cipher",
        "no cipher suite or key exchange in common; compare the target's TLS settings";
    /// The target does not know the requested name.
    TlsUnknownName, "tls_unknown_name",
        "the target has no certificate for this name; check the host, or `server_name`";
    /// The target requires a client certificate, and none was presented.
    ClientCertificateWanted, "client_certificate_wanted",
        "the target wants a client certificate: give `cert` and `key` under `tls`";
    /// The target does not accept the client certificate.
    ClientCertificateRefused, "client_certificate_refused",
        "the target does not accept the client certificate; was it issued by a CA it trusts?";
    /// The target does not offer HTTP/2 in the TLS handshake.
    NoHttp2, "no_http2",
        "the target offers no HTTP/2 here; set `http: { version: auto }`, or 1.1";
    /// The TLS handshake failed for another reason.
    TlsProtocol, "tls_protocol",
        "does the target speak TLS 1.2 or 1.3 on this port?";
    /// The proxy requires a login, or rejected the one it received.
    ProxyLogin, "proxy_login",
        "the proxy wants a login, or another one (407): `proxy: http://USER:PASSWORD@HOST`";
    /// The proxy's rules forbid the tunnel to the target.
    ProxyForbidden, "proxy_forbidden",
        "the proxy's rules do not allow this target and port (403); have it allowed there";
    /// The proxy could not connect to the target.
    ProxyCannotReach, "proxy_cannot_reach",
        "the proxy cannot reach the target (502 to 504): is that up, does the proxy find it?";
    /// The proxy refused the tunnel for another reason.
    Proxy, "proxy",
        "the proxy refused, or is no proxy; look at its log";
    /// More redirects than the step allows.
    TooManyRedirects, "too_many_redirects",
        "raise `redirects` of the step if so many are wanted";
    /// A redirect to an origin that is no service of the plan.
    RedirectNotAllowed, "redirect_not_allowed",
        "declare that origin under `services:` if it is wanted";
    /// A safety limit forbids the destination.
    Forbidden, "forbidden",
        "a safety limit; say `--authorised HOST`, or add it to `hosts`";
    /// A value captured from an earlier response is not valid in the request.
    UnusableValue, "unusable_value",
        "a captured value does not fit where the request uses it";
    /// A capture or check exceeded its work limit on the response.
    TooComplex, "too_complex",
        "a capture or check met more nodes or depth than its limit";
    /// A system error without a kind of its own.
    Other, "other",
        "see the system's own logs";
}
