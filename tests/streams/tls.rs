//! WebSocket over TLS, at a target that would rather speak HTTP/2.

use std::sync::Arc;

use manada::plan::transport::HttpVersion;
use manada::wire::message_stream::{Message, MessageKind, StreamEnd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::client::{Opening, open, run};
use crate::server::{accepting, frames};

/// A server's TLS that offers both versions of HTTP, the second one first.
fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

#[test]
fn a_socket_over_tls_speaks_http_1_and_sends_what_exceeds_a_record() {
    let payload = vec![b'x'; 300_000];
    let expected = payload.clone();
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::task::spawn_local(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut tls = acceptor().accept(socket).await.unwrap();
            assert_ne!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tls.read_u8().await.unwrap());
            }
            let head = accepting(&String::from_utf8(head).unwrap(), "");
            tls.write_all(head.as_bytes()).await.unwrap();
            tls.write_all(b"\x81\x02hi\x88\x02\x03\xe8").await.unwrap();
            tls.flush().await.unwrap();
            let mut sent = Vec::new();
            // The client may close without telling TLS.
            let _ = tls.read_to_end(&mut sent).await;
            sent
        });
        let opening = Opening { tls: true, version: HttpVersion::Auto, ..Opening::PLAIN };
        let mut client = open(address, opening).await.unwrap().unwrap();
        let long = Message::new(MessageKind::Binary, &payload);
        assert!(client.stream.send(long));
        let (end, messages) = client.drain().await;
        assert_eq!(messages[0].payload, b"hi");
        assert_eq!(end, StreamEnd { is_ours: false, code: Some(1000), failure: None });
        assert!(client.stream.take_traffic().sent > 300_000);
        drop(client);
        let sent = frames(&server.await.unwrap());
        assert_eq!(sent.len(), 2);
        assert!(sent[0] == (0x82, expected));
        assert_eq!(sent[1], (0x88, b"\x03\xe8".to_vec()));
    });
}
