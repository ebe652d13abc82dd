/*
 * Texts, identifiers, references, dialects: everything about *where* a schema is.
 *
 * A text is copied, scanned, checked against the metaschema that its `$schema` names, and walked
 * once along the keywords that hold subschemas, noting `$id`, `$anchor` and `$dynamicAnchor`. A
 * reference is made absolute and looked up among the resources; a resource that is not there is
 * asked of the compiled-in metaschemas and of the caller's resolver, never of the network.
 *
 * What looks like a subschema under an unknown keyword is not walked (its `$id` means nothing), but
 * a JSON pointer may lead there; it is walked then, as part of the resource that was named.
 */
#include "schemas/schema_compiler.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/must.h"
#include "schemas/embedded.h"
#include "schemas/uri.h"

#define DIALECT_2020_12 "https://json-schema.org/draft/2020-12/schema"
#define VOCABULARY_URI "https://json-schema.org/draft/2020-12/vocab/"

static const struct {
    const char *name;
    enum vocabulary vocabulary;
} VOCABULARIES[] = {
    {"core", VOCABULARY_CORE},
    {"applicator", VOCABULARY_APPLICATOR},
    {"unevaluated", VOCABULARY_UNEVALUATED},
    {"validation", VOCABULARY_VALIDATION},
    {"meta-data", VOCABULARY_META_DATA},
    {"format-annotation", VOCABULARY_FORMAT_ANNOTATION},
    {"format-assertion", VOCABULARY_FORMAT_ASSERTION},
    {"content", VOCABULARY_CONTENT},
};

static const struct json_doc *doc_of(const struct compiler *c, uint32_t source)
{
    return &c->program->sources[source]->doc;
}

/* A copy in the arena of a string's resolved text. */
static struct bytes keep_string(struct compiler *c, const struct json_doc *doc, uint32_t node)
{
    buf_clear(&c->scratch);
    struct bytes kept = arena_copy(c->program->arena, json_string(doc, node, &c->scratch));
    if (!kept.data || c->scratch.status != STATUS_OK)
        compiler_no_memory(c);
    return kept;
}

/* The absolute form of a string node's reference, kept in the arena. */
static struct bytes keep_absolute(struct compiler *c, struct bytes base, const struct json_doc *doc,
                                  uint32_t node)
{
    CLEANUP(buf_fini) struct buf reference = {0};
    CLEANUP(buf_fini) struct buf absolute = {0};
    uri_resolve(base, json_string(doc, node, &reference), &absolute);
    struct bytes kept = arena_copy(c->program->arena, buf_bytes(&absolute));
    if (absolute.status != STATUS_OK || reference.status != STATUS_OK || !kept.data)
        compiler_no_memory(c);
    return kept;
}

static bool is_string_member(const struct json_doc *doc, uint32_t object, const char *name,
                             uint32_t *ret_node)
{
    *ret_node = json_member(doc, object, name);
    return *ret_node != JSON_NONE && json_kind_of(doc, *ret_node) == JSON_STRING;
}

static const struct embedded_schema *find_embedded(struct bytes uri)
{
    for (size_t i = 0; i < EMBEDDED_SCHEMA_COUNT; i++) {
        if (bytes_equal_str(uri, EMBEDDED_SCHEMAS[i].uri))
            return &EMBEDDED_SCHEMAS[i];
    }
    return NULL;
}

bool compiler_is_embedded(struct bytes uri)
{
    return find_embedded(uri) != NULL;
}

static enum status find_text(const struct compiler *c, struct bytes uri, struct bytes *ret_text)
{
    const struct embedded_schema *embedded = find_embedded(uri);
    if (embedded) {
        *ret_text = embedded->text;
        return STATUS_OK;
    }
    if (!c->options->resolve)
        return STATUS_NOT_FOUND;
    return c->options->resolve(c->options->context, uri, ret_text);
}

/* --- dialects ------------------------------------------------------------------------------- */

