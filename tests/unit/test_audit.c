/* The audit trail: what system channels told is sealed, and whoever changes a byte of it is found.
 */
#include "tests/unit/api_fixture.h"
#include "hub/audit/auditor.h"

#include "store/log_parts.h"

struct test {
    struct fixture *f;
    struct auditor auditor;
    struct principal *boss;
};
static struct test t;

static int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    t = (struct test){.f = fixture_open(*state), .boss = person(ROLE_ADMIN, "boss")};
    return 0;
}

static int teardown(void **state)
{
    auditor_done(&t.auditor);
    fixture_close(t.f);
    principal_unref(t.boss);
    return scratch_remove(state);
}

static void agents_register(unsigned n)
{
    static unsigned made;
    for (unsigned i = 0; i < n; i++) {
        char body[100];
        (void)snprintf(body, sizeof body, "{\"agent_id\":\"a-%u\",\"agent_type\":\"worker\"}",
                       made++);
        assert_int_equal(request(t.f, t.boss, METHOD_POST, "/agents/register", body), HUB_OK);
    }
}

static void turns(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        while (auditor_turn(&t.auditor, &t.f->io)) {
        }
        fixture_turn(t.f);
    }
}

/* The interval passes: what there is gets its seal. */
static void seal(void)
{
    turns(1);
    t.f->now_ms += 10000;
    fixture_turn(t.f);
    turns(20);
}

/* ---- verifying ---- */

static struct chain_fault first_fault;
static char first_name[64];

static void note_fault(void *ctx, const struct chain_fault *fault)
{
    unsigned *n = ctx;
    if ((*n)++ == 0) {
        first_fault = *fault;
        (void)snprintf(first_name, sizeof first_name, "%.*s", (int)fault->name.n,
                       (const char *)fault->name.p);
    }
}

static bool trust_own(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES])
{
    char kid[SIGNING_KID_CHARS + 1];
    (void)ctx;
    signature_kid(public_key, kid);
    return signing_find(atomic_load(&t.f->hub.signing), slice_str(kid), t.f->now_ms) != NULL;
}

