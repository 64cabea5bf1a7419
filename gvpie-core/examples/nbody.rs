//! The motion of many bodies: a star cluster, and how well its energy is kept.
//!
//! `cargo run --release -p gvpie-core --example nbody`
//! (`GVPIE_BACKEND=cpu` or `gpu` chooses where; otherwise a real GPU is taken if there is one.)

use gvpie_core::nbody::models::plummer;
use gvpie_core::{Context, NBody, Result};

/// Stars.
const COUNT: usize = 2000;

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());

    let cluster = plummer(COUNT, 1);
    let upload = |rows: &[[f64; 4]]| {
        let rows: Vec<f32> = rows.as_flattened().iter().map(|&x| x as f32).collect();
        ctx.upload([COUNT, 4], &rows)
    };
    let plan = NBody::new(COUNT).step(1.0 / 64.0).softening(0.05).plan(&ctx)?;
    let mut state = plan.begin(upload(&cluster.positions)?, upload(&cluster.velocities)?)?;
    let start = state.integrals()?;
    println!("energy {:.5}, by {}", start.energy(), plan.field().algorithm());

    // All stays on the device; of these sums twelve numbers come back.
    for _ in 0..4 {
        state.advance(16)?;
        let now = state.integrals()?;
        let drift = now.energy() / start.energy() - 1.0;
        println!("time {:.2}: energy {:.5}, drift {drift:.1e}", state.time(), now.energy());
        assert!(drift.abs() < 1e-3);
    }
    Ok(())
}
