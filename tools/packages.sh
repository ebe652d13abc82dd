# Which Debian 12 packages the build and the tests need, listed once, and how to get them.
# Sourced by tools/build, tests/run, tests/container/run and the Containerfile's build stage.
# shellcheck shell=bash

PACKAGES_BUILD=(
    gcc libc6-dev meson ninja-build pkg-config
    libcurl4-openssl-dev libh2o-evloop-dev libidn2-dev liblmdb-dev libpcre2-dev
    libseccomp-dev libssl-dev libuv1-dev zlib1g-dev
)

PACKAGES_TEST=(
    git clang-format ca-certificates curl openssl
    libcjson-dev libcmocka-dev libfaketime nghttp2-client nghttp2-server
    python3 python3-pytest python3-pytest-xdist python3-h2 python3-hpack python3-hyperframe
)

PACKAGES_LINT=(clang clang-tidy cppcheck)

# For ./tests/bench alone.
PACKAGES_BENCH=(libnghttp2-dev postgresql)

PACKAGES_CONTAINER=(podman buildah runc mmdebstrap)

# The libraries that the binaries link at run time, for the container's last stage.
PACKAGES_RUNTIME=(
    ca-certificates libcurl4 libh2o-evloop0.13 libidn2-0 liblmdb0 libpcre2-8-0 libseccomp2
    libssl3 libuv1 zlib1g
)

# packages_missing NAME...: those that are not installed, one a line.
packages_missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

# packages_install NAME...: installs what is missing; says nothing and touches nothing where all is
# there. Never asks: there may be nobody at the terminal.
packages_install() {
    local missing as_root=()
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "These Debian packages are needed and there is no apt-get to install them: ${missing[*]}" >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            echo "These packages are missing, and installing them needs root (or sudo without a password):" >&2
            echo "    apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo -n)
    fi
    echo "installing ${missing[*]}" >&2
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
    # Hundreds of lines that nobody reads unless it fails.
    local said
    if ! said=$({ "${as_root[@]}" update && "${as_root[@]}" install -y --no-install-recommends \
        "${missing[@]}"; } </dev/null 2>&1); then
        printf '%s\n' "$said" >&2
        return 1
    fi
}
