# Short names for what scripts/ does; `just` is optional.

# Before each commit: format, lint, docs, tests on SQLite.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
    scripts/check-source.sh
    cargo test --workspace --locked

# Everything, as CI does it.
test *arguments:
    scripts/test.sh {{ arguments }}

# Build and serve.
start *arguments:
    scripts/start.sh {{ arguments }}

# Write the files that are made from the code.
generate:
    scripts/generate.sh

# A measurement: envelope, random-keys, http, scale, startup, size.
bench *arguments:
    cargo run --release --locked -p nodeloom-bench -- {{ arguments }}
