#include "auth_test.h"

#include "auth/pusher.h"

static struct pusher_keys keys(void)
{
    return (struct pusher_keys){.key = slice_str("278d425bdf160c739803"),
                                .secret = slice_str("7ad3773142a6692b25b8")};
}

static const char socket_id[] = "1234.1234";
#define KEY_PREFIX "278d425bdf160c739803:"

static void a_private_channel_signs_as_in_the_vector(void **state)
{
    (void)state;
    struct buf auth = {0};
    struct slice none = slice_of(NULL, 0);
    pusher_channel_auth(keys(), slice_str(socket_id), slice_str("private-foobar"), none, &auth);
    assert_slice(buf_slice(&auth),
                 KEY_PREFIX "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4");
    assert_true(pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                     slice_str("private-foobar"), none));
    buf_done(&auth);
}

static void a_presence_channel_signs_as_in_the_vector(void **state)
{
    (void)state;
    struct buf auth = {0};
    struct slice data = slice_str("{\"user_id\":10,\"user_info\":{\"name\":\"Mr. Channels\"}}");
    pusher_channel_auth(keys(), slice_str(socket_id), slice_str("presence-foobar"), data, &auth);
    assert_slice(buf_slice(&auth),
                 KEY_PREFIX "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80");
    assert_true(pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                     slice_str("presence-foobar"), data));
    /* The data is part of what is signed, even when it is empty. */
    assert_false(pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                      slice_str("presence-foobar"), slice_of(NULL, 0)));
    assert_false(pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                      slice_str("presence-foobar"), slice_str("")));
    buf_done(&auth);
}

static void a_user_signs_in_as_in_the_vector(void **state)
{
    (void)state;
    struct buf auth = {0};
    struct slice data = slice_str("{\"id\":\"12345\"}");
    pusher_user_auth(keys(), slice_str(socket_id), data, &auth);
    assert_slice(buf_slice(&auth),
                 KEY_PREFIX "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba");
    assert_true(pusher_user_check(keys(), buf_slice(&auth), slice_str(socket_id), data));
    assert_false(pusher_user_check(keys(), buf_slice(&auth), slice_str("1234.1235"), data));
    buf_done(&auth);
}

/* "1.1::user::{…}" is also "1.1" ":" ":user::{…}": whoever signs channels must not sign users. */
static void a_signature_cannot_be_split_another_way(void **state)
{
    (void)state;
    struct buf auth = {0};
    struct slice none = slice_of(NULL, 0), channel = slice_str(":user::{\"id\":\"1\"}");
    pusher_channel_auth(keys(), slice_str(socket_id), channel, none, &auth);
    assert_true(pusher_user_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                  slice_str("{\"id\":\"1\"}"))); /* so it would be */
    assert_false(
        pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id), channel, none));
    buf_clear(&auth);
    pusher_channel_auth(keys(), slice_str(socket_id), slice_str("presence-a"), slice_str("{}"),
                        &auth);
    assert_false(pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                      slice_str("presence-a:{}"), none));
    assert_false(pusher_channel_check(keys(), buf_slice(&auth), slice_str("1234.1234:presence-a"),
                                      slice_str("{}"), none));
    buf_done(&auth);
}

static void every_changed_byte_of_an_auth_is_seen(void **state)
{
    (void)state;
    struct buf auth = {0};
    struct slice none = slice_of(NULL, 0), channel = slice_str("private-foobar");
    pusher_channel_auth(keys(), slice_str(socket_id), channel, none, &auth);
    for (size_t i = 0; i < auth.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            auth.p[i] ^= (uint8_t)(1u << bit);
            assert_false(pusher_channel_check(keys(), buf_slice(&auth), slice_str(socket_id),
                                              channel, none));
            auth.p[i] ^= (uint8_t)(1u << bit);
        }
        assert_false(
            pusher_channel_check(keys(), slice_of(auth.p, i), slice_str(socket_id), channel, none));
    }
    assert_false(pusher_channel_check(keys(), none, slice_str(socket_id), channel, none));
    buf_done(&auth);
}

static void socket_ids_are_two_numbers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      ".",   "1",     "1.",    ".1",
                                      "1.2.3", "a.1", "1.1\n", "1.1:x", "-1.1"};
    assert_true(pusher_socket_id_valid(slice_str("1234.1234")));
    assert_true(pusher_socket_id_valid(slice_str("0.0")));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(pusher_socket_id_valid(slice_str(bad[i])));
    }
}

