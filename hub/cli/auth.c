/* Keys, apps and who one is. Tokens have hub/cli/token.c. */
#include "hub/cli/nouns.h"

// clang-format off
static const char *const roles[] = { "admin", "operator", "agent", "viewer", NULL };

static const struct column key_columns[] = {
    { "ID",      "id",         COLUMN_TEXT,   false },
    { "NAME",    "name",       COLUMN_TEXT,   false },
    { "ROLE",    "role",       COLUMN_TEXT,   false },
    { "CREATED", "created_at", COLUMN_AGE,    false },
    { "EXPIRES", "expires_at", COLUMN_TEXT,   false },
    { "REVOKED", "revoked_at", COLUMN_TEXT,   true },
    { 0 },
};

static const struct column app_columns[] = {
    { "APP",     "id",         COLUMN_TEXT, false },
    { "NAME",    "name",       COLUMN_TEXT, false },
    { "KEY",     "key",        COLUMN_TEXT, false },
    { "ENABLED", "enabled",    COLUMN_TEXT, false },
    { "CREATED", "created_at", COLUMN_AGE,  false },
    { "LIMITS",  "limits",     COLUMN_TEXT, true },
    { 0 },
};

static const struct column revocation_columns[] = {
    { "JTI",           "jti",           COLUMN_TEXT, false },
    { "SUB",           "sub",           COLUMN_TEXT, false },
    { "ISSUED BEFORE", "issued_before", COLUMN_TEXT, false },
    { "UNTIL",         "until",         COLUMN_TEXT, false },
    { 0 },
};

static const struct operand one_key[] = { { "KEY", OPTION_REQUIRED, "the key's id, as `key ls` shows it" }, { 0 } };
static const struct operand one_app[] = { { "APP", OPTION_REQUIRED, "the app" }, { 0 } };
static const struct option page_options[] = { REQUEST_OPTION_WATCH, PAGE_OPTIONS, { 0 } };
static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option change_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_SEND, { 0 } };
static const struct option destroy_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };

static const struct option key_options[] = {
    { 0, "name", OPTION_TEXT, OPTION_REQUIRED, "NAME", "the subject of whoever uses it", NULL },
    { 'r', "role", OPTION_CHOICE, 0, "ROLE", "admin, operator, agent or viewer", roles },
    { 0, "ttl", OPTION_SECONDS, 0, "TIME", "how long it is valid (for ever)", NULL },
    { 0, "cap", OPTION_TEXT, 0, "JSON", "what it may, channel patterns and operations to rights; @FILE, or - for stdin", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field key_fields[] = {
    { "name", "name", FIELD_TEXT }, { "role", "role", FIELD_TEXT }, { "ttl", "ttl_s", FIELD_SECONDS },
    { "cap", "cap", FIELD_JSON }, { 0 } };

static const struct option app_options[] = {
    { 0, "name", OPTION_TEXT, 0, "NAME", "what people call it", NULL },
    { 0, "limits", OPTION_TEXT, 0, "JSON", "connections_max, channels_max, publishes_per_s, message_bytes_max; @FILE, or - for stdin", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field app_fields[] = {
    { "APP", "id", FIELD_TEXT }, { "name", "name", FIELD_TEXT }, { "limits", "limits", FIELD_JSON }, { 0 } };
static const struct option app_set_options[] = {
    { 0, "name", OPTION_TEXT, 0, "NAME", "what people call it", NULL },
    { 0, "limits", OPTION_TEXT, 0, "JSON", "connections_max, channels_max, publishes_per_s, message_bytes_max; @FILE, or - for stdin", NULL },
    REQUEST_OPTION_REASON,
    REQUEST_OPTIONS_SEND,
    { 0 },
};
static const struct field app_set_fields[] = {
    { "name", "name", FIELD_TEXT }, { "limits", "limits", FIELD_JSON }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct field enable_fields[] = { { "true", "enabled", FIELD_FIXED }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct field disable_fields[] = { { "false", "enabled", FIELD_FIXED }, { "reason", "reason", FIELD_TEXT }, { 0 } };

const struct verb auth_verbs[] = {
    { { "whoami", "who the hub takes you for", NULL, NULL, NULL, request_run, "waggle whoami --query role" },
      { .method = "GET", .path = "/api/v1/auth/whoami", .id = "sub" } },
    { { "key ls", "the API keys of the app", NULL, NULL, page_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/auth/keys", .fields = page_fields, .member = "keys", .columns = key_columns, .how = REQUEST_PAGES, .channels = "auth" } },
    { { "key create", "make an API key", "The key itself is shown this once: the hub keeps only a hash of it.",
        NULL, key_options, request_run, "waggle key create --name ci --role operator --query key > ci.key" },
      { .method = "POST", .path = "/api/v1/auth/keys", .fields = key_fields, .id = "id" } },
    { { "key revoke", "revoke an API key; its connections close within a second", NULL, one_key, destroy_options, request_run, NULL },
      { .method = "DELETE", .path = "/api/v1/auth/keys/{KEY}", .fields = reason_fields, .id = "id", .how = REQUEST_DESTROYS } },
    { { "key rotate", "sign tokens with a new key; the one before verifies on for a while", NULL, NULL, destroy_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/auth/signing-keys/rotate", .fields = reason_fields, .id = "kid", .how = REQUEST_DESTROYS } },
    { { "token revoked", "what is revoked", NULL, NULL, page_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/auth/revocations", .fields = page_fields, .member = "revocations", .columns = revocation_columns, .how = REQUEST_PAGES, .channels = "auth" } },
    { { "app ls", "the apps that you rule", NULL, NULL, page_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/apps", .fields = page_fields, .member = "apps", .columns = app_columns, .how = REQUEST_PAGES, .channels = "auth" } },
    { { "app show", "one app", NULL, one_app, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/apps/{APP}", .id = "id", .channels = "auth" } },
    { { "app create", "make an app, a tenant of its own", "Its secret and the key of its first admin are shown this once.",
        one_app, app_options, request_run, "waggle app create shop --name 'The shop' -o json > shop.json" },
      { .method = "POST", .path = "/api/v1/apps", .fields = app_fields, .id = "id" } },
    { { "app set", "name or limit an app", NULL, one_app, app_set_options, request_run, NULL },
      { .method = "PATCH", .path = "/api/v1/apps/{APP}", .fields = app_set_fields, .id = "id" } },
    { { "app enable", "let an app in again", NULL, one_app, change_options, request_run, NULL },
      { .method = "PATCH", .path = "/api/v1/apps/{APP}", .fields = enable_fields, .id = "id" } },
    { { "app disable", "shut an app out", NULL, one_app, destroy_options, request_run, NULL },
      { .method = "PATCH", .path = "/api/v1/apps/{APP}", .fields = disable_fields, .id = "id", .how = REQUEST_DESTROYS } },
    { { 0 }, { 0 } },
};
// clang-format on
