//! Cycles against an API that answers as it is told to, by a clock that is not waited for.

use super::*;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// How the API answers: a status and a body, or not at all.
type Reply = Option<(u16, Value)>;

/// What it was asked, and how it answers a path and a body.
struct Api {
    address: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Api {
    fn answering(reply: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (heard, reply) = (asked.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (heard, reply) = (heard.clone(), reply.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &heard, &*reply));
            }
        });
        Api { address, asked }
    }

    /// One that is well and runs everything with success, but for what `execute` says.
    fn running(execute: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Api {
        Api::answering(move |path, body| match path {
            "/api/execute" => execute(body),
            "/health" => Some((200, json!({ "status": "ok" }))),
            _ => Some((202, json!({}))),
        })
    }

    /// The bodies of what was asked of a path.
    fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }

    /// What was told of events of a name.
    fn events(&self, name: &str) -> Vec<Value> {
        let events = self.asked("/api/events").into_iter();
        events.filter(|event| event["event"] == name).map(|event| event["data"].clone()).collect()
    }
}

/// Answers one request after another on a connection.
fn serve(
    mut stream: TcpStream,
    heard: &Mutex<Vec<(String, Value)>>,
    reply: &dyn Fn(&str, &Value) -> Reply,
) {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let mut more = [0; 4096];
            match stream.read(&mut more) {
                Ok(read) if read > 0 => bytes.extend(&more[..read]),
                _ => return,
            }
        };
        let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
        let path = text.split(' ').nth(1).unwrap().to_string();
        let lower = text.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        bytes.drain(..head);
        while bytes.len() < length {
            let mut more = [0; 4096];
            let read = stream.read(&mut more).unwrap();
            bytes.extend(&more[..read]);
        }
        let body: Vec<u8> = bytes.drain(..length).collect();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        heard.lock().unwrap().push((path.clone(), body.clone()));
        let Some((status, body)) = reply(&path, &body) else { return };
        let body = body.to_string();
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
    }
}

fn success() -> Reply {
    Some((
        200,
        json!({
            "success": true, "cycles_executed": 2, "instruction_pointer": 1, "execution_time_ms": 0.6,
            "backend_used": "cpu", "error": null, "status": "halted", "fuel": 9, "stdout": "said",
            "canvas": [1, 1], "canvas_data": "AQID/w==", "canvas_sha256": null, "notice": null,
        }),
    ))
}

/// A clock whose time passes when it is waited for, until it has been for so many cycles.
struct Ticks {
    now: Cell<Duration>,
    left: Cell<u32>,
}

impl Clock for Ticks {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn wait(&self, until: Duration, stop: &Stop) -> bool {
        self.now.set(until);
        self.left.set(self.left.get() - 1);
        self.left.get() == 0 || stop.asked()
    }
}

fn options(folder: &TempDir, api: &str) -> Options {
    Options {
        data: folder.path().into(),
        api: api.into(),
        interval: Duration::from_secs(10),
        allow_network: false,
        allow_python: false,
        token: Some("secret".into()),
        progress: false,
    }
}

fn cycles(folder: &TempDir, api: &Api, number: u32) {
    let clock = Ticks { now: Cell::default(), left: Cell::new(number) };
    run_by(options(folder, &api.address), &Stop::default(), &clock).unwrap();
}

fn database(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("db/daemon.db")).unwrap()
}

