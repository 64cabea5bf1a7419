//! Faults, choices, and agreement of the back ends.

mod hostile;
mod vectors;

use super::isa::{Instruction, code};
use super::plan::choose;
use super::proof::program;
use super::state::Slice;
use super::*;
use crate::device::Backend;
use crate::error::Error;

fn gpu() -> Option<Context> {
    Context::of_tests()
}

fn host() -> Context {
    Context::on(Backend::Cpu).unwrap()
}

/// The state after a program of these instructions, of an 16 by 16 canvas.
fn after(mode: Mode, instructions: &[Instruction], data: &[u8]) -> State {
    let program = Program {
        code: instructions.into(),
        data: data.into(),
        mode,
        canvas: [16, 16],
        ..Program::default()
    };
    let mut machines = Pixel::new(program).limit(10_000).plan(&host()).unwrap().start().unwrap();
    machines.run().unwrap();
    machines.states().unwrap()[0].clone()
}

#[test]
fn strict_programs_stop_where_it_makes_no_sense() {
    let strict = |instructions: &[Instruction]| after(Mode::Strict, instructions, &[1, 2]);
    let push = [code::PUSH, 0, 0, 0, 0, 0];
    let cases = [
        (vec![[0x05, 0, 0, 0, 0, 0]], Fault::Operation),
        (vec![[code::LD, 0, 0, 0, 1, 0]], Fault::Bounds),
        (vec![[code::LDB, 0, 0, 2, 0, 0]], Fault::Bounds),
        (vec![[code::JMP, 0, 0, 9, 0, 0]], Fault::Bounds),
        (vec![[code::IN, 0, 0x77, 0, 0, 0]], Fault::Bounds),
        (vec![push; 33], Fault::Overflow),
        (vec![[code::RET, 0, 0, 0, 0, 0]], Fault::Underflow),
        (vec![[code::DIV, 0, 1, 2, 0, 0]], Fault::Division),
        (vec![[code::JMP, 0, 0, 0, 0, 0]], Fault::Timeout),
        (vec![[code::TRAP, 0, 0, 0, 0, 0]], Fault::Trap),
        (vec![[code::ASSERT, 0, 0, 0, 0, 0]], Fault::Assertion),
    ];
    for (instructions, fault) in cases {
        let state = strict(&instructions);
        assert_eq!((state.status(), state.fault()), (Status::Faulted, Some(fault)), "{fault}");
        assert!((state.ip() as usize) < instructions.len(), "{fault}: at the instruction");
    }
    // None of these in total mode, but for those that say so themselves.
    assert_eq!(after(Mode::Total, &[push; 40], &[]).status(), Status::Halted);
    assert_eq!(strict(&[]).status(), Status::Halted);
}

#[test]
fn output_and_input_wait_and_lose_nothing() {
    // Copies its input to its output.
    let echo = vec![
        [code::IN, 1, 0x11, 0, 0, 0],
        [code::SLTI, 2, 1, 0, 0, 0],
        [code::JNZ, 2, 0, 5, 0, 0],
        [code::OUT, 1, 0x10, 0, 0, 0],
        [code::JMP, 0, 0, 0, 0, 0],
        [code::HALT, 0, 0, 0, 0, 0],
    ];
    let program = Program { code: echo, canvas: [1, 1], ..Program::default() };
    let text: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
    for ctx in [Some(host()), gpu()].into_iter().flatten() {
        let group = (ctx.backend() == Backend::Gpu).then_some(Algorithm::Group);
        let mut problem = Pixel::new(program.clone());
        problem.algorithm = group;
        let mut machines = problem.plan(&ctx).unwrap().start().unwrap();
        let (mut given, mut found) = (0, Vec::new());
        machines.change(|_, state| given += state.feed(&text, false)).unwrap();
        loop {
            machines.run().unwrap();
            let mut halted = false;
            machines
                .change(|_, state| {
                    halted = state.status() == Status::Halted;
                    found.extend(state.drain());
                    given += state.feed(&text[given..], false);
                })
                .unwrap();
            if halted {
                break;
            }
        }
        assert!(found == text, "{} of {}", found.len(), text.len());
    }
}

