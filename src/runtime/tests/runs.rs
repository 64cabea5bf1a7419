//! Programs run over HTTP.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gvpie_core::pixel::{Cartridge, assemble};
use serde_json::json;

const HELLO: &str = "TXT 10 10 Hello World\nHALT";

#[test]
fn a_run_says_what_came_of_it() {
    let served = Served::start();
    let run =
        served.post("/api/pixel/run", &json!({ "source": HELLO, "backend": "CPU" })).json(200);
    assert_eq!(run["success"], true);
    assert_eq!(run["cycles_executed"], 2);
    assert_eq!(run["instruction_pointer"], 1);
    assert_eq!(run["backend_used"], "cpu");
    assert_eq!(run["status"], "halted");
    assert_eq!(run["error"], Value::Null);
    assert_eq!(run["canvas"], json!([64, 64]));
    let pixels = run["canvas_data"].as_array().unwrap();
    assert_eq!(pixels.len(), 64 * 64);
    assert!(pixels.iter().any(|pixel| *pixel == 0xffff_ffff_u32), "text is white");
    assert!(pixels.contains(&json!(0xff00_0000_u32)), "on black");
}

#[test]
fn canvases_are_the_same_in_every_form() {
    let served = Served::start();
    let of = |kind: &str| {
        let request = json!({ "source": HELLO, "canvas": kind, "canvas_width": 100 });
        served.post("/api/pixel/run", &request).json(200)
    };
    let array: Vec<u32> = serde_json::from_value(of("array")["canvas_data"].clone()).unwrap();
    assert_eq!(array.len(), 100 * 64);
    let base64 = STANDARD.decode(of("base64")["canvas_data"].as_str().unwrap()).unwrap();
    let words: Vec<u32> =
        base64.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    assert_eq!(words, array);
    let file = STANDARD.decode(of("png")["canvas_data"].as_str().unwrap()).unwrap();
    let path = served.data().join("picture.png");
    std::fs::write(&path, file).unwrap();
    assert_eq!(crate::png::read(&path, 1 << 20).unwrap(), ([100, 64], array.clone()));
    assert_eq!(of("none")["canvas_data"], Value::Null);
    assert_eq!(of("none")["canvas_sha256"], of("array")["canvas_sha256"]);
}

#[test]
fn what_a_program_says_of_its_canvas_holds_unless_it_is_asked_for_another() {
    let served = Served::start();
    let size = |request: Value| served.post("/api/pixel/run", &request).json(200)["canvas"].clone();
    assert_eq!(size(json!({ "source": "HALT" })), json!([64, 64]));
    assert_eq!(size(json!({ "source": ".canvas 128 32\nHALT" })), json!([128, 32]));
    let asked = json!({ "source": ".canvas 128 32\nHALT", "canvas_height": 8 });
    assert_eq!(size(asked), json!([128, 8]));
    assert_eq!(size(json!({ "program": [[1, 0, 0, 0, 0, 0]] })), json!([64, 64]));
    let cartridge = Cartridge::new(assemble(HELLO).unwrap()).encode().unwrap();
    assert_eq!(size(json!({ "cartridge": STANDARD.encode(cartridge) })), json!([128, 64]));
}

#[test]
fn programs_read_and_write_and_show_frames() {
    let served = Served::start();
    let echo = "a: IN r1 0x11\nJLT r1 r0 b\nOUT 0x10 r1\nJMP a\nb: HALT";
    let request =
        json!({ "source": echo, "inputs": { "text": "x".repeat(5000) }, "max_cycles": 1_000_000 });
    let run = served.post("/api/pixel/run", &request).json(200);
    assert_eq!(run["stdout"].as_str().unwrap().len(), 5000, "{run}");
    let frames = "a: LDI r1 1\nYIELD\nJMP a";
    for shown in [1, 5] {
        let request = json!({ "source": frames, "inputs": { "frames": shown } });
        let run = served.post("/api/pixel/run", &request).json(200);
        assert_eq!(
            (&run["status"], &run["cycles_executed"]),
            (&json!("yielded"), &json!(3 * shown - 1))
        );
        assert_eq!(run["success"], true);
    }
}

