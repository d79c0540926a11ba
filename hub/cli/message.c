/* Messages between agents, and who may write to whom. */
#include "hub/cli/nouns.h"

// clang-format off
static const char *const types[] = {
    "direct", "broadcast", "hierarchical", "peer_to_peer", "coordination", "task_assignment", "status_update", "heartbeat",
    "discovery", "consensus", NULL };
static const char *const priorities[] = { "critical", "high", "normal", "low", NULL };
static const char *const protocols[] = { "hierarchical", "peer_to_peer", "broadcast", NULL };
static const char *const acks[] = { "required", "none", NULL };

static const struct column columns[] = {
    { "MESSAGE",  "message_id",   COLUMN_TEXT,   false },
    { "SENT",     "timestamp",    COLUMN_AGE,    false },
    { "FROM",     "sender_id",    COLUMN_TEXT,   false },
    { "TO",       "receiver_id",  COLUMN_TEXT,   false },
    { "TYPE",     "message_type", COLUMN_TEXT,   false },
    { "PRIORITY", "priority",     COLUMN_TEXT,   true },
    { "PROTOCOL", "protocol",     COLUMN_TEXT,   true },
    { "STATE",    "state",        COLUMN_STATUS, false },
    { "PAYLOAD",  "payload",      COLUMN_TEXT,   false },
    { 0 },
};

static const struct operand send_operands[] = {
    { "TO", OPTION_REQUIRED, "the agent it is for" },
    { "PAYLOAD", OPTION_REQUIRED, "a JSON object; @FILE, or - for stdin" }, { 0 } };
static const struct operand broadcast_operands[] = { { "PAYLOAD", OPTION_REQUIRED, "a JSON object; @FILE, or - for stdin" }, { 0 } };
static const struct operand one_message[] = { { "MESSAGE", OPTION_REQUIRED, "its id" }, { 0 } };
static const struct operand pair[] = { { "AGENT", OPTION_REQUIRED, "who writes" }, { "PEER", OPTION_REQUIRED, "to whom" }, { 0 } };
static const struct operand master_and_sub[] = { { "MASTER", OPTION_REQUIRED, "who leads" }, { "AGENT", OPTION_REQUIRED, "who is led" }, { 0 } };
static const struct field sub_fields[] = { { "MASTER", "master_id", FIELD_TEXT }, { "AGENT", "sub_id", FIELD_TEXT }, { 0 } };
static const struct operand one_agent[] = { { "AGENT", OPTION_REQUIRED, "the agent" }, { 0 } };
static const struct operand some_agent[] = { { "AGENT", 0, "only the peers of this one" }, { 0 } };

#define MESSAGE_OPTIONS(default_type) \
    { 't', "type", OPTION_CHOICE, 0, "TYPE", "what kind of message (" default_type ")", types }, \
    { 'p', "priority", OPTION_CHOICE, 0, "PRIORITY", "how soon (normal)", priorities }, \
    { 0, "from", OPTION_TEXT, 0, "AGENT", "who speaks (you yourself)", NULL }, \
    { 0, "ttl", OPTION_SECONDS, 0, "TIME", "how long it may wait (300)", NULL }, \
    { 0, "correlation-id", OPTION_TEXT, 0, "ID", "handed on", NULL }, \
    { 0, "reply-to", OPTION_TEXT, 0, "WHERE", "handed on", NULL }, \
    { 0, "message-id", OPTION_TEXT, 0, "ID", "your own: sent again it is the same message", NULL }, \
    { 0, "ack", OPTION_CHOICE, 0, "WHETHER", "none: delivered at most once (required)", acks }
#define MESSAGE_FIELDS \
    { "priority", "priority", FIELD_TEXT }, { "from", "sender_id", FIELD_TEXT }, { "ttl", "ttl", FIELD_SECONDS }, \
    { "correlation-id", "correlation_id", FIELD_TEXT }, { "reply-to", "reply_to", FIELD_TEXT }, \
    { "message-id", "message_id", FIELD_TEXT }, { "ack", "ack", FIELD_TEXT }