#[test]
fn figures_are_those_of_their_formulas() {
    let program = [
        [code::PEN, 0, 0, 1, 0, 0],
        [code::DISC, 8, 8, 3, 0, 0],
        [code::PEN, 0, 0, 2, 0, 0],
        [code::LINE, 15, 0, 0, 15, 0],
        [code::PEN, 0, 0, 3, 0, 0],
        [code::FRAME, 0, 0, 16, 16, 0],
    ];
    let state = after(Mode::Strict, &program, &[]);
    for y in 0..16_i32 {
        for x in 0..16_i32 {
            let far = (x - 8).pow(2) + (y - 8).pow(2);
            let expected = match () {
                () if x == 0 || y == 0 || x == 15 || y == 15 => 3,
                () if x + y == 15 => 2,
                () if far <= 12 => 1,
                () => 0,
            };
            let found = state.canvas()[(16 * y + x) as usize];
            assert_eq!(found, expected | 0xff00_0000, "{x} {y}");
        }
    }
}

#[test]
fn a_letter_is_drawn_as_the_rom_has_it() {
    let program = [[code::CHR, 2, 3, b'G', 0, 0], [code::TXT, 2, 3, 0, 0, 1]];
    let one = after(Mode::Strict, &program[..1], b"G");
    assert_eq!(one.canvas(), after(Mode::Strict, &program[1..], b"G").canvas());
    for (y, row) in crate::glyph::rom::GLYPHS[usize::from(b'G')].iter().enumerate() {
        for x in 0..5 {
            let inked = one.canvas()[16 * (y + 3) + x + 2] == u32::MAX;
            assert_eq!(inked, row >> (4 - x) & 1 == 1, "{x} {y}");
        }
    }
}

#[test]
fn snapshots_come_back_and_damaged_ones_do_not() {
    let state = after(Mode::Total, &program(3, [16, 16]).code, &[1, 2, 3]);
    let bytes = state.to_bytes();
    assert_eq!(State::from_bytes(&bytes).unwrap(), state);
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..7], &[]] {
        assert!(matches!(State::from_bytes(damaged), Err(Error::Value { .. })));
    }
    let mut deep = bytes.clone();
    deep[4 * (2 + at::DEPTH)] = 33;
    assert!(State::from_bytes(&deep).unwrap_err().to_string().contains("stack"));
}

#[test]
fn slices_of_any_size_give_the_same_bytes() {
    for seed in 0..200 {
        let program = program(seed, [24, 20]);
        let run = |steps: u32| {
            let problem = Pixel::new(program.clone()).limit(300);
            let mut machines = problem.plan(&host()).unwrap().start().unwrap();
            while machines.step(steps).unwrap() > 0 {}
            machines.states().unwrap()[0].to_bytes()
        };
        let whole = run(u32::MAX);
        assert!([1, 2, 7, 64].iter().all(|&steps| run(steps) == whole), "seed {seed}");
    }
}

/// Runs programs on the host and with a kernel of the GPU, and compares all that they are.
fn agree(ctx: &Context, algorithm: Algorithm, programs: &[Program], steps: u32) {
    let states = |ctx: &Context, algorithm: Algorithm, steps: u32| {
        let problem = Pixel::of(programs.iter().cloned()).algorithm(algorithm).limit(200);
        let mut machines = problem.plan(ctx).unwrap().start().unwrap();
        while machines.step(steps).unwrap() > 0 {}
        machines.states().unwrap().to_vec()
    };
    let expected = states(&host(), Algorithm::Host, u32::MAX);
    for (i, (found, expected)) in states(ctx, algorithm, steps).iter().zip(&expected).enumerate() {
        if found != expected {
            let place = (0..at::WORDS).find(|&w| found.words()[w] != expected.words()[w]);
            panic!(
                "{algorithm}, program {i} of {}: word {place:?}, ip {} and {}, cycles {} and {}: {:x?}",
                programs.len(),
                found.ip(),
                expected.ip(),
                found.cycles(),
                expected.cycles(),
                programs[i],
            );
        }
    }
}

