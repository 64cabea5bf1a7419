//! The window. It is not built yet: this says so, and what is coming.

fn main() -> std::process::ExitCode {
    eprintln!(
        "gvpie-bootstrap: the window (a machine texture, expanded to glyphs by a compute shader) \
         is not built yet; `gvpie` computes without one"
    );
    std::process::ExitCode::FAILURE
}