/* The vocabularies that a metaschema's `$vocabulary` turns on. */
static uint32_t read_vocabularies(struct compiler *c, const struct schema *metaschema, uint32_t at)
{
    const struct json_doc *doc = &metaschema->sources[0]->doc;
    uint32_t object = json_member(doc, json_root(doc), "$vocabulary"), mask = VOCABULARY_CORE;
    if (object == JSON_NONE || json_kind_of(doc, object) != JSON_OBJECT)
        return VOCABULARIES_2020_12;
    CLEANUP(buf_fini) struct buf scratch = {0};
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        buf_clear(&scratch);
        struct bytes uri = json_string(doc, i, &scratch);
        size_t prefix = strlen(VOCABULARY_URI);
        bool is_known = false;
        for (size_t v = 0; v < sizeof(VOCABULARIES) / sizeof(VOCABULARIES[0]); v++) {
            if (uri.len > prefix && memcmp(uri.data, VOCABULARY_URI, prefix) == 0 &&
                bytes_equal_str(bytes_of(uri.data + prefix, uri.len - prefix),
                                VOCABULARIES[v].name)) {
                mask |= VOCABULARIES[v].vocabulary;
                is_known = true;
            }
        }
        if (!is_known && json_kind_of(doc, i + 1) == JSON_TRUE)
            compiler_fault(c, c->program->source_count - 1, at,
                           "its metaschema requires the vocabulary %.*s, which is not supported",
                           (int)(uri.len > 300 ? 300 : uri.len), (const char *)uri.data);
    }
    return mask;
}

static struct schema *compile_metaschema(struct compiler *c, struct bytes uri, uint32_t at)
{
    struct bytes text;
    enum status status = find_text(c, uri, &text);
    uint32_t source = c->program->source_count - 1;
    if (status == STATUS_NOT_FOUND || c->depth >= COMPILE_DEPTH_MAX) {
        compiler_fault(
            c, source, at, "names the dialect %.*s, which is not supported; the one that is: %s",
            (int)(uri.len > 200 ? 200 : uri.len), (const char *)uri.data, DIALECT_2020_12);
        return NULL;
    }
    if (status != STATUS_OK) {
        c->status = c->status == STATUS_OK ? status : c->status;
        return NULL;
    }
    struct schema_options options = *c->options;
    struct schema_fault fault = {0};
    struct schema *metaschema = NULL;
    options.assert_format = false;
    status = schema_compile_text(uri, text, &options, c->depth + 1, &metaschema, &fault);
    if (status == STATUS_INVALID)
        compiler_fault(c, source, at, "its metaschema is not usable: %s: %s",
                       buf_str(&fault.pointer), fault.detail);
    else if (status != STATUS_OK && c->status == STATUS_OK)
        c->status = status;
    schema_fault_fini(&fault);
    return metaschema;
}

/* The dialect of that URI; with its metaschema's program unless the source is trusted. */
static const struct dialect *find_dialect(struct compiler *c, struct bytes uri, uint32_t at,
                                          bool is_trusted)
{
    struct dialect *dialect = NULL;
    uri = uri_without_fragment(uri, NULL);
    bool is_standard = bytes_equal_str(uri, DIALECT_2020_12);
    for (uint32_t i = 0; i < c->dialect_count; i++) {
        if (bytes_equal(c->dialects[i].uri, uri))
            dialect = &c->dialects[i];
    }
    if (!dialect && c->dialect_count == DIALECTS_MAX) {
        compiler_fault(c, SUBSCHEMA_NONE, 0, "uses more than %d dialects", DIALECTS_MAX);
        return NULL;
    }
    if (!dialect) {
        dialect = &c->dialects[c->dialect_count++];
        *dialect = (struct dialect){.uri = arena_copy(c->program->arena, uri),
                                    .vocabularies = VOCABULARIES_2020_12};
    }
    if (!dialect->metaschema && !(is_trusted && is_standard)) {
        dialect->metaschema = compile_metaschema(c, uri, at);
        if (!dialect->metaschema)
            return NULL;
        if (!is_standard)
            dialect->vocabularies = read_vocabularies(c, dialect->metaschema, at);
    }
    return c->status == STATUS_OK ? dialect : NULL;
}

static void check_against(struct compiler *c, const struct dialect *dialect, uint32_t source)
{
    struct schema_run *run = schema_run_new();
    if (!run) {
        compiler_no_memory(c);
        return;
    }
    const struct json_doc *doc = doc_of(c, source);
    struct schema_budget budget = {.nodes = 50 * 1000 * 1000, .ms = 10 * 1000};
    enum status status = schema_check(dialect->metaschema, run, doc, json_root(doc), &budget);
    if (status == STATUS_INVALID) {
        size_t count;
        const struct violation *first = schema_violations(run, &count);
        uint32_t node = json_root(doc);
        must(count > 0);
        if (json_pointer_find(doc, first->pointer, &node) != STATUS_OK)
            node = json_root(doc); /* a required member that is missing */
        compiler_fault(c, source, node, "%.*s", (int)first->detail.len,
                       (const char *)first->detail.data);
    } else if (status != STATUS_OK && c->status == STATUS_OK) {
        c->status = status;
    }
    schema_run_free(run);
}

