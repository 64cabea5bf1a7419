// What every kernel of GEMM is told; gemm/gpu.rs has the same fields.
struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Tiles of C, and how many of them lie side by side.
    tiles: u32,
    tiles_n: u32,
    // Index in the batch of this dispatch's first matrix.
    first: u32,
    // How many parts k is summed in, and how much of k a part sums.
    parts: u32,
    chunk: u32,
    alpha: f32,
    beta: f32,
    // What f64 factors have beyond their first 24 bits; see `factor`.
    alpha_middle: f32,
    alpha_low: f32,
    alpha_scale: f32,
    beta_middle: f32,
    beta_low: f32,
    beta_scale: f32,
    // Strides and offsets in elements; 'outer' is along m for A, along n for B.
    a_offset: u32,
    a_outer: u32,
    a_k: u32,
    a_batch: u32,
    b_offset: u32,
    b_outer: u32,
    b_k: u32,
    b_batch: u32,
    // One of row and column is 0: a column-major C is written as its transpose, the bias with it.
    bias_offset: u32,
    bias_row: u32,
    bias_column: u32,
    bias_batch: u32,
    c_offset: u32,
    c_row: u32,
    c_column: u32,
    c_batch: u32,
    // Packed operands: steps of 32 of k, strides of the batch in words of 16 bytes, padded rows of
    // A and columns of B; places of their statistics and of the flags of the tiles, in words.
    steps: u32,
    a_packed_batch: u32,
    b_packed_batch: u32,
    a_rows: u32,
    b_rows: u32,
    a_stats: u32,
    a_stats_batch: u32,
    b_stats: u32,
    b_stats_batch: u32,
    flags: u32,
    // Whether a tile was flagged, and the powers of two along k.
    any: u32,
    powers: u32,
    // The tiles that those flags are of: extents, how many side by side, how many in all.
    flag_m: u32,
    flag_n: u32,
    flag_tiles_n: u32,
    flag_tiles: u32,
}
