# One-line recipes; each is plain cargo or a script of the project.

# The whole thing on loopback, until Ctrl-C.
demo:
    cargo run --release -- demo

# Everything that decides whether a change lands.
test:
    tests/run

# The quick part of it.
check:
    cargo fmt --check && cargo clippy --all-targets -- -D warnings && cargo test --lib

# Review changed snapshots.
review:
    cargo insta review

bench:
    cargo bench
