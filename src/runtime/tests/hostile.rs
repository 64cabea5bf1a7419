//! What a server meets that stands in a network for long.

use super::*;
use serde_json::json;
use std::time::Instant;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn every_bad_request_is_told_what_is_wrong() {
    let served = Served::start();
    let deep = format!("{{\"inputs\":{}", "[".repeat(100_000));
    let wide = json!({ "source": "HALT", "canvas_width": 513 }).to_string();
    let long = json!({ "source": "HALT", "inputs": { "text": "x".repeat(65_537) } }).to_string();
    let cases = [
        ("/api/pixel/run", long.as_str(), 422, "refused"),
        ("/api/pixel/run", r#"{"source":"#, 400, "malformed"),
        ("/api/pixel/run", "", 400, "malformed"),
        ("/api/pixel/run", "[]", 400, "malformed"),
        ("/api/pixel/run", r#"{"source":"HALT","inputs":[]}"#, 400, "malformed"),
        ("/api/pixel/run", &deep, 400, "malformed"),
        ("/api/pixel/run", r#"{"source":"HALT","sauce":1}"#, 400, "malformed"),
        ("/api/pixel/run", r#"{"source":"HALT","backend":"tpu"}"#, 400, "malformed"),
        ("/api/pixel/run", r#"{"source":"HALT","max_cycles":-1}"#, 400, "malformed"),
        ("/api/pixel/run", r#"{"source":"HALT","max_cycles":1.5}"#, 400, "malformed"),
        ("/api/pixel/run", r#"{"source":"HALT","max_cycles":0}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","max_cycles":100000001}"#, 422, "refused"),
        ("/api/pixel/run", &wide, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","lanes":65537}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","lanes":65536}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","inputs":{"frames":0}}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","run_uuid":"x"}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","backend":"gpu"}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"source":"HALT","cartridge":"x"}"#, 422, "refused"),
        ("/api/pixel/run", r#"{}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"cartridge":"../../etc/passwd"}"#, 404, "not-found"),
        ("/api/pixel/run", r#"{"cartridge":"iVBORw0KGgo="}"#, 422, "refused"),
        ("/api/pixel/run", r#"{"program":[[1,2,3]]}"#, 400, "malformed"),
        ("/api/pixel/assemble", r#"{"source":"\nADDD r1"}"#, 422, "assembly"),
        ("/api/pixel/batch", r#"{"programs":[]}"#, 422, "refused"),
        ("/api/pixel/batch", r#"{"programs":[".canvas 8 8\nHALT","HALT"]}"#, 422, "refused"),
        ("/api/nothing", "{}", 404, "not-found"),
        ("/health", "{}", 405, "method"),
    ];
    for (path, body, status, name) in cases {
        let answer = served.ask("POST", path, Some(body));
        let shown: String = body.chars().take(60).collect();
        assert_eq!(answer.problem(status), name, "{path} {shown}");
    }
    let place = served.ask("POST", "/api/pixel/run", Some("{\n \"source\": 5}")).json(400);
    assert_eq!(
        (&place["errors"][0]["line"], &place["errors"][0]["column"]),
        (&json!(2), &json!(12))
    );
    let place =
        served.post("/api/pixel/assemble", &json!({ "source": "NOP\n  ADDD r1" })).json(422);
    assert_eq!(
        (&place["errors"][0]["line"], &place["errors"][0]["column"]),
        (&json!(2), &json!(3))
    );
    let text = served.ask_with("POST", "/api/pixel/run", "content-type: text/plain\r\n", None);
    assert_eq!(text.problem(415), "media-type");
    assert_eq!(served.get("/health").json(200)["status"], "ok");
}

#[test]
fn bodies_that_never_end_are_not_read_to_the_end() {
    let served = Served::start();
    let before = resident();
    let head = format!(
        "POST /api/pixel/run HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n",
        served.addr
    );
    let began = Instant::now();
    let announced = served.send(format!("{head}content-length: {}\r\n\r\n", 1 << 30).as_bytes());
    assert_eq!(announced.problem(413), "too-large");
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..40 {
        chunked.extend(b"10000\r\n");
        chunked.extend([b' '; 0x10000]);
        chunked.extend(b"\r\n");
    }
    assert_eq!(served.send(&chunked).problem(413), "too-large");
    assert!(began.elapsed() < Duration::from_secs(5));
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[test]
fn heads_are_bounded() {
    let served = Served::start();
    let line = "x-filler: y\r\n";
    let head = format!("GET /health HTTP/1.1\r\nhost: {}\r\n", served.addr);
    let lines = served.send(format!("{head}{}\r\n", line.repeat(10_000)).as_bytes());
    assert_eq!(lines.status, 431);
    let long = served.send(format!("{head}x: {}\r\n\r\n", "y".repeat(1 << 20)).as_bytes());
    assert_eq!(long.status, 431);
    for rubbish in ["\0\0\0\0\r\n\r\n", "GET /health\r\n\r\n", "GET / HTTP/9\r\n\r\n"] {
        assert!([0, 400, 505].contains(&served.send(rubbish.as_bytes()).status), "{rubbish:?}");
    }
    assert_eq!(served.get("/health").status, 200);
}

#[test]
fn slow_heads_do_not_keep_others_out_and_are_cut_off() {
    let served = Served::start();
    let before = resident();
    let mut slow: Vec<TcpStream> = (0..200).map(|_| served.connect()).collect();
    let began = Instant::now();
    slow.iter_mut().for_each(|stream| stream.write_all(b"GET /health HTTP/1.1\r\nhost: ").unwrap());
    assert_eq!(served.get("/health").status, 200);
    assert!(began.elapsed() < Duration::from_secs(2));
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest); // closed, whatever it says
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(18)).contains(&took), "{took:?}");
    assert!(resident().saturating_sub(before) < 32 << 20);
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let served = Served::start();
    std::fs::write(served.data().join("secret"), "secret").unwrap();
    for path in [
        "/../secret",
        "/page/../../secret",
        "/page/%2e%2e%2fsecret",
        "/api/cartridges/..%2fsecret",
        "/api/cartridges/..%2f..%2fsecret/image.png",
        "/api/cartridges/%2e%2e/image.png",
        "/api/runs/..%2fsecret",
        "/api/runs/%00",
        "/api/map/-1",
        "/api/map/99999999999999999999",
        "/api/scripts/%ff",
    ] {
        let answer = served.get(path);
        assert!([400, 404, 422].contains(&answer.status), "{path}: {}", answer.status);
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret\""), "{path}");
        answer.problem(answer.status);
    }
}

#[test]
fn others_pages_and_names_are_refused() {
    let served = Served::start();
    let body = json!({ "source": "HALT" }).to_string();
    let from = |origin: &str| {
        let header = format!("origin: {origin}\r\n");
        served.ask_with("POST", "/api/pixel/run", &header, Some(&body))
    };
    assert_eq!(from(&format!("http://{}", served.addr)).status, 200);
    assert_eq!(from("https://evil.example").problem(403), "origin");
    assert_eq!(from("null").problem(403), "origin");
    let rebound = b"GET /status HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert_eq!(served.send(rebound).problem(421), "host");
}

#[test]
fn a_token_is_asked_for_and_needed_off_the_loopback() {
    let served = Served::with(Some("s3cret"));
    assert_eq!(served.get("/api/map").problem(401), "token");
    assert!(served.get("/api/map").head.contains("www-authenticate: bearer"));
    assert_eq!(served.get("/health").status, 200);
    let bearer = "authorization: Bearer s3cret\r\n";
    assert_eq!(served.ask_with("GET", "/api/map", bearer, None).status, 200);
    let options = Options {
        addr: "0.0.0.0:0".parse().unwrap(),
        data: served.data().into(),
        place: Place::Host,
        hosts: Vec::new(),
        token: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(Server::bind(options)).unwrap_err();
    assert!(matches!(refused, ServeError::Token(_)), "{refused}");
}
