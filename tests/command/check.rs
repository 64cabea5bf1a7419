//! `gvpie check`.

use super::{c_order, gvpie, said, save};
use std::process::Output;
use tempfile::TempDir;

/// A race, and an index past the end.
const FAULTY: &str = "\
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
var<workgroup> tile: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    tile[lane] = x[id.x];
    let next = tile[(lane + 1u) % 64u];
    y[id.x + 1u] = next;
}
";

const CLEAN: &str = "\
struct Params { n: u32, factor: f32 }
override width: u32 = 64u;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(width)
fn scale(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < params.n) { y[id.x] = params.factor * x[id.x]; }
}
";

const OTHERS: &str = "\
enable f16;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> v: array<vec4f>;
@group(2) @binding(5) var picture: texture_2d<f32>;
@group(0) @binding(2) var<storage, read_write> h: array<f16>;
@compute @workgroup_size(4) fn endless() { loop { if (y[0] == 1u) { break; } } }
@compute @workgroup_size(2048) fn wide() {}
@compute @workgroup_size(4) fn zero(@builtin(local_invocation_index) lane: u32) { y[lane] = 6u / y[lane]; }
@compute @workgroup_size(4) fn nan(@builtin(local_invocation_index) i: u32) { v[i].x = sqrt(v[i].x - 2.0); }
@compute @workgroup_size(4) fn apart(@builtin(local_invocation_index) lane: u32) {
    if (y[lane] + lane < 2u) {
        storageBarrier();
    }
}
@compute @workgroup_size(4) fn half(@builtin(local_invocation_index) lane: u32) { h[lane] += 1.0h; }
@compute @workgroup_size(4) fn look(@builtin(local_invocation_index) lane: u32) {
    y[lane] = u32(textureLoad(picture, vec2u(lane, 0u), 0).x);
}
@fragment fn paint() -> @location(0) vec4f { return vec4f(1.0); }
";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("faulty.wgsl", FAULTY), ("clean.wgsl", CLEAN), ("others.wgsl", OTHERS)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    c_order(&folder, "x.npy", &[100], &[1.5_f32; 100]);
    folder
}