/* ---- requests ---- */

static const int64_t vector_s = 1353088179;
static const char vector_body[] =
    "{\"name\":\"foo\",\"channels\":[\"project-3\"],\"data\":\"{\\\"some\\\":\\\"data\\\"}\"}";
#define VECTOR_QUERY                                                                               \
    "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0"                     \
    "&body_md5=ec365a775a4cd0599faeb73354201b6f"
#define VECTOR_SIGNATURE                                                                           \
    "&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"

static struct pusher_request request(const char *query)
{
    return (struct pusher_request){.method = slice_str("POST"),
                                   .path = slice_str("/apps/3/events"),
                                   .query = slice_str(query),
                                   .body = slice_str(vector_body)};
}

static enum pusher_rc check(const char *query)
{
    struct pusher_request r = request(query);
    return pusher_request_check(keys(), &r, vector_s);
}

static void the_request_of_the_vector_passes(void **state)
{
    (void)state;
    assert_int_equal(check(VECTOR_QUERY VECTOR_SIGNATURE), PUSHER_OK);
    struct pusher_request r = request("");
    struct buf query = {0};
    assert_int_equal(pusher_request_sign(keys(), &r, vector_s, &query), PUSHER_OK);
    assert_slice(buf_slice(&query), VECTOR_QUERY VECTOR_SIGNATURE);
    buf_done(&query);
}

static void order_and_case_of_keys_do_not_matter(void **state)
{
    (void)state;
    assert_int_equal(
        check("body_md5=ec365a775a4cd0599faeb73354201b6f&AUTH_Version=1.0"
              "&auth_timestamp=1353088179&auth_key=278d425bdf160c739803" VECTOR_SIGNATURE),
        PUSHER_OK);
}

static void each_part_of_a_request_is_signed(void **state)
{
    (void)state;
    struct pusher_request r = request(VECTOR_QUERY VECTOR_SIGNATURE);
    r.method = slice_str("GET");
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_BAD_SIGNATURE);
    r = request(VECTOR_QUERY VECTOR_SIGNATURE);
    r.path = slice_str("/apps/4/events");
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_BAD_SIGNATURE);
    r = request(VECTOR_QUERY VECTOR_SIGNATURE);
    r.body = slice_str("{}");
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_BAD_MD5);
    assert_int_equal(check(VECTOR_QUERY "&info=x" VECTOR_SIGNATURE), PUSHER_BAD_SIGNATURE);
}

static void what_is_missing_or_wrong_has_its_name(void **state)
{
    (void)state;
    assert_int_equal(check(""), PUSHER_MISSING);
    assert_int_equal(check(VECTOR_QUERY), PUSHER_MISSING);
    assert_int_equal(check(VECTOR_QUERY VECTOR_SIGNATURE VECTOR_SIGNATURE), PUSHER_MISSING);
    assert_int_equal(check(VECTOR_QUERY "&auth_key=other" VECTOR_SIGNATURE), PUSHER_MISSING);
    assert_int_equal(
        check("auth_key=x&auth_timestamp=1353088179&auth_version=1.0" VECTOR_SIGNATURE),
        PUSHER_BAD_KEY);
    assert_int_equal(check("auth_key=278d425bdf160c739803&auth_timestamp=1353088179"
                           "&auth_version=2.0" VECTOR_SIGNATURE),
                     PUSHER_BAD_VERSION);
    assert_int_equal(
        check("auth_key=278d425bdf160c739803&auth_timestamp=-1&auth_version=1.0" VECTOR_SIGNATURE),
        PUSHER_BAD_TIME);
    assert_int_equal(
        check("auth_key=278d425bdf160c739803&auth_timestamp=&auth_version=1.0" VECTOR_SIGNATURE),
        PUSHER_BAD_TIME);
    assert_int_equal(check("auth_key=%zz"), PUSHER_MALFORMED);
    assert_int_equal(check("auth_key=%4"), PUSHER_MALFORMED);
}

static void the_clock_may_be_ten_minutes_off_either_way(void **state)
{
    (void)state;
    struct pusher_request r = request(VECTOR_QUERY VECTOR_SIGNATURE);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s + 600), PUSHER_OK);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s - 600), PUSHER_OK);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s + 601), PUSHER_BAD_TIME);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s - 601), PUSHER_BAD_TIME);
}

