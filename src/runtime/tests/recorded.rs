//! What is run over HTTP is recorded, once, and told.

use super::*;
use rusqlite::Connection;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::time::Instant;

fn count(served: &Served, sql: &str) -> i64 {
    let db = Connection::open(served.data().join("db/daemon.db")).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

const RUNS: &str = "SELECT count(*) FROM improvement_runs r JOIN infinite_map m ON m.run_id = r.id
    WHERE r.script_id IS NULL AND m.kind = 'run'";

#[test]
fn durable_runs_are_on_the_disk_when_they_are_answered() {
    let served = Served::start();
    for n in 1..=3 {
        let uuid = uuid::Uuid::new_v4().to_string();
        let request = json!({ "source": "HALT", "durable": true, "run_uuid": uuid });
        let run = served.post("/api/pixel/run", &request).json(200);
        assert_eq!((&run["run_uuid"], &run["notice"]), (&json!(uuid), &Value::Null));
        assert_eq!(count(&served, RUNS), n);
        assert_eq!(served.post("/api/pixel/run", &request).problem(409), "conflict");
    }
    let verdict = Store::open(served.data()).unwrap().verify().unwrap();
    assert!(matches!(verdict, crate::store::Verdict::Whole { rows: 4, .. }), "{verdict:?}");
}

#[test]
fn other_runs_soon_are_and_when_the_server_has_stopped() {
    let mut served = Served::start();
    let request = json!({ "source": "HALT", "canvas": "none" });
    served.post("/api/pixel/run", &request).json(200);
    let began = Instant::now();
    while count(&served, RUNS) == 0 {
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..20 {
        served.post("/api/pixel/run", &request).json(200);
    }
    served.stop();
    assert_eq!(count(&served, RUNS), 21);
}

#[test]
fn who_listens_is_told_of_runs() {
    let served = Served::start();
    let mut stream = served.connect();
    let head = format!("GET /api/events HTTP/1.1\r\nhost: {}\r\n\r\n", served.addr);
    stream.write_all(head.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.to_lowercase() == "content-type: text/event-stream"));
    assert!(lines.by_ref().any(|line| line.is_empty()));
    let run = served.post("/api/pixel/run", &json!({ "source": "HALT" })).json(200);
    assert!(lines.by_ref().any(|line| line == "event: run"));
    let data =
        lines.by_ref().find_map(|line| line.strip_prefix("data: ").map(str::to_string)).unwrap();
    let data: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&data["run_uuid"], &data["status"]), (&run["run_uuid"], &json!("ok")));
    let told = json!({ "event": "cycle", "data": { "cycle": 7, "ran": 3, "failed": 0 } });
    assert_eq!(served.post("/api/events", &told).status, 202);
    assert!(lines.by_ref().any(|line| line == "event: cycle"));
    assert_eq!(served.get("/status").json(200)["daemon"]["cycle"], 7);
}

#[test]
fn a_server_that_stops_ends_streams_and_serves_what_is_under_way() {
    let mut served = Served::start();
    let mut listener = served.connect();
    let head = format!("GET /api/events HTTP/1.1\r\nhost: {}\r\n\r\n", served.addr);
    listener.write_all(head.as_bytes()).unwrap();
    let long =
        json!({ "source": "a: JMP a", "max_cycles": 10_000_000, "canvas": "none" }).to_string();
    let mut run = served.connect();
    let head = format!(
        "POST /api/pixel/run HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        served.addr,
        long.len()
    );
    run.write_all(format!("{head}{long}").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    served.stop();
    assert!(began.elapsed() < Duration::from_secs(8));
    let answer = Answer::read(run);
    assert_eq!(answer.json(200)["cycles_executed"], 10_000_000);
    assert_eq!(Answer::read(listener).status, 200);
    assert_eq!(count(&served, RUNS), 1);
}
