//! What would otherwise be a comment 'keep in sync', proved without a GPU.

use gvpie_core::{
    Access, Kernel, Reflection, driver, einsum, fft, fmm, gemm, glyph, nbody, pixel, shader, sort,
};

/// Every kernel that any plan can ask for.
pub fn kernels() -> Vec<Kernel> {
    let mut all = vec![driver::kernel()];
    all.extend(gemm::kernels());
    all.extend(einsum::kernels());
    all.extend(fft::kernels());
    all.extend(fft::trig::kernels());
    all.extend(fft::convolution::kernels());
    all.extend(fmm::kernels());
    all.extend(glyph::kernels());
    all.extend(nbody::kernels());
    all.extend(pixel::kernels());
    all.extend(sort::kernels());
    all
}

#[test]
fn every_rendering_validates_and_agrees_with_rust() {
    let reflected: Vec<_> = kernels()
        .into_iter()
        .map(|kernel| (kernel.reflect().unwrap_or_else(|error| panic!("{error}")), kernel))
        .collect();
    for (reflection, kernel) in &reflected {
        let label = kernel.label();
        let shader: Vec<(&str, usize)> =
            reflection.params.iter().map(|(name, at)| (name.as_str(), *at)).collect();
        assert_eq!(kernel.param_fields(), shader, "{label}: Params");
        let size = reflection.bindings.iter().find_map(|(_, access)| match access {
            Access::Uniform(size) => Some(*size as usize),
            Access::Read | Access::ReadWrite => None,
        });
        // All parameters so far are words: the block ends one word after its last field.
        assert_eq!(size, kernel.param_fields().last().map(|(_, at)| at + 4), "{label}: size");
        let numbers: Vec<u32> = reflection.bindings.iter().map(|(index, _)| *index).collect();
        // Entry points of one file share its bindings, and each uses some of them.
        let shares = |(other, of): &&(Reflection, Kernel)| {
            of.shader() == kernel.shader() && other.entry != reflection.entry
        };
        if reflected.iter().find(shares).is_some() {
            assert!(numbers.is_sorted(), "{label}: bindings ascend");
            assert!(size.is_none() || numbers.first() == Some(&0), "{label}: parameters first");
            continue;
        }
        let expected: Vec<u32> = (0..reflection.bindings.len() as u32).collect();
        assert_eq!(numbers, expected, "{label}: bindings count from 0 without gaps");
        let order: Vec<u8> = reflection
            .bindings
            .iter()
            .map(|(_, access)| match access {
                Access::Uniform(_) => 0,
                Access::Read => 1,
                Access::ReadWrite => 2,
            })
            .collect();
        assert!(order.is_sorted(), "{label}: parameters, inputs, outputs");
    }
}

#[test]
fn every_shader_file_is_loaded_and_every_shader_is_used() {
    let names = |folder: &str| -> Vec<String> {
        std::fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR")))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    };
    let mut files = names("shaders");
    files.extend(names("shaders/shared").iter().map(|name| format!("shared/{name}")));
    files.sort();
    // The window's, which draws and does not compute; its own tests validate it.
    let window = include_str!("../gvpie-bootstrap/src/surface.rs");
    files.retain(|name| !window.contains(&format!("include_str!(\"../shaders/{name}\")")));
    let mut loaded: Vec<String> = shader::sources().iter().map(|(n, _)| n.to_string()).collect();
    loaded.sort();
    assert_eq!(files, loaded);
    let used: Vec<String> = kernels().iter().filter_map(|k| k.shader().map(String::from)).collect();
    for name in &loaded {
        let included = format!("{{% include \"{name}\" %}}");
        let imported = format!("{{% from \"{name}\" import");
        let includes =
            |(_, text): &(&str, &str)| text.contains(&included) || text.contains(&imported);
        let part = name.starts_with("shared/") && shader::sources().iter().any(includes);
        assert!(part || used.contains(name), "{name} is used by no kernel");
    }
}
