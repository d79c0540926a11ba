/* The sums of rows stand on disks: whatever registers the processor has, they are XXH3's. */
#include "tests/unit/scratch.h"

#include "store/checksum.h"

enum { BYTES_MAX = 3000 };

static void sums_of_every_length_are_xxh3(void **state)
{
    uint8_t bytes[BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + i / 251);
    }
    for (size_t n = 0; n <= sizeof bytes; n++) {
        assert_true(sum64(bytes, n) == XXH3_64bits(bytes, n));
        assert_true(sum64_seeded(bytes, n, n * 77) == XXH3_64bits_withSeed(bytes, n, n * 77));
    }
}

/* A sum that was written down once, of bytes i * 131 + i / 251. */
static void sums_do_not_change(void **state)
{
    uint8_t bytes[1000];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + i / 251);
    }
    assert_true(sum64(bytes, sizeof bytes) == UINT64_C(0xf3f79bcb1150f228));
    assert_true(sum64(bytes, 100) == UINT64_C(0x387363ce0e6084aa));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_every_length_are_xxh3),
        cmocka_unit_test(sums_do_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
