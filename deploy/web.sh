#!/bin/sh
# deploy/web.sh: builds the web part (dashboard, API pages, SDK) into build/web, if anything changed.
#
#   sh deploy/web.sh            exit 0 when build/web is up to date, 1 with the reason when it cannot be
set -eu

cd "$(dirname "$0")/.."
stamp=build/web/.built
modules=web/node_modules/.package-lock.json

fail() {
    printf 'web.sh: %s\n' "$*" >&2
    exit 1
}

newer_than() {
    [ -n "$(find web -path web/node_modules -prune -o -type f -newer "$1" -print | head -n 1)" ]
}

[ -f web/package.json ] || fail "web/package.json is not here"
if [ -f "$stamp" ] && ! newer_than "$stamp"; then
    exit 0
fi
command -v node >/dev/null 2>&1 || fail "node is not installed; 'sh deploy/deps.sh' installs it"
command -v npm >/dev/null 2>&1 || fail "npm is not installed; 'sh deploy/deps.sh' installs it"
node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)' ||
    fail "node $(node -v) is too old: 18 or later is needed"

mkdir -p build
if [ ! -f "$modules" ] || [ -n "$(find web/package-lock.json -newer "$modules")" ]; then
    (cd web && npm ci --no-audit --no-fund --fetch-retries 1 --fetch-timeout 30000) >build/web.log 2>&1 || {
        tail -n 15 build/web.log >&2
        fail "npm could not fetch the web packages (message above, all of it in build/web.log). Missing: the dashboard at /dashboard/ and the pages /docs and /redoc. Run again once npm reaches its registry"
    }
    touch "$modules"
fi
(cd web && npm run --silent build) >build/web.log 2>&1 || {
    cat build/web.log >&2
    fail "the web build failed; its message stands above"
}
touch "$stamp"