/* --- resources and anchors ------------------------------------------------------------------ */

static uint32_t find_resource(const struct compiler *c, struct bytes uri)
{
    for (uint32_t i = 0; i < c->resource_count; i++) {
        if (bytes_equal(c->resources[i].uri, uri))
            return i;
    }
    for (uint32_t i = 0; i < c->program->source_count; i++) { /* where it was fetched from */
        const struct schema_source *source = c->program->sources[i];
        if (bytes_equal(source->uri, uri) && source->resource_of)
            return source->resource_of[0];
    }
    return SUBSCHEMA_NONE;
}

static uint32_t add_resource(struct compiler *c, struct bytes uri, uint32_t source, uint32_t node,
                             uint32_t vocabularies)
{
    uri = uri_without_fragment(uri, NULL);
    for (uint32_t i = 0; i < c->resource_count; i++) {
        if (bytes_equal(c->resources[i].uri, uri))
            compiler_fault(c, source, node, "\"$id\" %.*s is used twice",
                           (int)(uri.len > 300 ? 300 : uri.len), (const char *)uri.data);
    }
    if (!compiler_grow(c, &c->resources, c->resource_count, &c->resource_capacity,
                       sizeof(*c->resources)))
        return SUBSCHEMA_NONE;
    c->resources[c->resource_count] = (struct resource){uri, source, node, vocabularies};
    return c->resource_count++;
}

static void add_anchor(struct compiler *c, uint32_t resource, uint32_t source, uint32_t node,
                       uint32_t name, bool is_dynamic)
{
    struct bytes text = keep_string(c, doc_of(c, source), name);
    if (!compiler_grow(c, &c->anchors, c->anchor_count, &c->anchor_capacity, sizeof(*c->anchors)))
        return;
    const struct anchor *other = compiler_find_anchor(c, resource, text);
    if (other && other->node != node)
        compiler_fault(c, source, name, "the anchor is used twice");
    c->anchors[c->anchor_count++] = (struct anchor){text, resource, node, is_dynamic};
}

const struct anchor *compiler_find_anchor(const struct compiler *c, uint32_t resource,
                                          struct bytes name)
{
    const struct anchor *found = NULL;
    for (uint32_t i = 0; i < c->anchor_count; i++) {
        const struct anchor *anchor = &c->anchors[i];
        if (anchor->resource == resource && bytes_equal(anchor->name, name) &&
            (!found || anchor->is_dynamic))
            found = anchor;
    }
    return found;
}

static uint32_t enter_resource(struct compiler *c, uint32_t source, uint32_t node, uint32_t id,
                               uint32_t outer)
{
    const struct json_doc *doc = doc_of(c, source);
    uint32_t vocabularies = c->resources[outer].vocabularies, dialect_name;
    struct bytes uri = keep_absolute(c, c->resources[outer].uri, doc, id);
    if (is_string_member(doc, node, "$schema", &dialect_name)) {
        bool is_trusted = c->is_trusted || find_embedded(c->program->sources[source]->uri);
        const struct dialect *dialect =
            find_dialect(c, keep_string(c, doc, dialect_name), dialect_name, is_trusted);
        vocabularies = dialect ? dialect->vocabularies : vocabularies;
    }
    return c->status == STATUS_OK ? add_resource(c, uri, source, node, vocabularies) : outer;
}

static void walk(struct compiler *c, uint32_t source, uint32_t node, uint32_t resource);

static void walk_children(struct compiler *c, uint32_t source, uint32_t value,
                          enum keyword_holds holds, uint32_t resource)
{
    const struct json_doc *doc = doc_of(c, source);
    enum json_kind kind = json_kind_of(doc, value);
    if (holds == HOLDS_SCHEMA)
        walk(c, source, value, resource);
    else if ((holds == HOLDS_SCHEMA_LIST && kind == JSON_ARRAY) ||
             (holds == HOLDS_SCHEMA_MAP && kind == JSON_OBJECT))
        for (uint32_t i = json_first(doc, value); i != JSON_NONE; i = json_after(doc, value, i))
            walk(c, source, holds == HOLDS_SCHEMA_MAP ? i + 1 : i, resource);
}

