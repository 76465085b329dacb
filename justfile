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

# Pictures of every page, for docs/pages.md; needs what tests/run installs, and pngquant.
screens:
    SCREENSHOTS=docs/screens cargo test --test browser look
    pngquant --force --ext .png --strip --speed 1 64 docs/screens/*.png

# Review changed snapshots.
review:
    cargo insta review

bench:
    cargo bench

# One of the fuzz targets in `fuzz/fuzz_targets`; needs cargo-fuzz and a nightly toolchain.
fuzz target seconds="60":
    mkdir -p fuzz/corpus/{{target}}
    cargo +nightly fuzz run -s none {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- -max_total_time={{seconds}}
