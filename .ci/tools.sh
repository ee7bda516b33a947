# shellcheck shell=bash
# Gets the tools that the checks need; sourced by .ci/run. Everything is kept under $cache, so the second run finds it there.

cache="${XDG_CACHE_HOME:-$HOME/.cache}/alert-responder"
cargo_deny_version=0.20.2
cargo_fuzz_version=0.13.2

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_lists_are_fresh=
update_apt_lists() {
    [ -n "$apt_lists_are_fresh" ] || as_root apt-get update -qq >/dev/null
    apt_lists_are_fresh=yes
}

# need COMMAND PACKAGE: installs the Debian package unless the command is there.
need() {
    command -v "$1" >/dev/null && return
    update_apt_lists
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 || true
    command -v "$1" >/dev/null || { echo "$1 is missing, and the package $2 could not be installed" >&2; return 1; }
}

need_build_tools() {
    need cc gcc
    need c++ g++
    need make make
    need perl perl
}

# promtool is taken out of its package: installed, the package would start a Prometheus.
need_promtool() {
    command -v promtool >/dev/null && return
    local dir="$cache/prometheus"
    if [ ! -x "$dir/usr/bin/promtool" ]; then
        update_apt_lists
        local work
        work=$(mktemp -d)
        (cd "$work" && apt-get download -qq prometheus >/dev/null 2>&1 && dpkg-deb -x prometheus_*.deb unpacked)
        mkdir -p "$cache"
        rm -rf "$dir"
        mv "$work/unpacked" "$dir"
        rm -rf "$work"
    fi
    export PATH="$dir/usr/bin:$PATH"
    command -v promtool >/dev/null || { echo "promtool is missing (Debian: the package prometheus)" >&2; return 1; }
}

need_cargo_deny() {
    local root="$cache/cargo-deny-$cargo_deny_version"
    # Its own release profile takes minutes for a tool that runs a second.
    [ -x "$root/bin/cargo-deny" ] ||
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
            cargo install cargo-deny --locked --quiet --version "$cargo_deny_version" --root "$root"
    export PATH="$root/bin:$PATH"
}

need_cargo_fuzz() {
    rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
    local root="$cache/cargo-fuzz-$cargo_fuzz_version"
    [ -x "$root/bin/cargo-fuzz" ] ||
        cargo install cargo-fuzz --locked --quiet --version "$cargo_fuzz_version" --root "$root"
    export PATH="$root/bin:$PATH"
}

# Sets $ops_python: the interpreter of a virtual environment made from .ci/ops/requirements.txt, one for each content of it.
need_ops_python() {
    need python3 python3
    local hash venv
    hash=$(sha256sum .ci/ops/requirements.txt | cut -c1-16)
    venv="$cache/ops-$hash"
    if [ ! -f "$venv/complete" ]; then
        # Debian keeps the module that makes environments in a package of its own.
        python3 -c 'import ensurepip' 2>/dev/null || {
            update_apt_lists
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        }
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r .ci/ops/requirements.txt
        touch "$venv/complete"
    fi
    # shellcheck disable=SC2034  # .ci/run uses it
    ops_python="$venv/bin/python"
}
