//! Sums over many bodies: the field of a ball of charge, inside and outside.
//!
//! `cargo run --release -p gvpie-core --example fmm`
//! (`GVPIE_BACKEND=cpu` or `gpu` chooses where; otherwise a real GPU is taken if there is one.)

use gvpie_core::{Context, Fmm, Result};

/// Points of the ball.
const COUNT: usize = 20_000;

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());

    // An even ball of radius 1 and charge 1, in rows x, y, z, q.
    let mut random = fastrand::Rng::with_seed(1);
    let mut coordinate = || 2.0 * random.f32() - 1.0;
    let mut rows = Vec::new();
    while rows.len() < COUNT {
        let x = [coordinate(), coordinate(), coordinate()];
        if x.iter().map(|x| x * x).sum::<f32>() <= 1.0 {
            rows.push([x[0], x[1], x[2], 1.0 / COUNT as f32]);
        }
    }
    let ball = ctx.upload([COUNT, 4], rows.as_flattened())?;

    // At points along a line, whose own charge is not read.
    let line: Vec<[f32; 4]> = (0..=6).map(|i| [0.5 * i as f32, 0.0, 0.0, 0.0]).collect();
    let targets = ctx.upload([line.len(), 4], line.as_flattened())?;
    let mut field = ctx.zeros::<f32>([line.len(), 4])?;
    let plan = Fmm::new(COUNT).targets(line.len()).tolerance(1e-4).plan(&ctx)?;
    let report = plan.run_at(&ball, &targets, &mut field)?;
    println!("{}: {} pairs, errors up to {:.0e}", plan.algorithm(), report.pairs, plan.bound());

    for (x, field) in line.iter().zip(field.download()?.chunks(4)) {
        // Newton: outside as if all were at the centre, inside as if only what lies below pulled.
        let r = x[0];
        let expected = if r < 1.0 { (3.0 - r * r) / 2.0 } else { 1.0 / r };
        println!("at {r:.1}: potential {:.4} ({expected:.4}), gradient {:.4}", field[0], field[1]);
        assert!((field[0] - expected).abs() < 0.03);
    }
    Ok(())
}
