#!/bin/sh
# tests/unit/includes.sh: includes point down, and every library stays in its home.
#
#   sh tests/unit/includes.sh [ROOT]       judges the tree
#   sh tests/unit/includes.sh --self-test  plants each kind of violation in a temporary tree and
#                                          wants every one found, and nothing else
#
# A header that names a type or function of lmdb, libsodium, libwebsockets or libuv is private to
# that library's home. The tables below are the house of ARCHITECTURE.md. Prints one line a
# violation, `file:line: what`; exit 1 when there is one.
set -eu

# Who may include whom, from the root. A room is a folder, or files that have a rank of their own (a
# name may end in `*`); the longest that fits counts. `*` alone is everything.
rooms() {
    cat <<'TABLE'
store               store
auth                auth store
channels            channels auth store
hub/schema          hub/schema
hub/core            hub/core channels auth store
hub/agents          DOMAIN
hub/tasks           DOMAIN
hub/swarms          DOMAIN
hub/networks        DOMAIN
hub/messages        DOMAIN
hub/consensus       DOMAIN
hub/audit           DOMAIN
hub/consensus/tally* hub/consensus/tally* auth store
hub/consensus/certificate* PAPER
hub/audit/chain*    PAPER
hub/workflows       DOMAIN
hub/integration     DOMAIN
hub/api             hub/api hub/schema DOMAIN
hub/net             hub/net hub/api hub/schema DOMAIN
hub/net/http1*      WIRE
hub/net/ws*         WIRE
hub/net/utf8*       WIRE
hub/cli             hub/cli hub/core/errors* hub/core/backups* hub/net/ws* hub/net/http1* PAPER
hub/courier         hub/courier DOMAIN
hub/main.c          *
hub/modules.c       hub/modules* DOMAIN
hub/modules.h       DOMAIN
hub/config.c        *
hub/config.h        *
hub/filter*         hub/filter*
tests               *
TABLE
}
wire='hub/net/http1* hub/net/ws* hub/net/utf8* store' # pure state machines
paper='hub/consensus/tally* hub/consensus/certificate* hub/audit/chain* channels auth store' # checks with no hub at hand
domain='hub/agents hub/tasks hub/swarms hub/networks hub/consensus hub/audit hub/messages hub/workflows hub/integration hub/core channels auth store'

# Which header of a library may be included where; `!` turns the list round.
homes() {
    cat <<'TABLE'
lmdb.h              store
sodium.h            auth
sodium/             auth
libwebsockets.h     hub/net
libwebsockets/      hub/net
uv.h                hub/net
uv/                 hub/net
curl/               hub/cli hub/courier
pcre2.h             hub/schema
ncurses.h           hub/cli
curses.h            hub/cli
ncursesw/           hub/cli
seccomp.h           hub/filter*
jansson.h           ! store channels hub/net/http1* hub/net/ws* hub/net/utf8*
TABLE
}

# How a library is recognised where it is named, and where a header that does so may be included.
marks() {
    cat <<'TABLE'
(MDB_[A-Za-z]+|mdb_[a-z_]+|lmdb\.h)                      store
(crypto_[a-z0-9]+_[a-zA-Z0-9_]+|sodium_[a-z0-9_]+|sodium\.h) auth
(struct lws|lws_[a-z_]+|uv_[a-z_]+|libwebsockets\.h|uv\.h) hub/net
TABLE
}

