// What passes of the FFT are told, as in fft/gpu.rs.
struct Params {
    // Transforms of this dispatch, and along the axes that they lie on, the innermost first; the last is the rest.
    lines: u32,
    size0: u32,
    size1: u32,
    size2: u32,
    // In elements: where the first line begins, from element to element, from line to line along each axis.
    in_offset: u32,
    in_element: u32,
    in0: u32,
    in1: u32,
    in2: u32,
    in3: u32,
    out_offset: u32,
    out_element: u32,
    out0: u32,
    out1: u32,
    out2: u32,
    out3: u32,
    // Elements of a line that are read, the others are zero; elements that are written.
    given: u32,
    kept: u32,
    // From element to element of the hooks' vectors, and where they begin.
    window_offset: u32,
    window_element: u32,
    spectrum_offset: u32,
    spectrum_element: u32,
}
