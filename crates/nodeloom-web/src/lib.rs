//! Part of nodeloom; see the crate's description.
