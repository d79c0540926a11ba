#include "hub/api/components.h"

/* clang-format off */
static const struct component components[] = {
    { "Agent", SCHEMA({"type":"object",
        "required":["agent_id","agent_type","status","capabilities","services","endpoints","metadata","last_heartbeat","registration_time","load_metrics","health_score","version","tags"],
        "properties":{
            "agent_id":{"type":"string"},
            "agent_type":{"enum":["worker","provider","consumer","general","coordinator","specialist","monitor","gateway","orchestrator","inference","training","processing"]},
            "status":{"enum":["active","inactive","busy","stale","maintenance","error","draining"]},
            "capabilities":{"type":"array","items":{"type":"string"}},
            "services":{"type":"array","items":{"type":"string"}},
            "tags":{"type":"array","items":{"type":"string"}},
            "endpoints":{"type":"object","additionalProperties":{"type":"string"}},
            "metadata":{"type":"object"},
            "version":{"type":["string","null"]},
            "region":{"type":["string","null"]},
            "slots":{"type":"integer","description":"Tasks it takes at a time."},
            "owner":{"type":["string","null"],"description":"The subject that registered it."},
            "session":{"type":"integer","description":"Counts registrations."},
            "heartbeat_interval":{"type":"number","description":"Seconds between two beats."},
            "registration_time":SHAPE_TIME,
            "last_heartbeat":SHAPE_TIME,
            "load_metrics":{"type":"object","additionalProperties":{"type":"number"}},
            "health_score":{"type":"number","minimum":0,"maximum":1,"description":"0.4 freshness, 0.4 success, 0.2 of what is not load."},
            "health":{"type":"object","properties":{"freshness":{"type":"number"},"success":{"type":"number"},"load":{"type":"number"}}},
            "phi":{"type":"number","minimum":0,"description":"How unusual its silence is; suspect from 8."}}}) },
    { "Task", SCHEMA({"type":"object",
        "required":["task_id","status","state","priority","owner","agent_id","attempts","max_attempts","redeliveries","submitted_at","updated_at","due_at","started_at","finished_at","stop_reason","dead_letter","error","progress","question"],
        "properties":{
            "task_id":{"type":"string"},
            "status":{"enum":["pending","running","completed","failed","cancelled"]},
            "state":{"enum":["scheduled","queued","leased","running","retry_wait","input_required","cancelling","completed","dead","cancelled","expired"]},
            "priority":{"enum":["urgent","critical","high","normal","low"]},
            "owner":{"type":["string","null"]},
            "agent_id":{"type":["string","null"],"description":"That has it, or had it last."},
            "lease_id":{"type":"string","description":"Shown to the agent that has it."},
            "attempts":{"type":"integer","description":"Failures."},
            "max_attempts":{"type":"integer"},
            "redeliveries":{"type":"integer","description":"Agents that were lost over it."},
            "submitted_at":SHAPE_TIME,"updated_at":SHAPE_TIME,"due_at":SHAPE_TIME_OR_NULL,"started_at":SHAPE_TIME_OR_NULL,"finished_at":SHAPE_TIME_OR_NULL,
            "stop_reason":{"type":["string","null"],"description":"Why it is over."},
            "dead_letter":{"type":"boolean"},
            "error":{"type":["string","null"]},
            "progress":{"type":"object","properties":{"percent":{"type":["integer","null"]},"seq":{"type":"integer"},"note":{"type":["string","null"]}}},
            "question":{"type":["string","null"]},
            "task_data":{"type":"object"},"result":{},
            "requirements":{"type":"object"},
            "replay_of":{"type":["string","null"]},"replayed_as":{"type":["string","null"]},
            "why_waiting":{"type":["object","null"],"properties":{"reason":{"type":"string"},"message":{"type":"string"},"until":SHAPE_TIME}}}}) },
    { "Capabilities", SCHEMA({"type":"object",
        "description":"Rights by channel pattern, operation or group of operations.",
        "additionalProperties":{"type":"array","items":{"enum":["subscribe","publish","presence","history","call"]}},
        "examples":[{"orders.>":["subscribe","publish"],"agents":["call"]}]}) },
    { "ApiKey", SCHEMA({"type":"object","required":["id","name","role","status"],"properties":{
            "id":{"type":"string"},
            "name":{"type":"string"},
            "role":{"type":"string"},
            "last":{"type":"string","description":"The last characters of the key, to tell it from others."},
            "status":{"enum":["live","expired","revoked"]},
            "cap":{"anyOf":[REF_CAPABILITIES,{"type":"null"}]},
            "created_at":SHAPE_TIME,
            "expires_at":SHAPE_TIME_OR_NULL,
            "revoked_at":SHAPE_TIME_OR_NULL,
            "given":{"type":"boolean","description":"By --admin-key: it lives as long as the hub is started with it."}}}) },
    { "App", SCHEMA({"type":"object","required":["id","number","key","enabled"],"properties":{
            "id":{"type":"string"},
            "number":{"type":"integer"},
            "name":{"type":"string"},
            "key":{"type":"string","description":"The public key of the Pusher protocol."},
            "enabled":{"type":"boolean"},
            "limits":{"type":"object","description":"0: the hub's own limit alone.","properties":{
                "connections_max":SHAPE_COUNT,"channels_max":SHAPE_COUNT,"publishes_per_s":SHAPE_COUNT,"message_bytes_max":SHAPE_COUNT}},
            "created_at":SHAPE_TIME}}) },
    { "Revocation", SCHEMA({"type":"object","required":["kind","revoked_at"],"properties":{
            "kind":{"enum":["token","subject","issued_before","key"]},
            "jti":{"type":"string"},
            "sub":{"type":"string"},
            "key":{"type":"string"},
            "issued_before":SHAPE_TIME,
            "until":SHAPE_TIME_OR_NULL,
            "revoked_at":SHAPE_TIME}}) },
};
/* clang-format on */

const struct component *component_at(size_t i)
{
    return i < sizeof components / sizeof *components ? &components[i] : NULL;
}
