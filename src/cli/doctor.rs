//! `gvpie doctor`: what this machine has and what will be made of it.

use super::{Arguments, Failure};
use crate::output::print;
use gvpie_core::glyph::{Cell, Glyphs};
use gvpie_core::{AdapterChoice, Context, DType, Fft, Gemm, adapters, wgpu};
use serde_json::{Value, json};

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`] where the back end that was asked for cannot be used; what could be found out is
/// printed all the same.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = arguments.context_options()?;
    let found = pollster::block_on(adapters(&options.adapter));
    let context = arguments.context();
    let report = match &context {
        Ok(ctx) => examine(ctx, &found, &options.adapter),
        Err(error) => json!({ "adapters": describe(&found), "error": error.to_string() }),
    };
    let text = if arguments.json { format!("{report}\n") } else { render(&report) };
    print(&text)?;
    context.map(drop).map_err(Failure::from)
}

fn describe(found: &[wgpu::AdapterInfo]) -> Value {
    let one = |info: &wgpu::AdapterInfo| {
        json!({
            "name": info.name,
            "kind": format!("{:?}", info.device_type),
            "api": info.backend.to_string(),
            "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        })
    };
    found.iter().map(one).collect()
}

fn examine(ctx: &Context, found: &[wgpu::AdapterInfo], choice: &AdapterChoice) -> Value {
    let c = ctx.capabilities();
    let usage = ctx.device().pool().usage();
    let mut report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapters": describe(found),
        "backend": ctx.backend().to_string(),
        "adapter": ctx.adapter(),
        "driver": ctx.driver(),
        "notice": ctx.notice(),
        "self_test": "passed",
        "capabilities": {
            "fused_fma": c.fused_fma,
            "contracts": c.contracts,
            "denormals": c.denormals,
            "nan_compares": c.nan_compares,
            "compensation": c.compensation,
            "half_denormals": c.half_denormals,
            "timestamps": ctx.has_timestamps(),
        },
        "memory": { "in_use": usage.in_use, "budget": usage.budget },
    });
    if let Some(name) = &choice.name {
        report["adapter_wanted"] = json!(name);
    }
    match ctx.device().gpu() {
        Some(gpu) => {
            let limits = gpu.limits();
            report["features"] = gpu.features().iter_names().map(|(name, _)| json!(name)).collect();
            report["limits"] = json!({
                "max_buffer_size": limits.max_buffer_size,
                "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
                "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
                "max_compute_invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
                "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
                "max_texture_dimension_2d": limits.max_texture_dimension_2d,
            });
        }
        None => report["self_test"] = json!("not needed"),
    }
    report["paths"] = paths(ctx);
    report
}

/// The path each operation takes, by element type and a small and a large size.
fn paths(ctx: &Context) -> Value {
    let mut paths = serde_json::Map::new();
    for dtype in [DType::F32, DType::F16, DType::F64] {
        for size in [64, 4096] {
            let planned = Gemm::new(size, size, size).elements(dtype, dtype, dtype).plan(ctx);
            let path = planned.map_or_else(|e| e.to_string(), |plan| plan.algorithm().to_string());
            paths.insert(format!("gemm {dtype} {size}x{size}x{size}"), json!(path));
        }
    }
    for dtype in [DType::F32, DType::F64] {
        for size in [1013, 4096, 1 << 20] {
            let planned = Fft::new([size]).precision(dtype).plan(ctx);
            let path = planned.map_or_else(|e| e.to_string(), |plan| super::fft::path(&plan));
            paths.insert(format!("fft {dtype} {size}"), json!(path));
        }
    }
    for cell in Cell::ALL {
        let planned = Glyphs::new(128, 64).cell(cell).plan(ctx);
        let path = planned.map_or_else(|e| e.to_string(), |plan| plan.algorithm().to_string());
        paths.insert(format!("glyph {cell}"), json!(path));
    }
    Value::Object(paths)
}

/// The report as indented lines of `name: value`; a list of objects has one object a line.
fn render(report: &Value) -> String {
    fn lines(value: &Value, indent: usize, text: &mut String) {
        let Value::Object(map) = value else { return };
        for (name, value) in map {
            *text += &format!("{:indent$}{}:", "", name.replace('_', " "));
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    text.push('\n');
                    lines(value, indent + 2, text);
                }
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    text.push('\n');
                    for item in items {
                        *text += &format!("{:1$}{2}\n", "", indent + 2, word(item));
                    }
                }
                other => *text += &format!(" {}\n", word(other)),
            }
        }
    }
    let mut text = String::new();
    lines(report, 0, &mut text);
    text
}

fn word(value: &Value) -> String {
    let all = |items: Vec<String>| if items.is_empty() { "none".into() } else { items.join(", ") };
    match value {
        Value::Null => "none".into(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::String(words) => words.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => all(items.iter().map(word).collect()),
        Value::Object(map) => all(map.values().map(word).collect()),
    }
}