/* Note what stands at a subschema and below it. */
static void walk(struct compiler *c, uint32_t source, uint32_t node, uint32_t resource)
{
    if (c->status != STATUS_OK || c->program->sources[source]->resource_of[node] != SUBSCHEMA_NONE)
        return;
    const struct json_doc *doc = doc_of(c, source);
    uint32_t member;
    bool is_root = c->resources[resource].source == source && c->resources[resource].node == node;
    if (!is_root && is_string_member(doc, node, "$id", &member))
        resource = enter_resource(c, source, node, member, resource);
    c->program->sources[source]->resource_of[node] = resource;
    if (json_kind_of(doc, node) != JSON_OBJECT)
        return;
    if (is_string_member(doc, node, "$anchor", &member))
        add_anchor(c, resource, source, node, member, false);
    if (is_string_member(doc, node, "$dynamicAnchor", &member))
        add_anchor(c, resource, source, node, member, true);
    for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i)) {
        enum keyword keyword = keyword_find(doc, i);
        if (keyword != KEYWORD_COUNT)
            walk_children(c, source, i + 1, KEYWORDS[keyword].holds, resource);
    }
}

/* --- texts ---------------------------------------------------------------------------------- */

static uint32_t *none_array(struct compiler *c, uint32_t count)
{
    uint32_t *array = malloc(sizeof(*array) * (count ? count : 1));
    if (!array)
        compiler_no_memory(c);
    else
        memset(array, 0xFF, sizeof(*array) * count);
    return array;
}

static uint32_t scan_source(struct compiler *c, struct bytes uri, struct bytes text)
{
    struct json_fault fault;
    if (!compiler_grow(c, &c->program->sources, c->program->source_count, &c->source_capacity,
                       sizeof(struct schema_source *)))
        return SUBSCHEMA_NONE;
    uint32_t index = c->program->source_count;
    struct schema_source *source = compiler_take(c, sizeof(*source));
    struct bytes copy = arena_copy(c->program->arena, text);
    if (!source || !copy.data) {
        compiler_no_memory(c);
        return SUBSCHEMA_NONE;
    }
    c->program->sources[c->program->source_count++] = source;
    source->uri = arena_copy(c->program->arena, uri);
    if (!source->uri.data) {
        compiler_no_memory(c);
        return SUBSCHEMA_NONE;
    }
    enum status status = json_scan(&source->doc, copy, &fault);
    if (status == STATUS_INVALID)
        compiler_fault(c, SUBSCHEMA_NONE, 0, "%.*s: line %zu, column %zu: %s",
                       (int)(uri.len > 200 ? 200 : uri.len), (const char *)uri.data, fault.line,
                       fault.column, fault.detail);
    else if (status != STATUS_OK && c->status == STATUS_OK)
        c->status = status;
    source->resource_of = none_array(c, source->doc.node_count);
    source->schema_of = none_array(c, source->doc.node_count);
    return c->status == STATUS_OK ? index : SUBSCHEMA_NONE;
}

uint32_t compiler_add_source(struct compiler *c, struct bytes uri, struct bytes text)
{
    uint32_t source = scan_source(c, uri, text), name, id;
    if (c->status != STATUS_OK)
        return SUBSCHEMA_NONE;
    bool is_trusted = c->is_trusted || find_embedded(uri);
    struct bytes dialect_uri = bytes_of_str(DIALECT_2020_12);
    bool has_name = is_string_member(doc_of(c, source), 0, "$schema", &name);
    if (has_name)
        dialect_uri = keep_string(c, doc_of(c, source), name);
    const struct dialect *dialect = find_dialect(c, dialect_uri, has_name ? name : 0, is_trusted);
    if (!dialect)
        return SUBSCHEMA_NONE;
    if (!is_trusted)
        check_against(c, dialect, source);
    if (c->status != STATUS_OK)
        return SUBSCHEMA_NONE;
    struct bytes root_uri = c->program->sources[source]->uri;
    if (is_string_member(doc_of(c, source), 0, "$id", &id))
        root_uri = keep_absolute(c, root_uri, doc_of(c, source), id);
    uint32_t resource = add_resource(c, root_uri, source, 0, dialect->vocabularies);
    if (c->status == STATUS_OK)
        walk(c, source, 0, resource);
    return c->status == STATUS_OK ? source : SUBSCHEMA_NONE;
}

/* --- references ----------------------------------------------------------------------------- */

/* One token of a JSON pointer, ~1 and ~0 undone. False: a stray '~'. */
static bool read_token(struct bytes *pointer, struct buf *token)
{
    size_t i = 1;
    buf_clear(token);
    for (; i < pointer->len && pointer->data[i] != '/'; i++) {
        uint8_t c = pointer->data[i];
        if (c == '~') {
            i++;
            if (i == pointer->len || (pointer->data[i] != '0' && pointer->data[i] != '1'))
                return false;
            c = pointer->data[i] == '0' ? '~' : '/';
        }
        buf_put_char(token, (char)c);
    }
    *pointer = bytes_of(pointer->data + i, pointer->len - i);
    return true;
}

