/*
 * Each type's schema is a component as it stands in its file, with a `$id` of its own where it has
 * none, so that its "#/$defs/…" mean what they meant. What is the same for every type (parameters,
 * answers) is written once, below.
 */
#include "ingest/openapi.h"

#include "schemas/json_write.h"

/* Parameters, answers and the security schemes: no type has its own. */
static const char COMMON[] =
    "\"securitySchemes\":{"
    "\"apiKey\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-API-Key\"},"
    "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
    "\"basic\":{\"type\":\"http\",\"scheme\":\"basic\"}},"
    "\"parameters\":{"
    "\"record\":{\"name\":\"record\",\"in\":\"path\",\"required\":true,"
    "\"description\":\"The record's id, or its record key, percent-encoded.\","
    "\"schema\":{\"type\":\"string\"}},"
    "\"idempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\","
    "\"description\":\"The same request with the same key gets the first answer again, for 24 "
    "hours.\",\"schema\":{\"type\":\"string\",\"maxLength\":255}},"
    "\"ifMatch\":{\"name\":\"If-Match\",\"in\":\"header\","
    "\"description\":\"ETag of the revision that this change was made for.\","
    "\"schema\":{\"type\":\"string\"}}},"
    "\"responses\":{"
    "\"accepted\":{\"description\":\"The record, its events and its deliveries are on disk.\","
    "\"headers\":{\"ETag\":{\"schema\":{\"type\":\"string\"}}},"
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
    "postern.Accepted\"}}}},"
    "\"problem\":{\"description\":\"Refused; nothing was stored.\","
    "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
    "postern.Problem\"}}}}},";

static const char COMMON_SCHEMAS[] =
    "\"postern.Accepted\":{\"type\":\"object\",\"required\":[\"id\",\"type\",\"key\",\"action\","
    "\"revision\",\"receivedAt\",\"events\"],\"properties\":{"
    "\"id\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"},"
    "\"key\":{\"type\":[\"string\",\"null\"]},"
    "\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\",\"unchanged\"]},"
    "\"revision\":{\"type\":\"integer\"},"
    "\"receivedAt\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"events\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
    "\"id\":{\"type\":\"string\"},\"event\":{\"type\":\"string\"}}}},"
    "\"warnings\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
    "\"pointer\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"}}}}}},"
    "\"postern.Problem\":{\"type\":\"object\",\"description\":\"RFC 9457\",\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
    "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
    "\"instance\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\",\"properties\":{\"pointer\":{\"type\":\"string\"},"
    "\"keyword\":{\"type\":\"string\"},\"schemaPointer\":{\"type\":\"string\"},"
    "\"detail\":{\"type\":\"string\"}}}}}}";

static const char ANSWERS[] =
    "\"responses\":{\"200\":{\"$ref\":\"#/components/responses/accepted\"},"
    "\"default\":{\"$ref\":\"#/components/responses/problem\"}}";

static const char SHOWN[] =
    "\"responses\":{\"200\":{\"description\":\"%s\",\"content\":{\"application/json\":{\"schema\":"
    "%s}}},\"default\":{\"$ref\":\"#/components/responses/problem\"}}";

static void put_ref(struct buf *out, const struct record_type *type)
{
    buf_printf(out, "{\"$ref\":\"#/components/schemas/%s\"}", type->name);
}

static void put_summary(struct buf *out, const char *verb, const struct record_type *type)
{
    struct buf text = {0};
    buf_printf(&text, "%s: %s", type->title, verb);
    buf_put_str(out, "{\"summary\":");
    json_put_str(out, buf_str(&text));
    buf_printf(out, ",\"tags\":[\"%s\"],", type->name);
    buf_fini(&text);
}

static void put_post(struct buf *out, const struct record_type *type)
{
    buf_put_str(out, ",\"post\":");
    put_summary(out, "create, or replace the one with the same record key", type);
    buf_put_str(out, "\"parameters\":[{\"$ref\":\"#/components/parameters/idempotencyKey\"},"
                     "{\"$ref\":\"#/components/parameters/ifMatch\"}],"
                     "\"requestBody\":{\"required\":true,\"content\":{\"application/json\":"
                     "{\"schema\":");
    put_ref(out, type);
    buf_put_str(out, "},\"application/x-ndjson\":{\"schema\":{\"type\":\"string\","
                     "\"description\":\"A batch: one record a line, up to 1,000.\"}}}},");
    buf_put_str(out, ANSWERS);
    buf_put_char(out, '}');
}