fn number(folder: &TempDir, sql: &str) -> i64 {
    database(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

fn word(folder: &TempDir, sql: &str) -> String {
    database(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A folder with scripts, inserted as a person would with plain SQL.
fn with_scripts(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    names.iter().for_each(|name| insert(&folder, name, "pixel"));
    folder
}

fn insert(folder: &TempDir, name: &str, lang: &str) {
    let sql = "INSERT INTO improvement_scripts (name, lang, code, created_at)
        VALUES (?1, ?2, 'HALT', datetime('now'))";
    database(folder).execute(sql, [name, lang]).unwrap();
}

#[test]
fn scripts_are_run_three_a_cycle_and_recorded_with_their_canvas() {
    let folder = with_scripts(&["a", "b", "c", "d"]);
    let api = Api::running(|_| success());
    cycles(&folder, &api, 2);
    let runs =
        "SELECT count(*) FROM improvement_runs WHERE status = 'ok' AND finished_at IS NOT NULL";
    assert_eq!(number(&folder, runs), 6);
    let order = "SELECT group_concat(name, '') FROM (SELECT s.name FROM improvement_runs r
        JOIN improvement_scripts s ON s.id = r.script_id ORDER BY r.id)";
    assert_eq!(word(&folder, order), "abcdab", "never-run first, then the oldest");
    let uuids = "SELECT count(DISTINCT run_uuid) FROM improvement_runs";
    let sent: std::collections::HashSet<_> =
        api.asked("/api/execute").iter().map(|body| body["run_uuid"].to_string()).collect();
    assert_eq!((number(&folder, uuids), sent.len()), (6, 6));
    let hash = word(&folder, "SELECT canvas_sha256 FROM improvement_runs WHERE id = 1");
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.object(&hash).unwrap(), [1, 2, 3, 255]);
    let cycle = "SELECT max(metric_value) FROM system_metrics WHERE metric_name = 'cycle'";
    assert_eq!(database(&folder).query_row(cycle, [], |row| row.get(0)), Ok(2.0));
    let told = api.events("cycle");
    assert_eq!([&told[0]["cycle"], &told[1]["cycle"]], [1, 2]);
    assert_eq!(api.events("run").len(), 6);
    cycles(&folder, &api, 1);
    assert_eq!(number(&folder, "SELECT max(iteration) FROM infinite_map"), 3, "it counts on");
    assert!(matches!(store.verify().unwrap(), crate::store::Verdict::Whole { .. }));
}

#[test]
fn nothing_is_claimed_while_the_api_is_not_well() {
    let folder = with_scripts(&["a"]);
    let api = Api::answering(|_, _| Some((503, json!({ "status": "stopping" }))));
    cycles(&folder, &api, 3);
    assert_eq!(number(&folder, "SELECT count(*) FROM improvement_runs"), 0);
    let troubles = "SELECT count(*) FROM system_metrics WHERE metric_name = 'cycle'
        AND context LIKE '%not well: status 503%'";
    assert_eq!(number(&folder, troubles), 3);
    assert_eq!(api.events("notice").len(), 1);
}

#[test]
fn an_api_that_is_busy_takes_nothing_from_a_script() {
    for status in [429, 503, 401, 404] {
        let folder = with_scripts(&["a", "b"]);
        let api = Api::running(move |_| Some((status, json!({ "title": "no" }))));
        cycles(&folder, &api, 2);
        assert_eq!(
            api.asked("/api/execute").len(),
            2,
            "one a cycle: the others would fare no better"
        );
        assert_eq!(number(&folder, "SELECT count(*) FROM improvement_runs"), 0);
        assert_eq!(number(&folder, "SELECT count(*) FROM infinite_map"), 1);
        let due = "SELECT count(*) FROM improvement_scripts
            WHERE enabled = 1 AND next_run_at IS NULL AND run_count = 0 AND fail_streak = 0";
        assert_eq!(number(&folder, due), 2);
    }
}

#[test]
fn what_does_not_assemble_is_switched_off_and_what_is_refused_waits() {
    let folder = with_scripts(&["bad", "large", "fault"]);
    let api = Api::running(|body| {
        static FIRST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        assert_eq!(body["code"], "HALT");
        match FIRST.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Some((
                422,
                json!({ "type": "urn:gvpie:problem:assembly", "title": "it does not assemble",
                    "errors": [{ "line": 3, "column": 7, "message": "no such word" }] }),
            )),
            1 => Some((413, json!({ "title": "too large", "detail": "by much" }))),
            _ => Some((
                200,
                json!({ "success": false, "error": "division by zero", "backend_used": "gpu" }),
            )),
        }
    });
    cycles(&folder, &api, 3);
    assert_eq!(api.asked("/api/execute").len(), 3, "each waits or is switched off");
    let told = |name: &str| {
        word(
            &folder,
            &format!(
                "SELECT s.enabled || ' ' || s.fail_streak || ' ' || r.status || ' ' || r.backend
                    || ' ' || r.stderr || ' ' || ifnull(s.disabled_reason, '')
                 FROM improvement_runs r JOIN improvement_scripts s ON s.id = r.script_id
                 WHERE s.name = '{name}'"
            ),
        )
    };
    let bad = "0 1 failed none it does not assemble\n3:7: no such word it does not assemble";
    assert_eq!(told("bad"), bad);
    assert_eq!(told("large"), "1 1 failed none too large: by much ");
    assert_eq!(told("fault"), "1 1 failed gpu division by zero ");
}

#[test]
fn a_run_without_an_answer_is_abandoned_once_and_due_again() {
    let folder = with_scripts(&["a"]);
    let lost = Arc::new(Mutex::new(0));
    let counted = lost.clone();
    let api = Api::running(move |_| {
        *counted.lock().unwrap() += 1;
        if *counted.lock().unwrap() <= 2 { None } else { success() }
    });
    cycles(&folder, &api, 3);
    let statuses = "SELECT group_concat(status || attempt, ' ') FROM improvement_runs";
    assert_eq!(word(&folder, statuses), "abandoned1 abandoned2 ok3");
    let kinds = "SELECT group_concat(kind, ' ') FROM infinite_map WHERE run_id IS NOT NULL";
    assert_eq!(word(&folder, kinds), "abandoned abandoned run");
    let counters =
        "SELECT run_count * 100 + success_count * 10 + fail_streak FROM improvement_scripts";
    assert_eq!(number(&folder, counters), 110);
    // One that takes the API with it each time is not tried for ever.
    let folder = with_scripts(&["poison"]);
    let api = Api::running(|_| None);
    cycles(&folder, &api, 9);
    assert_eq!(api.asked("/api/execute").len(), 5);
    let failed = "SELECT count(*) FROM improvement_runs WHERE status = 'failed' AND attempt = 6";
    assert_eq!(number(&folder, failed), 1);
}

#[test]
fn runs_of_a_killed_daemon_are_recorded_and_run_again() {
    let folder = with_scripts(&["a"]);
    let mut store = Store::open(folder.path()).unwrap();
    store.begin_run(&store.due(1).unwrap()[0].clone()).unwrap();
    drop(store);
    cycles(&folder, &Api::running(|_| success()), 1);
    let statuses = "SELECT group_concat(status || attempt, ' ') FROM improvement_runs";
    assert_eq!(word(&folder, statuses), "abandoned1 ok2");
}

#[test]
fn what_is_inserted_by_hand_is_run_in_the_next_cycle() {
    let folder = Arc::new(with_scripts(&["a"]));
    let inside = folder.clone();
    let api = Api::answering(move |path, body| {
        // In the middle of cycles: after the first has told of itself.
        if body["event"] == "cycle" && body["data"]["cycle"] == 1 {
            insert(&inside, "hand", "pixel");
            insert(&inside, "snake", "python");
        }
        if path == "/api/execute" { success() } else { Some((200, json!({}))) }
    });
    cycles(&folder, &api, 2);
    let second = "SELECT group_concat(task_description, ' ') FROM infinite_map WHERE iteration = 2
        AND kind = 'run'";
    assert_eq!(word(&folder, second), "hand snake a");
    let skipped = "SELECT status || ' ' || backend FROM improvement_runs r
        JOIN improvement_scripts s ON s.id = r.script_id WHERE s.name = 'snake'";
    assert_eq!(word(&folder, skipped), "skipped none");
}

#[test]
fn clocks_that_jump_stop_no_script() {
    // That the clock was set back is, for the store, that all it has written is of the future.
    for (jump, runs) in [("+1 year", 2), ("-1 year", 2), ("+0 seconds", 1)] {
        let folder = with_scripts(&["hourly"]);
        database(&folder).execute("UPDATE improvement_scripts SET interval_s = 3600", []).unwrap();
        let api = Api::running(|_| success());
        cycles(&folder, &api, 3);
        assert_eq!(number(&folder, "SELECT count(*) FROM improvement_runs"), 1);
        let moved = "UPDATE improvement_scripts SET last_run_at = datetime(last_run_at, ?1),
            next_run_at = datetime(next_run_at, ?1)";
        database(&folder).execute(moved, [jump]).unwrap();
        cycles(&folder, &api, 3);
        assert_eq!(number(&folder, "SELECT count(*) FROM improvement_runs"), runs, "{jump}");
    }
}

#[test]
fn a_second_daemon_is_refused_with_the_first_ones_process() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::take(folder.path()).unwrap();
    let api = Api::running(|_| success());
    let refused = run(options(&folder, &api.address), &Stop::default()).unwrap_err().to_string();
    let expected = format!(
        "'{}' has a daemon already: process {}",
        folder.path().display(),
        std::process::id()
    );
    assert_eq!(refused, expected);
    drop(lock);
    Lock::take(folder.path()).unwrap();
}

