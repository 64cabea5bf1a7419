//! Random kernels, run as they are and optimised: the same in every bit.

use super::optimise;
use crate::ir::{Kernel, verify};
use crate::sketch::{executors, words_in};
use crate::{Bindings, Buffer, Device, Module, Options};
use fastrand::Rng;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Lanes of a workgroup, workgroups, and words that each lane writes.
const LANES: u32 = 16;
const GROUPS: u32 = 2;
const WORDS: u32 = 6;

const HEAD: &str = "
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<uniform> p: vec4<u32>;
var<workgroup> shared_: array<u32, 16>;
var<private> trail: array<i32, 4>;
fn clip(x: u32, limit: u32) -> u32 {
    if x > limit { return limit; }
    if x % 3u == 1u { return x / 2u; }
    return x;
}
fn put(to: ptr<function, array<u32, 8>>, at: u32, x: u32) { (*to)[at] = x ^ (*to)[(at + 1u) & 7u]; }
";

/// A kernel as it is written.
struct Writer {
    random: Rng,
    text: String,
    /// Loops so far, loops around, and constructs around.
    loops: u32,
    counters: Vec<u32>,
    depth: u32,
    /// Whether a `continue` or `break` has something to leave.
    inside: bool,
}

impl Writer {
    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.random.usize(..list.len())]
    }

    fn unsigned(&mut self, depth: u32) -> String {
        let leaf = depth == 0 || self.random.u32(..4) == 0;
        match self.random.u32(..if leaf { 8 } else { 22 }) {
            0 => format!("{}u", self.random.u32(..40)),
            1 => format!("{}u", 1_u32 << self.random.u32(..32)),
            2 => self.pick(&["lane", "id", "p.x", "p.y"]).into(),
            3 => match self.counters.last() {
                Some(n) => format!("i{n}"),
                None => "u0".into(),
            },
            4..8 => format!("u{}", self.random.u32(..4)),
            8 => {
                let at = self.index(depth - 1);
                format!("arr[{at}]")
            }
            9 => format!("arr[{}]", self.random.u32(..8)),
            10 => {
                let at = self.unsigned(depth - 1);
                format!("a[{at}]")
            }
            11 => {
                let at = self.unsigned(depth - 1);
                format!("data[id * {WORDS}u + ({at}) % {WORDS}u]")
            }
            12 => format!("u32({})", self.signed(depth - 1)),
            13 => format!("bitcast<u32>({})", self.float(depth - 1)),
            14 => format!("u32({})", self.float(depth - 1)),
            15 => {
                let (x, y) = (self.unsigned(depth - 1), self.unsigned(depth - 1));
                format!("select({x}, {y}, {})", self.condition(depth - 1))
            }
            16 => {
                let name = self.pick(&["countOneBits", "firstLeadingBit", "reverseBits", "~"]);
                format!("{name}({})", self.unsigned(depth - 1))
            }
            17 => {
                let name = self.pick(&["min", "max", "clip"]);
                let (x, y) = (self.unsigned(depth - 1), self.unsigned(depth - 1));
                format!("{name}({x}, {y})")
            }
            _ => {
                let op = self.pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "+"]);
                let (x, y) = (self.unsigned(depth - 1), self.unsigned(depth - 1));
                match op {
                    "<<" | ">>" => format!("({x} {op} (({y}) & 31u))"),
                    _ => format!("({x} {op} {y})"),
                }
            }
        }
    }

    /// An index, no constant expression that WGSL would refuse.
    fn index(&mut self, depth: u32) -> String {
        let x = self.unsigned(depth);
        match self.random.u32(..4) {
            0 => format!("({x} + p.z) & 7u"),
            1 => format!("({x} + p.z) % 3u"),
            2 => format!("min({x}, p.w)"),
            _ => format!("{x} + p.z"),
        }
    }

    fn signed(&mut self, depth: u32) -> String {
        match self.random.u32(..if depth == 0 { 3 } else { 7 }) {
            0 => format!("{}i", self.random.i32(-9..9)),
            1 | 2 => format!("s{}", self.random.u32(..2)),
            3 => format!("i32({})", self.unsigned(depth - 1)),
            4 => format!("trail[{}]", self.index(depth - 1)),
            5 => format!("abs({})", self.signed(depth - 1)),
            _ => {
                let op = self.pick(&["+", "-", "*", "/", "%", "&", "|", "^"]);
                format!("({} {op} {})", self.signed(depth - 1), self.signed(depth - 1))
            }
        }
    }

    fn float(&mut self, depth: u32) -> String {
        match self.random.u32(..if depth == 0 { 3 } else { 8 }) {
            0 => self.pick(&["0.0", "1.0", "-0.5", "3.0", "1e30", "0.25"]).into(),
            1 | 2 => format!("f{}", self.random.u32(..2)),
            3 => format!("f32({})", self.unsigned(depth - 1)),
            4 => format!("f32({})", self.signed(depth - 1)),
            5 => {
                let name = self.pick(&["sqrt", "floor", "abs", "-", "fract", "exp2"]);
                format!("{name}(f0 + {})", self.float(depth - 1))
            }
            _ => {
                let op = self.pick(&["+", "-", "*", "/"]);
                format!("({} {op} {})", self.float(depth - 1), self.float(depth - 1))
            }
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        let compare = ["<", "<=", ">", ">=", "==", "!="];
        match self.random.u32(..if depth == 0 { 3 } else { 6 }) {
            0 => "flag".into(),
            1 => {
                let op = self.pick(&compare);
                format!("({} {op} {})", self.unsigned(depth), self.unsigned(depth))
            }
            2 => {
                let op = self.pick(&compare);
                format!("({} {op} {})", self.signed(depth), self.signed(depth))
            }
            3 => {
                let op = self.pick(&compare);
                format!("({} {op} {})", self.float(depth), self.float(depth))
            }
            4 => format!("!{}", self.condition(depth - 1)),
            _ => {
                let op = self.pick(&["&&", "||"]);
                format!("({} {op} {})", self.condition(depth - 1), self.condition(depth - 1))
            }
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}"); // writing to a string cannot fail
    }

    fn block(&mut self, least: u32) {
        self.depth += 1;
        for _ in 0..least + self.random.u32(..3) {
            self.statement();
        }
        self.depth -= 1;
    }

    fn statement(&mut self) {
        let choices = if self.depth > 4 { 11 } else { 18 };
        match self.random.u32(..choices) {
            0..4 => {
                let (n, x) = (self.random.u32(..4), self.unsigned(2));
                let op = self.pick(&["=", "+=", "^=", "="]);
                self.line(&format!("u{n} {op} {x};"));
            }
            4 => {
                let (n, x) = (self.random.u32(..2), self.signed(2));
                self.line(&format!("s{n} = {x};"));
            }
            5 => {
                let (n, x) = (self.random.u32(..2), self.float(2));
                self.line(&format!("f{n} = {x};"));
            }
            6 => {
                let x = self.condition(2);
                self.line(&format!("flag = {x};"));
            }
            7 => {
                let (at, x) = (self.index(1), self.unsigned(2));
                self.line(&format!("arr[{at}] = {x};"));
            }
            8 => {
                let (at, x) = (self.random.u32(..8), self.unsigned(2));
                self.line(&format!("arr[{at}] += {x};"));
            }
            9 => {
                let (at, x) = (self.random.u32(..WORDS), self.unsigned(2));
                self.line(&format!("data[id * {WORDS}u + {at}u] = {x};"));
            }
            10 => {
                let (at, x, to) = (self.index(1), self.signed(1), self.random.u32(..9));
                self.line(&format!("trail[{at}] = {x}; put(&arr, {to}u, u0);"));
            }
            11..14 => {
                let condition = self.condition(2);
                self.line(&format!("if {condition} {{"));
                self.block(1);
                if self.random.bool() {
                    self.line("} else {");
                    self.block(1);
                }
                self.line("}");
            }
            14 if self.inside => {
                let (what, condition) = (self.pick(&["break", "continue"]), self.condition(1));
                self.line(&format!("if {condition} {{ {what}; }}"));
            }
            14 => {
                let condition = self.condition(1);
                self.line(&format!("if {condition} && u3 == 5u {{ return; }}"));
            }
            15 => {
                let selector = self.unsigned(1);
                self.line(&format!("switch ({selector}) % 5u {{ case 0u, 2u: {{"));
                let inside = std::mem::replace(&mut self.inside, false);
                self.block(1);
                self.line("} case 1u: {");
                self.block(1);
                self.line("if u1 > 7u { break; } u2 += 3u; } default: {");
                self.block(0);
                self.line("} }");
                self.inside = inside;
            }
            _ => self.repeat(),
        }
    }

    fn repeat(&mut self) {
        self.loops += 1;
        let n = self.loops;
        let inside = std::mem::replace(&mut self.inside, true);
        let rounds = match self.random.u32(..3) {
            0 => format!("({} & 7u)", self.unsigned(1)),
            _ => format!("{}u", self.random.u32(..9)),
        };
        let step = self.pick(&["i += 1u", "i++", "i += 2u"]).replace('i', &format!("i{n}"));
        let head = match self.random.u32(..4) {
            0 => format!("var i{n} = 0u; loop {{ if i{n} >= {rounds} {{ break; }}"),
            1 => format!("var i{n} = 0u; loop {{"),
            _ => format!("for (var i{n} = 0u; i{n} < {rounds}; {step}) {{"),
        };
        self.line(&head);
        self.counters.push(n);
        self.block(1);
        self.counters.pop();
        match head.starts_with("for") {
            true => self.line("}"),
            false => self.line(&format!("continuing {{ {step}; break if i{n} > 7u; }} }}")),
        }
        self.inside = inside;
    }

    /// Words go around among the lanes.
    fn share(&mut self) {
        let (x, at) = (self.unsigned(2), self.random.u32(1..LANES));
        self.line("workgroupBarrier();");
        self.line(&format!("shared_[lane] = {x};"));
        self.line("workgroupBarrier();");
        self.line(&format!("u1 ^= shared_[(lane + {at}u) % {LANES}u];"));
    }
}

