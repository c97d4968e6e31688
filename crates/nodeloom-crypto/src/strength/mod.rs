//! Is this string fit to be a root key?
