//! The targets of `fuzz/` on stable Rust: files of its corpus, changed at random.
//!
//! `GVPIE_PROOF=full` tries ten million cases, `quick` some thousands. A case depends on its seed
//! alone: a failure names it, and `GVPIE_SEED` begins with it. Best in a release build:
//! `GVPIE_PROOF=full cargo nextest run --workspace --release -E 'test(fuzzing)'`.

use crate::effort::Effort;
use gvpie_core::pixel::Cartridge;
use gvpie_core::pixel::proof::{Target, mutated};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// (name, bytes) of the files of a folder, by name.
fn files(folder: PathBuf) -> Vec<(String, Vec<u8>)> {
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// What a target begins with: its folder, and our own programs for those that take such.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let mut all = files(root().join(format!("fuzz/corpus/{target}")));
    if target == Target::Assembler {
        all.extend(files(root().join("assets/programs")));
    }
    all.into_iter().map(|(_, bytes)| bytes).collect()
}

fn none_is_found(target: Target, quick: u64, full: u64) {
    let (name, check) = (target.to_string(), |bytes: &[u8]| target.check(bytes));
    none_is_found_by(&name, check, target, &corpus(target), quick, full);
}

/// The same of a check of this name, whose cases are changed as those of a target.
fn none_is_found_by(
    name: &str,
    check: impl Fn(&[u8]) -> Result<(), String>,
    target: Target,
    corpus: &[Vec<u8>],
    quick: u64,
    full: u64,
) {
    assert!(corpus.len() >= 5, "{name}: {} files", corpus.len());
    for bytes in corpus {
        check(bytes).unwrap_or_else(|fault| panic!("{name}, as it is: {fault}"));
    }
    let effort = Effort::of_environment();
    let (count, first) = (if effort == Effort::Full { full } else { quick }, effort.seed());
    println!("{}: {count} cases of {name}", effort.again(first));
    let start = std::time::Instant::now();
    for seed in first..first + count {
        if seed > first && (seed - first).is_multiple_of(500_000) {
            println!("{} cases of {name} after {:.0?}", seed - first, start.elapsed());
        }
        let bytes = mutated(target, corpus, seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
        let fault = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault,
            Err(_) => "a panic".into(),
        };
        let text = String::from_utf8_lossy(&bytes);
        panic!("{}: {name}: {fault}\n{text:.4000}", effort.again(seed));
    }
    println!("{count} cases of {name}, no finding, {:.0?}", start.elapsed());
}

/// Files of the loader's corpus that break a rule each, and what the error says.
const BROKEN: &[(&str, &str)] = &[
    ("alpha", "pixel (3, 35): alpha 254, expected 255"),
    ("animated", "pictures: expected one, found an animation"),
    ("canvas-height", "header (row 64), height of the canvas: expected 1 to 1024"),
    ("canvas-width", "header (row 64), width of the canvas: expected 1 to 1024"),
    ("code-padding", "pixel (4, 65), behind the end of code"),
    ("code", "the SHA-256 of header, code and data is"),
    ("cut", "this PNG cannot be read"),
    ("data-padding", "pixel (2, 66), behind the end of data"),
    ("data", "header (row 64), bytes of data: expected 0 to 16384"),
    ("flags", "header (row 64), flags: expected 0 or 1, found 2"),
    ("hash", "the SHA-256 of header, code and data is"),
    ("high", "height: expected 66 to 512, found 513"),
    ("instructions", "header (row 64), instructions: expected 0 to 4096"),
    ("interlaced", "order of pixels: expected row by row"),
    ("low", "height: expected 66 to 512, found 65"),
    ("magic", "header (row 64), magic: expected"),
    ("meta-id", "id: expected 1 to 64 of a-z 0-9 _ -"),
    ("meta-json", "chunk gvpie:meta: "),
    ("meta-kind", "chunk gvpie:meta: "),
    ("meta-long", "chunk gvpie:meta: "),
    ("meta-parents", "parents: expected 1 to 64 of a-z 0-9 _ -"),
    ("no-alpha", "pixels: expected Rgba of 8 bits, found Rgb of 8 bits"),
    ("operation", "instruction 1, pixel (2, 65): 0xfe is no operation"),
    ("reserved", "header (row 64), bytes 72 to 383: expected zeros"),
    ("rows", "height: expected 68 rows, as the header counts, found 67"),
    ("seed", "the SHA-256 of header, code and data is"),
    ("signature", "this PNG cannot be read"),
    ("sixteen-bit", "pixels: expected Rgba of 8 bits, found Rgba of 16 bits"),
    ("source-long", "chunk gvpie:source: "),
    ("source-twice", "chunk gvpie:source: there are two"),
    ("version", "header (row 64), version: expected 1, found 2"),
    ("width", "width: expected 128, found 127"),
];

#[test]
fn every_rule_of_the_loader_has_a_file_that_breaks_it() {
    let all = files(root().join("fuzz/corpus/loader"));
    let (sound, broken): (Vec<_>, Vec<_>) =
        all.iter().partition(|(name, _)| name.ends_with(".pxl.png"));
    assert!(sound.len() >= 3);
    for (name, bytes) in sound {
        Cartridge::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let names: Vec<&str> = broken.iter().map(|(name, _)| name.trim_end_matches(".png")).collect();
    let listed: Vec<&str> = BROKEN.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, listed);
    for ((name, bytes), (_, said)) in broken.into_iter().zip(BROKEN) {
        let error = Cartridge::decode(bytes).expect_err(name).to_string();
        assert!(error.contains(said), "{name}: {error}");
    }
}

#[test]
fn no_text_breaks_the_assembler() {
    none_is_found(Target::Assembler, 1500, 2_000_000);
}

#[test]
fn no_file_breaks_the_loader() {
    none_is_found(Target::Loader, 1000, 6_000_000);
}

#[test]
fn no_program_breaks_a_machine() {
    none_is_found(Target::Machine, 1500, 2_000_000);
}

#[test]
fn no_body_breaks_a_request() {
    let bodies = files(root().join("fuzz/corpus/request"));
    let bodies: Vec<Vec<u8>> = bodies.into_iter().map(|(_, bytes)| bytes).collect();
    let check = gvpie::runtime::proof::check;
    none_is_found_by("request", check, Target::Assembler, &bodies, 2000, 2_000_000);
}
