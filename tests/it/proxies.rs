//! Responses that a real nginx serves from its cache, or compressed.
//!
//! Invariant: the server's own access log is compared with the report.

use std::process::Command;

use crate::backends::{nginx_at, run};
use crate::harness::count;
use crate::real_servers::{free, program, start};

#[test]
fn a_share_of_cache_hits_is_a_threshold_on_a_header() {
    let origin = free();
    let _origin = nginx_at(origin);
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let at = folder.path().display();
    let config = format!(
        "daemon off; pid {at}/pid; error_log {at}/error.log crit; worker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         proxy_cache_path {at}/cache keys_zone=c:1m;\n\
         server {{ listen {address}; location / {{ proxy_pass http://{origin}; proxy_cache c;\n\
         proxy_ignore_headers Set-Cookie; proxy_cache_valid 200 1h;\n\
         add_header X-Cache-Status $upstream_cache_status; }} }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program("nginx", "nginx-light"));
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    let _cache = start(command, folder, &[address]);
    let done = run(&format!(
        "services: {{ it: \"http://{address}\" }}\n\
         thresholds: [ errors == 0%, 'check(\"header x-cache-status is \\\"HIT\\\"\") > 80%' ]\n\
         workloads:\n  w:\n    users: 1\n    iterations: 100\n    flow:\n      \
         - get: \"/page{{{{ user.iteration % 10 }}}}\"\n        name: page\n        \
         check: {{ header: {{ x-cache-status: HIT }} }}\n"
    ));
    let report = done.report(0);
    // The first request of each of the ten paths misses.
    assert_eq!(count(&report["checks"][0], "passed"), 90, "{:#}", report["checks"]);
}

#[test]
fn bytes_on_the_wire_and_decoded_are_those_of_nginx_by_content_type() {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let at = folder.path().display();
    let (page, data) = ("a page of many words\n".repeat(500), "{\"a\": [1, 2, 3]}".repeat(100));
    std::fs::write(folder.path().join("page.html"), &page).unwrap();
    std::fs::write(folder.path().join("data.json"), &data).unwrap();
    std::fs::write(folder.path().join("noise.bin"), [0x1f; 3_000]).unwrap();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ log_format own '$uri $body_bytes_sent'; access_log {at}/log own; root {at};\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; gzip on; gzip_min_length 100;\n\
         gzip_types application/json; types {{ text/html html; application/json json; }}\n\
         default_type application/octet-stream; server {{ listen {address}; }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program("nginx", "nginx-light"));
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    let server = start(command, folder, &[address]);
    let done = run(&format!(
        "services: {{ it: {{ url: \"http://{address}\", compress: true, contents: true }} }}\n\
         thresholds: [ errors == 0% ]\n\
         workloads:\n  w: {{ users: 1, iterations: 10, flow: [ {{ get: /page.html }}, \
         {{ get: /data.json }}, {{ get: /noise.bin }} ] }}\n"
    ));
    let report = done.report(0);
    let log = std::fs::read_to_string(server.path("log")).unwrap();
    let sent = |path: &str| -> u64 {
        let lines = log.lines().filter_map(|line| line.strip_prefix(path));
        lines.map(|bytes| bytes.trim().parse::<u64>().unwrap()).sum()
    };
    let contents = report["contents"].as_array().unwrap();
    for (name, path, decoded, encoded) in [
        ("text/html", "/page.html", page.len(), 10),
        ("application/json", "/data.json", data.len(), 10),
        ("application/octet-stream", "/noise.bin", 3_000, 0),
    ] {
        let found = contents.iter().find(|one| one["type"] == name).unwrap();
        assert_eq!(count(found, "responses"), 10, "{found:#}");
        assert_eq!(count(found, "encoded"), encoded, "{found:#}");
        assert_eq!(count(found, "decoded_bytes"), 10 * decoded as u64, "{found:#}");
        let (wire, logged) = (count(found, "wire_bytes"), sent(path));
        // nginx counts the heads of chunks, too: less than 20 bytes of each response.
        let is_near = wire <= logged && logged - wire <= 200;
        assert!(is_near, "{path}: {wire} on the wire, {logged} sent");
    }
}
