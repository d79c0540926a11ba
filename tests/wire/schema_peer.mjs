// tests/wire/schema_peer.mjs: the hub's JSON Schema validator against others, on random schemas and instances.
//
// Usage: node schema_peer.mjs PATH-TO-bench_schema [cases] [seed]
// Needs ajv 8 and @hyperjump/json-schema 1.17. ajv judges most; what has unevaluated* goes to the other one,
// since ajv mixes up there what counts as evaluated. Where ajv and we differ (it lets "contains" pass some
// empty arrays), the other one decides. A difference that stands is printed and fails the run.
import { spawnSync } from "node:child_process";
import Ajv2020 from "ajv/dist/2020.js";
import Ajv7 from "ajv";
import { registerSchema, unregisterSchema, validate } from "@hyperjump/json-schema/draft-2020-12";
import "@hyperjump/json-schema/draft-07";

const [program, countText = "20000", seedText = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
if (!program) {
    console.error("usage: node schema_peer.mjs PATH-TO-bench_schema [cases] [seed]");
    process.exit(2);
}
const count = Number(countText), seed = Number(seedText);

// mulberry32: small, and the same everywhere
let state = seed >>> 0;
function random() {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const chance = (p) => random() < p;
const many = (max, make) => Array.from({ length: below(max + 1) }, make);

const keys = ["a", "b", "c", "ab", "x-1", "é"];
const texts = ["", "a", "ab", "abc", "éa", "\u{1F600}", "2024-01-02", "x-1", "A1", " "];
const numbers = [0, 1, 2, 3, -1, 1.5, 0.5, 10, 100, 0.01, 0.07, 2.0, 1e3, -2.5];
const patterns = ["^a", "b$", "^[a-c]+$", "\\d", "^.$", "^\\w*$", "x-[0-9]", "^$", "a|c", "\\S"];
const types = ["null", "boolean", "object", "array", "number", "string", "integer"];

function value(depth) {
    const kind = below(depth > 0 ? 8 : 5);
    if (kind === 0) return null;
    if (kind === 1) return chance(0.5);
    if (kind < 4) return pick(numbers);
    if (kind === 4) return pick(texts);
    if (kind === 5) return many(4, () => value(depth - 1));
    return Object.fromEntries(many(4, () => [pick(keys), value(depth - 1)]));
}

const objectOf = (depth, names = keys, make = schema) =>
    Object.fromEntries(many(3, () => [pick(names), make(depth)]));
const listOf = (depth) => [schema(depth), ...many(2, () => schema(depth))];
const distinct = (list) => [...new Set(list)];
const deepDistinct = (list) => [...new Map(list.map((v) => [JSON.stringify(v), v])).values()];

let draft7 = false;
let unevaluated = false;

// Each writes its keyword (and what belongs to it) into the schema under construction.
const scalarKeywords = [
    (s) => (s.type = chance(0.6) ? pick(types) : distinct([pick(types), pick(types)])),
    (s) => (s.const = value(1)),
    (s) => (s.enum = deepDistinct([value(1), value(1), value(0)])),
    (s) => (s.minimum = pick(numbers)),
    (s) => (s.maximum = pick(numbers)),
    (s) => (s.exclusiveMinimum = pick(numbers)),
    (s) => (s.exclusiveMaximum = pick(numbers)),
    (s) => (s.multipleOf = pick([1, 2, 3, 0.5, 5])),
    (s) => (s.minLength = below(4)),
    (s) => (s.maxLength = below(4)),
    (s) => (s.pattern = pick(patterns)),
    (s) => (s.minItems = below(3)),
    (s) => (s.maxItems = below(4)),
    (s) => (s.uniqueItems = chance(0.8)),
    (s) => (s.minProperties = below(3)),
    (s) => (s.maxProperties = below(4)),
    (s) => (s.required = distinct(many(2, () => pick(keys)))),
];
const applicators = [
    (s, d) => (s.properties = objectOf(d)),
    (s, d) => (s.properties = objectOf(d)),
    (s, d) => (s.patternProperties = objectOf(d, patterns)),
    (s, d) => (s.additionalProperties = schema(d)),
    (s, d) => (s.propertyNames = schema(d)),
    (s, d) => (s.contains = schema(d)),
    (s, d) => (s.allOf = listOf(d)),
    (s, d) => (s.anyOf = listOf(d)),
    (s, d) => (s.oneOf = listOf(d)),
    (s, d) => (s.not = schema(d)),
    (s, d) => {
        s.if = schema(d);
        if (chance(0.7)) s.then = schema(d);
        if (chance(0.7)) s.else = schema(d);
    },
    (s) => (s.$ref = `#/${draft7 ? "definitions" : "$defs"}/${pick(["p", "q"])}`),
];
const only2020 = [
    (s, d) => (s.items = schema(d)),
    (s, d) => (s.dependentSchemas = objectOf(d)),
    (s) => (s.dependentRequired = objectOf(0, keys, () => distinct(many(2, () => pick(keys))))),
    (s, d) => {
        s.contains = schema(d);
        s.minContains = below(3);
        if (chance(0.5)) s.maxContains = s.minContains + below(2);
    },
];
const tracking = [
    (s, d) => (s.prefixItems = listOf(d)),
    (s, d) => (s.unevaluatedProperties = chance(0.7) ? false : schema(d)),
    (s, d) => (s.unevaluatedItems = chance(0.7) ? false : schema(d)),
];
const only7 = [
    (s, d) => (s.items = chance(0.5) ? schema(d) : listOf(d)),
    (s, d) => (s.additionalItems = schema(d)),
    (s, d) =>
        (s.dependencies = objectOf(d, keys, (e) =>
            chance(0.5) ? schema(e) : distinct(many(2, () => pick(keys))))),
];

function schema(depth) {
    if (chance(0.08)) return chance(0.6);
    const s = {};
    const more = unevaluated ? [...tracking, ...tracking] : [];
    const inner = [...applicators, ...(draft7 ? only7 : [...only2020, ...more])];
    for (let n = 1 + below(3); n > 0; n--) {
        const deep = depth > 0 && chance(0.6);
        (deep ? pick(inner) : pick(scalarKeywords))(s, depth - 1);
    }
    // In draft 7 what stands beside $ref is ignored; ajv 8 applies it, so the two are never put together.
    return draft7 && s.$ref ? { $ref: s.$ref } : s;
}

function rootSchema() {
    let root = schema(3);
    if (typeof root === "boolean") root = { not: root };
    // The definitions refer to nothing, so no reference can lead in a circle.
    const leaf = () => {
        const s = {};
        pick(scalarKeywords)(s);
        if (chance(0.5)) s.properties = Object.fromEntries([[pick(keys), true]]);
        return s;
    };
    root[draft7 ? "definitions" : "$defs"] = { p: leaf(), q: leaf() };
    return root;
}

const options = { strict: false, validateFormats: false, logger: false };

const dialects = {
    7: "http://json-schema.org/draft-07/schema#",
    2020: "https://json-schema.org/draft/2020-12/schema",
};

async function hyperjump(root, draft) {
    const id = "https://peer.test/schema";
    registerSchema(root, id, dialects[draft]);
    const judge = await validate(id);
    unregisterSchema(id);
    return (instance) => judge(instance).valid;
}

async function judgeOf(root) {
    if (unevaluated) return hyperjump(root, 2020);
    return (draft7 ? new Ajv7(options) : new Ajv2020(options)).compile(root);
}

// ajv's code for dynamic annotations sometimes trips over itself; such a pair is left to others.
let withoutJudge = 0;
function wantedBy(judge, instance) {
    try {
        return judge(instance);
    } catch (error) {
        if (!(error instanceof TypeError || error instanceof ReferenceError)) throw error;
        withoutJudge++;
        return null;
    }
}

const cases = [];
while (cases.length < count) {
    draft7 = chance(0.25);
    unevaluated = !draft7 && chance(0.5);
    const root = rootSchema();
    const judge = await judgeOf(root);
    for (let n = 0; n < 10; n++) {
        const instance = value(3);
        const wanted = wantedBy(judge, instance);
        if (wanted !== null) cases.push({ draft: draft7 ? 7 : 2020, schema: root, instance, wanted });
    }
}

const input = cases.map(({ wanted, ...line }) => JSON.stringify(line)).join("\n") + "\n";
const run = spawnSync(program, ["--stdin"], { input, maxBuffer: 1 << 28, encoding: "utf8" });
const answers = run.stdout.trimEnd().split("\n");
if (run.status !== 0 || answers.length !== cases.length) {
    console.error(`seed ${seed}: ${answers.length} answers to ${cases.length} cases, status ${run.status}`);
    process.exit(1);
}
let differ = 0, overruled = 0, valid = 0;
for (const [i, one] of cases.entries()) {
    valid += one.wanted;
    if (answers[i] === (one.wanted ? "valid" : "invalid")) continue;
    const second = (await hyperjump(one.schema, one.draft))(one.instance);
    if (answers[i] === (second ? "valid" : "invalid")) {
        overruled++;
    } else if (++differ <= 5) {
        console.error(`they say ${one.wanted} and ${second}, we say ${answers[i]}:\n  draft ${one.draft} ` +
            `${JSON.stringify(one.schema)}\n  ${JSON.stringify(one.instance)}`);
    }
}
console.log(`seed ${seed}: ${cases.length} cases, ${valid} valid, ${differ} judged differently; ` +
    `ajv overruled ${overruled} times, ${withoutJudge} more without a judge`);
const odd = valid < count / 10 || valid > (count * 9) / 10 || overruled + withoutJudge > count / 50;
process.exit(differ || odd ? 1 : 0);
