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
        "the host name does not exist; check its spelling";
    /// The name exists and has no address.
    NoAddress, "no_address",
        "the host name has no address; check its A and AAAA records";
    /// The name has addresses of the other family only.
    NoAddressOfFamily, "no_address_of_family",
        "the host name has no address of that IP family; see `dns: { family }`";
    /// A name server failed (SERVFAIL).
    DnsServfail, "dns_servfail",
        "the name server failed (SERVFAIL); check it and the zone";
    /// A name server refused the query.
    DnsRefused, "dns_refused",
        "the name server rejects queries from this machine (REFUSED); check /etc/resolv.conf";
    /// No name server replied.
    DnsTimeout, "dns_timeout",
        "no name server replied; check /etc/resolv.conf and the network";
    /// The look-up failed for another reason.
    DnsFailed, "dns_failed",
        "the look-up failed; check /etc/resolv.conf, and run with `-v` for the error";
    /// Nothing listens there.
    Refused, "refused",
        "connection refused; check that the target is running, and the port";
    /// The connection was reset.
    Reset, "reset",
        "the target, or a proxy or firewall before it, reset the connection";
    /// The network has no route there.
    Unreachable, "unreachable",
        "no route to the target; check the network and firewalls";
    /// The connection was closed before the response was complete.
    Closed, "closed",
        "the connection was closed before the response was complete; check the target's log";
    /// The received bytes are not HTTP.
    NotHttp, "not_http",
        "the reply is not HTTP; check the port, and http or https";
    /// The response breaks the rules of HTTP.
    Malformed, "malformed",
        "the response violates HTTP; inspect it with `curl -v --raw`";
    /// The target refused the HTTP/2 stream before processing the request.
    RefusedStream, "refused_stream",
        "the target rejected the HTTP/2 stream; lower the load, or raise its stream limit";
    /// The target sent GOAWAY before processing the request.
    GoingAway, "going_away",
        "the target closed the HTTP/2 connection before this request (GOAWAY); check its log";
    /// The target reports that this client broke the rules of HTTP/2.
    Http2Protocol, "http2_protocol",
        "the target reported an HTTP/2 protocol error; check its log, or use HTTP/1.1";
    /// The target reports an internal error.
    Http2Internal, "http2_internal",
        "the target reported an internal error (HTTP/2 INTERNAL_ERROR); check its log";
    /// The load exceeds a limit of the target per client.
    EnhanceYourCalm, "enhance_your_calm",
        "the load exceeds the target's limit per client; lower the load, or raise that limit";
    /// The target serves this request over HTTP/1.1 only.
    Http11Required, "http_1_1_required",
        "the target requires HTTP/1.1 for this request; set `http: { version: 1.1 }`";
    /// The head is longer than our limit.
    HeadTooLarge, "head_too_large",
        "the response's headers exceed 64 KiB; reduce them at the target";
    /// The head has more lines than our limit.
    TooManyHeaders, "too_many_headers",
        "the response has more than 256 header lines; reduce them at the target";
    /// More interim (1xx) responses than our limit precede the response.
    TooManyInterim, "too_many_interim",
        "more than 16 interim (1xx) responses before the response; check the target's log";
    /// The extensions and trailers of a chunked body are longer than our limit.
    ChunkExtrasTooLarge, "chunk_extras_too_large",
        "chunk extensions and trailers exceed 16 KiB; reduce them at the target";
    /// The body has more content codings than our limit.
    TooManyCodings, "too_many_codings",
        "more than 4 content codings; reduce them at the target";
    /// The body does not have the content coding that the response declares.
    Undecodable, "undecodable",
        "the body does not match its Content-Encoding, or is truncated; check the target";
    /// The body is longer than the step accepts.
    BodyTooLarge, "body_too_large",
        "the body exceeds the step's `max_body`; raise it if such bodies are expected";
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
        "unknown CA; set `ca` (--cacert), or make the target send its full chain";
    /// The target's certificate is its own issuer.
    CertificateSelfSigned, "certificate_self_signed",
        "self-signed certificate; set it as `ca` (--cacert), or accept any with `insecure` (-k)";
    /// The target's certificate has been revoked.
    CertificateRevoked, "certificate_revoked",
        "the target's certificate was revoked by its CA; install a new one";
    /// The target presents a certificate that is for signing others.
    CertificateOfCa, "certificate_of_ca",
        "the target presents a CA certificate; install a server certificate";
    /// The target's certificate cannot be verified for another reason.
    Certificate, "certificate",
        "the target's certificate is not valid for a server; run with `-v` for the reason";
    /// There is no common TLS version.
    TlsVersion, "tls_version",
        "the target supports neither TLS 1.2 nor 1.3; enable one of them";
    /// There is no common cipher suite, key exchange or signature.
    TlsCipher, "tls_cipher",
        "no common cipher suite or key exchange; check the target's TLS settings";
    /// The target does not know the requested name.
    TlsUnknownName, "tls_unknown_name",
        "the target has no certificate for this name; check the host, or set `server_name`";
    /// The target requires a client certificate, and none was presented.
    ClientCertificateWanted, "client_certificate_wanted",
        "the target requires a client certificate; set `cert` and `key` under `tls`";
    /// The target does not accept the client certificate.
    ClientCertificateRefused, "client_certificate_refused",
        "the target rejected the client certificate; check that it trusts its CA";
    /// The target does not offer HTTP/2 in the TLS handshake.
    NoHttp2, "no_http2",
        "the target does not offer HTTP/2; set `http: { version: auto }`, or 1.1";
    /// The TLS handshake failed for another reason.
    TlsProtocol, "tls_protocol",
        "TLS handshake failed; check that the port serves TLS 1.2 or 1.3";
    /// The proxy requires a login, or rejected the one it received.
    ProxyLogin, "proxy_login",
        "the proxy rejected the credentials (407); set `proxy: http://USER:PASSWORD@HOST`";
    /// The proxy's rules forbid the tunnel to the target.
    ProxyForbidden, "proxy_forbidden",
        "the proxy forbids this target and port (403); allow them there";
    /// The proxy could not connect to the target.
    ProxyCannotReach, "proxy_cannot_reach",
        "the proxy cannot reach the target (502 to 504); check the target, and the proxy's DNS";
    /// The proxy refused the tunnel for another reason.
    Proxy, "proxy",
        "the proxy refused the tunnel, or is not a proxy; check its log";
    /// More redirects than the step allows.
    TooManyRedirects, "too_many_redirects",
        "more redirects than the step's `redirects`; raise it, or check for a loop";
    /// A redirect to an origin that is no service of the plan.
    RedirectNotAllowed, "redirect_not_allowed",
        "redirect to an undeclared host; add it under `services:` to follow it";
    /// A safety limit forbids the destination.
    Forbidden, "forbidden",
        "a safety limit forbids this host; use `--authorised HOST`, or add it to `hosts`";
    /// A value captured from an earlier response is not valid in the request.
    UnusableValue, "unusable_value",
        "a captured value is not valid where the request uses it";
    /// A capture or check exceeded its work limit on the response.
    TooComplex, "too_complex",
        "the response exceeds the work limit of a capture or check; simplify its expression";
    /// The target accepted the WebSocket handshake with a wrong key.
    BadHandshake, "bad_handshake",
        "the 101 response is no answer to the WebSocket handshake; check proxies before the target";
    /// The target selected a subprotocol that was not offered.
    BadSubprotocol, "bad_subprotocol",
        "the target chose a WebSocket subprotocol that was not offered; check `subprotocols`";
    /// The target selected an extension, or a parameter, that was not offered.
    BadExtension, "bad_extension",
        "the target chose a WebSocket extension that was not offered; check its settings";
    /// A frame breaks the rules of WebSocket.
    BadFrame, "bad_frame",
        "a frame violates WebSocket (RFC 6455); check the target, and proxies before it";
    /// A text message, or the reason of a close, is not UTF-8.
    InvalidUtf8, "invalid_utf8",
        "a text message is not UTF-8; the target must send such data as binary messages";
    /// A message is longer than the stream accepts.
    MessageTooLarge, "message_too_large",
        "a message exceeds `max_message`; raise it if such messages are expected";
    /// A message has more fragments than our limit.
    TooManyFragments, "too_many_fragments",
        "a message has more than 131072 fragments; make the target send larger ones";
    /// A compressed message cannot be decompressed.
    BadCompression, "bad_compression",
        "a compressed message is damaged; switch `deflate` off, and check the target";
    /// The target did not answer a ping in time.
    NoPong, "no_pong",
        "the target did not answer a ping in time; check whether it, or the path to it, is alive";
    /// The target did not answer a close in time.
    NoClose, "no_close",
        "the target did not answer the close of a stream in time; check its log";
    /// The connection ended without a close frame.
    AbnormalClose, "abnormal_close",
        "the connection ended without a close frame (1006); check the target's log, and proxies";
    /// The response is no stream of events.
    NotEventStream, "not_event_stream",
        "the response is not `text/event-stream`; check the path and the Accept header";
    /// The body of a stream has a content coding, which no stream request accepts.
    EncodedStream, "encoded_stream",
        "the target compresses the stream; remove the step's Accept-Encoding header";
    /// An event, or a line of a stream, is longer than the stream accepts.
    EventTooLarge, "event_too_large",
        "an event exceeds `max_message`; raise it if such events are expected";
    /// A streamed response ended before its end mark.
    IncompleteStream, "incomplete_stream",
        "the stream ended before its end mark; check the target's log";
    /// A streamed response reports an error in a successful response.
    ErrorInStream, "error_in_stream",
        "the target reported an error inside the stream; see the captured body";
    /// A message that did not fit into the memory for kept bodies: how its stream ends. As the
    /// outcome of a call it is `GeneratorError::KeptBodies`.
    NoRoomForMessage, "no_room_for_message",
        "the memory for kept bodies is used up; lower `max_message`, or the number of streams";
    /// The response opens no stream.
    NotAStream, "not_a_stream",
        "the response opens no stream; check the path, and the status";
    /// A step uses a stream that is not open.
    NotOpen, "not_open",
        "the stream is not open: its opening failed, or it was closed before";
    /// The server did not accept the login of a connection.
    LoginRefused, "login_refused",
        "the server refused the login; check `auth` of the service, and its database";
    /// What the server sent does not belong to the protocol of its URL.
    BadReply, "bad_reply",
        "the reply violates the protocol of the service's URL; check the port and the scheme";
    /// The server offers no TLS, which its URL asks for.
    TlsNotOffered, "tls_not_offered",
        "the server offers no TLS; enable it there (`ssl = on`), or use `postgres://`";
    /// The checksum of a message is wrong.
    CorruptMessage, "corrupt_message",
        "the checksum of a message does not match its bytes; check the broker's disk and its log";
    /// A broker ended a subscription, or did not accept it again after a reconnection.
    SubscriptionEnded, "subscription_ended",
        "the broker ended a subscription; check whether its queue was deleted";
    /// A system error without a kind of its own.
    Other, "other",
        "see the system's log";
}