/// A kernel that ends, and in which no lane reads what another writes.
fn kernel(seed: u64) -> String {
    let mut writer = Writer {
        random: Rng::with_seed(seed),
        text: HEAD.into(),
        loops: 0,
        counters: Vec::new(),
        depth: 0,
        inside: false,
    };
    writer.line(
        "@compute @workgroup_size(16)
        fn main(@builtin(global_invocation_id) gid: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
        let id = gid.x;
        var arr: array<u32, 8>;
        var u0 = a[id]; var u1 = 7u; var u2 = id * 3u; var u3 = 0u;
        var s0 = i32(a[id + 1u]); var s1 = -3i;
        var f0 = f32(a[id]) / 3.0; var f1 = 0.5; var flag = id > 9u;",
    );
    for part in 0..3 {
        if part > 0 {
            writer.share();
        }
        // Barriers are for all: nobody returns before one.
        writer.depth = if part < 2 { 1 } else { 0 };
        writer.inside = false;
        let from = writer.text.len();
        writer.block(5);
        if part < 2 {
            let tail = writer.text.split_off(from).replace("return;", "u3 += 1u;");
            writer.text += &tail;
        }
    }
    writer.line(&format!(
        "data[id * {WORDS}u] ^= u0 + u1 * 3u + u2 * 5u + u3;
        data[id * {WORDS}u + 1u] ^= u32(s0) + u32(s1) * 7u + arr[u0 % 8u] + u32(trail[u1 % 4u]);
        data[id * {WORDS}u + 2u] ^= bitcast<u32>(f0) + u32(flag);
        data[id * {WORDS}u + 3u] = bitcast<u32>(f1); }}"
    ));
    writer.text
}