static unsigned verify(struct chain_audit *out)
{
    struct store_reader *reader;
    struct store_view *view;
    unsigned faults = 0;
    assert_int_equal(store_reader_new(t.f->hub.store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    enum store_rc rc = chain_verify(view, trust_own, note_fault, &faults, out);
    assert_int_equal(rc, faults ? STORE_DAMAGED : STORE_OK);
    assert_int_equal(out->faults, faults);
    store_release(reader);
    store_reader_free(reader);
    return faults;
}

/* ---- tampering, as somebody does who has the file and knows its format ---- */

static void put_row(enum store_table table, struct slice key, const struct buf *row)
{
    struct store_txn *txn;
    assert_int_equal(store_begin(t.f->hub.store, &txn), STORE_OK);
    assert_int_equal(store_put(txn, table, key, buf_slice(row)), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
}

static void get_row(enum store_table table, struct slice key, struct buf *out)
{
    struct store_view *view;
    struct slice row;
    assert_int_equal(store_snapshot(t.f->io.reader, &view), STORE_OK);
    assert_int_equal(store_get(view, table, key, &row), STORE_OK);
    buf_clear(out);
    buf_add_slice(out, row);
    store_release(t.f->io.reader);
}

/* Another byte in the payload, and a checksum that fits. */
static void alter_record(uint64_t seq, size_t from_end)
{
    uint8_t key[JOURNAL_KEY_BYTES];
    struct buf row = {0}, again = {0};
    struct log_record record;
    get_row(TABLE_JOURNAL, journal_key(key, seq), &row);
    assert_true(journal_read(seq, buf_slice(&row), &record));
    row.p[row.n - from_end] ^= 1;
    (void)buf_reserve(&again, row.n);
    again.n = row.n;
    journal_write(again.p, &record, &record.payload, 1);
    assert_true(journal_read(seq, buf_slice(&again), &record));
    put_row(TABLE_JOURNAL, journal_key(key, seq), &again);
    buf_done(&row);
    buf_done(&again);
}

/* ---- tests ---- */

static void what_was_told_is_sealed_and_verifies(void **state)
{
    struct chain_audit audit;
    (void)state;
    agents_register(20);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.events, 40); /* each on `agents` and on its own channel */
    assert_int_equal(audit.sealed_to, audit.newest);
    agents_register(5);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.events, 50);
    assert_int_equal(audit.missed, 0);
    assert_true(audit.seals >= 2);
}

static void an_altered_byte_names_its_event(void **state)
{
    struct chain_audit audit;
    (void)state;
    agents_register(10);
    seal();
    for (uint64_t seq = 3; seq <= 13; seq += 5) {
        alter_record(seq, 3);
        assert_int_equal(verify(&audit), 1);
        assert_int_equal(first_fault.seq, seq);
        assert_string_equal(first_fault.what, "the event was altered");
        assert_true(strncmp(first_name, "agent", 5) == 0);
        alter_record(seq, 3); /* and back */
        assert_int_equal(verify(&audit), 0);
    }
    alter_record(17, 1);
    alter_record(5, 1);
    assert_int_equal(verify(&audit), 2);
    assert_int_equal(first_fault.seq, 5); /* the first of them */
}

static void a_missing_event_is_named(void **state)
{
    struct chain_audit audit;
    struct store_txn *txn;
    uint8_t key[JOURNAL_KEY_BYTES];
    (void)state;
    agents_register(5);
    seal();
    assert_int_equal(store_begin(t.f->hub.store, &txn), STORE_OK);
    assert_int_equal(store_del(txn, TABLE_JOURNAL, journal_key(key, 4)), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    assert_int_equal(verify(&audit), 1);
    assert_int_equal(first_fault.seq, 4);
    assert_string_equal(first_fault.what, "the event is missing");
}

/* Whoever changes the seal as well has no key to sign it with. */
static void a_seal_cannot_be_made_to_fit(void **state)
{
    struct chain_audit audit;
    struct chain_seal newest;
    struct store_view *view;
    struct buf row = {0}, good = {0};
    uint8_t key[8];
    (void)state;
    agents_register(3);
    seal();
    assert_int_equal(store_snapshot(t.f->io.reader, &view), STORE_OK);
    assert_int_equal(chain_newest(view, &newest), STORE_OK);
    chain_seal_pack(&good, &newest);
    be64_put(key, newest.to);
    store_release(t.f->io.reader);
    for (size_t i = 0; i < good.n; i++) {
        buf_clear(&row);
        buf_add_slice(&row, buf_slice(&good));
        row.p[i] ^= 0x10;
        put_row(TABLE_AUDIT, slice_of(key, sizeof key), &row);
        assert_true(verify(&audit) > 0);
    }
    /* Resealed with another key, it is none of the hub's. */
    uint8_t seed[SIGNING_SEED_BYTES] = {9};
    struct signing *other = signing_of(seed, 0);
    assert_true(chain_seal_unpack(buf_slice(&good), &newest));
    chain_seal_sign(&newest, other);
    buf_clear(&row);
    chain_seal_pack(&row, &newest);
    put_row(TABLE_AUDIT, slice_of(key, sizeof key), &row);
    assert_int_equal(verify(&audit), 1);
    assert_string_equal(first_fault.what, "the seal's key is none of the hub's");
    signing_unref(other);
    buf_done(&row);
    buf_done(&good);
}

/* Where an event stands and when it was told is as much of it as what it says. */
static void every_part_of_an_event_is_in_its_hash(void **state)
{
    struct log_record record = {
        .seq = 1, .channel = 2, .offset = 3, .time_ms = 4, .payload = slice_str("payload")};
    struct log_record others[] = {record, record, record, record};
    uint8_t hash[CHAIN_HASH_BYTES], other[CHAIN_HASH_BYTES];
    (void)state;
    others[0].seq++;
    others[1].offset++;
    others[2].time_ms++;
    others[3].payload = slice_str("paylord");
    chain_hash(1, slice_str("tasks"), &record, hash);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        chain_hash(1, slice_str("tasks"), &others[i], other);
        assert_memory_not_equal(hash, other, sizeof hash);
    }
    chain_hash(2, slice_str("tasks"), &record, other);
    assert_memory_not_equal(hash, other, sizeof hash);
    chain_hash(1, slice_str("tasky"), &record, other);
    assert_memory_not_equal(hash, other, sizeof hash);
}

/* As who has the hub's key can make one; the seal after it was made on top of another. */
static void a_seal_is_not_replaced_by_another_of_the_same_events(void **state)
{
    struct chain_audit audit;
    struct chain_seal newest;
    struct store_view *view;
    struct buf row = {0};
    uint8_t key[8];
    (void)state;
    agents_register(2);
    seal();
    assert_int_equal(store_snapshot(t.f->io.reader, &view), STORE_OK);
    assert_int_equal(chain_newest(view, &newest), STORE_OK);
    newest.at_ms++;
    chain_seal_sign(&newest, atomic_load(&t.f->hub.signing));
    chain_seal_pack(&row, &newest);
    be64_put(key, newest.to);
    store_release(t.f->io.reader);
    agents_register(2);
    seal();
    assert_int_equal(verify(&audit), 0);
    put_row(TABLE_AUDIT, slice_of(key, sizeof key), &row);
    assert_int_equal(verify(&audit), 1);
    assert_string_equal(first_fault.what, "the seal before it is missing or another");
    buf_done(&row);
}

/* So many in one batch. */
static void crowd_registers(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[16];
        struct agent_register r = {.asker = {.subject = slice_str("boss")},
                                   .agent = {.type = AGENT_WORKER, .slots = 1}};
        r.agent.id = slice_of(id, (size_t)snprintf(id, sizeof id, "crowd-%u", i));
        struct command *command =
            io_command(&t.f->io, &command_agent_register, 1, (struct return_address){0}, 0);
        struct buf *arena = io_arena(&t.f->io);
        command->flags |= COMMAND_SILENT;
        command->body_at = (uint32_t)arena->n;
        agent_register_put(arena, &r);
        command->body_n = (uint32_t)(arena->n - command->body_at);
        if (i % 500 == 499 || i == n - 1) {
            fixture_turn(t.f);
        }
    }
}