static void put_collection(struct buf *out, const struct record_type *type)
{
    struct buf schema = {0};
    buf_put_str(&schema, "{\"type\":\"object\",\"properties\":{\"data\":{\"type\":\"array\","
                         "\"items\":");
    put_ref(&schema, type);
    buf_put_str(&schema, "},\"nextCursor\":{\"type\":[\"string\",\"null\"]}}}");
    buf_printf(out, "\"/api/webhook/%s\":{\"get\":", type->name);
    put_summary(out, "a page, newest first", type);
    buf_put_str(out, "\"parameters\":[");
    static const char *const QUERY[] = {"limit", "cursor", "since", "until"};
    for (size_t i = 0; i < sizeof(QUERY) / sizeof(QUERY[0]); i++)
        buf_printf(out, "%s{\"name\":\"%s\",\"in\":\"query\",\"schema\":{\"type\":\"string\"}}",
                   i ? "," : "", QUERY[i]);
    buf_put_str(out, "],");
    buf_printf(out, SHOWN, "A page of records.", buf_str(&schema));
    buf_put_char(out, '}');
    if (!type->is_read_only)
        put_post(out, type);
    buf_put_char(out, '}');
    buf_fini(&schema);
}

static void put_record(struct buf *out, const struct record_type *type)
{
    struct buf schema = {0};
    put_ref(&schema, type);
    buf_printf(out,
               ",\"/api/webhook/%s/{record}\":{\"parameters\":[{\"$ref\":\"#/components/"
               "parameters/record\"}],\"get\":",
               type->name);
    put_summary(out, "the current revision, or ?revision=N", type);
    buf_put_str(out, "\"parameters\":[{\"name\":\"revision\",\"in\":\"query\",\"schema\":{"
                     "\"type\":\"integer\",\"minimum\":1}}],");
    buf_printf(out, SHOWN, "The record.", buf_str(&schema));
    buf_put_char(out, '}');
    if (!type->is_read_only) {
        buf_put_str(out, ",\"patch\":");
        put_summary(out, "change members (JSON Merge Patch)", type);
        buf_put_str(out, "\"requestBody\":{\"required\":true,\"content\":{"
                         "\"application/merge-patch+json\":{\"schema\":{\"type\":\"object\"}}}},");
        buf_put_str(out, ANSWERS);
        buf_put_str(out, "},\"delete\":");
        put_summary(out, "mark it deleted", type);
        buf_put_str(out, ANSWERS);
        buf_put_char(out, '}');
    }
    buf_put_char(out, '}');
    buf_fini(&schema);
}

static void put_events_path(struct buf *out)
{
    buf_put_str(out, ",\"/api/events\":{\"get\":{\"summary\":\"Events in sequence, without a "
                     "gap\",\"tags\":[\"events\"],\"parameters\":[");
    static const char *const QUERY[] = {"after", "limit", "type", "wait"};
    for (size_t i = 0; i < sizeof(QUERY) / sizeof(QUERY[0]); i++)
        buf_printf(out, "%s{\"name\":\"%s\",\"in\":\"query\",\"schema\":{\"type\":\"string\"}}",
                   i ? "," : "", QUERY[i]);
    buf_put_str(out, "],");
    buf_printf(out, SHOWN, "Events, and the sequence number to go on after.",
               "{\"type\":\"object\",\"properties\":{\"data\":{\"type\":\"array\"},"
               "\"nextAfter\":{\"type\":\"integer\"},\"lastSequence\":{\"type\":\"integer\"}}}");
    buf_put_str(out, "}}");
}

/* The file's object, with a "$id" before its other members where it has none. */
static void put_schema(struct buf *out, const struct record_type *type)
{
    struct json_doc doc = {0};
    struct json_fault fault;
    if (json_scan(&doc, bytes_of(type->text, type->text_bytes), &fault) != STATUS_OK) {
        out->status = STATUS_NO_MEMORY; /* it was scanned when it was loaded */
        return;
    }
    struct buf text = {0};
    json_write(&doc, json_root(&doc), &text);
    bool has_id = json_member(&doc, json_root(&doc), "$id") != JSON_NONE;
    buf_printf(out, ",\"%s\":", type->name);
    if (has_id) {
        buf_put_bytes(out, buf_bytes(&text));
    } else {
        buf_printf(out, "{\"$id\":\"/api/schemas/%s\",", type->name);
        buf_put(out, text.data + 1, text.len - 1);
    }
    if (text.status != STATUS_OK)
        out->status = text.status;
    buf_fini(&text);
    json_doc_fini(&doc);
}

void openapi_put(const struct record_types *types, const char *version, struct buf *out)
{
    size_t count = record_types_count(types);
    buf_printf(out,
               "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Postern\",\"version\":\"%s\","
               "\"description\":\"A 200 means that the record, its events and its deliveries are "
               "on disk. Refusals are RFC 9457 problems; their types are documented at "
               "/problems.\"},\"security\":[{\"apiKey\":[]},{\"bearer\":[]},{\"basic\":[]}],"
               "\"paths\":{",
               version);
    for (size_t i = 0; i < count; i++) {
        buf_put_str(out, i ? "," : "");
        put_collection(out, record_types_at(types, i));
        put_record(out, record_types_at(types, i));
    }
    put_events_path(out);
    buf_put_str(out, "},\"components\":{");
    buf_put_str(out, COMMON);
    buf_put_str(out, "\"schemas\":{");
    buf_put_str(out, COMMON_SCHEMAS);
    for (size_t i = 0; i < count; i++)
        put_schema(out, record_types_at(types, i));
    buf_put_str(out, "}}}");
}
