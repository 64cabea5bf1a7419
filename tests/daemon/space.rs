//! A disk that is full, and not any more.

use super::*;
use std::io::Write;

#[test]
fn a_full_disk_stops_claims_and_nothing_else() {
    let mount = "mount -t tmpfs -o size=2m tmpfs \"$0\"";
    let name = "daemon::space::a_full_disk_stops_claims_and_nothing_else";
    if in_namespaces("-rm", mount, name).is_some() {
        return;
    }
    let folder = prepared();
    drop(gvpie::store::Store::open(&folder).unwrap());
    insert(&folder, "hello", HELLO);
    let mut up = Process::up(&folder, "0.05");
    let runs = || number(&folder, "SELECT count(*) FROM improvement_runs WHERE status = 'ok'");
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        let found = until(Duration::from_secs(10), || done().then_some(()));
        assert!(found.is_some(), "{what}");
    };
    wait("it does not run", &|| runs() > 2);

    let filling = folder.join("filling");
    let mut file = std::fs::File::create(&filling).unwrap();
    let full =
        until(Duration::from_secs(10), || (0..512).find_map(|_| file.write_all(&[1; 4096]).err()));
    let full = full.expect("it is never full");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // Until what the log had left over is used up; from then on, not one more.
    let mut before = runs();
    let stopped = until(Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_secs(1));
        let _ = file.write_all(&[1; 4096]); // what a checkpoint has given back
        let now = runs();
        let same = now == before;
        before = now;
        same.then_some(())
    });
    assert!(stopped.is_some(), "claiming goes on");
    for _ in 0..20 {
        assert_eq!(up.ask("/health", None).unwrap().0, 200);
        let (status, answer) = up.ask("/api/pixel/run", Some(&json!({ "source": HELLO }))).unwrap();
        assert!(status == 200 || status == 503, "{status} {answer}");
    }
    let known = || up.ask("/status", None).unwrap().1["disk_full"] == json!(true);
    wait("the server does not say so", &known);
    let open = number(&folder, "SELECT count(*) FROM improvement_runs WHERE status = 'running'");
    println!("full after {before} runs, {open} open");

    drop(file);
    std::fs::remove_file(&filling).unwrap();
    wait("it does not recover", &|| runs() > before + 2);
    assert!(up.ends());
    let said = up.said();
    assert_eq!(said.matches("no space is left").count(), 1, "said once: {said}");
    assert_eq!(said.matches("all is well again").count(), 1, "{said}");
    check(&folder);
    assert_eq!(
        number(&folder, "SELECT count(*) FROM improvement_runs WHERE status = 'running'"),
        0
    );
    let abandoned = "SELECT count(*) FROM improvement_runs WHERE status = 'abandoned'";
    assert_eq!(number(&folder, abandoned), 0, "what was run was recorded in the end");
}
