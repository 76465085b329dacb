# One-line recipes; each is plain cargo or a script of the project.

# Runs a complete installation on loopback, until Ctrl-C.
demo:
    cargo run --release -- demo

# Formatting, lints and unit tests.
check:
    cargo fmt --check && cargo clippy --all-targets -- -D warnings && RUST_TEST_THREADS=$((3 * $(nproc))) cargo test --lib

# The unit tests, and the integration tests that start no program but Vestibule.
test: check
    RUST_TEST_THREADS=$((3 * $(nproc))) cargo test --no-fail-fast --test integration
    cargo test --test memory

# Everything that decides whether a change lands; installs the external programs that it needs.
ci:
    tests/run

# The documentation as a book, in target/book.
docs:
    command -v mdbook >/dev/null || cargo install --locked mdbook
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" mdbook build

# Pictures of every page, for docs/pages.md; needs what tests/run installs, and pngquant.
screens:
    SCREENSHOTS=docs/screens cargo test --test browser appearance
    pngquant --force --ext .png --strip --speed 1 64 docs/screens/*.png

# What a release consists of, in target/release-files: archive, Debian package, image, SBOM and checksums.
release:
    packaging/release

# The same in two folders, and whether all bytes are equal.
release-twice:
    packaging/release-twice

# Review changed snapshots.
review:
    cargo insta review

bench:
    cargo bench

# One of the fuzz targets in `fuzz/fuzz_targets`; needs cargo-fuzz.
fuzz target seconds="60":
    mkdir -p fuzz/corpus/{{target}}
    cargo fuzz run -s none {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- -max_total_time={{seconds}}
