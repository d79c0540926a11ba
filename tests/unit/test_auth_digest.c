#include "auth_test.h"

#include "auth/base64url.h"

static void hmac_sha256_gives_the_vector_of_rfc_4231(void **state)
{
    (void)state;
    char hex[SHA256_HEX + 1];
    struct slice parts[2] = {slice_str("what do ya want "), slice_str("for nothing?")};
    digest_hmac_sha256_hex(hex, slice_str("Jefe"), parts, 2);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void sha256_and_md5_of_abc_are_as_published(void **state)
{
    (void)state;
    uint8_t sha[SHA256_BYTES];
    char hex[SHA256_HEX + 1], md5[MD5_HEX + 1];
    struct slice abc = slice_str("abc");
    digest_sha256(sha, &abc, 1);
    hex_put(hex, slice_of(sha, sizeof sha));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(digest_md5_hex(md5, abc));
    assert_string_equal(md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_true(digest_md5_hex(md5, slice_of(NULL, 0)));
    assert_string_equal(md5, "d41d8cd98f00b204e9800998ecf8427e");
}

static void blake2b_hashes_parts_as_one_message_under_its_key(void **state)
{
    (void)state;
    uint8_t whole[32], parted[32], keyed[32];
    struct slice one = slice_str("abcdef"), two[2] = {slice_str("abc"), slice_str("def")};
    digest_blake2b(whole, 32, slice_of(NULL, 0), &one, 1);
    digest_blake2b(parted, 32, slice_of(NULL, 0), two, 2);
    digest_blake2b(keyed, 32, slice_str("0123456789abcdef"), &one, 1);
    assert_memory_equal(whole, parted, 32);
    assert_memory_not_equal(whole, keyed, 32);
}

static void equal_bytes_are_equal_and_others_are_not(void **state)
{
    (void)state;
    assert_true(digest_equal(slice_str("secret"), slice_str("secret")));
    assert_true(digest_equal(slice_of(NULL, 0), slice_str("")));
    assert_false(digest_equal(slice_str("secret"), slice_str("secreT")));
    assert_false(digest_equal(slice_str("secret"), slice_str("secre")));
}

static void hex_reads_back_and_refuses_what_is_not_its_own(void **state)
{
    (void)state;
    uint8_t bytes[256], back[256];
    char text[513];
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
    }
    hex_put(text, slice_of(bytes, 256));
    assert_true(hex_get(slice_str(text), back, 256));
    assert_memory_equal(bytes, back, 256);
    assert_false(hex_get(slice_str("0A"), back, 1));
    assert_false(hex_get(slice_str("0"), back, 1));
    assert_false(hex_get(slice_str("0g"), back, 1));
    assert_false(hex_get(slice_str("000"), back, 1));
}

static void uuids_carry_version_variant_and_time(void **state)
{
    (void)state;
    uint8_t ones[16];
    char id[UUID_CHARS + 1], later[UUID_CHARS + 1];
    memset(ones, 0xff, sizeof ones);
    uuid_v4(ones, id);
    assert_string_equal(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    /* RFC 9562 appendix A.6 */
    uint8_t random[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    uuid_v7(0x017F22E279B0, random, id);
    assert_string_equal(id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    uuid_v7(0x017F22E279B1, random, later);
    assert_true(strcmp(id, later) < 0);
}

static void base64_gives_the_vectors_of_rfc_4648(void **state)
{
    (void)state;
    static const char *const vectors[][3] = {
        {"", "", ""},
        {"f", "Zg", "Zg=="},
        {"fo", "Zm8", "Zm8="},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg", "Zm9vYg=="},
        {"fooba", "Zm9vYmE", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "-__-", "+//+"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct buf url = {0}, std = {0};
        uint8_t out[16];
        size_t n;
        base64url_put(&url, slice_str(vectors[i][0]));
        base64_put(&std, slice_str(vectors[i][0]));
        assert_slice(buf_slice(&url), vectors[i][1]);
        assert_slice(buf_slice(&std), vectors[i][2]);
        assert_true(base64url_get(buf_slice(&url), out, sizeof out, &n));
        assert_slice(slice_of(out, n), vectors[i][0]);
        assert_true(base64_get(buf_slice(&std), out, sizeof out, &n));
        assert_slice(slice_of(out, n), vectors[i][0]);
        buf_done(&url);
        buf_done(&std);
    }
}

static void base64_refuses_padding_space_and_the_other_alphabet(void **state)
{
    (void)state;
    static const char *const url_bad[] = {"Zg==", "Zm8=", "Z",   "Zm9vY",   "Zm 9", "Zm9v\n",
                                          "+//+", "Zh",   "Zm9", "Zm9vYmF", "=",    "Zm9v\xc3\xa9"};
    static const char *const std_bad[] = {
        "Zg", "Zg=", "Zg===", "====", "=", "A===", "-__-", "Zh==", "Zm9=", "Zg==Zg==", "Z=g="};
    uint8_t out[16];
    size_t n;
    for (size_t i = 0; i < sizeof url_bad / sizeof url_bad[0]; i++) {
        assert_false(base64url_get(slice_str(url_bad[i]), out, sizeof out, &n));
    }
    for (size_t i = 0; i < sizeof std_bad / sizeof std_bad[0]; i++) {
        assert_false(base64_get(slice_str(std_bad[i]), out, sizeof out, &n));
    }
    assert_false(base64url_get(slice_str("Zm9v"), out, 2, &n)); /* longer than the room */
}

/* Every text of up to three characters over all bytes that are near the alphabet. */
static void base64_accepts_a_text_only_if_encoding_gives_it_back(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (unsigned a = 0x20; a < 0x80; a++) {
        for (unsigned b = 0x20; b < 0x80; b++) {
            for (unsigned c = 0x1f; c < 0x80; c++) { /* 0x1f: none */
                uint8_t text[3] = {(uint8_t)a, (uint8_t)b, (uint8_t)c}, out[3];
                size_t n, text_n = c == 0x1f ? 2 : 3;
                if (base64url_get(slice_of(text, text_n), out, sizeof out, &n)) {
                    struct buf again = {0};
                    base64url_put(&again, slice_of(out, n));
                    assert_int_equal(again.n, text_n);
                    assert_memory_equal(again.p, text, text_n);
                    buf_done(&again);
                    accepted++;
                }
            }
        }
    }
    assert_int_equal(accepted, 256 + 65536); /* one for each run of one byte and of two */
}

static void base64_reads_back_random_bytes(void **state)
{
    (void)state;
    test_seed();
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[200], back[200];
        size_t n = test_below(sizeof bytes + 1), back_n;
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)test_random();
        }
        struct buf url = {0}, std = {0};
        base64url_put(&url, slice_of(bytes, n));
        base64_put(&std, slice_of(bytes, n));
        assert_true(base64url_get(buf_slice(&url), back, n, &back_n));
        assert_true(back_n == n && memcmp(bytes, back, n) == 0);
        assert_true(base64_get(buf_slice(&std), back, n, &back_n));
        assert_true(back_n == n && memcmp(bytes, back, n) == 0);
        buf_done(&url);
        buf_done(&std);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_sha256_gives_the_vector_of_rfc_4231),
        cmocka_unit_test(sha256_and_md5_of_abc_are_as_published),
        cmocka_unit_test(blake2b_hashes_parts_as_one_message_under_its_key),
        cmocka_unit_test(equal_bytes_are_equal_and_others_are_not),
        cmocka_unit_test(hex_reads_back_and_refuses_what_is_not_its_own),
        cmocka_unit_test(uuids_carry_version_variant_and_time),
        cmocka_unit_test(base64_gives_the_vectors_of_rfc_4648),
        cmocka_unit_test(base64_refuses_padding_space_and_the_other_alphabet),
        cmocka_unit_test(base64_accepts_a_text_only_if_encoding_gives_it_back),
        cmocka_unit_test(base64_reads_back_random_bytes),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