static uint32_t element_at(const struct json_doc *doc, uint32_t array, struct bytes token)
{
    uint64_t index = 0;
    if (!token.len || token.len > 9 || (token.len > 1 && token.data[0] == '0'))
        return JSON_NONE;
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return JSON_NONE;
        index = index * 10 + (token.data[i] - '0');
    }
    uint32_t element = json_first(doc, array);
    while (element != JSON_NONE && index--)
        element = json_after(doc, array, element);
    return element;
}

/* The node that a JSON pointer leads to from `node`; JSON_NONE: nowhere. */
static uint32_t follow_pointer(struct compiler *c, const struct json_doc *doc, uint32_t node,
                               struct bytes pointer)
{
    struct buf *token = &c->scratch;
    while (pointer.len && node != JSON_NONE) {
        if (pointer.data[0] != '/' || !read_token(&pointer, token))
            return JSON_NONE;
        if (token->status != STATUS_OK) {
            compiler_no_memory(c);
            return JSON_NONE;
        }
        if (json_kind_of(doc, node) == JSON_OBJECT)
            node = json_member_bytes(doc, node, buf_bytes(token));
        else if (json_kind_of(doc, node) == JSON_ARRAY)
            node = element_at(doc, node, buf_bytes(token));
        else
            node = JSON_NONE;
    }
    return node;
}

/* The resource of that absolute URI, loaded if it has to be. */
static uint32_t load_resource(struct compiler *c, struct bytes uri, uint32_t source, uint32_t at)
{
    struct bytes text;
    uint32_t resource = find_resource(c, uri);
    if (resource != SUBSCHEMA_NONE)
        return resource;
    enum status status = find_text(c, uri, &text);
    if (status == STATUS_NOT_FOUND)
        compiler_fault(c, source, at, "refers to %.*s, and there is no such schema",
                       (int)(uri.len > 300 ? 300 : uri.len), (const char *)uri.data);
    else if (status != STATUS_OK && c->status == STATUS_OK)
        c->status = status;
    if (c->status != STATUS_OK)
        return SUBSCHEMA_NONE;
    uint32_t added = compiler_add_source(c, uri, text);
    return added == SUBSCHEMA_NONE ? added : c->program->sources[added]->resource_of[0];
}

/* The node a decoded fragment names within a resource; JSON_NONE: none. */
static uint32_t find_fragment(struct compiler *c, uint32_t resource, struct bytes fragment,
                              struct bytes *ret_anchor)
{
    const struct resource *target = &c->resources[resource];
    if (!fragment.len)
        return target->node;
    if (fragment.data[0] == '/')
        return follow_pointer(c, doc_of(c, target->source), target->node, fragment);
    const struct anchor *anchor = compiler_find_anchor(c, resource, fragment);
    if (anchor && ret_anchor)
        *ret_anchor = anchor->name;
    return anchor ? anchor->node : JSON_NONE;
}

bool compiler_resolve(struct compiler *c, uint32_t source, uint32_t node, uint32_t at,
                      uint32_t *ret_source, uint32_t *ret_node, struct bytes *ret_anchor)
{
    CLEANUP(buf_fini) struct buf fragment = {0};
    uint32_t base = c->program->sources[source]->resource_of[node];
    struct bytes encoded;
    struct bytes uri = keep_absolute(c, c->resources[base].uri, doc_of(c, source), at);
    if (c->status != STATUS_OK)
        return false;
    struct bytes document = uri_without_fragment(uri, &encoded);
    uint32_t resource = load_resource(c, document, source, at);
    if (resource == SUBSCHEMA_NONE)
        return false;
    if (ret_anchor)
        *ret_anchor = (struct bytes){0};
    uint32_t target = JSON_NONE;
    enum status status = percent_decode(&fragment, encoded);
    if (status == STATUS_NO_MEMORY || fragment.status != STATUS_OK)
        compiler_no_memory(c);
    else if (status == STATUS_OK)
        target = find_fragment(c, resource, buf_bytes(&fragment), ret_anchor);
    *ret_source = c->resources[resource].source;
    *ret_node = target;
    if (target == JSON_NONE) {
        compiler_fault(c, source, at, "refers to %.*s, and there is no such place",
                       (int)(uri.len > 300 ? 300 : uri.len), (const char *)uri.data);
        return false;
    }
    walk(c, *ret_source, target, resource);
    return c->status == STATUS_OK;
}
