//! Tests of the report and the dashboard in a real browser, with hostile text from the target.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;

use crate::builtin::Builtin;
use crate::chrome::{Answer, Chrome, ask};
use crate::harness::{Done, LIMIT, Manada, Running, count};
use crate::peer::{Server, Then};

/// Text that would do harm if it were taken for markup.
const EVIL: &str = "</script><script>alert(1)</script>\"><img src=x onerror=alert(2)>";

/// Starts a target that responds with such text to every request.
fn evil() -> Server {
    let body = format!("<!-- {EVIL} javascript:alert(3) -->");
    let answer = format!(
        "HTTP/1.1 500 Oh\r\nX-Evil: {EVIL}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Server::answering(answer, Then::Next)
}

/// Runs against it, with names that are as hostile.
fn hostile() -> Done {
    let server = evil();
    let name = EVIL.replace('"', "\\\"");
    let text = format!(
        "scenario: evil\ndescription: \"{name}\"\nseed: 3\n\
         services: {{ it: {{ url: \"http://{}\" }} }}\n\
         thresholds: [ errors < 1% ]\n\
         workloads:\n  w:\n    arrivals: {{ rate: 40/s }}\n    duration: 2s\n    flow:\n      \
         - get: /a\n        name: \"{name}\"\n        \
         check: {{ body: {{ contains: \"yes\" }} }}\n      \
         - {{ get: /b, name: calm }}\n",
        server.address()
    );
    let done = Manada::run(&text, &[]).go();
    done.report(4);
    done
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn report_opens_offline_and_runs_no_foreign_code() {
    let done = hostile();
    let chrome = Chrome::start();
    let report = url(&done.path("out/report.html"));
    chrome.requests();
    chrome.open(&report);
    assert!(!chrome.has_alert());
    assert_eq!(chrome.run("return document.querySelector('.word').textContent"), "FAIL");
    // The text is shown, but not as elements.
    assert_eq!(chrome.run("return document.images.length"), 0);
    assert_eq!(chrome.run("return document.querySelectorAll('script[src]').length"), 0);
    let scripts = "return [...document.scripts].filter(s => s.type !== 'application/json').length";
    assert_eq!(chrome.run(scripts), 1);
    let text = chrome.run("return document.body.textContent");
    assert!(text.as_str().unwrap().matches("<img src=x onerror=alert(2)>").count() >= 4);
    let head = chrome.run(
        "return document.querySelector('.failure pre + h4 + pre, .failure h4 + pre').textContent",
    );
    assert!(head.as_str().unwrap().contains("<img src=x onerror=alert(2)>"), "{head}");
    // Charts are visible.
    let sizes = "return [...document.querySelectorAll('.chart .area')].map(area => \
                 [area.getBoundingClientRect().width, area.querySelectorAll('path').length])";
    let sizes = chrome.run(sizes);
    let sizes = sizes.as_array().unwrap();
    assert!(sizes.len() >= 7, "{sizes:?}");
    for size in sizes {
        assert!(size[0].as_f64() > Some(200.0) && size[1].as_u64() >= Some(2), "{size}");
    }
    let wide = chrome.run("return document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_i64() <= Some(0), "nothing is wider than the window: {wide}");
    assert_eq!(chrome.complaints(), Vec::<String>::new());
    // The browser's own start page is not counted.
    let asked = chrome.requests().into_iter().filter(|url| !url.starts_with("chrome"));
    let asked: Vec<String> = asked.filter(|url| !url.starts_with("data:")).collect();
    assert!(asked.iter().all(|url| *url == report) && !asked.is_empty(), "{asked:?}");
    assert!(chrome.print().starts_with(b"%PDF"));
}

#[test]
fn report_fits_narrow_and_wide_windows() {
    // Bounds and suppressed calls make the widest table of steps.
    let target = Builtin::start(&["--fail", "20%:503", "--fail", "2%:hang"]);
    let text = format!(
        "services: {{ it: \"{}\" }}\nseed: 3\ngrace: 300ms\n\
         breakers: {{ endpoint: {{ failures: 3, open: 50ms }} }}\n\
         workloads:\n  \
         visitors:\n    arrivals: {{ rate: 300/s }}\n    duration: 2s\n    flow:\n      \
         - {{ get: /a, name: recommendations, timeout: 200ms }}\n      \
         - {{ get: /b, name: home, timeout: 200ms }}\n",
        target.url("")
    );
    let done = Manada::run(&text, &[]).go();
    assert!(count(&done.measured(), "calls.suppressed") > 0, "{done}");
    let chrome = Chrome::start();
    chrome.open(&url(&done.path("out/report.html")));
    let spill = |selector: &str| {
        let script = format!(
            "const one = document.querySelector('{selector}'); \
             return one.scrollWidth - one.clientWidth"
        );
        chrome.run(&script).as_i64().unwrap()
    };
    for width in [400, 1_280, 1_920] {
        chrome.resize(width);
        assert!(spill("html") <= 0, "nothing is wider than a window of {width} pixels");
        assert!(spill(".bar nav") <= 0, "no name of a section is cut at {width} pixels");
        if width >= 1_280 {
            let table = spill("#steps .scroll:has(table[data-key=steps])");
            assert!(table <= 0, "the table of steps is {table} too wide at {width} pixels");
        }
    }
    let used = chrome.run("return document.querySelector('main').offsetWidth / innerWidth");
    assert!(used.as_f64() > Some(0.95), "the width is used: {used}");
}

/// The first cells of the rows of the steps table.
const STEPS: &str = "return [...document.querySelectorAll('#steps table[data-key=steps] tbody tr')]\
                     .map(row => row.cells[0].textContent)";

/// Scrolls the first time chart into view and returns its position.
const PLACE: &str = "const area = document.querySelector('#load .area'); area.scrollIntoView({ \
                     behavior: 'instant', block: 'center' }); const box = \
                     area.getBoundingClientRect(); return [box.left, box.top, box.width, \
                     box.height].map(Math.round)";

fn middle(chrome: &Chrome) -> (i64, i64, i64) {
    let place = chrome.run(PLACE);
    let at = |index: usize| place[index].as_i64().unwrap();
    (at(0), at(1) + at(3) / 2, at(2))
}

#[test]
fn report_sorts_hovers_and_zooms() {
    let done = hostile();
    let chrome = Chrome::start();
    chrome.open(&url(&done.path("out/report.html")));
    // Sorting by name: ascending, then descending.
    let names =
        |chrome: &Chrome| -> Vec<String> { serde_json::from_value(chrome.run(STEPS)).unwrap() };
    assert_eq!(names(&chrome)[1], "calm");
    chrome.click("#steps table[data-key=steps] thead th:first-child button");
    let up = names(&chrome);
    chrome.click("#steps table[data-key=steps] thead th:first-child button");
    let down = names(&chrome);
    assert_eq!(up, down.into_iter().rev().collect::<Vec<_>>());
    let sorted = "return document.querySelector('#steps th[aria-sort]').getAttribute('aria-sort')";
    assert_eq!(chrome.run(sorted), "descending");

    // Hovering: all time charts show their values at that time.
    let (left, y, width) = middle(&chrome);
    chrome.hover((left + width / 4, y));
    let said = "return [...document.querySelectorAll('figure.time')].map(figure => \
                [figure.querySelector('.when').textContent, \
                figure.querySelector('.legend output').textContent])";
    let said = chrome.run(said);
    for one in said.as_array().unwrap() {
        assert!(one[0].as_str().unwrap().starts_with("0:00"), "{said}");
        assert_ne!(one[1], "", "{said}");
    }
    assert!(said[0][1].as_str().unwrap().ends_with("/s"), "{said}");

    // Zoom: a run of two seconds has too few columns for it.
    let boxes = "return [...new Set([...document.querySelectorAll('.time .area')].map(area => \
                 area.getAttribute('viewBox').split(' ').slice(0, 3).join(' ')))]";
    let before = chrome.run(boxes);
    chrome.drag((left + width / 4, y), (left + width / 2, y));
    assert_eq!(chrome.run(boxes), before);

    // The theme.
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let light = chrome.run(ground);
    chrome.click("button.theme");
    assert_ne!(chrome.run(ground), light);
    assert_eq!(chrome.complaints(), Vec::<String>::new());
}

const LIVE: &str = "\
scenario: watched
services: { it: builtin }
grace: 1s
workloads:
  api: { arrivals: { rate: 100/s }, duration: 10m, flow: [ { get: /, name: home } ] }
";

/// Starts a run with a dashboard on a free port; returns its address and token.
fn watched(words: &[&str]) -> (Running, SocketAddr, String) {
    let running = Manada::run(LIVE, &["--web=127.0.0.1:0"]).words(words).start();
    let line = running.heard_line("dashboard: ");
    let url = line.strip_prefix("dashboard: http://").unwrap();
    let (place, token) = url.split_once('/').unwrap();
    let token = token.strip_prefix("#token=").unwrap_or_default();
    (running, place.parse().unwrap(), token.to_owned())
}

#[test]
fn browser_shows_and_controls_a_run() {
    let (running, place, token) = watched(&[]);
    let chrome = Chrome::start();
    chrome.open(&format!("http://{place}/#token={token}"));
    assert_eq!(chrome.run("return location.href"), format!("http://{place}/"));
    // Figures arrive and change.
    let calls = "const tile = document.querySelector('.tile .note'); \
                 return tile ? parseInt(tile.textContent.replace(/\\D/g, '')) : 0";
    let first = chrome.until(calls, |calls| calls.as_u64() > Some(50));
    chrome.until(calls, |calls| calls.as_u64() > first.as_u64());
    assert_eq!(
        chrome.run("return document.querySelector('.brand').textContent"),
        "RUNNING · watched"
    );

    // The first chart is seen without scrolling.
    let chart = "return document.querySelector('#load .area').getBoundingClientRect().bottom";
    assert!(chrome.run(chart).as_f64() < Some(800.0), "{}", chrome.run(chart));

    // Opened and sorted elements stay so, second after second.
    chrome.click("#steps table[data-key=steps] thead th:nth-child(3) button");
    chrome.until("return document.querySelectorAll('#scenario details').length", |n| *n == 1);
    chrome.click("#scenario details summary");
    let took = "return document.querySelector('#verdict .facts div:nth-child(2) dd').textContent";
    let before = chrome.run(took);
    chrome.until(took, |now| *now != before);
    let kept = "return [document.querySelector('#scenario details').open, \
                document.querySelector('#steps [aria-sort]').getAttribute('aria-sort')]";
    assert_eq!(chrome.run(kept).to_string(), "[true,\"descending\"]");

    // Zoom applies to all charts and stays.
    let seconds = "return Number(document.querySelector('figure.time').dataset.seconds)";
    chrome.until(seconds, |seconds| seconds.as_u64() >= Some(8));
    let (left, y, width) = middle(&chrome);
    chrome.drag((left + width / 4, y), (left + width * 7 / 8, y));
    let shown = "return document.querySelector('button.reset').hidden";
    assert_eq!(chrome.run(shown), false);
    let narrow = "return Math.max(...[...document.querySelectorAll('.time .area')].map(area => \
                  Number(area.getAttribute('viewBox').split(' ')[2])))";
    let before = chrome.run(took);
    chrome.until(took, |now| *now != before);
    assert!(chrome.run(narrow).as_f64() < Some(900.0), "{}", chrome.run(narrow));
    chrome.run("scrollTo({ top: 0, behavior: 'instant' }); return 0");
    chrome.click("button.reset");
    assert_eq!(chrome.run(shown), true);

    // Controls.
    chrome.click("button[data-command=pause]");
    let answer = "return document.querySelector('.answer').textContent";
    chrome.until(answer, |answer| *answer == "workload api: 100 % → paused");
    let events = "return document.querySelector('#events').textContent";
    chrome.until(events, |events| events.as_str().unwrap().contains("paused"));
    assert_eq!(chrome.complaints(), Vec::<String>::new());
    chrome.click("button.stop");
    assert!(chrome.has_alert(), "it asks first");
    chrome.accept();
    let banner = "return document.querySelector('.banner').textContent";
    chrome.until(banner, |text| text.as_str().unwrap().starts_with("The run is over"));
    let word = chrome.run("return document.querySelector('.word').textContent");
    assert_eq!(word, "INTERRUPTED");
    assert_eq!(chrome.run("return document.querySelector('.controls').hidden"), true);

    let report = running.wait().report(130);
    let events = report["events"].as_array().unwrap();
    let by_web = |event: &&Value| event["cause"] == "web";
    assert_eq!(events.iter().filter(by_web).count(), 1, "{events:?}");
    assert!(count(&report, "calls.made") > 100);
}

/// Sends a request with further headers.
fn get(place: SocketAddr, path: &str, headers: &str) -> Answer {
    ask(place, &format!("GET {path} HTTP/1.1\r\n{headers}"), b"", 1 << 20)
}

fn command(place: SocketAddr, headers: &str, line: &[u8]) -> Answer {
    ask(place, &format!("POST /control HTTP/1.1\r\nHost: {place}\r\n{headers}"), line, 1 << 20)
}

#[test]
fn dashboard_refuses_requests_without_token() {
    let (running, place, token) = watched(&[]);
    let own = format!("Host: {place}");
    let bearer = format!("Authorization: Bearer {token}");
    for (headers, status) in [
        (own.clone(), 200),
        (format!("Host: localhost:{}", place.port()), 200),
        (format!("{own}\r\nOrigin: http://{place}"), 200),
        ("Host: evil.example".to_owned(), 403),
        (format!("Host: evil.example:{}", place.port()), 403),
        (format!("{own}\r\nOrigin: http://evil.example"), 403),
        (format!("{own}\r\nOrigin: null"), 403),
        (format!("{own}\r\nX-Long: {}", "x".repeat(20_000)), 431),
    ] {
        let answer = get(place, "/", &headers);
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
        for header in ["content-security-policy: default-src 'none'", "nosniff", "no-store"] {
            assert!(answer.head.contains(header), "{header}: {}", answer.head);
        }
        assert!(!answer.body.contains(&token));
    }
    assert_eq!(get(place, "/report", &own).status, 404);
    assert_eq!(get(place, "/control", &own).status, 405);
    let events = ask(place, &format!("GET /events HTTP/1.1\r\n{own}"), b"", 2_000);
    assert!(events.status == 200 && events.head.contains("text/event-stream"), "{events:?}");

    let wrong = "Authorization: Bearer 00000000000000000000000000000000";
    let odd = format!("{bearer}\r\nOrigin: http://evil.example");
    for (headers, line, status) in [
        ("X: y", &b"pause"[..], 401),
        (wrong, b"pause", 403),
        (&odd, b"pause", 403),
        (&bearer, b"puase", 400),
        (&bearer, b"mark a\nstop", 400),
        (&bearer, b"mark \xff", 400),
        (&bearer, &[b'x'; 5_000], 413),
        (&bearer, b"pause nobody", 409),
    ] {
        let answer = command(place, headers, line);
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(said["error"].is_string(), "{answer:?}");
    }
    let marked = command(place, &bearer, b"mark it was me");
    assert_eq!((marked.status, marked.body.as_str()), (200, "{\"ok\":\"marked\"}"));
    let status = command(place, &bearer, b"status");
    assert!(status.body.contains("\"scenario\":\"watched\""), "{status:?}");
    assert_eq!(command(place, &bearer, b"stop").status, 200);
    let report = running.wait().report(130);
    let events = report["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["change"] != "100 % → paused"), "{events:?}");
    assert!(events.iter().any(|event| event["change"].as_str().unwrap().contains("it was me")));
}

#[test]
fn only_so_many_browsers_listen_at_once() {
    let (running, place, token) = watched(&[]);
    let listen = || {
        let mut stream = TcpStream::connect(place).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {place}\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        (stream, String::from_utf8_lossy(&status).into_owned())
    };
    let mut all: Vec<_> = (0..16).map(|_| listen()).collect();
    assert!(all.iter().all(|(_, status)| status == "HTTP/1.1 200"));
    assert_eq!(listen().1, "HTTP/1.1 503");
    // With its first figures it can be stopped. No client reads on, and it still ends.
    all[0].0.read_exact(&mut [0; 2_000]).unwrap();
    assert_eq!(command(place, &format!("Authorization: Bearer {token}"), b"stop").status, 200);
    running.wait().report(130);
}

#[test]
fn dashboard_without_control_is_read_only() {
    let (running, place, token) = watched(&["--no-control"]);
    assert_eq!(token, "");
    let answer = command(place, "Authorization: Bearer ", b"pause");
    assert_eq!(answer.status, 403, "{answer:?}");
    let own = format!("Host: {place}");
    assert_eq!(get(place, "/", &own).status, 200);
    // After its first figures it handles signals.
    let events = ask(place, &format!("GET /events HTTP/1.1\r\n{own}"), b"", 2_000);
    assert!(events.body.contains("RUNNING"), "{events:?}");
    running.signal(rustix::process::Signal::INT);
    running.wait().report(130);
}
