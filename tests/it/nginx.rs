//! A real nginx on a free port of 127.0.0.1, in its own folder.
//!
//! Invariant: a machine without nginx fails the tests that need it, with advice.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::real_servers::{free, program};

/// A running nginx.
pub(crate) struct Nginx {
    child: Child,
    /// HTTP/1.1, and HTTP/2 with prior knowledge.
    pub(crate) plain: SocketAddr,
    pub(crate) two: SocketAddr,
    /// Over TLS, with both versions offered.
    pub(crate) tls: SocketAddr,
    folder: TempDir,
}

impl Nginx {
    /// Starts it, with a self-made certificate for 127.0.0.1.
    pub(crate) fn start() -> Self {
        let program = program("nginx", "nginx-light");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(path.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(path.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(path.join("page"), "a page of nginx\n".repeat(40)).unwrap();
        std::fs::write(path.join("large"), vec![b'x'; 3 << 20]).unwrap();
        let (plain, two, tls) = (free(), free(), free());
        let at = path.display();
        let config = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; worker_processes 1;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; root {at}; keepalive_requests 1000;\n\
             client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; gzip on; gzip_min_length 1;\n\
             gzip_types *; default_type text/plain;\n\
             limit_req_zone $server_port zone=few:1m rate=20r/s;\n\
             server {{ listen {plain}; listen {two} http2; listen {tls} ssl http2;\n\
             ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;\n\
             location = /old {{ add_header Set-Cookie 'seen=1; Path=/' always;\n\
             return 302 /page; }}\n\
             location = /status {{ stub_status; }}\n\
             location = /me {{ return 200 $http_cookie; }}\n\
             location = /few {{ limit_req zone=few; try_files /page =404; }}\n\
             location = /fail {{ return 503; }} location = /upload {{ return 204; }} }} }}\n"
        );
        let file = path.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program)
            .args(["-p", path.to_str().unwrap(), "-c", file.to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, plain, two, tls, folder };
        nginx.wait_until_it_listens();
        nginx
    }

    fn wait_until_it_listens(&self) {
        for address in [self.plain, self.two, self.tls] {
            // A refused connection takes no time, so nginx's own start limits this loop.
            let open = (0..2_000_000).any(|_| {
                std::thread::yield_now();
                TcpStream::connect(address).is_ok()
            });
            let log = std::fs::read_to_string(self.folder.path().join("error.log"));
            assert!(open, "nginx does not listen: {log:?}");
        }
    }

    /// A file of its folder, such as `cert.pem`.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // It ends its workers itself on SIGTERM.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