judge() {
    (
        cd "$1"
        for room in store auth channels hub tests; do
            [ ! -d $room ] || find $room -name node_modules -prune -o -name '*.[ch]' -print
        done | sort >"$work/files"
        rooms | sed "s#DOMAIN#$domain#; s#WIRE#$wire#; s#PAPER#$paper#" >"$work/rooms"
        homes >"$work/homes"
        marks >"$work/marks"
        # shellcheck disable=SC2046 # our paths have no spaces
        awk -v rooms="$work/rooms" -v homes="$work/homes" -v marks="$work/marks" '
            function within(path, place) {
                if (place ~ /\*$/) return index(path, substr(place, 1, length(place) - 1)) == 1
                return path == place || index(path, place "/") == 1
            }
            function any(path, list,    n, part, i) {
                n = split(list, part, " ")
                for (i = 1; i <= n; i++) if (within(path, part[i])) return 1
                return 0
            }
            function room_of(path,    r, best) {
                best = ""
                for (r in may) if (within(path, r) && length(r) > length(best)) best = r
                return best
            }
            function report(what) {
                printf "%s:%d: %s\n", FILENAME, FNR, what
                bad = 1
            }
            # Drops comments, so that a header may speak of a library without using it.
            function code(line,    out, at) {
                out = ""
                while (line != "") {
                    if (comment) {
                        at = index(line, "*/")
                        if (!at) return out
                        comment = 0
                        line = substr(line, at + 2)
                    } else {
                        at = index(line, "/*")
                        if (!at) { sub(/\/\/.*/, "", line); return out line }
                        out = out substr(line, 1, at - 1) " "
                        comment = 1
                        line = substr(line, at + 2)
                    }
                }
                return out
            }
            BEGIN {
                while ((getline line < rooms) > 0) {
                    split(line, f, " "); list = line; sub(/^[^ ]+ +/, "", list); may[f[1]] = list
                }
                while ((getline line < homes) > 0) {
                    split(line, f, " "); list = line; sub(/^[^ ]+ +/, "", list); home[f[1]] = list
                }
                while ((getline line < marks) > 0) {
                    place = line; sub(/.* /, "", place); sub(/ +[^ ]*$/, "", line)
                    mark["(^|[^A-Za-z0-9_])" line] = place
                }
            }
            FNR == 1 {
                comment = 0
                room = room_of(FILENAME)
                if (room == "") report("no rank: add its folder to the table in tests/unit/includes.sh")
            }
            { text = code($0) }
            text ~ /^[ \t]*#[ \t]*include[ \t]*"/ {
                target = text; sub(/^[^"]*"/, "", target); sub(/".*/, "", target)
                if (within(FILENAME, "tests") && target !~ /\//)
                    ; # a test and its helpers are one folder
                else if (target !~ /\// || target ~ /^\.|\/\.\.?\//)
                    report("\"" target "\" is not written from the root")
                else if (room != "" && !any(target, may[room]))
                    report(room " may not include \"" target "\"")
                included[FILENAME ":" FNR] = target
            }
            text ~ /^[ \t]*#[ \t]*include[ \t]*</ {
                target = text; sub(/^[^<]*</, "", target); sub(/>.*/, "", target)
                for (h in home) if (target == h || (h ~ /\/$/ && index(target, h) == 1)) {
                    list = home[h]
                    refused = sub(/^! +/, "", list) ? any(FILENAME, list) : !any(FILENAME, list)
                    # A bench or test may drive a library by itself; the program may not.
                    if (refused && !within(FILENAME, "tests")) report("<" target "> has no home in " room)
                }
            }
            FILENAME ~ /\.h$/ {
                for (m in mark) if (match(text, m)) {
                    word = substr(text, RSTART, RLENGTH); sub(/^[^A-Za-z_]/, "", word)
                    if (within(FILENAME, mark[m])) { private[FILENAME] = mark[m]; names[FILENAME] = word }
                    else report("a header outside " mark[m] " names " word)
                }
            }
            END {
                for (where in included) {
                    target = included[where]
                    if (target in private && !within(where, private[target])) {
                        printf "%s: \"%s\" names %s and is private to %s\n", where, target, names[target], private[target]
                        bad = 1
                    }
                }
                exit bad
            }' $(cat "$work/files") </dev/null
    )
}

self_test() {
    tree=$work/tree
    mkdir -p "$tree"
    put() { # put FILE TEXT…
        mkdir -p "$tree/$(dirname "$1")"
        file=$tree/$1
        shift
        printf '%s\n' "$@" >>"$file"
    }
    # What is allowed: must not be reported.
    put store/a.h '/* speaks of lmdb, MDB_txn and uv_loop_t */' '#include <stdint.h>'
    put store/a.c '#include "store/a.h"' '#include <lmdb.h>'
    put auth/a.c '#include <sodium.h>' '#include <jansson.h>' '#include "store/a.h"'
    put hub/tasks/a.c '#include "hub/agents/a.h"' '#include "hub/core/a.h"' '#include "channels/a.h"'
    put hub/api/a.c '#include "hub/tasks/a.h"' '#include "hub/schema/a.h"'
    put hub/net/io.c '#include <uv.h>' '#include <libwebsockets.h>' '#include "hub/api/a.h"'
    put hub/net/conn.h 'struct lws;' 'struct conn { struct lws *wsi; };'
    put hub/net/conn.c '#include "hub/net/conn.h"'
    put hub/net/http1_head.c '#include "hub/net/http1_inside.h"' '#include "store/mem.h"'
    put hub/cli/a.c '#include "hub/net/ws.h"' '#include "hub/consensus/certificate.h"' '#include <curl/curl.h>'
    put hub/consensus/certificate.c '#include "hub/consensus/tally.h"' '#include "auth/signing.h"'
    put tests/unit/test_a.c '#include "hub/net/ws.h"' '#include <setjmp.h>'
    if ! judge "$tree"; then
        echo 'includes.sh: the self-test found a violation where there is none' >&2
        return 1
    fi
    # What is not: one line each, and each must be reported.
    rm -r "$tree"
    put store/up.c '#include "channels/a.h"'
    put store/up2.c '#include "auth/a.h"'
    put store/json.c '#include <jansson.h>'
    put auth/up.c '#include "channels/a.h"'
    put auth/lib.c '#include <lmdb.h>'
    put channels/up.c '#include "hub/core/a.h"'
    put channels/lib.c '#include <sodium/crypto_sign.h>'
    put channels/short.c '#include "name.h"'
    put channels/dots.c '#include "channels/../hub/net/io.h"'
    put channels/type.h 'struct x { MDB_txn *txn; };'
    put channels/type2.h 'struct x { uv_loop_t *loop; };'
    put channels/type3.h '/* a */ struct lws *wsi; /* b */'
    put store/inside.h 'struct y { MDB_env *env; };'
    put auth/peeps.c '#include "store/inside.h"'
    put hub/agents/inc.h '#include <sodium.h>'
    put hub/schema/up.c '#include "store/mem.h"'
    put hub/core/up.c '#include "hub/agents/a.h"'
    put hub/agents/up.c '#include "hub/api/a.h"'
    put hub/api/up.c '#include "hub/net/io.h"'
    put hub/api/lib.c '  #  include <libwebsockets.h>'
    put hub/net/lib.c '#include <curl/curl.h>'
    put hub/net/up.c '#include "hub/config.h"'
    put hub/net/ws.c '#include "hub/net/io.h"'
    put hub/net/http1_chunk.c '#include "channels/name.h"'
    put hub/cli/side.c '#include "hub/api/a.h"'
    put hub/cli/side2.c '#include "hub/consensus/round.h"'
    put hub/consensus/tally.c '#include "hub/core/a.h"'
    put hub/consensus/certificate.c '#include "hub/consensus/round.h"'
    put hub/attic/a.c '#include "store/a.h"'
    rc=0
    found=$(judge "$tree") || rc=$?
    # store/inside.h is fine by itself: it is private, and who includes it is at fault.
    planted=$(cd "$tree" && find . -name '*.[ch]' ! -path ./store/inside.h | sed 's#^\./##' | sort)
    caught=$(printf '%s\n' "$found" | cut -d: -f1 | sort -u)
    if [ $rc -eq 0 ] || [ "$planted" != "$caught" ]; then
        echo 'includes.sh: the self-test planted these files' >&2
        printf '%s\n' "$planted" >&2
        echo 'and was told of these' >&2
        printf '%s\n' "$found" >&2
        return 1
    fi
    printf 'self-test: %d planted violations found\n' "$(printf '%s\n' "$planted" | wc -l)"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/waggle-includes.XXXXXX")
trap 'rm -rf "$work"' EXIT

case "${1-}" in
--self-test) self_test ;;
-*)
    echo "includes.sh: unknown option '$1'" >&2
    exit 2
    ;;
*)
    judge "${1:-$(dirname "$0")/../..}"
    printf 'includes: %d files, all pointing down\n' "$(wc -l <"$work/files")"
    ;;
esac
