//! Programs that are pictures: a thousand machines of one program walk at random from the middle of
//! their canvases, and the places that most of them came by are printed darkest.
//!
//! `cargo run --release -p gvpie-core --example pixel`; `GVPIE_BACKEND=cpu` or `gpu` chooses where.

use gvpie_core::pixel::{Status, assemble};
use gvpie_core::{Context, Pixel};
use std::error::Error;

/// How it is written: `gvpie help pxl`.
const WALK: &str = "
        .canvas 64 20
        .reg x r0
        .reg y r1
        .reg steps r2
        .reg three r3
        .reg d r4
        SET x 32
        SET y 10
        SET steps 100
        SET three 3
next:   PLOT x y
        RND d three             ; 0, 1 or 2
        ADD x x d
        SUB x 1
        RND d three
        ADD y y d
        SUB y 1
        DJNZ steps next
        HALT
";

const MACHINES: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let ctx = Context::new()?;
    let program = assemble(WALK).map_err(|wrong| wrong[0].clone())?;
    let plan = Pixel::new(program).copies(MACHINES).plan(&ctx)?;
    println!("computing on {}: {} kernel", ctx.adapter(), plan.algorithm());
    let mut machines = plan.start()?;
    machines.run()?;

    let states = machines.states()?;
    if let Some(state) = states.iter().find(|state| state.status() != Status::Halted) {
        return Err(format!("a machine is {}", state.status()).into());
    }
    let [width, height] = states[0].size().map(|extent| extent as usize);
    let mut visits = vec![0; width * height];
    for state in states {
        for (visits, pixel) in visits.iter_mut().zip(state.canvas()) {
            *visits += usize::from(pixel & 0xff_ffff != 0);
        }
    }
    let most = visits.iter().copied().max().unwrap_or(0).max(1);
    let shades = b" .:-=+*#%@";
    for row in visits.chunks(width) {
        let shade = |&count: &usize| char::from(shades[(count * 9).div_ceil(most)]);
        println!("{}", row.iter().map(shade).collect::<String>().trim_end());
    }
    // Every machine begins in the middle.
    assert_eq!(visits[10 * width + 32], MACHINES);
    Ok(())
}