#[test]
fn integers_may_be_written_as_others_do() {
    let served = Served::start();
    let request = r#"{"source":"a: JMP a","max_cycles":5.0,"inputs":{"mouse":[-1.0,2]}}"#;
    let run = served.ask("POST", "/api/pixel/run", Some(request)).json(200);
    assert_eq!(run["cycles_executed"], 5);
}

#[test]
fn a_fault_is_an_answer_and_says_which() {
    let served = Served::start();
    let run = served.post("/api/pixel/run", &json!({ "source": "a: JMP a" })).json(200);
    assert_eq!((&run["success"], &run["cycles_executed"]), (&json!(false), &json!(1024)));
    let error = run["error"].as_str().unwrap();
    assert!(
        error.starts_with("fault 6, out of cycles (max_cycles 1024) at instruction"),
        "{error}"
    );
    let run = served.post("/api/pixel/run", &json!({ "source": "NOP\nTRAP 3" })).json(200);
    assert!(run["error"].as_str().unwrap().contains("trap"), "{run}");
}

#[test]
fn many_programs_run_at_once_each_as_it_does_alone() {
    let served = Served::start();
    let texts: Vec<String> = (0..40).map(|n| format!("LDI r1 {n}\nTXT 1 {n} x\nHALT")).collect();
    let batch = served.post("/api/pixel/batch", &json!({ "programs": texts })).json(200);
    let runs = batch["runs"].as_array().unwrap();
    assert_eq!(runs.len(), texts.len());
    for (text, lane) in texts.iter().zip(runs) {
        let alone = served.post("/api/pixel/run", &json!({ "source": text })).json(200);
        for field in ["success", "cycles_executed", "canvas_sha256", "status", "fuel"] {
            assert_eq!(lane[field], alone[field], "{field} of {text}");
        }
    }
    let lanes = served.post("/api/pixel/batch", &json!({ "source": HELLO, "lanes": 3 })).json(200);
    assert_eq!(lanes["runs"].as_array().unwrap().len(), 3);
    let faults = json!({ "programs": ["HALT", "RUBBISH"] });
    let refused = served.post("/api/pixel/batch", &faults).json(422);
    assert!(refused["detail"].as_str().unwrap().starts_with("programs[1]: 1:1: "), "{refused}");
    assert_eq!(refused["errors"][0]["code"], "unknown-mnemonic");
}

#[test]
fn texts_and_programs_become_each_other() {
    let served = Served::start();
    let made = served.post("/api/pixel/assemble", &json!({ "source": HELLO })).json(200);
    assert_eq!(made["instructions"], 2);
    let parts = json!({ "program": made["program"], "data": made["data"] });
    let text = served.post("/api/pixel/disassemble", &parts).json(200)["source"].clone();
    let again = served.post("/api/pixel/assemble", &json!({ "source": text })).json(200);
    assert_eq!((&again["program"], &again["data"]), (&made["program"], &made["data"]));
    let file = STANDARD.encode(Cartridge::new(assemble(HELLO).unwrap()).encode().unwrap());
    let request = json!({ "cartridge": file });
    let again = served.post("/api/pixel/disassemble", &request).json(200)["source"].clone();
    assert_eq!(again.as_str().unwrap().lines().last(), text.as_str().unwrap().lines().last());
}

#[test]
fn a_script_is_run_as_a_daemon_asks() {
    let served = Served::start();
    let run = served.post("/api/execute", &json!({ "lang": "pixel", "code": HELLO })).json(200);
    assert_eq!(run["cycles_executed"], 2);
    let endless = json!({ "lang": "pixel", "code": "a: JMP a" });
    assert_eq!(served.post("/api/execute", &endless).json(200)["cycles_executed"], 1_000_000);
    for (request, status) in [
        (json!({ "lang": "python", "code": "print()" }), 400),
        (json!({ "lang": "pixel" }), 422),
        (json!({ "lang": "cartridge", "code": "../../etc/passwd" }), 404),
    ] {
        served.post("/api/execute", &request).problem(status);
    }
}

#[test]
fn clients_at_once_are_all_served() {
    let served = Served::start();
    let request = json!({ "source": HELLO, "canvas": "none" });
    let ask = || served.post("/api/pixel/run", &request).status;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..256).map(|_| scope.spawn(ask)).collect();
        assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    });
}
