//! Programs that would hold a device if anything let them.

use super::*;
use crate::pixel::state::Slice;
use crate::pixel::{cpu, gpu};

/// A slice as [`Machines::run`] asks for.
const SLICE: Slice = Slice { steps: 16_384, fuel: 16_384 };

/// Slices of each program's life.
const SLICES: usize = 2;

/// What an instruction costs at most: one that has to do with all pixels of the largest canvas.
const DEAREST: u32 = 1 + MAX_CANVAS * MAX_CANVAS / 64;

/// (name, text) of each, most of them without an end.
const PROGRAMS: [(&str, &str); 13] = [
    ("jumps to itself", "a: JMP a"),
    ("calls without a return", "a: CALL a"),
    ("calls without a return, strict", ".mode strict\na: CALL a"),
    ("yields for ever", "a: YIELD\nJMP a"),
    ("fills the canvas", "SET r1 4095\na: RECT r0 r0 r1 r1\nJMP a"),
    ("clears the canvas", "a: ADD r1 1\nPAPERR r1\nCLS\nJMP a"),
    (
        "discs around the canvas",
        "SET r1 512\nSET r2 4095\na: DISC r1 r1 r2\nCIRCLE r1 r1 r1\nJMP a",
    ),
    (
        "lines and frames from far to far",
        "SET r1 -4096\nSET r2 4095\na: LINE r1 r1 r2 r2\nFRAME r1 r0 r2 r2\nJMP a",
    ),
    ("scrolls by one", "SET r1 1\nSET r2 -1\nPLOT 9 9\na: SCROLL r1 r2\nJMP a"),
    ("counts pixels", "SET r1 #ffffff\nRECT 3 3 99 99\na: HIST r2 r1\nJMP a"),
    (
        "copies the canvas over itself",
        "SET r3 1\nSET r4 1\nSET r5 4095\nSET r6 4095\nRECT 7 9 50 60\na: BLIT r1\nJMP a",
    ),
    (
        "texts far outside",
        "SET r1 4095\nSET r4 255\na: TXT r1 r1 r0 r4\nTXT 255 255 @t 255\nJMP a\nt: .data \"abc\\n\"",
    ),
    ("random drawing", "a: RND r1 r0\nRND r2 r0\nRECT r1 r2 r2 r1\nRND r3 r0\nSCROLL r3 r1\nJMP a"),
];

fn programs() -> Vec<Program> {
    let program = |(name, text): (&str, &str)| {
        let text =
            if text.contains(".mode") { text.into() } else { format!(".mode total\n{text}") };
        let program = assemble(&text).unwrap_or_else(|faults| panic!("{name}: {}", faults[0]));
        Program { canvas: [MAX_CANVAS; 2], ..program }
    };
    PROGRAMS.map(program).into()
}

/// On the largest canvas, slice by slice: none takes more than its fuel and one instruction, all go
/// on, and words and pixels are those of the host after each.
#[test]
fn gpu_survives_hostile_programs() {
    let Some(ctx) = gpu() else { return };
    let programs = programs();
    let shown: Vec<&Program> = programs.iter().collect();
    for algorithm in [Algorithm::Group, Algorithm::Lane] {
        let lanes = programs.len() as u32;
        let begun = |(lane, program)| State::new(program, lane, lanes);
        let mut states: Vec<State> = (0..).zip(&programs).map(begun).collect();
        let bank = gpu::Bank::new(&ctx, algorithm, &shown, &states).unwrap();
        for slice in 0..SLICES {
            let running = bank.run(&ctx, SLICE, 1).unwrap();
            let found = bank.read().unwrap();
            let status = |state: &&State| state.status() == Status::Running;
            assert_eq!(running, found.iter().filter(status).count());
            for (i, (found, state)) in found.iter().zip(&mut states).enumerate() {
                let name = format!("{algorithm}, slice {slice}: what {}", PROGRAMS[i].0);
                let before = (state.fuel(), state.cycles(), state.status());
                cpu::run(&programs[i], state, SLICE);
                assert!(found == state, "{name}: not as on the host");
                let fuel = state.fuel() - before.0;
                assert!(fuel < SLICE.fuel + DEAREST, "{name}: {fuel} fuel");
                let goes_on = before.2 != Status::Running || state.cycles() > before.1;
                assert!(goes_on, "{name}: stands still");
                state.frame(Inputs::default());
            }
            bank.write(&states).unwrap();
        }
        let last: Vec<(Status, Option<Fault>)> =
            states.iter().map(|state| (state.status(), state.fault())).collect();
        assert_eq!(last.iter().filter(|(status, _)| *status != Status::Running).count(), 1);
        assert_eq!(last[2], (Status::Faulted, Some(Fault::Overflow)));
        assert_eq!(states[3].words()[at::FRAME] as usize, SLICES);
    }
    // The device is there and in its senses.
    for algorithm in [Algorithm::Group, Algorithm::Lane] {
        let programs: Vec<Program> = (0..40).map(|seed| program(seed, [24, 20])).collect();
        agree(&ctx, algorithm, &programs, u32::MAX);
    }
}

/// A limit of cycles ends each of them, however dear they are.
#[test]
fn gpu_hostile_programs_end_at_their_limit() {
    let Some(ctx) = gpu() else { return };
    let small = |program| Program { canvas: [64, 64], ..program };
    for algorithm in [Algorithm::Group, Algorithm::Lane] {
        let problem = Pixel::of(programs().into_iter().map(small)).algorithm(algorithm).limit(2000);
        let mut machines = problem.plan(&ctx).unwrap().start().unwrap();
        let mut running = true;
        while running {
            machines.run().unwrap();
            machines.change(|_, state| state.frame(Inputs::default())).unwrap();
            running = machines.states().unwrap().iter().any(|s| s.status() == Status::Running);
        }
        for (state, (name, _)) in machines.states().unwrap().iter().zip(PROGRAMS) {
            let strict = state.fault() == Some(Fault::Overflow) && state.cycles() == 33;
            let ended = state.fault() == Some(Fault::Timeout) && state.cycles() == 2000;
            assert!(ended || strict, "{algorithm}: what {name}: {:?}", state.fault());
        }
    }
}