static const struct option send_options[] = {
    MESSAGE_OPTIONS("direct"),
    { 0, "protocol", OPTION_CHOICE, 0, "PROTOCOL", "along which links (hierarchical)", protocols },
    { 0, "cascade", OPTION_NUMBER, 0, "N", "so many levels of subordinates get it too", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field send_fields[] = {
    { "TO", "receiver_id", FIELD_TEXT }, { "PAYLOAD", "payload", FIELD_JSON }, { "\"direct\"", "message_type", FIELD_DEFAULT },
    { "type", "message_type", FIELD_TEXT },
    MESSAGE_FIELDS, { "protocol", "protocol", FIELD_TEXT }, { "cascade", "cascade", FIELD_NUMBER }, { 0 } };
static const struct option broadcast_options[] = {
    MESSAGE_OPTIONS("broadcast"),
    { 0, "agent-type", OPTION_TEXT, 0, "TYPE", "only agents of this kind", NULL },
    { 0, "capability", OPTION_TEXT, OPTION_MANY, "C", "only agents that can do this", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field broadcast_fields[] = {
    { "PAYLOAD", "payload", FIELD_JSON }, { "\"broadcast\"", "message_type", FIELD_DEFAULT }, { "type", "message_type", FIELD_TEXT },
    MESSAGE_FIELDS, { "agent-type", "agent_type", FIELD_TEXT }, { "capability", "capabilities", FIELD_LIST }, { 0 } };

static const struct option ack_options[] = {
    { 0, "agent", OPTION_TEXT, 0, "AGENT", "which recipient answers (you yourself)", NULL }, REQUEST_OPTIONS_SEND, { 0 } };
static const struct field ack_fields[] = { { "agent", "agent_id", FIELD_TEXT }, { 0 } };
static const struct option nack_options[] = {
    { 0, "agent", OPTION_TEXT, 0, "AGENT", "which recipient answers (you yourself)", NULL },
    { 0, "delay", OPTION_SECONDS, 0, "TIME", "until it is delivered again", NULL },
    REQUEST_OPTIONS_SEND,
    { 0 },
};
static const struct field nack_fields[] = { { "agent", "agent_id", FIELD_TEXT }, { "delay", "delay", FIELD_SECONDS }, { 0 } };
static const struct option term_options[] = {
    { 0, "agent", OPTION_TEXT, 0, "AGENT", "which recipient answers (you yourself)", NULL },
    REQUEST_OPTION_REASON,
    REQUEST_OPTIONS_DESTROY,
    { 0 },
};
static const struct field term_fields[] = { { "agent", "agent_id", FIELD_TEXT }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct option history_options[] = {
    { 0, "from", OPTION_TEXT, 0, "AGENT", "what it sent", NULL },
    { 0, "to", OPTION_TEXT, 0, "AGENT", "what it was sent", NULL },
    { 0, "correlation-id", OPTION_TEXT, 0, "ID", "what carries it", NULL },
    { 0, "since-seq", OPTION_NUMBER, 0, "SEQ", "what came after it, oldest first: the next_since_seq of the answer before", NULL },
    { 0, "limit", OPTION_NUMBER, 0, "N", "at most so many (100)", NULL },
    { 0, "cursor", OPTION_TEXT, 0, "CURSOR", "go on where the last page ended", NULL },
    { 0, "offset", OPTION_NUMBER, 0, "N", "without the first so many", NULL },
    REQUEST_OPTION_WATCH,
    { 0 },
};
static const struct field history_fields[] = {
    { "from", "sender_id", FIELD_TEXT }, { "to", "receiver_id", FIELD_TEXT }, { "correlation-id", "correlation_id", FIELD_TEXT }, { "limit", "limit", FIELD_NUMBER },
    { "offset", "offset", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { "since-seq", "since_seq", FIELD_NUMBER }, { 0 } };
static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option link_options[] = { REQUEST_OPTIONS_SEND, { 0 } };
static const struct option unlink_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };
static const struct option links_options[] = { REQUEST_OPTION_WATCH, PAGE_OPTIONS, { 0 } };
static const struct field unlink_fields[] = {
    { "AGENT", "agent_id", FIELD_TEXT }, { "PEER", "peer_id", FIELD_TEXT }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct field unsub_fields[] = {
    { "MASTER", "master_id", FIELD_TEXT }, { "AGENT", "sub_id", FIELD_TEXT }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct field link_fields[] = { { "AGENT", "agent_id", FIELD_TEXT }, { "PEER", "peer_id", FIELD_TEXT }, { 0 } };

const struct verb message_verbs[] = {
    { { "msg send", "send a message to an agent", NULL, send_operands, send_options, request_run, "waggle msg send bee-2 '{\"text\":\"hello\"}' --from bee-1" },
      { .method = "POST", .path = "/api/v1/messages/send", .fields = send_fields, .id = "message_id" } },
    { { "msg broadcast", "send a message to all agents that fit", NULL, broadcast_operands, broadcast_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/messages/broadcast", .fields = broadcast_fields, .id = "message_id" } },
    { { "msg ack", "say that a message was dealt with", NULL, one_message, ack_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/messages/{MESSAGE}/ack", .fields = ack_fields, .id = "state" } },
    { { "msg nack", "ask for a message again, later", NULL, one_message, nack_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/messages/{MESSAGE}/nack", .fields = nack_fields, .id = "state" } },
    { { "msg progress", "say that a message is being dealt with: the time for it begins anew", NULL, one_message, ack_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/messages/{MESSAGE}/progress", .fields = ack_fields, .id = "state" } },
    { { "msg term", "give a message up: it is dead", NULL, one_message, term_options, request_run, "waggle msg term msg_0123456789abcdef --agent bee-2 --reason 'no such file'" },
      { .method = "POST", .path = "/api/v1/messages/{MESSAGE}/term", .fields = term_fields, .id = "state", .how = REQUEST_DESTROYS } },
    { { "msg history", "messages, newest first", NULL, NULL, history_options, request_run, "waggle msg history --to bee-2 --watch" },
      { .method = "GET", .path = "/api/v1/messages/history", .fields = history_fields, .member = "messages", .columns = columns, .how = REQUEST_PAGES, .channels = "messages" } },
    { { "msg show", "one message, and how it stands with its recipients", NULL, one_message, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/messages/{MESSAGE}", .member = "message", .id = "message_id", .channels = "messages" } },
    { { "peer add", "let an agent write to a peer; one direction", NULL, pair, link_options, request_run, "waggle peer add bee-1 bee-2" },
      { .method = "POST", .path = "/api/v1/peers/add", .fields = link_fields, .id = "peer_id", .how = REQUEST_QUERY } },
    { { "peer rm", "let it no longer write to that peer", NULL, pair, unlink_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/peers/remove", .fields = unlink_fields, .id = "peer_id", .how = REQUEST_QUERY | REQUEST_DESTROYS } },
    { { "peer ls", "who may write to whom", NULL, some_agent, links_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/peers/{AGENT?}", .fields = page_fields, .id = "agent_id", .channels = "messages" } },
    { { "peer master", "put an agent under a master: either may write to the other", NULL, master_and_sub, link_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/hierarchy/add", .fields = sub_fields, .id = "sub_id", .how = REQUEST_QUERY } },
    { { "peer unmaster", "take it away from that master", NULL, master_and_sub, unlink_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/hierarchy/remove", .fields = unsub_fields, .id = "sub_id", .how = REQUEST_QUERY | REQUEST_DESTROYS } },
    { { "peer tree", "masters and subordinates of an agent", NULL, one_agent, links_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/hierarchy/{AGENT}", .fields = page_fields, .id = "agent_id", .channels = "messages" } },
    { { 0 }, { 0 } },
};
// clang-format on