fn check(folder: &TempDir, arguments: &[&str]) -> Output {
    gvpie(&["check"]).args(arguments).current_dir(folder).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// This exit status, one line on stderr that holds each of `words`.
#[track_caller]
fn refused(output: &Output, status: i32, words: &[&str]) {
    let message = said(output);
    assert_eq!(output.status.code(), Some(status), "{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

#[test]
fn clean_kernels_pass() {
    let f = folder();
    let scale = ["clean.wgsl", "--dispatch", "2", "--bind", "0=u32:100,f32:2"];
    let bound = [&scale[..], &["--bind", "1=x.npy", "--bind", "2=zeros:f32:100"]].concat();
    let output = check(&f, &bound);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = printed(&output);
    for words in [
        "clean.wgsl: scale, 2 x 1 x 1 workgroups of 64 x 1 x 1 lanes, subgroups of 32",
        "1 x: x.npy",
        "nothing found",
        "line  memory  accesses  taken  least  times  source",
        "params.n",
    ] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }

    // A uniform that nothing is bound to is zeros, and that is said.
    let assumed =
        ["--bind", "1=random:f32:100", "--bind", "2=zeros:f32:100", "--override", "width=32"];
    let output = check(&f, &[&["clean.wgsl", "--dispatch", "1"], &assumed[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = printed(&output);
    assert!(text.contains("0 params: 8 bytes of zeros, as nothing was bound"), "{text}");
    assert!(text.contains("of 32 x 1 x 1 lanes"), "{text}");
}

#[test]
fn faults_are_told_with_their_lines() {
    let f = folder();
    let arguments =
        ["faulty.wgsl", "--dispatch", "1", "--bind", "0=x.npy", "--bind", "1=zeros:f32:64"];
    let output = check(&f, &arguments);
    refused(&output, 1, &["faulty.wgsl: 3 faults"]);
    let text = printed(&output);
    for words in [
        "1. race: two lanes reach byte",
        "of tile, and no barrier orders them",
        " --> faulty.wgsl:8:16",
        "8 |     let next = tile[(lane + 1u) % 64u];",
        "7 |     tile[lane] = x[id.x];",
        "^ lane 1 of workgroup 0,0,0 writes before",
        "2. out of bounds: index 64 of an array of 64",
        " --> faulty.wgsl:9:",
        "3. race: two lanes reach byte 252 of y, and no barrier orders them",
        "3 faults found",
        "workgroup",
    ] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }
}

#[test]
fn faults_are_told_as_json() {
    let f = folder();
    let arguments =
        ["faulty.wgsl", "--dispatch", "1", "--bind", "0=x.npy", "--bind", "1=zeros:f32:64"];
    let output = check(&f, &[&arguments[..], &["--json", "--subgroup", "16"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = json(&output);
    for (key, value) in [
        ("kernel", serde_json::json!("faulty.wgsl")),
        ("entry", "main".into()),
        ("workgroup", serde_json::json!([64, 1, 1])),
        ("dispatch", serde_json::json!([1, 1, 1])),
        ("subgroup", 16.into()),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    assert!(report["seconds"].is_f64());
    let binding = &report["bindings"][1];
    assert_eq!((&binding["name"], &binding["assumed"]), (&"y".into(), &false.into()));
    let race = &report["findings"][0];
    assert_eq!((&race["kind"], &race["line"]), (&"race".into(), &8.into()));
    assert_eq!((&race["memory"], &race["access"]), (&"tile".into(), &"reads".into()));
    let other = &race["other"];
    assert_eq!((&other["line"], &other["access"]), (&7.into(), &"writes".into()));
    assert_eq!(race["source"], "    let next = tile[(lane + 1u) % 64u];");
    let index = &report["findings"][1];
    assert_eq!((&index["kind"], &index["index"]), (&"out-of-bounds".into(), &64.into()));
    assert_eq!((&index["length"], &index["lane"]), (&64.into(), &63.into()));
    let traffic = report["traffic"].as_array().unwrap();
    let spaces: Vec<_> = traffic.iter().filter_map(|row| row["space"].as_str()).collect();
    assert!(spaces.contains(&"buffer") && spaces.contains(&"workgroup"), "{spaces:?}");
    assert!(traffic.iter().all(|row| row["taken"].as_u64() >= row["least"].as_u64()));
}

#[test]
fn every_kind_of_fault_is_found() {
    let f = folder();
    let of = |entry: &str, binds: &[&str], words: &[&str]| {
        let arguments = ["others.wgsl", "--dispatch", "1", "--entry", entry];
        let output = check(&f, &[&arguments[..], binds].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let text = printed(&output);
        for word in words {
            assert!(text.contains(word), "'{word}' is not in: {text}");
        }
    };
    of(
        "zero",
        &["--bind", "0=u32:1,2,0,4"],
        &["integer divided by zero", "others.wgsl:8:", "lane 2"],
    );
    of("nan", &["--bind", "1=zeros:f32:16"], &["first NaN", "others.wgsl:9:"]);
    of(
        "apart",
        &["--bind", "0=zeros:u32:4"],
        &["divergent", "others.wgsl:12:", "lane 2", "does not"],
    );
    let picture = ["--bind", "0=zeros:u32:4", "--bind", "2:5=random:3x2"];
    of("look", &picture, &["texel 3,0", "picture", "2:5 picture: random:3x2"]);
}

#[test]
fn what_does_not_end_is_stopped() {
    let f = folder();
    let endless =
        ["others.wgsl", "--dispatch", "1", "--entry", "endless", "--bind", "0=zeros:u32:1"];
    let output = check(&f, &[&endless[..], &["--budget", "100000"]].concat());
    refused(&output, 1, &["others.wgsl", "endless", "--budget 100000", "loop"]);
    let output = check(&f, &[&endless[..], &["--timeout", "0.05"]].concat());
    refused(&output, 1, &["others.wgsl", "endless", "--timeout 0.05 s", "loop"]);
}

#[test]
fn mistakes_are_told_in_a_line_with_a_hint() {
    let f = folder();
    c_order(&f, "d.npy", &[8], &[1.0_f64; 8]);
    c_order(&f, "i.npy", &[8], &[1_i32; 8]);
    c_order(&f, "b.npy", &[8], &[true; 8]);
    save(&f, "t.npy", npyz::Order::Fortran, &[2, 4], &[1.0_f32; 8]);
    std::fs::write(f.path().join("no.npy"), "no array").unwrap();
    std::fs::write(f.path().join("bytes.wgsl"), [0xff, 0xfe]).unwrap();
    std::fs::write(f.path().join("long.wgsl"), " ".repeat(70_000)).unwrap();
    std::fs::write(f.path().join("none.wgsl"), "fn f() {}").unwrap();
    let of = |arguments: &[&str], words: &[&str]| {
        let output = check(&f, &[arguments, &["--dispatch", "1"]].concat());
        refused(&output, 2, words);
    };
    let clean = |binds: &[&str], words: &[&str]| of(&[&["clean.wgsl"], binds].concat(), words);
    let others = |entry: &str, rest: &[&str], words: &[&str]| {
        of(&[&["others.wgsl", "--entry", entry], rest].concat(), words);
    };

    of(&["missing.wgsl"], &["missing.wgsl"]);
    of(&["bytes.wgsl"], &["bytes.wgsl", "UTF-8"]);
    of(&["long.wgsl"], &["long.wgsl", "65536 bytes"]);
    of(&["none.wgsl"], &["none.wgsl", "@compute"]);
    of(&["others.wgsl"], &["--entry endless or --entry wide"]);
    others("paint", &[], &["'paint' is not a compute entry point", "--entry endless"]);
    others("min", &[], &["'min' is not there", "--entry zero"]);
    others("wide", &[], &["2048 lanes", "1024", "@workgroup_size"]);

    clean(&[], &["scale", "--bind 1=zeros:f32:1024 --bind 2=zeros:f32:1024"]);
    clean(&["--bind", "7=x.npy"], &["--bind 7", "0 (params), 1 (x), 2 (y)"]);
    clean(&["--bind", "1:0=x.npy"], &["--bind 1:0", "0 (params)"]);
    clean(&["--bind", "1=x.npy", "--bind", "1=x.npy"], &["--bind 1", "twice"]);
    let with = |bind: &str, words: &[&str]| {
        clean(&["--bind", bind, "--bind", "2=zeros:f32:1"], words);
    };
    with("1=d.npy", &["--bind 1=d.npy", "x holds f32", "of f64", "astype('float32')"]);
    with("1=i.npy", &["x holds f32", "of i32"]);
    with("1=b.npy", &["b.npy", "f32"]);
    with("1=t.npy", &["t.npy", "ascontiguousarray"]);
    with("1=no.npy", &["no.npy", "not a .npy file"]);
    with("1=gone.npy", &["gone.npy"]);
    with("1=iota:u32:8", &["x holds f32", "of u32"]);
    with("1=hex:0000", &["x needs 4 bytes at least", "2"]);
    with("1=hex:000000000000", &["elements of 4 bytes", "6 bytes"]);
    with("1=zeros:4x4", &["x is a buffer"]);
    with("1=zeros:f32:2000000000", &["8000000000 bytes", "4294967292"]);
    clean(&["--bind", "0=u32:1", "--bind", "1=x.npy"], &["2=zeros:f32:1024"]);
    let all = ["--bind", "1=x.npy", "--bind", "2=zeros:f32:1"];
    clean(
        &[&all[..], &["--bind", "0=u32:1"]].concat(),
        &["params needs 8 bytes at least", "has 4"],
    );
    clean(&[&all[..], &["--override", "widht=4"]].concat(), &["--override widht", "width"]);
    clean(&[&all[..], &["--immediate", "00"]].concat(), &["--immediate", "no immediate data"]);
    others("nan", &["--bind", "1=zeros:f32:5"], &["v has elements of 16 bytes", "20 bytes"]);
    others("half", &["--bind", "2=x.npy"], &["h holds f16", "astype('float16')"]);
    others("look", &["--bind", "0=zeros:u32:4"], &["--bind 2:5=zeros:64x64"]);
    let look = |bind: &str, words: &[&str]| {
        others("look", &["--bind", "0=zeros:u32:4", "--bind", bind], words);
    };
    look("2:5=zeros:f32:4", &["picture is a texture", "zeros:640x480"]);
    look("2:5=zeros:4x4x4", &["picture has 2 extents, found 3"]);
    let wide = check(&f, &[&["clean.wgsl", "--dispatch", "70000"], &all[..]].concat());
    refused(&wide, 2, &["--dispatch", "70000 workgroups along x", "65535"]);
    let small = ["others.wgsl", "--entry", "zero", "--bind", "0=zeros:u32:4", "--memory", "1"];
    of(&small, &["--memory allows 1"]);
}

#[test]
fn what_does_not_compile_is_quoted() {
    let f = folder();
    std::fs::write(
        f.path().join("broken.wgsl"),
        "@compute @workgroup_size(1)\nfn main() {\n  gone();\n}",
    )
    .unwrap();
    let output = check(&f, &["broken.wgsl", "--dispatch", "1"]);
    let message = said(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for word in ["broken.wgsl: does not compile", "broken.wgsl:3:", "gone();", "^^^^"] {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

#[test]
fn command_lines_that_mean_nothing_are_usage() {
    let f = folder();
    for (arguments, word) in [
        (&["clean.wgsl"][..], "--dispatch"),
        (&["clean.wgsl", "--dispatch", "0"], "16 or 4,4,1"),
        (&["clean.wgsl", "--dispatch", "1", "--bind", "x"], "0=x.npy"),
        (&["clean.wgsl", "--dispatch", "1", "--subgroup", "5"], "4, 8, 16"),
        (&["clean.wgsl", "--dispatch", "1", "--override", "width"], "width=64"),
        (&["clean.wgsl", "--dispatch", "1", "--immediate", "0"], "two to a byte"),
    ] {
        let output = check(&f, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    let output = gvpie(&["help", "check"]).output().unwrap();
    let text = printed(&output);
    for words in ["race", "zeros:f32:1024", "Exit status: 0 nothing was found", "findings"] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }
}
