//! The nodeloom binary.

fn main() {}