/* More than one seal holds, and more than one turn reads. */
static void many_events_take_several_seals(void **state)
{
    struct chain_audit audit;
    (void)state;
    crowd_registers(2300);
    turns(50);
    seal();
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.events, 4600);
    assert_int_equal(audit.sealed_to, audit.newest);
    assert_true(audit.seals >= 3);
}

static void a_seal_left_out_is_missed(void **state)
{
    struct chain_audit audit;
    struct store_txn *txn;
    struct store_cursor *cursor;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        agents_register(2);
        seal();
    }
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.seals, 3);
    assert_int_equal(store_begin(t.f->hub.store, &txn), STORE_OK);
    assert_int_equal(store_cursor_open(store_txn_view(txn), TABLE_AUDIT, &cursor), STORE_OK);
    assert_int_equal(store_cursor_next(cursor, NULL, NULL), STORE_OK);
    assert_int_equal(store_cursor_next(cursor, NULL, NULL), STORE_OK);
    assert_int_equal(store_cursor_del(cursor), STORE_OK);
    store_cursor_close(cursor);
    assert_int_equal(store_commit(txn), STORE_OK);
    assert_int_equal(verify(&audit), 1);
    assert_string_equal(first_fault.what, "the seal before it is missing or another");
}

/* Nothing in the chain tells an old seal that was dropped in its time from one that was taken out:
 * how much stands before the first is said, so that who knows can tell. */
static void how_much_the_first_seal_leaves_out_is_told(void **state)
{
    struct chain_audit audit;
    struct store_txn *txn;
    struct store_cursor *cursor;
    (void)state;
    agents_register(2);
    seal();
    assert_int_equal(verify(&audit), 0);
    uint64_t first = audit.sealed_to;
    assert_int_equal(audit.before, 0);
    agents_register(2);
    seal();
    assert_int_equal(store_begin(t.f->hub.store, &txn), STORE_OK);
    assert_int_equal(store_cursor_open(store_txn_view(txn), TABLE_AUDIT, &cursor), STORE_OK);
    assert_int_equal(store_cursor_next(cursor, NULL, NULL), STORE_OK);
    assert_int_equal(store_cursor_del(cursor), STORE_OK);
    store_cursor_close(cursor);
    assert_int_equal(store_commit(txn), STORE_OK);
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.before, first);
}

/* A crash loses what was read and not sealed; the journal has it still. */
static void a_new_auditor_goes_on_where_the_chain_ends(void **state)
{
    struct chain_audit audit;
    (void)state;
    agents_register(4);
    seal();
    agents_register(4);
    turns(2);
    auditor_done(&t.auditor);
    t.auditor = (struct auditor){.begun = false};
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.events, 16);
    assert_int_equal(audit.sealed_to, audit.newest);
}

/* The auditor does not wait for the writer before it goes on. */
static void several_seals_are_under_way_at_once(void **state)
{
    struct chain_audit audit;
    (void)state;
    agents_register(AUDITOR_ENTRIES_MAX * 7 / 4); /* two events each */
    turns(1);
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.seals, 3);
    assert_int_equal(audit.events, 3 * AUDITOR_ENTRIES_MAX);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.sealed_to, audit.newest);
}

/* With one that never comes to the writer those on top of it are refused. */
static void seals_that_were_lost_are_made_again(void **state)
{
    struct chain_audit audit;
    (void)state;
    agents_register(AUDITOR_ENTRIES_MAX * 7 / 4);
    while (t.auditor.sealed_to == 0) {
        assert_true(auditor_turn(&t.auditor, &t.f->io));
    }
    t.f->io.filling->commands_n = 0;
    turns(2);
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.seals, 0);
    t.f->now_ms += 6000;
    fixture_turn(t.f);
    seal();
    seal(); /* the interval was over in the midst of them */
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.sealed_to, audit.newest);
}