#[test]
fn gpu_kernels_and_host_agree_on_any_program() {
    let Some(ctx) = gpu() else { return };
    let full = std::env::var("GVPIE_PROOF").as_deref() == Ok("full");
    let seed = std::env::var("GVPIE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1_u64);
    let rounds = if full { 100 } else { 3 };
    println!("GVPIE_SEED={seed}, {rounds} rounds of 1000 programs");
    for round in 0..rounds {
        let canvas = [[24, 20], [33, 7], [1, 1], [64, 64]][round % 4];
        let first = seed.wrapping_mul(1_000_003).wrapping_add(1000 * round as u64);
        let programs: Vec<Program> = (first..first + 1000).map(|s| program(s, canvas)).collect();
        for algorithm in [Algorithm::Group, Algorithm::Lane] {
            agree(&ctx, algorithm, &programs, u32::MAX);
        }
    }
}

#[test]
fn gpu_slices_of_any_size_give_the_same_bytes() {
    let Some(ctx) = gpu() else { return };
    let programs: Vec<Program> = (0..70).map(|seed| program(seed + 7000, [24, 20])).collect();
    for algorithm in [Algorithm::Group, Algorithm::Lane] {
        for steps in [7, 64] {
            agree(&ctx, algorithm, &programs, steps);
        }
    }
}

#[test]
fn gpu_slices_end_where_the_host_ends_them() {
    let Some(ctx) = gpu() else { return };
    let programs: Vec<Program> = (0..70).map(|seed| program(seed + 9000, [24, 20])).collect();
    for algorithm in [Algorithm::Group, Algorithm::Lane] {
        let start = |ctx: &Context, algorithm: Algorithm| {
            let problem = Pixel::of(programs.iter().cloned()).algorithm(algorithm);
            problem.plan(ctx).unwrap().start().unwrap()
        };
        let (mut there, mut here) = (start(&ctx, algorithm), start(&host(), Algorithm::Host));
        for fuel in [1, 2, 40, 3, 100, 17, 64] {
            let slice = Slice { steps: 50, fuel };
            assert_eq!(there.slices(slice, 2).unwrap(), here.slices(slice, 2).unwrap());
            assert!(there.states().unwrap() == here.states().unwrap(), "{algorithm}, {fuel}");
        }
    }
}

#[test]
fn few_run_on_the_host_and_many_in_lanes() {
    let plain = Program { code: vec![[code::ADD, 1, 1, 2, 0, 0]; 9], ..Program::default() };
    let drawing = Program { code: vec![[code::CLS, 0, 0, 0, 0, 0]; 9], ..Program::default() };
    let chosen = |program: &Program, copies, backend| {
        choose(&Pixel::new(program.clone()).copies(copies), backend).unwrap()
    };
    assert_eq!(chosen(&plain, 1, Backend::Gpu), Algorithm::Host);
    assert_eq!(chosen(&plain, 100_000, Backend::Gpu), Algorithm::Lane);
    assert_eq!(chosen(&drawing, 100_000, Backend::Gpu), Algorithm::Group);
    assert_eq!(chosen(&drawing, 100_000, Backend::Cpu), Algorithm::Host);
    let lane = Pixel::new(plain).algorithm(Algorithm::Lane);
    assert!(matches!(choose(&lane, Backend::Cpu), Err(Error::Unsupported { .. })));
}

#[test]
fn programs_past_their_limits_are_refused() {
    let ctx = host();
    let long = Program { code: vec![[0; 6]; MAX_CODE + 1], ..Program::default() };
    assert!(matches!(Pixel::new(long).plan(&ctx), Err(Error::Limit { .. })));
    let flat = Program { canvas: [0, 4], ..Program::default() };
    assert!(matches!(Pixel::new(flat).plan(&ctx), Err(Error::Value { .. })));
    let other = Program { canvas: [3, 4], ..Program::default() };
    assert!(matches!(Pixel::of([Program::default(), other]).plan(&ctx), Err(Error::Value { .. })));
}
