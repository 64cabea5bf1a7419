//! Cartridges, scripts, goals and the map over HTTP.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

const HELLO: &str = "TXT 10 10 Hello World\nHALT";

#[test]
fn cartridges_are_kept_shown_run_changed_and_taken_away() {
    let served = Served::start();
    let new = json!({ "name": "Hello, you!", "author": "me", "tags": ["a"], "source": HELLO });
    let made = served.post("/api/cartridges", &new);
    assert!(made.head.contains("location: /api/cartridges/1"), "{}", made.head);
    let made = made.json(201);
    assert_eq!((&made["slug"], &made["name"]), (&json!("hello-you"), &json!("Hello, you!")));
    let file = served.get("/api/cartridges/hello-you/image.png");
    assert_eq!(file.status, 200);
    let kept = gvpie_core::pixel::Cartridge::decode(&file.body).unwrap();
    assert_eq!((kept.source.as_deref(), kept.meta.author.as_str()), (Some(HELLO), "me"));
    for name in ["1", "hello-you"] {
        let run = served.post(&format!("/api/cartridges/{name}/run"), &json!({})).json(200);
        assert_eq!((&run["cycles_executed"], &run["canvas"]), (&json!(2), &json!([128, 64])));
    }
    let path = made["path"].as_str().unwrap();
    for request in [json!({ "cartridge": path }), json!({ "cartridge": "1" })] {
        assert_eq!(served.post("/api/pixel/run", &request).json(200)["success"], true);
    }
    let execute = json!({ "lang": "cartridge", "code": path, "durable": true });
    assert_eq!(served.post("/api/execute", &execute).json(200)["success"], true);
    let told = served.get("/api/cartridges/1").json(200);
    assert_eq!(told["source"], HELLO);
    assert_eq!((&told["instructions"], &told["executed_count"]), (&json!(2), &json!(5)));

    let change = json!({ "source": "RECT 1 1 9 9\nHALT" }).to_string();
    let changed = served.ask("PUT", "/api/cartridges/1", Some(&change)).json(200);
    assert_eq!((&changed["slug"], &changed["name"]), (&json!("hello-you"), &json!("Hello, you!")));
    assert_ne!(changed["path"], made["path"]);
    let long = json!({ "source": HELLO, "slug": "long", "name": "é".repeat(200) });
    served.post("/api/cartridges", &long).json(201);
    served.ask("DELETE", "/api/cartridges/long", None);
    let image = json!({ "image": STANDARD.encode(&file.body), "slug": "twin", "parent_id": 1 });
    assert_eq!(served.post("/api/cartridges", &image).json(201)["parent_id"], 1);
    assert_eq!(
        served.get("/api/cartridges?limit=1").json(200)["items"].as_array().unwrap().len(),
        1
    );
    assert_eq!(served.ask("DELETE", "/api/cartridges/1", None).status, 204);
    served.get("/api/cartridges/1").problem(404);
    assert_eq!(served.get("/api/cartridges").json(200)["items"][0]["slug"], "twin");
    for (bad, status) in [
        (json!({ "name": "x" }), 422),
        (json!({ "source": "RUBBISH" }), 422),
        (json!({ "source": HELLO, "image": "x" }), 422),
        (json!({ "image": "aGFsbG8=" }), 422),
        (json!({ "source": HELLO, "slug": "../x" }), 422),
        (json!({ "source": HELLO, "slug": "twin" }), 409),
        (json!({ "source": HELLO, "parent_id": 77 }), 404),
        (json!({ "source": HELLO, "name": "é".repeat(201) }), 422),
        (json!({ "source": HELLO, "tags": vec!["a"; 21] }), 422),
        (json!({ "source": HELLO, "tags": ["a".repeat(201)] }), 422),
    ] {
        served.post("/api/cartridges", &bad).problem(status);
    }
}

