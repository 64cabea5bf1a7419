//! The targets `wgsl` and `ir` of `fuzz/` on stable Rust: files of their corpora, changed at random.
//!
//! `GVPIE_PROOF=full` tries a hundred thousand cases, `quick` some hundreds. A case depends on its seed
//! alone: a failure names it, and `GVPIE_SEED` begins with it.

use crate::effort::Effort;
use fastrand::Rng;
use gvpie_vgpu::fuzz::Target;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What WGSL is made of.
const PIECES: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    ";",
    ",",
    ":",
    "->",
    "@",
    "&",
    "*",
    "=",
    "==",
    "+=",
    "-",
    "%",
    "<<",
    ">>",
    "&&",
    "/*",
    "*/",
    "//",
    "\n",
    "\r",
    "\u{2028}",
    "\0",
    "é",
    "fn ",
    "var ",
    "let ",
    "const ",
    "override ",
    "struct ",
    "alias ",
    "return ",
    "if ",
    "else ",
    "loop ",
    "for ",
    "while ",
    "switch ",
    "case ",
    "default: ",
    "break; ",
    "continue; ",
    "continuing ",
    "break if ",
    "enable f16;",
    "array<",
    "vec3<",
    "mat2x2<",
    "atomic<",
    "ptr<",
    "u32",
    "i32",
    "f32",
    "f16",
    "u64",
    "f64",
    "bool",
    "var<workgroup> ",
    "var<private> ",
    "@group(0) @binding(0) ",
    "@compute @workgroup_size(2) ",
    "workgroupBarrier();",
    "atomicAdd(",
    "select(",
    "bitcast<",
    "out[0]",
    "0u",
    "1i",
    "2.5f",
    "1e38",
    "0x7fffffff",
    "4294967295",
    "-2147483648",
    "main",
    "x",
];

/// The files of folders below the repository's root, by name.
fn corpus(folders: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = Vec::new();
    for folder in folders {
        let folder = root.join(folder);
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        all.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    }
    all
}

/// A file with some changes: bytes set, taken out, doubled, and put in from another.
fn mutated(target: Target, corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut bytes = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        let other = &corpus[random.usize(..corpus.len())];
        let mut part = |bytes: &[u8]| {
            let start = random.usize(..=bytes.len());
            start..(start + random.usize(..40)).min(bytes.len())
        };
        let (own, from) = (part(&bytes), part(other));
        match random.u8(..6) {
            0 | 1 if target == Target::Ir => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.u8(..);
                }
            }
            0 | 1 => {
                let piece = PIECES[random.usize(..PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
            2 => drop(bytes.drain(own)),
            3 => {
                let doubled = bytes[own].to_vec();
                bytes.splice(at..at, doubled);
            }
            4 => drop(bytes.splice(at..at, other[from].iter().copied())),
            _ => {
                let end = (at + from.len()).min(bytes.len());
                bytes.splice(at..end, other[from].iter().copied());
            }
        }
    }
    bytes
}

fn none_is_found(target: Target, folders: &[&str], quick: u64) {
    let corpus = corpus(folders);
    assert!(corpus.len() >= 5, "{target}: {} files", corpus.len());
    for bytes in &corpus {
        target.check(bytes).unwrap_or_else(|fault| panic!("{target}, as it is: {fault}"));
    }
    let effort = Effort::of_environment();
    let count = if effort == Effort::Full { 100_000 } else { quick };
    let first = effort.seed();
    println!("{}: {count} cases of {target}", effort.again(first));
    for seed in first..first + count {
        let bytes = mutated(target, &corpus, seed);
        let fault = match catch_unwind(AssertUnwindSafe(|| target.check(&bytes))) {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault,
            Err(_) => "a panic".into(),
        };
        let text = match target {
            Target::Wgsl => String::from_utf8_lossy(&bytes).into_owned(),
            Target::Ir => format!("{bytes:?}"),
        };
        panic!("{}: {target}: {fault}\n{text:.4000}", effort.again(seed));
    }
}

#[test]
fn no_text_breaks_the_compiler() {
    none_is_found(Target::Wgsl, &["fuzz/corpus/wgsl", "gvpie-vgpu/tests/features"], 300);
}

#[test]
fn no_bytes_break_an_executor() {
    none_is_found(Target::Ir, &["fuzz/corpus/ir"], 100);
}