/// What `run` leaves in `data`.
fn words(kernel: &Kernel, run: impl FnOnce(&Bindings)) -> Vec<u32> {
    let count = u64::from(LANES * GROUPS);
    let number = |n: u32| n.wrapping_mul(0x9e37_79b9) >> (n % 29);
    let numbers: Vec<u8> = (0..count as u32).flat_map(|n| number(n).to_le_bytes()).collect();
    let data = Buffer::zeroed(count * u64::from(WORDS) * 4).unwrap();
    let input = Buffer::with(&numbers).unwrap();
    let params: Vec<u8> = [3_u32, 200, 0, 1].iter().flat_map(|n| n.to_le_bytes()).collect();
    let params = Buffer::with(&params).unwrap();
    let mut bindings = Bindings::new();
    for binding in &kernel.bindings {
        let buffer = [&data, &input, &params][binding.binding as usize];
        bindings = bindings.buffer(0, binding.binding, buffer);
    }
    run(&bindings);
    words_in(&data)
}

#[test]
fn random_kernels_do_the_same() {
    let count = match std::env::var("GVPIE_PROOF").as_deref() {
        Ok("full") => 5_000,
        _ => 16,
    };
    let first = Rng::new().u64(..1 << 40);
    println!("seeds {first} to {}", first + count);
    let (next, refused) = (AtomicU64::new(first), AtomicU64::new(0));
    let work = || {
        let options = Options { threads: 1, budget: 100_000_000, ..Options::default() };
        let devices: Vec<_> = executors(options).collect();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= first + count {
                return;
            }
            if !does_the_same(seed, &devices) {
                refused.fetch_add(1, Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let refused = refused.into_inner();
    assert!(refused * 2 < count, "{refused} of {count} are no kernels");
}

/// Whether a seed's kernel is one: a constant expression may overflow, which WGSL refuses.
fn does_the_same(seed: u64, devices: &[(String, Device)]) -> bool {
    let source = kernel(seed);
    let Ok(module) = Module::new(&source, &[]) else { return false };
    let before = module.kernel("main").unwrap();
    let after = optimise(&before);
    verify(&after).unwrap_or_else(|fault| panic!("{seed}: {fault}\n{source}\n{after}"));
    // A sanitizer takes a kernel as it is.
    let expected = words(&before, |bindings| {
        devices[0].1.check(&before, bindings, [GROUPS, 1, 1]).unwrap();
    });
    for (name, device) in devices {
        let found = words(&before, |bindings| {
            device.dispatch(&before, bindings, [GROUPS, 1, 1]).unwrap();
        });
        assert_eq!(found, expected, "{seed}, {name}\n{source}\n{before}\n{after}");
    }
    true
}
