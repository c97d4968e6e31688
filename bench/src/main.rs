//! Measurements behind the figures in the documentation.

fn main() {}
