//! kill -9, again and again: nothing that was acknowledged is lost, nothing is doubled.

use super::*;
use crate::effort::Effort;
use std::collections::HashSet;
use std::thread;

/// Some milliseconds, so that a kill may fall into them.
const LONG: &str = "LDI r0 60000\nmore: DJNZ r0 more\nHALT\n";

#[test]
fn what_was_acknowledged_outlives_kill_9() {
    let effort = Effort::of_environment();
    let points = if effort == Effort::Full { 200 } else { 12 };
    let seed = effort.seed();
    println!("{} points; again: {}", points, effort.again(seed));
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = folder();
    insert(folder.path(), "short", HELLO);
    insert(folder.path(), "long", LONG);
    let mut acknowledged = HashSet::new();
    for point in 0..points {
        if random.u8(0..3) == 0 {
            // While it begins: it opens the tables, and ends what the one before has left open.
            let data = folder.path().to_str().unwrap();
            let mut command = gvpie(&["up", "--addr", "127.0.0.1:0", "--data", data]);
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let mut early = Process { child, url: String::new() };
            thread::sleep(Duration::from_millis(random.u64(0..60)));
            early.kill();
        }
        let mut up = Process::up(folder.path(), "0.005");
        let after = Duration::from_millis(random.u64(0..300));
        thread::scope(|scope| {
            let url = up.url.clone();
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let client = Remote { url: url.clone() };
                    scope.spawn(move || client.acknowledged())
                })
                .collect();
            thread::sleep(after);
            up.kill();
            for client in clients {
                acknowledged.extend(client.join().unwrap());
            }
        });
        if point % 10 == 0 {
            check(folder.path());
        }
    }
    let mut up = Process::up(folder.path(), "0.005");
    let open = "SELECT count(*) FROM improvement_runs WHERE status = 'running'";
    let abandoned = number(
        folder.path(),
        "SELECT count(*) FROM improvement_runs
        WHERE status = 'abandoned'",
    );
    let again = until(Duration::from_secs(5), || {
        let waiting = "SELECT count(*) FROM improvement_runs a WHERE status = 'abandoned'
            AND NOT EXISTS (SELECT 1 FROM improvement_runs r WHERE r.script_id = a.script_id
                AND r.id > a.id AND r.status = 'ok')";
        (number(folder.path(), waiting) == 0).then_some(())
    });
    assert!(again.is_some(), "abandoned runs were not run again");
    assert!(up.ends());
    assert_eq!(number(folder.path(), open), 0);
    check(folder.path());
    let database = database(folder.path());
    let mut recorded = database
        .prepare("SELECT count(*), min(status) FROM improvement_runs WHERE run_uuid = ?1")
        .unwrap();
    for uuid in &acknowledged {
        let found: (i64, Option<String>) =
            recorded.query_row([uuid], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(found, (1, Some("ok".into())), "{uuid} was acknowledged");
    }
    let ran = number(folder.path(), "SELECT count(*) FROM improvement_runs WHERE status = 'ok'");
    println!(
        "{points} kills: {} acknowledged, {ran} recorded, {abandoned} abandoned and run again",
        acknowledged.len()
    );
    assert!(!acknowledged.is_empty());
}

#[test]
fn a_server_that_is_killed_takes_no_run_with_it() {
    let effort = Effort::of_environment();
    let points = if effort == Effort::Full { 60 } else { 6 };
    let seed = effort.seed();
    println!("{points} points; again: {}", effort.again(seed));
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = folder();
    insert(folder.path(), "short", HELLO);
    insert(folder.path(), "long", LONG);
    let mut server = Process::serve(folder.path());
    let url = server.url.clone();
    let data = folder.path().to_str().unwrap();
    let arguments = ["daemon", "--data", data, "--api", &url, "--interval", "0.002"];
    let mut daemon = Process { child: gvpie(&arguments).spawn().unwrap(), url: url.clone() };
    for _ in 0..points {
        std::thread::sleep(Duration::from_millis(random.u64(50..300)));
        server.kill();
        server = Process::serve_at(folder.path(), url.trim_start_matches("http://"));
    }
    let runs =
        || number(folder.path(), "SELECT count(*) FROM improvement_runs WHERE status = 'ok'");
    let before = runs();
    assert!(until(Duration::from_secs(5), || (runs() > before + 6).then_some(())).is_some());
    assert!(daemon.ends() && server.ends());
    check(folder.path());
    let others = "SELECT count(*) FROM improvement_runs WHERE status NOT IN ('ok', 'abandoned')";
    assert_eq!(number(folder.path(), others), 0, "no script is to blame");
    let lost = "SELECT count(*) FROM improvement_runs WHERE status = 'abandoned'";
    println!("{points} kills: {} runs ok, {} abandoned", runs(), number(folder.path(), lost));
}

/// A server that will be killed.
struct Remote {
    url: String,
}

impl Remote {
    /// Asks for runs until it is gone; those that were acknowledged.
    fn acknowledged(&self) -> Vec<String> {
        let agent = agent();
        let mut acknowledged = Vec::new();
        loop {
            let uuid = uuid::Uuid::new_v4().to_string();
            let body = json!({ "source": HELLO, "run_uuid": uuid, "durable": true });
            match agent.post(format!("{}/api/pixel/run", self.url)).send_json(&body) {
                Ok(answer) if answer.status() == 200 => acknowledged.push(uuid),
                Ok(answer) => panic!("status {}", answer.status()),
                Err(_) => return acknowledged,
            }
        }
    }
}