static void a_body_without_its_md5_is_refused_however_well_signed(void **state)
{
    (void)state;
    struct pusher_request r = request("");
    struct slice body = r.body;
    struct buf query = {0};
    r.body = slice_of(NULL, 0);
    assert_int_equal(pusher_request_sign(keys(), &r, vector_s, &query), PUSHER_OK);
    r.query = buf_slice(&query);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_OK);
    r.body = body;
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_BAD_MD5);
    buf_done(&query);
}

/* The node SDK signs "presence-a,b" and sends it escaped. */
static void values_are_signed_as_they_read_after_unescaping(void **state)
{
    (void)state;
    struct pusher_request plain = {.method = slice_str("GET"),
                                   .path = slice_str("/apps/3/channels"),
                                   .query = slice_str("filter_by_prefix=presence-&info=a,b c")};
    struct buf signed_query = {0}, escaped = {0};
    assert_int_equal(pusher_request_sign(keys(), &plain, vector_s, &signed_query), PUSHER_OK);
    char *text = test_text(&signed_query), *rest = strstr(text, "&auth_key");
    assert_non_null(rest);
    buf_add_str(&escaped, "info=a%2cb+%63&filter_by_prefix=presence%2D");
    buf_add_str(&escaped, rest);
    free(text);
    plain.query = buf_slice(&escaped);
    assert_int_equal(pusher_request_check(keys(), &plain, vector_s), PUSHER_OK);
    buf_done(&signed_query);
    buf_done(&escaped);
}

static void long_queries_and_many_parameters_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i <= PUSHER_PARAMS_MAX; i++) {
        buf_add_str(&b, "a=1&");
    }
    struct pusher_request r = request("");
    r.query = buf_slice(&b);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_MALFORMED);
    buf_clear(&b);
    for (int i = 0; i <= PUSHER_QUERY_BYTES_MAX; i++) {
        buf_add_str(&b, "a");
    }
    r.query = buf_slice(&b);
    assert_int_equal(pusher_request_check(keys(), &r, vector_s), PUSHER_MALFORMED);
    buf_done(&b);
}

static void a_webhook_signs_as_in_the_vector(void **state)
{
    (void)state;
    char hex[SHA256_HEX + 1];
    pusher_webhook_signature(keys().secret,
                             slice_str("{\"time_ms\":1327078148132,\"events\":[{\"name\":"
                                       "\"channel_occupied\",\"channel\":\"my-channel\"}]}"),
                             hex);
    assert_string_equal(hex, "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf");
}

static void an_encrypted_channel_has_the_secret_of_the_vector(void **state)
{
    (void)state;
    uint8_t master[32];
    char text[PUSHER_SHARED_SECRET_CHARS + 1];
    for (size_t i = 0; i < sizeof master; i++) {
        master[i] = (uint8_t)i;
    }
    pusher_shared_secret(master, slice_str("private-encrypted-foo"), text);
    assert_string_equal(text, "E3I6KxLwqP1Rr/p1676Vpnrw23CkRdS5bkX5NazRkeY=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_channel_signs_as_in_the_vector),
        cmocka_unit_test(a_presence_channel_signs_as_in_the_vector),
        cmocka_unit_test(a_user_signs_in_as_in_the_vector),
        cmocka_unit_test(a_signature_cannot_be_split_another_way),
        cmocka_unit_test(every_changed_byte_of_an_auth_is_seen),
        cmocka_unit_test(socket_ids_are_two_numbers),
        cmocka_unit_test(the_request_of_the_vector_passes),
        cmocka_unit_test(order_and_case_of_keys_do_not_matter),
        cmocka_unit_test(each_part_of_a_request_is_signed),
        cmocka_unit_test(what_is_missing_or_wrong_has_its_name),
        cmocka_unit_test(the_clock_may_be_ten_minutes_off_either_way),
        cmocka_unit_test(a_body_without_its_md5_is_refused_however_well_signed),
        cmocka_unit_test(values_are_signed_as_they_read_after_unescaping),
        cmocka_unit_test(long_queries_and_many_parameters_are_refused),
        cmocka_unit_test(a_webhook_signs_as_in_the_vector),
        cmocka_unit_test(an_encrypted_channel_has_the_secret_of_the_vector),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
