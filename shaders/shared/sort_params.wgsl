struct Params {
    // Keys, and blocks of keys: one a workgroup.
    n: u32,
    blocks: u32,
    // Words from a row of counts to the next: blocks, rounded up to whole vectors.
    stride: u32,
    // The digit: (word of the key >> shift) & mask.
    word: u32,
    shift: u32,
    mask: u32,
    // 1 for the first digit: keys lie where they were given.
    first: u32,
}
