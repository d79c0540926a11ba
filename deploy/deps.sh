#!/bin/sh
# deploy/deps.sh: installs the packages that a build, a run and (with --tests) the tests need.
#
#   sh deploy/deps.sh            what run.sh and a build by hand need
#   sh deploy/deps.sh --tests    the tests' packages as well
#   sh deploy/deps.sh --check    installs nothing; exit 1 and the list when something is missing
#
# For Debian 12 and later (and distributions made from it). As root, or as a user with sudo. Asks
# dpkg first, so it is done in a blink when everything is there.
set -eu

# The oldest Node.js that the web part and the tests run on: Debian 12's own.
NODE_MAJOR_MIN=18

fail() {
    printf 'deps.sh: %s\n' "$*" >&2
    exit 1
}

# One entry a line; "a|b" is satisfied by either, and the first that this distribution offers is
# installed.
build_packages() {
    cat <<'LIST'
gcc
libc6-dev
cmake
ninja-build
pkgconf|pkg-config
libwebsockets-dev
libwebsockets-evlib-uv
libuv1-dev
libjansson-dev
libsodium-dev
liblmdb-dev
libck-dev
libcurl4-openssl-dev|libcurl4-gnutls-dev
libpcre2-dev
libncurses-dev
libxxhash-dev
libssl-dev
libseccomp-dev
ca-certificates
LIST
}

test_packages() {
    cat <<'LIST'
libcmocka-dev
clang
clang-format
clang-tidy
faketime
iproute2
nftables
chromium|chromium-browser
tmux
LIST
    # libFuzzer and the sanitizers of clang are a package of their own, named after clang's version.
    clang_version=$(clang_major)
    [ -z "$clang_version" ] || printf 'libclang-rt-%s-dev|libclang-common-%s-dev\n' \
        "$clang_version" "$clang_version"
}

# Major version of the clang that is here, or else of the one that would be installed.
clang_major() {
    if command -v clang >/dev/null 2>&1; then
        clang -dumpversion | cut -d. -f1
    else
        apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1
    fi
}

# Node.js may come from elsewhere than apt; what counts is that it is there and new enough.
node_packages() {
    if command -v node >/dev/null 2>&1; then
        major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
        if [ "$major" -lt "$NODE_MAJOR_MIN" ]; then
            printf 'deps.sh: %s is Node.js %s; the web part and the tests need %s or later and are left out\n' \
                "$(command -v node)" "$major" "$NODE_MAJOR_MIN" >&2
        fi
    else
        echo nodejs
    fi
    command -v npm >/dev/null 2>&1 || echo npm
}

# From a list of entries on stdin, those of which no alternative is installed.
not_installed() {
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
    while read -r entry; do
        found=no
        for name in $(printf '%s' "$entry" | tr '|' ' '); do
            case "
$installed
" in *"
$name
"*) found=yes ;; esac
        done
        [ $found = yes ] || printf '%s\n' "$entry"
    done
}

# The first alternative of an entry that apt can install.
resolve() {
    for name in $(printf '%s' "$1" | tr '|' ' '); do
        candidate=$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: //p')
        if [ -n "$candidate" ] && [ "$candidate" != "(none)" ]; then
            printf '%s\n' "$name"
            return 0
        fi
    done
    fail "no package for '$1' in the package lists of this system. Debian 12 or later is needed; see /etc/apt/sources.list"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        # sudo resets the environment: what apt must see is set behind it.
        sudo -- "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

wanted() {
    build_packages
    node_packages
    [ "$tests" = no ] || test_packages
}

tests=no
check=no
for arg in "$@"; do
    case "$arg" in
    --tests) tests=yes ;;
    --check) check=yes ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) fail "unknown option '$arg' (--tests, --check)" ;;
    esac
done

command -v dpkg-query >/dev/null 2>&1 ||
    fail "dpkg-query is not here: this is not a Debian. Install by hand what stands for: $(build_packages | tr '\n' ' ')"

missing=$(wanted | not_installed)
[ -n "$missing" ] || exit 0
if [ $check = yes ]; then
    printf 'missing: %s\n' "$(printf '%s' "$missing" | tr '\n' ' ')"
    exit 1
fi

if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    fail "packages are missing and neither root nor sudo is at hand. As root: apt-get install $(printf '%s' "$missing" | sed 's/|.*//' | tr '\n' ' ')"
fi

printf 'deps.sh: installing %s\n' "$(printf '%s' "$missing" | sed 's/|.*//' | tr '\n' ' ')"
# Stale lists often still serve: a mirror that cannot be reached is an error only if the packages
# then cannot be had.
apt_get update || printf 'deps.sh: apt-get update failed; trying with the lists at hand\n' >&2
missing=$(wanted | not_installed) # a fresh machine knows clang's version only now
packages=
for entry in $missing; do
    name=$(resolve "$entry")
    packages="$packages $name"
done
# shellcheck disable=SC2086 # a list of words
apt_get install --no-install-recommends $packages ||
    fail "apt-get could not install:$packages. Its message stands above; mend that (network? disk? a held package?) and run again"