/* So much that the journal's front passes what came before. */
static void flood(unsigned n)
{
    struct slice channel = slice_str("flood");
    for (unsigned i = 0; i < n; i++) {
        struct io_publish publish = {.app = 1,
                                     .event = {.kind = EVENT_MESSAGE,
                                               .channel = channel,
                                               .name = slice_str("x"),
                                               .data = slice_str("1"),
                                               .time_ms = t.f->now_ms},
                                     .options = io_options(&t.f->io, 1, channel),
                                     .silent = true};
        bool live;
        assert_int_equal(io_publish(&t.f->io, &publish, &live), HUB_OK);
        if (i % 500 == 499) {
            t.f->now_ms += 50;
            fixture_turn(t.f);
            turns(1);
        }
    }
}

/* Into blocks, out of the journal, and at last out of the log. */
static void the_chain_survives_trimming(void **state)
{
    struct chain_audit audit;
    (void)state;
    agents_register(150);
    seal();
    t.f->settings.audit_keep_ms = INT64_C(100) * 86400000;
    flood(80000);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.events, 300); /* from blocks */
    assert_int_equal(audit.aged, 0);
    assert_int_equal(audit.missed, 0);
    t.f->now_ms += INT64_C(8) * 86400000; /* past the 7 days that system channels keep */
    for (unsigned i = 0; i < 400; i++) {
        t.f->now_ms += 5000;
        fixture_turn(t.f);
    }
    agents_register(3);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_true(audit.aged >= 300);
    assert_true(audit.events >= 6);
    /* Seals go as well, and the first one left is the anchor. */
    t.f->settings.audit_keep_ms = 60000;
    t.f->now_ms += 120000;
    agents_register(1);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.seals, 1);
}

static void events_of_users_are_not_sealed(void **state)
{
    struct chain_audit audit;
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(request(t.f, t.boss, METHOD_POST, "/api/v1/channels/mine/events",
                                 "{\"event\":\"x\",\"data\":1}"),
                         HUB_OK);
    }
    agents_register(1);
    seal();
    assert_int_equal(verify(&audit), 0);
    assert_int_equal(audit.events, 2);
}

static void a_backup_is_verified_without_a_lock(void **state)
{
    struct chain_audit audit;
    struct store *copy;
    struct store_reader *reader;
    struct store_view *view;
    char path[4096], text[256];
    unsigned faults = 0;
    agents_register(6);
    seal();
    (void)snprintf(path, sizeof path, "%s/copy", (const char *)*state);
    assert_int_equal(store_backup(t.f->hub.store, path, text, sizeof text), STORE_OK);
    struct store_options options = {.path = path, .read_only = true};
    assert_int_equal(store_open(&options, &copy, text, sizeof text), STORE_OK);
    assert_int_equal(store_reader_new(copy, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    assert_int_equal(chain_verify(view, trust_own, note_fault, &faults, &audit), STORE_OK);
    assert_int_equal(audit.events, 12);
    store_reader_free(reader);
    store_close(copy);
    options.path = "/nonexistent/waggle";
    assert_int_not_equal(store_open(&options, &copy, text, sizeof text), STORE_OK);
}

static void the_newest_seal_is_told_to_operators(void **state)
{
    struct principal *bee = person(ROLE_AGENT, "bee");
    struct chain_audit audit;
    char head[2 * CHAIN_HEAD_BYTES + 1];
    (void)state;
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/api/v1/audit/head", NULL), HUB_NOT_FOUND);
    agents_register(1);
    seal();
    assert_int_equal(verify(&audit), 0);
    hex_put(head, slice_of(audit.head, sizeof audit.head));
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/api/v1/audit/head", NULL), HUB_OK);
    assert_string_equal(text(t.f, "head"), head);
    assert_int_equal(request(t.f, bee, METHOD_GET, "/api/v1/audit/head", NULL), HUB_FORBIDDEN);
    principal_unref(bee);
}

#define audit_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        audit_test(what_was_told_is_sealed_and_verifies),
        audit_test(an_altered_byte_names_its_event),
        audit_test(a_missing_event_is_named),
        audit_test(a_seal_cannot_be_made_to_fit),
        audit_test(every_part_of_an_event_is_in_its_hash),
        audit_test(a_seal_is_not_replaced_by_another_of_the_same_events),
        audit_test(many_events_take_several_seals),
        audit_test(a_seal_left_out_is_missed),
        audit_test(how_much_the_first_seal_leaves_out_is_told),
        audit_test(a_new_auditor_goes_on_where_the_chain_ends),
        audit_test(several_seals_are_under_way_at_once),
        audit_test(seals_that_were_lost_are_made_again),
        audit_test(the_chain_survives_trimming),
        audit_test(events_of_users_are_not_sealed),
        audit_test(a_backup_is_verified_without_a_lock),
        audit_test(the_newest_seal_is_told_to_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
