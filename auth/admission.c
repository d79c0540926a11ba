/* The cache is sets of four places. The key is a keyed hash of the credential, so nobody can choose
 * whom to push out; only credentials that passed are in it, so a flood of bad ones pushes nobody
 * out at all. What is found is asked again whether it still holds, which takes no look-up. */
#include "auth/admission.h"

#include <stdlib.h>

enum { WAYS = 4, CACHE_HASH_BYTES = 16, CREDENTIAL_BYTES_MAX = TOKEN_BYTES_MAX };

struct place {
    uint8_t hash[CACHE_HASH_BYTES];
    struct principal *principal; /* NULL: free */
    uint64_t used;               /* the count of looks at the last one that found it */
};

struct admission {
    uint8_t seed[ADMISSION_SEED_BYTES];
    struct admission_rules rules;
    struct admission_stats stats;
    uint64_t looks;
    size_t sets_mask;
    struct place *places;
};

const char *admit_rc_name(enum admit_rc rc)
{
    static const char *const names[ADMIT_RC_COUNT] = {
        "ok", "bad_token", "unknown_key", "key_ended", "expired", "revoked", "bad_app", "store",
    };
    return names[rc];
}

struct admission *admission_new(const uint8_t seed[ADMISSION_SEED_BYTES], size_t places)
{
    struct admission *a = xcalloc(1, sizeof *a);
    size_t sets = 1;
    while (sets * WAYS < (places ? places : (size_t)ADMISSION_PLACES_DEFAULT)) {
        sets *= 2;
    }
    memcpy(a->seed, seed, sizeof a->seed);
    a->sets_mask = sets - 1;
    a->places = xcalloc(sets * WAYS, sizeof *a->places);
    return a;
}

static void forget_all(struct admission *a)
{
    for (size_t i = 0; i < (a->sets_mask + 1) * WAYS; i++) {
        principal_unref(a->places[i].principal);
        a->places[i].principal = NULL;
    }
}

void admission_free(struct admission *admission)
{
    if (admission) {
        forget_all(admission);
        free(admission->places);
        digest_wipe(admission->seed, sizeof admission->seed);
        free(admission);
    }
}

void admission_rules(struct admission *admission, const struct admission_rules *rules)
{
    /* A new list of revocations needs no forgetting: it is asked at each look. */
    if (admission->rules.signing != rules->signing || admission->rules.apps != rules->apps ||
        admission->rules.secret != rules->secret) {
        forget_all(admission);
    }
    admission->rules = *rules;
}

enum admit_rc admission_recheck(const struct admission *admission, const struct principal *p,
                                int64_t now_ms)
{
    const struct app *app = apps_by_number(admission->rules.apps, p->app);
    if (!app || !app->enabled) {
        return ADMIT_BAD_APP;
    }
    if (principal_expired(p, now_ms)) {
        return ADMIT_EXPIRED;
    }
    return revoked(admission->rules.revocations, p) ? ADMIT_REVOKED : ADMIT_OK;
}

static struct place *set_of(struct admission *a, const uint8_t hash[CACHE_HASH_BYTES])
{
    return &a->places[(be64_get(hash) & a->sets_mask) * WAYS];
}

static struct place *cache_find(struct admission *a, const uint8_t hash[CACHE_HASH_BYTES])
{
    struct place *set = set_of(a, hash);
    a->looks++;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].principal && memcmp(set[i].hash, hash, CACHE_HASH_BYTES) == 0) {
            set[i].used = a->looks;
            return &set[i];
        }
    }
    return NULL;
}

static void cache_put(struct admission *a, const uint8_t hash[CACHE_HASH_BYTES],
                      struct principal *p)
{
    struct place *set = set_of(a, hash), *to = set;
    for (size_t i = 0; i < WAYS && to->principal; i++) {
        if (!set[i].principal || set[i].used < to->used) {
            to = &set[i];
        }
    }
    principal_unref(to->principal);
    memcpy(to->hash, hash, CACHE_HASH_BYTES);
    to->principal = principal_ref(p);
    to->used = a->looks;
}

static enum admit_rc admit_key(const struct admission *a, struct store_view *view,
                               struct slice text, int64_t now_ms, struct principal **out)
{
    struct api_key key;
    if (!api_key_hash(a->rules.secret, text, &key)) {
        return ADMIT_UNKNOWN_KEY;
    }
    uint8_t hash[API_KEY_HASH_BYTES];
    memcpy(hash, key.hash, sizeof hash);
    enum store_rc rc = api_key_find(view, hash, &key);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? ADMIT_UNKNOWN_KEY : ADMIT_STORE;
    }
    if (!api_key_live(&key, now_ms)) {
        return ADMIT_KEY_ENDED;
    }
    const struct app *app = apps_by_number(a->rules.apps, key.app);
    if (!app) {
        return ADMIT_BAD_APP;
    }
    *out = api_key_principal(&key, app->id);
    return ADMIT_OK;
}

static enum admit_rc admit_new(struct admission *a, struct store_view *view,
                               struct slice credential, int64_t now_ms, struct principal **out,
                               enum token_rc *out_why)
{
    struct principal *p = NULL;
    enum admit_rc rc;
    if (token_looks_like(credential)) {
        *out_why = token_verify(a->rules.signing, a->rules.apps, credential, now_ms, &p);
        a->stats.tokens_refused[*out_why] += *out_why != TOKEN_OK;
        rc = *out_why == TOKEN_OK ? ADMIT_OK : ADMIT_BAD_TOKEN;
    } else {
        rc = admit_key(a, view, credential, now_ms, &p);
    }
    if (rc == ADMIT_OK) {
        rc = admission_recheck(a, p, now_ms);
    }
    if (rc != ADMIT_OK) {
        principal_unref(p);
        return rc;
    }
    *out = p;
    return ADMIT_OK;
}

static enum admit_rc admit_cached(struct admission *a, struct place *place, int64_t now_ms,
                                  struct principal **out)
{
    enum admit_rc rc = admission_recheck(a, place->principal, now_ms);
    if (rc == ADMIT_OK) {
        a->stats.hits++;
        *out = principal_ref(place->principal);
    } else {
        principal_unref(place->principal);
        place->principal = NULL;
    }
    return rc;
}

enum admit_rc admission_admit(struct admission *admission, struct store_view *view,
                              struct slice credential, int64_t now_ms, struct principal **out,
                              enum token_rc *out_why)
{
    struct admission *a = admission;
    enum token_rc why = TOKEN_OK;
    enum admit_rc rc = ADMIT_UNKNOWN_KEY;
    if (credential.n > CREDENTIAL_BYTES_MAX) { /* before any work is done on it */
        rc = ADMIT_BAD_TOKEN;
        why = TOKEN_TOO_LONG;
        a->stats.tokens_refused[why]++;
    } else if (credential.n > 0) {
        uint8_t hash[CACHE_HASH_BYTES];
        digest_blake2b(hash, sizeof hash, slice_of(a->seed, sizeof a->seed), &credential, 1);
        struct place *place = cache_find(a, hash);
        if (place) {
            rc = admit_cached(a, place, now_ms, out);
        } else {
            a->stats.misses++;
            rc = admit_new(a, view, credential, now_ms, out, &why);
            if (rc == ADMIT_OK) {
                cache_put(a, hash, *out);
            }
        }
    }
    a->stats.refused[rc] += rc != ADMIT_OK;
    if (out_why) {
        *out_why = why;
    }
    return rc;
}

void admission_stats(const struct admission *admission, struct admission_stats *out)
{
    *out = admission->stats;
}
