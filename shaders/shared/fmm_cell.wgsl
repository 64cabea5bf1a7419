// A cube of the tree. Cell 0 stands for none, cell 1 is the root; children are neighbours, in the order of octants.
struct Cell {
    // Where it lies among the cells of its level, and the level.
    place: vec4<u32>,
    // Sources from x to y, targets from z to w, in the order of the tree.
    span: vec4<u32>,
    // Parent, first child, which octants have a child (none: it is a leaf).
    kin: vec4<u32>,
}