#[test]
fn it_stops_between_runs_and_does_not_wait_longer_than_its_grace() {
    let folder = with_scripts(&["a", "b"]);
    let stop = Stop::default();
    let asked = stop.clone();
    let api = Api::running(move |_| {
        asked.ask();
        std::thread::sleep(Duration::from_millis(300));
        success()
    });
    run(options(&folder, &api.address), &stop).unwrap();
    assert_eq!(word(&folder, "SELECT group_concat(status) FROM improvement_runs"), "ok");
    assert!(!folder.path().join("db/daemon.db-wal").metadata().is_ok_and(|log| log.len() > 0));

    let folder = with_scripts(&["a"]);
    let stop = Stop::default();
    let asked = stop.clone();
    let api = Api::running(move |_| {
        asked.ask();
        std::thread::sleep(Duration::from_secs(20));
        success()
    });
    let began = std::time::Instant::now();
    run(options(&folder, &api.address), &stop).unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!((5.0..7.0).contains(&took), "{took} s");
    assert_eq!(word(&folder, "SELECT group_concat(status) FROM improvement_runs"), "abandoned");
}

#[test]
fn ticks_that_were_missed_are_skipped() {
    let seconds = Duration::from_secs_f64;
    for (now, interval, next) in [
        (0.0, 10.0, 10.0),
        (9.9, 10.0, 10.0),
        (10.0, 10.0, 20.0),
        (57.0, 10.0, 60.0),
        (0.3, 0.25, 0.5),
    ] {
        assert_eq!(clock::next_tick(seconds(now), seconds(interval)), seconds(next), "{now}");
    }
    assert!(clock::next_tick(Duration::MAX, Duration::from_nanos(1)) > Duration::from_secs(1));
}