#[test]
fn a_damaged_cartridge_is_not_run() {
    let served = Served::start();
    let made = served.post("/api/cartridges", &json!({ "source": HELLO, "slug": "one" })).json(201);
    let path = served.data().join(made["path"].as_str().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    served.post("/api/cartridges/one/run", &json!({})).problem(422);
    std::fs::remove_file(&path).unwrap();
    served.post("/api/cartridges/one/run", &json!({})).problem(422);
}

#[test]
fn scripts_are_added_run_and_switched() {
    let served = Served::start();
    let new = json!({ "name": "hello", "lang": "pixel", "code": HELLO, "purpose": "to greet" });
    let made = served.post("/api/scripts", &new).json(201);
    assert_eq!(
        (&made["id"], &made["enabled"], &made["last"]),
        (&json!(1), &json!(true), &Value::Null)
    );
    served.get("/api/scripts/1/canvas.png").problem(404);
    let run = served.ask("POST", "/api/scripts/1/run", Some("a body that nobody wants")).json(200);
    assert_eq!(run["success"], true);
    let row = served.get("/api/scripts/1").json(200);
    assert_eq!((&row["run_count"], &row["success_count"]), (&json!(1), &json!(1)));
    assert_eq!(row["last"]["run_uuid"], run["run_uuid"]);
    for place in [
        "/api/scripts/1/canvas.png".into(),
        format!("/api/runs/{}/canvas.png", row["last"]["run_uuid"].as_str().unwrap()),
    ] {
        let picture = served.get(&place);
        assert_eq!(picture.status, 200);
        assert!(picture.body.starts_with(b"\x89PNG"));
    }
    let off = json!({ "enabled": false, "purpose": null, "interval_s": 2.5 }).to_string();
    let row = served.ask("PATCH", "/api/scripts/1", Some(&off)).json(200);
    assert_eq!(
        (&row["enabled"], &row["purpose"], &row["interval_s"]),
        (&json!(false), &Value::Null, &json!(2.5))
    );
    served.post("/api/scripts", &new).problem(409);
    let bad = json!({ "name": "bad", "lang": "pixel", "code": "NOP\nRUBBISH" });
    let refused = served.post("/api/scripts", &bad);
    assert_eq!(refused.problem(422), "assembly");
    assert_eq!(refused.json(422)["errors"][0]["line"], 2);
    let python = json!({ "name": "snake", "lang": "python", "code": "print(1)" });
    assert_eq!(served.post("/api/scripts", &python).json(201)["id"], 2);
    served.ask("POST", "/api/scripts/2/run", None).problem(422);
    let first = served.get("/api/scripts?limit=1").json(200);
    let rest = served.get(&format!("/api/scripts?cursor={}", first["next"])).json(200);
    assert_eq!((&first["items"][0]["id"], &rest["items"][0]["id"]), (&json!(1), &json!(2)));
    assert_eq!(rest["next"], Value::Null);
    let runs = served.get("/api/runs?script=1&status=ok").json(200);
    assert_eq!(runs["items"][0]["script"], "hello");
    for bad in ["/api/scripts?limit=0", "/api/runs?status=lost", "/api/map?sort=x"] {
        let status = served.get(bad).status;
        assert!([400, 422].contains(&status), "{bad}: {status}");
    }
}

#[test]
fn goals_are_set_and_reached_and_the_map_tells() {
    let served = Served::start();
    let goal = served.post("/api/goals", &json!({ "goal": "draw a cat", "priority": 8 })).json(201);
    assert_eq!((&goal["id"], &goal["completed"]), (&json!(1), &json!(false)));
    let done = served.ask("PATCH", "/api/goals/1", Some(r#"{"completed":true}"#)).json(200);
    assert_eq!(done["completed"], true);
    assert_eq!(served.get("/api/goals").json(200)["items"], json!([]));
    assert_eq!(served.get("/api/goals?all=true").json(200)["items"][0]["goal"], "draw a cat");
    served.post("/api/goals", &json!({ "goal": "x", "priority": 11 })).problem(422);
    served.ask("PATCH", "/api/goals/9", Some("{}")).problem(404);

    let script = json!({ "name": "s", "lang": "pixel", "code": HELLO });
    served.post("/api/scripts", &script).json(201);
    for _ in 0..2 {
        served.ask("POST", "/api/scripts/1/run", None).json(200);
    }
    let map = served.get("/api/map").json(200);
    let kinds: Vec<&str> =
        map["items"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run", "run", "script", "goal", "goal", "genesis"]);
    let last = map["items"][0]["id"].as_i64().unwrap();
    let lineage = served.get(&format!("/api/map/{last}/lineage")).json(200);
    assert_eq!(lineage["items"].as_array().unwrap().len(), 3, "{lineage}");
    assert_eq!(served.get("/api/map?kind=goal").json(200)["items"].as_array().unwrap().len(), 2);
    let region = served.get("/api/map/region?x0=0&y0=1&x1=0&y1=1").json(200);
    assert_eq!(region["items"].as_array().unwrap().len(), 3, "{region}");
    assert_eq!(region["items"][0]["status"], "ok");
    let verified = served.get("/api/map/verify").json(200);
    assert_eq!((&verified["whole"], &verified["rows"]), (&json!(true), &json!(6)));
    served.get("/api/map/77").problem(404);
    served.get("/api/map/77/lineage").problem(404);
}

#[test]
fn figures_are_told_to_people_and_to_prometheus() {
    let served = Served::start();
    served.post("/api/pixel/run", &json!({ "source": "HALT", "durable": true })).json(200);
    let status = served.get("/status").json(200);
    assert_eq!((&status["name"], &status["runs_total"]), (&json!("gvpie"), &json!(1)));
    assert_eq!((&status["gpu_available"], &status["backend"]), (&json!(false), &json!("cpu")));
    assert_eq!(status["queue"], json!({ "waiting": 0, "limit": 256 }));
    let metrics = String::from_utf8(served.get("/metrics").body).unwrap();
    assert!(
        metrics.contains("\n# TYPE gvpie_runs_total counter\ngvpie_runs_total 1\n"),
        "{metrics}"
    );
    let backends = served.get("/api/pixel/backends").json(200);
    assert_eq!(backends["backends"][0]["available"], true);
    assert_eq!(backends["backends"][1]["available"], false);
    let page = served.get("/");
    assert!(page.head.contains("content-security-policy: default-src 'self'"));
    assert!(String::from_utf8_lossy(&page.body).contains("<html"));
}

#[test]
fn every_route_is_described() {
    let described = serde_json::to_value(description()).unwrap();
    let paths = described["paths"].as_object().unwrap();
    assert!(paths.len() > 25, "{}", paths.len());
    let text = described.to_string();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("4XX"), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
        }
    }
    for reference in text.split("\"$ref\":\"#/").skip(1) {
        let pointer = format!("/{}", reference.split('"').next().unwrap());
        assert!(described.pointer(&pointer).is_some(), "{pointer}");
    }
}
