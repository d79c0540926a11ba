# deploy/failures.awk: of a stage's log, what failed and why, short enough for the end of a run.
#
#   awk -v lines_max=60 -f deploy/failures.awk build/test-logs/wire.log
#
# Knows what node's test runner prints (each failed test is a block that begins with its name, and
# comes twice: the longer one is kept), and the lines by which cmocka, ctest, the sanitizers, asserts,
# compilers and our own programs say what is wrong. A log that has none of these is told by its end.

function telling(line) {
    return line ~ /Sanitizer|runtime error:|Assertion .* failed|event=panic/
}

# A block ends where the next test, file or total begins.
function block_end() {
    if (title != "" && length(block) >= length(body[title])) {
        body[title] = block
    }
    title = ""
}

{
    tail[NR % 15] = substr($0, 1, 300)
}

/^✖ failing tests:/ || /^test at / || /^(✔|ℹ|﹣|▶) / || /^== / {
    block_end()
    next
}

/^✖ / {
    block_end()
    title = $0
    sub(/ \([0-9.]+ms\).*$/, "", title)
    if (!(title in body)) {
        titles[++titles_n] = title
        body[title] = ""
    }
    block = ""
    block_n = telling_n = 0
    next
}

title != "" {
    if ($0 !~ /^ +at / && $0 !~ /^ *$/ && (++block_n <= 7 || (telling($0) && ++telling_n <= 3))) {
        block = block substr($0, 1, 300) "\n"
    }
    next
}

/^\[ +(ERROR|FAILED) +\]/ || /^The following tests FAILED/ || /^[ \t]+[0-9]+ - .*\((Failed|Timeout|SEGFAULT|ILLEGAL|Not Run|.*Exception.*|.*aborted.*)\)/ ||
/^ *BROKEN: / || / BROKE / || /^FAILED: / || /(error|fatal error|warning): / || /: not (found|built)/ || / complains of / ||
/ended after [0-9]+ (minutes|seconds)/ || telling($0) {
    if (!said[$0]++) {
        others[++others_n] = substr($0, 1, 300)
    }
}

function out(line) {
    if (printed++ < lines_max) {
        print line
    } else if (printed == lines_max + 1) {
        print "… (more in the log)"
    }
}

END {
    block_end()
    for (i = 1; i <= titles_n; i++) {
        out(titles[i])
        n = split(body[titles[i]], of_body, "\n")
        for (j = 1; j < n; j++) {
            out(of_body[j])
        }
    }
    for (i = 1; i <= others_n; i++) {
        out(others[i])
    }
    for (i = NR - 14; !titles_n && !others_n && i <= NR; i++) {
        if (i > 0) {
            out(tail[i % 15])
        }
    }
}
