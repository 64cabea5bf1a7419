//! Vectors of every operation, on the host and in both kernels.
//!
//! They are texts, `vectors/*.txt`:
//!
//! ```text
//! [MULQ: rounds down, not towards 0]     what it shows
//! total                                  the mode, strict if it is not said
//! r1 -1                                  a register before
//! clip 0 0 4 4                           words before, from `at::CLIP` on
//! memory[5] 7                            a word before, by its place
//! row 3 ..a.....#.......                 a row before: black, 0x000001, 0xffffff
//! : MULQ r0 r1 r2                        the program, without a HALT at its end
//! > r0 -1                                what differs after it
//! ```
//!
//! What is not said has not changed; but `ip`, `cycles` and `fuel` count the instructions, and the
//! machine has halted.

use super::*;
use crate::pixel::isa::OPERATIONS;
use crate::pixel::state::{BLANK, PLACES};
use std::collections::BTreeSet;

const TABLES: [&str; 9] = [
    include_str!("vectors/moves.txt"),
    include_str!("vectors/arithmetic.txt"),
    include_str!("vectors/functions.txt"),
    include_str!("vectors/control.txt"),
    include_str!("vectors/colours.txt"),
    include_str!("vectors/figures.txt"),
    include_str!("vectors/outlines.txt"),
    include_str!("vectors/glyphs.txt"),
    include_str!("vectors/copies.txt"),
];

/// Width and height of every vector's canvas.
const SIDE: usize = 16;

/// Cycles after which a vector that does not end is stopped.
const LIMIT: u32 = 1000;

/// Words or pixels from a place on.
#[derive(Debug)]
enum Change {
    Words(usize, Vec<u32>),
    Pixels(usize, Vec<u32>),
}

impl Change {
    fn apply(&self, state: &mut State) {
        let (all, place, values) = match self {
            Change::Words(place, values) => (&mut state.words, *place, values),
            Change::Pixels(place, values) => (&mut state.canvas, *place, values),
        };
        all[place..place + values.len()].copy_from_slice(values);
    }

    /// The change that a line names.
    fn of(line: &str) -> Self {
        let (name, values) = line.split_once(' ').expect("a name and values");
        if name == "row" {
            let (y, row) = values.split_once(' ').expect("a row and its pixels");
            let pixels = row.bytes().map(|byte| match byte {
                b'.' => BLANK,
                b'#' => u32::MAX,
                b'a'..=b'z' => BLANK | u32::from(byte - b'a' + 1),
                other => panic!("no pixel: {}", char::from(other)),
            });
            let pixels: Vec<u32> = pixels.collect();
            assert_eq!(pixels.len(), SIDE);
            return Change::Pixels(SIDE * y.parse::<usize>().unwrap(), pixels);
        }
        let status = |word: &str| {
            (0..7).find(|&n| format!("{:?}", Status::of(n).unwrap()).to_lowercase() == word)
        };
        let value = |word: &str| match word.parse::<i64>() {
            Ok(number) => number as u32,
            Err(_) => status(word).unwrap_or_else(|| panic!("no value: {word}")),
        };
        let register = name.strip_prefix('r').and_then(|number| number.parse::<usize>().ok());
        let place = register.unwrap_or_else(|| {
            let (name, offset) = name.trim_end_matches(']').split_once('[').unwrap_or((name, "0"));
            let is = |(place, _): &&(&str, usize)| place.eq_ignore_ascii_case(name);
            let (_, place) = PLACES.iter().find(is).unwrap_or_else(|| panic!("no place: {name}"));
            place + offset.parse::<usize>().unwrap()
        });
        Change::Words(place, values.split(' ').map(value).collect())
    }
}

#[derive(Debug)]
struct Vector {
    name: String,
    program: Program,
    before: Vec<Change>,
    after: Vec<Change>,
}

impl Vector {
    /// The vector of a name's line and those that follow it.
    fn of(lines: &[&str]) -> Self {
        let name = lines[0].trim_matches(['[', ']']).to_string();
        let (mut text, mut mode) = (String::new(), Mode::Strict);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for line in &lines[1..] {
            if let Some(statement) = line.strip_prefix(": ") {
                text += statement;
                text.push('\n');
            } else if let Some(change) = line.strip_prefix("> ") {
                after.push(Change::of(change));
            } else if *line == "total" {
                mode = Mode::Total;
            } else {
                before.push(Change::of(line));
            }
        }
        if !text.ends_with(".end\n") {
            text += ".end\n";
        }
        let program = assemble(&text).unwrap_or_else(|f| panic!("{}", f[0].render(&text, &name)));
        let program = Program { mode, canvas: [SIDE as u32; 2], ..program };
        Vector { name, program, before, after }
    }

