#!/usr/bin/env bash
# Fuzzes every parser of foreign bytes for a while: fuzz/run.sh [SECONDS] [TARGET...]
#
# SECONDS are for each target (10 if not said). Needs stable Rust and a C++ compiler; installs cargo-fuzz under fuzz/target if there
# is none. Inputs that are found on the way stay under fuzz/target/found; one that breaks a parser is under fuzz/artifacts, and
# belongs into fuzz/corpus once the parser is mended.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-10}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=($(basename -s .rs fuzz_targets/*.rs))

if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install --quiet --locked --version 0.13.2 --root target/tools --target-dir target/tools/build cargo-fuzz
    PATH="$PWD/target/tools/bin:$PATH"
fi

# Coverage comes from a pass that stable Rust has; sanitizers need nightly, and here there is hardly any unsafe code to watch.
cargo fuzz build --sanitizer none

programs=target/$(rustc -vV | sed -n 's/^host: //p')/release

failed=()
for target in "${targets[@]}"; do
    mkdir -p "target/found/$target" "artifacts/$target"
    log=target/found/$target.log
    # The program itself, not `cargo fuzz run`, which would look for changes and build again each time. What it prints goes to its log.
    if "$programs/$target" "target/found/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=20000 -print_final_stats=1 >"$log" 2>&1; then
        printf '%-12s %12s executions, nothing found\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
        printf '%-12s FOUND SOMETHING\n' "$target"
        tail -40 "$log"
        failed+=("$target")
    fi
done
[ ${#failed[@]} -eq 0 ]