    fn begin(&self, state: &mut State) {
        self.before.iter().for_each(|change| change.apply(state));
    }

    /// The state that it begins with becomes that which it should end with.
    fn end(&self, state: &mut State) {
        let length = self.program.code.len() as u32;
        let ended = [(at::IP, length), (at::CYCLES, length), (at::FUEL, length)];
        ended.into_iter().for_each(|(place, value)| state.words[place] = value);
        state.words[at::STATUS] = Status::Halted as u32;
        self.after.iter().for_each(|change| change.apply(state));
    }

    /// What differs, the first of it, by name.
    fn difference(&self, found: &State, expected: &State) -> Option<String> {
        let shown = |place: usize| {
            let (name, first) = PLACES.iter().rfind(|(_, first)| *first <= place).unwrap();
            let (found, expected) = (found.words[place], expected.words[place]);
            let [f, e] = [found, expected].map(|word| word as i32);
            format!("{name}[{}] is {f} ({found:#x}), not {e} ({expected:#x})", place - first)
        };
        let word = (0..at::WORDS).find(|&place| found.words[place] != expected.words[place]);
        let pixel = || {
            let place = (0..SIDE * SIDE).find(|&p| found.canvas[p] != expected.canvas[p])?;
            let [f, e] = [found, expected].map(|state| state.canvas[place]);
            Some(format!("pixel ({}, {}) is {f:x}, not {e:x}", place % SIDE, place / SIDE))
        };
        word.map(shown).or_else(pixel).map(|what| format!("{}: {what}", self.name))
    }
}

fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for table in TABLES {
        let lines: Vec<&str> =
            table.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        let named = |line: &&&str| line.starts_with('[');
        assert!(lines.first().iter().all(named), "a vector begins with its name");
        let mut rest = &lines[..];
        while !rest.is_empty() {
            let next = rest[1..].iter().position(|line| named(&line));
            let (lines, others) = rest.split_at(next.map_or(rest.len(), |next| next + 1));
            all.push(Vector::of(lines));
            rest = others;
        }
    }
    all
}

/// Machines of all vectors before their first instruction.
fn begun(vectors: &[Vector], ctx: &Context, algorithm: Algorithm) -> Machines {
    let problem = Pixel::of(vectors.iter().map(|vector| vector.program.clone()));
    let plan = problem.algorithm(algorithm).limit(LIMIT).plan(ctx).unwrap();
    let mut machines = plan.start().unwrap();
    machines.change(|i, state| vectors[i].begin(state)).unwrap();
    machines
}

fn hold(ctx: &Context, algorithm: Algorithm) {
    let vectors = vectors();
    let mut machines = begun(&vectors, ctx, algorithm);
    let mut expected = machines.states().unwrap().to_vec();
    machines.run().unwrap();
    let found = machines.states().unwrap();
    let wrong: Vec<String> = vectors
        .iter()
        .zip(found.iter().zip(&mut expected))
        .filter_map(|(vector, (found, expected))| {
            vector.end(expected);
            vector.difference(found, expected)
        })
        .collect();
    let all = vectors.len();
    assert!(wrong.is_empty(), "{algorithm}, {} of {all}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn vectors_hold_on_the_host() {
    hold(&host(), Algorithm::Host);
}

#[test]
fn gpu_vectors_hold_in_both_kernels() {
    let Some(ctx) = gpu() else { return };
    hold(&ctx, Algorithm::Group);
    hold(&ctx, Algorithm::Lane);
}

#[test]
fn every_operation_has_a_vector() {
    let vectors = vectors();
    let mut machines = begun(&vectors, &host(), Algorithm::Host);
    let (mut run, mut running) = (BTreeSet::new(), 1);
    while running > 0 {
        let states = machines.states().unwrap().iter().zip(&vectors);
        run.extend(states.filter_map(|(s, v)| Some(v.program.code.get(s.ip() as usize)?[0])));
        running = machines.step(1).unwrap();
    }
    let missing = OPERATIONS.iter().filter(|operation| !run.contains(&operation.code));
    let missing: Vec<&str> = missing.map(|operation| operation.key).collect();
    assert!(missing.is_empty(), "without a vector: {missing:?}");
    let names: BTreeSet<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names.len(), vectors.len(), "two vectors have one name");
}
